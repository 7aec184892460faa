//! How much of the cluster must be known before this node may be promoted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Snapshot;
use super::candidate::{Contender, Place};
use crate::config::{NodeName, ObserverName, QuorumRule};

/// The count of votes behind a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Standbys with fresh facts, and observers with a vote.
    pub known: usize,
    /// The standbys that may be promoted, the primary, and all observers that were ever asked.
    pub total: usize,
    /// `failover_quorum`.
    pub rule: QuorumRule,
}

impl Quorum {
    /// Is enough known.
    pub fn is_met(&self) -> bool {
        let twice = self.known.saturating_mul(2);
        match self.rule {
            QuorumRule::Half => twice >= self.total,
            QuorumRule::Majority => twice > self.total,
        }
    }

    /// How many votes would have to be known.
    pub fn needed(&self) -> usize {
        match self.rule {
            QuorumRule::Half => self.total.div_ceil(2),
            QuorumRule::Majority => self.total / 2 + 1,
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} votes, {} required",
            self.known,
            self.total,
            self.needed()
        )
    }
}

/// Everybody who has a vote, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Votes {
    /// `failover_quorum`.
    pub rule: QuorumRule,
    /// Who is known: candidates and connected observers.
    pub known: Vec<Voter>,
    /// Who is not, and why.
    pub missing: Vec<(Voter, NoVote)>,
}

/// Who has a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voter {
    /// A standby that may be promoted.
    Standby(NodeName),
    /// An observer that was ever asked.
    Observer(ObserverName),
    /// The primary; its name, if one is remembered.
    Primary(Option<NodeName>),
}

/// Why a vote is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoVote {
    /// The standby is not reached.
    Disconnected,
    /// The standby was last asked too long ago.
    StalePoll {
        /// How long ago.
        age: Duration,
        /// The highest age.
        limit: Duration,
    },
    /// Its facts are older than the last evidence of a primary.
    BeforeEvidence,
    /// It never reported a role, and the primary is not known.
    RoleUnknown,
    /// The observer's last answer failed.
    NoAnswer,
    /// The observer's last answer is too old.
    OldAnswer {
        /// How long ago it came.
        age: Duration,
        /// The age from which it does not count.
        limit: Duration,
    },
    /// The observer does not report an attempt at this node, which we do not reach.
    Silent {
        /// Which node.
        node: NodeName,
    },
    /// The observer has never reached the primary.
    NeverSawPrimary,
    /// The primary's vote, which it can never cast.
    NeverCast,
}

impl NoVote {
    /// The reason's name, from a closed list.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::StalePoll { .. } => "stale_poll",
            Self::BeforeEvidence => "before_evidence",
            Self::RoleUnknown => "role_unknown",
            Self::NoAnswer => "no_answer",
            Self::OldAnswer { .. } => "old_answer",
            Self::Silent { .. } => "silent",
            Self::NeverSawPrimary => "never_saw_primary",
            Self::NeverCast => "never_cast",
        }
    }
}

impl Votes {
    /// The bare count.
    pub fn quorum(&self) -> Quorum {
        Quorum {
            known: self.known.len(),
            total: self.known.len() + self.missing.len(),
            rule: self.rule,
        }
    }

    /// Who could still be known.
    pub(super) fn could_be_known(&self) -> impl Iterator<Item = &Voter> {
        self.missing
            .iter()
            .filter(|(_, why)| *why != NoVote::NeverCast)
            .map(|(voter, _)| voter)
    }

    fn count(&mut self, voter: Voter, why_not: Option<NoVote>) {
        match why_not {
            None => self.known.push(voter),
            Some(why) => self.missing.push((voter, why)),
        }
    }
}

/// Counts what is known (rule f): the standbys that may be promoted, those of unknown role while the
/// primary is not known, the primary unless it is a standby now, and all observers, one for each
/// address.
pub(super) fn count(snapshot: &Snapshot<'_>, contenders: &[Contender]) -> Votes {
    let Snapshot { config, map, .. } = snapshot;
    let mut votes = Votes {
        rule: config.quorum,
        known: Vec::new(),
        missing: Vec::new(),
    };
    let is_gone = |node: &NodeName| config.known_gone.contains(node);
    for contender in contenders.iter().filter(|it| !is_gone(&it.node)) {
        let why_not = match contender.place {
            Place::NeverPromote | Place::OtherSystem => continue,
            Place::Disconnected => Some(NoVote::Disconnected),
            Place::StalePoll { limit } => Some(NoVote::StalePoll {
                age: contender.age,
                limit,
            }),
            Place::BeforeEvidence { .. } => Some(NoVote::BeforeEvidence),
            Place::First
            | Place::FurtherBehind { .. }
            | Place::LowerPriority
            | Place::Delayed
            | Place::LowerName
            | Place::StepsAside { .. }
            | Place::DaemonGone { .. }
            | Place::Diverged { .. }
            | Place::OldTimeline { .. } => None,
        };
        votes.count(Voter::Standby(contender.node.clone()), why_not);
    }
    let primary = snapshot.remembered;
    if !primary.is_some_and(|primary| config.nodes.contains_key(primary)) {
        let unknown = map.unknown.iter();
        for node in unknown.filter(|node| !config.never_promote.contains(*node) && !is_gone(node)) {
            votes.count(Voter::Standby(node.clone()), Some(NoVote::RoleUnknown));
        }
    }
    count_observers(snapshot, &mut votes);
    if !primary.is_some_and(|primary| map.standbys.contains_key(primary)) {
        votes.count(Voter::Primary(primary.cloned()), Some(NoVote::NeverCast));
    }
    votes
}

/// Several names of one address are one vote, known if any of them is.
fn count_observers(snapshot: &Snapshot<'_>, votes: &mut Votes) {
    let mut by_address: BTreeMap<_, (ObserverName, Option<NoVote>)> = BTreeMap::new();
    for (name, url) in &snapshot.config.observers {
        let why_not = no_vote(snapshot, name);
        let vote = by_address
            .entry((url.host.clone(), url.port))
            .or_insert_with(|| (name.clone(), why_not.clone()));
        if why_not.is_none() {
            *vote = (name.clone(), None);
        }
    }
    for (name, why_not) in by_address.into_values() {
        votes.count(Voter::Observer(name), why_not);
    }
}

/// Why this observer has no vote; `None`: it has one. A witness that never saw the primary, or does
/// not look at those whom we do not reach, proves nothing.
fn no_vote(snapshot: &Snapshot<'_>, observer: &ObserverName) -> Option<NoVote> {
    let Some(state) = snapshot.state.observers.get(observer) else {
        return Some(NoVote::NoAnswer);
    };
    if !snapshot.map.connected_observers.contains(observer) {
        let answered = state.attempt.filter(|attempt| attempt.connected);
        return Some(
            answered.map_or(NoVote::NoAnswer, |attempt| NoVote::OldAnswer {
                age: snapshot.now.since(attempt.at),
                limit: snapshot.config.poll_interval * 2,
            }),
        );
    }
    let nodes = snapshot.state.nodes.iter();
    let mut unreached = nodes.filter(|(_, node)| !node.is_connected());
    if let Some((node, _)) = unreached.find(|(node, _)| !state.nodes.contains_key(*node)) {
        return Some(NoVote::Silent { node: node.clone() });
    }
    let primary = snapshot.remembered;
    let primary = primary.filter(|primary| snapshot.config.nodes.contains_key(*primary));
    let is_blind = primary.is_some_and(|primary| !state.seen_primaries.contains(primary));
    is_blind.then_some(NoVote::NeverSawPrimary)
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
