//! The state file: written for whoever reads it (the original's three keys), for people and
//! `pglookout explain` (`decision`) and for our own next start (`memory`); read by whomever it was
//! written, as far as it makes sense. Opening, writing and renaming it is another room's business.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::Change;
use super::decision::Decision;
use super::layout::indented;
use super::memory::{Clocks, MemoryForm};
use super::node::{Entry, Fields, entries};
use super::votes_page::VotesPage;
use crate::cluster::{ClusterState, ObservedNode, ObserverState, PauseMark};
use crate::config::NodeName;
use crate::lookout::{Contact, Memory, Round};
use crate::time::timestamp;

/// Bytes of a state file. One that is longer is not ours.
pub const MAX_STATE_FILE_BYTES: usize = 64 << 20;

/// The state file's content, with what the `last` round came to. `boot_id` distinguishes this boot of the
/// machine from every other; without one, a later process cannot compare the monotonic times with
/// its own. `votes`: where this daemon votes.
pub fn state_file(
    state: &ClusterState,
    memory: &Memory,
    last: Option<&Round>,
    boot_id: Option<&str>,
    votes: Option<VotesPage>,
) -> Vec<u8> {
    let observers = state.observers.iter();
    let clocks = Clocks::Absolute { same_boot: true };
    indented(&Written {
        db_nodes: entries(&state.nodes),
        observer_nodes: observers
            .filter_map(|(name, observer)| Some((name.as_str(), Observer::of(observer)?)))
            .collect(),
        current_master: memory.primary.as_ref().map(NodeName::as_str),
        version: env!("CARGO_PKG_VERSION"),
        decision: last.map(Decision::from),
        memory: MemoryForm::of(memory, clocks, boot_id, false),
        votes,
    })
}

#[derive(Serialize)]
struct Written<'a> {
    db_nodes: BTreeMap<&'a str, Fields<'a>>,
    observer_nodes: BTreeMap<&'a str, Observer<'a>>,
    current_master: Option<&'a str>,
    version: &'static str,
    decision: Option<Decision>,
    memory: MemoryForm,
    #[serde(skip_serializing_if = "Option::is_none")]
    votes: Option<VotesPage>,
}

#[derive(Serialize)]
struct Observer<'a> {
    fetch_time: String,
    connection: bool,
    #[serde(flatten)]
    nodes: BTreeMap<&'a str, Fields<'a>>,
}

impl<'a> Observer<'a> {
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
                .map(|(name, sighting)| (name.as_str(), Fields::of_sighting(sighting)))
                .collect(),
        })
    }
}

/// A state file as it is read, each key by itself.
#[derive(Debug, Deserialize)]
pub struct StateFile {
    #[serde(default, deserialize_with = "there")]
    db_nodes: Option<Value>,
    #[serde(default, deserialize_with = "there")]
    current_master: Option<Value>,
    #[serde(default, deserialize_with = "there")]
    memory: Option<Value>,
    #[serde(default)]
    decision: Option<Value>,
}

/// Null is a value as well: it was written.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What a state file means to a process that starts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recalled {
    /// What is remembered by it.
    pub memory: Memory,
    /// Who wrote it, and when.
    pub origin: Origin,
    /// What was not understood, by key.
    pub odd: Vec<String>,
}

/// Who wrote a state file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A process of ours in this boot of the machine: its monotonic times are good.
    #[default]
    ThisBoot,
    /// A process of ours in another boot, or nobody knows in which.
    AnotherBoot,
    /// The original, or something else that knows no `memory`.
    Original,
}

impl StateFile {
    /// Reads a state file, whoever wrote it. An error: it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_STATE_FILE_BYTES {
            return Err(format!("longer than {MAX_STATE_FILE_BYTES} bytes"));
        }
        let is_object = bytes.trim_ascii_start().starts_with(b"{");
        let read = || serde_json::from_slice(bytes).map_err(|error| error.to_string());
        let file = is_object
            .then(read)
            .unwrap_or_else(|| Err("not a JSON object".to_owned()));
        file.map_err(|error| format!("not a state file: {error}"))
    }

    /// The primary, if the file names one. Null and the empty name are what is written while none is
    /// known.
    pub fn primary(&self) -> Option<&str> {
        let name = self.current_master.as_ref().and_then(Value::as_str);
        name.filter(|name| !name.is_empty())
    }

    /// The last decision, if one was written and can be read.
    pub fn decision(&self) -> Option<Decision> {
        Decision::deserialize(self.decision.as_ref()?.as_object()?.clone()).ok()
    }

    /// The last changes of the primary, the oldest first.
    pub fn changes(&self) -> Vec<Change> {
        let changes = self
            .memory
            .as_ref()
            .and_then(|memory| memory.get("changes"));
        let changes = changes.and_then(|changes| Vec::deserialize(changes).ok());
        changes.unwrap_or_default()
    }

    /// The newest pause, or end of one, that the daemon knew.
    pub fn pause(&self) -> PauseMark {
        let memory = self.memory.as_ref();
        let mark = memory.and_then(|memory| memory.get("pause")?.as_str()?.parse().ok());
        mark.unwrap_or_default()
    }

    /// What the last poll of each node found out; an entry that makes no sense is left out.
    pub fn nodes(&self) -> BTreeMap<NodeName, ObservedNode> {
        let nodes = nodes_of(self.db_nodes.as_ref(), &mut Vec::new());
        let nodes = nodes.into_iter();
        nodes
            .filter_map(|(name, node)| Some((name, node.observed().ok()?)))
            .collect()
    }

    /// What the file means to a process that starts now on a machine whose boot is `current_boot_id`.
    /// Where it has no `memory`, contacts and standbys are taken from the last poll of each node.
    /// What is odd is named and left out, and takes nothing else along. An error: no key of it is
    /// that of a state file.
    pub fn recall(self, current_boot_id: Option<&str>) -> Result<Recalled, String> {
        if self.db_nodes.is_none() && self.current_master.is_none() && self.memory.is_none() {
            let missing = "neither db_nodes, current_master nor memory is present";
            return Err(format!("not a state file: {missing}"));
        }
        let mut odd = Vec::new();
        let nodes = nodes_of(self.db_nodes.as_ref(), &mut odd);
        match self.current_master {
            Some(Value::Null | Value::String(_)) => {}
            _ => odd.push("current_master".to_owned()),
        }
        let primary = self.primary().map(NodeName::from);
        let (memory, origin) = memory_of(self.memory, &nodes, current_boot_id, &mut odd);
        Ok(Recalled {
            memory: Memory { primary, ..memory },
            origin,
            odd,
        })
    }
}

