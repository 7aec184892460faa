//! The failover command that a former process of ours has left running. It is no child of this one,
//! so nobody tells us how it ends; that it does is looked for.

use std::time::Duration;

use super::time_limit::TimeLimit;
use crate::config::Config;
use crate::lookout::{Event, FailoverOutcome, Memory, PastFailover, PreviousCommand, Process};
use crate::sys::process;
use crate::time::Monotonic;

/// A command that still runs, as far as we know.
#[derive(Debug)]
pub(super) struct Former {
    process: Process,
    time_limit: TimeLimit,
    look_at: Monotonic,
}

impl Former {
    /// The one that the memory names, if there is one. If processes cannot be seen here, that is an
    /// event: then the command is given a time.
    pub(super) fn recall(
        memory: &Memory,
        config: &Config,
        events: &mut Vec<Event>,
        now: Monotonic,
    ) -> Option<Self> {
        let is_running_one = |last: &&PastFailover| last.outcome == FailoverOutcome::Running;
        let last = memory.failover.as_ref().filter(is_running_one)?;
        let process = last.process?;
        match is_running(process) {
            Ok(true) => log::warn!(
                "the failover command of a former process still runs as process {}",
                process.pid
            ),
            Ok(false) => {}
            Err(error) => {
                log::warn!(
                    "the failover command of a former process: process {}: {error}",
                    process.pid
                );
                events.push(Event::PreviousCommand(PreviousCommand::Unobservable));
                return None;
            }
        }
        let deadline = config
            .failover_command_timeout
            .map(|timeout| last.mono.unwrap_or(now) + timeout);
        Some(Self {
            process,
            time_limit: TimeLimit::terminate_at(deadline),
            look_at: now,
        })
    }

    /// Looks whether it still runs, if it is time, and ends it if it has run for too long. `None`:
    /// it has ended, which is an event.
    pub(super) fn look(mut self, events: &mut Vec<Event>, now: Monotonic) -> Option<Self> {
        if self.next_deadline() > now {
            return Some(self);
        }
        // What was seen once and cannot be seen now has at least not been seen to end.
        if !is_running(self.process).unwrap_or(true) {
            events.push(Event::PreviousCommand(PreviousCommand::Ended));
            return None;
        }
        if let Some(signal) = self.time_limit.run_out(now) {
            log::warn!(
                "the failover command of a former process has run for too long: sending {signal}"
            );
            if let Err(error) = process::kill_group(self.process.pid, signal) {
                log::error!("the failover command of a former process: {error}");
            }
        }
        self.look_at = now + BETWEEN_LOOKS;
        Some(self)
    }

    pub(super) fn next_deadline(&self) -> Monotonic {
        self.time_limit
            .at
            .map_or(self.look_at, |deadline| deadline.min(self.look_at))
    }
}

fn is_running(process: Process) -> std::io::Result<bool> {
    Ok(process::started(process.pid)? == Some(process.started))
}

/// A look is one file of `/proc`.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
