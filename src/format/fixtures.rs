//! Test data: a small cluster as facts, and the same cluster as the original writes it (recorded
//! from it).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cluster::{
    Attempt, ClusterState, Lsn, NodeAnswer, NodeState, ObserverState, ProbeFailure,
    ReplicationSlot, Sighting,
};
use crate::config::NodeName;
use crate::lookout::{
    Contact, FailoverOutcome, Memory, PastFailover, PastPrimary, PastSwitchover, PrimaryChange,
};
use crate::time::timestamp;
use crate::time::{Monotonic, WallTime};
use crate::votes::Nonce;

/// The original's entry of a primary.
pub(super) const PRIMARY: &str = r#"{"connection": true, "fetch_time": "2024-01-01T00:00:05Z",
    "db_time": "2024-01-01T00:00:05.250000Z", "pg_is_in_recovery": false, "pg_last_xact_replay_timestamp": null,
    "pg_last_xlog_receive_location": null, "pg_last_xlog_replay_location": "0/5000060", "replication_time_lag": null,
    "replication_slots": []}"#;

/// The original's entry of a standby.
pub(super) const STANDBY: &str = r#"{"connection": true, "fetch_time": "2024-01-01T00:00:05Z",
    "db_time": "2024-01-01T00:00:05.250000Z", "pg_is_in_recovery": true,
    "pg_last_xact_replay_timestamp": "2024-01-01T00:00:04.750000Z", "pg_last_xlog_receive_location": "0/5000060",
    "pg_last_xlog_replay_location": "0/5000060", "replication_time_lag": 0.5, "replication_start_time": 10005.0,
    "min_replication_time_lag": 0.0}"#;

/// The original's entry of a node that never answered.
pub(super) const NEVER_ANSWERED: &str =
    r#"{"fetch_time": "2024-01-01T00:00:05Z", "connection": false}"#;

/// The original's list of one logical slot.
pub(super) const SLOTS: &str = r#"[{"slot_name": "sl1", "plugin": "pgoutput", "slot_type": "logical",
    "database": "postgres", "catalog_xmin": "734", "restart_lsn": "0/15D4F38", "confirmed_flush_lsn": null,
    "state_data": "aGVsbG8=\nd29ybGQ="}]"#;

pub(super) fn wall(text: &str) -> WallTime {
    timestamp::parse(text).unwrap()
}

pub(super) fn mono(seconds: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(seconds))
}

pub(super) fn lsn(text: &str) -> Option<Lsn> {
    Some(text.parse().unwrap())
}

pub(super) fn primary() -> NodeState {
    let (receive, replay, last_replay) = (None, lsn("0/5000060"), None);
    let db_time = wall("2024-01-01T00:00:05.250000Z");
    let answer = NodeAnswer {
        at: mono(10_005),
        in_recovery: false,
        db_time,
        receive,
        replay,
        last_replay,
        slots: Vec::new(),
        identity: crate::cluster::Identity::default(),
        daemons: None,
    };
    NodeState {
        attempt: Some(attempt(true)),
        answer: Some(answer),
        ..NodeState::default()
    }
}

pub(super) fn standby() -> NodeState {
    let mut node = primary();
    let answer = node.answer.as_mut().unwrap();
    answer.in_recovery = true;
    answer.receive = answer.replay;
    answer.last_replay = Some(wall("2024-01-01T00:00:04.750000Z"));
    node.replication_lag = Some(Duration::from_millis(500));
    node.min_replication_lag = Some(Duration::ZERO);
    node.streaming_since = Some(mono(10_005));
    node
}

pub(super) fn never_answered() -> NodeState {
    let failure = Some(ProbeFailure::Unreachable {
        reason: "refused".to_owned(),
    });
    NodeState {
        attempt: Some(attempt(false)),
        failure,
        ..NodeState::default()
    }
}

