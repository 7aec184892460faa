//! A child process that looks at files, or asks a name service, for the daemon: what hangs there
//! hangs in the child.
//!
//! It is forked without exec, as [`super::writer`] does and for the same reasons. It gives up every
//! descriptor but a pipe for its answer, and ends with the daemon.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::pipe::Receiver;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::limits::close_above_stderr;

/// The child and the pipe for its answer. It is a source of the loop: readable means
/// [`Reader::read`].
#[derive(Debug)]
pub struct Reader {
    pid: Pid,
    pipe: Receiver,
    answer: Vec<u8>,
}

/// How far the answer has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The pipe will be readable again, or end.
    Waiting,
    /// This turn's budget is used up: call again next turn, no event will say so.
    Unfinished,
    /// All of it; `None` if the child has ended without one.
    Answered(Option<Vec<u8>>),
}

impl Reader {
    /// Has `work` done in a child. To be called by the only thread of a process.
    pub fn start(work: impl FnOnce() -> Vec<u8>) -> io::Result<Self> {
        // Only our end may be non-blocking: the child waits until a long answer is taken.
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        let pipe = Receiver::from(ours);
        pipe.set_nonblocking(true)?;
        // SAFETY: there is no other thread, so the child may do whatever we may. It never returns
        // from here.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self {
                pid: child,
                pipe,
                answer: Vec::new(),
            }),
            ForkResult::Child => in_child(&theirs, work),
        }
    }

    /// Takes what the child has written. Never waits.
    pub fn read(&mut self) -> io::Result<Progress> {
        let before = self.answer.len();
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.pipe.read(&mut buffer) {
                Ok(0) => {
                    let is_whole = self.answer.pop() == Some(END);
                    let answer = std::mem::take(&mut self.answer);
                    return Ok(Progress::Answered(Some(answer).filter(|_| is_whole)));
                }
                Ok(n) => self
                    .answer
                    .extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Waiting);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.answer.len() > MAX_ANSWER_BYTES {
                return Err(io::Error::other("the answer is too long"));
            }
            if self.answer.len() - before > READ_BUDGET {
                return Ok(Progress::Unfinished);
            }
        }
    }

    /// Ends it, which the kernel may put off for as long as a file system hangs.
    pub fn kill(&self) {
        // The child was not reaped yet, so the id is its own; there is nothing else to be done.
        let _ = kill(self.pid, Signal::SIGKILL);
    }

    /// Whether the child has ended and is reaped. Never waits.
    pub fn try_reap(&self) -> bool {
        !matches!(
            waitpid(self.pid, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::EINTR)
        )
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// The child's whole life.
fn in_child(pipe: &OwnedFd, work: impl FnOnce() -> Vec<u8>) -> ! {
    // SAFETY: as in `writer`: descriptors are only replaced and closed, and nothing of this process
    // uses the others any more; the other calls take integers. The process ends below without
    // dropping anything.
    let prepared = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        (0..=2).for_each(|standard| _ = libc::dup2(pipe.as_raw_fd(), standard));
        close_above_stderr()
    };
    let written = prepared
        .and_then(|()| Ok(SigSet::empty().thread_set_mask()?))
        .and_then(|()| {
            let mut answer = work();
            answer.push(END);
            answer_pipe()?.write_all(&answer)
        });
    // SAFETY: ends the process; handlers and buffers of the parent must not be run or flushed here.
    unsafe { libc::_exit(i32::from(written.is_err())) }
}

/// Without the buffer of stdout, which is the parent's.
fn answer_pipe() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// The last byte of every whole answer.
const END: u8 = b'.';
/// Bytes per read.
const READ_BYTES: usize = 16 * 1024;
/// Bytes per call.
const READ_BUDGET: usize = 1 << 20;
/// Several bundles of certificates.
const MAX_ANSWER_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(mut reader: Reader) -> Option<Vec<u8>> {
        let answer = loop {
            match reader.read().unwrap() {
                Progress::Answered(answer) => break answer,
                _ => std::thread::yield_now(),
            }
        };
        while !reader.try_reap() {
            std::thread::yield_now();
        }
        answer
    }

    #[test]
    fn a_long_answer_comes_whole_and_an_empty_one_is_one() {
        let long = vec![b'x'; 3 << 20];
        let copy = long.clone();
        assert_eq!(answer(Reader::start(move || copy).unwrap()), Some(long));
        assert_eq!(answer(Reader::start(Vec::new).unwrap()), Some(Vec::new()));
    }

    #[test]
    fn one_that_is_killed_has_no_answer() {
        let hang = || {
            nix::unistd::pause();
            Vec::new()
        };
        let mut reader = Reader::start(hang).unwrap();
        assert_eq!(reader.read().unwrap(), Progress::Waiting);
        assert!(!reader.try_reap());
        reader.kill();
        assert_eq!(answer(reader), None);
    }
}
