//! The state file: rendered for whoever reads it (the original's three keys) and for our own next start (`memory`), and
//! read back at that start. Opening, writing and renaming the file is not here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::node_entry::NodeEntry;
use super::node_json::{NodeJson, indented};
use super::{state_json, timestamp};
use crate::cluster::{ClusterState, ObserverState};
use crate::config::NodeName;
use crate::lookout::{Contact, Memory};
use crate::time::Monotonic;

/// The state file's content. `boot_id` tells this boot of the machine from every other; without one, a later process
/// cannot compare the monotonic times with its own.
pub fn render(state: &ClusterState, memory: &Memory, boot_id: Option<&str>) -> Vec<u8> {
    let observer_nodes = state
        .observers
        .iter()
        .filter_map(|(name, observer)| Some((name.as_str(), ObserverJson::of(observer)?)))
        .collect();
    indented(&StateFileJson {
        db_nodes: state_json::entries(&state.nodes),
        observer_nodes,
        current_master: memory.primary.as_ref().map(NodeName::as_str),
        memory: MemoryJson {
            boot_id: boot_id.map(str::to_owned),
            primary_contacts: memory
                .contacts
                .iter()
                .map(|(name, contact)| (name.to_string(), contact.into()))
                .collect(),
            standbys: memory.standbys.iter().map(NodeName::to_string).collect(),
        },
    })
}

/// What the file still tells a process that starts now on a machine whose boot is `current_boot_id`. A file of the
/// original has no `memory`: there contacts and standbys are taken from what the last poll of each node told.
pub fn read(bytes: &[u8], current_boot_id: Option<&str>) -> Result<Memory, String> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(format!("longer than {MAX_FILE_BYTES} bytes"));
    }
    let file: Stored = serde_json::from_slice(bytes).map_err(|error| format!("no state file: {error}"))?;
    let (Some(db_nodes), Some(primary)) = (file.db_nodes, file.current_master) else {
        return Err("no state file: db_nodes or current_master is not there".to_owned());
    };
    let primary = primary.as_str().filter(|name| !name.is_empty()).map(NodeName::from);
    let told_standby =
        |(name, node): (&String, &NodeEntry)| (node.in_recovery == Some(true)).then(|| name.as_str().into());
    let (contacts, standbys) = match file.memory.and_then(|memory| serde_json::from_value::<StoredMemory>(memory).ok())
    {
        Some(memory) => memory.recall(current_boot_id),
        None => (
            db_nodes.iter().filter_map(|(name, node)| Some((name.as_str().into(), told_contact(node)?))).collect(),
            db_nodes.iter().filter_map(told_standby).collect(),
        ),
    };
    Ok(Memory { primary, contacts, standbys })
}

#[derive(Serialize)]
struct StateFileJson<'a> {
    db_nodes: BTreeMap<&'a str, NodeJson<'a>>,
    observer_nodes: BTreeMap<&'a str, ObserverJson<'a>>,
    current_master: Option<&'a str>,
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
}

#[derive(Serialize, Deserialize)]
struct ContactJson {
    /// Seconds of the machine's monotonic clock in the boot that `boot_id` names.
    monotonic: Option<f64>,
    seen: String,
}

#[derive(Deserialize)]
struct Stored {
    db_nodes: Option<BTreeMap<String, NodeEntry>>,
    #[serde(default, deserialize_with = "even_null")]
    current_master: Option<Value>,
    memory: Option<Value>,
}

/// `memory` as it was found; each contact is looked at by itself, so that one bad entry does not take the others along.
#[derive(Deserialize)]
struct StoredMemory {
    boot_id: Option<String>,
    primary_contacts: BTreeMap<String, Value>,
    #[serde(default)]
    standbys: Vec<String>,
}

impl<'a> ObserverJson<'a> {
    fn of(observer: &'a ObserverState) -> Option<Self> {
        let attempt = observer.attempt?;
        // The original's shape mixes node names with two keys of its own; a node of such a name has no place in it.
        let nodes = observer.nodes.iter().filter(|(name, _)| !OBSERVER_KEYS.contains(&name.as_str()));
        Some(Self {
            fetch_time: timestamp::format(attempt.fetch_time),
            connection: attempt.connected,
            nodes: nodes.map(|(name, sighting)| (name.as_str(), NodeJson::of_sighting(sighting))).collect(),
        })
    }
}

impl From<&Contact> for ContactJson {
    fn from(contact: &Contact) -> Self {
        Self { monotonic: contact.mono.map(Monotonic::as_secs_f64), seen: timestamp::format(contact.wall) }
    }
}

