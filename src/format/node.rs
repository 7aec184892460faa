//! One node's entry, as it is written into `/state.json`, the state file and timelines, and as it is
//! read from there and from whatever an observer of another version answers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::layout::indented;
use super::presence::{Daemon, MAX_DAEMONS, readable};
use crate::cluster::{
    Identity, Lsn, NodeAnswer, NodeState, ObservedNode, ObserverReport, Presence, ReplicationSlot,
    Sighting,
};
use crate::config::NodeName;
use crate::time::{Monotonic, WallTime, timestamp};

/// A node's entry. Readers need `fetch_time` and `connection` in each; the rest is there once the
/// node has answered.
///
/// A value of the wrong type or form is read as absent, and a key that is not ours is passed over: a
/// newer version may say more, and must not lose its vote over one odd field. Nothing is kept in a
/// tree in between, so a hostile body costs no more memory than its own length.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Fields<'a> {
    #[serde(deserialize_with = "truth", skip_serializing_if = "Option::is_none")]
    pub(super) connection: Option<bool>,
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub(super) fetch_time: Option<WallTime>,
    #[serde(with = "reported_time", skip_serializing_if = "Option::is_none")]
    db_time: Reported<WallTime>,
    #[serde(deserialize_with = "truth", skip_serializing_if = "Option::is_none")]
    pg_is_in_recovery: Option<bool>,
    #[serde(with = "reported_time", skip_serializing_if = "Option::is_none")]
    pg_last_xact_replay_timestamp: Reported<WallTime>,
    #[serde(with = "location", skip_serializing_if = "Option::is_none")]
    pg_last_xlog_receive_location: Reported<Lsn>,
    #[serde(with = "location", skip_serializing_if = "Option::is_none")]
    pg_last_xlog_replay_location: Reported<Lsn>,
    /// Seconds.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    replication_time_lag: Reported<f64>,
    /// Seconds.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    min_replication_time_lag: Option<f64>,
    /// Seconds of the writer's monotonic clock.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    replication_start_time: Option<f64>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    replication_slots: Option<Vec<Slot<'a>>>,
    /// Which server it is, where it may be read.
    #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    system_identifier: Option<String>,
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    postmaster_start_time: Option<WallTime>,
    #[serde(deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    timeline: Option<u32>,
    /// The daemons whose sessions the server showed.
    #[serde(deserialize_with = "readable", skip_serializing_if = "Option::is_none")]
    daemons: Option<Vec<Daemon>>,
}

/// `None`: the key is not there, as the node has not answered. `Some(None)` is null.
type Reported<T> = Option<Option<T>>;

