//! The commands of the configuration, and the failover command that the previous process has left
//! running: what their start and exit mean to the core.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::children::{Exit, Task, TimeLimit};
use super::io::Io;
use crate::config::{CommandLine, Config};
use crate::lookout::{
    CommandId, CommandOutcome, CommandPurpose, Event, FailoverOutcome, Lookout, Memory,
    PastFailover, PreviousCommand, Process,
};
use crate::sys::child::Invocation;
use crate::sys::process;
use crate::time::Monotonic;

/// What a command gets in its environment: who runs it for what, and the primary that it is about,
/// which for `failover_command` is the one that is lost.
pub(super) fn variables(purpose: CommandPurpose, lookout: &Lookout) -> Vec<(&'static str, String)> {
    let config = lookout.config();
    let round = lookout.last_round();
    let reason = round.map_or("", |round| round.decision.verdict.reason());
    let mut variables = vec![
        ("PGLOOKOUT_COMMAND", purpose.key().to_owned()),
        ("PGLOOKOUT_NODE", lookout.daemon().to_owned()),
        ("PGLOOKOUT_REASON", reason.to_owned()),
    ];
    if purpose == CommandPurpose::Failover
        && let Some(term) = lookout.elected_term()
    {
        variables.push(("PGLOOKOUT_TERM", term.to_string()));
    }
    let Some(primary) = lookout.primary() else {
        return variables;
    };
    let host = config
        .nodes
        .get(primary)
        .and_then(|info| info.hosts.first());
    let last = lookout.state().history.last_primary.as_ref();
    let last = last.filter(|last| last.node == *primary);
    let lsn = last.and_then(|last| last.lsn);
    let timeline = last.and_then(|last| last.timeline);
    let names = match purpose {
        CommandPurpose::Failover => [
            "PGLOOKOUT_OLD_PRIMARY",
            "PGLOOKOUT_OLD_PRIMARY_HOST",
            "PGLOOKOUT_OLD_PRIMARY_PORT",
        ],
        CommandPurpose::LagWarning
        | CommandPurpose::Isolation
        | CommandPurpose::FollowStop
        | CommandPurpose::FollowStart
        | CommandPurpose::Fence
        | CommandPurpose::Unfence
        | CommandPurpose::Demote => [
            "PGLOOKOUT_PRIMARY",
            "PGLOOKOUT_PRIMARY_HOST",
            "PGLOOKOUT_PRIMARY_PORT",
        ],
    };
    let values = [
        Some(primary.to_string()),
        host.map(|host| host.name.clone()),
        host.map(|host| host.port.to_string()),
    ];
    let known = names.into_iter().zip(values);
    variables.extend(known.filter_map(|(name, value)| Some((name, value?))));
    let lsn = lsn.map(|lsn| ("PGLOOKOUT_LSN", lsn.to_string()));
    let timeline = timeline.map(|timeline| ("PGLOOKOUT_TIMELINE", timeline.to_string()));
    variables.extend(lsn.into_iter().chain(timeline));
    variables
}

