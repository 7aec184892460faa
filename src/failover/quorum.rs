//! How much of the cluster must be known before this node may be promoted.

use std::fmt;
use std::time::Duration;

use super::Snapshot;
use super::candidate::{Contender, Place};
use crate::config::{NodeName, ObserverName, QuorumRule};

/// The count of votes behind a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Candidates and connected observers.
    pub known: usize,
    /// The standbys that may be promoted (also those that the previous process knew), the primary,
    /// and all observers that were ever asked.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The standby was one to the previous process, and nobody has reached it since.
    NotSeenSinceRestart,
    /// The observer's last answer failed.
    NoAnswer,
    /// The observer's last answer is too old.
    OldAnswer {
        /// How long ago it came.
        age: Duration,
        /// The age from which it does not count.
        limit: Duration,
    },
    /// The observer's clock is too far from ours.
    ClockSkew {
        /// How far.
        skew: Duration,
    },
    /// The primary's vote, which it can never cast.
    NeverCast,
}

impl NoVote {
    /// The reason's name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::StalePoll { .. } => "stale_poll",
            Self::NotSeenSinceRestart => "not_seen_since_restart",
            Self::NoAnswer => "no_answer",
            Self::OldAnswer { .. } => "old_answer",
            Self::ClockSkew { .. } => "clock_skew",
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
    pub fn could_be_known(&self) -> impl Iterator<Item = &Voter> {
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

/// Counts what is known: rule 3f. The standbys that may be promoted, the primary, and all observers
/// that were ever asked.
pub(super) fn count(snapshot: &Snapshot<'_>, contenders: &[Contender]) -> Votes {
    let Snapshot { config, map, .. } = snapshot;
    let mut votes = Votes {
        rule: config.quorum,
        known: Vec::new(),
        missing: Vec::new(),
    };
    for contender in contenders {
        let why_not = match contender.place {
            Place::NeverPromote => continue,
            Place::Disconnected => Some(NoVote::Disconnected),
            Place::StalePoll { limit } => Some(NoVote::StalePoll {
                age: contender.age,
                limit,
            }),
            Place::First
            | Place::FurtherBehind { .. }
            | Place::LowerPriority
            | Place::LowerName => None,
        };
        votes.count(Voter::Standby(contender.node.clone()), why_not);
    }
    // A daemon that was restarted must not take its corner for the whole: who was a standby before,
    // and has not been reached since, is one still.
    let unreached = snapshot
        .previous_standbys
        .iter()
        .filter(|node| map.unknown.contains(*node));
    for node in unreached
        .filter(|node| !config.never_promote.contains(*node) && !config.known_gone.contains(*node))
    {
        votes.count(
            Voter::Standby(node.clone()),
            Some(NoVote::NotSeenSinceRestart),
        );
    }
    for observer in &map.connected_observers {
        votes.count(Voter::Observer(observer.clone()), None);
    }
    for observer in &map.disconnected_observers {
        votes.count(
            Voter::Observer(observer.clone()),
            Some(silence(snapshot, observer)),
        );
    }
    votes.count(
        Voter::Primary(snapshot.remembered.cloned()),
        Some(NoVote::NeverCast),
    );
    votes
}

/// Why this observer has no vote.
fn silence(snapshot: &Snapshot<'_>, observer: &ObserverName) -> NoVote {
    let state = snapshot.state.observers.get(observer);
    let Some(attempt) = state
        .and_then(|state| state.attempt)
        .filter(|attempt| attempt.connected)
    else {
        return NoVote::NoAnswer;
    };
    match state.and_then(|state| state.clock_skew) {
        Some(skew) => NoVote::ClockSkew { skew },
        None => NoVote::OldAnswer {
            age: snapshot.now.since(attempt.at),
            limit: snapshot.config.poll_interval * 2,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: QuorumRule, known: usize, total: usize, met: bool) {
        let quorum = Quorum { known, total, rule };
        assert_eq!(quorum.is_met(), met, "{quorum}");
        assert_eq!(known >= quorum.needed(), met, "needed: {quorum}");
    }

    #[test]
    fn half_suffices_unless_a_majority_is_asked_for() {
        for (known, total, half, majority) in [
            (0, 1, false, false),
            (1, 1, true, true),
            (1, 2, true, false),
            (1, 3, false, false),
            (2, 3, true, true),
            (2, 4, true, false),
            (3, 4, true, true),
            (2, 5, false, false),
            (3, 5, true, true),
        ] {
            check(QuorumRule::Half, known, total, half);
            check(QuorumRule::Majority, known, total, majority);
        }
    }
}
