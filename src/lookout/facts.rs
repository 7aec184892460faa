//! What is known: the facts per node and observer, the remembered primary, and what was known of
//! nodes before the start or before they left the configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::round::primary_of;
use super::turn::Turn;
use super::{Alert, Contact, Effect, Memory};
use crate::cluster::{ClusterState, NodeMap};
use crate::config::{Config, NodeName};
use crate::time::{Monotonic, Now};

/// The facts that decisions are made on.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) state: ClusterState,
    /// `current_master`: the primary that the last regular decision took as such.
    pub(super) remembered: Option<NodeName>,
    /// Contacts of our own with primaries that the previous process had, or that have left the
    /// configuration since.
    pub(super) previous_contacts: Vec<(NodeName, Monotonic)>,
    /// Nodes that were standbys to the previous process, or at the last reload.
    pub(super) previous_standbys: BTreeSet<NodeName>,
    /// The last change of `remote_conns`, or the start.
    pub(super) nodes_changed_at: Monotonic,
}

impl Facts {
    /// What the previous process remembered, and nothing else.
    pub(super) fn recall(memory: &Memory, config: &Config, now: Monotonic) -> Self {
        let mut state = ClusterState::default();
        state.adopt(config);
        // A primary that this configuration does not know was not removed under our eyes: nothing
        // is known of it.
        let is_configured = |primary: &NodeName| config.nodes.contains_key(primary);
        Self {
            state,
            remembered: memory.primary.clone().filter(is_configured),
            previous_contacts: memory.contacts_at(now),
            previous_standbys: memory.standbys.clone(),
            nodes_changed_at: now,
        }
    }

    /// Others are configured from now on.
    pub(super) fn adopt(&mut self, old: &Config, new: &Config, now: Monotonic) {
        if new.nodes != old.nodes {
            self.nodes_changed_at = now;
        }
        self.remember_leavers(new);
        self.state.adopt(new);
    }

    /// A node that leaves takes its state along, but not that we reached it as a primary, nor that
    /// it was a standby: nobody counts that while it is away, and if it was left out by mistake and
    /// comes back, the wait goes on and its vote is missed.
    fn remember_leavers(&mut self, config: &Config) {
        let nodes = self.state.nodes.iter();
        let leavers = nodes.filter(|(node, _)| !config.nodes.contains_key(*node));
        for (node, at) in leavers.filter_map(|(node, state)| Some((node, state.primary_contact?))) {
            self.previous_contacts.retain(|(known, _)| known != node);
            if self.previous_contacts.len() < MAX_FORMER {
                self.previous_contacts.push((node.clone(), at));
            }
        }
        self.previous_standbys = self.standbys();
        if self.previous_standbys.len() > MAX_FORMER {
            self.previous_standbys
                .retain(|node| config.nodes.contains_key(node));
        }
    }

    /// Nodes whose last report was that of a standby; of those without a report, or not among the
    /// nodes now, those that were standbys before.
    pub(super) fn standbys(&self) -> BTreeSet<NodeName> {
        let answer = |node: &NodeName| {
            let state = self.state.nodes.get(node);
            state.and_then(|state| state.answer.as_ref())
        };
        let is_standby = |node: &NodeName| match answer(node) {
            Some(answer) => answer.in_recovery,
            None => self.previous_standbys.contains(node),
        };
        let all = self.state.nodes.keys().chain(&self.previous_standbys);
        all.filter(|node| is_standby(node)).cloned().collect()
    }

    /// The last contact with each primary, for a later process.
    pub(super) fn contacts(&self, now: Now) -> BTreeMap<NodeName, Contact> {
        let former = self.previous_contacts.iter().map(|(node, at)| (node, *at));
        let contacts = self
            .state
            .primary_contacts()
            .map(|(node, at, _)| (node, at));
        let is_within_reach = |node: &NodeName| self.state.is_within_reach(node);
        Memory::contacts(contacts.chain(former), is_within_reach, now)
    }

    /// Who is what, as of now.
    pub(super) fn map(&self, config: &Config, now: Monotonic) -> NodeMap {
        NodeMap::new(config, &self.state, self.remembered.as_ref(), now)
    }

    /// Remembers the primary of this round. Says whether it is another one.
    pub(super) fn remember_primary(&mut self, map: &NodeMap, turn: &mut Turn<'_>) -> bool {
        if map.has_several_primaries() {
            return false;
        }
        let primary = primary_of(map, self.remembered.as_ref(), &self.state);
        let Some(primary) = primary.filter(|primary| self.remembered.as_ref() != Some(primary))
        else {
            return false;
        };
        let old = self.remembered.as_ref().map_or("none", NodeName::as_str);
        turn.warning(format!("the primary is now {primary} (previously: {old})"));
        self.remembered = Some(primary);
        true
    }
}

/// The alert for several primaries at once.
pub(super) fn alert_of(map: &NodeMap) -> Option<Effect> {
    let primaries = map.connected_primaries.iter();
    let primaries = primaries.map(|(node, witness)| format!("{node} (by {witness})"));
    let text = || primaries.collect::<Vec<_>>().join(", ");
    map.has_several_primaries().then(|| Effect::RaiseAlert {
        alert: Alert::MultiplePrimaries,
        text: format!("split brain: multiple primaries: {}", text()),
    })
}

/// So many nodes that have left are remembered.
const MAX_FORMER: usize = 1_000;
