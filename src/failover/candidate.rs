//! Who could be promoted, and who goes first.

use std::fmt;
use std::time::Duration;

use crate::cluster::{Lsn, NodeMap};
use crate::config::{Config, NodeName};
use crate::time::Monotonic;

/// A standby that could be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub node: NodeName,
    /// How far ahead it is: the higher of receive and replay position.
    pub position: Lsn,
    /// Its entry of `failover_priorities`.
    pub priority: i64,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.node, self.position)?;
        if self.priority != 0 {
            write!(f, " with priority {}", self.priority)?;
        }
        Ok(())
    }
}

/// The candidates, the best first: furthest ahead, then the highest priority, then the highest name, so that every standby
/// comes to the same answer.
pub(super) fn candidates(config: &Config, map: &NodeMap, now: Monotonic) -> Vec<Candidate> {
    let max_age = MAX_POLL_AGE.max(config.poll_interval * 2);
    let mut candidates: Vec<_> = map
        .standbys
        .iter()
        .filter(|(node, standby)| {
            standby.connected && now.since(standby.at) <= max_age && !config.never_promote.contains(*node)
        })
        .map(|(node, standby)| Candidate {
            node: node.clone(),
            position: standby.position(),
            priority: config.failover_priorities.get(node).copied().unwrap_or_default(),
        })
        .collect();
    candidates.sort_by(|a, b| (b.position, b.priority, &b.node).cmp(&(a.position, a.priority, &a.node)));
    candidates
}

/// A candidate's poll is at most this old, or two poll intervals if that is longer (rule 3e).
const MAX_POLL_AGE: Duration = Duration::from_secs(20);
