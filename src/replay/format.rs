//! The lines of a timeline file, as the format's page describes them, read one by one; what is no
//! line is an error that says which line, what is wrong with it, and what was expected.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::timeline::{CheckLine, Decided, Line, Step, Timeline};
use super::words::{self, at};
use crate::cluster::{NodeReport, ObserverReport, ProbeFailure, RoleReport};
use crate::compat;
use crate::config::{self, Config, Environment, NodeName};
use crate::lookout::{Contact, Memory, PastFailover, PreviousCommand, Process};
use crate::time::{Monotonic, Now, WallTime};

/// A line that is longer is refused.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// A text that is no timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub reason: String,
    /// The line ends in the middle of its JSON.
    pub is_cut_short: bool,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Reads a text of one timeline or many.
pub fn read(text: &str) -> Result<Vec<Timeline>, FormatError> {
    let mut reader = Reader::default();
    let mut timelines = Vec::new();
    for line in text.lines() {
        timelines.extend(reader.line(line.as_bytes())?);
    }
    timelines.extend(reader.finish());
    Ok(timelines)
}

/// Takes the lines of a file, one after another, and gives each timeline when it is complete.
#[derive(Debug, Default)]
pub struct Reader {
    lines: usize,
    /// Of the timeline that is being read.
    bytes: usize,
    open: Option<Timeline>,
}

