//! What is missing for the next change of a list of voters, in words (rules L1 and L4).

use crate::config::VoterName;
use crate::votes::{ListStage, Member, Peer};

/// `None`: the list is sealed and the configured one, so the next change may begin.
pub fn missing_for_change(member: &Member) -> Option<String> {
    if let Some(trouble) = member.list_trouble() {
        return Some(trouble.to_string());
    }
    let generation = member.list().generation;
    match member.roll().stage {
        ListStage::Sealed => None,
        ListStage::Joining => Some(format!(
            "this voter is new, and votes once another reports that list {generation} is accepted"
        )),
        ListStage::Taken => Some(format!(
            "list {generation} is not accepted yet: a majority of the former voters has to have it, bound by no vote of \
             before{}",
            others(member, ListStage::Taken)
        )),
        ListStage::Accepted => Some(format!(
            "list {generation} is not sealed yet: a majority of its voters and of the former ones has to know that it is \
             accepted{}",
            others(member, ListStage::Accepted)
        )),
    }
}

/// Who is not known to have come so far.
fn others(member: &Member, stage: ListStage) -> String {
    let others = member.other_voters().into_iter();
    let behind = others.filter_map(|name| {
        let why = behind(member, member.peers().get(name), stage)?;
        Some(format!("; {} {why}", VoterName::as_str(name)))
    });
    behind.collect()
}

fn behind(member: &Member, peer: Option<&Peer>, stage: ListStage) -> Option<String> {
    let answer = match peer.map(|peer| &peer.outcome) {
        None => return Some("was not asked yet".to_owned()),
        Some(Err(_)) => return Some("does not answer".to_owned()),
        Some(Ok(answer)) => answer,
    };
    let (theirs, ours) = (&answer.list, member.list().id());
    match &answer.news {
        None => Some("is of a version that changes no lists".to_owned()),
        Some(_) if theirs.generation != ours.generation => {
            Some(format!("has list {}", theirs.generation))
        }
        Some(_) if *theirs != ours => Some(format!("has other voters in list {}", ours.generation)),
        Some(news) if news.stage < stage => Some(match news.stage {
            ListStage::Joining => "is new".to_owned(),
            ListStage::Taken | ListStage::Accepted | ListStage::Sealed => {
                "does not know it".to_owned()
            }
        }),
        Some(_) => None,
    }
}
