//! What is known: the facts per node and observer, the remembered primary, and what was known of
//! nodes before the start or before they left the configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::memory::MAX_CHANGES;
use super::round::primary_of;
use super::turn::Turn;
use super::{Alert, Contact, Effect, Memory, PastPrimary, PrimaryChange};
use crate::cluster::{ClusterState, Context, LastPrimary, NodeMap, Reached, Role, Witness};
use crate::config::{Config, NodeName, ObserverName};
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
    /// The last change of `remote_conns`, or the start.
    pub(super) nodes_changed_at: Monotonic,
    pub(super) started_at: Monotonic,
    /// What the previous process remembered was older than the limit.
    pub(super) memory_is_old: bool,
    /// The last changes of the primary, the oldest first.
    pub(super) changes: Vec<PrimaryChange>,
}

impl Facts {
    /// What the previous process remembered, and nothing else.
    pub(super) fn recall(memory: &Memory, config: &Config, now: Now) -> Self {
        let mut state = ClusterState::default();
        recall_history(&mut state, memory, now.mono);
        state.adopt(config);
        for (observer, seen) in &memory.witnesses {
            if let Some(observer) = state.observers.get_mut(observer) {
                observer.seen_primaries.clone_from(seen);
            }
        }
        // A primary that this configuration does not know was not removed under our eyes: nothing
        // is known of it.
        let is_configured = |primary: &NodeName| config.nodes.contains_key(primary);
        Self {
            state,
            remembered: memory.primary.clone().filter(is_configured),
            previous_contacts: memory.contacts_at(now.mono),
            nodes_changed_at: now.mono,
            started_at: now.mono,
            memory_is_old: memory.is_older_than(config.failover_lag, now),
            changes: memory.changes.clone(),
        }
    }

    /// Others are configured from now on.
    pub(super) fn adopt(&mut self, old: &Config, new: &Config, now: Monotonic) {
        if new.nodes != old.nodes {
            self.nodes_changed_at = now;
        }
        self.remember_leavers(new);
        let renamed = self.remembered.as_ref();
        if let Some(node) = renamed.and_then(|node| new_name(node, old, new)).cloned() {
            // Others may know it under one of the names only: the wait counts from the change.
            self.remember_contact(&node, now);
            self.remembered = Some(node);
        }
        self.state.adopt(new);
    }

    /// What reports are merged by.
    pub(super) fn context<'a>(
        remembered: Option<&'a NodeName>,
        config: &'a Config,
        now: Now,
    ) -> Context<'a> {
        Context {
            config,
            remembered,
            now,
        }
    }

    /// A node that leaves takes its state along, but not that we reached it as a primary, or that it
    /// rejected us as one: nobody counts that while it is away, and if it was left out by mistake and
    /// comes back, the wait goes on.
    fn remember_leavers(&mut self, new: &Config) {
        let nodes = self.state.nodes.iter();
        let leavers = nodes.filter(|(node, _)| !new.nodes.contains_key(*node));
        let contacts = leavers.filter_map(|(node, state)| {
            let last = state.primary_contact.max(state.refused_as_primary)?;
            Some((node.clone(), last))
        });
        for (node, at) in contacts.collect::<Vec<_>>() {
            self.remember_contact(&node, at);
        }
    }

    /// This node was last reached as a primary at `at`.
    fn remember_contact(&mut self, node: &NodeName, at: Monotonic) {
        self.previous_contacts.retain(|(known, _)| known != node);
        if self.previous_contacts.len() < MAX_FORMER {
            self.previous_contacts.push((node.clone(), at));
        }
    }

    /// A node in `known_gone_nodes` that is reached as a primary is not gone. `before`: those that
    /// were gone so far.
    pub(super) fn warn_of_void(&self, before: &BTreeSet<NodeName>, turn: &mut Turn<'_>) {
        for node in before.difference(&self.state.history.gone) {
            turn.warning(format!(
                "{node} is in known_gone_nodes and is reached as a primary: its entry is ignored until the next reload"
            ));
        }
    }

    /// Nodes whose last reported role was this.
    fn with_role(&self, is_primary: bool) -> BTreeSet<NodeName> {
        let roles = self.state.history.roles.iter();
        let with = roles.filter(|(_, role)| role.is_primary == is_primary);
        with.map(|(node, _)| node.clone()).collect()
    }

    /// What a later process must know of the facts. `went_first`: the node that may be in the middle
    /// of its promotion if it is not reached.
    pub(super) fn memory(
        &self,
        went_first: Option<&NodeName>,
        config: &Config,
        now: Now,
    ) -> Memory {
        let history = &self.state.history;
        let observers = self.state.observers.iter();
        let observers = observers.filter(|(_, state)| !state.seen_primaries.is_empty());
        Memory {
            primary: self.remembered.clone(),
            contacts: self.contacts(went_first, config, now),
            went_first: went_first.cloned(),
            standbys: self.with_role(false),
            primaries: self.with_role(true),
            superseded: history.superseded.clone(),
            diverged: history.diverged.clone(),
            last_primary: history.last_primary.as_ref().map(|last| PastPrimary {
                node: last.node.clone(),
                lsn: last.lsn,
                timeline: last.timeline,
                since: Contact::of(last.since, now),
                at: Contact::of(last.at, now),
                earlier: last.earlier,
            }),
            witnesses: observers
                .map(|(name, state): (&ObserverName, _)| {
                    (name.clone(), state.seen_primaries.clone())
                })
                .collect(),
            saved: Some(Contact::of(now.mono, now)),
            changes: self.changes.clone(),
            ..Memory::default()
        }
    }

    /// The last contact with each primary, for a later process. WAL that arrived is one with the
    /// remembered primary.
    fn contacts(
        &self,
        went_first: Option<&NodeName>,
        config: &Config,
        now: Now,
    ) -> BTreeMap<NodeName, Contact> {
        let former = self.previous_contacts.iter().map(|(node, at)| (node, *at));
        let contacts = self.state.contacts().map(|(node, at, ..)| (node, at));
        let received = self.state.history.received.values().map(|it| it.at).max();
        let received = self.remembered.as_ref().zip(received);
        let young = config.poll_interval * 2;
        let is_within_reach = |node: &NodeName| self.state.is_within_reach(node, young, now.mono);
        let first = went_first.and_then(|node| Some((node, self.state.nodes.get(node)?)));
        let lost = first.filter(|(_, state)| !state.is_connected());
        let lost = lost.and_then(|(node, state)| Some((node, state.answer.as_ref()?.at)));
        let all = contacts.chain(former).chain(received).chain(lost);
        Memory::contacts(all, is_within_reach, now)
    }

    /// Who is what, as of now.
    pub(super) fn map(&self, config: &Config, now: Monotonic) -> NodeMap {
        NodeMap::new(config, &self.state, self.remembered.as_ref(), now)
    }

    /// Remembers the primary of this round. Says whether it is another one. `reason`: why this daemon
    /// has promoted its own node, if it did so in this outage.
    pub(super) fn remember_primary(
        &mut self,
        map: &NodeMap,
        reason: Option<&str>,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        if map.reached == Reached::Several {
            return false;
        }
        let primary = primary_of(map, self.remembered.as_ref(), &self.state);
        let Some(primary) = primary.filter(|primary| self.remembered.as_ref() != Some(primary))
        else {
            return false;
        };
        match &self.remembered {
            None => turn.info(format!("the primary is {primary}")),
            Some(old) => {
                turn.warning(format!("the primary is now {primary} (previously: {old})"));
                let reason = reason.filter(|_| config.own_db.as_ref() == Some(&primary));
                let last = self.state.history.last_primary.as_ref();
                let last = last.filter(|last| last.node == primary);
                self.changes.push(PrimaryChange {
                    at: turn.now.wall,
                    from: old.clone(),
                    to: primary.clone(),
                    timeline: self.state.timeline(&primary),
                    lsn: last.and_then(|last| last.lsn),
                    reason: reason.map(str::to_owned),
                });
                let surplus = self.changes.len().saturating_sub(MAX_CHANGES);
                self.changes.drain(..surplus);
            }
        }
        self.remembered = Some(primary);
        true
    }
}

