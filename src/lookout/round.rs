//! One round: is it time to decide, what was decided on which facts, and the last ones of them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{ClusterState, NodeMap};
use crate::config::{Config, NodeName};
use crate::failover::{Decision, Figures, Verdict, Wait};
use crate::time::Now;

/// On what facts a decision is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// On what is known.
    Regular,
    /// On what everybody reported since a regular decision wanted fresh facts.
    Fresh,
    /// On what everybody reported since this daemon announced that it promotes its node.
    Announced,
}

/// What a round came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// When.
    pub at: Now,
    /// The node map that it was made on; empty where none was made.
    pub map: NodeMap,
    /// The decision.
    pub decision: Decision,
    /// The figures behind it.
    pub figures: Figures,
}

impl Round {
    /// How many rows its tables have, by which its size is measured.
    fn rows(&self) -> usize {
        let Figures {
            primaries,
            standbys,
            votes,
            ..
        } = &self.figures;
        primaries.len() + standbys.len() + votes.known.len() + votes.missing.len()
    }
}

/// How often a decision was made again for the same reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeated {
    /// How often.
    pub times: u32,
    /// From the first, which is not counted, to the last.
    pub span: Duration,
    /// The last one, with the figures of its moment.
    pub latest: Verdict,
}

impl fmt::Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("last decision repeated ")?;
        match self.times {
            1 => f.write_str("once")?,
            times => write!(f, "{times} times")?,
        }
        let span = self.span.as_secs_f64();
        write!(f, " in {span:.3} s, most recently: {}", self.latest)
    }
}

/// The last rounds, the newest first. All but the newest are kept without their node map, which is
/// large and of which the figures say what matters.
#[derive(Debug, Default)]
pub struct Rounds {
    kept: VecDeque<Arc<Round>>,
    /// Rows of the tables of all of them.
    rows: usize,
    /// How many there have been.
    count: u64,
}

impl Rounds {
    pub(super) fn push(&mut self, round: Arc<Round>) {
        if let Some(newest) = self.kept.front_mut() {
            Arc::make_mut(newest).map = NodeMap::default();
        }
        self.count += 1;
        self.rows += round.rows();
        self.kept.push_front(round);
        while self.kept.len() > MAX_ROUNDS || (self.rows > MAX_ROWS && self.kept.len() > 1) {
            self.rows -= self.kept.pop_back().map_or(0, |oldest| oldest.rows());
        }
    }

    /// The last one.
    pub fn newest(&self) -> Option<&Arc<Round>> {
        self.kept.front()
    }

    /// The last ones, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Round> + Clone {
        self.kept.iter().map(Arc::as_ref)
    }

    /// How many there have been since the start: another number, another newest round.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// Nothing is decided before everybody has reported or failed once.
pub(super) fn first_answers_missing(config: &Config, state: &ClusterState) -> Option<Wait> {
    let (nodes, observers) = state.never_polled(config);
    (!nodes.is_empty() || !observers.is_empty()).then_some(Wait::FirstAnswers { nodes, observers })
}

/// The primary of a round: the one connected, else among the disconnected ones that nobody has
/// superseded the one remembered already, else the one of the highest timeline, else the one seen
/// last.
pub(super) fn primary_of(
    map: &NodeMap,
    remembered: Option<&NodeName>,
    state: &ClusterState,
) -> Option<NodeName> {
    if let Some(primary) = map.sole_primary() {
        return Some(primary.clone());
    }
    let lost = map.disconnected_primaries.iter();
    let mut lost = lost.filter(|node| !map.superseded.contains(*node));
    if let Some(remembered) = remembered.filter(|node| lost.clone().any(|it| it == *node)) {
        return Some(remembered.clone());
    }
    let seen = |node: &NodeName| {
        let contacts = state.contacts().filter(|(contact, ..)| *contact == node);
        contacts.map(|(_, at, ..)| at).max()
    };
    let best = lost
        .by_ref()
        .max_by_key(|node| (state.timeline(node), seen(node)));
    best.cloned()
}

/// Decisions that are kept.
const MAX_ROUNDS: usize = 100;
/// Rows of their tables: 100 decisions of 25 nodes, fewer of a larger cluster.
const MAX_ROWS: usize = 6_000;

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
