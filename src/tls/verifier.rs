//! Is it the server that we mean: the verdict on its certificate, and the reason in words.
//!
//! webpki judges; what it cannot is added here, since servers are set up by PostgreSQL's manual: a
//! certificate that issued itself and is among the authorities, one of version 1, and one that has
//! its name only as common name. Whatever the mode, the server must have the key of the certificate
//! that it shows: a login may be bound to it.

use std::fmt::Display;
use std::sync::Arc;

use der::asn1::AnyRef;
use der::{Encode, Tag};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, ServerName, SubjectPublicKeyInfoDer, TrustAnchor, UnixTime,
};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, SignatureScheme,
};
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity, RevocationOptionsBuilder};

use super::certificate::{Certificate, on_one_line};
use super::{Blame, Failure, Trust};
use crate::time::{WallTime, timestamp};

/// Judges the certificates of one connection's server.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None`: any certificate will do.
    pub(super) trust: Option<Arc<Trust>>,
    /// Whose certificate it must be; `None`: anybody's.
    pub(super) host: Option<String>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn verify(
        &self,
        shown: &[u8],
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Failure> {
        let Some(trust) = &self.trust else {
            return Ok(());
        };
        let certificate = Certificate::read(shown).ok_or_else(|| rejected("cannot be read"))?;
        if trust.holds(shown) {
            check_dates(&certificate, wall(now))?;
        } else if certificate.is_version_1 && trust.revoked.is_empty() {
            self.check_version_1(trust, &certificate)?;
            check_dates(&certificate, wall(now))?;
        } else {
            self.check_chain(trust, &certificate, shown, others, now)?;
        }
        self.host
            .as_deref()
            .map_or(Ok(()), |host| check_name(host, &certificate, shown))
    }

    fn check_chain(
        &self,
        trust: &Trust,
        certificate: &Certificate<'_>,
        shown: &[u8],
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Failure> {
        let der = CertificateDer::from(shown);
        let lists: Vec<_> = trust.revoked.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists)
            .ok()
            .map(RevocationOptionsBuilder::build);
        let usage = KeyUsage::server_auth();
        let verified = EndEntityCert::try_from(&der).and_then(|leaf| {
            leaf.verify_for_usage(
                self.algorithms.all,
                &trust.anchors,
                others,
                now,
                usage,
                revocation,
                None,
            )
            .map(drop)
        });
        verified.map_err(|error| rejection(&error, trust, certificate))
    }

    /// A certificate of version 1, which webpki does not read, has no extensions that could
    /// restrict it: it counts if one of the authorities has signed it.
    fn check_version_1(&self, trust: &Trust, certificate: &Certificate<'_>) -> Result<(), Failure> {
        let issuer = |anchor: &&TrustAnchor<'_>| certificate.issuer == anchor.subject.as_ref();
        let has_signed = |anchor: &TrustAnchor<'_>| {
            // An anchor holds it without tag and length.
            let key = AnyRef::new(Tag::Sequence, &anchor.subject_public_key_info);
            let Ok(key) = key
                .and_then(|key| key.to_der())
                .map(SubjectPublicKeyInfoDer::from)
            else {
                return false;
            };
            let Ok(key) = RawPublicKeyEntity::try_from(&key) else {
                return false;
            };
            let wanted = certificate.signature_algorithm;
            let algorithms = self
                .algorithms
                .all
                .iter()
                .filter(|known| known.signature_alg_id().as_ref() == wanted);
            let mut tries = algorithms.map(|known| {
                key.verify_signature(*known, certificate.signed, certificate.signature)
            });
            tries.any(|verified| verified.is_ok())
        };
        if trust.anchors.iter().filter(issuer).any(has_signed) {
            return Ok(());
        }
        Err(rejection(&webpki::Error::UnknownIssuer, trust, certificate))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self
            .verify(shown, others, now)
            .map(|()| ServerCertVerified::assertion());
        verdict.map_err(|reason| CertificateError::Other(OtherError(Arc::new(reason))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate)?;
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
        let known = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) = known.ok_or(PeerIncompatible::NoSignatureSchemesInCommon)?;
        // A scheme of TLS 1.2 does not say which curve the key is on.
        let is_valid = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            key.verify_signature(*algorithm, message, signed.signature())
                .is_ok()
        };
        match algorithms.iter().any(is_valid) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(
            message,
            &public_key(certificate)?,
            signed,
            &self.algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The key that a handshake must have been signed with.
fn public_key<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<SubjectPublicKeyInfoDer<'a>, Error> {
    let certificate = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(certificate.public_key))
}

