//! Child processes: the commands of the configuration, the helpers that look up names or rewrite
//! recovery settings, and the writers of small files. Here they are started, read, ended when their
//! time is over, and reaped; what an exit means is for the component that started the child. Nothing
//! waits for any of them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use mio::{Interest, Token};
use nix::sys::signal::Signal;

use super::registry::{Owner, Registry};
use crate::lookout::{CommandId, CommandPurpose};
use crate::sys::child::{Child, Invocation, Reading, own_program};
use crate::sys::forked::{FileOp, FileWriter};
use crate::sys::process::InheritedLimit;
use crate::time::Monotonic;

pub(super) struct Children {
    programs: BTreeMap<Token, Program>,
    /// At most one for each file.
    writers: BTreeMap<PathBuf, FileWriter>,
    /// Of commands that have exited, whose background processes keep the pipe open. The latest are
    /// kept; a process that writes to an older one gets SIGPIPE, as without a reader.
    pub(super) max_open_outputs: usize,
    /// The limit on descriptors that programs get.
    limit: Option<InheritedLimit>,
}

struct Program {
    task: Task,
    child: Child,
    state: ProgramState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProgramState {
    Running(TimeLimit),
    /// Background processes of a command keep its output open, which is read next at this time.
    Exited(Option<Monotonic>),
}

/// What a program was started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Command {
        id: CommandId,
        purpose: CommandPurpose,
    },
    /// `event_command`.
    Notification,
    LookUp(String),
    RecoverySettings,
}

/// How a program has ended.
pub(super) struct Exit {
    pub(super) status: io::Result<ExitStatus>,
    /// Its time was over before it exited.
    pub(super) is_overdue: bool,
    /// The end of its output.
    pub(super) printed: Vec<u8>,
}

impl Children {
    pub(super) fn new(limit: Option<InheritedLimit>, max_open_outputs: usize) -> Self {
        Self {
            programs: BTreeMap::new(),
            writers: BTreeMap::new(),
            max_open_outputs,
            limit,
        }
    }

    /// See [`Io::start_program`](super::io::Io::start_program).
    pub(super) fn start(
        &mut self,
        task: Task,
        run: &Invocation<'_, impl AsRef<OsStr>>,
        time_limit: TimeLimit,
        registry: &mut Registry,
    ) -> io::Result<u32> {
        let child = Child::start(run, self.limit)?;
        let token = registry.register(&child, Owner::Child, Interest::READABLE)?;
        let pid = child.id();
        let program = Program {
            task,
            child,
            state: ProgramState::Running(time_limit),
        };
        self.programs.insert(token, program);
        Ok(pid)
    }

    /// `lock`: a descriptor that the writer keeps open.
    pub(super) fn start_writer(
        &mut self,
        path: &Path,
        op: &FileOp,
        lock: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let writer = FileWriter::start(path, op, lock)?;
        self.writers.insert(path.to_owned(), writer);
        Ok(())
    }

