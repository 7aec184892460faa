//! The words of a timeline both ways: failures, ends of commands, times.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cluster::{ProbeFailure, ProbeStep};
use crate::lookout::{
    CommandOutcome, CommandPurpose, FailoverOutcome, FollowOutcome, PreviousCommand,
};
use crate::time::WallTime;

/// Wall-clock values are seconds from the epoch, to the microsecond.
pub(super) fn at(epoch: WallTime, seconds: f64) -> WallTime {
    WallTime::from_unix_micros(epoch.unix_micros().saturating_add(micros(seconds)))
}

/// The reverse of [`at`].
pub(super) fn since(epoch: WallTime, time: WallTime) -> f64 {
    seconds(time.unix_micros().saturating_sub(epoch.unix_micros()))
}

/// Microseconds as seconds: exact for 142 years, as a float has 53 bits and half a microsecond is
/// rounded away.
#[expect(
    clippy::cast_precision_loss,
    reason = "beyond 142 years a microsecond may be lost"
)]
pub(super) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Seconds as microseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float saturates, and a second is far from the edge"
)]
pub(super) fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

/// `t`, or `None` if it is no time from a start.
pub(super) fn time(seconds: f64) -> Option<Duration> {
    let is_time = (0.0..=LONGEST_SECONDS).contains(&seconds);
    is_time.then(|| Duration::from_micros(u64::try_from(micros(seconds)).unwrap_or(0)))
}

/// The words for a failure, under these keys.
pub(super) fn write_failure(failure: &ProbeFailure, line: &mut Map<String, Value>) {
    let (name, key, detail) = match failure {
        ProbeFailure::Unreachable { reason } => ("unreachable", MESSAGE, reason.as_str()),
        ProbeFailure::TimedOut { step } => ("timed_out", STEP, step_name(*step)),
        ProbeFailure::AuthenticationRejected { message } => {
            ("authentication", MESSAGE, message.as_str())
        }
        ProbeFailure::Refused { message } => ("refused", MESSAGE, message.as_str()),
        ProbeFailure::NotReady { message } => ("not_ready", MESSAGE, message.as_str()),
        ProbeFailure::ProtocolError { reason } => ("nonsense", MESSAGE, reason.as_str()),
    };
    line.insert(FAILURE.to_owned(), json!(name));
    line.insert(key.to_owned(), json!(detail));
}

/// The failure that `name` and, if they are there, `message` and `step` tell of.
pub(super) fn read_failure(
    name: &str,
    message: Option<&str>,
    step: Option<&str>,
) -> Result<ProbeFailure, String> {
    let text = || message.unwrap_or(UNTOLD).to_owned();
    Ok(match name {
        "unreachable" => ProbeFailure::Unreachable { reason: text() },
        "timed_out" => ProbeFailure::TimedOut {
            step: step.map_or(Ok(ProbeStep::Answering), read_step)?,
        },
        "authentication" => ProbeFailure::AuthenticationRejected { message: text() },
        "refused" => ProbeFailure::Refused { message: text() },
        "not_ready" => ProbeFailure::NotReady { message: text() },
        "nonsense" => ProbeFailure::ProtocolError { reason: text() },
        other => {
            return Err(format!(
                "failure {other:?}: expected unreachable, timed_out, authentication, refused, not_ready or nonsense"
            ));
        }
    })
}

/// A connection that was lost without a word of why.
pub(super) fn lost_without_a_word() -> ProbeFailure {
    ProbeFailure::Unreachable {
        reason: "connection lost".to_owned(),
    }
}

/// The words for the end of a command.
pub(super) fn write_outcome(outcome: &CommandOutcome, line: &mut Map<String, Value>) {
    let (key, value) = match outcome {
        CommandOutcome::Exited(status) => (EXIT, json!(status)),
        CommandOutcome::Killed(signal) => ("signal", json!(signal)),
        CommandOutcome::TimedOut => ("timed_out", json!(true)),
        CommandOutcome::NotStarted(reason) => ("not_started", json!(reason)),
    };
    line.insert(key.to_owned(), value);
}

/// The end of a command; exactly one of [`OUTCOMES`] must be there.
pub(super) fn read_outcome(line: &Map<String, Value>) -> Result<CommandOutcome, String> {
    let told: Vec<_> = OUTCOMES
        .iter()
        .filter_map(|key| Some((*key, line.get(*key)?)))
        .collect();
    let [(key, value)] = told.as_slice() else {
        return Err(format!("command: expected one of {}", OUTCOMES.join(", ")));
    };
    let number = || value.as_i64().and_then(|number| i32::try_from(number).ok());
    let outcome = match *key {
        EXIT => number().map(CommandOutcome::Exited),
        "signal" => number().map(CommandOutcome::Killed),
        "timed_out" => (**value == Value::Bool(true)).then_some(CommandOutcome::TimedOut),
        _ => value
            .as_str()
            .map(|reason| CommandOutcome::NotStarted(reason.to_owned())),
    };
    outcome.ok_or_else(|| format!("{key}: expected {}", expected_outcome(key)))
}

