//! The state file as it is read at start: by whomever it was written, as far as it makes sense.
//! What is odd is named and left out, and takes nothing else along.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::node_entry::NodeEntry;
use crate::config::NodeName;
use crate::lookout::{Contact, FailoverOutcome, Memory, PastFailover, Process};
use crate::time::timestamp;
use crate::time::{Monotonic, WallTime};

/// What a state file told.
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

/// What the file still tells a process that starts now on a machine whose boot is
/// `current_boot_id`. Where it has no `memory`, contacts and standbys are taken from what the last
/// poll of each node told. An error: it is no state file.
pub fn read(bytes: &[u8], current_boot_id: Option<&str>) -> Result<Recalled, String> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(format!("longer than {MAX_FILE_BYTES} bytes"));
    }
    let file: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| format!("not a state file: {error}"))?;
    let file = Stored::from(file);
    if file.db_nodes.is_none() && file.current_master.is_none() && file.memory.is_none() {
        return Err(
            "not a state file: neither db_nodes, current_master nor memory is present".to_owned(),
        );
    }
    let mut reader = Reader {
        current_boot_id,
        odd: Vec::new(),
    };
    let nodes = reader.nodes(file.db_nodes);
    let primary = reader.primary(file.current_master);
    let (mut memory, origin) = reader.memory(file.memory, &nodes);
    memory.primary = primary;
    Ok(Recalled {
        memory,
        origin,
        odd: reader.odd,
    })
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

/// What of the file is looked at, each key by itself.
struct Stored {
    db_nodes: Option<Value>,
    current_master: Option<Value>,
    memory: Option<Value>,
}

impl From<Map<String, Value>> for Stored {
    fn from(mut file: Map<String, Value>) -> Self {
        let mut take = |key| file.remove(key);
        Self {
            db_nodes: take("db_nodes"),
            current_master: take("current_master"),
            memory: take("memory"),
        }
    }
}

struct Reader<'a> {
    current_boot_id: Option<&'a str>,
    odd: Vec<String>,
}

impl Reader<'_> {
    fn nodes(&mut self, found: Option<Value>) -> BTreeMap<NodeName, NodeEntry> {
        let Some(Value::Object(entries)) = found else {
            self.odd.push("db_nodes".to_owned());
            return BTreeMap::new();
        };
        let mut nodes = BTreeMap::new();
        for (name, entry) in entries {
            match NodeEntry::deserialize(entry) {
                Ok(node) => _ = nodes.insert(name.as_str().into(), node),
                Err(_) => self.odd.push(format!("db_nodes.{name}")),
            }
        }
        nodes
    }

    /// Null and the empty name are what is written while no primary is known.
    fn primary(&mut self, found: Option<Value>) -> Option<NodeName> {
        match found {
            Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name)
                .filter(|name| !name.is_empty())
                .map(|name| name.as_str().into()),
            _ => {
                self.odd.push("current_master".to_owned());
                None
            }
        }
    }

    fn memory(
        &mut self,
        found: Option<Value>,
        nodes: &BTreeMap<NodeName, NodeEntry>,
    ) -> (Memory, Origin) {
        let stored = match found {
            Some(Value::Object(stored)) => stored,
            found => {
                if found.is_some() {
                    self.odd.push("memory".to_owned());
                }
                let (contacts, standbys) = (told_contacts(nodes), told_standbys(nodes));
                return (
                    Memory {
                        contacts,
                        standbys,
                        ..Memory::default()
                    },
                    Origin::Original,
                );
            }
        };
        let boot_id = stored.get("boot_id").and_then(Value::as_str);
        let same_boot = boot_id.is_some() && boot_id == self.current_boot_id;
        let memory = Memory {
            primary: None,
            contacts: self
                .contacts(&stored, same_boot)
                .unwrap_or_else(|| told_contacts(nodes)),
            standbys: self
                .standbys(&stored)
                .unwrap_or_else(|| told_standbys(nodes)),
            failover: self.failover(&stored, same_boot),
            failover_failed: stored.get("failover_failed") == Some(&Value::Bool(true)),
            // After a boot every server of the machine was started anew.
            restart_owed: same_boot && stored.get("restart_owed") == Some(&Value::Bool(true)),
        };
        (
            memory,
            if same_boot {
                Origin::ThisBoot
            } else {
                Origin::AnotherBoot
            },
        )
    }

    fn contacts(
        &mut self,
        stored: &Map<String, Value>,
        same_boot: bool,
    ) -> Option<BTreeMap<NodeName, Contact>> {
        let Some(Value::Object(entries)) = stored.get("primary_contacts") else {
            self.odd.push("memory.primary_contacts".to_owned());
            return None;
        };
        let mut contacts = BTreeMap::new();
        for (name, entry) in entries {
            match moment(entry, same_boot) {
                Some((mono, wall)) => {
                    _ = contacts.insert(name.as_str().into(), Contact { mono, wall })
                }
                None => self.odd.push(format!("memory.primary_contacts.{name}")),
            }
        }
        Some(contacts)
    }

    /// Not there in files of a version that did not keep them.
    fn standbys(&mut self, stored: &Map<String, Value>) -> Option<BTreeSet<NodeName>> {
        let names = stored.get("standbys")?;
        let standbys = names.as_array().and_then(|names| {
            names
                .iter()
                .map(|name| Some(name.as_str()?.into()))
                .collect()
        });
        if standbys.is_none() {
            self.odd.push("memory.standbys".to_owned());
        }
        standbys
    }

    fn failover(&mut self, stored: &Map<String, Value>, same_boot: bool) -> Option<PastFailover> {
        let entry = stored.get("failover").filter(|entry| !entry.is_null())?;
        let read = || {
            let (mono, wall) = moment(entry, same_boot)?;
            let outcome = entry.get("outcome").and_then(Value::as_str)?;
            let outcome = FailoverOutcome::ALL
                .into_iter()
                .find(|known| known.name() == outcome)?;
            let primary = entry
                .get("primary")
                .and_then(Value::as_str)
                .map(NodeName::from);
            Some(PastFailover {
                primary,
                outcome,
                mono,
                wall,
                process: None,
            })
        };
        let Some(mut failover) = read() else {
            self.odd.push("memory.failover".to_owned());
            return None;
        };
        // Another boot has other processes.
        if let Some(entry) = entry
            .get("process")
            .filter(|entry| same_boot && !entry.is_null())
        {
            failover.process = process(entry);
            if failover.process.is_none() {
                self.odd.push("memory.failover.process".to_owned());
            }
        }
        Some(failover)
    }
}

