//! What is learnt of the nodes over time and outlives the next poll: the roles that they reported,
//! who superseded whom, who has left the history of the last primary, who received WAL when
//! (behaviour.md, "The node map", "Evidence of life", "The decision" c).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Lsn, Witness};
use crate::config::{Config, NodeName};
use crate::time::Monotonic;

/// Knowledge of the nodes that does not shrink when somebody falls silent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The last role that each node reported to anybody.
    pub roles: BTreeMap<NodeName, Role>,
    /// Primaries in whose place another one has come, and which.
    pub superseded: BTreeMap<NodeName, NodeName>,
    /// The last primary that answered us.
    pub last_primary: Option<LastPrimary>,
    /// Standbys that were ahead of the last primary: of another history than it.
    pub diverged: BTreeMap<NodeName, Divergence>,
    /// When a poll last showed that a standby had received more WAL than the poll before.
    pub grew: BTreeMap<NodeName, Monotonic>,
    /// When the sender of that WAL lived for certain, where it can only have been a primary.
    pub received: BTreeMap<NodeName, Received>,
    /// `known_gone_nodes`, less those that were reached as primaries since the last reload.
    pub gone: BTreeSet<NodeName>,
}

/// A role that a node reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// A primary, else a standby.
    pub is_primary: bool,
    /// When it reported so.
    pub at: Monotonic,
    /// To whom.
    pub witness: Witness,
}

/// What proves that a standby is of another history than the last primary. As text, the timeline
/// stands behind an `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Its position, ahead of the primary's.
    pub position: Lsn,
    /// The timeline that it reported then.
    pub timeline: Option<u32>,
}

/// What is known of the last primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastPrimary {
    /// Its name.
    pub node: NodeName,
    /// Its position when it last answered.
    pub lsn: Option<Lsn>,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// When it first answered as a primary of this timeline.
    pub since: Monotonic,
    /// When it last did.
    pub at: Monotonic,
    /// For how long it was known before, in earlier boots of the machine.
    pub earlier: Duration,
}

impl LastPrimary {
    /// For how long it was seen as a primary of this timeline.
    pub fn lived(&self) -> Duration {
        self.at.since(self.since).saturating_add(self.earlier)
    }
}

/// WAL that proves a living primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// When its sender lived.
    pub at: Monotonic,
    /// Who polled the standby.
    pub witness: Witness,
}

impl History {
    /// Forgets what belongs to nodes that are not configured any more. That a node was a standby is
    /// remembered: one that comes back has its vote.
    pub(super) fn adopt(&mut self, config: &Config) {
        let is_configured = |node: &NodeName| config.nodes.contains_key(node);
        self.roles
            .retain(|node, role| is_configured(node) || !role.is_primary);
        while self.roles.len() > MAX_ROLES.max(config.nodes.len()) {
            self.roles.pop_last();
        }
        self.gone.clone_from(&config.known_gone);
        self.superseded.retain(|node, by| {
            is_configured(node) && is_configured(by) && !config.known_gone.contains(by)
        });
        self.diverged.retain(|node, _| is_configured(node));
        self.grew.retain(|node, _| is_configured(node));
        // That a standby is taken out does not make its primary any less alive.
        let removed = self
            .received
            .iter()
            .filter(|(node, _)| !is_configured(node));
        let last = removed.max_by_key(|(_, received)| received.at);
        let last = last.map(|(node, _)| node.clone());
        self.received
            .retain(|node, _| is_configured(node) || last.as_ref() == Some(node));
    }

    /// Is it a primary by the last role that it reported; `None`: it never reported one.
    pub fn is_primary(&self, node: &NodeName) -> Option<bool> {
        self.roles.get(node).map(|role| role.is_primary)
    }

    /// Has this primary been seen at `at` only before another one that came in its place was: nobody
    /// knows yet that both are there, as in each planned switchover.
    pub(super) fn was_succeeded_since(&self, node: &NodeName, at: Monotonic) -> bool {
        let by = self.superseded.get(node);
        let successor = self.last_primary.as_ref();
        successor.is_some_and(|last| by == Some(&last.node) && at < last.since)
    }

    /// A node has reported its role. What an observer relays ends no superseding: it may be old, and
    /// the node map leaves it out of account while it stands.
    pub(super) fn reported(&mut self, node: &NodeName, role: Role) {
        if !role.is_primary && role.witness == Witness::Ourselves {
            self.superseded.remove(node);
            self.superseded.retain(|_, by| by != node);
        }
        self.roles.insert(node.clone(), role);
    }

    /// A standby has received more WAL than its poll before showed. `sender_lived`: when its sender
    /// did, if that can only have been a primary.
    pub(super) fn received_more(
        &mut self,
        node: &NodeName,
        at: Monotonic,
        sender_lived: Option<Received>,
    ) {
        let grew = self.grew.entry(node.clone()).or_insert(at);
        *grew = at.max(*grew);
        let Some(received) = sender_lived else {
            return;
        };
        let known = self.received.get(node);
        if known.is_none_or(|known| known.at < received.at) {
            self.received.insert(node.clone(), received);
        }
    }

    /// A standby has reported its position. It was rewound or rebuilt if that is below the one that
    /// proved another history, or if it has come from an older timeline to that of the last primary:
    /// where it had forked off, nothing else leads there. So one that catches up between two polls
    /// is recognized too.
    pub(super) fn has_position(&mut self, node: &NodeName, position: Lsn, timeline: Option<u32>) {
        let Some(proof) = self.diverged.get(node) else {
            return;
        };
        let primary = self.last_primary.as_ref().and_then(|last| last.timeline);
        let follows = timeline.is_some() && timeline == primary;
        let was_older = proof.timeline.is_some() && proof.timeline < primary;
        if position < proof.position || (follows && was_older) {
            self.diverged.remove(node);
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position.fmt(f)?;
        self.timeline.map_or(Ok(()), |it| write!(f, "@{it}"))
    }
}

impl FromStr for Divergence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let odd = || format!("{text:?} is no position with a timeline");
        let (position, timeline) = match text.split_once('@') {
            Some((position, timeline)) => (position, Some(timeline.parse().map_err(|_| odd())?)),
            None => (text, None),
        };
        let position = position.parse().map_err(|_| odd())?;
        Ok(Self { position, timeline })
    }
}

/// Of so many nodes the role is remembered.
const MAX_ROLES: usize = 1_000;

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
