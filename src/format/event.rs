//! Events as lines of a timeline, both directions: the words for reports, failures, ends of commands
//! and what else happens to the core.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::moment::{at, since};
use super::node::Observed;
use super::report::{ObserversReport, Report};
use super::timeline::{CheckLine, Decided, Step, read_config};
use super::{switchover_event, vote_event};
use crate::cluster::{ObserverReport, PauseMark, ProbeFailure, ProbeStep};
use crate::config::{Config, NodeName};
use crate::lookout::{
    CommandId, CommandOutcome, CommandPurpose, Event, FollowOutcome, PreviousCommand,
};
use crate::time::WallTime;

/// How the variants of the core are written. Each is derived from the type itself, so that a new
/// variant breaks the build here.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ProbeFailure", tag = "failure", rename_all = "snake_case")]
enum Failure {
    Unreachable {
        #[serde(rename = "message", default = "unrecorded")]
        reason: String,
    },
    TimedOut {
        #[serde(with = "FailedStep", default = "answering")]
        step: ProbeStep,
    },
    #[serde(rename = "authentication")]
    AuthenticationRejected {
        #[serde(default = "unrecorded")]
        message: String,
    },
    Refused {
        #[serde(default = "unrecorded")]
        message: String,
    },
    NotReady {
        #[serde(default = "unrecorded")]
        message: String,
    },
    #[serde(rename = "nonsense")]
    ProtocolError {
        #[serde(rename = "message", default = "unrecorded")]
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProbeStep", rename_all = "snake_case")]
enum FailedStep {
    Resolving,
    Connecting,
    LoggingIn,
    Answering,
}

/// By the key of the configuration that holds the command.
#[derive(Serialize, Deserialize)]
#[serde(remote = "CommandPurpose")]
enum Purpose {
    #[serde(rename = "failover_command")]
    Failover,
    #[serde(rename = "over_warning_limit_command")]
    LagWarning,
    #[serde(rename = "isolated_primary_command")]
    Isolation,
    #[serde(rename = "pg_stop_command")]
    FollowStop,
    #[serde(rename = "pg_start_command")]
    FollowStart,
    #[serde(rename = "fence_command")]
    Fence,
    #[serde(rename = "unfence_command")]
    Unfence,
    #[serde(rename = "demote_command")]
    Demote,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Exit(i32),
    Signal(i32),
    TimedOut(True),
    NotStarted(String),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PreviousCommand", rename_all = "snake_case")]
enum Previous {
    Ended,
    Unobservable,
}

#[derive(Serialize, Deserialize)]
#[serde(
    remote = "FollowOutcome",
    tag = "follow_prepared",
    content = "message",
    rename_all = "snake_case"
)]
enum Followed {
    Changed,
    Unchanged,
    Failed(String),
    Unknown(String),
    #[serde(rename = "not_a_standby")]
    NotAStandby(String),
}

/// A key that is there or not, and then true.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, &'static str> {
        value.then_some(Self).ok_or("expected true")
    }
}

impl From<True> for bool {
    fn from(_: True) -> Self {
        true
    }
}

/// What of an event only its recorder knows.
pub trait Recording {
    /// What this command was run for.
    fn purpose(&mut self, id: CommandId) -> Option<CommandPurpose>;
    /// The configuration without its secrets.
    fn config(&mut self, config: &Config) -> Value;
    /// Does any decision look at this node.
    fn is_ours(&self, node: &NodeName) -> bool;
}

/// The line of an event, without its time; `None` if nothing of it is needed to replay. What no
/// decision looks at is left out: the slots of a primary, and what observers report of servers that
/// are not ours.
pub fn write_event(
    event: &Event,
    epoch: WallTime,
    recording: &mut impl Recording,
) -> Option<Map<String, Value>> {
    let mut line = Map::new();
    match event {
        Event::VoteFileRead { .. }
        | Event::VoteRequested { .. }
        | Event::VoteAnswered { .. }
        | Event::VoteSaved { .. }
        | Event::HostSlept(_)
        | Event::WatchdogSeen(_)
        | Event::SwitchoverRequested(_)
        | Event::ControlRead(_) => put_all(&mut line, Value::serialize, &of_votes(event)?),
        Event::ConfigLoaded(config) => put(&mut line, "config", &recording.config(config)),
        Event::NodeProbed { node, outcome, .. } => {
            put(&mut line, "node", node.as_str());
            match outcome {
                Ok(report) => put(&mut line, "report", &Report::of(report, epoch)),
                Err(failure) => put_all(&mut line, Failure::serialize, failure),
            }
        }
        Event::NodeLost { node, failure } => {
            put(&mut line, "lost", node.as_str());
            put_all(&mut line, Failure::serialize, failure);
        }
        Event::ObserverProbed {
            observer, outcome, ..
        } => {
            put(&mut line, "observer", observer.as_str());
            match outcome {
                Ok(report) => {
                    let ours = report
                        .nodes
                        .iter()
                        .filter(|(node, _)| recording.is_ours(node));
                    let report = ObserversReport {
                        date: since(epoch, report.date),
                        nodes: Observed(ours.map(|(n, seen)| (n.clone(), seen.clone())).collect()),
                    };
                    put(&mut line, "report", &report);
                }
                Err(failure) => put_all(&mut line, Failure::serialize, failure),
            }
        }
        Event::CheckRequested => put(&mut line, "check_requested", &True),
        Event::PauseSet(mark) => put(&mut line, "pause", &mark.to_string()),
        Event::CommandExited { id, outcome } => {
            line.insert(
                "command".to_owned(),
                value(Purpose::serialize, &recording.purpose(*id)?),
            );
            put_all(&mut line, Outcome::serialize, &Outcome::from(outcome));
        }
        Event::PreviousCommand(news) => {
            line.insert(
                "previous_command".to_owned(),
                value(Previous::serialize, news),
            );
        }
        Event::FollowPrepared(outcome) => put_all(&mut line, Followed::serialize, outcome),
        // Of no consequence for any decision of this process.
        Event::CommandStarted { .. } | Event::Stopping => return None,
        // A turn has its own line.
        Event::Turn(_) => return None,
    }
    Some(line)
}

