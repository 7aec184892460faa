//! Which alerts stand: those that this process has raised, and the files that an earlier one left.
//! An operator ends some by removing the file, so a child process looks at the files now and then.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::io::Io;
use super::readers::{READ_TIME, ReadRequest, ReadResult, Reread};
use crate::format;
use crate::lookout::Alert;
use crate::status::RaisedAlert;
use crate::sys::files;
use crate::time::{Monotonic, WallTime, timestamp};

pub(super) struct Alerts {
    directory: PathBuf,
    files: Reread<()>,
    /// Something was raised or cleared since the files were asked for.
    is_outdated: bool,
    standing: Vec<RaisedAlert>,
    /// Those whose files were there: one of them that is gone was removed by an operator.
    on_disk: Vec<Alert>,
}

impl Alerts {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            files: Reread::default(),
            is_outdated: false,
            standing: Vec::new(),
            on_disk: Vec::new(),
        }
    }

    /// Follows the configuration.
    pub(super) fn adopt(&mut self, directory: &Path) {
        if self.directory != directory {
            directory.clone_into(&mut self.directory);
            self.files = Reread::default();
            self.on_disk.clear();
        }
    }

    pub(super) fn standing(&self) -> &[RaisedAlert] {
        &self.standing
    }

    pub(super) fn raise(&mut self, alert: Alert, text: &str, at: WallTime) {
        if let Some(known) = self.standing.iter_mut().find(|it| it.alert == alert) {
            text.clone_into(&mut known.text);
            return;
        }
        self.is_outdated = true;
        self.standing.push(RaisedAlert {
            alert,
            at,
            text: text.to_owned(),
        });
    }

    pub(super) fn clear(&mut self, alert: Alert) {
        self.is_outdated = true;
        self.standing.retain(|it| it.alert != alert);
        self.on_disk.retain(|it| *it != alert);
    }

    /// This file was written, or removed.
    pub(super) fn written(&mut self, path: &Path) {
        let is_it = |it: &&RaisedAlert| self.directory.join(format::alert_file(it.alert)) == path;
        let alert = self.standing.iter().find(is_it).map(|it| it.alert);
        let new = alert.filter(|alert| !self.on_disk.contains(alert));
        self.on_disk.extend(new);
    }

    /// Returns the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        if self.files.request_if_due(LIFETIME, io.now) {
            self.is_outdated = false;
            let directory = self.directory.clone();
            let request = ReadRequest::Alerts(directory.clone());
            io.read_in_child(request, READ_TIME, || examine(&directory));
        }
        let due = self.files.read_at.map(|at| at + LIFETIME);
        due.filter(|at| *at > io.now.mono)
    }

    /// Returns whether others stand than before.
    pub(super) fn finished(&mut self, directory: &Path, result: ReadResult, io: &Io) -> bool {
        if directory != self.directory {
            return false;
        }
        let found = match result {
            Ok(found) => found,
            Err(reason) => {
                if let (failure, true) = self.files.failed(&reason, io.now) {
                    log::warn!("alert_file_dir: cannot be examined: {failure}");
                }
                return false;
            }
        };
        self.files.succeeded((), io.now);
        if self.is_outdated {
            return false;
        }
        let Ok(found) = serde_json::from_slice::<Vec<(usize, String)>>(&found) else {
            return false;
        };
        self.compare(&found, io.now.wall)
    }

    fn compare(&mut self, found: &[(usize, String)], now: WallTime) -> bool {
        let alert = |index: &usize| Alert::ALL.get(*index).copied();
        let files = found.iter();
        let files = files.filter_map(|(index, content)| Some((alert(index)?, content)));
        let on_disk: Vec<Alert> = files.clone().map(|(alert, _)| alert).collect();
        let before = self.standing.len();
        let removed = |alert: &Alert| self.on_disk.contains(alert) && !on_disk.contains(alert);
        self.standing.retain(|it| !removed(&it.alert));
        let mut is_changed = self.standing.len() != before;
        for (alert, content) in files {
            if !self.standing.iter().any(|it| it.alert == alert) {
                self.standing.push(read(alert, content, now));
                is_changed = true;
            }
        }
        self.on_disk = on_disk;
        is_changed
    }
}

/// The content of an alert file is the time and one sentence. Another program's may be anything.
fn read(alert: Alert, content: &str, now: WallTime) -> RaisedAlert {
    let content = content.trim_end();
    let split = content.split_once(' ');
    let split = split.and_then(|(at, text)| Some((timestamp::parse(at)?, text)));
    let (at, text) = split.unwrap_or((now, content));
    let text = text.to_owned();
    RaisedAlert { alert, at, text }
}

/// Runs in the child.
fn examine(directory: &Path) -> Vec<u8> {
    let file = |(index, alert): (usize, &Alert)| {
        let path = directory.join(format::alert_file(*alert));
        let is_there = matches!(files::exists(&path), Ok(true));
        let content = files::read_small(&path, MAX_ALERT_BYTES).unwrap_or_default();
        is_there.then(|| (index, String::from_utf8_lossy(&content).into_owned()))
    };
    let found: Vec<_> = Alert::ALL.iter().enumerate().filter_map(file).collect();
    serde_json::to_vec(&found).unwrap_or_default()
}

/// How often the files are looked at.
const LIFETIME: Duration = Duration::from_secs(10);
/// Of the content of a file.
const MAX_ALERT_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_unix_micros(1_700_000_000_000_000);

    fn names(alerts: &Alerts) -> Vec<&str> {
        let standing = alerts.standing().iter();
        standing.map(|it| format::alert_file(it.alert)).collect()
    }

    fn file(alert: Alert, content: &str) -> (usize, String) {
        let index = Alert::ALL.iter().position(|it| *it == alert).unwrap();
        (index, content.to_owned())
    }

    #[test]
    fn files_of_an_earlier_process_are_alerts() {
        let mut alerts = Alerts::new(Path::new("/a"));
        let line = "2024-01-01T00:00:00.000Z no primary\n";
        assert!(alerts.compare(&[file(Alert::FailoverStuck, line)], NOW));
        let [alert] = alerts.standing() else {
            panic!("{:?}", names(&alerts));
        };
        assert_eq!(timestamp::format(alert.at), "2024-01-01T00:00:00Z");
        assert_eq!(alert.text, "no primary");
        alerts.compare(&[file(Alert::CannotFollow, "odd")], NOW);
        assert_eq!(names(&alerts), ["cannot_follow"]);
    }

    #[test]
    fn an_alert_whose_file_was_removed_is_over() {
        let mut alerts = Alerts::new(Path::new("/a"));
        alerts.raise(Alert::MultiplePrimaries, "a, b", NOW);
        // Not written yet, or the disk is full: it stands.
        assert!(!alerts.compare(&[], NOW));
        assert_eq!(names(&alerts), ["multiple_master_warning"]);
        alerts.written(Path::new("/a/multiple_master_warning"));
        assert!(alerts.compare(&[], NOW));
        assert_eq!(names(&alerts), [""; 0]);
    }

    #[test]
    fn one_that_is_raised_again_keeps_its_time() {
        let mut alerts = Alerts::new(Path::new("/a"));
        alerts.raise(Alert::MultiplePrimaries, "a, b", NOW);
        alerts.raise(
            Alert::MultiplePrimaries,
            "a, c",
            NOW + Duration::from_secs(9),
        );
        let alert = alerts.standing().first().unwrap();
        assert_eq!((alert.at, alert.text.as_str()), (NOW, "a, c"));
        alerts.clear(Alert::MultiplePrimaries);
        assert_eq!(names(&alerts), [""; 0]);
    }
}
