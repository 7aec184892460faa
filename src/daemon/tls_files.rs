//! The files of certificates and keys, read by a child process whenever a handshake wants them and
//! what is known is no longer new. The handshake waits for that; what hangs leaves what was read
//! last in force.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::io::Io;
use super::readers::{Answer, Question};
use crate::config::{CertificateMode, Config, Roots, TlsSettings};
use crate::sys::files::{self, MAX_BUNDLE_BYTES};
use crate::time::{Monotonic, Now, timestamp};

/// Which files are read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    roots: WantedRoots,
    revoked: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum WantedRoots {
    System,
    File(Option<PathBuf>),
}

/// What was in them.
#[derive(Serialize, Deserialize)]
pub(super) struct Content {
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

/// What is known of one set of files.
pub(super) struct Known {
    wanted: Wanted,
    content: Option<Content>,
    read_at: Option<Monotonic>,
    /// When the question was asked that is still open.
    asked_at: Option<Now>,
    /// Handshakes wait for the answer.
    is_awaited: bool,
    /// There was no answer, and why; which was logged.
    hangs: Option<String>,
    retry_at: Option<Monotonic>,
}

/// All that is known.
#[derive(Default)]
pub(super) struct TlsFiles {
    known: Vec<Known>,
    /// Those who wait may go on.
    has_news: bool,
}

/// What can be said of files now.
pub(super) enum Found<'a> {
    /// They are being read.
    Soon,
    /// What was in them.
    Content(&'a Content),
    /// Why it is not known.
    Nothing(String),
}

/// What is in these files; has them read if that is not new.
pub(super) fn look_up<'a>(wanted: &Wanted, io: &'a mut Io) -> Found<'a> {
    let now = io.now;
    let index = io.tls_files.index_of(wanted);
    let is_due = io
        .tls_files
        .known
        .get(index)
        .is_some_and(|known| known.is_due(now.mono));
    if is_due {
        io.ask(Question::TlsFiles(wanted.clone()), GIVE_UP, || read(wanted));
    }
    let Some(known) = io.tls_files.known.get_mut(index) else {
        return Found::Soon;
    };
    if is_due {
        known.asked_at = Some(now);
        known.is_awaited = known.hangs.is_none();
    }
    match (&known.content, &known.hangs) {
        _ if known.is_awaited => Found::Soon,
        (Some(content), _) => Found::Content(content),
        (None, Some(reason)) => Found::Nothing(reason.clone()),
        (None, None) => Found::Soon,
    }
}

/// A child has read them, or could not in time.
pub(super) fn answered(wanted: &Wanted, answer: Answer, io: &mut Io) {
    let now = io.now;
    let files = &mut io.tls_files;
    let Some(known) = files.known.iter_mut().find(|known| known.wanted == *wanted) else {
        return;
    };
    files.has_news = true;
    known.is_awaited = false;
    let asked_at = known.asked_at.take().unwrap_or(now);
    let content = answer.and_then(|answer| {
        serde_json::from_slice(&answer).map_err(|_| "the process that asked has failed".to_owned())
    });
    match content {
        Ok(content) => {
            if known.hangs.take().is_some() {
                log::info!("{}: read again", wanted.places());
            }
            (known.content, known.read_at, known.retry_at) = (Some(content), Some(now.mono), None);
        }
        Err(reason) => {
            known.retry_at = Some(now.mono + RETRY);
            known.fail(&reason, asked_at);
        }
    }
}

impl TlsFiles {
    /// A configuration has come: files that it does not name are forgotten, the others read again
    /// when they are wanted.
    pub(super) fn adopt(&mut self, config: &Config) {
        let nodes = config.nodes.values();
        let named: Vec<Wanted> = nodes.map(|info| Wanted::of(&info.tls)).collect();
        self.known
            .retain(|known| known.wanted == Wanted::system() || named.contains(&known.wanted));
        for known in &mut self.known {
            (known.read_at, known.retry_at) = (None, None);
        }
    }

