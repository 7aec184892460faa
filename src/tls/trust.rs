//! Whose signatures count: the authorities of one place, parsed once, and the certificates that
//! were revoked.

use std::collections::BTreeSet;
use std::fmt;

use ring::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::certificate::Certificate;
use super::{Blame, Failure};

/// Authorities, and what they have revoked.
pub struct Trust {
    /// Where they come from, for messages.
    place: String,
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    pub(super) revoked: Vec<CertRevocationList<'static>>,
    /// SHA-256 of those that issued themselves: a server may show one of them as its own
    /// certificate.
    self_issued: BTreeSet<Vec<u8>>,
}

impl Trust {
    /// Reads authorities from PEM; those that cannot be one are passed over. `revoked`: name and
    /// content of a file of revocation lists.
    pub fn from_pem(
        place: &str,
        roots: &[u8],
        revoked: Option<(&str, &[u8])>,
    ) -> Result<Self, Failure> {
        let mut trust = Self {
            place: place.to_owned(),
            anchors: Vec::new(),
            revoked: revoked
                .map(|(file, pem)| read_revoked(file, pem))
                .transpose()?
                .unwrap_or_default(),
            self_issued: BTreeSet::new(),
        };
        for certificate in CertificateDer::pem_slice_iter(roots) {
            let certificate = certificate.map_err(|error| unusable(place, &error))?;
            let Ok(anchor) = webpki::anchor_from_trusted_cert(&certificate) else {
                continue;
            };
            trust.anchors.push(anchor.to_owned());
            if Certificate::read(&certificate)
                .is_some_and(|certificate| certificate.is_self_issued())
            {
                trust.self_issued.insert(fingerprint(&certificate));
            }
        }
        if trust.anchors.is_empty() {
            return Err(Failure::new(
                Blame::Ourselves,
                format!("{place}: holds no certificate of an authority"),
            ));
        }
        Ok(trust)
    }

    /// Is this very certificate among the authorities.
    pub(super) fn holds(&self, certificate: &[u8]) -> bool {
        self.self_issued.contains(&fingerprint(certificate))
    }

    /// Where the authorities come from.
    pub(super) fn place(&self) -> &str {
        &self.place
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Trust({} authorities of {}, {} lists)",
            self.anchors.len(),
            self.place,
            self.revoked.len()
        )
    }
}

fn read_revoked(file: &str, pem: &[u8]) -> Result<Vec<CertRevocationList<'static>>, Failure> {
    let lists = CertificateRevocationListDer::pem_slice_iter(pem).map(|list| {
        let list = list.map_err(|error| unusable(file, &error))?;
        let list =
            OwnedCertRevocationList::from_der(&list).map_err(|error| unusable(file, &error))?;
        Ok(CertRevocationList::from(list))
    });
    lists.collect()
}

fn fingerprint(certificate: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, certificate)
        .as_ref()
        .to_vec()
}

fn unusable(file: &str, error: &dyn fmt::Display) -> Failure {
    Failure::new(Blame::Ourselves, format!("{file}: {error}"))
}