pub(super) fn slot() -> ReplicationSlot {
    ReplicationSlot {
        name: "sl1".to_owned(),
        plugin: "pgoutput".to_owned(),
        slot_type: "logical".to_owned(),
        database: Some("postgres".to_owned()),
        catalog_xmin: Some("734".to_owned()),
        restart_lsn: Some("0/15D4F38".to_owned()),
        confirmed_flush_lsn: None,
        state_data: Some("aGVsbG8=\nd29ybGQ=".to_owned()),
    }
}

pub(super) fn attempt(connected: bool) -> Attempt {
    Attempt {
        at: mono(10_005),
        fetch_time: wall("2024-01-01T00:00:05Z"),
        connected,
    }
}

pub(super) fn nodes(nodes: &[(&str, NodeState)]) -> BTreeMap<NodeName, NodeState> {
    nodes
        .iter()
        .map(|(name, node)| (NodeName::from(*name), node.clone()))
        .collect()
}

/// What a process has to remember of that cluster; its monotonic times are `mono`.
pub(super) fn memory(mono: Option<Monotonic>) -> Memory {
    let contact = Contact {
        mono,
        wall: wall("2024-01-01T00:00:05.5Z"),
    };
    Memory {
        restart_owed: false,
        primary: Some("p".into()),
        contacts: BTreeMap::from([("p".into(), contact.clone())]),
        standbys: BTreeSet::from(["s1".into()]),
        failover: Some(PastFailover {
            primary: Some("p".into()),
            outcome: FailoverOutcome::Succeeded,
            mono,
            wall: wall("2024-01-01T00:00:05.5Z"),
            process: None,
        }),
        failover_failed: true,
        saved: Some(contact.clone()),
        primaries: BTreeSet::from(["p".into(), "q".into()]),
        superseded: BTreeMap::from([("q".into(), "p".into())]),
        diverged: BTreeMap::from([("s2".into(), "0/5000070@1".parse().unwrap())]),
        last_primary: Some(PastPrimary {
            node: "p".into(),
            lsn: lsn("0/5000060"),
            timeline: Some(7),
            since: contact.clone(),
            at: contact,
            earlier: Duration::from_secs(40),
        }),
        witnesses: BTreeMap::from([("o1".into(), BTreeSet::from(["p".into()]))]),
        went_first: Some("s1".into()),
        lag_warning: true,
        failover_stuck: true,
        diverged_standby: true,
        primary_flapping: true,
        primary_not_writing: true,
        changes: vec![PrimaryChange {
            at: wall("2024-01-01T00:00:05.5Z"),
            from: "q".into(),
            to: "p".into(),
            timeline: Some(7),
            lsn: lsn("0/5000060"),
            reason: Some("primary_unreachable".to_owned()),
        }],
        pause: "h.hq3k9".parse().unwrap(),
        // Only this boot's counts.
        switchover: mono.map(|_| PastSwitchover {
            id: Nonce(7),
            to: "s1".into(),
            term: 3,
        }),
    }
}

fn sighting() -> Sighting {
    Sighting {
        at: mono(10_005),
        reported_at: mono(10_005),
        resolution: Duration::from_secs(1),
        fetch_time: wall("2024-01-01T00:00:05Z"),
        connected: true,
        db_time: Some(wall("2024-01-01T00:00:05.25Z")),
        in_recovery: Some(true),
        receive: lsn("0/5000060"),
        replay: lsn("0/5000060"),
        last_replay: Some(wall("2024-01-01T00:00:04.75Z")),
        identity: crate::cluster::Identity::default(),
        daemons: None,
    }
}

/// A primary, a standby, a node that was never polled, and two observers of whom one was never
/// asked.
pub(super) fn cluster() -> ClusterState {
    let sightings = BTreeMap::from([("s1".into(), sighting()), ("connection".into(), sighting())]);
    let observer = ObserverState {
        attempt: Some(attempt(true)),
        nodes: sightings,
        ..ObserverState::default()
    };
    let asked = ("o1".into(), observer);
    let observers = BTreeMap::from([asked, ("never asked".into(), ObserverState::default())]);
    ClusterState {
        nodes: nodes(&[
            ("p", primary()),
            ("s1", standby()),
            ("n", NodeState::default()),
        ]),
        observers,
        ..ClusterState::default()
    }
}