/// The name under which a node that leaves comes in again: with the same connection string.
fn new_name<'a>(node: &NodeName, old: &Config, new: &'a Config) -> Option<&'a NodeName> {
    let target = old.nodes.get(node)?;
    let newcomers = new.nodes.iter();
    let mut newcomers = newcomers.filter(|(other, _)| !old.nodes.contains_key(*other));
    let (name, _) = newcomers.find(|(_, theirs)| *theirs == target)?;
    (!new.nodes.contains_key(node)).then_some(name)
}

fn recall_history(state: &mut ClusterState, memory: &Memory, now: Monotonic) {
    let last = memory.last_primary.as_ref();
    let role = |is_primary, at| Role {
        is_primary,
        at,
        witness: Witness::Ourselves,
    };
    let history = &mut state.history;
    for node in &memory.standbys {
        let role = role(false, Monotonic::default());
        history.roles.insert(node.clone(), role);
    }
    for node in &memory.primaries {
        // When the last primary was seen as one is known: what an observer saw of it before then, and
        // still reports, is older.
        let seen = last.filter(|last| last.node == *node);
        let at = seen.map_or_else(Monotonic::default, |last| last.at.at(now));
        history.roles.insert(node.clone(), role(true, at));
    }
    history.superseded.clone_from(&memory.superseded);
    history.diverged.clone_from(&memory.diverged);
    history.last_primary = last.map(|last| LastPrimary {
        node: last.node.clone(),
        lsn: last.lsn,
        timeline: last.timeline,
        since: last.since.at(now),
        at: last.at.at(now),
        earlier: last.earlier(now),
    });
}

/// The alert for connected primaries of which an operator must choose.
pub(super) fn alert_of(map: &NodeMap) -> Option<Effect> {
    let primaries = map.connected_primaries.iter();
    let primaries = primaries.map(|(node, witness)| format!("{node} (by {witness})"));
    let names = || primaries.collect::<Vec<_>>().join(", ");
    let text = match &map.reached {
        Reached::Several => format!("split brain: multiple primaries: {}", names()),
        Reached::Outdated(_) => format!("a primary of an older history: {}", names()),
        Reached::Primary(_) | Reached::Nobody => return None,
    };
    Some(Effect::RaiseAlert {
        alert: Alert::MultiplePrimaries,
        text,
    })
}

/// So many nodes that have left are remembered.
const MAX_FORMER: usize = 1_000;
