//! The lines of a timeline file, as the format's page describes them, and errors that name file and line.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cluster::{NodeReport, ObserverReport, ProbeFailure, ProbeStep, RoleReport};
use crate::compat;
use crate::config::{self, Config, Environment, NodeName, ObserverName};
use crate::time::WallTime;

/// One timeline: a header and what follows it.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Its name.
    pub name: String,
    /// The node's own wall clock at `t` 0.
    pub epoch: WallTime,
    /// The configuration in the header.
    pub config: Config,
    /// Everything after the header, in order.
    pub lines: Vec<Line>,
}

/// One line of a timeline.
#[derive(Clone, Debug)]
pub struct Line {
    /// Seconds from the timeline's start.
    pub t: Duration,
    /// Is it one of the facts that a decision may have asked for.
    pub fresh: bool,
    /// What happened.
    pub step: Step,
}

/// What a line tells.
#[derive(Clone, Debug)]
pub enum Step {
    /// A poll of a node has ended.
    Node(NodeName, Result<NodeReport, ProbeFailure>),
    /// A fetch from an observer has ended.
    Observer(ObserverName, Result<ObserverReport, ProbeFailure>),
    /// An open connection was closed under us.
    Lost(NodeName),
    /// The maintenance file appeared or went.
    Maintenance(bool),
    /// A reload.
    Config(Box<Config>),
    /// Our own wall clock reads this from now on.
    Wall(WallTime),
    /// A decision is made here.
    Check(CheckLine),
}

/// A `check` line.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckLine {
    /// How commands that this check runs end: an exit status, a negative signal number, or null: could not be started.
    pub command_exit: Option<i32>,
    /// What preparing the recovery settings said.
    #[serde(default)]
    pub follow: Follow,
    /// What is expected of the decision, key by key.
    #[serde(default)]
    pub expect: Map<String, Value>,
}

/// What preparing the recovery settings said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    /// They were changed.
    #[default]
    Changed,
    /// They were right.
    Unchanged,
    /// They could not be read or written.
    Failed,
}

/// A text that is no timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub reason: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Reads a file of one timeline or many.
pub fn read(text: &str) -> Result<Vec<Timeline>, FormatError> {
    let mut timelines: Vec<Timeline> = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let error = |reason: String| FormatError { line: n + 1, reason };
        let object: Map<String, Value> =
            serde_json::from_str(line).map_err(|cause| error(format!("no JSON object: {cause}")))?;
        if object.contains_key("timeline") {
            timelines.push(header(&object).map_err(error)?);
            continue;
        }
        let Some(timeline) = timelines.last_mut() else {
            return Err(error("expected a header with the key timeline first".to_owned()));
        };
        let line = body_line(&object, timeline.epoch).map_err(error)?;
        if timeline.lines.last().is_some_and(|before| before.t > line.t) {
            return Err(error("t goes back".to_owned()));
        }
        timeline.lines.push(line);
    }
    Ok(timelines)
}

fn header(object: &Map<String, Value>) -> Result<Timeline, String> {
    let name = object.get("timeline").and_then(Value::as_str).ok_or("timeline: expected a name")?;
    let epoch = match object.get("epoch") {
        None => DEFAULT_EPOCH,
        Some(epoch) => epoch.as_str().and_then(compat::timestamp::parse).ok_or("epoch: expected an ISO timestamp")?,
    };
    let config = read_config(object.get("config").ok_or("config: missing")?)?;
    Ok(Timeline { name: name.to_owned(), epoch, config, lines: Vec::new() })
}

fn read_config(value: &Value) -> Result<Config, String> {
    let loaded = config::parse(&value.to_string(), &Environment::default());
    loaded.map(|loaded| loaded.config).map_err(|findings| {
        let errors: Vec<_> = findings.errors.iter().map(ToString::to_string).collect();
        format!("config: {}", errors.join("; "))
    })
}

fn body_line(object: &Map<String, Value>, epoch: WallTime) -> Result<Line, String> {
    let t = object.get("t").and_then(Value::as_f64).and_then(duration).ok_or("t: expected seconds, 0 or more")?;
    let fresh = object.get("fresh").and_then(Value::as_bool).unwrap_or(false);
    Ok(Line { t, fresh, step: step(object, epoch)? })
}

