//! The contents of certificate and key files, read by a child process when a handshake needs them and
//! the last result is no longer fresh. The handshake waits for that. While a path hangs, what was
//! read last stays in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::io::Io;
use super::readers::{READ_TIME, ReadRequest, ReadResult, Reread};
use crate::config::{CertificateMode, Config, Roots, TlsSettings};
use crate::sys::files::{self, MAX_BUNDLE_BYTES, read_key, read_small};
use crate::time::{Monotonic, Now};

/// Files that are read together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TlsFileSet {
    roots: RootSource,
    revoked: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RootSource {
    System,
    File(Option<PathBuf>),
}

/// The contents of a set.
#[derive(Serialize, Deserialize)]
pub(super) struct TlsMaterial {
    /// `None`: there is no such file. An error: the system has none.
    pub(super) roots: Result<Option<Pem>, String>,
    pub(super) revoked: Option<Pem>,
    pub(super) certificate: Option<Pem>,
    /// Read if there is a certificate.
    pub(super) key: Option<Pem>,
}

/// One file, or several that are used as one.
#[derive(Serialize, Deserialize, Hash)]
pub(super) struct Pem {
    pub(super) place: String,
    pub(super) text: Result<String, String>,
}

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

/// The contents of these files, which are read again unless they are fresh. `Ok(None)`: wait until
/// they were read. An error: why nothing is known.
pub(super) fn look_up(files: &TlsFileSet, io: &mut Io) -> Result<Option<Arc<TlsMaterial>>, String> {
    let now = io.now;
    let set = io.tls_files.sets.entry(files.clone()).or_default();
    let is_due = set.material.request_if_due(LIFETIME, now);
    if is_due {
        set.is_awaited = set.material.wait_until().is_some();
    }
    let known = match (&set.material.value, &set.material.failure) {
        _ if set.is_awaited => Ok(None),
        (Some(material), _) => Ok(Some(Arc::clone(material))),
        (None, Some(failure)) => Err(format!("{}: {failure}", files.places())),
        (None, None) => Ok(None),
    };
    if is_due {
        let request = ReadRequest::TlsFiles(files.clone());
        io.read_in_child(request, READ_TIME, || read(files));
    }
    known
}

impl TlsFiles {
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

impl TlsFileSet {
    /// For a connection to a node.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let shows_certificate = settings.certificate_mode != CertificateMode::Disable;
        Self {
            roots: match settings.roots {
                Roots::System => RootSource::System,
                Roots::Default | Roots::File(_) => RootSource::File(settings.root_file()),
            },
            revoked: settings.crl_file(),
            certificate: settings.certificate_file().filter(|_| shows_certificate),
            key: settings.key_file().filter(|_| shows_certificate),
        }
    }

    /// The system's authorities alone.
    pub(super) fn system() -> Self {
        Self {
            roots: RootSource::System,
            revoked: None,
            certificate: None,
            key: None,
        }
    }

    fn places(&self) -> String {
        let roots = match &self.roots {
            RootSource::System => Some("the system's certificate authorities".to_owned()),
            RootSource::File(path) => path.as_deref().map(shown),
        };
        let files = [&self.revoked, &self.certificate, &self.key];
        let files = files.into_iter().flatten().map(|path| shown(path));
        roots
            .into_iter()
            .chain(files)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Runs in the child.
fn read(files: &TlsFileSet) -> Vec<u8> {
    let exists = |path: &PathBuf| path.metadata().is_ok();
    let roots = match &files.roots {
        RootSource::System => files::system_authorities()
            .map(|places| Some(read_roots(&places)))
            .ok_or_else(|| NO_SYSTEM.to_owned()),
        RootSource::File(path) => {
            let path = path.clone().filter(exists);
            Ok(path.map(|path| read_roots(&[path])))
        }
    };
    // A file that cannot be examined is read for the reason.
    let certificate = files.certificate.as_deref();
    let certificate = certificate.filter(|path| !matches!(files::exists(path), Ok(false)));
    let key = certificate.and(files.key.as_deref());
    let revoked = files.revoked.as_ref().filter(|path| exists(path));
    let material = TlsMaterial {
        roots,
        revoked: revoked.map(|path| read_file(path)),
        certificate: certificate.map(read_file),
        key: key.map(|path| Pem::new(shown(path), read_key(path, MAX_KEY_BYTES))),
    };
    serde_json::to_vec(&material).unwrap_or_default()
}

fn read_roots(places: &[PathBuf]) -> Pem {
    let mut all = Ok(Vec::new());
    for path in places {
        all = all.and_then(|mut all: Vec<u8>| {
            all.extend(files::read_bundle(path)?);
            all.push(b'\n');
            Ok(all)
        });
    }
    let places: Vec<_> = places.iter().map(|path| shown(path)).collect();
    Pem::new(places.join(" and "), all)
}

fn read_file(path: &Path) -> Pem {
    Pem::new(shown(path), read_small(path, MAX_BUNDLE_BYTES))
}

impl Pem {
    /// Bytes that are not UTF-8 are no part of a certificate.
    fn new(place: String, read: std::io::Result<Vec<u8>>) -> Self {
        let text = read.map(|text| String::from_utf8_lossy(&text).into_owned());
        let text = text.map_err(|error| error.to_string());
        Self { place, text }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

const NO_SYSTEM: &str =
    "the system's certificate authorities were not found; set SSL_CERT_FILE or SSL_CERT_DIR";
const MAX_KEY_BYTES: usize = 64 << 10;
/// Of what was read.
const LIFETIME: Duration = Duration::from_secs(1);