impl StoredMemory {
    fn recall(self, current_boot_id: Option<&str>) -> (BTreeMap<NodeName, Contact>, BTreeSet<NodeName>) {
        let same_boot = current_boot_id.is_some() && self.boot_id.as_deref() == current_boot_id;
        let contact = |stored: Value| {
            let stored: ContactJson = serde_json::from_value(stored).ok()?;
            let mono = stored.monotonic.filter(|_| same_boot).and_then(monotonic);
            Some(Contact { mono, wall: timestamp::parse(&stored.seen)? })
        };
        let contacts = self.primary_contacts.into_iter();
        (
            contacts.filter_map(|(name, stored)| Some((name.as_str().into(), contact(stored)?))).collect(),
            self.standbys.iter().map(|name| name.as_str().into()).collect(),
        )
    }
}

/// The last contact with a node that says it is a primary. Of one that was lost, its own clock tells when it last
/// answered; a clock that is ahead must not put that after the attempt that failed.
fn told_contact(node: &NodeEntry) -> Option<Contact> {
    if node.in_recovery? {
        return None;
    }
    let wall = match node.connection {
        Some(true) => node.fetch_time?,
        _ => node.db_time?.min(node.fetch_time.unwrap_or(node.db_time?)),
    };
    Some(Contact { mono: None, wall })
}

/// To the microsecond, as the clock is read.
fn monotonic(seconds: f64) -> Option<Monotonic> {
    let exact = Duration::try_from_secs_f64(seconds).ok()?;
    let micros = u64::try_from(exact.saturating_add(HALF_A_MICROSECOND).as_micros()).ok()?;
    Some(Monotonic::from_duration(Duration::from_micros(micros)))
}

/// Tells a key that is null from one that is not there.
fn even_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

