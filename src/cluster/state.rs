//! The facts per node and per observer, kept from probe to probe. Merging them is done beside this
//! file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    DaemonState, Divergence, History, Identity, Lsn, Presence, ProbeFailure, ReplicationSlot,
    Witness,
};
use crate::config::{Config, NodeName, ObserverName};
use crate::time::{Monotonic, WallTime};

/// Everything known of the configured nodes and observers. One that has left the configuration has
/// no entry; one that was never asked has an empty one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterState {
    /// By our own polls.
    pub nodes: BTreeMap<NodeName, NodeState>,
    /// By the observers' answers.
    pub observers: BTreeMap<ObserverName, ObserverState>,
    /// What outlives the next poll.
    pub history: History,
    /// Nodes that have left the configuration since the start. What observers say of them is still
    /// noted, so that one that comes back is known for the primary that it may be; nobody looks at
    /// it before.
    pub former: BTreeSet<NodeName>,
}

/// What proves that a primary lived (behaviour.md, "Evidence of life").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    /// It answered our poll.
    Answered,
    /// It turned us away for a reason that a living server gives.
    Refused,
    /// An observer reached it.
    Sighted,
    /// A standby received WAL that no other standby had.
    Received,
    /// The previous process had such evidence.
    Remembered,
    /// Nothing is known: our start, or the last change of `remote_conns`.
    Started,
}

impl ClusterState {
    /// Every known contact with a node as a primary: which node, when, of what kind, by whose
    /// report.
    pub fn contacts(&self) -> impl Iterator<Item = (&NodeName, Monotonic, EvidenceKind, Witness)> {
        let answered = self.nodes.iter().filter_map(|(node, state)| {
            let at = state.primary_contact?;
            Some((node, at, EvidenceKind::Answered, Witness::Ourselves))
        });
        let refused = self.nodes.iter().filter_map(|(node, state)| {
            let at = state.refused_as_primary?;
            Some((node, at, EvidenceKind::Refused, Witness::Ourselves))
        });
        let sighted = self.observers.iter().flat_map(|(name, observer)| {
            let witness = || Witness::Observer(name.clone());
            let contacts = observer.primary_contacts.iter();
            contacts
                .map(move |(node, contact)| (node, contact.at, EvidenceKind::Sighted, witness()))
        });
        answered.chain(refused).chain(sighted)
    }

    /// Did our last attempt reach this node as a primary, or an observer's, if it is younger than
    /// this.
    pub fn is_within_reach(&self, node: &NodeName, young: Duration, now: Monotonic) -> bool {
        let ours = self.nodes.get(node);
        let theirs = self
            .observers
            .values()
            .filter_map(|observer| observer.nodes.get(node));
        ours.is_some_and(NodeState::is_connected_primary)
            || theirs.into_iter().any(|sighting| {
                sighting.is_of_connected_primary() && now.since(sighting.at) < young
            })
    }

    /// Nodes and observers that have not reported or failed even once: too little is known before.
    /// Observers count where they are polled all the time.
    pub fn never_polled(&self, config: &Config) -> (Vec<NodeName>, Vec<ObserverName>) {
        let nodes = self.nodes.iter().filter(|(_, it)| it.attempt.is_none());
        let required = !config.poll_observers_on_warning_only;
        let observers = self.observers.iter();
        let observers = observers.filter(|(_, it)| required && it.attempt.is_none());
        (
            nodes.map(|(name, _)| name.clone()).collect(),
            observers.map(|(name, _)| name.clone()).collect(),
        )
    }

    /// Did our own last poll of any node reach a primary.
    pub fn reaches_primary(&self) -> bool {
        self.nodes.values().any(NodeState::is_connected_primary)
    }

    /// The system identifier of our cluster: the last primary's, else our own node's.
    pub fn system(&self, own: Option<&NodeName>) -> Option<&str> {
        let primary = self.history.last_primary.as_ref();
        let nodes = primary.map(|primary| &primary.node).into_iter().chain(own);
        nodes
            .filter_map(|node| self.nodes.get(node)?.answer.as_ref())
            .find_map(|answer| answer.identity.system.as_deref())
    }

    /// The last known timeline of a node, by our own polls or an observer's. What it reported as a
    /// standby says nothing of one that has become a primary since: a promotion begins another one.
    pub fn timeline(&self, node: &NodeName) -> Option<u32> {
        let answer = self.nodes.get(node).and_then(|it| it.answer.as_ref());
        let ours = answer.map(|it| (it.at, Some(it.in_recovery), it.identity.timeline));
        let observers = self.observers.values();
        let sightings = observers.filter_map(|observer| observer.nodes.get(node));
        let theirs = sightings.map(|it| (it.reported_at, it.in_recovery, it.identity.timeline));
        let all = ours.into_iter().chain(theirs);
        let (_, role, _) = all.clone().max_by_key(|(at, ..)| *at)?;
        let known = all.filter(|(.., timeline)| timeline.is_some());
        let (_, role_then, timeline) = known.max_by_key(|(at, ..)| *at)?;
        timeline.filter(|_| role != Some(false) || role_then == Some(false))
    }
}

/// What our own polls of one node have brought. Facts of the last good answer stay when a later
/// attempt fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeState {
    /// The last attempt, good or failed; `None` before the first has ended.
    pub attempt: Option<Attempt>,
    /// Why the last attempt failed; `None` after a good one.
    pub failure: Option<ProbeFailure>,
    /// The last good answer; `None`: the node never reported its role.
    pub answer: Option<NodeAnswer>,
    /// Lag in seconds, `|db_time - last replay timestamp|`, as last known; `None` on a primary.
    pub replication_lag: Option<Duration>,
    /// The lowest lag ever seen.
    pub min_replication_lag: Option<Duration>,
    /// The first poll that saw a receive position.
    pub streaming_since: Option<Monotonic>,
    /// When we last reached it as a primary.
    pub primary_contact: Option<Monotonic>,
    /// When it last turned us away for a reason that a living server gives.
    pub refused: Option<Monotonic>,
    /// The same while it was, or may have been, the primary.
    pub refused_as_primary: Option<Monotonic>,
    /// Its own daemon, as its own server shows it; `None`: never seen there.
    pub own_daemon: Option<OwnDaemon>,
}

