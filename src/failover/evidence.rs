//! The last evidence that a primary of ours lives, whoever had it (behaviour.md, "Evidence of
//! life"). The wait before a failover counts from it.

use std::time::Duration;

use super::{Snapshot, candidate};
use crate::cluster::{EvidenceKind, Witness};
use crate::config::NodeName;
use crate::time::Monotonic;

/// That a primary of ours lived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What proves it.
    pub kind: EvidenceKind,
    /// The node that it is about; `None`: about no node in particular.
    pub node: Option<NodeName>,
    /// Who had it.
    pub witness: Witness,
    /// When the primary lived, on our clock.
    pub at: Monotonic,
}

impl Snapshot<'_> {
    /// The latest evidence of all nodes that are configured, not known gone and not superseded.
    pub(super) fn evidence(&self) -> Option<Evidence> {
        let of_nodes = self.evidence_of_nodes();
        let direct = of_nodes.chain(self.received()).chain(self.started());
        let direct = direct.max_by_key(|evidence| evidence.at);
        let since = direct.as_ref().map(|evidence| evidence.at);
        let refusing = self.refusing_standbys(since);
        direct
            .into_iter()
            .chain(refusing)
            .max_by_key(|evidence| evidence.at)
    }

    /// How long it has to be ago.
    pub(super) fn evidence_limit(&self) -> Duration {
        let limit = self.config.failover_lag;
        let was_removed = self
            .remembered
            .is_some_and(|primary| !self.config.nodes.contains_key(primary));
        // One that was only renamed may have been reached under its new name by others.
        let mut lost = self.map.disconnected_primaries.iter();
        let is_lost = lost.any(|node| self.counts(node));
        if was_removed && self.map.unknown.is_empty() && !is_lost {
            return limit.min(self.config.missing_primary_timeout);
        }
        limit
    }

    fn counts(&self, node: &NodeName) -> bool {
        self.config.nodes.contains_key(node)
            && !self.state.history.gone.contains(node)
            && !self.map.superseded.contains(node)
    }

    fn evidence_of_nodes(&self) -> impl Iterator<Item = Evidence> {
        let own = |node: &NodeName| self.config.own_db.as_ref() == Some(node);
        let contacts = self.state.contacts();
        // Of our own node we know best ourselves.
        let contacts = contacts
            .filter(move |(node, _, _, witness)| *witness == Witness::Ourselves || !own(node));
        let before = self.previous_contacts.iter();
        let before =
            before.map(|(node, at)| (node, *at, EvidenceKind::Remembered, Witness::Ourselves));
        let all = contacts.chain(before).chain(self.went_first());
        all.filter(|(node, ..)| self.counts(node))
            .map(|(node, at, kind, witness)| Evidence {
                kind,
                node: Some(node.clone()),
                witness,
                at,
            })
    }

    /// The node that went first by our last decision, and is not reached any more, may be in the
    /// middle of its promotion.
    fn went_first(&self) -> impl Iterator<Item = (&NodeName, Monotonic, EvidenceKind, Witness)> {
        let own = self.config.own_db.as_ref();
        let node = self.went_first.filter(|node| own != Some(*node));
        let state = node.and_then(|node| Some((node, self.state.nodes.get(node)?)));
        let lost = state.filter(|(_, state)| !state.is_connected());
        lost.into_iter().flat_map(|(node, state)| {
            let answered = state.answer.as_ref().map(|answer| answer.at);
            let kinds = [
                (answered, EvidenceKind::Answered),
                (state.refused, EvidenceKind::Refused),
            ];
            kinds
                .into_iter()
                .filter_map(move |(at, kind)| Some((node, at?, kind, Witness::Ourselves)))
        })
    }

    /// A standby that would go before us, and has refused us since the outage began, may be the new
    /// primary.
    fn refusing_standbys(&self, since: Option<Monotonic>) -> impl Iterator<Item = Evidence> {
        let refusing = self.state.nodes.iter().filter_map(move |(node, state)| {
            let refused = state
                .refused
                .filter(|at| since.is_none_or(|since| *at > since))?;
            let answer = state.answer.as_ref().filter(|answer| answer.in_recovery)?;
            // It was a standby when the primary still lived.
            let was_standby = since.is_none_or(|since| answer.at >= since);
            let lost = state.failure.as_ref()?;
            (was_standby && lost.is_living_refusal()).then_some((node, refused))
        });
        refusing
            .filter(|(node, _)| self.counts(node) && candidate::would_go_first(self, node))
            .map(|(node, at)| Evidence {
                kind: EvidenceKind::Refused,
                node: Some(node.clone()),
                witness: Witness::Ourselves,
                at,
            })
    }

    /// WAL that only a primary can have sent; void once the operator declares the primary gone.
    fn received(&self) -> impl Iterator<Item = Evidence> {
        let history = &self.state.history;
        let is_gone = self
            .remembered
            .is_some_and(|primary| history.gone.contains(primary));
        let received = history.received.iter().filter(move |_| !is_gone);
        received.map(|(node, received)| Evidence {
            kind: EvidenceKind::Received,
            node: Some(node.clone()),
            witness: received.witness.clone(),
            at: received.at,
        })
    }

    /// While nobody can know whether there is a primary, the wait counts from our start, or from
    /// the change that made it so.
    fn started(&self) -> Option<Evidence> {
        let is_configured = |primary: &NodeName| self.config.nodes.contains_key(primary);
        let at = match self.remembered {
            None => self.nodes_changed_at,
            Some(primary) if !is_configured(primary) && !self.map.unknown.is_empty() => {
                self.nodes_changed_at
            }
            Some(primary) if self.memory_is_old && !self.state.history.gone.contains(primary) => {
                self.started_at
            }
            Some(_) => return None,
        };
        Some(Evidence {
            kind: EvidenceKind::Started,
            node: None,
            witness: Witness::Ourselves,
            at,
        })
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
