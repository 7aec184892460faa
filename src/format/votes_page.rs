//! What operators see of the votes: `/votes.json`, the key `votes` of the state file, and what
//! `pglookout votes` reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::layout::indented;
use super::votes_lists::missing_for_change;
use crate::cluster::NodeState;
use crate::config::{ClusterName, VoterName, VotingCluster};
use crate::lookout::{Lookout, Step, Switchover};
use crate::time::Monotonic;
use crate::votes::{
    Answer, Holder, Kind, ListStage, Member, NotGranted, Peer, Refusal, Standing, VoterList,
};

/// Each cluster in which a daemon votes.
pub type VotesPage = BTreeMap<String, ClusterVotes>;

/// The votes of one cluster, as one of its voters knows them. Times are seconds. What is read may come
/// from another version: what is not there is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterVotes {
    /// Which of the voters this daemon is.
    pub voter: String,
    /// Which list of voters.
    pub generation: u64,
    /// Who votes.
    pub voters: Vec<String>,
    /// How many votes elect.
    pub needed: usize,
    /// How far the list has come: `joining`, `taken`, `accepted` or `sealed`; empty: that is not known.
    pub list: String,
    /// It is known to be accepted.
    pub accepted: bool,
    /// It is known to be sealed.
    pub sealed: bool,
    /// Of the list before, until this one is sealed: a majority of them is needed too.
    pub former_voters: Vec<String>,
    /// What is missing for the next change; `None`: it may begin.
    pub change_waits_for: Option<String>,
    /// Votes are cast, and decide nothing.
    pub dry: bool,
    /// Why this daemon votes for nobody; `None`: it votes.
    pub unusable: Option<String>,
    /// The highest term in which it has voted.
    pub term: u64,
    /// For whom.
    pub voted_for: Option<String>,
    /// To whom its vote is promised.
    pub promised_to: Option<String>,
    /// For how long still.
    pub promise_left: Option<f64>,
    /// Where its own election stands: `free`, or the name of what keeps it.
    pub standing: String,
    /// How its last attempt stands, or has ended, in words.
    pub attempt: Option<String>,
    /// The term that this daemon holds, or is about to enter or to leave.
    pub held_term: Option<u64>,
    /// How long its lease lasts still.
    pub lease_left: Option<f64>,
    /// How long it is until its server is fenced, unless a majority renews before.
    pub fence_in: Option<f64>,
    /// May its server be started as a primary: `open`, or why not; `None`: nothing fences, so nobody asks.
    pub gate: Option<String>,
    /// The watchdog device, in words; `None`: none is configured, or nothing fences.
    pub watchdog: Option<String>,
    /// The last switchover that was asked for on this host.
    pub switchover: Option<SwitchoverVotes>,
    /// What the others last answered.
    pub peers: BTreeMap<String, PeerVotes>,
    /// What holds, and what does not.
    pub guarantees: String,
}

/// A switchover, under way or over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchoverVotes {
    /// Of the request.
    pub id: String,
    /// Which node is to be the primary.
    pub to: String,
    /// Nothing is changed by it.
    pub dry_run: bool,
    /// Where it stands: `running`, `possible`, `refused`, `done`, `aborted` or `failed`.
    pub state: String,
    /// What was found and done, in order.
    pub steps: Vec<SwitchoverStep>,
}

/// What was found or done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchoverStep {
    /// How long after the request.
    pub after: f64,
    /// One sentence.
    pub text: String,
}

/// The last answer of another voter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerVotes {
    /// How long ago it came.
    pub age: f64,
    /// Would it have voted for this daemon.
    pub granted: bool,
    /// The name of the reason why not.
    pub why: Option<String>,
    /// The same in words.
    pub sentence: String,
    /// Its term.
    pub term: Option<u64>,
    /// For whom it has voted.
    pub voted_for: Option<String>,
    /// Which list of voters it has.
    pub generation: Option<u64>,
    /// How far it knows that to have come.
    pub list: Option<String>,
}

