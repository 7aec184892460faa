//! The lines of a timeline file, as the format's page describes them, read one by one; what is no
//! line is an error that says which line, what is wrong with it, and what was expected.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::event::{OUTCOMES, read_step};
use super::moment::time;
use super::timeline::{Line, Timeline, read_config, read_memory};
use super::{switchover_event, vote_event};
use crate::lookout::Memory;
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

/// Each line is a text of its own, so only the column means something.
fn no_object(cause: &serde_json::Error) -> String {
    let reason = cause.to_string();
    let reason = reason
        .rsplit_once(" at line ")
        .map_or(reason.as_str(), |(reason, _)| reason);
    format!("no JSON object: {reason} at column {}", cause.column())
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
            .and_then(time)
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

fn body_line(object: &Map<String, Value>, epoch: WallTime) -> Result<Line, String> {
    let t = object
        .get("t")
        .and_then(Value::as_f64)
        .and_then(time)
        .ok_or("t: expected seconds, 0 or more")?;
    let all = KINDS.iter().chain(&vote_event::KINDS);
    let all = all.chain(&switchover_event::KINDS);
    let kinds: Vec<_> = all
        .clone()
        .filter(|(kind, _)| object.contains_key(*kind))
        .collect();
    let Some((kind, others)) = kinds.first() else {
        let kinds: Vec<_> = all.map(|(kind, _)| *kind).collect();
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
        step: read_step(kind, object, epoch)?,
    })
}

/// What a line may report, and the keys that may go with it.
const KINDS: [(&str, &[&str]); 15] = [
    ("node", &["report", "failure", "message", "step", "fresh"]),
    (
        "observer",
        &["report", "failure", "message", "step", "fresh"],
    ),
    ("lost", &["failure", "message", "step", "fresh"]),
    ("maintenance", &[]),
    ("config", &[]),
    ("wall", &[]),
    ("check", &[]),
    ("check_requested", &[]),
    ("pause", &[]),
    ("command", &OUTCOMES),
    // Of version 3.0.
    ("former_command_ended", &[]),
    ("previous_command", &[]),
    ("follow_prepared", &["message"]),
    ("turn", &["verdict", "reason"]),
    ("end", &[]),
];
/// Keys of every line; a note is for people.
const FOR_ALL: [&str; 2] = ["t", "note"];
/// 2024-01-01T00:00:00Z.
const DEFAULT_EPOCH: WallTime = WallTime::from_unix_micros(1_704_067_200_000_000);
/// Where `t` 0 lies on the monotonic clock if nothing is given: far enough from its zero that
/// ages never reach it.
const DEFAULT_START: Duration = Duration::from_secs(1_000_000_000);
/// What one timeline may hold: the largest flight recorder's file.
const MAX_TIMELINE_BYTES: usize = 320 << 20;

#[cfg(test)]
#[path = "timeline_reader_tests.rs"]
mod tests;
