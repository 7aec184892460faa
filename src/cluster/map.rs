//! The node map: our own view and the observers' combined into primaries, standbys and nodes of
//! unknown role, as behaviour.md's "The node map" says. Built anew for every decision; holds no
//! memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::state::{ClusterState, NodeState, ObserverState, Sighting};
use super::{Lsn, Witness};
use crate::config::{Config, NodeName, ObserverName};
use crate::time::{Monotonic, WallTime};

/// Every configured node by role. A node may stand in two lists: an observer's report is added to
/// ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMap {
    /// Primaries that somebody reaches now, and by whose report.
    pub connected_primaries: BTreeMap<NodeName, Witness>,
    /// Nodes last known to be primary that cannot be reached now.
    pub disconnected_primaries: BTreeSet<NodeName>,
    /// Nodes that last reported that they are standbys, reached or not.
    pub standbys: BTreeMap<NodeName, Standby>,
    /// Nodes that never reported a role to anyone.
    pub unknown: BTreeSet<NodeName>,
    /// Observers whose last answer is good and young.
    pub connected_observers: BTreeSet<ObserverName>,
    /// Observers that were asked and are not connected now.
    pub disconnected_observers: BTreeSet<ObserverName>,
    /// Primaries in whose place another one has come: nobody is to follow them.
    pub superseded: BTreeSet<NodeName>,
    /// What the connected primaries come to.
    pub reached: Reached,
}

/// What the connected primaries come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reached {
    /// There is none.
    #[default]
    Nobody,
    /// One server is the primary.
    Primary(NodeName),
    /// Several servers are primaries at once.
    Several,
    /// One that is of an older history than what else is known: another one came in its place, or a
    /// standby is of a later timeline. An operator must decide.
    Outdated(NodeName),
}

/// A standby's facts, ours or an observer's, whichever count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// By whose report.
    pub witness: Witness,
    /// Was it reached at the last attempt of that witness.
    pub connected: bool,
    /// When that attempt ended.
    pub at: Monotonic,
    /// Receive position.
    pub receive: Option<Lsn>,
    /// Replay position.
    pub replay: Option<Lsn>,
    /// Replication lag as last known.
    pub lag: Option<Duration>,
    /// Commit time of the last replayed transaction.
    pub last_replay: Option<WallTime>,
    /// Its system identifier.
    pub system: Option<String>,
    /// The timeline of its data.
    pub timeline: Option<u32>,
}

impl Standby {
    /// How far ahead it is: the higher of receive and replay position, 0 if it has neither.
    pub fn position(&self) -> Lsn {
        self.receive.max(self.replay).unwrap_or_default()
    }
}

