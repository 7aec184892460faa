//! Child processes: the commands of the configuration and our own helpers, started so that nothing
//! of the daemon leaks into them and nothing of them can hold the daemon up.
//!
//! A child gets an empty signal mask and default dispositions (Rust's `Command` passes ours on, and
//! the script would be deaf to SIGTERM), a process group of its own, the descriptor limit that we
//! were started with, `/dev/null` to read from unless it gets an input, one pipe to us for
//! both outputs, no other descriptor, no variable of the service manager and not the password of our
//! environment. A root that holds this program and nothing else has neither `/dev/null` nor
//! `/proc`; our helpers start there too.
//!
//! The exit status alone says that a command is over. What it left running may keep the pipe: after
//! [`Child::finish`] drop the `Child` (a writer then gets SIGPIPE), or keep it registered and
//! reading until it is [`Reading::Ended`].

#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use mio::unix::pipe::{Receiver, Sender};
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::pipe2;

use super::process::{self, InheritedLimit, close_on_exec_above_stderr};
use super::text::Output;

/// A child process and the pipe to which it writes. It is a source of the loop: readable means
/// [`Child::read_output`].
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    status: Option<ExitStatus>,
    pipe: Receiver,
    pipe_has_ended: bool,
    output: Output,
}

/// What reading a pipe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All that was there is read; the pipe will be readable again or end.
    Drained,
    /// This turn's budget is used up: call again next turn, no event will come.
    Unfinished,
    /// Nobody holds the pipe any more.
    Ended,
}

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a, S> {
    /// Program first, found on `PATH` if it has no slash.
    pub argv: &'a [S],
    /// What it may read, which may be a secret: it is seen in no list of processes. It must fit into
    /// a pipe, because nothing here waits for the reader.
    pub input: Option<&'a [u8]>,
    /// What is added to its environment.
    pub variables: &'a [(&'static str, String)],
}

impl<'a, S: AsRef<OsStr>> Invocation<'a, S> {
    /// Of these words and nothing else.
    pub fn of(argv: &'a [S]) -> Self {
        Self {
            argv,
            input: None,
            variables: &[],
        }
    }

    fn stdin(&self) -> io::Result<Stdio> {
        let Some(input) = self.input else {
            return nothing_to_read("/dev/null");
        };
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
        let mut ours = Sender::from(ours);
        ours.set_nonblocking(true)?;
        ours.write_all(input)?;
        Ok(theirs.into())
    }
}

impl Child {
    /// Returns when the program runs or could not be started: std waits for the exec, which for a
    /// program on a local disk is a matter of a millisecond. That is the one wait in this file.
    pub fn start<S: AsRef<OsStr>>(
        run: &Invocation<'_, S>,
        limit: Option<InheritedLimit>,
    ) -> io::Result<Self> {
        Self::start_reading(run, run.stdin()?, limit)
    }

    fn start_reading<S: AsRef<OsStr>>(
        run: &Invocation<'_, S>,
        stdin: Stdio,
        limit: Option<InheritedLimit>,
    ) -> io::Result<Self> {
        let (program, arguments) = run
            .argv
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
        // Both ends close on exec: the child keeps copies as 1 and 2 alone, so that the pipe ends
        // when it does.
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        let pipe = Receiver::from(ours);
        pipe.set_nonblocking(true)?;
        let mut command = cleansed(program.as_ref(), limit);
        let variables = run.variables.iter();
        command
            .args(arguments)
            .envs(variables.map(|(name, value)| (*name, value)))
            .stdin(stdin)
            .stdout(theirs.try_clone()?)
            .stderr(theirs);
        let process = command.spawn()?;
        Ok(Self {
            process,
            status: None,
            pipe,
            pipe_has_ended: false,
            output: Output::default(),
        })
    }

    /// The process id, which is also the id of the process group.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Reads what the child has printed and appends the complete lines: cut, without control
    /// characters, and no more of them than a log should bear.
    pub fn read_output(&mut self, lines: &mut Vec<String>) -> io::Result<Reading> {
        if self.pipe_has_ended {
            return Ok(Reading::Ended);
        }
        let output = &mut self.output;
        let reading = read_pipe(&mut self.pipe, READ_BUDGET, |bytes| {
            output.take(bytes, lines)
        })?;
        self.pipe_has_ended = reading == Reading::Ended;
        Ok(reading)
    }