/// webpki's reason in our words.
fn rejection(error: &webpki::Error, trust: &Trust, certificate: &Certificate<'_>) -> Failure {
    let place = trust.place();
    let unverified = |reason: &str| rejected(format_args!("cannot be verified: {reason}"));
    match error {
        webpki::Error::CertExpired { not_after, .. } => expired(wall(*not_after)),
        webpki::Error::CertNotValidYet { not_before, .. } => not_yet_valid(wall(*not_before)),
        webpki::Error::CertRevoked => rejected("has been revoked"),
        _ if certificate.is_self_issued() => rejected(format_args!(
            "({}) is self-signed, and is not among the authorities of {place}",
            certificate.names()
        )),
        webpki::Error::UnknownIssuer => rejected(format_args!(
            "has an unknown issuer: {} is not among the authorities of {place}",
            certificate.issuer_name()
        )),
        webpki::Error::UnknownRevocationStatus => unverified("no revocation list covers it"),
        webpki::Error::CrlExpired { .. } => unverified("the revocation list is out of date"),
        webpki::Error::RequiredEkuNotFoundContext(_) => {
            unverified("it was not issued for servers (extended key usage)")
        }
        webpki::Error::CaUsedAsEndEntity => {
            unverified("it belongs to an authority, not to a server")
        }
        other => unverified(&format!("{other:?}")),
    }
}

fn expired(not_after: WallTime) -> Failure {
    let date = timestamp::format(not_after);
    rejected(format_args!("has expired (not after {date})"))
}

fn not_yet_valid(not_before: WallTime) -> Failure {
    let date = timestamp::format(not_before);
    rejected(format_args!("is not valid yet (not before {date})"))
}

fn rejected(reason: impl Display) -> Failure {
    let reason = format!("the server's certificate {reason}");
    Failure::new(Blame::Certificate, reason)
}

fn check_dates(certificate: &Certificate<'_>, now: WallTime) -> Result<(), Failure> {
    let (not_before, not_after) = (certificate.not_before, certificate.not_after);
    if now > not_after {
        return Err(expired(not_after));
    }
    if now < not_before {
        return Err(not_yet_valid(not_before));
    }
    Ok(())
}

/// The alternative names, and where there are none the common name, as libpq does
/// (fe-secure-common.c).
fn check_name(host: &str, certificate: &Certificate<'_>, shown: &[u8]) -> Result<(), Failure> {
    let host = without_zone(host);
    let der = CertificateDer::from(shown);
    let by_alternative = ServerName::try_from(host).is_ok_and(|name| {
        EndEntityCert::try_from(&der)
            .is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
    });
    let has_alternatives = !certificate.dns_names.is_empty() || !certificate.addresses.is_empty();
    let by_common_name = || {
        !has_alternatives
            && certificate
                .common_name()
                .is_some_and(|name| is_named(name, host))
    };
    if by_alternative || by_common_name() {
        return Ok(());
    }
    let names = certificate.names();
    Err(rejected(format_args!(
        "is for {names}, not for {}",
        on_one_line(host)
    )))
}

/// Does a common name mean this host; a `*` stands for the first label alone.
fn is_named(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && rest.contains('.') && rest.eq_ignore_ascii_case(domain)
        }),
        None => name.eq_ignore_ascii_case(host),
    }
}

/// The zone of an IPv6 address means something on this machine only.
pub(super) fn without_zone(host: &str) -> &str {
    match host.split_once('%') {
        Some((address, _)) if address.contains(':') => address,
        _ => host,
    }
}

fn wall(time: UnixTime) -> WallTime {
    let micros = i64::try_from(time.as_secs())
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    WallTime::from_unix_micros(micros)
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;
