//! The node map: our own view and the observers' combined into primaries, standbys and nodes of unknown role, as
//! behaviour.md's "The node map" says. Built anew for every decision; holds no memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::Lsn;
use super::state::{ClusterState, NodeState, ObserverState, Sighting};
use crate::config::{Config, NodeName, ObserverName};
use crate::time::Monotonic;

/// Every configured node by role. A node may stand in two lists: an observer's word is added to ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMap {
    /// Primaries that somebody reaches now, and by whose word.
    pub connected_primaries: BTreeMap<NodeName, Witness>,
    /// Nodes last known to be primary that cannot be reached now.
    pub disconnected_primaries: BTreeSet<NodeName>,
    /// Nodes that have told that they are standbys.
    pub standbys: BTreeMap<NodeName, Standby>,
    /// Nodes that never told anybody their role.
    pub unknown: BTreeSet<NodeName>,
    /// Observers with a vote: their last answer is good and young.
    pub connected_observers: BTreeSet<ObserverName>,
    /// Observers that were asked and have no vote now.
    pub disconnected_observers: BTreeSet<ObserverName>,
}

/// By whose word something is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Witness {
    /// Our own poll.
    Ourselves,
    /// An observer's answer.
    Observer(ObserverName),
}

/// A standby's facts, ours or an observer's, whichever count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// By whose word.
    pub witness: Witness,
    /// Was it reached at the last attempt of that witness.
    pub connected: bool,
    /// When that attempt ended.
    pub at: Monotonic,
    /// Receive position.
    pub receive: Option<Lsn>,
    /// Replay position.
    pub replay: Option<Lsn>,
}

impl Standby {
    /// How far ahead it is: the higher of receive and replay position, 0 if it has neither.
    pub fn position(&self) -> Lsn {
        self.receive.max(self.replay).unwrap_or_default()
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ourselves => f.write_str("our own poll"),
            Self::Observer(observer) => write!(f, "observer {observer}"),
        }
    }
}

impl NodeMap {
    /// Sorts the configured nodes by role. `remembered`: the remembered primary.
    pub fn new(config: &Config, state: &ClusterState, remembered: Option<&NodeName>, now: Monotonic) -> Self {
        let mut map = Self::default();
        let young = config.poll_interval * 2;
        for (node, own) in &state.nodes {
            map.place_by_ourselves(node, own);
        }
        for (name, observer) in &state.observers {
            map.place_observer(name, observer, young, now);
        }
        for (node, own) in &state.nodes {
            if config.own_db.as_ref() == Some(node) {
                continue;
            }
            map.place_by_observers(node, own, state, young, now);
        }
        map.place_remembered(remembered);
        map
    }

    /// The one connected primary, if there is exactly one.
    pub fn sole_primary(&self) -> Option<&NodeName> {
        match self.connected_primaries.len() {
            1 => self.connected_primaries.keys().next(),
            _ => None,
        }
    }

    /// More than one node is a connected primary.
    pub fn has_several_primaries(&self) -> bool {
        self.connected_primaries.len() > 1
    }

    fn place_by_ourselves(&mut self, node: &NodeName, own: &NodeState) {
        let connected = own.attempt.is_some_and(|attempt| attempt.connected);
        let Some(answer) = &own.answer else {
            self.unknown.insert(node.clone());
            return;
        };
        if !answer.in_recovery {
            if connected {
                self.connected_primaries.insert(node.clone(), Witness::Ourselves);
            } else {
                self.disconnected_primaries.insert(node.clone());
            }
            return;
        }
        self.standbys.insert(
            node.clone(),
            Standby {
                witness: Witness::Ourselves,
                connected,
                at: answer.at,
                receive: answer.receive,
                replay: answer.replay,
            },
        );
    }

    /// One that was never asked counts neither way.
    fn place_observer(&mut self, name: &ObserverName, observer: &ObserverState, young: Duration, now: Monotonic) {
        let Some(attempt) = observer.attempt else { return };
        let has_vote = attempt.connected && observer.clock_skew.is_none() && now.since(attempt.at) < young;
        if has_vote {
            self.connected_observers.insert(name.clone());
        } else {
            self.disconnected_observers.insert(name.clone());
        }
    }

    fn place_by_observers(
        &mut self,
        node: &NodeName,
        own: &NodeState,
        state: &ClusterState,
        young: Duration,
        now: Monotonic,
    ) {
        let we_are_connected =
            own.attempt.is_some_and(|attempt| attempt.connected) && own.answer.as_ref().is_some_and(|a| a.in_recovery);
        let our_report = own.answer.as_ref().map(|answer| answer.at);
        let sightings =
            || state.observers.iter().filter_map(|(name, observer)| Some((name, observer, observer.nodes.get(node)?)));
        let is_young = |sighting: &Sighting| sighting.connected && now.since(sighting.at) < young;
        let mut primaries: Vec<_> =
            sightings().filter(|(_, _, sighting)| sighting.in_recovery == Some(false)).collect();
        primaries.sort_by_key(|(_, _, sighting)| !is_young(sighting));
        for (name, observer, sighting) in primaries {
            self.place_seen_primary(node, own, name, observer, sighting, young, now);
        }
        let standby = sightings()
            .filter(|(_, _, sighting)| sighting.in_recovery == Some(true))
            .filter(|(_, _, sighting)| !we_are_connected && our_report.is_none_or(|report| sighting.at >= report))
            .max_by_key(|(_, _, sighting)| (sighting.connected, sighting.at));
        if let Some((name, _, sighting)) = standby {
            self.unknown.remove(node);
            self.standbys.insert(
                node.clone(),
                Standby {
                    witness: Witness::Observer(name.clone()),
                    connected: sighting.connected,
                    at: sighting.at,
                    receive: sighting.receive,
                    replay: sighting.replay,
                },
            );
        }
    }

    /// A fresh sighting by anyone is a veto, whatever the clocks say; a lost or an old one can lengthen our wait, never
    /// shorten it, and our own later report of a standby outweighs it.
    fn place_seen_primary(
        &mut self,
        node: &NodeName,
        own: &NodeState,
        name: &ObserverName,
        observer: &ObserverState,
        sighting: &Sighting,
        young: Duration,
        now: Monotonic,
    ) {
        self.unknown.remove(node);
        if sighting.connected && now.since(sighting.at) < young {
            self.connected_primaries.entry(node.clone()).or_insert_with(|| Witness::Observer(name.clone()));
            return;
        }
        let sighted = observer.primary_contacts.get(node).and_then(|contact| contact.sighted);
        let told_at = sighted.map_or(sighting.told_at, |sighted| sighted.min(sighting.at));
        let outweighed = own.answer.as_ref().is_some_and(|answer| answer.in_recovery && answer.at > told_at);
        let connected = own.attempt.is_some_and(|attempt| attempt.connected);
        if !outweighed && !connected && !self.connected_primaries.contains_key(node) {
            self.disconnected_primaries.insert(node.clone());
        }
    }

    /// While it is configured and nobody told another role of it, the remembered primary is a disconnected one.
    fn place_remembered(&mut self, remembered: Option<&NodeName>) {
        if let Some(node) = remembered.and_then(|node| self.unknown.take(node)) {
            self.disconnected_primaries.insert(node);
        }
    }
}