fn expected_outcome(key: &str) -> &'static str {
    match key {
        EXIT => "an exit status",
        "signal" => "a signal's number",
        "timed_out" => "true",
        _ => "the reason as a text",
    }
}

/// What a command is run for, by the key of the configuration that it comes from.
pub(super) fn purpose_name(purpose: CommandPurpose) -> &'static str {
    match purpose {
        CommandPurpose::Failover => "failover_command",
        CommandPurpose::LagWarning => "over_warning_limit_command",
        CommandPurpose::FollowStop => "pg_stop_command",
        CommandPurpose::FollowStart => "pg_start_command",
    }
}

/// The reverse of [`purpose_name`].
pub(super) fn read_purpose(name: &str) -> Option<CommandPurpose> {
    PURPOSES
        .into_iter()
        .find(|purpose| purpose_name(*purpose) == name)
}

/// How the failover command that is remembered ended.
pub(super) fn read_failover(name: &str) -> Result<FailoverOutcome, String> {
    let outcome = FailoverOutcome::ALL
        .into_iter()
        .find(|outcome| outcome.name() == name);
    outcome
        .ok_or_else(|| format!("outcome {name:?}: expected running, succeeded, failed or unknown"))
}

/// The words for what a look at the recovery settings came to.
pub(super) fn write_follow(outcome: &FollowOutcome, line: &mut Map<String, Value>) {
    let (name, message) = match outcome {
        FollowOutcome::Changed => ("changed", None),
        FollowOutcome::Unchanged => ("unchanged", None),
        FollowOutcome::Failed(reason) => ("failed", Some(reason)),
        FollowOutcome::Unknown(reason) => ("unknown", Some(reason)),
        FollowOutcome::NotAStandby(missing) => ("not_a_standby", Some(missing)),
    };
    line.insert(FOLLOW.to_owned(), json!(name));
    line.extend(message.map(|message| (MESSAGE.to_owned(), json!(message))));
}

/// The reverse of [`write_follow`].
pub(super) fn read_follow(name: &str, message: Option<&str>) -> Result<FollowOutcome, String> {
    let text = || message.unwrap_or(UNTOLD).to_owned();
    Ok(match name {
        "changed" => FollowOutcome::Changed,
        "unchanged" => FollowOutcome::Unchanged,
        "failed" => FollowOutcome::Failed(text()),
        "unknown" => FollowOutcome::Unknown(text()),
        "not_a_standby" => FollowOutcome::NotAStandby(text()),
        other => {
            return Err(format!(
                "{FOLLOW} {other:?}: expected changed, unchanged, failed, unknown or not_a_standby"
            ));
        }
    })
}

/// What is known of the command of the previous process.
pub(super) fn previous_name(news: PreviousCommand) -> &'static str {
    match news {
        PreviousCommand::Ended => "ended",
        PreviousCommand::Unobservable => "unobservable",
    }
}

/// The reverse of [`previous_name`].
pub(super) fn read_previous(name: &str) -> Result<PreviousCommand, String> {
    let all = [PreviousCommand::Ended, PreviousCommand::Unobservable];
    let news = all.into_iter().find(|news| previous_name(*news) == name);
    news.ok_or_else(|| format!("{PREVIOUS_COMMAND} {name:?}: expected ended or unobservable"))
}

fn step_name(step: ProbeStep) -> &'static str {
    match step {
        ProbeStep::Resolving => "resolving",
        ProbeStep::Connecting => "connecting",
        ProbeStep::LoggingIn => "logging_in",
        ProbeStep::Answering => "answering",
    }
}

fn read_step(name: &str) -> Result<ProbeStep, String> {
    let step = STEPS.into_iter().find(|step| step_name(*step) == name);
    step.ok_or_else(|| {
        format!("step {name:?}: expected resolving, connecting, logging_in or answering")
    })
}

pub(super) const FOLLOW: &str = "follow_prepared";
pub(super) const FAILURE: &str = "failure";
pub(super) const MESSAGE: &str = "message";
pub(super) const STEP: &str = "step";
/// How a command may have ended.
pub(super) const OUTCOMES: [&str; 4] = [EXIT, "signal", "timed_out", "not_started"];
pub(super) const PURPOSES: [CommandPurpose; 4] = [
    CommandPurpose::Failover,
    CommandPurpose::LagWarning,
    CommandPurpose::FollowStop,
    CommandPurpose::FollowStart,
];
pub(super) const PREVIOUS_COMMAND: &str = "previous_command";
/// How timelines of version 3.0 write that the previous command has ended.
pub(super) const FORMER_COMMAND_ENDED: &str = "former_command_ended";
const EXIT: &str = "exit";
const STEPS: [ProbeStep; 4] = [
    ProbeStep::Resolving,
    ProbeStep::Connecting,
    ProbeStep::LoggingIn,
    ProbeStep::Answering,
];
/// Stands where a timeline written by hand does not say what was said.
const UNTOLD: &str = "recorded";
/// Thirty years.
const LONGEST_SECONDS: f64 = 1e9;
