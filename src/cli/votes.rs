//! `pglookout votes`: makes the vote file of this host once, and shows how the voters stand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser, ValueExt};

use super::config_file;
use super::look::Target;
use super::output;
use crate::config::ClusterName;
use crate::format::{ClusterVotes, VoteFile, VotesPage};
use crate::sys::files;
use crate::sys::vote_directory::VoteDirectory;
use crate::votes::{Record, VoterList};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VotesOptions {
    /// Make the vote file.
    Init {
        config: PathBuf,
        /// Needed where the configuration names several.
        cluster: Option<String>,
    },
    /// Show the votes.
    Show { source: Option<String>, json: bool },
}

/// `None`: help is wanted.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<VotesOptions>, Error> {
    let (mut words, mut json) = (Vec::new(), false);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("json") => json = true,
            Value(word) if words.len() < 3 => words.push(word),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    let is_init = words.first().is_some_and(|word| word == "init");
    let mut words = words.into_iter();
    if is_init && !json {
        let config = words.nth(1);
        return Ok(Some(VotesOptions::Init {
            config: config
                .ok_or("votes init: the configuration file is missing")?
                .into(),
            cluster: words.next().map(|word| word.string()).transpose()?,
        }));
    }
    let source = words.next().map(|word| word.string()).transpose()?;
    match words.next() {
        None => Ok(Some(VotesOptions::Show { source, json })),
        Some(_) => Err("votes: one configuration file or URL is expected".into()),
    }
}

/// Exit 0: made, or all is well; 1: refused, or not all voters can vote; 3: no daemon answers.
pub(super) fn main(options: &VotesOptions) -> ExitCode {
    match options {
        VotesOptions::Init { config, cluster } => match init(config, cluster.as_deref()) {
            Ok(done) => output::print(&done),
            Err(reason) => output::fail(reason),
        },
        VotesOptions::Show { source, json } => show(source.as_deref(), *json),
    }
}

fn init(path: &Path, cluster: Option<&str>) -> Result<String, String> {
    let config = config_file::load(path)?;
    let voting = config.voting.as_ref();
    let voting = voting.ok_or_else(|| format!("{}: voting is not set", path.display()))?;
    let names: Vec<_> = voting.clusters.keys().map(ClusterName::as_str).collect();
    let name = match (cluster, names.as_slice()) {
        (None, [only]) => *only,
        (Some(cluster), _) if names.contains(&cluster) => cluster,
        _ => {
            return Err(format!(
                "votes init: expected one of the clusters {}",
                names.join(", ")
            ));
        }
    };
    let name = ClusterName::from(name);
    let own = voting.clusters.get(&name).ok_or("no such cluster")?;
    VoteDirectory::check(&voting.directory).map_err(|error| error.to_string())?;
    let file = VoteFile::path(&voting.directory, &name);
    let shown = file.display();
    match files::exists(&file) {
        Ok(false) => {}
        Ok(true) => {
            return Err(format!(
                "{shown} exists: a vote file is made once, and never again"
            ));
        }
        Err(error) => return Err(error.to_string()),
    }
    let (voter, list) = (&own.own, VoterList::from(own));
    if !list.names.contains(voter) {
        return Err(format!("votes init: {voter} is not in voters"));
    }
    let generation = list.generation;
    // Whoever votes in the first list has voted for nobody; in a later one somebody of that name may have.
    let (record, fate) = match generation {
        1 => (Record::new(list), "it has voted for nobody yet".to_owned()),
        _ => (
            Record::joining(list),
            format!("it votes once another voter reports that list {generation} is accepted"),
        ),
    };
    let content = VoteFile {
        cluster: name.clone(),
        voter: voter.clone(),
        record,
    };
    files::replace(&file, &content.to_json()).map_err(|error| error.to_string())?;
    Ok(format!(
        "{shown} made for {voter} in cluster {name}: {fate}"
    ))
}

