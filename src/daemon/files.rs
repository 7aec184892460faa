//! The state file and the alert files on their way to the disk: one child process for each at a
//! time, so that a disk that hangs holds up nothing but what is written to it. While one is at it,
//! only the latest request for the same file is kept. What failed is said once and tried again, so
//! that an alert appears as soon as there is room for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::io::Io;
use crate::lookout::Trouble;
use crate::sys::forked::FileOp;
use crate::time::Monotonic;

/// Every file that is being written, or could not be.
#[derive(Debug, Default)]
pub(super) struct Files {
    open: BTreeMap<PathBuf, Open>,
}

/// One file with something left to do.
#[derive(Debug)]
struct Open {
    /// The configuration's key, for the log.
    key: &'static str,
    /// What is being done, or could not be.
    deed: FileOp,
    stage: Stage,
    /// Wanted since.
    next: Option<FileOp>,
    /// What went wrong the last time, as it was said.
    said: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A child is at it, for so long that it is worth a line after this moment.
    Writing(Option<Monotonic>),
    /// To be tried again.
    Failed(Monotonic),
}

impl Files {
    /// Has this done with the file, which a key of the configuration names.
    pub(super) fn request(&mut self, key: &'static str, path: PathBuf, deed: FileOp, io: &mut Io) {
        let unwritten = || Open {
            key,
            deed: FileOp::Remove,
            stage: Stage::Failed(io.now.mono),
            next: None,
            said: None,
        };
        let open = self.open.entry(path.clone()).or_insert_with(unwritten);
        if let Stage::Writing(_) = open.stage {
            open.next = Some(deed);
        } else {
            open.deed = deed;
            open.begin(&path, io);
        }
    }

    /// A child has ended.
    pub(super) fn ended(&mut self, path: &Path, outcome: Result<(), String>, io: &mut Io) {
        let Some(open) = self.open.get_mut(path) else {
            return;
        };
        let is_done = outcome.is_ok();
        open.ended(outcome, io);
        if let Some(next) = open.next.take() {
            open.deed = next;
            open.begin(path, io);
        } else if is_done {
            self.open.remove(path);
        }
    }

    /// Logs that a child takes long, and tries again what has failed. Gives the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        for (path, open) in &mut self.open {
            match open.stage {
                Stage::Writing(Some(slow)) if slow <= io.now.mono => {
                    open.stage = Stage::Writing(None);
                    let path = path.display();
                    open.fail(
                        format!("no response from the disk for {SLOW:?}: {path}"),
                        io,
                    );
                }
                Stage::Failed(again) if again <= io.now.mono => open.begin(path, io),
                _ => {}
            }
        }
        let deadline = |open: &Open| match open.stage {
            Stage::Writing(slow) => slow,
            Stage::Failed(again) => Some(again),
        };
        self.open.values().filter_map(deadline).min()
    }

    /// Gives up what failed for files that are no longer ours.
    pub(super) fn retain(&mut self, is_ours: impl Fn(&Path) -> bool) {
        self.open
            .retain(|path, open| matches!(open.stage, Stage::Writing(_)) || is_ours(path));
    }
}

impl Open {
    fn begin(&mut self, path: &Path, io: &mut Io) {
        match io.children.start_writer(path, &self.deed) {
            Ok(()) => self.stage = Stage::Writing(Some(io.now.mono + SLOW)),
            Err(error) => {
                let reason = format!(
                    "cannot start a process to write {}: {error}",
                    path.display()
                );
                self.ended(Err(reason), io);
            }
        }
    }

    fn ended(&mut self, outcome: Result<(), String>, io: &mut Io) {
        self.stage = Stage::Failed(io.now.mono + RETRY);
        match outcome {
            Ok(()) if self.said.take().is_some() => log::info!("{}: written again", self.key),
            Ok(()) => {}
            Err(reason) => self.fail(reason, io),
        }
    }

    fn fail(&mut self, reason: String, io: &mut Io) {
        if self.said.as_ref() != Some(&reason) {
            log::error!("{}: {reason}", self.key);
        }
        self.said = Some(reason);
        io.trouble(Trouble::File, self.key);
    }
}

/// A disk that takes longer is worth a line.
const SLOW: Duration = Duration::from_secs(5);
/// From a failure to the next try.
const RETRY: Duration = Duration::from_secs(5);