    /// The exit status once the child has ended. Never waits.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.process.try_wait()?;
        }
        Ok(self.status)
    }

    /// To be called once [`Child::try_wait`] has given a status: reads what the pipe still holds,
    /// once and bounded, and appends the last lines.
    pub fn finish(&mut self, lines: &mut Vec<String>) {
        // A pipe that cannot be read holds nothing more for us; the status stands.
        let _ = self.read_output(lines);
        self.output.end(lines);
    }

    /// The end of what the child has printed, and how many bytes before it were dropped.
    pub fn tail(&self) -> (Vec<u8>, u64) {
        self.output.tail()
    }

    /// Sends `signal` to the child and everything that it started in its group. Does nothing once
    /// its status was taken: the id may be somebody else's by then.
    pub fn kill_group(&self, signal: Signal) -> io::Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        process::kill_group(self.id(), signal)
    }

    /// Lets a running child finish without us, who are about to end: `cat` takes over the reading,
    /// because a failover script that meets a closed pipe is ended by SIGPIPE half-way through.
    pub fn leave(self) -> io::Result<()> {
        self.pipe.set_nonblocking(false)?;
        let mut command = cleansed("cat".as_ref(), None);
        command
            .stdin(OwnedFd::from(self.pipe))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(())
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Hands on what a non-blocking pipe holds, of which `budget` bytes are read at once, or a little
/// more.
pub(super) fn read_pipe(
    pipe: &mut Receiver,
    budget: usize,
    mut take: impl FnMut(&[u8]),
) -> io::Result<Reading> {
    let mut left = budget;
    let mut buffer = [0; READ_BYTES];
    while left > 0 {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(Reading::Ended),
            Ok(n) => {
                take(buffer.get(..n).unwrap_or_default());
                left = left.saturating_sub(n);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Reading::Drained);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Reading::Unfinished)
}

/// What starts this very program once more, also when its file was replaced by a newer version.
/// Without `/proc` it is the name that we were started by.
pub fn own_program() -> OsString {
    const RUNNING: &str = "/proc/self/exe";
    let started = if Path::new(RUNNING).exists() {
        None
    } else {
        std::env::args_os().next()
    };
    started.unwrap_or_else(|| RUNNING.into())
}

/// `null`, or where there is none a pipe whose other end is closed: both end at once.
fn nothing_to_read(null: &str) -> io::Result<Stdio> {
    match File::open(null) {
        Ok(file) => Ok(file.into()),
        Err(_) => Ok(pipe2(OFlag::O_CLOEXEC)?.0.into()),
    }
}

/// Bytes per read.
const READ_BYTES: usize = 16 * 1024;
/// Bytes per call; a little more than a pipe holds by default.
const READ_BUDGET: usize = 128 * 1024;
/// What the service manager meant for us alone, and the one of libpq's variables that is a secret itself
/// and no path to one.
const OUR_VARIABLES: [&str; 4] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "PGPASSWORD",
];

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts children"
)]
pub(super) fn cleansed(program: &OsStr, limit: Option<InheritedLimit>) -> Command {
    let mut command = Command::new(program);
    command.process_group(0);
    OUR_VARIABLES
        .iter()
        .for_each(|name| _ = command.env_remove(name));
    // SAFETY: between fork and exec `cleanse` makes system calls only: it takes no lock and
    // allocates nothing.
    unsafe { command.pre_exec(move || cleanse(limit)) };
    command
}

/// Runs in the child, after its descriptors 0 to 2 are in place.
fn cleanse(limit: Option<InheritedLimit>) -> io::Result<()> {
    for number in
        Signal::iterator().filter(|number| !matches!(number, Signal::SIGKILL | Signal::SIGSTOP))
    {
        // SAFETY: the default disposition runs no code of ours.
        unsafe { signal(number, SigHandler::SigDfl) }?;
    }
    SigSet::empty().thread_set_mask()?;
    close_on_exec_above_stderr()?;
    if let Some(InheritedLimit { soft, hard }) = limit {
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
