//! The commands of the configuration: what their start and their end mean to the core.

use std::os::unix::process::ExitStatusExt;

use super::children::{Exit, Task};
use super::io::Io;
use super::time_limit::TimeLimit;
use crate::config::CommandLine;
use crate::lookout::{CommandId, CommandOutcome, CommandPurpose, Event, Process};
use crate::sys::process;
use crate::time::Monotonic;

/// Starts a command, to be ended at `deadline`. Which process it is, or that it could not be started,
/// is an event.
pub(super) fn start(
    id: CommandId,
    purpose: CommandPurpose,
    command: &CommandLine,
    deadline: Option<Monotonic>,
    io: &mut Io,
) {
    let task = Task::Command { id, purpose };
    let limit = TimeLimit::terminate_at(deadline);
    match io
        .children
        .start(task, &command.argv, None, limit, &mut io.registry)
    {
        Ok(pid) => {
            log::info!("{} started as process {pid}", purpose.key());
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