#[derive(Debug, PartialEq, Serialize)]
struct Slot<'a> {
    slot_name: &'a str,
    plugin: &'a str,
    slot_type: &'a str,
    database: Option<&'a str>,
    catalog_xmin: Option<&'a str>,
    restart_lsn: Option<&'a str>,
    confirmed_flush_lsn: Option<&'a str>,
    state_data: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// What our own polls found out; `None` before the first has ended.
    pub(super) fn of_node(node: &'a NodeState) -> Option<Self> {
        let attempt = node.attempt?;
        let mut fields = Self {
            connection: Some(attempt.connected),
            fetch_time: Some(attempt.fetch_time),
            ..Self::default()
        };
        if let Some(answer) = &node.answer {
            fields.answered(node, answer);
        }
        Some(fields)
    }

    fn answered(&mut self, node: &NodeState, answer: &'a NodeAnswer) {
        let slots = || answer.slots.iter().map(slot).collect();
        self.db_time = Some(Some(answer.db_time));
        self.pg_is_in_recovery = Some(answer.in_recovery);
        self.pg_last_xact_replay_timestamp = Some(answer.last_replay);
        self.pg_last_xlog_receive_location = Some(answer.receive);
        self.pg_last_xlog_replay_location = Some(answer.replay);
        self.replication_time_lag = Some(node.replication_lag.map(|lag| lag.as_secs_f64()));
        self.min_replication_time_lag = node.min_replication_lag.map(|lag| lag.as_secs_f64());
        self.replication_start_time = node.streaming_since.map(Monotonic::as_secs_f64);
        self.replication_slots = (!answer.in_recovery).then(slots);
        self.identify(&answer.identity, answer.daemons.as_deref());
    }

    /// What an observer reported of a node.
    pub(super) fn of_sighting(sighting: &Sighting) -> Self {
        let head = Self {
            connection: Some(sighting.connected),
            fetch_time: Some(sighting.fetch_time),
            ..Self::default()
        };
        if sighting.in_recovery.is_none() {
            return head;
        }
        let lag = |replayed: WallTime| Some(sighting.db_time?.distance(replayed).as_secs_f64());
        let mut fields = Self {
            db_time: Some(sighting.db_time),
            pg_is_in_recovery: sighting.in_recovery,
            pg_last_xact_replay_timestamp: Some(sighting.last_replay),
            pg_last_xlog_receive_location: Some(sighting.receive),
            pg_last_xlog_replay_location: Some(sighting.replay),
            replication_time_lag: Some(sighting.last_replay.and_then(lag)),
            ..head
        };
        fields.identify(&sighting.identity, sighting.daemons.as_deref());
        fields
    }

    /// An observer's entry, as it would be read again.
    fn of_observed(observed: &ObservedNode) -> Self {
        let mut fields = Self {
            connection: Some(observed.connection),
            fetch_time: Some(observed.fetch_time),
            db_time: Some(observed.db_time),
            pg_is_in_recovery: observed.in_recovery,
            pg_last_xact_replay_timestamp: Some(observed.last_replay),
            pg_last_xlog_receive_location: Some(observed.receive),
            pg_last_xlog_replay_location: Some(observed.replay),
            ..Self::default()
        };
        fields.identify(&observed.identity, observed.daemons.as_deref());
        fields
    }

    fn identify(&mut self, identity: &Identity, daemons: Option<&[Presence]>) {
        self.system_identifier.clone_from(&identity.system);
        self.postmaster_start_time = identity.started;
        self.timeline = identity.timeline;
        self.daemons = daemons.map(Daemon::list);
    }

    /// An entry without a valid `fetch_time` or `connection` is none.
    pub(super) fn observed(&self) -> Result<ObservedNode, &'static str> {
        Ok(ObservedNode {
            fetch_time: self.fetch_time.ok_or("no valid fetch_time")?,
            connection: self.connection.ok_or("no valid connection")?,
            db_time: self.db_time(),
            in_recovery: self.in_recovery(),
            receive: self.pg_last_xlog_receive_location.flatten(),
            replay: self.pg_last_xlog_replay_location.flatten(),
            last_replay: self.pg_last_xact_replay_timestamp.flatten(),
            identity: Identity {
                system: self.system_identifier.clone(),
                started: self.postmaster_start_time,
                timeline: self.timeline,
                ..Identity::default()
            },
            daemons: self.daemons.as_ref().map(|daemons| {
                let read = daemons.iter().take(MAX_DAEMONS).cloned();
                read.filter_map(|daemon| daemon.read().ok()).collect()
            }),
        })
    }

    pub(super) fn db_time(&self) -> Option<WallTime> {
        self.db_time.flatten()
    }

    pub(super) fn in_recovery(&self) -> Option<bool> {
        self.pg_is_in_recovery
    }
}

/// The body of `/state.json`: the node states and nothing else at the top level, because
/// half-upgraded fleets read it. A node whose first poll has not ended has no entry: every reader
/// takes `fetch_time` and `connection` for granted.
pub fn state_json(nodes: &BTreeMap<NodeName, NodeState>) -> Vec<u8> {
    indented(&entries(nodes))
}

