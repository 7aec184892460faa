//! The state file: rendered for whoever reads it (the original's three keys), for people
//! (`decision`) and for our own next start (`memory`). It is read beside this file; opening,
//! writing and renaming it is another room's business.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::node_json::{NodeJson, indented};
use super::{decision_json, state_json};
use crate::cluster::{ClusterState, ObserverState};
use crate::config::NodeName;
use crate::lookout::{Contact, Memory, PastFailover, Process, Round};
use crate::time::Monotonic;
use crate::time::timestamp;

/// The state file's content, with what the `last` round came to. `boot_id` tells this boot of the
/// machine from every other; without one, a later process cannot compare the monotonic times with
/// its own.
pub fn render(
    state: &ClusterState,
    memory: &Memory,
    last: Option<&Round>,
    boot_id: Option<&str>,
) -> Vec<u8> {
    let observer_nodes = state
        .observers
        .iter()
        .filter_map(|(name, observer)| Some((name.as_str(), ObserverJson::of(observer)?)))
        .collect();
    indented(&StateFileJson {
        db_nodes: state_json::entries(&state.nodes),
        observer_nodes,
        current_master: memory.primary.as_ref().map(NodeName::as_str),
        decision: last.map(decision_json::decision),
        memory: MemoryJson {
            boot_id: boot_id.map(str::to_owned),
            primary_contacts: memory
                .contacts
                .iter()
                .map(|(name, contact)| (name.to_string(), contact.into()))
                .collect(),
            standbys: memory.standbys.iter().map(NodeName::to_string).collect(),
            restart_owed: memory.restart_owed,
            failover: memory.failover.as_ref().map(FailoverJson::from),
            failover_failed: memory.failover_failed,
        },
    })
}

#[derive(Serialize)]
struct StateFileJson<'a> {
    db_nodes: BTreeMap<&'a str, NodeJson<'a>>,
    observer_nodes: BTreeMap<&'a str, ObserverJson<'a>>,
    current_master: Option<&'a str>,
    /// What the last round came to; for people and `pglookout explain`, never read back.
    decision: Option<Value>,
    memory: MemoryJson,
}

#[derive(Serialize)]
struct ObserverJson<'a> {
    fetch_time: String,
    connection: bool,
    #[serde(flatten)]
    nodes: BTreeMap<&'a str, NodeJson<'a>>,
}

#[derive(Serialize)]
struct MemoryJson {
    boot_id: Option<String>,
    primary_contacts: BTreeMap<String, ContactJson>,
    standbys: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restart_owed: bool,
    failover: Option<FailoverJson>,
    failover_failed: bool,
}

#[derive(Serialize)]
struct ContactJson {
    /// Seconds of the machine's monotonic clock in the boot that `boot_id` names.
    monotonic: Option<f64>,
    seen: String,
}

#[derive(Serialize)]
struct FailoverJson {
    primary: Option<String>,
    outcome: &'static str,
    /// As in [`ContactJson`].
    monotonic: Option<f64>,
    seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessJson>,
}

#[derive(Serialize)]
struct ProcessJson {
    pid: u32,
    started: u64,
}

impl<'a> ObserverJson<'a> {
    fn of(observer: &'a ObserverState) -> Option<Self> {
        let attempt = observer.attempt?;
        // The original's shape mixes node names with two keys of its own; a node of such a name has
        // no place in it.
        let nodes = observer
            .nodes
            .iter()
            .filter(|(name, _)| !OBSERVER_KEYS.contains(&name.as_str()));
        Some(Self {
            fetch_time: timestamp::format(attempt.fetch_time),
            connection: attempt.connected,
            nodes: nodes
                .map(|(name, sighting)| (name.as_str(), NodeJson::of_sighting(sighting)))
                .collect(),
        })
    }
}

impl From<&Contact> for ContactJson {
    fn from(contact: &Contact) -> Self {
        Self {
            monotonic: contact.mono.map(Monotonic::as_secs_f64),
            seen: timestamp::format(contact.wall),
        }
    }
}

impl From<&PastFailover> for FailoverJson {
    fn from(last: &PastFailover) -> Self {
        Self {
            primary: last.primary.as_ref().map(NodeName::to_string),
            outcome: last.outcome.name(),
            monotonic: last.mono.map(Monotonic::as_secs_f64),
            seen: timestamp::format(last.wall),
            process: last
                .process
                .map(|Process { pid, started }| ProcessJson { pid, started }),
        }
    }
}

/// What an observer's entry holds beside its nodes.
const OBSERVER_KEYS: [&str; 2] = ["fetch_time", "connection"];

#[cfg(test)]
mod tests {

    use serde_json::json;

    use super::super::fixtures::*;
    use super::*;

    #[test]
    fn keys_of_the_original_look_as_it_shows_them() {
        let mut file: Value =
            serde_json::from_slice(&render(&cluster(), &memory(Some(mono(1))), None, Some("b")))
                .unwrap();
        assert_eq!(
            file["memory"],
            json!({"boot_id": "b",
            "primary_contacts": {"p": {"monotonic": 1.0, "seen": "2024-01-01T00:00:05.500000Z"}}, "standbys": ["s1"],
            "failover": {"primary": "p", "outcome": "succeeded", "monotonic": 1.0, "seen": "2024-01-01T00:00:05.500000Z"},
            "failover_failed": true})
        );
        assert_eq!(file["decision"], Value::Null);
        file.as_object_mut()
            .unwrap()
            .retain(|key, _| !["memory", "decision"].contains(&key.as_str()));
        let seen = json!({"connection": true, "fetch_time": "2024-01-01T00:00:05Z",
            "db_time": "2024-01-01T00:00:05.250000Z", "pg_is_in_recovery": true,
            "pg_last_xact_replay_timestamp": "2024-01-01T00:00:04.750000Z", "pg_last_xlog_receive_location": "0/5000060",
            "pg_last_xlog_replay_location": "0/5000060", "replication_time_lag": 0.5});
        let (p, s1): (Value, Value) = (
            serde_json::from_str(PRIMARY).unwrap(),
            serde_json::from_str(STANDBY).unwrap(),
        );
        assert_eq!(
            file,
            json!({"db_nodes": {"p": p, "s1": s1}, "current_master": "p",
            "observer_nodes": {"o1": {"fetch_time": "2024-01-01T00:00:05Z", "connection": true, "s1": seen}}})
        );
    }
}