impl Reader {
    /// Takes the next line, without its end. A header completes the timeline before it.
    pub fn line(&mut self, text: &[u8]) -> Result<Option<Timeline>, FormatError> {
        self.lines += 1;
        if text.len() > MAX_LINE_BYTES {
            return Err(self.error(format!("longer than {MAX_LINE_BYTES} bytes")));
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let object: Map<String, Value> =
            serde_json::from_slice(text).map_err(|cause| FormatError {
                is_cut_short: cause.is_eof(),
                ..self.error(no_object(&cause))
            })?;
        if object.contains_key("timeline") {
            let timeline = header(&object).map_err(|reason| self.error(reason))?;
            self.bytes = text.len();
            return Ok(self.open.replace(timeline));
        }
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > MAX_TIMELINE_BYTES {
            return Err(self.error(format!(
                "a timeline of more than {MAX_TIMELINE_BYTES} bytes: cut it"
            )));
        }
        self.body_line(&object)
            .map_err(|reason| self.error(reason))?;
        Ok(None)
    }

    /// The lines taken so far.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Has a timeline begun.
    pub fn has_begun(&self) -> bool {
        self.open.is_some()
    }

    /// There are no more lines.
    pub fn finish(self) -> Option<Timeline> {
        self.open
    }

    fn body_line(&mut self, object: &Map<String, Value>) -> Result<(), String> {
        let timeline = self
            .open
            .as_mut()
            .ok_or("expected a header with the key timeline first")?;
        let line = body_line(object, timeline.start.wall)?;
        let before = timeline.lines.last().map_or(Duration::ZERO, |line| line.t);
        if before > line.t {
            let (before, t) = (before.as_secs_f64(), line.t.as_secs_f64());
            return Err(format!(
                "t goes back from {before} to {t}: expected lines in order of time"
            ));
        }
        timeline.lines.push(line);
        Ok(())
    }

    fn error(&self, reason: String) -> FormatError {
        FormatError {
            line: self.lines,
            reason,
            is_cut_short: false,
        }
    }
}

/// Each line is a text of its own, so only the column says something.
fn no_object(cause: &serde_json::Error) -> String {
    let said = cause.to_string();
    let said = said
        .rsplit_once(" at line ")
        .map_or(said.as_str(), |(said, _)| said);
    format!("no JSON object: {said} at column {}", cause.column())
}

fn header(object: &Map<String, Value>) -> Result<Timeline, String> {
    let name = object
        .get("timeline")
        .and_then(Value::as_str)
        .ok_or("timeline: expected a name")?;
    let wall = match object.get("epoch") {
        None => DEFAULT_EPOCH,
        Some(epoch) => epoch
            .as_str()
            .and_then(crate::time::timestamp::parse)
            .ok_or("epoch: expected an ISO timestamp such as 2024-01-01T00:00:00Z")?,
    };
    let mono = match object.get("monotonic") {
        None => DEFAULT_START,
        Some(seconds) => seconds
            .as_f64()
            .and_then(words::time)
            .ok_or("monotonic: expected seconds, 0 or more")?,
    };
    let start = Now {
        mono: Monotonic::from_duration(mono),
        wall,
    };
    let config = read_config(object.get("config").ok_or("config: missing")?)?;
    let memory = object
        .get("memory")
        .map_or(Ok(Memory::default()), |memory| read_memory(memory, start))?;
    Ok(Timeline {
        name: name.to_owned(),
        start,
        config,
        memory,
        lines: Vec::new(),
    })
}

fn read_config(value: &Value) -> Result<Config, String> {
    let loaded = config::parse(&value.to_string(), &Environment::default());
    loaded.map(|loaded| loaded.config).map_err(|findings| {
        let errors: Vec<_> = findings.errors.iter().map(ToString::to_string).collect();
        format!("config: {}", errors.join("; "))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMemory {
    primary: Option<String>,
    #[serde(default)]
    contacts: BTreeMap<String, WireContact>,
    #[serde(default)]
    standbys: Vec<String>,
    #[serde(default)]
    restart_owed: bool,
    failover: Option<WireFailover>,
    #[serde(default)]
    failover_failed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFailover {
    primary: Option<String>,
    outcome: String,
    t: Option<f64>,
    wall: f64,
    process: Option<WireProcess>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProcess {
    pid: u32,
    started: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireContact {
    t: Option<f64>,
    wall: f64,
}

fn read_memory(value: &Value, start: Now) -> Result<Memory, String> {
    let wire = WireMemory::deserialize(value).map_err(|cause| format!("memory: {cause}"))?;
    let contact = |contact: &WireContact| Contact {
        mono: contact.t.map(|t| moment(start.mono, t)),
        wall: at(start.wall, contact.wall),
    };
    let failover = wire
        .failover
        .as_ref()
        .map(|last| read_failover(last, start))
        .transpose()?;
    Ok(Memory {
        primary: wire.primary.map(|primary| primary.as_str().into()),
        contacts: wire
            .contacts
            .iter()
            .map(|(node, seen)| (node.as_str().into(), contact(seen)))
            .collect(),
        standbys: wire
            .standbys
            .iter()
            .map(|node| node.as_str().into())
            .collect(),
        restart_owed: wire.restart_owed,
        failover,
        failover_failed: wire.failover_failed,
    })
}

fn read_failover(last: &WireFailover, start: Now) -> Result<PastFailover, String> {
    Ok(PastFailover {
        primary: last.primary.as_deref().map(NodeName::from),
        outcome: words::read_failover(&last.outcome).map_err(|cause| format!("memory: {cause}"))?,
        mono: last.t.map(|t| moment(start.mono, t)),
        wall: at(start.wall, last.wall),
        process: last
            .process
            .as_ref()
            .map(|WireProcess { pid, started }| Process {
                pid: *pid,
                started: *started,
            }),
    })
}

/// A moment before (negative) or after the start.
fn moment(start: Monotonic, seconds: f64) -> Monotonic {
    let micros = words::micros(seconds);
    let by = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 {
        start.before(by)
    } else {
        start + by
    }
}

fn body_line(object: &Map<String, Value>, epoch: WallTime) -> Result<Line, String> {
    let t = object
        .get("t")
        .and_then(Value::as_f64)
        .and_then(words::time)
        .ok_or("t: expected seconds, 0 or more")?;
    let kinds: Vec<_> = KINDS
        .iter()
        .filter(|(kind, _)| object.contains_key(*kind))
        .collect();
    let Some((kind, others)) = kinds.first() else {
        let kinds: Vec<_> = KINDS.iter().map(|(kind, _)| *kind).collect();
        return Err(
            match object.keys().find(|key| !FOR_ALL.contains(&key.as_str())) {
                Some(key) => format!("unknown key {key:?}: expected one of {}", kinds.join(", ")),
                None => format!("expected one of {}", kinds.join(", ")),
            },
        );
    };
    let known = |key: &str| key == *kind || FOR_ALL.contains(&key) || others.contains(&key);
    if let Some(key) = object.keys().find(|key| !known(key)) {
        return Err(format!("unknown key {key:?} in a line of {kind}"));
    }
    let fresh = match object.get("fresh") {
        None => false,
        Some(fresh) => fresh.as_bool().ok_or("fresh: expected true or false")?,
    };
    Ok(Line {
        t,
        fresh,
        step: step(kind, object, epoch)?,
    })
}

fn step(kind: &str, object: &Map<String, Value>, epoch: WallTime) -> Result<Step, String> {
    let value = object.get(kind).unwrap_or(&Value::Null);
    let name = || {
        value
            .as_str()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| format!("{kind}: expected a name"))
    };
    let truth = || {
        value
            .as_bool()
            .ok_or_else(|| format!("{kind}: expected true or false"))
    };
    let mark = |step: Step| {
        (*value == Value::Bool(true))
            .then_some(step)
            .ok_or_else(|| format!("{kind}: expected true"))
    };
    match kind {
        "node" => Ok(Step::Node(
            name()?.into(),
            outcome(object, |report| node_report(report, epoch))?,
        )),
        "observer" => Ok(Step::Observer(
            name()?.into(),
            outcome(object, |report| observer_report(report, epoch))?,
        )),
        "lost" => Ok(Step::Lost(
            name()?.into(),
            failure(object)?.unwrap_or_else(words::lost_without_a_word),
        )),
        "maintenance" => truth().map(Step::Maintenance),
        "config" => Ok(Step::Config(Box::new(read_config(value)?))),
        "wall" => value
            .as_f64()
            .map(|wall| Step::Wall(at(epoch, wall)))
            .ok_or_else(|| "wall: expected seconds".to_owned()),
        "check_requested" => mark(Step::CheckRequested),
        "command" => {
            let names = words::PURPOSES.map(words::purpose_name).join(" or ");
            let purpose = name()
                .ok()
                .and_then(words::read_purpose)
                .ok_or_else(|| format!("command: expected {names}"))?;
            Ok(Step::Command(purpose, words::read_outcome(object)?))
        }
        words::FORMER_COMMAND_ENDED => mark(Step::PreviousCommand(PreviousCommand::Ended)),
        words::PREVIOUS_COMMAND => {
            words::read_previous(value.as_str().unwrap_or_default()).map(Step::PreviousCommand)
        }
        words::FOLLOW => {
            let message = text(object, words::MESSAGE)?;
            words::read_follow(value.as_str().unwrap_or_default(), message)
                .map(Step::FollowPrepared)
        }
        "turn" => mark(Step::Turn(decided(object)?)),
        "end" => mark(Step::End),
        _ => CheckLine::deserialize(value)
            .map(Step::Check)
            .map_err(|cause| format!("check: {cause}")),
    }
}

fn outcome<T>(
    object: &Map<String, Value>,
    report: impl Fn(&Value) -> Result<T, String>,
) -> Result<Result<T, ProbeFailure>, String> {
    match (object.get("report"), failure(object)?) {
        (Some(value), None) => report(value).map(Ok),
        (None, Some(failure)) => Ok(Err(failure)),
        _ => Err("expected either a report or a failure".to_owned()),
    }
}

fn failure(object: &Map<String, Value>) -> Result<Option<ProbeFailure>, String> {
    let (message, step) = (text(object, words::MESSAGE)?, text(object, words::STEP)?);
    match text(object, words::FAILURE)? {
        Some(name) => words::read_failure(name, message, step).map(Some),
        None if message.is_some() || step.is_some() => {
            Err("message and step belong to a failure".to_owned())
        }
        None => Ok(None),
    }
}

/// A verdict without its reason is no more than a note.
fn decided(object: &Map<String, Value>) -> Result<Option<Decided>, String> {
    let decided = text(object, "verdict")?.zip(text(object, "reason")?);
    Ok(decided.map(|(verdict, reason)| Decided {
        verdict: verdict.to_owned(),
        reason: reason.to_owned(),
    }))
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    let value = object.get(key);
    value
        .map(|value| {
            value
                .as_str()
                .ok_or_else(|| format!("{key}: expected a text"))
        })
        .transpose()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireNode {
    in_recovery: bool,
    db_time: f64,
    lsn: Option<String>,
    receive_lsn: Option<String>,
    replay_lsn: Option<String>,
    last_replay: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireObserver {
    date: f64,
    nodes: BTreeMap<String, Value>,
}

fn node_report(value: &Value, epoch: WallTime) -> Result<NodeReport, String> {
    let wire = WireNode::deserialize(value).map_err(|cause| format!("report: {cause}"))?;
    let lsn = |text: Option<String>| {
        text.map(|text| {
            text.parse()
                .map_err(|cause| format!("report: {text:?}: {cause}"))
        })
        .transpose()
    };
    let role = if wire.in_recovery {
        RoleReport::Standby {
            receive: lsn(wire.receive_lsn)?,
            replay: lsn(wire.replay_lsn)?,
            last_replay: wire.last_replay.map(|seconds| at(epoch, seconds)),
        }
    } else {
        RoleReport::Primary {
            lsn: lsn(wire.lsn)?,
            slots: Vec::new(),
        }
    };
    Ok(NodeReport {
        db_time: at(epoch, wire.db_time),
        role,
    })
}

fn observer_report(value: &Value, epoch: WallTime) -> Result<ObserverReport, String> {
    let wire = WireObserver::deserialize(value).map_err(|cause| format!("report: {cause}"))?;
    let body = serde_json::to_vec(&wire.nodes).map_err(|cause| format!("report: {cause}"))?;
    compat::observed::read(&body, at(epoch, wire.date)).map_err(|cause| {
        let cause = cause
            .rsplit_once(" at line ")
            .map_or(cause.as_str(), |(said, _)| said);
        format!("report: {cause}")
    })
}

/// What a line may tell, and the keys that may go with it.
const KINDS: [(&str, &[&str]); 14] = [
    (
        "node",
        &[
            "report",
            words::FAILURE,
            words::MESSAGE,
            words::STEP,
            "fresh",
        ],
    ),
    (
        "observer",
        &[
            "report",
            words::FAILURE,
            words::MESSAGE,
            words::STEP,
            "fresh",
        ],
    ),
    (
        "lost",
        &[words::FAILURE, words::MESSAGE, words::STEP, "fresh"],
    ),
    ("maintenance", &[]),
    ("config", &[]),
    ("wall", &[]),
    ("check", &[]),
    ("check_requested", &[]),
    ("command", &words::OUTCOMES),
    (words::FORMER_COMMAND_ENDED, &[]),
    (words::PREVIOUS_COMMAND, &[]),
    (words::FOLLOW, &[words::MESSAGE]),
    ("turn", &["verdict", "reason"]),
    ("end", &[]),
];
/// Keys of every line; a note is for people.
const FOR_ALL: [&str; 2] = ["t", "note"];
/// 2024-01-01T00:00:00Z.
const DEFAULT_EPOCH: WallTime = WallTime::from_unix_micros(1_704_067_200_000_000);
/// Where `t` 0 lies on the monotonic clock if nothing is said of it: far enough from its zero that
/// ages never reach it.
const DEFAULT_START: Duration = Duration::from_secs(1_000_000_000);
/// What one timeline may hold: the largest flight recorder's file.
const MAX_TIMELINE_BYTES: usize = 320 << 20;

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