fn of_votes(event: &Event) -> Option<Value> {
    vote_event::write(event).or_else(|| switchover_event::write(event))
}

/// What a line of this `kind` says.
pub(super) fn read_step(
    kind: &str,
    line: &Map<String, Value>,
    epoch: WallTime,
) -> Result<Step, String> {
    let value = line.get(kind).unwrap_or(&Value::Null);
    let name = || {
        let name = value.as_str().filter(|name| !name.is_empty());
        name.ok_or_else(|| format!("{kind}: expected a name"))
    };
    let mark = |step: Step| match value {
        Value::Bool(true) => Ok(step),
        _ => Err(format!("{kind}: expected true")),
    };
    let event = match kind {
        "node" => Event::NodeProbed {
            node: name()?.into(),
            probe: None,
            outcome: outcome(line, |report: Report| report.read(epoch))?,
        },
        "observer" => Event::ObserverProbed {
            observer: name()?.into(),
            probe: None,
            outcome: outcome(line, |report: ObserversReport| {
                Ok(ObserverReport {
                    date: at(epoch, report.date),
                    nodes: report.nodes.0,
                })
            })?,
        },
        "lost" => Event::NodeLost {
            node: name()?.into(),
            failure: failure(line)?.unwrap_or_else(lost_for_no_known_reason),
        },
        "config" => Event::ConfigLoaded(Arc::new(read_config(value)?)),
        "pause" => Event::PauseSet(pause(kind, name()?)?),
        "check_requested" => return mark(Step::Event(Event::CheckRequested)),
        "former_command_ended" => {
            let ended = Event::PreviousCommand(PreviousCommand::Ended);
            return mark(Step::Event(ended));
        }
        "previous_command" => Event::PreviousCommand(
            Previous::deserialize(value).map_err(|cause| format!("{kind}: {cause}"))?,
        ),
        "follow_prepared" => Event::FollowPrepared(follow_outcome(line)?),
        "command" => {
            let purpose = Purpose::deserialize(value);
            let purpose = purpose.map_err(|cause| format!("command: {cause}"))?;
            return Ok(Step::Command(purpose, command_outcome(line)?));
        }
        "maintenance" => {
            let exists = value.as_bool().map(Step::Maintenance);
            return exists.ok_or_else(|| "maintenance: expected true or false".to_owned());
        }
        "wall" => {
            let wall = value.as_f64().map(|wall| Step::Wall(at(epoch, wall)));
            return wall.ok_or_else(|| "wall: expected seconds".to_owned());
        }
        "turn" => return mark(Step::Turn(decided(line)?)),
        "end" => return mark(Step::End),
        "check" => {
            let check = CheckLine::deserialize(value).map(Step::Check);
            return check.map_err(|cause| format!("check: {cause}"));
        }
        "switchover" | "control_file" => switchover_event::read(kind, line)?,
        _ => vote_event::read(kind, line)?,
    };
    Ok(Step::Event(event))
}

fn pause(kind: &str, mark: &str) -> Result<PauseMark, String> {
    mark.parse().map_err(|cause| format!("{kind}: {cause}"))
}

/// The line of a turn that was given, and what was decided in it.
pub fn write_turn(decided: Option<&Decided>) -> Map<String, Value> {
    let mut line = Map::from_iter([("turn".to_owned(), json!(true))]);
    if let Some(Decided { verdict, reason }) = decided {
        put(&mut line, "verdict", verdict);
        put(&mut line, "reason", reason);
    }
    line
}

