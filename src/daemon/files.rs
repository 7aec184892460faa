//! The state file and the alert files on their way to the disk: one child process for each at a
//! time, so that a disk that hangs holds up nothing but what is written to it. While one is at it,
//! only the latest wish for the same file is kept. What failed is said once and tried again, so
//! that an alert appears as soon as there is room for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys::writer::{Deed, Writer};
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
    deed: Deed,
    stage: Stage,
    /// Wished since.
    next: Option<Deed>,
    /// What went wrong the last time, as it was said.
    said: Option<String>,
}

#[derive(Debug)]
enum Stage {
    /// A child is at it, for so long that it is worth a word after this moment.
    Writing(Writer, Option<Monotonic>),
    /// To be tried again.
    Failed(Monotonic),
}

impl Files {
    /// Has this done with the file, which a key of the configuration names. Returns the key if
    /// something went wrong.
    pub(super) fn wish(
        &mut self,
        key: &'static str,
        path: PathBuf,
        deed: Deed,
        now: Monotonic,
    ) -> Option<&'static str> {
        let unwritten = || Open {
            key,
            deed: Deed::Remove,
            stage: Stage::Failed(now),
            next: None,
            said: None,
        };
        let open = self.open.entry(path.clone()).or_insert_with(unwritten);
        if let Stage::Writing(..) = open.stage {
            open.next = Some(deed);
            return None;
        }
        open.deed = deed;
        open.begin(&path, now)
    }

    /// Asks every child whether it has ended. Returns the keys of the files that went wrong.
    pub(super) fn reap(&mut self, now: Monotonic) -> Vec<&'static str> {
        let mut troubles = Vec::new();
        self.open.retain(|path, open| {
            let Stage::Writing(writer, _) = &mut open.stage else {
                return true;
            };
            let Some(outcome) = writer.try_end() else {
                return true;
            };
            let failed = outcome.is_err();
            troubles.extend(open.ended(outcome, now));
            if let Some(next) = open.next.take() {
                open.deed = next;
                troubles.extend(open.begin(path, now));
                return true;
            }
            failed
        });
        troubles
    }

    /// Says of a child that takes long, and tries again what has failed.
    pub(super) fn expire(&mut self, now: Monotonic) -> Vec<&'static str> {
        let mut troubles = Vec::new();
        for (path, open) in &mut self.open {
            match &mut open.stage {
                Stage::Writing(_, slow) if slow.is_some_and(|slow| slow <= now) => {
                    *slow = None;
                    troubles.push(open.say(format!(
                        "the disk has not answered for {SLOW:?}: {}",
                        path.display()
                    )));
                }
                Stage::Failed(again) if *again <= now => troubles.extend(open.begin(path, now)),
                _ => {}
            }
        }
        troubles
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        let deadline = |open: &Open| match &open.stage {
            Stage::Writing(_, slow) => *slow,
            Stage::Failed(again) => Some(*again),
        };
        self.open.values().filter_map(deadline).min()
    }

    /// Gives up what failed for files that are no longer ours.
    pub(super) fn retain(&mut self, is_ours: impl Fn(&Path) -> bool) {
        self.open
            .retain(|path, open| matches!(open.stage, Stage::Writing(..)) || is_ours(path));
    }

    /// Is a child at work.
    pub(super) fn is_writing(&self) -> bool {
        self.open
            .values()
            .any(|open| matches!(open.stage, Stage::Writing(..)))
    }
}

impl Open {
    fn begin(&mut self, path: &Path, now: Monotonic) -> Option<&'static str> {
        match Writer::start(path, &self.deed) {
            Ok(writer) => {
                self.stage = Stage::Writing(writer, Some(now + SLOW));
                None
            }
            Err(error) => self.ended(
                Err(format!("no process to write {}: {error}", path.display())),
                now,
            ),
        }
    }

    fn ended(&mut self, outcome: Result<(), String>, now: Monotonic) -> Option<&'static str> {
        self.stage = Stage::Failed(now + RETRY);
        match outcome {
            Ok(()) => {
                if self.said.take().is_some() {
                    log::info!("{}: written again", self.key);
                }
                None
            }
            Err(reason) => Some(self.say(reason)),
        }
    }

    fn say(&mut self, reason: String) -> &'static str {
        if self.said.as_ref() != Some(&reason) {
            log::error!("{}: {reason}", self.key);
        }
        self.said = Some(reason);
        self.key
    }
}

/// A disk that takes longer is worth a line.
const SLOW: Duration = Duration::from_secs(5);
/// From a failure to the next try.
const RETRY: Duration = Duration::from_secs(5);
