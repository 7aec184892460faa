//! Whether the maintenance file exists: read by a child process for every turn of the core, which
//! waits a moment for the result. While the path hangs, the last result stays in use and delays
//! nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::io::Io;
use super::readers::{READ_TIME, ReadRequest, ReadResult, Reread};
use crate::lookout::Trouble;
use crate::sys::files;
use crate::time::Monotonic;

pub(super) struct Maintenance {
    path: PathBuf,
    /// A file that cannot be examined counts as present.
    presence: Reread<bool>,
    /// It could not be examined the last time, which was logged.
    is_unreadable: bool,
}

impl Maintenance {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            presence: Reread::default(),
            is_unreadable: false,
        }
    }

    /// Follows the configuration.
    pub(super) fn adopt(&mut self, path: &Path) {
        if self.path != path {
            *self = Self::new(path);
        }
    }

    /// As long as it is not known, nothing is to be promoted.
    pub(super) fn is_present(&self) -> bool {
        self.presence.value.unwrap_or(true)
    }

    /// Whether the turn of the core may begin. If not, the file is being read; the turn waits until
    /// it was, or until [`wait_until`](Self::wait_until).
    pub(super) fn is_ready(&mut self, io: &mut Io) -> bool {
        if self.presence.request_if_due(LIFETIME, io.now) {
            let path = self.path.clone();
            let request = ReadRequest::Maintenance(path.clone());
            io.read_in_child(request, READ_TIME, || examine(&path));
        }
        self.presence.is_fresh(LIFETIME, io.now) || self.wait_until(io.now.mono).is_none()
    }

    /// `None`: a turn that is due does not wait.
    pub(super) fn wait_until(&self, now: Monotonic) -> Option<Monotonic> {
        self.presence.wait_until().filter(|until| *until > now)
    }

    pub(super) fn finished(&mut self, path: &Path, result: ReadResult, io: &mut Io) {
        if path != self.path {
            return;
        }
        match result {
            Ok(found) => self.examined(&found, io),
            Err(reason) => self.failed(&reason, io),
        }
    }

    fn examined(&mut self, found: &[u8], io: &mut Io) {
        if self.presence.succeeded(found != ABSENT, io.now) {
            let path = self.path.display();
            log::info!("maintenance_mode_file: {path} can be examined again");
        }
        let error = found.strip_prefix(UNREADABLE).map(String::from_utf8_lossy);
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, error.is_some());
        if let Some(error) = error.filter(|_| !was_unreadable) {
            log::error!("maintenance_mode_file: {error}; maintenance mode is assumed");
            io.trouble(Trouble::File, "maintenance_mode_file");
        }
    }

    fn failed(&mut self, reason: &str, io: &mut Io) {
        let (failure, is_first) = self.presence.failed(reason, io.now);
        if !is_first {
            return;
        }
        let mode = match self.presence.value {
            Some(true) => "still in maintenance mode",
            Some(false) => "still not in maintenance mode",
            None => "not examined before, maintenance mode is assumed",
        };
        let path = self.path.display();
        log::error!("maintenance_mode_file: {path}: {failure}; {mode}");
        io.trouble(Trouble::File, "maintenance_mode_file");
    }
}

/// Runs in the child.
fn examine(path: &Path) -> Vec<u8> {
    match files::exists(path) {
        Ok(true) => PRESENT.to_vec(),
        Ok(false) => ABSENT.to_vec(),
        Err(error) => [UNREADABLE, error.to_string().as_bytes()].concat(),
    }
}

const PRESENT: &[u8] = b"present";
const ABSENT: &[u8] = b"absent";
const UNREADABLE: &[u8] = b"unreadable: ";
/// Of a result. With the wait for the next it stays under the second within which a new file must
/// take effect.
const LIFETIME: Duration = Duration::from_millis(250);