    /// A program has written output, or closed it. Only its exit status means that it has exited.
    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry, now: Monotonic) {
        let Some(program) = self.programs.get_mut(&token) else {
            return;
        };
        if let ProgramState::Exited(read_at) = &mut program.state {
            read_at.get_or_insert(now + READ_INTERVAL);
        } else if program.read() == Reading::Unfinished {
            registry.again(token);
        }
    }

    /// The programs that have exited since the last call.
    pub(super) fn reap(&mut self, registry: &mut Registry, now: Monotonic) -> Vec<(Task, Exit)> {
        let mut exits = Vec::new();
        let mut done = Vec::new();
        for (token, program) in &mut self.programs {
            let Some(exit) = program.exit() else {
                continue;
            };
            exits.push((program.task.clone(), exit));
            let is_open = program.read() != Reading::Ended;
            match program.task {
                Task::Command { purpose, .. } if is_open => {
                    program.state = ProgramState::Exited(Some(now + READ_INTERVAL));
                    let key = purpose.key();
                    log::info!("{key} has exited; its background processes keep its output open");
                }
                _ => done.push(*token),
            }
        }
        done.iter().for_each(|token| self.remove(*token, registry));
        self.close_oldest(registry);
        exits
    }

    fn close_oldest(&mut self, registry: &mut Registry) {
        // Tokens grow: the first are the oldest.
        let programs = self.programs.iter();
        let exited = programs.filter(|(_, program)| program.has_exited());
        let open: Vec<Token> = exited.map(|(token, _)| *token).collect();
        let too_many = open.len().saturating_sub(self.max_open_outputs);
        for token in open.iter().take(too_many) {
            log::warn!(
                "closing the oldest of {} outputs left open by commands that have exited",
                open.len()
            );
            self.remove(*token, registry);
        }
    }

    fn remove(&mut self, token: Token, registry: &mut Registry) {
        if let Some(program) = self.programs.remove(&token) {
            registry.forget(&program.child, token);
        }
    }

    /// The writers that have exited since the last call.
    pub(super) fn reap_writers(&mut self) -> Vec<(PathBuf, Result<(), String>)> {
        let writers = self.writers.iter_mut();
        let done = writers.filter_map(|(path, writer)| Some((path.clone(), writer.try_end()?)));
        let done: Vec<_> = done.collect();
        done.iter()
            .for_each(|(path, _)| _ = self.writers.remove(path));
        done
    }

    /// Ends programs whose time is over ([`Children::reap`] sees their exit), and reads outputs that
    /// background processes keep open. Returns the next deadline.
    pub(super) fn tick(&mut self, registry: &mut Registry, now: Monotonic) -> Option<Monotonic> {
        let programs = self.programs.iter_mut();
        let done = programs.filter_map(|(token, program)| program.tick(now).then_some(*token));
        for token in done.collect::<Vec<_>>() {
            self.remove(token, registry);
        }
        let next = |program: &Program| match program.state {
            ProgramState::Running(limit) => limit.at,
            ProgramState::Exited(read_at) => read_at,
        };
        self.programs.values().filter_map(next).min()
    }

    /// Is this process a child of ours whose exit status is to come.
    pub(super) fn has(&self, pid: u32) -> bool {
        let programs = self.programs.values();
        let mut running = programs.filter(|program| !program.has_exited());
        let mut writers = self.writers.values();
        running.any(|program| program.child.id() == pid) || writers.any(|writer| writer.id() == pid)
    }

    /// The process of a command that runs for this purpose.
    pub(super) fn running(&self, wanted: CommandPurpose) -> Option<u32> {
        let is_it = |program: &&Program| {
            let is_wanted =
                matches!(program.task, Task::Command { purpose, .. } if purpose == wanted);
            is_wanted && !program.has_exited()
        };
        let program = self.programs.values().find(is_it)?;
        Some(program.child.id())
    }

    /// Ends this command and what it has started in its group, at once.
    pub(super) fn end(&self, wanted: CommandId) {
        let is_it = |program: &&Program| {
            let is_wanted = matches!(program.task, Task::Command { id, .. } if id == wanted);
            is_wanted && !program.has_exited()
        };
        if let Some(program) = self.programs.values().find(is_it) {
            log::warn!(
                "ending a command: sending SIGKILL to pid {}",
                program.child.id()
            );
            if let Err(error) = program.child.kill_group(Signal::SIGKILL) {
                log::error!("{error}");
            }
        }
    }

    /// The limit on descriptors that programs get.
    pub(super) fn limit(&self) -> Option<InheritedLimit> {
        self.limit
    }

    pub(super) fn is_writing(&self) -> bool {
        !self.writers.is_empty()
    }

    /// Before this process exits: a command that still writes must not be ended by a closed pipe.
    pub(super) fn leave(&mut self) {
        for program in std::mem::take(&mut self.programs).into_values() {
            let Task::Command { purpose, .. } = program.task else {
                continue;
            };
            if let Err(error) = program.child.leave() {
                log::warn!("{}: its output is no longer read: {error}", purpose.key());
            }
        }
    }
}

impl Program {
    /// Logs a command's output; [`Child`] keeps a helper's.
    fn read(&mut self) -> Reading {
        let mut lines = Vec::new();
        let reading = self.child.read_output(&mut lines).unwrap_or(Reading::Ended);
        self.log(&lines);
        reading
    }

    fn has_exited(&self) -> bool {
        matches!(self.state, ProgramState::Exited(_))
    }

    /// Returned once.
    fn exit(&mut self) -> Option<Exit> {
        let ProgramState::Running(limit) = self.state else {
            return None;
        };
        // An error is final: the status is lost.
        let status = self.child.try_wait().transpose()?;
        self.state = ProgramState::Exited(None);
        self.read_rest();
        Some(Exit {
            status,
            is_overdue: limit.is_over,
            printed: self.child.tail().0,
        })
    }