fn show(source: Option<&str>, json: bool) -> ExitCode {
    let page = Target::new(source, None).and_then(|target| target.page("votes.json"));
    let page = page.and_then(|body| {
        let read = serde_json::from_slice::<VotesPage>(&body);
        read.map_err(|_| "this daemon does not vote".to_owned())
            .map(|page| (page, body))
    });
    let (page, body) = match page {
        Ok(page) => page,
        Err(reason) => {
            output::print_error(reason);
            return ExitCode::from(NO_ANSWER);
        }
    };
    let text = match json {
        true => String::from_utf8_lossy(&body).into_owned(),
        false => {
            let clusters = page.iter().map(|(name, votes)| text(name, votes));
            clusters.collect::<Vec<_>>().join("\n")
        }
    };
    let printed = output::print(&text);
    match page.values().all(is_well) {
        true => printed,
        false => ExitCode::FAILURE,
    }
}

/// Can a majority vote, this daemon included.
fn is_well(votes: &ClusterVotes) -> bool {
    let is_unwell = |why: &str| UNWELL.contains(&why);
    let answers = |name: &&String| {
        let peer = votes.peers.get(*name);
        let answers = peer.is_some_and(|peer| !peer.why.as_deref().is_some_and(is_unwell));
        answers || **name == votes.voter
    };
    let count = |names: &[String]| names.iter().filter(answers).count();
    let former = &votes.former_voters;
    let has_former = former.is_empty() || count(former) > former.len() / 2;
    votes.unusable.is_none() && count(&votes.voters) >= votes.needed && has_former
}

fn text(name: &str, votes: &ClusterVotes) -> String {
    let (generation, voters) = (votes.generation, votes.voters.len());
    let (voter, needed) = (&votes.voter, votes.needed);
    let place = match votes.voters.contains(voter) {
        true => "one",
        false => "none",
    };
    let stage = match votes.list.as_str() {
        "" => String::new(),
        stage => format!(", {stage}"),
    };
    let mut lines = vec![
        format!(
            "cluster {name}: {voter} is {place} of {voters} voters, {needed} elect; list {generation}{stage}"
        ),
        format!("guarantees: {}", votes.guarantees),
    ];
    if let Some(reason) = &votes.unusable {
        lines.push(format!("this daemon votes for nobody: {reason}"));
    }
    if !votes.former_voters.is_empty() {
        let (former, needed) = (&votes.former_voters, votes.former_voters.len() / 2 + 1);
        lines.push(format!(
            "former voters, {needed} of them are needed too: {}",
            former.join(", ")
        ));
    }
    if let Some(missing) = &votes.change_waits_for {
        lines.push(format!("no change of voters now: {missing}"));
    }
    let mut own = format!("term {}", votes.term);
    if let Some(candidate) = &votes.voted_for {
        own += &format!(", voted for {candidate}");
    }
    if let (Some(to), Some(left)) = (&votes.promised_to, votes.promise_left) {
        own += &format!(", promised to {to} for {left:.1} s more");
    }
    lines.push(own);
    if let Some(term) = votes.held_term {
        let lease = votes.lease_left.map_or_else(
            || "without a lease".to_owned(),
            |left| format!("lease for {left:.1} s more"),
        );
        lines.push(format!("holds term {term}, {lease}"));
    }
    if let Some(gate) = &votes.gate {
        lines.push(format!("gate: {gate}"));
    }
    if let Some(watchdog) = &votes.watchdog {
        lines.push(format!("watchdog: {watchdog}"));
    }
    if let Some(switchover) = &votes.switchover {
        let (to, state) = (&switchover.to, &switchover.state);
        let last = switchover.steps.last().map_or("", |step| &step.text);
        lines.push(format!("last switchover, to {to} ({state}): {last}"));
    }
    if let Some(attempt) = &votes.attempt {
        lines.push(format!("last attempt ({}): {attempt}", votes.standing));
    }
    let head = ["VOTER", "LIST", "TERM", "VOTED FOR", "AGE", "ANSWER"].map(str::to_owned);
    let mut rows = vec![head];
    let former = votes.former_voters.iter();
    let former = former.filter(|name| !votes.voters.contains(name));
    let all = votes.voters.iter().chain(former);
    let others = all.filter(|name| **name != votes.voter);
    rows.extend(others.map(|name| row(name, votes)));
    lines.extend(output::aligned(&rows));
    lines.join("\n")
}

