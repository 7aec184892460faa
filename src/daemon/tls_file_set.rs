//! Which certificate and key files a connection needs, and their contents, as a child process reads them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{CertificateMode, Roots, TlsSettings};
use crate::sys::files::{self, MAX_BUNDLE_BYTES, read_key, read_small};

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

    /// In a message.
    pub(super) fn places(&self) -> String {
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

/// Runs in a child.
pub(super) fn read(files: &TlsFileSet) -> Vec<u8> {
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