/// Starts a command, to be ended after `timeout`. An event names its process, or why it was not
/// started.
pub(super) fn start(
    (id, purpose): (CommandId, CommandPurpose),
    command: &CommandLine,
    variables: &[(&'static str, String)],
    timeout: Option<Duration>,
    io: &mut Io,
) {
    let task = Task::Command { id, purpose };
    let deadline = timeout.map(|timeout| io.now.mono + timeout);
    let limit = TimeLimit::terminate_at(deadline);
    let run = Invocation {
        variables,
        ..Invocation::of(&command.argv)
    };
    match io.start_program(task, &run, limit) {
        Ok(pid) => {
            log::info!("{} started (pid {pid})", purpose.key());
            let process = process_of(pid);
            io.events.push(Event::CommandStarted { id, process });
        }
        Err(error) => {
            let program = command.argv.first().map_or("", String::as_str);
            let outcome = CommandOutcome::NotStarted(format!("{program}: {error}"));
            io.events.push(Event::CommandExited { id, outcome });
        }
    }
}

/// By which a later pglookout process recognises it; `None` where `/proc` does not show it.
fn process_of(pid: u32) -> Option<Process> {
    let started = process::started(pid).ok()??;
    Some(Process { pid, started })
}

pub(super) fn outcome(exit: Exit) -> CommandOutcome {
    match exit.status {
        Ok(_) if exit.is_overdue => CommandOutcome::TimedOut,
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => CommandOutcome::Exited(code),
            (None, signal) => CommandOutcome::Killed(signal.unwrap_or_default()),
        },
        Err(error) => CommandOutcome::NotStarted(format!("its exit status is lost: {error}")),
    }
}

/// The failover command that the previous process has left running. It is no child of this process,
/// so its exit status is lost; whether it still runs is checked now and then.
#[derive(Debug)]
pub(super) struct PreviousFailover {
    process: Process,
    time_limit: TimeLimit,
    check_at: Monotonic,
}

impl PreviousFailover {
    /// The one that the memory names. If processes cannot be observed here, that is an event: the
    /// core then waits for a fixed time.
    pub(super) fn recall(memory: &Memory, config: &Config, io: &mut Io) -> Option<Self> {
        let is_running_one = |last: &&PastFailover| last.outcome == FailoverOutcome::Running;
        let last = memory.failover.as_ref().filter(is_running_one)?;
        let process = last.process?;
        let pid = process.pid;
        match is_running(process) {
            Ok(true) => {
                log::warn!(
                    "failover_command of the previous pglookout process is still running (pid {pid})"
                );
            }
            Ok(false) => {}
            Err(error) => {
                log::warn!(
                    "failover_command of the previous pglookout process (pid {pid}): {error}"
                );
                let unobservable = Event::PreviousCommand(PreviousCommand::Unobservable);
                io.events.push(unobservable);
                return None;
            }
        }
        let now = io.now.mono;
        let timeout = config.failover_command_timeout;
        let deadline = timeout.map(|timeout| last.mono.unwrap_or(now) + timeout);
        Some(Self {
            process,
            time_limit: TimeLimit::terminate_at(deadline),
            check_at: now,
        })
    }

    /// Checks whether it still runs, and ends it when its time is over. Its exit is an event. Returns
    /// the next deadline.
    pub(super) fn tick(this: &mut Option<Self>, io: &mut Io) -> Option<Monotonic> {
        if this.take_if(|this| this.has_exited(io.now.mono)).is_some() {
            let ended = Event::PreviousCommand(PreviousCommand::Ended);
            io.events.push(ended);
        }
        this.as_ref().map(Self::next_deadline)
    }

    /// By which the guard recognises it.
    pub(super) fn process(&self) -> Process {
        self.process
    }

    /// Ends it at once: our server is fenced, and a promotion that goes on would undo that.
    pub(super) fn end(&self) {
        if !is_running(self.process).unwrap_or(true) {
            return;
        }
        let command = "failover_command of the previous pglookout process";
        log::warn!("{command}: sending SIGKILL, its server is fenced");
        if let Err(error) = process::kill_group(self.process.pid, Signal::SIGKILL) {
            log::error!("{command}: {error}");
        }
    }

    fn has_exited(&mut self, now: Monotonic) -> bool {
        if self.next_deadline() > now {
            return false;
        }
        // A process that cannot be observed any more counts as running.
        if !is_running(self.process).unwrap_or(true) {
            return true;
        }
        if let Some(signal) = self.time_limit.due_signal(now) {
            let command = "failover_command of the previous pglookout process";
            log::warn!("{command} exceeded its time limit: sending {signal}");
            if let Err(error) = process::kill_group(self.process.pid, signal) {
                log::error!("{command}: {error}");
            }
        }
        self.check_at = now + CHECK_INTERVAL;
        false
    }

    fn next_deadline(&self) -> Monotonic {
        let signal = self.time_limit.at;
        signal.map_or(self.check_at, |signal| signal.min(self.check_at))
    }
}

fn is_running(process: Process) -> std::io::Result<bool> {
    Ok(process::started(process.pid)? == Some(process.started))
}

/// A check reads one file of `/proc`.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
