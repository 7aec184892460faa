//! What an operator asks for by files on this host: the maintenance file, and the pause file and the request
//! for a switchover beside the state file. They are read by a child process for every turn of the core, which
//! waits a moment for the result. While a path hangs, the last result stays in use and delays nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::io::Io;
use super::readers::{READ_TIME, ReadRequest, ReadResult, Reread};
use crate::config::Config;
use crate::format::{MAX_PAUSE_FILE_BYTES, MAX_SWITCHOVER_FILE_BYTES, PauseFile, SwitchoverFile};
use crate::lookout::{Event, Trouble};
use crate::sys::{clock, files};
use crate::time::Monotonic;

#[derive(Debug)]
pub(super) struct OperatorFiles {
    maintenance: PathBuf,
    pause_file: PathBuf,
    switchover_file: PathBuf,
    /// Is there a maintenance file. One that cannot be examined counts as present.
    presence: Reread<bool>,
    /// It could not be examined the last time, which was logged.
    is_unreadable: bool,
    pause: Option<PauseFile>,
    /// What was last found of the pause file.
    pause_content: Content,
    /// The same of the request for a switchover.
    switchover_content: Content,
}

/// Of a file, if it is there; or why it cannot be read.
type Content = Result<Option<String>, String>;

/// What the child has found.
#[derive(Serialize, Deserialize)]
struct Found {
    maintenance: Result<bool, String>,
    pause: Content,
    switchover: Content,
}

impl OperatorFiles {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            maintenance: config.maintenance_mode_file.clone(),
            pause_file: PauseFile::path(&config.state_file),
            switchover_file: SwitchoverFile::path(&config.state_file),
            presence: Reread::default(),
            is_unreadable: false,
            pause: None,
            pause_content: Ok(None),
            switchover_content: Ok(None),
        }
    }

    /// Follows the configuration.
    pub(super) fn adopt(&mut self, config: &Config) {
        let new = Self::new(config);
        if self.request() != new.request() {
            *self = new;
        }
    }

    /// The pause file as it was last read.
    pub(super) fn pause(&self) -> Option<&PauseFile> {
        self.pause.as_ref()
    }

    /// As long as it is not known, nothing is to be promoted.
    pub(super) fn is_in_maintenance(&self) -> bool {
        self.presence.value.unwrap_or(true)
    }

    /// Whether the turn of the core may begin. If not, the file is being read; the turn waits until
    /// it was, or until [`wait_until`](Self::wait_until).
    pub(super) fn is_ready(&mut self, io: &mut Io) -> bool {
        if self.presence.request_if_due(LIFETIME, io.now) {
            io.read_in_child(self.request(), READ_TIME, || self.read());
        }
        self.presence.is_fresh(LIFETIME, io.now) || self.wait_until(io.now.mono).is_none()
    }

    /// `None`: a turn that is due does not wait.
    pub(super) fn wait_until(&self, now: Monotonic) -> Option<Monotonic> {
        self.presence.wait_until().filter(|until| *until > now)
    }

    pub(super) fn finished(&mut self, request: &ReadRequest, result: ReadResult, io: &mut Io) {
        if *request != self.request() {
            return;
        }
        let found = result.and_then(|found| {
            serde_json::from_slice::<Found>(&found)
                .map_err(|error| format!("the reader process: {error}"))
        });
        match found {
            Ok(found) => {
                self.examined(found.maintenance, io);
                self.pause_read(found.pause, io);
                self.switchover_read(found.switchover, io);
            }
            Err(reason) => self.failed(&reason, io),
        }
    }

    fn examined(&mut self, found: Result<bool, String>, io: &mut Io) {
        let is_present = *found.as_ref().unwrap_or(&true);
        self.announce(found.as_ref().ok());
        if self.presence.succeeded(is_present, io.now) {
            let path = self.maintenance.display();
            log::info!("maintenance_mode_file: {path} can be examined again");
        }
        let was_unreadable = std::mem::replace(&mut self.is_unreadable, found.is_err());
        if let Some(error) = found.err().filter(|_| !was_unreadable) {
            log::error!("maintenance_mode_file: {error}; maintenance mode is assumed");
            io.trouble(Trouble::File, "maintenance_mode_file");
        }
    }

    /// Logs that the file has appeared or gone.
    fn announce(&self, found: Option<&bool>) {
        let path = self.maintenance.display();
        match (self.presence.value, found) {
            (None | Some(false), Some(true)) => {
                log::warn!("maintenance mode: {path} exists, this node is not promoted");
            }
            (Some(true), Some(false)) => log::warn!("maintenance mode has ended: {path} is gone"),
            _ => {}
        }
    }

    /// One that is not there, or cannot be read, changes nothing.
    fn pause_read(&mut self, content: Content, io: &mut Io) {
        if content == self.pause_content {
            return;
        }
        self.pause_content = content;
        let file = match &self.pause_content {
            Ok(None) => return,
            Ok(Some(text)) => PauseFile::read(text.as_bytes()),
            Err(error) => Err(error.clone()),
        };
        match file {
            Ok(file) => {
                io.events.push(Event::PauseSet(file.mark));
                self.pause = Some(file);
            }
            Err(error) => {
                let path = self.pause_file.display();
                log::error!("pause file: {path}: {error}; it is ignored");
                io.trouble(Trouble::File, "pause_file");
            }
        }
    }

    /// Each request is taken once.
    fn switchover_read(&mut self, content: Content, io: &mut Io) {
        if content == self.switchover_content {
            return;
        }
        self.switchover_content = content;
        let request = match &self.switchover_content {
            Ok(None) => return,
            Ok(Some(text)) => SwitchoverFile::read(text.as_bytes())
                .and_then(|file| file.request(clock::boot_id().as_deref(), io.now.mono)),
            Err(error) => Err(error.clone()),
        };
        match request {
            Ok(request) => io.events.push(Event::SwitchoverRequested(request)),
            Err(error) => {
                let path = self.switchover_file.display();
                log::warn!("request for a switchover: {path}: {error}; it is ignored");
            }
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
        let path = self.maintenance.display();
        log::error!("maintenance_mode_file: {path}: {failure}; {mode}");
        io.trouble(Trouble::File, "maintenance_mode_file");
    }

    fn request(&self) -> ReadRequest {
        ReadRequest::OperatorFiles {
            maintenance: self.maintenance.clone(),
            pause: self.pause_file.clone(),
            switchover: self.switchover_file.clone(),
        }
    }

    /// Runs in the child.
    fn read(&self) -> Vec<u8> {
        let found = Found {
            maintenance: files::exists(&self.maintenance).map_err(|error| error.to_string()),
            pause: content(&self.pause_file, MAX_PAUSE_FILE_BYTES),
            switchover: content(&self.switchover_file, MAX_SWITCHOVER_FILE_BYTES),
        };
        serde_json::to_vec(&found).unwrap_or_default()
    }
}

fn content(path: &Path, limit: usize) -> Content {
    match files::read_own(path, limit) {
        Ok(content) => Ok(Some(String::from_utf8_lossy(&content).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Of a result. With the wait for the next it stays under the second within which a new file must
/// take effect.
const LIFETIME: Duration = Duration::from_millis(250);