/// A verdict without its reason is no more than a note.
fn decided(line: &Map<String, Value>) -> Result<Option<Decided>, String> {
    let text = |key: &str| match line.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("{key}: expected a text")),
    };
    let decided = text("verdict")?.zip(text("reason")?);
    Ok(decided.map(|(verdict, reason)| Decided { verdict, reason }))
}

fn outcome<'a, Form: Deserialize<'a>, T>(
    line: &'a Map<String, Value>,
    read: impl Fn(Form) -> Result<T, String>,
) -> Result<Result<T, ProbeFailure>, String> {
    match (line.get("report"), failure(line)?) {
        (Some(report), None) => {
            let form = Form::deserialize(report).map_err(|cause| format!("report: {cause}"))?;
            let report = read(form).map_err(|cause| format!("report: {cause}"))?;
            Ok(Ok(report))
        }
        (None, Some(failure)) => Ok(Err(failure)),
        _ => Err("expected either a report or a failure".to_owned()),
    }
}

fn failure(line: &Map<String, Value>) -> Result<Option<ProbeFailure>, String> {
    let [kind, others @ ..] = FAILURE;
    if line.contains_key(kind) {
        let failure = Failure::deserialize(Value::Object(keys(line, &FAILURE)));
        return failure
            .map(Some)
            .map_err(|cause| format!("failure: {cause}"));
    }
    match others.iter().any(|key| line.contains_key(*key)) {
        true => Err("message and step belong to a failure".to_owned()),
        false => Ok(None),
    }
}

fn follow_outcome(line: &Map<String, Value>) -> Result<FollowOutcome, String> {
    let mut line = keys(line, &FOLLOW);
    let is_bare = matches!(
        line.get("follow_prepared").and_then(Value::as_str),
        Some("changed" | "unchanged")
    );
    if is_bare {
        line.remove("message");
    } else {
        line.entry("message").or_insert_with(|| json!(unrecorded()));
    }
    Followed::deserialize(Value::Object(line)).map_err(|cause| format!("follow_prepared: {cause}"))
}

/// Exactly one of [`OUTCOMES`] must be there.
fn command_outcome(line: &Map<String, Value>) -> Result<CommandOutcome, String> {
    let line = keys(line, &OUTCOMES);
    let (Some(key), 1) = (line.keys().next().cloned(), line.len()) else {
        return Err(format!("command: expected one of {}", OUTCOMES.join(", ")));
    };
    let outcome = Outcome::deserialize(Value::Object(line));
    outcome
        .map(CommandOutcome::from)
        .map_err(|cause| format!("{key}: {cause}"))
}

/// A connection that was lost, and no reason was recorded.
fn lost_for_no_known_reason() -> ProbeFailure {
    ProbeFailure::Unreachable {
        reason: "connection lost".to_owned(),
    }
}

/// Stands where a timeline written by hand has no message.
fn unrecorded() -> String {
    "recorded".to_owned()
}

fn answering() -> ProbeStep {
    ProbeStep::Answering
}

impl From<&CommandOutcome> for Outcome {
    fn from(outcome: &CommandOutcome) -> Self {
        match outcome {
            CommandOutcome::Exited(status) => Self::Exit(*status),
            CommandOutcome::Killed(signal) => Self::Signal(*signal),
            CommandOutcome::TimedOut => Self::TimedOut(True),
            CommandOutcome::NotStarted(reason) => Self::NotStarted(reason.clone()),
        }
    }
}

impl From<Outcome> for CommandOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Exit(status) => Self::Exited(status),
            Outcome::Signal(signal) => Self::Killed(signal),
            Outcome::TimedOut(True) => Self::TimedOut,
            Outcome::NotStarted(reason) => Self::NotStarted(reason),
        }
    }
}

type Serialized = Result<Value, serde_json::Error>;

fn value<T: ?Sized>(
    write: impl Fn(&T, serde_json::value::Serializer) -> Serialized,
    it: &T,
) -> Value {
    write(it, serde_json::value::Serializer).unwrap_or_default()
}

fn put<T: Serialize + ?Sized>(line: &mut Map<String, Value>, key: &str, it: &T) {
    line.insert(key.to_owned(), value(T::serialize, it));
}

/// Puts all keys of an object.
fn put_all<T: ?Sized>(
    line: &mut Map<String, Value>,
    write: impl Fn(&T, serde_json::value::Serializer) -> Serialized,
    it: &T,
) {
    if let Value::Object(object) = value(write, it) {
        line.extend(object);
    }
}

fn keys(line: &Map<String, Value>, of: &[&str]) -> Map<String, Value> {
    let found = of
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), line.get(*key)?.clone())));
    found.collect()
}

/// The keys of a failure.
pub(super) const FAILURE: [&str; 3] = ["failure", "message", "step"];
/// The keys of the end of a command, one of which is there.
pub(super) const OUTCOMES: [&str; 4] = ["exit", "signal", "timed_out", "not_started"];
const FOLLOW: [&str; 2] = ["follow_prepared", "message"];
