//! Who could be promoted, who goes first, and what keeps each of the others from it.

use std::fmt;
use std::time::Duration;

use crate::cluster::{Lsn, NodeMap, Standby, Witness};
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

/// A standby and how it stands in the choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Its name.
    pub node: NodeName,
    /// By whose word its facts are known.
    pub witness: Witness,
    /// How long ago that witness last asked it.
    pub age: Duration,
    /// How far ahead it is: the higher of receive and replay position.
    pub position: Lsn,
    /// Its entry of `failover_priorities`.
    pub priority: i64,
    /// Is it a candidate, and the first of them.
    pub place: Place,
}

/// Where a standby stands in the choice; only the first three after `First` are candidates as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The candidate that goes first.
    First,
    /// A candidate, but the first has more WAL.
    FurtherBehind {
        /// How much more, in bytes.
        bytes: u64,
    },
    /// A candidate as far ahead as the first, which has a higher priority.
    LowerPriority,
    /// A candidate equal to the first, which has the higher name.
    LowerName,
    /// No candidate: it is in `never_promote_these_nodes`.
    NeverPromote,
    /// No candidate: its witness did not reach it the last time.
    Disconnected,
    /// No candidate: it was reached, but too long ago.
    StalePoll {
        /// The highest age of a poll.
        limit: Duration,
    },
}

impl Place {
    /// Could the standby be promoted.
    pub fn is_candidate(self) -> bool {
        matches!(
            self,
            Self::First | Self::FurtherBehind { .. } | Self::LowerPriority | Self::LowerName
        )
    }

    /// The place's name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::FurtherBehind { .. } => "further_behind",
            Self::LowerPriority => "lower_priority",
            Self::LowerName => "lower_name",
            Self::NeverPromote => "never_promote",
            Self::Disconnected => "disconnected",
            Self::StalePoll { .. } => "stale_poll",
        }
    }
}

impl Contender {
    fn new(config: &Config, node: &NodeName, standby: &Standby, now: Monotonic) -> Self {
        let age = now.since(standby.at);
        let limit = MAX_POLL_AGE.max(config.poll_interval * 2);
        let place = match standby.connected {
            _ if config.never_promote.contains(node) => Place::NeverPromote,
            false => Place::Disconnected,
            true if age > limit => Place::StalePoll { limit },
            true => Place::First,
        };
        Self {
            node: node.clone(),
            witness: standby.witness.clone(),
            age,
            position: standby.position(),
            priority: config
                .failover_priorities
                .get(node)
                .copied()
                .unwrap_or_default(),
            place,
        }
    }

    /// The same as the verdicts name it.
    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            node: self.node.clone(),
            position: self.position,
            priority: self.priority,
        }
    }
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

/// All standbys, the candidates before the others. Those stand the best first: furthest ahead, then
/// the highest priority, then the highest name, so that every standby comes to the same answer.
pub(super) fn contenders(config: &Config, map: &NodeMap, now: Monotonic) -> Vec<Contender> {
    let standbys = map
        .standbys
        .iter()
        .map(|(node, standby)| Contender::new(config, node, standby, now));
    let (mut contenders, others): (Vec<_>, Vec<_>) =
        standbys.partition(|contender| contender.place.is_candidate());
    contenders
        .sort_by(|a, b| (b.position, b.priority, &b.node).cmp(&(a.position, a.priority, &a.node)));
    if let Some((first, rest)) = contenders.split_first_mut() {
        for contender in rest {
            contender.place = match first
                .position
                .bytes()
                .saturating_sub(contender.position.bytes())
            {
                0 if contender.priority == first.priority => Place::LowerName,
                0 => Place::LowerPriority,
                bytes => Place::FurtherBehind { bytes },
            };
        }
    }
    contenders.extend(others);
    contenders
}

/// A candidate's poll is at most this old, or two poll intervals if that is longer (rule 3e).
const MAX_POLL_AGE: Duration = Duration::from_secs(20);
