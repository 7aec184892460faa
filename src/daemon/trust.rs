//! What the contents of certificate and key files mean for a connection. Each content is parsed
//! once: the authorities of a system are many.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use super::tls_file_set::{Pem, TlsMaterial};
use crate::config::{CertificateMode, Negotiation, Roots, TlsSettings};
use crate::time::WallTime;
use crate::tls::{Blame, Check, Failure, Identity, Protocol, Settings, Trust, check_of};

/// Parsed authorities.
#[derive(Default)]
pub(super) struct TrustCache {
    /// By the hash of the content, the oldest first.
    parsed: Vec<(u64, Arc<Trust>)>,
    /// Missing files, each of which was logged.
    missing: BTreeSet<PathBuf>,
}

impl TrustCache {
    pub(super) fn settings(
        &mut self,
        settings: &TlsSettings,
        host: &str,
        material: &TlsMaterial,
        now: WallTime,
    ) -> Result<Settings, Failure> {
        let roots = material.roots.as_ref().map_err(|reason| local(reason))?;
        self.note_missing(settings, roots.is_none());
        let check = check_of(settings.mode, roots.is_some());
        let trust = match check {
            Check::Impossible => return Err(no_authorities(settings)),
            Check::Authority | Check::AuthorityAndName => {
                Some(self.parse(roots.as_ref(), material.revoked.as_ref())?)
            }
            _ => None,
        };
        let identity = identity(material)?;
        let must_be_asked = settings.certificate_mode == CertificateMode::Require;
        if must_be_asked && identity.is_none() {
            return Err(local(
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

    /// In weak modes a missing file means that nothing is verified.
    fn note_missing(&mut self, settings: &TlsSettings, is_missing: bool) {
        let Roots::File(file) = &settings.roots else {
            return;
        };
        if is_missing && !settings.mode.demands_roots() && self.missing.insert(file.clone()) {
            let file = file.display();
            log::warn!("sslrootcert {file}: no such file, certificates are not verified");
        }
    }

    pub(super) fn parse(
        &mut self,
        roots: Option<&Pem>,
        revoked: Option<&Pem>,
    ) -> Result<Arc<Trust>, Failure> {
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
        if self.parsed.len() >= MAX_PARSED {
            self.parsed.remove(0);
        }
        self.parsed.push((hash, Arc::clone(&trust)));
        Ok(trust)
    }
}

/// The client certificate, if its file exists; then its key must exist too.
fn identity(material: &TlsMaterial) -> Result<Option<Identity>, Failure> {
    let Some(certificate) = &material.certificate else {
        return Ok(None);
    };
    let (file, certificate) = read(certificate)?;
    let key = material.key.as_ref();
    let key = key.ok_or_else(|| local(&format!("{file}: where is its key?")))?;
    let (key_file, key) = read(key).map_err(|error| {
        let reason = error.reason;
        local(&format!("there is a certificate in {file}: {reason}"))
    })?;
    Identity::from_pem((file, certificate.as_bytes()), (key_file, key.as_bytes())).map(Some)
}

fn read(pem: &Pem) -> Result<(&str, &str), Failure> {
    let text = pem.text.as_ref().map_err(|reason| local(reason))?;
    Ok((&pem.place, text))
}

fn no_authorities(settings: &TlsSettings) -> Failure {
    let file = settings.root_file();
    let file = file.map_or_else(
        || "sslrootcert".to_owned(),
        |path| path.display().to_string(),
    );
    local(&format!(
        "{file}: no such file, and sslmode requires certificates to be verified"
    ))
}

/// A failure of this host's own files.
pub(super) fn local(reason: &str) -> Failure {
    Failure::new(Blame::Ourselves, reason)
}

const MAX_PARSED: usize = 16;