impl fmt::Display for Recalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.memory.primary {
            Some(primary) => write!(f, "the primary was {primary}")?,
            None => f.write_str("no primary was known")?,
        }
        f.write_str(match self.origin {
            Origin::ThisBoot => "",
            Origin::AnotherBoot => "; written before the last boot: all waits start again",
            Origin::Original => "; written by the Python pglookout: all waits start again",
        })?;
        if let Some(last) = &self.memory.failover {
            write!(
                f,
                "; failover_command was run at {}: {}",
                timestamp::format(last.wall),
                last.outcome.name()
            )?;
        }
        if self.odd.is_empty() {
            return Ok(());
        }
        let shown: Vec<&str> = self
            .odd
            .iter()
            .take(MAX_ODD_SHOWN)
            .map(String::as_str)
            .collect();
        let more = self.odd.len() - shown.len();
        write!(f, "; ignored: {}", shown.join(", "))?;
        if more > 0 {
            write!(f, " and {more} more")
        } else {
            Ok(())
        }
    }
}

fn nodes_of(found: Option<&Value>, odd: &mut Vec<String>) -> BTreeMap<NodeName, Fields<'static>> {
    let Some(Value::Object(entries)) = found else {
        odd.push("db_nodes".to_owned());
        return BTreeMap::new();
    };
    let mut nodes = BTreeMap::new();
    for (name, entry) in entries {
        match Entry::deserialize(entry) {
            Ok(Entry(node)) => _ = nodes.insert(name.as_str().into(), node),
            Err(_) => odd.push(format!("db_nodes.{name}")),
        }
    }
    nodes
}

fn memory_of(
    found: Option<Value>,
    nodes: &BTreeMap<NodeName, Fields<'_>>,
    current_boot_id: Option<&str>,
    odd: &mut Vec<String>,
) -> (Memory, Origin) {
    let is_there = found.is_some();
    let form = found.filter(Value::is_object).map(MemoryForm::deserialize);
    let Some(Ok(form)) = form else {
        if is_there {
            odd.push("memory".to_owned());
        }
        let memory = Memory {
            contacts: contacts_of(nodes),
            standbys: standbys_of(nodes),
            ..Memory::default()
        };
        return (memory, Origin::Original);
    };
    let same_boot = form.boot_id.is_some() && form.boot_id.as_deref() == current_boot_id;
    let mut read = form.read(Clocks::Absolute { same_boot }, odd);
    if !read.has_contacts {
        read.memory.contacts = contacts_of(nodes);
    }
    if !read.has_standbys {
        read.memory.standbys = standbys_of(nodes);
    }
    let origin = if same_boot {
        Origin::ThisBoot
    } else {
        Origin::AnotherBoot
    };
    (read.memory, origin)
}

fn contacts_of(nodes: &BTreeMap<NodeName, Fields<'_>>) -> BTreeMap<NodeName, Contact> {
    nodes
        .iter()
        .filter_map(|(name, node)| Some((name.clone(), last_contact(node)?)))
        .collect()
}

/// The last contact with a node whose entry is that of a primary. Of one that was lost, its own clock
/// reports when it last answered; a clock that is ahead must not put that after the attempt that
/// failed.
fn last_contact(node: &Fields<'_>) -> Option<Contact> {
    if node.in_recovery()? {
        return None;
    }
    let wall = match node.connection {
        Some(true) => node.fetch_time?,
        _ => node
            .db_time()?
            .min(node.fetch_time.unwrap_or(node.db_time()?)),
    };
    Some(Contact { mono: None, wall })
}

fn standbys_of(nodes: &BTreeMap<NodeName, Fields<'_>>) -> BTreeSet<NodeName> {
    nodes
        .iter()
        .filter(|(_, node)| node.in_recovery() == Some(true))
        .map(|(name, _)| name.clone())
        .collect()
}

/// What an observer's entry holds beside its nodes.
const OBSERVER_KEYS: [&str; 2] = ["fetch_time", "connection"];
/// Odd keys that are named in the log.
const MAX_ODD_SHOWN: usize = 8;

#[cfg(test)]
#[path = "state_file_tests.rs"]
mod tests;