    fn read_rest(&mut self) {
        let mut lines = Vec::new();
        self.child.finish(&mut lines);
        self.log(&lines);
    }

    /// True: the output has ended after the exit.
    fn tick(&mut self, now: Monotonic) -> bool {
        match self.state {
            ProgramState::Running(limit) => self.enforce(limit, now),
            ProgramState::Exited(Some(at)) if at <= now => {
                // Endless output is read in small portions.
                let reading = self.read();
                let next = (reading == Reading::Unfinished).then_some(now + READ_INTERVAL);
                self.state = ProgramState::Exited(next);
                if reading == Reading::Ended {
                    self.read_rest();
                    return true;
                }
            }
            ProgramState::Exited(_) => {}
        }
        false
    }

    fn enforce(&mut self, mut limit: TimeLimit, now: Monotonic) {
        let was_overdue = limit.is_over;
        let Some(signal) = limit.due_signal(now) else {
            return;
        };
        self.state = ProgramState::Running(limit);
        let killed = self.child.kill_group(signal);
        match &self.task {
            Task::Command { purpose, .. } => {
                let key = purpose.key();
                log::warn!("{key} exceeded its time limit: sending {signal}");
                if let Err(error) = killed {
                    log::error!("{key}: {error}");
                }
            }
            Task::RecoverySettings if !was_overdue => {
                log::error!("reading the recovery settings exceeded its time limit: check the disk")
            }
            Task::RecoverySettings | Task::Notification | Task::LookUp(_) => {}
        }
    }

    fn log(&self, lines: &[String]) {
        if let Task::Command { purpose, .. } = self.task {
            let key = purpose.key();
            lines.iter().for_each(|line| log::info!("{key}: {line}"));
        }
    }
}

/// How long a process may run, and how it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeLimit {
    /// When the next signal is due.
    pub(super) at: Option<Monotonic>,
    signals: Signals,
    /// A signal was due.
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signals {
    /// SIGTERM, which a script can act on, then SIGKILL.
    TermThenKill,
    /// SIGKILL at this interval: a process that hangs in a disk takes it when the disk answers.
    KillEvery(Duration),
}

impl TimeLimit {
    /// For a command of the configuration; `None`: without limit.
    pub(super) fn terminate_at(deadline: Option<Monotonic>) -> Self {
        Self {
            at: deadline,
            signals: Signals::TermThenKill,
            is_over: false,
        }
    }

    /// For a helper.
    pub(super) fn kill_after(time: Duration, now: Monotonic) -> Self {
        Self {
            at: Some(now + time),
            signals: Signals::KillEvery(time),
            is_over: false,
        }
    }

    /// Each signal is returned once.
    pub(super) fn due_signal(&mut self, now: Monotonic) -> Option<Signal> {
        self.at.filter(|at| *at <= now)?;
        let (signal, next) = match self.signals {
            Signals::TermThenKill if !self.is_over => (Signal::SIGTERM, Some(now + KILL_DELAY)),
            Signals::TermThenKill => (Signal::SIGKILL, None),
            Signals::KillEvery(time) => (Signal::SIGKILL, Some(now + time)),
        };
        (self.at, self.is_over) = (next, true);
        Some(signal)
    }
}

/// The command line of this program as a helper.
pub(super) fn helper(arguments: &[&str]) -> Vec<OsString> {
    let arguments = arguments.iter().map(OsString::from);
    std::iter::once(own_program()).chain(arguments).collect()
}

/// Between two reads of the output of a command that has exited.
const READ_INTERVAL: Duration = Duration::from_millis(10);
/// From SIGTERM to SIGKILL.
const KILL_DELAY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    #[test]
    fn a_command_gets_sigterm_first_and_a_helper_gets_sigkill_repeatedly() {
        let (term, kill) = (Some(Signal::SIGTERM), Some(Signal::SIGKILL));
        let check = |mut limit: TimeLimit, expected: [Option<Signal>; 5]| {
            let seconds = [9, 10, 14, 15, 20];
            let signals = seconds.map(|second| limit.due_signal(at(second)));
            assert_eq!(signals, expected, "at {seconds:?}");
        };
        check(TimeLimit::terminate_at(None), [None; 5]);
        let command = TimeLimit::terminate_at(Some(at(10)));
        check(command, [None, term, None, kill, None]);
        let helper = TimeLimit::kill_after(Duration::from_secs(5), at(5));
        check(helper, [None, kill, None, kill, kill]);
    }
}