pub(super) fn entries(nodes: &BTreeMap<NodeName, NodeState>) -> BTreeMap<&str, Fields<'_>> {
    nodes
        .iter()
        .filter_map(|(name, node)| Some((name.as_str(), Fields::of_node(node)?)))
        .collect()
}

/// Reads the body of an observer's answer; `date` is its `Date` header. One entry without a valid
/// `fetch_time` or `connection` makes the whole answer bad. Any other field that cannot be read
/// counts as absent: such an entry is no vote for a role.
pub fn read_state_json(body: &[u8], date: WallTime) -> Result<ObserverReport, String> {
    let nodes: Observed =
        serde_json::from_slice(body).map_err(|error| format!("bad state of nodes: {error}"))?;
    Ok(ObserverReport {
        date,
        nodes: nodes.0,
    })
}

/// All entries of an observer's answer, with limits.
#[derive(Debug, PartialEq)]
pub struct Observed(pub BTreeMap<NodeName, ObservedNode>);

impl Serialize for Observed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.iter();
        serializer.collect_map(
            entries.map(|(node, observed)| (node.as_str(), Fields::of_observed(observed))),
        )
    }
}

impl<'de> Deserialize<'de> for Observed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObservedVisitor)
    }
}

struct ObservedVisitor;

impl<'de> Visitor<'de> for ObservedVisitor {
    type Value = Observed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of nodes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Observed, A::Error> {
        let mut nodes = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name.len() > MAX_NAME_BYTES {
                return Err(A::Error::custom(format!(
                    "a node's name is longer than {MAX_NAME_BYTES} bytes"
                )));
            }
            if nodes.len() >= MAX_NODES {
                return Err(A::Error::custom(format!("more than {MAX_NODES} nodes")));
            }
            let Entry(fields) = map.next_value()?;
            let node = fields
                .observed()
                .map_err(|reason| A::Error::custom(format!("{name:?}: {reason}")))?;
            nodes.insert(NodeName::from(name.as_str()), node);
        }
        Ok(Observed(nodes))
    }
}

/// An entry that must be an object: serde would take a list for one as well.
pub(super) struct Entry(pub(super) Fields<'static>);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the state of a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
        Fields::deserialize(MapAccessDeserializer::new(map)).map(Entry)
    }
}

fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(Scalar::deserialize(deserializer)?.truth())
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Scalar::deserialize(deserializer)?.text().map(str::to_owned))
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Scalar::deserialize(deserializer)?.number())
}

mod time {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<WallTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(timestamp::format).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<WallTime>, D::Error> {
        Ok(Scalar::deserialize(deserializer)?.time())
    }
}

mod reported_time {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        time: &Reported<WallTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::time::serialize(&time.flatten(), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Reported<WallTime>, D::Error> {
        super::time::deserialize(deserializer).map(Some)
    }
}

mod location {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        lsn: &Reported<Lsn>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        lsn.flatten()
            .map(|lsn| lsn.to_string())
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Reported<Lsn>, D::Error> {
        Ok(Some(Scalar::deserialize(deserializer)?.parsed()))
    }
}

/// Any JSON value, of which only text and truth values are kept.
enum Scalar {
    Truth(bool),
    Text(String),
    Number(u64),
    Other,
}

impl Scalar {
    fn truth(&self) -> Option<bool> {
        if let Self::Truth(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    fn number(&self) -> Option<u32> {
        if let Self::Number(number) = self {
            u32::try_from(*number).ok()
        } else {
            None
        }
    }

    fn time(&self) -> Option<WallTime> {
        timestamp::parse(self.text()?)
    }

    fn parsed<T: FromStr>(&self) -> Option<T> {
        self.text()?.parse().ok()
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Truth(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

fn slot(slot: &ReplicationSlot) -> Slot<'_> {
    Slot {
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

/// Entries in one answer.
const MAX_NODES: usize = 10_000;
/// Bytes of one node's name.
const MAX_NAME_BYTES: usize = 1024;

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
