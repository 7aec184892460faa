//! The commands of the configuration: what their start and their end mean to the core, also of the
//! failover command that the previous process has left running.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use super::children::{Exit, Task};
use super::io::Io;
use super::time_limit::TimeLimit;
use crate::config::{CommandLine, Config};
use crate::lookout::{CommandId, CommandOutcome, CommandPurpose, Event};
use crate::lookout::{FailoverOutcome, Memory, PastFailover, PreviousCommand, Process};
use crate::sys::process;
use crate::time::Monotonic;

/// Starts a command, to be ended after `timeout`. Which process it is, or that it could not be
/// started, is an event.
pub(super) fn start(
    id: CommandId,
    purpose: CommandPurpose,
    command: &CommandLine,
    timeout: Option<Duration>,
    io: &mut Io,
) {
    let task = Task::Command { id, purpose };
    let deadline = timeout.map(|timeout| io.now.mono + timeout);
    let limit = TimeLimit::terminate_at(deadline);
    let (children, registry) = (&mut io.children, &mut io.registry);
    match children.start(task, &command.argv, None, limit, registry) {
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

/// Which process this is to a later process of ours, where processes can be seen.
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

/// The failover command that the previous process has left running, as far as we know. It is no
/// child of this one, so nobody reports how it ends; that it does is looked for.
#[derive(Debug)]
pub(super) struct PreviousFailover {
    process: Process,
    time_limit: TimeLimit,
    look_at: Monotonic,
}

impl PreviousFailover {
    /// The one that the memory names, if there is one. If processes cannot be seen here, that is an
    /// event: then the command is given a time.
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
            look_at: now,
        })
    }

    /// Looks whether it still runs, if it is time, and ends it if it has run for too long. That it
    /// has ended is an event. Gives the next deadline.
    pub(super) fn tick(this: &mut Option<Self>, io: &mut Io) -> Option<Monotonic> {
        let is_over = |previous: &mut Self| previous.is_over(io.now.mono);
        if this.take_if(is_over).is_some() {
            let ended = Event::PreviousCommand(PreviousCommand::Ended);
            io.events.push(ended);
        }
        this.as_ref().map(Self::next_deadline)
    }

    fn is_over(&mut self, now: Monotonic) -> bool {
        if self.next_deadline() > now {
            return false;
        }
        // What was seen once and cannot be seen now has at least not been seen to end.
        if !is_running(self.process).unwrap_or(true) {
            return true;
        }
        if let Some(signal) = self.time_limit.run_out(now) {
            let whose = "failover_command of the previous pglookout process";
            log::warn!("{whose} exceeded its time limit: sending {signal}");
            if let Err(error) = process::kill_group(self.process.pid, signal) {
                log::error!("{whose}: {error}");
            }
        }
        self.look_at = now + BETWEEN_LOOKS;
        false
    }

    fn next_deadline(&self) -> Monotonic {
        let signal = self.time_limit.at;
        signal.map_or(self.look_at, |signal| signal.min(self.look_at))
    }
}

fn is_running(process: Process) -> std::io::Result<bool> {
    Ok(process::started(process.pid)? == Some(process.started))
}

/// A look is one file of `/proc`.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
