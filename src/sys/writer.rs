//! A child process that puts one of our small files in place, or removes it: a disk that hangs, or
//! takes seconds for an fsync, holds this child up and nobody else.
//!
//! It is forked without exec, which only a program of one thread may do as freely as this: the
//! child has the content in its memory already, and a fork costs a tenth of starting a program. It
//! gives up every descriptor but a pipe, on which it says what went wrong, so that a child that is
//! stuck holds neither our port nor a connection.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::files;
use super::limits::close_above_stderr;

/// What is to be done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOp {
    /// See [`files::replace`].
    Replace(Vec<u8>),
    /// See [`files::remove`].
    Remove,
}

/// The child that does it.
#[derive(Debug)]
pub struct Writer {
    pid: Pid,
    reason: OwnedFd,
}

impl Writer {
    /// Has `op` done with `path`. To be called by the only thread of a process.
    pub fn start(path: &Path, op: &FileOp) -> io::Result<Self> {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // SAFETY: there is no other thread, so the child may do whatever we may. It never returns
        // from here.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self {
                pid: child,
                reason: ours,
            }),
            ForkResult::Child => in_child(&theirs, path, op),
        }
    }

    /// Whether it was done, once the child has ended. Never waits.
    pub fn try_end(&mut self) -> Option<Result<(), String>> {
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => None,
            Ok(WaitStatus::Exited(_, 0)) => Some(Ok(())),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                Some(Err(format!("the process that writes it: {signal}")))
            }
            Ok(_) => Some(Err(self.reason())),
            Err(error) => Some(Err(format!("the process that writes it is lost: {error}"))),
        }
    }

    fn reason(&self) -> String {
        let mut said = Vec::new();
        // What was read before an error is still worth saying.
        let _ = self
            .reason
            .try_clone()
            .map(|pipe| File::from(pipe).take(REASON_BYTES).read_to_end(&mut said));
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// The child's whole life.
fn in_child(reason_to: &OwnedFd, path: &Path, op: &FileOp) -> ! {
    // SAFETY: descriptors are only replaced and closed, and nothing of this process uses them any
    // more: it ends below without dropping anything. The pipe takes the place of all three, so that
    // even a panic is a reason that is heard.
    let outcome = unsafe {
        (0..=2).for_each(|standard| _ = libc::dup2(reason_to.as_raw_fd(), standard));
        close_above_stderr()
    }
    .and_then(|()| match op {
        FileOp::Replace(content) => files::replace(path, content),
        FileOp::Remove => files::remove(path),
    });
    if let Err(error) = &outcome {
        // A pipe that is empty takes this, and there is nobody else to tell.
        let _ = io::stderr().write_all(error.to_string().as_bytes());
    }
    // SAFETY: ends the process; handlers and buffers of the parent must not be run or flushed here.
    unsafe { libc::_exit(i32::from(outcome.is_err())) }
}

/// Longer than any path and its error.
const REASON_BYTES: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn done(path: &Path, op: &FileOp) -> Result<(), String> {
        let mut writer = Writer::start(path, op).unwrap();
        loop {
            if let Some(outcome) = writer.try_end() {
                return outcome;
            }
            std::thread::yield_now();
        }
    }

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pglookout-writer-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_child_writes_and_removes() {
        let path = place("file");
        let content = vec![b'x'; 1 << 20];
        assert_eq!(done(&path, &FileOp::Replace(content.clone())), Ok(()));
        assert_eq!(fs::read(&path).unwrap(), content);
        assert_eq!(done(&path, &FileOp::Remove), Ok(()));
        assert!(!path.exists());
    }

    #[test]
    fn what_went_wrong_is_told_with_the_path() {
        let path = place("not-there").join("file");
        let reason = done(&path, &FileOp::Replace(Vec::new())).unwrap_err();
        assert!(
            reason.contains(&*path.to_string_lossy()) && reason.contains("No such file"),
            "{reason}"
        );
    }
}
