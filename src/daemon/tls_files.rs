//! The contents of certificate and key files, read when a handshake needs them and the last result is no
//! longer fresh. The handshake waits for that. While a path hangs, what was
//! read last stays in use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::readers::{ReadResult, Reread};
use super::tls_file_set::{TlsFileSet, TlsMaterial};
use crate::config::Config;
use crate::time::{Monotonic, Now};

pub(super) type Found = Result<Option<Arc<TlsMaterial>>, String>;

#[derive(Default)]
pub(super) struct TlsFiles {
    sets: BTreeMap<TlsFileSet, KnownSet>,
    /// Handshakes that wait for files may go on.
    has_news: bool,
}

#[derive(Default)]
struct KnownSet {
    material: Reread<Arc<TlsMaterial>>,
    /// Handshakes wait for the result.
    is_awaited: bool,
}

impl TlsFiles {
    /// The contents of these files. `Ok(None)`: wait until they were read. An error: why nothing is
    /// known. Beside it, whether they are to be read now.
    pub(super) fn look_up(&mut self, files: &TlsFileSet, now: Now) -> (Found, bool) {
        let set = self.sets.entry(files.clone()).or_default();
        let is_due = set.material.request_if_due(LIFETIME, now);
        if is_due {
            set.is_awaited = set.material.wait_until().is_some();
        }
        let found = match (&set.material.value, &set.material.failure) {
            _ if set.is_awaited => Ok(None),
            (Some(material), _) => Ok(Some(Arc::clone(material))),
            (None, Some(failure)) => Err(format!("{}: {failure}", files.places())),
            (None, None) => Ok(None),
        };
        (found, is_due)
    }

    /// Forgets files that the configuration does not name; the others are read again when they are
    /// needed.
    pub(super) fn adopt(&mut self, config: &Config) {
        let nodes = config.nodes.values();
        let named: Vec<_> = nodes.map(|info| TlsFileSet::of(&info.tls)).collect();
        self.sets
            .retain(|files, _| *files == TlsFileSet::system() || named.contains(files));
        for set in self.sets.values_mut() {
            (set.material.read_at, set.material.retry_at) = (None, None);
        }
    }

    pub(super) fn finished(&mut self, files: &TlsFileSet, result: ReadResult, now: Now) {
        let Some(set) = self.sets.get_mut(files) else {
            return;
        };
        self.has_news = true;
        set.is_awaited = false;
        let failed = |_| "the reader process failed".to_owned();
        let material = result.and_then(|json| serde_json::from_slice(&json).map_err(failed));
        let places = files.places();
        match material {
            Ok(material) => {
                if set.material.succeeded(Arc::new(material), now) {
                    log::info!("TLS files: {places}: read again");
                }
            }
            Err(reason) => {
                let (failure, is_first) = set.material.failed(&reason, now);
                let effect = match set.material.value {
                    Some(_) => "what was read before stays in use",
                    None => "nothing was read before",
                };
                if is_first {
                    log::error!("TLS files: {places}: {failure}; {effect}");
                }
            }
        }
    }

    /// Where something was read before, handshakes wait only for a moment. Returns the next deadline.
    pub(super) fn tick(&mut self, now: Monotonic) -> Option<Monotonic> {
        let mut next = None;
        for set in self.sets.values_mut() {
            let has_value = set.is_awaited && set.material.value.is_some();
            let Some(until) = set.material.wait_until().filter(|_| has_value) else {
                continue;
            };
            if until <= now {
                set.is_awaited = false;
                self.has_news = true;
            } else {
                next = next.into_iter().chain([until]).min();
            }
        }
        next
    }

    pub(super) fn has_news(&self) -> bool {
        self.has_news
    }

    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }
}

/// Of what was read.
const LIFETIME: Duration = Duration::from_secs(1);