fn row(name: &str, votes: &ClusterVotes) -> [String; 6] {
    let dash = || "-".to_owned();
    let Some(peer) = votes.peers.get(name) else {
        let waiting = "not asked yet".to_owned();
        return [name.to_owned(), dash(), dash(), dash(), dash(), waiting];
    };
    let stage = peer.list.as_deref().unwrap_or_default();
    let list = peer.generation.map(|list| format!("{list} {stage}"));
    [
        name.to_owned(),
        list.map_or_else(dash, |list| list.trim_end().to_owned()),
        peer.term.map_or_else(dash, |term| term.to_string()),
        peer.voted_for.clone().unwrap_or_else(dash),
        format!("{:.0} s", peer.age),
        peer.sentence.clone(),
    ]
}

/// With such an answer a voter would vote for nobody.
const UNWELL: [&str; 4] = ["no_answer", "list", "joining", "system"];
const NO_ANSWER: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{PeerVotes, SwitchoverStep, SwitchoverVotes};

    #[test]
    fn what_a_command_line_asks_for() {
        let parsed = |arguments: &[&str]| parse(&mut Parser::from_args(arguments));
        let init = |cluster: Option<&str>| VotesOptions::Init {
            config: "c".into(),
            cluster: cluster.map(str::to_owned),
        };
        assert_eq!(parsed(&["init", "c"]).unwrap(), Some(init(None)));
        assert_eq!(
            parsed(&["init", "c", "main"]).unwrap(),
            Some(init(Some("main")))
        );
        let source = Some("http://h".to_owned());
        let show = VotesOptions::Show { source, json: true };
        assert_eq!(parsed(&["http://h", "--json"]).unwrap(), Some(show));
        assert_eq!(parsed(&["--help"]).unwrap(), None);
        for wrong in [
            &["init"][..],
            &["a", "b"],
            &["--what"],
            &["init", "a", "b", "c"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_table_of_the_voters() {
        let peer = |why: Option<&str>, sentence: &str| PeerVotes {
            age: 3.2,
            why: why.map(str::to_owned),
            sentence: sentence.to_owned(),
            term: why.is_none().then_some(4),
            generation: Some(1),
            list: Some("sealed".to_owned()),
            ..PeerVotes::default()
        };
        let mut votes = ClusterVotes {
            voter: "s1".to_owned(),
            generation: 1,
            voters: ["o", "p", "s1"].map(str::to_owned).into(),
            needed: 2,
            term: 4,
            voted_for: Some("s1".to_owned()),
            guarantees: "few".to_owned(),
            ..ClusterVotes::default()
        };
        votes
            .peers
            .insert("p".to_owned(), peer(None, "would vote for us"));
        let expected = "\
cluster main: s1 is one of 3 voters, 2 elect; list 1
guarantees: few
term 4, voted for s1
VOTER  LIST      TERM  VOTED FOR  AGE  ANSWER
o      -         -     -          -    not asked yet
p      1 sealed  4     -          3 s  would vote for us";
        assert_eq!(text("main", &votes), expected);
        assert!(is_well(&votes));
        votes.switchover = Some(SwitchoverVotes {
            to: "p".to_owned(),
            state: "done".to_owned(),
            steps: vec![SwitchoverStep {
                after: 0.5,
                text: "p holds term 5, and is the primary".to_owned(),
            }],
            ..SwitchoverVotes::default()
        });
        let shown = text("main", &votes);
        let line = "\nlast switchover, to p (done): p holds term 5, and is the primary\n";
        assert!(shown.contains(line), "{shown}");
        votes
            .peers
            .insert("p".to_owned(), peer(Some("no_answer"), "does not answer"));
        assert!(!is_well(&votes));
    }
}
