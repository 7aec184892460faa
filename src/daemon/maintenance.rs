//! Does the maintenance file exist: asked anew for every turn of the core, which waits a moment for
//! the answer. A path that hangs keeps the last known answer in force, and delays nothing further.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::io::Io;
use super::readers::{Answer, Question};
use crate::lookout::Trouble;
use crate::sys::files;
use crate::time::{Monotonic, Now, timestamp};

/// What is known of the maintenance file.
pub(super) struct Maintenance {
    path: PathBuf,
    /// The last answer; a file that cannot be looked at counts as present.
    present: Option<bool>,
    answered_at: Option<Monotonic>,
    /// When the question was asked that is still open.
    asked_at: Option<Now>,
    /// There was no answer in time, which was said: nobody waits for the next one.
    hangs: bool,
    /// After no answer: asked again then.
    retry_at: Option<Monotonic>,
    /// The file could not be looked at, and that was said.
    said_unreadable: bool,
}

impl Maintenance {
    pub(super) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            present: None,
            answered_at: None,
            asked_at: None,
            hangs: false,
            retry_at: None,
            said_unreadable: false,
        }
    }

    /// Asks for this file from now on.
    pub(super) fn watch(&mut self, path: &Path) {
        if self.path != path {
            *self = Self::of(path);
        }
    }

    /// Nobody knows: then nothing is to be promoted.
    pub(super) fn is_present(&self) -> bool {
        self.present.unwrap_or(true)
    }

    /// Is what is known as new as it can be had. If not, it is asked for, and the turn of the core
    /// is to wait until it is, or until [`held_until`](Self::held_until).
    pub(super) fn is_settled(&mut self, io: &mut Io) -> bool {
        let now = io.now;
        if self.answered_at.is_some_and(|at| now.mono < at + FRESH) {
            return true;
        }
        if self.asked_at.is_none() && self.retry_at.is_none_or(|at| at <= now.mono) {
            self.asked_at = Some(now);
            let path = self.path.clone();
            io.ask(Question::Maintenance(path.clone()), GIVE_UP, || look(&path));
        }
        self.held_until(now.mono).is_none()
    }

    /// Until when a turn that is due waits; `None`: it does not.
    pub(super) fn held_until(&self, now: Monotonic) -> Option<Monotonic> {
        let asked_at = self.asked_at.filter(|_| !self.hangs)?.mono;
        Some(asked_at + HOLD).filter(|until| *until > now)
    }

    /// There is an answer, or none in time.
    pub(super) fn answered(&mut self, path: &Path, answer: Answer, io: &mut Io) {
        if path != self.path {
            return;
        }
        let asked_at = self.asked_at.take();
        let found = match answer {
            Ok(found) => found,
            Err(reason) => return self.unanswered(&reason, asked_at.unwrap_or(io.now), io),
        };
        if std::mem::take(&mut self.hangs) {
            log::info!("maintenance_mode_file: {} answers again", path.display());
        }
        self.answered_at = Some(io.now.mono);
        self.retry_at = None;
        self.present = Some(found != ABSENT);
        let error = found.strip_prefix(UNREADABLE).map(String::from_utf8_lossy);
        match error {
            None => self.said_unreadable = false,
            Some(_) if self.said_unreadable => {}
            Some(error) => {
                self.said_unreadable = true;
                log::error!("maintenance_mode_file: {error}; maintenance mode is assumed");
                io.trouble(Trouble::File, "maintenance_mode_file");
            }
        }
    }

    fn unanswered(&mut self, reason: &str, asked_at: Now, io: &mut Io) {
        self.retry_at = Some(io.now.mono + RETRY);
        if std::mem::replace(&mut self.hangs, true) {
            return;
        }
        let meanwhile = match self.present {
            Some(true) => "still in maintenance mode",
            Some(false) => "still not in maintenance mode",
            None => "never looked at yet, maintenance mode is assumed",
        };
        log::error!(
            "maintenance_mode_file: {}: {reason}, asked at {}; {meanwhile}",
            self.path.display(),
            timestamp::format_millis(asked_at.wall)
        );
        io.trouble(Trouble::File, "maintenance_mode_file");
    }
}

/// In the child.
fn look(path: &Path) -> Vec<u8> {
    match files::exists(path) {
        Ok(true) => PRESENT.to_vec(),
        Ok(false) => ABSENT.to_vec(),
        Err(error) => [UNREADABLE, error.to_string().as_bytes()].concat(),
    }
}

const PRESENT: &[u8] = b"present";
const ABSENT: &[u8] = b"absent";
const UNREADABLE: &[u8] = b"unreadable: ";

/// An answer is good for so long. With [`HOLD`] it stays under the second within which a new file
/// counts.
const FRESH: Duration = Duration::from_millis(250);
/// A turn waits no longer.
const HOLD: Duration = Duration::from_millis(500);
/// After which a process that has not answered is given up.
const GIVE_UP: Duration = Duration::from_secs(5);
/// From giving up to the next try.
const RETRY: Duration = Duration::from_secs(5);
