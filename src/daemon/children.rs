//! The processes that we have started, in one table: the commands of the configuration, the helpers
//! that look up names or look at recovery settings, and the writers of small files. How they are
//! started, read, ended when they take too long, and reaped is the same for all; what an end means
//! is for whoever wanted the child. Nothing waits for any of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use mio::{Interest, Token};

use super::open_pipes::{OpenPipes, leave, log_lines};
use super::registry::{Owner, Registry};
use super::time_limit::TimeLimit;
use crate::lookout::{CommandId, CommandPurpose};
use crate::sys::child::{Child, Reading, own_program};
use crate::sys::limits::InheritedLimit;
use crate::sys::writer::{Deed, Writer};
use crate::time::Monotonic;

/// All children.
pub(super) struct Children {
    programs: BTreeMap<Token, Program>,
    /// One for each file.
    writers: BTreeMap<PathBuf, Writer>,
    pub(super) open_pipes: OpenPipes,
    /// The limit on descriptors that programs get.
    limit: Option<InheritedLimit>,
}

struct Program {
    task: Task,
    child: Child,
    time_limit: TimeLimit,
}

/// What a program was started for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Command {
        id: CommandId,
        purpose: CommandPurpose,
    },
    /// The addresses of this name.
    LookUp(String),
    RecoverySettings,
}

/// How a program has ended.
pub(super) struct Exit {
    pub(super) status: io::Result<ExitStatus>,
    /// Its time was over.
    pub(super) is_overdue: bool,
    /// The end of what it has printed.
    pub(super) printed: Vec<u8>,
}

impl Children {
    pub(super) fn new(limit: Option<InheritedLimit>, max_open_pipes: usize) -> Self {
        Self {
            programs: BTreeMap::new(),
            writers: BTreeMap::new(),
            open_pipes: OpenPipes::new(max_open_pipes),
            limit,
        }
    }

    /// Starts a program, and gives its process id.
    pub(super) fn start(
        &mut self,
        task: Task,
        argv: &[impl AsRef<OsStr>],
        time_limit: TimeLimit,
        registry: &mut Registry,
    ) -> io::Result<u32> {
        let child = Child::start(argv, self.limit)?;
        self.enter(task, child, time_limit, registry)
    }

    /// Starts this very program as a helper: its first argument says which, and it may read `input`.
    pub(super) fn start_helper(
        &mut self,
        task: Task,
        arguments: &[&str],
        input: Option<&[u8]>,
        time_limit: TimeLimit,
        registry: &mut Registry,
    ) -> io::Result<u32> {
        let program = own_program();
        let arguments = arguments.iter().map(OsStr::new);
        let argv: Vec<&OsStr> = std::iter::once(program.as_os_str())
            .chain(arguments)
            .collect();
        let child = match input {
            Some(input) => Child::start_with_input(&argv, input, self.limit)?,
            None => Child::start(&argv, self.limit)?,
        };
        self.enter(task, child, time_limit, registry)
    }

    /// Has one of our small files written or removed.
    pub(super) fn start_writer(&mut self, path: &Path, deed: &Deed) -> io::Result<()> {
        let writer = Writer::start(path, deed)?;
        self.writers.insert(path.to_owned(), writer);
        Ok(())
    }

