//! The processes that we have started, in one table: the commands of the configuration, the helpers
//! that look up names or look at recovery settings, and the writers of small files. How they are
//! started, read, ended when they take too long, and reaped is the same for all; what an end means
//! is for whoever wanted the child. Nothing waits for any of them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use mio::{Interest, Token};

use super::registry::{Owner, Registry};
use super::time_limit::TimeLimit;
use crate::lookout::{CommandId, CommandPurpose};
use crate::sys::child::{Child, Reading, own_program};
use crate::sys::forked::{FileOp, FileWriter};
use crate::sys::process::InheritedLimit;
use crate::time::Monotonic;

/// All children.
pub(super) struct Children {
    /// Those that run, and commands that are over though what they have started keeps their pipe
    /// open.
    programs: BTreeMap<Token, Program>,
    /// One for each file.
    writers: BTreeMap<PathBuf, FileWriter>,
    /// Pipes of commands that are over. Of a command that leaves something behind at every attempt
    /// the latest are kept; who writes to an older one gets SIGPIPE, as without a reader.
    max_open_pipes: usize,
    /// The limit on descriptors that programs get.
    limit: Option<InheritedLimit>,
}

struct Program {
    task: Task,
    child: Child,
    time_limit: TimeLimit,
    /// Its end is known; what it left running may still write.
    is_over: bool,
    /// When that is read next.
    read_at: Option<Monotonic>,
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
            max_open_pipes,
            limit,
        }
    }

    /// From the next end of a command on.
    pub(super) fn set_max_open_pipes(&mut self, max: usize) {
        self.max_open_pipes = max;
    }

    /// Starts a program, which may read `input`, and gives its process id.
    pub(super) fn start(
        &mut self,
        task: Task,
        argv: &[impl AsRef<OsStr>],
        input: Option<&[u8]>,
        time_limit: TimeLimit,
        registry: &mut Registry,
    ) -> io::Result<u32> {
        let child = match input {
            Some(input) => Child::start_with_input(argv, input, self.limit)?,
            None => Child::start(argv, self.limit)?,
        };
        let token = registry.register(&child, Owner::Child, Interest::READABLE)?;
        let pid = child.id();
        let program = Program {
            task,
            child,
            time_limit,
            is_over: false,
            read_at: None,
        };
        self.programs.insert(token, program);
        Ok(pid)
    }

    /// Has one of our small files written or removed.
    pub(super) fn start_writer(&mut self, path: &Path, deed: &FileOp) -> io::Result<()> {
        let writer = FileWriter::start(path, deed)?;
        self.writers.insert(path.to_owned(), writer);
        Ok(())
    }

    /// A child has printed something, or its pipe was closed. Only its status says that it is over.
    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry, now: Monotonic) {
        let Some(program) = self.programs.get_mut(&token) else {
            return;
        };
        if program.is_over {
            program.read_at.get_or_insert(now + REST);
        } else if program.read() == Reading::Unfinished {
            registry.again(token);
        }
    }

    /// Asks every program whether it has ended.
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
                    program.read_at = Some(now + REST);
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
        let over = self.programs.iter().filter(|(_, program)| program.is_over);
        let open: Vec<Token> = over.map(|(token, _)| *token).collect();
        let too_many = open.len().saturating_sub(self.max_open_pipes);
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

    /// Asks every writer whether it has ended.
    pub(super) fn reap_writers(&mut self) -> Vec<(PathBuf, Result<(), String>)> {
        let writers = self.writers.iter_mut();
        let done = writers.filter_map(|(path, writer)| Some((path.clone(), writer.try_end()?)));
        let done: Vec<_> = done.collect();
        done.iter()
            .for_each(|(path, _)| _ = self.writers.remove(path));
        done
    }

    /// Ends those that have run for too long ([`Children::reap`] sees their end), and reads what
    /// others have left behind. Gives the next deadline.
    pub(super) fn tick(&mut self, registry: &mut Registry, now: Monotonic) -> Option<Monotonic> {
        let programs = self.programs.iter_mut();
        let done = programs.filter_map(|(token, program)| program.tick(now).then_some(*token));
        for token in done.collect::<Vec<_>>() {
            self.remove(token, registry);
        }
        let next = |program: &Program| match program.is_over {
            true => program.read_at,
            false => program.time_limit.at,
        };
        self.programs.values().filter_map(next).min()
    }

    /// Is a file being written.
    pub(super) fn is_writing(&self) -> bool {
        !self.writers.is_empty()
    }

    /// We are about to end: a command that still writes to us must not be ended by a closed pipe.
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
    /// What a command prints is for the log; a helper's output is kept by [`Child`] until its end.
    fn read(&mut self) -> Reading {
        let mut lines = Vec::new();
        let reading = self.child.read_output(&mut lines).unwrap_or(Reading::Ended);
        self.log(&lines);
        reading
    }

    /// How it has ended, once.
    fn exit(&mut self) -> Option<Exit> {
        if self.is_over {
            return None;
        }
        // A status that cannot be had will never be had.
        let status = self.child.try_wait().transpose()?;
        self.is_over = true;
        self.read_the_last();
        Some(Exit {
            status,
            is_overdue: self.time_limit.is_over,
            printed: self.child.tail().0,
        })
    }

    fn read_the_last(&mut self) {
        let mut lines = Vec::new();
        self.child.finish(&mut lines);
        self.log(&lines);
    }

    /// Does what is due. True: nothing will come of it any more.
    fn tick(&mut self, now: Monotonic) -> bool {
        if !self.is_over {
            self.end_in_time(now);
            return false;
        }
        if self.read_at.is_none_or(|at| at > now) {
            return false;
        }
        // One that writes without end is read in measured portions: nobody waits for it any more.
        let reading = self.read();
        self.read_at = (reading == Reading::Unfinished).then_some(now + REST);
        if reading == Reading::Ended {
            self.read_the_last();
        }
        reading == Reading::Ended
    }

    fn end_in_time(&mut self, now: Monotonic) {
        let was_overdue = self.time_limit.is_over;
        let Some(signal) = self.time_limit.run_out(now) else {
            return;
        };
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
            Task::RecoverySettings | Task::LookUp(_) => {}
        }
    }

    fn log(&self, lines: &[String]) {
        if let Task::Command { purpose, .. } = self.task {
            let key = purpose.key();
            lines.iter().for_each(|line| log::info!("{key}: {line}"));
        }
    }
}

/// The command line of this very program as a helper.
pub(super) fn helper(arguments: &[&str]) -> Vec<OsString> {
    let arguments = arguments.iter().map(OsString::from);
    std::iter::once(own_program()).chain(arguments).collect()
}

/// From one reading of a pipe whose command is over to the next.
const REST: Duration = Duration::from_millis(10);