    /// Where there is something older, handshakes do not wait for long. Gives the next deadline.
    pub(super) fn tick(&mut self, now: Monotonic) -> Option<Monotonic> {
        let mut next = None;
        for known in &mut self.known {
            let Some(until) = known.awaited_until() else {
                continue;
            };
            if until <= now {
                known.is_awaited = false;
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

    fn index_of(&mut self, wanted: &Wanted) -> usize {
        let found = self.known.iter().position(|known| known.wanted == *wanted);
        found.unwrap_or_else(|| {
            self.known.push(Known {
                wanted: wanted.clone(),
                content: None,
                read_at: None,
                asked_at: None,
                is_awaited: false,
                hangs: None,
                retry_at: None,
            });
            self.known.len() - 1
        })
    }
}

impl Known {
    fn is_due(&self, now: Monotonic) -> bool {
        let is_new = self.read_at.is_some_and(|at| now < at + FRESH);
        let is_put_off = self.retry_at.is_some_and(|at| now < at);
        self.asked_at.is_none() && !is_new && !is_put_off
    }

    fn awaited_until(&self) -> Option<Monotonic> {
        let asked_at = self.asked_at.filter(|_| self.is_awaited)?;
        self.content.as_ref()?;
        Some(asked_at.mono + HOLD)
    }

    fn fail(&mut self, reason: &str, asked_at: Now) {
        let places = self.wanted.places();
        let since = timestamp::format_millis(asked_at.wall);
        let reason = format!("{places}: {reason}, asked at {since}");
        if self.hangs.is_none() {
            let meanwhile = match self.content {
                Some(_) => "what was read before stays in use",
                None => "nothing was read before",
            };
            log::error!("TLS files: {reason}; {meanwhile}");
        }
        self.hangs = Some(reason);
    }
}

impl Wanted {
    /// Those of a connection to a node.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let shows_certificate = settings.certificate_mode != CertificateMode::Disable;
        Self {
            roots: match settings.roots {
                Roots::System => WantedRoots::System,
                Roots::Default | Roots::File(_) => WantedRoots::File(settings.root_file()),
            },
            revoked: settings.crl_file(),
            certificate: settings.certificate_file().filter(|_| shows_certificate),
            key: settings.key_file().filter(|_| shows_certificate),
        }
    }

    /// The system's authorities alone.
    pub(super) fn system() -> Self {
        Self {
            roots: WantedRoots::System,
            revoked: None,
            certificate: None,
            key: None,
        }
    }

    fn places(&self) -> String {
        let roots = match &self.roots {
            WantedRoots::System => Some("the system's certificate authorities".to_owned()),
            WantedRoots::File(path) => path.as_deref().map(shown),
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

/// In the child: reads them, for as long as that takes.
fn read(wanted: &Wanted) -> Vec<u8> {
    let exists = |path: &PathBuf| path.metadata().is_ok();
    let roots = match &wanted.roots {
        WantedRoots::System => files::system_authorities()
            .map(|places| Some(read_roots(&places)))
            .ok_or_else(|| NO_SYSTEM.to_owned()),
        WantedRoots::File(path) => {
            let path = path.clone().filter(exists);
            Ok(path.map(|path| read_roots(&[path])))
        }
    };
    // One that cannot be looked at is read, and that says why.
    let certificate = wanted
        .certificate
        .as_deref()
        .filter(|path| !matches!(files::exists(path), Ok(false)));
    let key = certificate.and(wanted.key.as_deref());
    let content = Content {
        roots,
        revoked: wanted
            .revoked
            .as_ref()
            .filter(|path| exists(path))
            .map(|path| read_file(path)),
        certificate: certificate.map(read_file),
        key: key.map(|path| Pem::new(shown(path), files::read_key(path, MAX_IDENTITY_BYTES))),
    };
    serde_json::to_vec(&content).unwrap_or_default()
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
    Pem::new(shown(path), files::read_small(path, MAX_BUNDLE_BYTES))
}

impl Pem {
    /// What is not UTF-8 in it is no part of a certificate.
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
/// A private key.
const MAX_IDENTITY_BYTES: usize = 64 << 10;
/// What was read so recently is not read again.
const FRESH: Duration = Duration::from_secs(1);
/// A handshake waits no longer where something was read before.
const HOLD: Duration = Duration::from_millis(500);
/// After which a process that has not answered is given up.
const GIVE_UP: Duration = Duration::from_secs(5);
/// From giving up to the next try.
const RETRY: Duration = Duration::from_secs(5);
