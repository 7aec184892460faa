//! Certificates and keys from their files, as they are at the moment of a connection: one that was
//! renewed needs no restart. The authorities, which are many, are parsed once for each version of
//! their files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{CertificateMode, Roots, TlsSettings};
use crate::sys::certificates::{self, MAX_BUNDLE_BYTES, Stamp};
use crate::sys::files;
use crate::time::WallTime;
use crate::tls::{Blame, Check, Failure, Identity, Protocol, Settings, Trust, check_of};

/// What was read, by the files that it was read from.
#[derive(Default)]
pub(super) struct Keyring {
    known: BTreeMap<Files, (Vec<Option<Stamp>>, Arc<Trust>)>,
    /// Files that are not there, which was said.
    missed: BTreeSet<PathBuf>,
}

/// Where authorities are, and where what they have revoked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Files {
    roots: Vec<PathBuf>,
    revoked: Option<PathBuf>,
}

impl Keyring {
    /// The terms of a connection to this host of a node.
    pub(super) fn for_node(
        &mut self,
        settings: &TlsSettings,
        host: &str,
        now: WallTime,
    ) -> Result<Settings, Failure> {
        let roots = self.roots(settings)?;
        let check = check_of(settings.mode, roots.is_some());
        let trust = match (check, roots) {
            (Check::Impossible, _) => return Err(no_authorities(settings)),
            (Check::Authority | Check::AuthorityAndName, Some(roots)) => {
                let revoked = settings
                    .crl_file()
                    .filter(|path| certificates::stamp(path).is_ok());
                Some(self.trust(Files { roots, revoked })?)
            }
            _ => None,
        };
        let identity = identity(settings)?;
        let must_be_asked = settings.certificate_mode == CertificateMode::Require;
        if must_be_asked && identity.is_none() {
            return Err(ours(
                "sslcertmode=require, but there is no client certificate",
            ));
        }
        Ok(Settings {
            host: host.to_owned(),
            trust,
            verifies_name: check == Check::AuthorityAndName,
            identity,
            must_be_asked,
            sni: settings.sni,
            oldest: settings.oldest,
            newest: settings.newest,
            protocol: match settings.negotiation {
                crate::config::Negotiation::Postgres => Protocol::Postgres,
                crate::config::Negotiation::Direct => Protocol::DirectPostgres,
            },
            now,
        })
    }

    /// The terms of a connection to an observer: its certificate must be its host's, by the
    /// system's authorities.
    pub(super) fn for_observer(&mut self, host: &str, now: WallTime) -> Result<Settings, Failure> {
        let roots = certificates::system_places().ok_or_else(no_system)?;
        Ok(Settings {
            host: host.to_owned(),
            trust: Some(self.trust(Files {
                roots,
                revoked: None,
            })?),
            verifies_name: true,
            identity: None,
            must_be_asked: false,
            sni: true,
            oldest: crate::config::TlsVersion::V1_2,
            newest: crate::config::TlsVersion::V1_3,
            protocol: Protocol::Http,
            now,
        })
    }

    /// The files of authorities; `None` if there are none, which in weak modes means that nothing
    /// is verified.
    fn roots(&mut self, settings: &TlsSettings) -> Result<Option<Vec<PathBuf>>, Failure> {
        if settings.roots == Roots::System {
            return certificates::system_places()
                .map(Some)
                .ok_or_else(no_system);
        }
        let Some(file) = settings.root_file() else {
            return Ok(None);
        };
        if certificates::stamp(&file).is_ok() {
            return Ok(Some(vec![file]));
        }
        let was_given = matches!(settings.roots, Roots::File(_));
        if was_given && !settings.mode.demands_roots() && self.missed.insert(file.clone()) {
            log::warn!(
                "sslrootcert {}: no such file, certificates are not verified",
                file.display()
            );
        }
        Ok(None)
    }

    fn trust(&mut self, files: Files) -> Result<Arc<Trust>, Failure> {
        let paths = files.roots.iter().chain(&files.revoked);
        let stamps: Vec<Option<Stamp>> = paths.map(|path| certificates::stamp(path).ok()).collect();
        match self.known.get(&files) {
            Some((known, trust)) if *known == stamps => return Ok(Arc::clone(trust)),
            _ => {}
        }
        let trust = Arc::new(read_trust(&files)?);
        self.known.insert(files, (stamps, Arc::clone(&trust)));
        Ok(trust)
    }
}

fn read_trust(files: &Files) -> Result<Trust, Failure> {
    let mut roots = Vec::new();
    for path in &files.roots {
        roots.extend(certificates::read_place(path).map_err(|error| ours(&error.to_string()))?);
        roots.push(b'\n');
    }
    let revoked = match &files.revoked {
        Some(path) => Some((shown(path), read(path)?)),
        None => None,
    };
    let places = files
        .roots
        .iter()
        .map(|path| shown(path))
        .collect::<Vec<_>>()
        .join(" and ");
    Trust::from_pem(
        &places,
        &roots,
        revoked
            .as_ref()
            .map(|(file, pem)| (file.as_str(), pem.as_slice())),
    )
}

/// Our certificate, if its file is there, and then its key must be there too.
fn identity(settings: &TlsSettings) -> Result<Option<Identity>, Failure> {
    if settings.certificate_mode == CertificateMode::Disable {
        return Ok(None);
    }
    let Some(file) = settings.certificate_file() else {
        return Ok(None);
    };
    match certificates::stamp(&file) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        _ => {}
    }
    let certificate = read(&file)?;
    let key_file = settings
        .key_file()
        .ok_or_else(|| ours(&format!("{}: where is its key?", shown(&file))))?;
    let key = files::read_key(&key_file, MAX_IDENTITY_BYTES);
    let key = key.map_err(|error| {
        ours(&format!(
            "there is a certificate in {}: {error}",
            shown(&file)
        ))
    })?;
    Identity::from_pem((&shown(&file), &certificate), (&shown(&key_file), &key)).map(Some)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    files::read_small(path, MAX_BUNDLE_BYTES).map_err(|error| ours(&error.to_string()))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn no_authorities(settings: &TlsSettings) -> Failure {
    let file = settings
        .root_file()
        .map_or_else(|| "sslrootcert".to_owned(), |path| shown(&path));
    ours(&format!(
        "{file}: no such file, and sslmode requires certificates to be verified"
    ))
}

fn no_system() -> Failure {
    ours("the system's certificate authorities were not found; set SSL_CERT_FILE or SSL_CERT_DIR")
}

fn ours(reason: &str) -> Failure {
    Failure::new(Blame::Ourselves, reason)
}

/// A private key.
const MAX_IDENTITY_BYTES: usize = 64 << 10;
