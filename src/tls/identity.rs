//! Our own certificate and its key, for servers that ask for one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{Blame, Failure};

/// A certificate with what leads to its authority, and its key. `Debug` shows neither.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Reads both from PEM: name and content of each file.
    pub fn from_pem(certificate: (&str, &[u8]), key: (&str, &[u8])) -> Result<Self, Failure> {
        let wrong = |file: &str, reason: &dyn fmt::Display| {
            Failure::new(Blame::Ourselves, format!("{file}: {reason}"))
        };
        let chain = CertificateDer::pem_slice_iter(certificate.1).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| wrong(certificate.0, &error))?;
        if chain.is_empty() {
            return Err(wrong(certificate.0, &"holds no certificate"));
        }
        if is_encrypted(key.1) {
            return Err(wrong(
                key.0,
                &"the key is encrypted, which is not supported: store it without a passphrase",
            ));
        }
        // The error of a key may not be shown: nobody knows what of it.
        let secret = PrivateKeyDer::from_pem_slice(key.1)
            .map_err(|_| wrong(key.0, &"holds no private key in PEM"))?;
        let pair = CertifiedKey::from_der(chain, secret, &default_provider());
        let pair = pair.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                wrong(key.0, &format!("is not the key of {}", certificate.0))
            }
            _ => wrong(
                key.0,
                &"a private key of a kind or size that is not supported",
            ),
        });
        pair.map(|pair| Self(Arc::new(pair)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(hidden)")
    }
}

/// Shows the identity to whoever asks, whatever authorities it names, as libpq does; and remembers
/// that it was asked.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    identity: Option<Identity>,
    was_requested: AtomicBool,
}

impl ClientCertificate {
    pub(super) fn new(identity: Option<Identity>) -> Self {
        Self {
            identity,
            was_requested: AtomicBool::new(false),
        }
    }

    pub(super) fn was_requested(&self) -> bool {
        self.was_requested.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.was_requested.store(true, Ordering::Relaxed);
        self.identity
            .as_ref()
            .map(|identity| Arc::clone(&identity.0))
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}

/// PKCS#8 says so in its first line, the older form in a header.
fn is_encrypted(pem: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
        b"Proc-Type: 4,ENCRYPTED",
    ];
    marks
        .iter()
        .any(|mark| pem.windows(mark.len()).any(|part| part == *mark))
}