fn step(object: &Map<String, Value>, epoch: WallTime) -> Result<Step, String> {
    let name = |key: &str| object.get(key).and_then(Value::as_str);
    if let Some(node) = name("node") {
        return Ok(Step::Node(node.into(), outcome(object, |report| node_report(report, epoch))?));
    }
    if let Some(observer) = name("observer") {
        return Ok(Step::Observer(observer.into(), outcome(object, |report| observer_report(report, epoch))?));
    }
    if let Some(node) = name("lost") {
        return Ok(Step::Lost(node.into()));
    }
    if let Some(exists) = object.get("maintenance") {
        return exists.as_bool().map(Step::Maintenance).ok_or_else(|| "maintenance: expected true or false".to_owned());
    }
    if let Some(config) = object.get("config") {
        return Ok(Step::Config(Box::new(read_config(config)?)));
    }
    if let Some(wall) = object.get("wall") {
        return wall
            .as_f64()
            .map(|wall| Step::Wall(at(epoch, wall)))
            .ok_or_else(|| "wall: expected seconds".to_owned());
    }
    let check = object.get("check").ok_or("expected node, observer, lost, maintenance, config, wall or check")?;
    CheckLine::deserialize(check).map(Step::Check).map_err(|cause| format!("check: {cause}"))
}

fn outcome<T>(
    object: &Map<String, Value>,
    report: impl Fn(&Value) -> Result<T, String>,
) -> Result<Result<T, ProbeFailure>, String> {
    match (object.get("report"), object.get("failure").and_then(Value::as_str)) {
        (Some(value), None) => report(value).map(Ok),
        (None, Some(name)) => failure(name).map(Err),
        _ => Err("expected either a report or a failure".to_owned()),
    }
}

fn failure(name: &str) -> Result<ProbeFailure, String> {
    let text = || "recorded".to_owned();
    Ok(match name {
        "unreachable" => ProbeFailure::Unreachable { reason: text() },
        "timed_out" => ProbeFailure::TimedOut { step: ProbeStep::Answering },
        "authentication" => ProbeFailure::AuthenticationRejected { message: text() },
        "refused" => ProbeFailure::Refused { message: text() },
        "not_ready" => ProbeFailure::NotReady { message: text() },
        "nonsense" => ProbeFailure::Nonsense { reason: text() },
        other => {
            return Err(format!(
                "failure {other:?}: expected unreachable, timed_out, authentication, refused, not_ready or nonsense"
            ));
        }
    })
}

#[derive(Deserialize)]
struct WireNode {
    in_recovery: bool,
    db_time: f64,
    lsn: Option<String>,
    receive_lsn: Option<String>,
    replay_lsn: Option<String>,
    last_replay: Option<f64>,
}

#[derive(Deserialize)]
struct WireObserver {
    date: f64,
    nodes: BTreeMap<String, Value>,
}

fn node_report(value: &Value, epoch: WallTime) -> Result<NodeReport, String> {
    let wire = WireNode::deserialize(value).map_err(|cause| format!("report: {cause}"))?;
    let lsn = |text: Option<String>| {
        text.map(|text| text.parse().map_err(|cause| format!("report: {text:?}: {cause}"))).transpose()
    };
    let role = if wire.in_recovery {
        RoleReport::Standby {
            receive: lsn(wire.receive_lsn)?,
            replay: lsn(wire.replay_lsn)?,
            last_replay: wire.last_replay.map(|seconds| at(epoch, seconds)),
        }
    } else {
        RoleReport::Primary { lsn: lsn(wire.lsn)?, slots: Vec::new() }
    };
    Ok(NodeReport { db_time: at(epoch, wire.db_time), role })
}

fn observer_report(value: &Value, epoch: WallTime) -> Result<ObserverReport, String> {
    let wire = WireObserver::deserialize(value).map_err(|cause| format!("report: {cause}"))?;
    let body = serde_json::to_vec(&wire.nodes).map_err(|cause| format!("report: {cause}"))?;
    compat::observed::read(&body, at(epoch, wire.date)).map_err(|cause| format!("report: {cause}"))
}

/// Wall-clock values are seconds from the epoch, to the microsecond.
fn at(epoch: WallTime, seconds: f64) -> WallTime {
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates, and a second is far from the edge")]
    let micros = (seconds * 1e6).round() as i64;
    WallTime::from_unix_micros(epoch.unix_micros().saturating_add(micros))
}

fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// 2024-01-01T00:00:00Z.
const DEFAULT_EPOCH: WallTime = WallTime::from_unix_micros(1_704_067_200_000_000);

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