/// A point in time on both clocks; the monotonic one counts in its own boot only.
fn moment(entry: &Value, same_boot: bool) -> Option<(Option<Monotonic>, WallTime)> {
    let wall = timestamp::parse(entry.get("seen")?.as_str()?)?;
    let mono = entry
        .get("monotonic")
        .and_then(Value::as_f64)
        .filter(|_| same_boot)
        .and_then(monotonic);
    Some((mono, wall))
}

fn process(entry: &Value) -> Option<Process> {
    let pid = entry
        .get("pid")?
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok())?;
    Some(Process {
        pid,
        started: entry.get("started")?.as_u64()?,
    })
}

/// To the microsecond, as the clock is read.
fn monotonic(seconds: f64) -> Option<Monotonic> {
    let exact = Duration::try_from_secs_f64(seconds).ok()?;
    let micros = u64::try_from(exact.saturating_add(HALF_A_MICROSECOND).as_micros()).ok()?;
    Some(Monotonic::from_duration(Duration::from_micros(micros)))
}

const HALF_A_MICROSECOND: Duration = Duration::from_nanos(500);

fn told_contacts(nodes: &BTreeMap<NodeName, NodeEntry>) -> BTreeMap<NodeName, Contact> {
    nodes
        .iter()
        .filter_map(|(name, node)| Some((name.clone(), told_contact(node)?)))
        .collect()
}

/// The last contact with a node that says it is a primary. Of one that was lost, its own clock
/// tells when it last answered; a clock that is ahead must not put that after the attempt that
/// failed.
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

fn told_standbys(nodes: &BTreeMap<NodeName, NodeEntry>) -> BTreeSet<NodeName> {
    nodes
        .iter()
        .filter(|(_, node)| node.in_recovery == Some(true))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Bytes of a state file that is read at start.
const MAX_FILE_BYTES: usize = 64 << 20;
/// Odd keys that are named in the log.
const MAX_ODD_SHOWN: usize = 8;

#[cfg(test)]
#[path = "recalled_tests.rs"]
mod tests;