impl NodeMap {
    /// Sorts the configured nodes by role. `remembered`: the remembered primary.
    pub fn new(
        config: &Config,
        state: &ClusterState,
        remembered: Option<&NodeName>,
        now: Monotonic,
    ) -> Self {
        let mut map = Self::default();
        let young = config.poll_interval * 2;
        for (node, own) in &state.nodes {
            map.place_by_ourselves(node, own, state);
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
        map.place_by_reported_roles(state);
        map.place_remembered(remembered);
        let primaries = map.connected_primaries.keys();
        let primaries = primaries.chain(&map.disconnected_primaries);
        let superseded = primaries.filter(|node| state.history.superseded.contains_key(*node));
        map.superseded = superseded.cloned().collect();
        map.reached = map.reached(state, remembered);
        map
    }

    /// The one connected primary, if there is exactly one, and no doubt about it.
    pub fn sole_primary(&self) -> Option<&NodeName> {
        match &self.reached {
            Reached::Primary(node) => Some(node),
            Reached::Nobody | Reached::Several | Reached::Outdated(_) => None,
        }
    }

    /// More than one server is a connected primary, or the one that is should not be.
    pub fn needs_an_operator(&self) -> bool {
        matches!(self.reached, Reached::Several | Reached::Outdated(_))
    }

    fn reached(&self, state: &ClusterState, remembered: Option<&NodeName>) -> Reached {
        let connected = &self.connected_primaries;
        let remembered = remembered.filter(|node| connected.contains_key(*node));
        let Some(primary) = remembered.or_else(|| connected.keys().next()) else {
            return Reached::Nobody;
        };
        let answer = |node: &NodeName| state.nodes.get(node).and_then(|it| it.answer.as_ref());
        let is_same = |other: &NodeName| {
            let (one, other) = (answer(primary), answer(other));
            one.zip(other)
                .is_some_and(|(one, other)| one.is_same_server(other))
        };
        let mut others = connected.keys().filter(|other| *other != primary);
        if others.any(|other| !is_same(other)) {
            return Reached::Several;
        }
        let timeline = state.timeline(primary);
        let is_later = |standby: &Standby| {
            let pair = standby.timeline.zip(timeline);
            standby.connected && pair.is_some_and(|(theirs, ours)| theirs > ours)
        };
        let by = state.history.superseded.get(primary);
        let is_superseded = by.is_some_and(|by| !self.standbys.contains_key(by));
        let is_older = self.is_older_than_the_last(primary, timeline, state);
        if is_superseded || is_older || self.standbys.values().any(is_later) {
            return Reached::Outdated(primary.clone());
        }
        Reached::Primary(primary.clone())
    }

    /// Is it of a lower timeline than the last primary that answered us, as one may be that an observer
    /// is the first to report, and which nobody could supersede.
    fn is_older_than_the_last(
        &self,
        primary: &NodeName,
        timeline: Option<u32>,
        state: &ClusterState,
    ) -> bool {
        let last = state.history.last_primary.as_ref();
        let last = last.filter(|last| {
            last.node != *primary
                && self.disconnected_primaries.contains(&last.node)
                && !state.history.gone.contains(&last.node)
        });
        let pair = timeline.zip(last.and_then(|last| last.timeline));
        pair.is_some_and(|(ours, theirs)| ours < theirs)
    }

    /// Who reported a role once has it until it reports another one: an observer that falls silent
    /// takes its sightings away, never a role.
    fn place_by_reported_roles(&mut self, state: &ClusterState) {
        for (node, role) in &state.history.roles {
            if !self.unknown.remove(node) {
                continue;
            }
            if role.is_primary {
                self.disconnected_primaries.insert(node.clone());
                continue;
            }
            let standby = Standby {
                witness: role.witness.clone(),
                connected: false,
                at: role.at,
                receive: None,
                replay: None,
                lag: None,
                last_replay: None,
                system: None,
                timeline: None,
            };
            self.standbys.insert(node.clone(), standby);
        }
    }

    fn place_by_ourselves(&mut self, node: &NodeName, own: &NodeState, state: &ClusterState) {
        let connected = own.is_connected();
        let Some(answer) = &own.answer else {
            self.unknown.insert(node.clone());
            return;
        };
        if !answer.in_recovery {
            if connected && !state.history.was_succeeded_since(node, answer.at) {
                self.connected_primaries
                    .insert(node.clone(), Witness::Ourselves);
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
                lag: own.replication_lag,
                last_replay: answer.last_replay,
                system: answer.identity.system.clone(),
                timeline: answer.identity.timeline,
            },
        );
    }

    /// One that was never asked counts neither way.
    fn place_observer(
        &mut self,
        name: &ObserverName,
        observer: &ObserverState,
        young: Duration,
        now: Monotonic,
    ) {
        let Some(attempt) = observer.attempt else {
            return;
        };
        if attempt.connected && now.since(attempt.at) < young {
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
        let observations: Vec<_> = state
            .observers
            .iter()
            .filter_map(|(name, observer)| Observation::of(name, observer, node))
            .collect();
        // A relayed sighting is outdated only where the timelines prove the order.
        let is_outdated = |sighting: &Sighting| {
            let by = state.history.superseded.get(node);
            let later = by.and_then(|by| state.timeline(by));
            let pair = sighting.identity.timeline.zip(later);
            pair.is_some_and(|(theirs, later)| theirs < later)
                && state
                    .history
                    .was_succeeded_since(node, sighting.at.before(sighting.resolution))
        };
        let is_young = |observation: &Observation<'_>| {
            let sighting = observation.sighting;
            sighting.connected && now.since(sighting.at) < young && !is_outdated(sighting)
        };
        let telling = |in_recovery| {
            observations
                .iter()
                .filter(move |observation| observation.sighting.in_recovery == Some(in_recovery))
        };
        self.place_seen_primary(node, own, telling(false), is_young);
        self.place_seen_standby(node, own, telling(true));
    }

    /// A fresh sighting by anyone is a veto, whatever the clocks say; a lost or an old one can
    /// lengthen our wait, never shorten it: whoever is connected outweighs it, and so does our own
    /// later report of a standby.
    fn place_seen_primary<'a>(
        &mut self,
        node: &NodeName,
        own: &NodeState,
        observations: impl Iterator<Item = &'a Observation<'a>> + Clone,
        is_young: impl Fn(&Observation<'_>) -> bool,
    ) {
        let our_standby = own.answer.as_ref().filter(|answer| answer.in_recovery);
        let our_standby = our_standby.map(|answer| answer.at);
        // A young sighting stands unless ours is later for certain, a lost one if ours is not later.
        let stands = |observation: &Observation<'_>, by: Duration| {
            our_standby.is_none_or(|ours| ours <= observation.reported_at() + by)
        };
        let mut young = observations.clone().filter(|it| is_young(it));
        if let Some(seen) = young.find(|it| stands(it, it.sighting.resolution)) {
            self.unknown.remove(node);
            self.connected_primaries
                .entry(node.clone())
                .or_insert_with(|| Witness::Observer(seen.name.clone()));
            return;
        }
        let mut lost = observations.filter(|it| stands(it, Duration::ZERO));
        if lost.next().is_some() && !own.is_connected_primary() {
            self.unknown.remove(node);
            self.disconnected_primaries.insert(node.clone());
        }
    }

