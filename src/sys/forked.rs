//! Child processes that are forked without exec: what hangs in a file system or in a name service
//! hangs in them.
//!
//! Only a program of one thread may fork as freely as this. The child has everything in its memory
//! already, and a fork costs a tenth of starting a program. It gives up every descriptor but a pipe
//! to us, so that a child that is stuck holds neither our port nor a connection.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use mio::unix::pipe::Receiver;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::child::{Reading, read_pipe};
use super::process::close_above_stderr;
use super::{files, guard_file};

/// A child that looks at files and ends with the daemon. It does its work each time that it is asked,
/// until it is dismissed: to ask again costs a hundredth of a fork. It is a source of the loop: readable
/// means [`Worker::read`].
#[derive(Debug)]
pub struct Worker {
    child: Forked,
    /// A byte asks for the work to be done; the child ends with this pipe.
    requests: Option<File>,
    result: Vec<u8>,
}

impl Worker {
    /// Starts a child for `work`, which is not asked for yet. To be called by the only thread of a
    /// process.
    pub fn start(mut work: impl FnMut() -> Vec<u8>) -> io::Result<Self> {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
        let child = Forked::start(Some(theirs.as_fd()), || {
            set_pdeathsig(Signal::SIGKILL)?;
            // Whoever counts processes of our name counts one.
            set_name(c"pglookout-files")?;
            SigSet::empty().thread_set_mask()?;
            // Without the buffers of stdin and stdout, which are the parent's.
            let mut requests = File::from(io::stdin().as_fd().try_clone_to_owned()?);
            let mut results = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            while requests.read(&mut [0])? > 0 {
                let result = work();
                let length = u64::try_from(result.len()).unwrap_or(u64::MAX);
                results.write_all(&[&length.to_ne_bytes()[..], &result].concat())?;
            }
            Ok(())
        })?;
        Ok(Self {
            child,
            requests: Some(ours.into()),
            result: Vec::new(),
        })
    }

    /// Has the work done, once more. To be called when there is no result to come.
    ///
    /// # Errors
    ///
    /// The child has ended, or was dismissed.
    pub fn ask(&mut self) -> io::Result<()> {
        // One byte into an empty pipe, which takes it at once.
        let requests = self.requests.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        requests.write_all(&[0])
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Takes what the child has written. Never waits.
    pub fn read(&mut self) -> io::Result<Reading> {
        let result = &mut self.result;
        let reading = read_pipe(&mut self.child.pipe, READ_BUDGET, |bytes| {
            result.extend_from_slice(bytes);
        })?;
        if self.result.len() > MAX_RESULT_BYTES {
            return Err(io::Error::other("the answer is too long"));
        }
        Ok(reading)
    }

    /// The result, once all of it was read.
    pub fn take_result(&mut self) -> Option<Vec<u8>> {
        let (length, result) = self.result.split_first_chunk()?;
        let is_whole = u64::try_from(result.len()) == Ok(u64::from_ne_bytes(*length));
        let result = is_whole.then(|| result.to_vec())?;
        self.result.clear();
        Some(result)
    }

    /// It ends when it has done what it was asked for.
    pub fn dismiss(&mut self) {
        self.requests = None;
    }

    /// Ends it, which the kernel may put off for as long as a file system hangs.
    pub fn kill(&self) {
        // The child was not reaped yet, so the id is its own; there is nothing else to be done.
        let _ = kill(self.child.pid, Signal::SIGKILL);
    }

    /// Whether the child has ended and is reaped. Never waits.
    pub fn try_reap(&self) -> bool {
        !matches!(
            waitpid(self.child.pid, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)
        )
    }
}

impl AsFd for Worker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.child.pipe.as_fd()
    }
}

/// What is to be done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOp {
    /// See [`files::replace`].
    Replace(Vec<u8>),
    /// See [`files::remove`].
    Remove,
    /// The file names the guard of our server: this one takes the place of the one before.
    TakeOver(String),
}

/// A child that puts one of our small files in place, or removes it, and survives the daemon: a
/// disk may take seconds for an fsync.
#[derive(Debug)]
pub struct FileWriter(Forked);

impl FileWriter {
    /// Has `op` done with `path`. To be called by the only thread of a process. The child keeps `lock`
    /// open until it has ended.
    pub fn start(path: &Path, op: &FileOp, lock: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        let work = || match op {
            FileOp::Replace(content) => files::replace(path, content),
            FileOp::Remove => files::remove(path),
            FileOp::TakeOver(description) => guard_file::take_over(path, description),
        };
        Forked::start(lock, work).map(Self)
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it was done, once the child has ended. Never waits.
    pub fn try_end(&mut self) -> Option<Result<(), String>> {
        match waitpid(self.0.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => None,
            Ok(WaitStatus::Exited(_, 0)) => Some(Ok(())),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                Some(Err(format!("the process that writes it: {signal}")))
            }
            Ok(_) => Some(Err(self.reason())),
            Err(error) => Some(Err(format!("the process that writes it is lost: {error}"))),
        }
    }

    fn reason(&mut self) -> String {
        let mut reason = Vec::new();
        // What was read before an error is still of use.
        let _ = read_pipe(&mut self.0.pipe, REASON_BYTES, |bytes| {
            reason.extend_from_slice(bytes);
        });
        String::from_utf8_lossy(&reason).into_owned()
    }
}

