//! The commands that are running: their output becomes log lines, their end an event. Nothing waits
//! for them.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use mio::{Interest, Token};
use nix::sys::signal::Signal;

use super::patience::Patience;
use super::registry::{Owner, Registry};
use crate::config::CommandLine;
use crate::lookout::{CommandId, CommandOutcome, CommandPurpose, Event, Process};
use crate::sys::child::{Child, Reading};
use crate::sys::limits::InheritedLimit;
use crate::sys::process;
use crate::time::Monotonic;

/// All commands that were started and whose pipe is not closed yet.
pub(super) struct Commands {
    running: BTreeMap<Token, Running>,
    limit: Option<InheritedLimit>,
    /// So many pipes of commands that are over are read on: of a command that leaves something
    /// behind at every attempt the latest. Who writes to an older one gets SIGPIPE, as without a
    /// reader.
    most_left_open: usize,
}

struct Running {
    id: CommandId,
    purpose: CommandPurpose,
    child: Child,
    /// Of a failover command: who it is to a later process of ours.
    process: Option<Process>,
    patience: Patience,
    /// Its end has been told; what it left running may still write.
    is_over: bool,
    /// When that is read next.
    read_at: Option<Monotonic>,
}

impl Commands {
    pub(super) fn new(limit: Option<InheritedLimit>, most_left_open: usize) -> Self {
        Self {
            running: BTreeMap::new(),
            limit,
            most_left_open,
        }
    }

    /// So many pipes of commands that are over may stay open from the next end of a command on.
    pub(super) fn make_do_with(&mut self, most_left_open: usize) {
        self.most_left_open = most_left_open;
    }

    /// Starts a command, to be ended at `deadline`. The error says why it could not be started.
    pub(super) fn start(
        &mut self,
        id: CommandId,
        purpose: CommandPurpose,
        command: &CommandLine,
        deadline: Option<Monotonic>,
        registry: &mut Registry,
    ) -> Result<(), String> {
        let program = command.argv.first().map_or("", String::as_str);
        let about = |error| format!("{program}: {error}");
        let mut child = Child::start(&command.argv, self.limit).map_err(about)?;
        let token = registry
            .register(&mut child, Owner::Command, Interest::READABLE)
            .map_err(about)?;
        log::info!("{} started as process {}", purpose.key(), child.id());
        let is_failover = purpose == CommandPurpose::Failover;
        let process = is_failover.then(|| process_of(&child)).flatten();
        let patience = Patience::until(deadline);
        self.running.insert(
            token,
            Running {
                id,
                purpose,
                child,
                process,
                patience,
                is_over: false,
                read_at: None,
            },
        );
        Ok(())
    }

