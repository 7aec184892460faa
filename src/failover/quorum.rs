//! How much of the cluster must be known before this node may be promoted.

use std::collections::BTreeSet;
use std::fmt;

use crate::cluster::NodeMap;
use crate::config::{Config, NodeName, QuorumRule};

/// The count of votes behind a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Candidates and connected observers.
    pub known: usize,
    /// The standbys that may be promoted (also those that a former process knew), the primary, and all observers that were ever asked.
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
        write!(f, "{} of {} votes known, {} needed", self.known, self.total, self.needed())
    }
}

/// Counts what is known: rule 3f.
pub(super) fn count(config: &Config, map: &NodeMap, former_standbys: &BTreeSet<NodeName>, candidates: usize) -> Quorum {
    let may_vote = |node: &&NodeName| !config.never_promote.contains(*node);
    let standbys = map.standbys.keys().filter(may_vote).count();
    // A daemon that was restarted must not take its corner for the whole: who was a standby before, and has told nobody
    // anything since, is one still.
    let remembered = former_standbys.iter().filter(|node| map.unknown.contains(*node)).filter(may_vote);
    let remembered = remembered.filter(|node| !config.known_gone.contains(*node)).count();
    Quorum {
        known: candidates + map.connected_observers.len(),
        total: standbys + remembered + THE_PRIMARY + map.connected_observers.len() + map.disconnected_observers.len(),
        rule: config.quorum,
    }
}

/// The primary's own vote, which it can never cast.
const THE_PRIMARY: usize = 1;

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