/// The votes as the daemon knows them; `None`: it does not vote.
pub fn votes_page(lookout: &Lookout, now: Monotonic) -> Option<VotesPage> {
    let voting = lookout.config().voting.as_ref()?;
    let known: BTreeMap<&ClusterName, _> = lookout.votes().collect();
    let clusters = voting.clusters.iter().map(|(name, cluster)| {
        let member = known.get(name).copied();
        let member = member.unwrap_or(Err("the configuration is being loaded"));
        let page = ClusterVotes::of(cluster, member, now);
        let unfenced = member.map_or_else(|_| String::new(), unfenced);
        (name.to_string(), page.with_leases(&unfenced, lookout, now))
    });
    Some(clusters.collect())
}

/// The body of `/votes.json`.
pub fn votes_json(page: &VotesPage) -> Vec<u8> {
    indented(page)
}

impl ClusterVotes {
    fn of(cluster: &VotingCluster, member: Result<&Member, &str>, now: Monotonic) -> Self {
        let page = Self {
            voter: cluster.own.to_string(),
            generation: cluster.generation,
            voters: cluster.voters.keys().map(ToString::to_string).collect(),
            needed: VoterList::from(cluster).majority(),
            dry: cluster.dry,
            guarantees: guarantees(cluster.dry).to_owned(),
            ..Self::default()
        };
        let member = match member {
            Ok(member) => member,
            Err(reason) => {
                return Self {
                    unusable: Some(reason.to_owned()),
                    standing: name(Standing::NoRecord(reason)).to_owned(),
                    ..page
                };
            }
        };
        let record = member.voter().record();
        let mandate = record.voted_for.as_ref();
        let promised = member.voter().promised(now);
        let is_unsaved = !member.voter().is_saved();
        let (list, roll) = (member.list(), member.roll());
        let former = roll.former.iter().flat_map(|former| former.keys());
        Self {
            generation: list.generation,
            voters: list.names.iter().map(ToString::to_string).collect(),
            needed: list.majority(),
            list: roll.stage.name().to_owned(),
            accepted: roll.stage >= ListStage::Accepted,
            sealed: roll.stage == ListStage::Sealed,
            former_voters: former.map(ToString::to_string).collect(),
            change_waits_for: missing_for_change(member),
            unusable: is_unsaved.then(|| "the vote file is not written yet".to_owned()),
            term: record.term,
            voted_for: mandate.map(|mandate| mandate.candidate.to_string()),
            promised_to: promised.map(|(to, _)| to.to_string()),
            promise_left: promised.map(|(_, left)| left.as_secs_f64()),
            standing: match member.standing(now) {
                Standing::NoRecord(_) => NO_VOTER,
                standing => name(standing),
            }
            .to_owned(),
            held_term: member.holder().map(Holder::term),
            lease_left: holder_until(member, now).map(|until| until.since(now).as_secs_f64()),
            fence_in: member
                .holder()
                .and_then(|holder| holder.fence_in(now))
                .map(|left| left.as_secs_f64()),
            attempt: member.candidate().tally().map(ToString::to_string),
            peers: member
                .peers()
                .iter()
                .map(|(voter, peer)| (voter.to_string(), PeerVotes::of(peer, now)))
                .collect(),
            ..page
        }
    }
}

impl ClusterVotes {
    /// Of the cluster of our own server, where something fences it.
    fn with_leases(self, unfenced: &str, lookout: &Lookout, now: Monotonic) -> Self {
        let Some(gate) = lookout.gate(now) else {
            return match lookout.config().own_db {
                None if !self.dry => Self {
                    guarantees: OBSERVED.to_owned(),
                    ..self
                },
                _ => self,
            };
        };
        let own = lookout.config().own_db.as_ref();
        let own = own.and_then(|own| lookout.state().nodes.get(own));
        let is_primary = own.is_some_and(NodeState::is_connected_primary);
        let guarantees = match self.unusable {
            Some(_) => "none by this daemon: it votes for nobody".to_owned(),
            None if is_primary && self.held_term.is_none() => {
                "none: this primary runs without a lease, and is not fenced".to_owned()
            }
            None if !unfenced.is_empty() => {
                format!("at most one promotion in each term; no fence_command is in force on {unfenced}")
            }
            None => "one writable primary, while every node that may be promoted is started through the gate"
                .to_owned(),
        };
        Self {
            switchover: lookout.switchover().map(SwitchoverVotes::of),
            gate: Some(gate.map_or_else(|reason| reason, |_| OPEN.to_owned())),
            watchdog: watchdog(lookout),
            guarantees,
            ..self
        }
    }
}