    /// A command has printed something, or its pipe was closed.
    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry, now: Monotonic) {
        let Some(running) = self.running.get_mut(&token) else {
            return;
        };
        if running.is_over {
            running.read_at.get_or_insert(now + LEFT_OPEN_REST);
        } else if running.read() == Reading::Unfinished {
            registry.again(token);
        }
    }

    /// Asks every command whether it has ended.
    pub(super) fn reap(
        &mut self,
        registry: &mut Registry,
        events: &mut Vec<Event>,
        now: Monotonic,
    ) {
        let mut done = Vec::new();
        for (token, running) in self
            .running
            .iter_mut()
            .filter(|(_, running)| !running.is_over)
        {
            let Some(outcome) = running.outcome() else {
                continue;
            };
            running.is_over = true;
            if running.read() == Reading::Ended {
                done.push(*token);
            } else {
                running.read_at = Some(now + LEFT_OPEN_REST);
                log::info!(
                    "{} is over; what it has started keeps its output open",
                    running.purpose.key()
                );
            }
            events.push(Event::CommandExited {
                id: running.id,
                outcome,
            });
        }
        // Tokens grow: the first are the oldest.
        let open = self
            .running
            .iter()
            .filter(|(token, running)| running.is_over && !done.contains(token));
        let open: Vec<Token> = open.map(|(token, _)| *token).collect();
        for token in open
            .iter()
            .take(open.len().saturating_sub(self.most_left_open))
        {
            log::warn!(
                "closing the oldest of {} outputs that are open though their commands are over",
                open.len()
            );
            done.push(*token);
        }
        for token in done {
            self.drop_one(token, registry);
        }
    }

    /// Ends those that have run for too long. Reads what others have left behind.
    pub(super) fn expire(&mut self, registry: &mut Registry, now: Monotonic) {
        self.read_left_open(registry, now);
        for running in self.running.values_mut().filter(|running| !running.is_over) {
            if let Some(signal) = running.patience.run_out(now) {
                running.kill(signal);
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        let deadline = |running: &Running| match running.is_over {
            true => running.read_at,
            false => running.patience.next_deadline(),
        };
        self.running.values().filter_map(deadline).min()
    }

    /// The process of the failover command that runs, for a later process of ours.
    pub(super) fn failover(&self) -> Option<Process> {
        self.running
            .values()
            .filter(|running| !running.is_over)
            .find_map(|running| running.process)
    }

    /// One that writes without end is read in measured portions: nobody waits for it any more.
    fn read_left_open(&mut self, registry: &mut Registry, now: Monotonic) {
        let mut done = Vec::new();
        for (token, running) in self
            .running
            .iter_mut()
            .filter(|(_, one)| one.read_at.is_some_and(|at| at <= now))
        {
            running.read_at = match running.read() {
                Reading::Unfinished => Some(now + LEFT_OPEN_REST),
                Reading::Drained => None,
                Reading::Ended => {
                    running.read_the_last();
                    done.push(*token);
                    None
                }
            };
        }
        for token in done {
            self.drop_one(token, registry);
        }
    }

    /// We are about to end: what still writes to us must not be ended by a closed pipe.
    pub(super) fn leave(&mut self) {
        for running in std::mem::take(&mut self.running).into_values() {
            if let Err(error) = running.child.leave() {
                log::warn!(
                    "{}: nobody reads its output any more: {error}",
                    running.purpose.key()
                );
            }
        }
    }

    fn drop_one(&mut self, token: Token, registry: &mut Registry) {
        if let Some(mut running) = self.running.remove(&token) {
            registry.forget(&mut running.child, token);
        }
    }
}

impl Running {
    fn read(&mut self) -> Reading {
        let mut lines = Vec::new();
        let reading = self.child.read_output(&mut lines).unwrap_or(Reading::Ended);
        self.say(&lines);
        reading
    }

    fn read_the_last(&mut self) {
        let mut lines = Vec::new();
        self.child.finish(&mut lines);
        self.say(&lines);
    }

    fn outcome(&mut self) -> Option<CommandOutcome> {
        let outcome = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(_)) if self.patience.is_over() => CommandOutcome::TimedOut,
            Ok(Some(status)) => ended(status),
            Err(error) => CommandOutcome::NotStarted(format!("its exit status is lost: {error}")),
        };
        self.read_the_last();
        Some(outcome)
    }

    fn say(&self, lines: &[String]) {
        for line in lines {
            log::info!("{}: {line}", self.purpose.key());
        }
    }

    fn kill(&self, signal: Signal) {
        log::warn!(
            "{} has run for too long: sending {signal}",
            self.purpose.key()
        );
        if let Err(error) = self.child.kill_group(signal) {
            log::error!("{}: {error}", self.purpose.key());
        }
    }
}

fn process_of(child: &Child) -> Option<Process> {
    let pid = child.id();
    Some(Process {
        pid,
        started: process::started(pid).ok()??,
    })
}

fn ended(status: ExitStatus) -> CommandOutcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => CommandOutcome::Exited(code),
        (None, signal) => CommandOutcome::Killed(signal.unwrap_or_default()),
    }
}

/// From one reading of such a pipe to the next.
const LEFT_OPEN_REST: Duration = Duration::from_millis(10);