/// The daemon of a node, as that node's server showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnDaemon {
    /// What it showed last.
    pub state: DaemonState,
    /// When the server last showed it.
    pub at: Monotonic,
    /// Answers since then that did not show it.
    pub missed: u32,
}

impl OwnDaemon {
    /// So many answers of its server did not show it that it is gone.
    pub fn is_gone(&self) -> bool {
        self.missed >= MAX_MISSED
    }
}

impl NodeState {
    /// Did our last attempt reach it.
    pub fn is_connected(&self) -> bool {
        self.attempt.is_some_and(|attempt| attempt.connected)
    }

    /// Did our last attempt reach it as a primary.
    pub fn is_connected_primary(&self) -> bool {
        let is_primary = |answer: &NodeAnswer| !answer.in_recovery;
        self.is_connected() && self.answer.as_ref().is_some_and(is_primary)
    }
}

impl NodeAnswer {
    /// How far ahead it is: the higher of receive and replay position, 0 if it has neither.
    pub fn position(&self) -> Lsn {
        self.receive.max(self.replay).unwrap_or_default()
    }

    /// What proves another history than the primary's, if the primary is behind this.
    pub(super) fn divergence(&self) -> Divergence {
        Divergence {
            position: self.position(),
            timeline: self.identity.timeline,
        }
    }
}

/// When an attempt to reach a node or an observer ended, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// By our monotonic clock.
    pub at: Monotonic,
    /// By our wall clock: `fetch_time`.
    pub fetch_time: WallTime,
    /// `connection`: was there an answer.
    pub connected: bool,
}

/// The facts of a node's last good answer.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeAnswer {
    /// When it arrived, by our monotonic clock.
    pub at: Monotonic,
    /// `pg_is_in_recovery`.
    pub in_recovery: bool,
    /// The server's `now()`.
    pub db_time: WallTime,
    /// Receive position; `None` on a primary and before streaming has begun.
    pub receive: Option<Lsn>,
    /// Replay position; on a primary its current position.
    pub replay: Option<Lsn>,
    /// Commit time of the last replayed transaction; `None` on a primary.
    pub last_replay: Option<WallTime>,
    /// Logical slots, on a primary.
    pub slots: Vec<ReplicationSlot>,
    /// Which server it is.
    pub identity: Identity,
    /// The daemons whose sessions it showed; `None` where it shows none.
    pub daemons: Option<Vec<Presence>>,
}

/// What one observer has reported. Its last known entries stay when a later attempt fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObserverState {
    /// The last attempt, good or failed; `None`: never asked.
    pub attempt: Option<Attempt>,
    /// Why the last attempt failed; `None` after a good one.
    pub failure: Option<ProbeFailure>,
    /// How far its clock was from ours in the last good answer, if that is worth a warning.
    pub clock_skew: Option<Duration>,
    /// Its entries for nodes of ours.
    pub nodes: BTreeMap<NodeName, Sighting>,
    /// When it last reached each node as a primary, as far as it was reported; stays when the entry itself
    /// goes.
    pub primary_contacts: BTreeMap<NodeName, PrimaryContact>,
    /// Nodes that it has ever reported as primaries: a witness that never saw the primary is none.
    pub seen_primaries: BTreeSet<NodeName>,
}

/// An observer's last contact with a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimaryContact {
    /// The latest known, carried over to our monotonic clock.
    pub at: Monotonic,
    /// When the node was a primary by the observer's last answer alone, likewise.
    pub reported_at: Monotonic,
    /// The node's clock at the last answer that the observer reported: another one says that the
    /// observer has reached it since.
    pub db_time: Option<WallTime>,
}

/// What an observer says of one node, aged by the observer's own clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// When the observer last asked the node, carried over to our monotonic clock by the age it had
    /// when answered.
    pub at: Monotonic,
    /// When the node last reported to the observer what it is: the same, or for one that it has
    /// lost its `db_time`, carried over likewise.
    pub reported_at: Monotonic,
    /// How exact these times are: what the observer's `Date` resolves.
    pub resolution: Duration,
    /// When the observer last asked the node, as the observer printed it.
    pub fetch_time: WallTime,
    /// Did the observer's attempt succeed.
    pub connected: bool,
    /// The node's clock at its last answer to the observer.
    pub db_time: Option<WallTime>,
    /// The role that it reported to the observer.
    pub in_recovery: Option<bool>,
    /// Receive position.
    pub receive: Option<Lsn>,
    /// Replay position.
    pub replay: Option<Lsn>,
    /// Commit time of the last replayed transaction.
    pub last_replay: Option<WallTime>,
    /// Which server it is.
    pub identity: Identity,
    /// The daemons whose sessions it showed to the observer.
    pub daemons: Option<Vec<Presence>>,
}

impl Sighting {
    fn is_of_connected_primary(&self) -> bool {
        self.connected && self.in_recovery == Some(false)
    }

    /// The replication lag of a standby, as far as it is known.
    pub fn lag(&self) -> Option<Duration> {
        Some(self.db_time?.distance(self.last_replay?))
    }
}

/// A daemon that so many answers of its server did not show is gone.
const MAX_MISSED: u32 = 3;
