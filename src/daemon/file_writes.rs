//! The state file and the alert files: each is written by one child process at a time, so that a disk
//! that hangs delays only what is written to it. Meanwhile the latest request for the same file is
//! kept. A failure is logged once and tried again, so that an alert file appears as soon as there is
//! room for it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::io::Io;
use crate::lookout::Trouble;
use crate::sys::forked::FileOp;
use crate::time::Monotonic;

/// The files that are being written, or could not be.
#[derive(Debug, Default)]
pub(super) struct FileWrites {
    pending: BTreeMap<PathBuf, PendingWrite>,
    /// The alert files that this process has written.
    alerts: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct PendingWrite {
    /// The configuration's key, for the log.
    key: &'static str,
    op: FileOp,
    state: WriteState,
    /// Requested since.
    next: Option<FileOp>,
    /// The last failure, which was logged.
    failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteState {
    /// By a child process, until it is slow.
    Writing(Option<Monotonic>),
    /// Tried again at this time.
    Failed(Monotonic),
}

impl FileWrites {
    /// `key` of the configuration names the file.
    pub(super) fn request(&mut self, key: &'static str, path: PathBuf, op: FileOp, io: &mut Io) {
        let new = || PendingWrite {
            key,
            op: FileOp::Remove,
            state: WriteState::Failed(io.now.mono),
            next: None,
            failure: None,
        };
        let pending = self.pending.entry(path.clone()).or_insert_with(new);
        if let WriteState::Writing(_) = pending.state {
            pending.next = Some(op);
        } else {
            pending.op = op;
            pending.start(&path, io);
        }
    }

    pub(super) fn finished(&mut self, path: &Path, outcome: Result<(), String>, io: &mut Io) {
        let Some(pending) = self.pending.get_mut(path) else {
            return;
        };
        let is_written = outcome.is_ok();
        if is_written && pending.key == ALERTS {
            log_alert(&mut self.alerts, path, &pending.op);
        }
        pending.finished(outcome, io);
        if let Some(next) = pending.next.take() {
            pending.op = next;
            pending.start(path, io);
        } else if is_written {
            self.pending.remove(path);
        }
    }

    /// Is this file still to be written.
    pub(super) fn is_pending(&self, path: &Path) -> bool {
        self.pending.contains_key(path)
    }

    /// Logs slow writes and tries failed ones again. Returns the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        for (path, pending) in &mut self.pending {
            match pending.state {
                WriteState::Writing(Some(slow)) if slow <= io.now.mono => {
                    pending.state = WriteState::Writing(None);
                    let path = path.display();
                    let reason = format!("no response from the disk for {SLOW:?}: {path}");
                    pending.failed(reason, io);
                }
                WriteState::Failed(retry_at) if retry_at <= io.now.mono => pending.start(path, io),
                _ => {}
            }
        }
        let deadline = |pending: &PendingWrite| match pending.state {
            WriteState::Writing(slow) => slow,
            WriteState::Failed(retry_at) => Some(retry_at),
        };
        self.pending.values().filter_map(deadline).min()
    }

    /// Gives up failed writes of files that are no longer configured.
    pub(super) fn retain(&mut self, is_configured: impl Fn(&Path) -> bool) {
        self.pending.retain(|path, pending| {
            matches!(pending.state, WriteState::Writing(_)) || is_configured(path)
        });
    }
}

impl PendingWrite {
    fn start(&mut self, path: &Path, io: &mut Io) {
        let lock = io.vote_lock.as_ref().filter(|_| self.key == VOTES);
        let lock = lock.map(|(_, lock)| lock.as_fd());
        match io.children.start_writer(path, &self.op, lock) {
            Ok(()) => self.state = WriteState::Writing(Some(io.now.mono + SLOW)),
            Err(error) => {
                let path = path.display();
                let reason = format!("cannot start a process to write {path}: {error}");
                self.finished(Err(reason), io);
            }
        }
    }

    fn finished(&mut self, outcome: Result<(), String>, io: &mut Io) {
        self.state = WriteState::Failed(io.now.mono + RETRY);
        match outcome {
            Ok(()) if self.failure.take().is_some() => log::info!("{}: written again", self.key),
            Ok(()) => {}
            Err(reason) => self.failed(reason, io),
        }
    }

    fn failed(&mut self, reason: String, io: &mut Io) {
        if self.failure.as_ref() != Some(&reason) {
            log::error!("{}: {reason}", self.key);
        }
        self.failure = Some(reason);
        io.trouble(Trouble::File, self.key);
    }
}

/// An alert that lasts is written at every decision, and one that may not be there is removed.
fn log_alert(alerts: &mut BTreeSet<PathBuf>, path: &Path, op: &FileOp) {
    match op {
        FileOp::Replace(_) if alerts.insert(path.to_owned()) => {
            log::info!("alert file {} written", path.display());
        }
        FileOp::Remove if alerts.remove(path) => {
            log::info!("alert file {} removed", path.display());
        }
        FileOp::Replace(_) | FileOp::Remove | FileOp::TakeOver(_) => {}
    }
}

/// The key of the alert files' directory.
pub(super) const ALERTS: &str = "alert_file_dir";
/// The key of the vote files' directory. Their writers keep its lock.
pub(super) const VOTES: &str = "vote_directory";
const SLOW: Duration = Duration::from_secs(5);
/// After a failure.
const RETRY: Duration = Duration::from_secs(5);
