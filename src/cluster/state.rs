//! The facts per node and per observer, kept from probe to probe. Merging them is done beside this
//! file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Identity, Lsn, Presence, ProbeFailure, ReplicationSlot, Witness};
use crate::config::{NodeName, ObserverName};
use crate::time::{Monotonic, WallTime};

/// Everything known of the configured nodes and observers. One that has left the configuration has
/// no entry; one that was never asked has an empty one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterState {
    /// By our own polls.
    pub nodes: BTreeMap<NodeName, NodeState>,
    /// By the observers' answers.
    pub observers: BTreeMap<ObserverName, ObserverState>,
    /// Nodes that have left the configuration since the start. What observers say of them is still
    /// noted, so that one that comes back is known for the primary that it may be; nobody looks at
    /// it before.
    pub former: BTreeSet<NodeName>,
}

impl ClusterState {
    /// Every known contact with a node as a primary: which node, when, by whose word.
    pub fn primary_contacts(&self) -> impl Iterator<Item = (&NodeName, Monotonic, Witness)> {
        let ours = self
            .nodes
            .iter()
            .filter_map(|(node, state)| Some((node, state.primary_contact?, Witness::Ourselves)));
        let theirs = self.observers.iter().flat_map(|(name, observer)| {
            let witness = || Witness::Observer(name.clone());
            observer
                .primary_contacts
                .iter()
                .map(move |(node, contact)| (node, contact.at, witness()))
        });
        ours.chain(theirs)
    }

    /// Did anybody's last attempt reach this node as a primary.
    pub fn is_within_reach(&self, node: &NodeName) -> bool {
        let ours = self.nodes.get(node).filter(|state| state.is_connected());
        let theirs = self
            .observers
            .values()
            .filter_map(|observer| observer.nodes.get(node));
        ours.and_then(|state| state.answer.as_ref())
            .is_some_and(|answer| !answer.in_recovery)
            || theirs
                .into_iter()
                .any(|sighting| sighting.connected && sighting.in_recovery == Some(false))
    }

    /// When each standby was last learnt to have received more WAL, by our own polls or an
    /// observer.
    pub fn wal_arrivals(&self) -> impl Iterator<Item = (&NodeName, Monotonic)> {
        let ours = self
            .nodes
            .iter()
            .filter_map(|(node, state)| Some((node, state.wal_arrived?)));
        let theirs = self
            .observers
            .values()
            .flat_map(|observer| observer.wal_arrived.iter());
        ours.chain(
            theirs
                .map(|(node, at)| (node, *at))
                .filter(|(node, _)| self.nodes.contains_key(*node)),
        )
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
    /// When we last reached it as a primary, or were refused by it as one.
    pub primary_contact: Option<Monotonic>,
    /// When a poll of ours last found that it had received more WAL than at the poll before.
    pub wal_arrived: Option<Monotonic>,
}

impl NodeState {
    /// Did our last attempt reach it.
    pub fn is_connected(&self) -> bool {
        self.attempt.is_some_and(|attempt| attempt.connected)
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
    /// Its clock was too far from ours in the last good answer: no vote, and heard on primaries
    /// only.
    pub clock_skew: Option<Duration>,
    /// Its entries for nodes of ours.
    pub nodes: BTreeMap<NodeName, Sighting>,
    /// When it last reached each node as a primary, as far as we heard; stays when the entry itself
    /// goes.
    pub primary_contacts: BTreeMap<NodeName, PrimaryContact>,
    /// When its answers last showed that a connected standby had received more WAL than in the
    /// answer before.
    pub wal_arrived: BTreeMap<NodeName, Monotonic>,
}

/// An observer's last contact with a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimaryContact {
    /// The latest known, carried over to our monotonic clock.
    pub at: Monotonic,
    /// The last sighting of it connected, if there was one; earlier than `at` if the observer's
    /// clock was stepped.
    pub sighted: Option<Monotonic>,
    /// The `db_time` of the lost primary that it was worked out from; the same one is not worked
    /// out again.
    pub lost_db_time: Option<WallTime>,
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