/// A forked child and the pipe from it.
#[derive(Debug)]
pub(super) struct Forked {
    pid: Pid,
    pub(super) pipe: Receiver,
}

impl Forked {
    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// `input` becomes the child's standard input.
    pub(super) fn start(
        input: Option<BorrowedFd<'_>>,
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Self> {
        // Only our end may be non-blocking: the child waits until a long result is taken.
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        let pipe = Receiver::from(ours);
        pipe.set_nonblocking(true)?;
        // SAFETY: there is no other thread, so the child may do whatever we may. It never returns
        // from here.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child, pipe }),
            ForkResult::Child => in_child(input.unwrap_or(theirs.as_fd()), theirs.as_fd(), work),
        }
    }
}

/// A child that ends by itself, and prints where we do. Nobody waits for it. To be called by the only thread
/// of a process.
pub(super) fn detached(
    input: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    // SAFETY: as above.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(()),
        ForkResult::Child => in_child(input, io::stdout().as_fd(), work),
    }
}

/// The child's whole life.
fn in_child(
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<()>,
) -> ! {
    // SAFETY: descriptors are only replaced and closed, and nothing of this process uses the others
    // any more: it ends below without dropping anything. The output takes the place of stderr as well,
    // so that even a panic is a reason that arrives.
    let done = unsafe {
        for (standard, source) in [(0, input), (1, output), (2, output)] {
            libc::dup2(source.as_raw_fd(), standard);
        }
        close_above_stderr()
    }
    .and_then(|()| work());
    if let Err(error) = &done {
        // A pipe that is empty takes this, and there is nobody else to report it to.
        let _ = io::stderr().write_all(error.to_string().as_bytes());
    }
    // SAFETY: ends the process; handlers and buffers of the parent must not be run or flushed here.
    unsafe { libc::_exit(i32::from(done.is_err())) }
}

/// Bytes per call.
const READ_BUDGET: usize = 1 << 20;
/// Several bundles of certificates.
const MAX_RESULT_BYTES: usize = 64 << 20;
/// Longer than any path and its error.
const REASON_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::Scratch;

    /// Of one request.
    fn result(worker: &mut Worker) -> Option<Vec<u8>> {
        loop {
            let reading = worker.read().unwrap();
            if let Some(result) = worker.take_result() {
                return Some(result);
            }
            if reading == Reading::Ended {
                return None;
            }
            std::thread::yield_now();
        }
    }

    fn wait_for_end(worker: &Worker) {
        while !worker.try_reap() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn long_and_empty_results_arrive_whole() {
        let long = vec![b'x'; 3 << 20];
        for expected in [long, Vec::new()] {
            let copy = expected.clone();
            let mut worker = Worker::start(move || copy.clone()).unwrap();
            worker.ask().unwrap();
            assert_eq!(result(&mut worker), Some(expected));
        }
    }

    #[test]
    fn a_worker_can_be_asked_again_until_it_is_dismissed() {
        let mut times = 0_u8;
        let count = move || {
            times += 1;
            vec![0; times.into()]
        };
        let mut worker = Worker::start(count).unwrap();
        for times in 1..=3 {
            worker.ask().unwrap();
            assert_eq!(result(&mut worker), Some(vec![0; times]));
        }
        assert!(!worker.try_reap());
        worker.dismiss();
        wait_for_end(&worker);
        assert!(worker.ask().is_err());
    }

    #[test]
    fn one_that_is_dismissed_finishes_what_it_was_asked_for() {
        let mut worker = Worker::start(|| vec![b'x'; 1 << 20]).unwrap();
        worker.ask().unwrap();
        worker.dismiss();
        assert_eq!(result(&mut worker), Some(vec![b'x'; 1 << 20]));
    }

    #[test]
    fn a_killed_worker_has_no_result() {
        let hang = || {
            nix::unistd::pause();
            Vec::new()
        };
        let mut worker = Worker::start(hang).unwrap();
        worker.ask().unwrap();
        assert_eq!(worker.read().unwrap(), Reading::Drained);
        assert!(!worker.try_reap());
        worker.kill();
        assert_eq!(result(&mut worker), None);
        wait_for_end(&worker);
    }

    #[test]
    fn a_panic_is_no_result() {
        let mut worker = Worker::start(|| panic!("of a test")).unwrap();
        worker.ask().unwrap();
        assert_eq!(result(&mut worker), None);
        wait_for_end(&worker);
    }

    fn written(path: &Path, op: &FileOp) -> Result<(), String> {
        let mut writer = FileWriter::start(path, op, None).unwrap();
        loop {
            if let Some(outcome) = writer.try_end() {
                return outcome;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_child_writes_and_removes_files() {
        let scratch = Scratch::new("forked");
        let path = scratch.0.join("file");
        let content = vec![b'x'; 1 << 20];
        assert_eq!(written(&path, &FileOp::Replace(content.clone())), Ok(()));
        assert_eq!(fs::read(&path).unwrap(), content);
        assert_eq!(written(&path, &FileOp::Remove), Ok(()));
        assert!(!path.exists());
    }

    #[test]
    fn a_failed_write_is_reported_with_its_path() {
        let scratch = Scratch::new("forked-absent");
        let path = scratch.0.join("not-there/file");
        let reason = written(&path, &FileOp::Replace(Vec::new())).unwrap_err();
        assert!(
            reason.contains(&*path.to_string_lossy()) && reason.contains("No such file"),
            "{reason}"
        );
    }
}
