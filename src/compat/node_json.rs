//! One node's entry as it is written, into `/state.json` and into the state file. Reading is not
//! here.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::cluster::{Lsn, NodeAnswer, NodeState, ReplicationSlot, Sighting};
use crate::time::timestamp;
use crate::time::{Monotonic, WallTime};

/// A node's entry. Readers need `fetch_time` and `connection` in each; the rest is there once the
/// node has answered.
#[derive(Serialize)]
pub(super) struct NodeJson<'a> {
    connection: bool,
    fetch_time: String,
    #[serde(flatten)]
    answer: Option<AnswerJson<'a>>,
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    db_time: Option<String>,
    pg_is_in_recovery: bool,
    pg_last_xact_replay_timestamp: Option<String>,
    pg_last_xlog_receive_location: Option<String>,
    pg_last_xlog_replay_location: Option<String>,
    /// Seconds.
    replication_time_lag: Option<f64>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_replication_time_lag: Option<f64>,
    /// Seconds of the writer's monotonic clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_start_time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_slots: Option<Vec<SlotJson<'a>>>,
}

#[derive(Serialize)]
struct SlotJson<'a> {
    slot_name: &'a str,
    plugin: &'a str,
    slot_type: &'a str,
    database: Option<&'a str>,
    catalog_xmin: Option<&'a str>,
    restart_lsn: Option<&'a str>,
    confirmed_flush_lsn: Option<&'a str>,
    state_data: Option<&'a str>,
}

impl<'a> NodeJson<'a> {
    /// What our own polls told; `None` before the first has ended.
    pub(super) fn of_node(node: &'a NodeState) -> Option<Self> {
        let attempt = node.attempt?;
        Some(Self {
            connection: attempt.connected,
            fetch_time: timestamp::format(attempt.fetch_time),
            answer: node
                .answer
                .as_ref()
                .map(|answer| AnswerJson::of_node(node, answer)),
        })
    }

    /// What an observer told of a node.
    pub(super) fn of_sighting(sighting: &Sighting) -> Self {
        Self {
            connection: sighting.connected,
            fetch_time: timestamp::format(sighting.fetch_time),
            answer: sighting
                .in_recovery
                .map(|in_recovery| AnswerJson::of_sighting(sighting, in_recovery)),
        }
    }
}

impl<'a> AnswerJson<'a> {
    fn of_node(node: &NodeState, answer: &'a NodeAnswer) -> Self {
        Self {
            db_time: Some(timestamp::format(answer.db_time)),
            pg_is_in_recovery: answer.in_recovery,
            pg_last_xact_replay_timestamp: answer.last_replay.map(timestamp::format),
            pg_last_xlog_receive_location: location(answer.receive),
            pg_last_xlog_replay_location: location(answer.replay),
            replication_time_lag: node.replication_lag.map(|lag| lag.as_secs_f64()),
            min_replication_time_lag: node.min_replication_lag.map(|lag| lag.as_secs_f64()),
            replication_start_time: node.streaming_since.map(Monotonic::as_secs_f64),
            replication_slots: (!answer.in_recovery)
                .then(|| answer.slots.iter().map(slot).collect()),
        }
    }

    fn of_sighting(sighting: &Sighting, in_recovery: bool) -> Self {
        let lag = |replayed: WallTime| Some(sighting.db_time?.distance(replayed).as_secs_f64());
        Self {
            db_time: sighting.db_time.map(timestamp::format),
            pg_is_in_recovery: in_recovery,
            pg_last_xact_replay_timestamp: sighting.last_replay.map(timestamp::format),
            pg_last_xlog_receive_location: location(sighting.receive),
            pg_last_xlog_replay_location: location(sighting.replay),
            replication_time_lag: sighting.last_replay.and_then(lag),
            min_replication_time_lag: None,
            replication_start_time: None,
            replication_slots: None,
        }
    }
}

/// The original's layout: indented by 4, no final newline.
pub(super) fn indented(value: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    #[expect(
        clippy::expect_used,
        reason = "a Vec takes every write, and our maps have strings for keys"
    )]
    value.serialize(&mut serializer).expect("JSON into memory");
    text
}

fn location(lsn: Option<Lsn>) -> Option<String> {
    lsn.map(|lsn| lsn.to_string())
}

fn slot(slot: &ReplicationSlot) -> SlotJson<'_> {
    SlotJson {
        slot_name: &slot.name,
        plugin: &slot.plugin,
        slot_type: &slot.slot_type,
        database: slot.database.as_deref(),
        catalog_xmin: slot.catalog_xmin.as_deref(),
        restart_lsn: slot.restart_lsn.as_deref(),
        confirmed_flush_lsn: slot.confirmed_flush_lsn.as_deref(),
        state_data: slot.state_data.as_deref(),
    }
}