    /// A child has printed something, or its pipe was closed. Only its status says that it is over.
    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry, now: Monotonic) {
        match self.programs.get_mut(&token) {
            Some(program) => {
                if program.read() == Reading::Unfinished {
                    registry.again(token);
                }
            }
            None => self.open_pipes.ready(token, now),
        }
    }

    /// Asks every program whether it has ended.
    pub(super) fn reap(&mut self, registry: &mut Registry, now: Monotonic) -> Vec<(Task, Exit)> {
        // A status that cannot be had will never be had.
        let programs = self.programs.iter_mut();
        let over = programs
            .filter_map(|(token, program)| Some((*token, program.child.try_wait().transpose()?)));
        let mut exits = Vec::new();
        for (token, status) in over.collect::<Vec<_>>() {
            let Some(mut program) = self.programs.remove(&token) else {
                continue;
            };
            exits.push((program.task.clone(), program.exit(status)));
            let is_open = program.read() != Reading::Ended;
            match program.task {
                Task::Command { purpose, .. } if is_open => {
                    let key = purpose.key();
                    self.open_pipes.insert(token, key, program.child, now);
                }
                _ => registry.forget(&mut program.child, token),
            }
        }
        self.open_pipes.close_oldest(registry);
        exits
    }

    /// Asks every writer whether it has ended.
    pub(super) fn reap_writers(&mut self) -> Vec<(PathBuf, Result<(), String>)> {
        let writers = self.writers.iter_mut();
        let done = writers.filter_map(|(path, writer)| Some((path.clone(), writer.try_end()?)));
        let done: Vec<_> = done.collect();
        done.iter()
            .for_each(|(path, _)| _ = self.writers.remove(path));
        done
    }

    /// Ends those that have run for too long; [`Children::reap`] sees their end. Gives the next
    /// deadline.
    pub(super) fn tick(&mut self, registry: &mut Registry, now: Monotonic) -> Option<Monotonic> {
        let programs = self.programs.values_mut();
        let deadlines = programs.filter_map(|program| program.tick(now));
        let next = deadlines.min();
        next.into_iter()
            .chain(self.open_pipes.tick(registry, now))
            .min()
    }

    /// Is a file being written.
    pub(super) fn is_writing(&self) -> bool {
        !self.writers.is_empty()
    }

    /// We are about to end: a command that still writes to us must not be ended by a closed pipe.
    pub(super) fn leave(&mut self) {
        for program in std::mem::take(&mut self.programs).into_values() {
            if let Task::Command { purpose, .. } = program.task {
                leave(purpose.key(), program.child);
            }
        }
        self.open_pipes.leave();
    }

    fn enter(
        &mut self,
        task: Task,
        mut child: Child,
        time_limit: TimeLimit,
        registry: &mut Registry,
    ) -> io::Result<u32> {
        let token = registry.register(&mut child, Owner::Child, Interest::READABLE)?;
        let pid = child.id();
        let program = Program {
            task,
            child,
            time_limit,
        };
        self.programs.insert(token, program);
        Ok(pid)
    }
}

impl Program {
    /// What a command prints is for the log; a helper's output is kept by [`Child`] until its end.
    fn read(&mut self) -> Reading {
        let mut lines = Vec::new();
        let reading = self.child.read_output(&mut lines).unwrap_or(Reading::Ended);
        self.log(&lines);
        reading
    }

    fn exit(&mut self, status: io::Result<ExitStatus>) -> Exit {
        let mut lines = Vec::new();
        self.child.finish(&mut lines);
        self.log(&lines);
        Exit {
            status,
            is_overdue: self.time_limit.is_over(),
            printed: self.child.tail().0,
        }
    }

    fn tick(&mut self, now: Monotonic) -> Option<Monotonic> {
        let was_overdue = self.time_limit.is_over();
        let Some(signal) = self.time_limit.run_out(now) else {
            return self.time_limit.next_deadline();
        };
        let killed = self.child.kill_group(signal);
        match &self.task {
            Task::Command { purpose, .. } => {
                let key = purpose.key();
                log::warn!("{key} has run for too long: sending {signal}");
                if let Err(error) = killed {
                    log::error!("{key}: {error}");
                }
            }
            Task::RecoverySettings if !was_overdue => log::error!(
                "the helper that looks at the recovery settings has run for too long: is the disk sick?"
            ),
            Task::RecoverySettings | Task::LookUp(_) => {}
        }
        self.time_limit.next_deadline()
    }

    fn log(&self, lines: &[String]) {
        if let Task::Command { purpose, .. } = self.task {
            log_lines(purpose.key(), lines);
        }
    }
}
