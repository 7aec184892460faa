//! What certificates and keys mean for a connection. What was read is parsed once for each content:
//! the authorities are many.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use super::io::Io;
use super::tls_files::{self, Content, Found, Pem, Wanted};
use crate::config::{CertificateMode, Negotiation, Roots, TlsSettings, TlsVersion};
use crate::time::WallTime;
use crate::tls::{Blame, Check, Failure, Identity, Protocol, Settings, Trust, check_of};

/// What was parsed.
#[derive(Default)]
pub(super) struct Keyring {
    /// By the hash of what it was parsed from; the latest are kept.
    parsed: Vec<(u64, Arc<Trust>)>,
    /// Files that are not there, which was said.
    missed: BTreeSet<PathBuf>,
}

/// The settings of a connection to this host of a node; `None`: files are being read.
pub(super) fn for_node(
    settings: &TlsSettings,
    host: &str,
    io: &mut Io,
) -> Result<Option<Settings>, Failure> {
    let mut keyring = std::mem::take(&mut io.keyring);
    let now = io.now.wall;
    let made = match tls_files::look_up(&Wanted::of(settings), io) {
        Found::Soon => Ok(None),
        Found::Nothing(reason) => Err(ours(&reason)),
        Found::Content(content) => keyring.settings(settings, host, content, now).map(Some),
    };
    io.keyring = keyring;
    made
}

/// The same for an observer: its certificate must be its host's, by the system's authorities.
pub(super) fn for_observer(host: &str, io: &mut Io) -> Result<Option<Settings>, Failure> {
    let mut keyring = std::mem::take(&mut io.keyring);
    let now = io.now.wall;
    let trust = match tls_files::look_up(&Wanted::system(), io) {
        Found::Soon => Ok(None),
        Found::Nothing(reason) => Err(ours(&reason)),
        Found::Content(content) => match &content.roots {
            Ok(roots) => keyring.trust(roots.as_ref(), None).map(Some),
            Err(reason) => Err(ours(reason)),
        },
    };
    io.keyring = keyring;
    Ok(trust?.map(|trust| Settings {
        host: host.to_owned(),
        trust: Some(trust),
        verifies_name: true,
        identity: None,
        must_be_asked: false,
        sni: true,
        oldest: TlsVersion::V1_2,
        newest: TlsVersion::V1_3,
        protocol: Protocol::Http,
        now,
    }))
}

impl Keyring {
    fn settings(
        &mut self,
        settings: &TlsSettings,
        host: &str,
        content: &Content,
        now: WallTime,
    ) -> Result<Settings, Failure> {
        let roots = content.roots.as_ref().map_err(|reason| ours(reason))?;
        self.note_missing(settings, roots.is_none());
        let check = check_of(settings.mode, roots.is_some());
        let trust = match check {
            Check::Impossible => return Err(no_authorities(settings)),
            Check::Authority | Check::AuthorityAndName => {
                Some(self.trust(roots.as_ref(), content.revoked.as_ref())?)
            }
            _ => None,
        };
        let identity = identity(content)?;
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
                Negotiation::Postgres => Protocol::Postgres,
                Negotiation::Direct => Protocol::DirectPostgres,
            },
            now,
        })
    }

    /// In weak modes a file that is not there means that nothing is verified.
    fn note_missing(&mut self, settings: &TlsSettings, is_missing: bool) {
        let Roots::File(file) = &settings.roots else {
            return;
        };
        if is_missing && !settings.mode.demands_roots() && self.missed.insert(file.clone()) {
            log::warn!(
                "sslrootcert {}: no such file, certificates are not verified",
                file.display()
            );
        }
    }

    fn trust(&mut self, roots: Option<&Pem>, revoked: Option<&Pem>) -> Result<Arc<Trust>, Failure> {
        let mut hasher = DefaultHasher::new();
        (roots, revoked).hash(&mut hasher);
        let hash = hasher.finish();
        if let Some((_, trust)) = self.parsed.iter().find(|(known, _)| *known == hash) {
            return Ok(Arc::clone(trust));
        }
        let (place, text) = roots.map_or(Ok(("", "")), read)?;
        let revoked = revoked.map(read).transpose()?;
        let revoked = revoked.map(|(place, text)| (place, text.as_bytes()));
        let trust = Arc::new(Trust::from_pem(place, text.as_bytes(), revoked)?);
        if self.parsed.len() >= MOST_PARSED {
            self.parsed.remove(0);
        }
        self.parsed.push((hash, Arc::clone(&trust)));
        Ok(trust)
    }
}

/// Our certificate, if its file is there, and then its key must be there too.
fn identity(content: &Content) -> Result<Option<Identity>, Failure> {
    let Some(certificate) = &content.certificate else {
        return Ok(None);
    };
    let (file, certificate) = read(certificate)?;
    let key = content.key.as_ref();
    let key = key.ok_or_else(|| ours(&format!("{file}: where is its key?")))?;
    let (key_file, key) = read(key).map_err(|error| {
        ours(&format!(
            "there is a certificate in {file}: {}",
            error.reason
        ))
    })?;
    Identity::from_pem((file, certificate.as_bytes()), (key_file, key.as_bytes())).map(Some)
}

fn read(pem: &Pem) -> Result<(&str, &str), Failure> {
    match &pem.text {
        Ok(text) => Ok((&pem.place, text)),
        Err(reason) => Err(ours(reason)),
    }
}

fn no_authorities(settings: &TlsSettings) -> Failure {
    let file = settings.root_file().map_or_else(
        || "sslrootcert".to_owned(),
        |path| path.display().to_string(),
    );
    ours(&format!(
        "{file}: no such file, and sslmode requires certificates to be verified"
    ))
}

fn ours(reason: &str) -> Failure {
    Failure::new(Blame::Ourselves, reason)
}

/// Sets of authorities that are kept parsed.
const MOST_PARSED: usize = 16;