    /// Taken unless we reach the standby ourselves, or know newer facts. Of several observers a
    /// connected entry goes first, then the newest.
    fn place_seen_standby<'a>(
        &mut self,
        node: &NodeName,
        own: &NodeState,
        observations: impl Iterator<Item = &'a Observation<'a>>,
    ) {
        let ours = own.answer.as_ref();
        if own.is_connected() && ours.is_some_and(|answer| answer.in_recovery) {
            return;
        }
        let newer = observations
            .filter(|observation| ours.is_none_or(|answer| observation.sighting.at >= answer.at));
        // An observer that we have lost as well is no way to the standby any more: who is cut off
        // must not count, as if they stood behind it, the nodes that it last got reports of through
        // others.
        let reaches = |observation: &Observation<'_>| {
            observation.sighting.connected && self.connected_observers.contains(observation.name)
        };
        let best = newer
            .map(|observation| (reaches(observation), observation))
            .max_by_key(|(reaches, observation)| (*reaches, observation.sighting.at));
        let Some((connected, Observation { name, sighting, .. })) = best else {
            return;
        };
        self.unknown.remove(node);
        let standby = Standby {
            witness: Witness::Observer((*name).clone()),
            connected,
            at: sighting.at,
            receive: sighting.receive,
            replay: sighting.replay,
            lag: sighting.lag(),
            last_replay: sighting.last_replay,
            system: sighting.identity.system.clone(),
            timeline: sighting.identity.timeline,
        };
        self.standbys.insert(node.clone(), standby);
    }

    /// While it is configured and no other role of it was reported, the remembered primary is a
    /// disconnected one.
    fn place_remembered(&mut self, remembered: Option<&NodeName>) {
        if let Some(node) = remembered.and_then(|node| self.unknown.take(node)) {
            self.disconnected_primaries.insert(node);
        }
    }
}

/// What one observer reports of one node.
struct Observation<'a> {
    name: &'a ObserverName,
    sighting: &'a Sighting,
    /// When it was a primary by that observer's last answer.
    contact: Option<Monotonic>,
}

impl<'a> Observation<'a> {
    fn of(name: &'a ObserverName, observer: &'a ObserverState, node: &NodeName) -> Option<Self> {
        let contact = observer.primary_contacts.get(node);
        Some(Self {
            name,
            sighting: observer.nodes.get(node)?,
            contact: contact.map(|contact| contact.reported_at),
        })
    }

    /// When the node reported to the observer that it is a primary.
    fn reported_at(&self) -> Monotonic {
        self.contact.unwrap_or(self.sighting.reported_at)
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