impl SwitchoverVotes {
    fn of(switchover: &Switchover) -> Self {
        let request = switchover.request();
        let step = |step: &Step| SwitchoverStep {
            after: step.after.as_secs_f64(),
            text: step.text.clone(),
        };
        Self {
            id: request.id.to_string(),
            to: request.to.to_string(),
            dry_run: request.dry_run,
            state: switchover.state().name().to_owned(),
            steps: switchover.steps().iter().map(step).collect(),
        }
    }
}

impl PeerVotes {
    fn of(peer: &Peer, now: Monotonic) -> Self {
        let answer = peer.outcome.as_ref().ok();
        let why = match &peer.outcome {
            Err(reason) => Some(NotGranted::NoAnswer(reason.clone())),
            Ok(answer) => answer
                .refusal
                .map(|refusal| NotGranted::Refused(refusal, answer.wait)),
        };
        let voted_for = answer.and_then(|answer| answer.voted_for.as_ref());
        Self {
            age: now.since(peer.at).as_secs_f64(),
            granted: why.is_none(),
            why: why.as_ref().map(|why| why.name().to_owned()),
            sentence: why.map_or_else(|| grant(answer).to_owned(), |why| why.to_string()),
            term: answer.map(|answer| answer.term),
            voted_for: voted_for.map(ToString::to_string),
            generation: answer.map(|answer| answer.list.generation),
            list: answer.and_then(|answer| {
                let stage = match answer.refusal {
                    Some(Refusal::Joining) => ListStage::Joining,
                    _ => answer.news.as_ref()?.stage,
                };
                Some(stage.name().to_owned())
            }),
        }
    }
}

fn watchdog(lookout: &Lookout) -> Option<String> {
    lookout.config().fence()?.watchdog.as_ref()?;
    Some(match lookout.watchdog() {
        None => "not in use: there is no lease yet".to_owned(),
        Some(Ok(text)) => text.clone(),
        Some(Err(reason)) => format!("not in force: {reason}"),
    })
}

/// The voters that are not fenced, in words.
fn unfenced(member: &Member) -> String {
    let names: Vec<_> = member.unfenced().map(VoterName::as_str).collect();
    names.join(", ")
}

fn holder_until(member: &Member, now: Monotonic) -> Option<Monotonic> {
    member.holder()?.lease(now)
}

/// What was granted.
fn grant(answer: Option<&Answer>) -> &'static str {
    match answer.map(|answer| answer.kind) {
        Some(Kind::Renew) => "has renewed our term",
        Some(Kind::AskRenew) => "would renew our term",
        Some(Kind::AskVote | Kind::Vote | Kind::Release) | None => "would vote for us",
    }
}

fn name(standing: Standing<'_>) -> &'static str {
    match standing {
        Standing::NoRecord(_) => "vote_file_unusable",
        Standing::Free => "free",
        Standing::Asking(_) => "asking_votes",
        Standing::Refused { .. } => "votes_refused",
        Standing::SteppedAside { .. } => "stepped_aside",
        Standing::Holding(_) => "holding",
        Standing::Bound(_) => "bound_to_term",
    }
}

fn guarantees(dry: bool) -> &'static str {
    match dry {
        true => "none: votes are cast, and decide nothing (dry)",
        false => {
            "at most one promotion in each term; nothing stops a primary that is cut off: no lease, no fence"
        }
    }
}

/// What a voter without a server can report.
const OBSERVED: &str = "at most one promotion in each term; whether a primary that is cut off is fenced is known on the database hosts";
/// It has a vote file, and is no voter of its list, or not yet.
const NO_VOTER: &str = "no_voter";
/// The server may be started as a primary.
pub const OPEN: &str = "open";