const HALF_A_MICROSECOND: Duration = Duration::from_nanos(500);
/// Bytes of a state file that is read at start.
const MAX_FILE_BYTES: usize = 64 << 20;
/// What an observer's entry holds beside its nodes.
const OBSERVER_KEYS: [&str; 2] = ["fetch_time", "connection"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::*;
    use super::*;
    use crate::cluster::{NodeState, Sighting};
    use crate::testing::mutations;

    fn memory(mono: Option<Monotonic>) -> Memory {
        let contact = Contact { mono, wall: wall("2024-01-01T00:00:05.5Z") };
        Memory {
            primary: Some("p".into()),
            contacts: BTreeMap::from([("p".into(), contact)]),
            standbys: BTreeSet::from(["s1".into()]),
        }
    }

    fn sighting() -> Sighting {
        Sighting {
            at: mono(10_005),
            told_at: mono(10_005),
            fetch_time: wall("2024-01-01T00:00:05Z"),
            connected: true,
            db_time: Some(wall("2024-01-01T00:00:05.25Z")),
            in_recovery: Some(true),
            receive: lsn("0/5000060"),
            replay: lsn("0/5000060"),
            last_replay: Some(wall("2024-01-01T00:00:04.75Z")),
        }
    }

    fn cluster() -> ClusterState {
        let sightings = BTreeMap::from([("s1".into(), sighting()), ("connection".into(), sighting())]);
        let observer = ObserverState { attempt: Some(attempt(true)), nodes: sightings, ..ObserverState::default() };
        let asked = ("o1".into(), observer);
        let observers = BTreeMap::from([asked, ("never asked".into(), ObserverState::default())]);
        ClusterState {
            nodes: nodes(&[("p", primary()), ("s1", standby()), ("n", NodeState::default())]),
            observers,
            ..ClusterState::default()
        }
    }

    #[test]
    fn keys_of_the_original_look_as_it_shows_them() {
        let mut file: Value = serde_json::from_slice(&render(&cluster(), &memory(Some(mono(1))), Some("b"))).unwrap();
        assert_eq!(
            file["memory"],
            json!({"boot_id": "b",
            "primary_contacts": {"p": {"monotonic": 1.0, "seen": "2024-01-01T00:00:05.500000Z"}}, "standbys": ["s1"]})
        );
        file.as_object_mut().unwrap().remove("memory");
        let seen = json!({"connection": true, "fetch_time": "2024-01-01T00:00:05Z",
            "db_time": "2024-01-01T00:00:05.250000Z", "pg_is_in_recovery": true,
            "pg_last_xact_replay_timestamp": "2024-01-01T00:00:04.750000Z", "pg_last_xlog_receive_location": "0/5000060",
            "pg_last_xlog_replay_location": "0/5000060", "replication_time_lag": 0.5});
        let (p, s1): (Value, Value) = (serde_json::from_str(PRIMARY).unwrap(), serde_json::from_str(STANDBY).unwrap());
        assert_eq!(
            file,
            json!({"db_nodes": {"p": p, "s1": s1}, "current_master": "p",
            "observer_nodes": {"o1": {"fetch_time": "2024-01-01T00:00:05Z", "connection": true, "s1": seen}}})
        );
    }

    #[test]
    fn what_was_written_is_remembered() {
        let at = Some(Monotonic::from_duration(Duration::from_micros(1_234_567_891)));
        let file = render(&cluster(), &memory(at), Some("this boot"));
        assert_eq!(read(&file, Some("this boot")), Ok(memory(at)));
        assert_eq!(read(&file, Some("another boot")), Ok(memory(None)));
        assert_eq!(read(&file, None), Ok(memory(None)));
        let nothing = render(&ClusterState::default(), &Memory::default(), None);
        assert_eq!(read(&nothing, None), Ok(Memory::default()));
    }

    #[test]
    fn without_a_boot_id_no_monotonic_time_is_believed() {
        assert_eq!(read(&render(&cluster(), &memory(Some(mono(5))), None), None), Ok(memory(None)));
    }

    #[track_caller]
    fn original(node: &str, seen: Option<&str>) {
        let file = format!(r#"{{"db_nodes": {{"n": {node}}}, "observer_nodes": {{}}, "current_master": null}}"#);
        let memory = read(file.as_bytes(), Some("b")).unwrap();
        assert_eq!(memory.primary, None);
        let contact = seen.map(|seen| Contact { mono: None, wall: wall(seen) });
        assert_eq!(memory.contacts.get("n"), contact.as_ref(), "{node}");
    }

    #[test]
    fn a_file_of_the_original_tells_the_last_contact() {
        original(PRIMARY, Some("2024-01-01T00:00:05Z"));
        let lost = PRIMARY.replace(r#""connection": true"#, r#""connection": false"#);
        original(&lost, Some("2024-01-01T00:00:05Z"));
        original(&lost.replace("05.250000Z", "03.250000Z"), Some("2024-01-01T00:00:03.250000Z"));
        original(STANDBY, None);
        original(NEVER_ANSWERED, None);
        original(r#"{"a": 0.30000000000000004, "b": 1e-06, "x": {}, "z": [[]]}"#, None);
    }

    #[test]
    fn the_remembered_primary_may_have_any_name() {
        let read = |name: &str| {
            let file = format!(r#"{{"db_nodes": {{}}, "observer_nodes": {{"o": {{}}}}, "current_master": {name}}}"#);
            read(file.as_bytes(), None).unwrap().primary
        };
        assert_eq!(read(r#""\u00c4""#), Some("Ä".into()));
        assert_eq!((read("null"), read("\"\""), read("5")), (None, None, None));
    }

    #[test]
    fn odd_memory_takes_nothing_else_along() {
        let with_memory = |memory: &str| {
            let file = format!(r#"{{"db_nodes": {{"p": {PRIMARY}}}, "current_master": "p", "memory": {memory}}}"#);
            read(file.as_bytes(), Some("b")).unwrap().contacts
        };
        let told = BTreeMap::from([("p".into(), Contact { mono: None, wall: wall("2024-01-01T00:00:05Z") })]);
        assert_eq!(with_memory("null"), told);
        assert_eq!(with_memory("[1]"), told);
        let good = r#"{"boot_id": "b", "primary_contacts": {"x": 5, "q": {"seen": "never"},
            "y": {"monotonic": -1, "seen": "2024-01-01T00:00:05Z"}, "z": {"monotonic": 1e300, "seen": "2024-01-01T00:00:05Z"}}}"#;
        let contacts = with_memory(good);
        assert_eq!(contacts.keys().map(NodeName::as_str).collect::<Vec<_>>(), ["y", "z"]);
        assert!(contacts.values().all(|contact| contact.mono.is_none()));
    }

    #[test]
    fn torn_and_foreign_files_are_refused() {
        let file = render(&cluster(), &memory(Some(mono(5))), Some("b"));
        for end in 0..file.len() {
            assert!(read(&file[..end], Some("b")).is_err(), "cut at {end}");
        }
        for foreign in ["null", "[]", "[{}, null]", "{}", "5", r#"{"db_nodes": {}}"#, r#"{"current_master": "p"}"#] {
            assert!(read(foreign.as_bytes(), None).is_err(), "{foreign}");
        }
        assert!(read(&vec![b' '; MAX_FILE_BYTES + 1], None).unwrap_err().contains("longer than"));
    }

    #[test]
    fn no_mutation_panics() {
        let file = render(&cluster(), &memory(Some(mono(5))), Some("b"));
        mutations(&file, |mutated| {
            let _ = read(mutated, Some("b"));
        });
    }
}
