//! What a certificate says (RFC 5280, section 4.1), as far as webpki does not tell: names for
//! messages, dates, the common name, the hash by which a login is bound to it. Verifies nothing.

use std::fmt::Write;
use std::net::IpAddr;

use ring::digest;

use super::der::{
    self, BIT_STRING, Der, Element, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE,
    UTC_TIME, explicit,
};
use crate::time::WallTime;
use crate::time::timestamp;

/// A certificate, read.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    der: &'a [u8],
    /// Version 1 has no extensions, and so no names but the common one.
    pub(super) is_version_1: bool,
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) not_before: WallTime,
    pub(super) not_after: WallTime,
    /// SubjectPublicKeyInfo, whole.
    pub(super) public_key: &'a [u8],
    /// `subjectAltName`: host names, as they are written.
    pub(super) dns_names: Vec<&'a str>,
    /// `subjectAltName`: addresses.
    pub(super) addresses: Vec<IpAddr>,
    /// What was signed.
    pub(super) signed: &'a [u8],
    pub(super) signature_algorithm: Element<'a>,
    pub(super) signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` if it is none.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Der(der).expect(SEQUENCE)?.inside();
        let signed = outer.expect(SEQUENCE)?;
        let signature_algorithm = outer.expect(SEQUENCE)?;
        // A bit string begins with the number of bits that its last byte lacks: none.
        let signature = outer.expect(BIT_STRING)?.content.strip_prefix(&[0])?;
        let mut inner = signed.inside();
        let version = inner.optional(explicit(0));
        inner.expect(INTEGER)?;
        inner.expect(SEQUENCE)?;
        let issuer = inner.expect(SEQUENCE)?.whole;
        let mut validity = inner.expect(SEQUENCE)?.inside();
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = inner.expect(SEQUENCE)?.whole;
        let public_key = inner.expect(SEQUENCE)?.whole;
        let (dns_names, addresses) = alternative_names(inner).unwrap_or_default();
        Some(Self {
            der,
            is_version_1: version.is_none(),
            issuer,
            subject,
            not_before,
            not_after,
            public_key,
            dns_names,
            addresses,
            signed: signed.whole,
            signature_algorithm,
            signature,
        })
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// The subject's common name; the last one, as the most specific.
    pub(super) fn common_name(&self) -> Option<&'a str> {
        common_name(self.subject)
    }

    /// For whom it was issued, for a message.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.dns_names.iter().map(|name| shown(name)).collect();
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<String> = names
            .into_iter()
            .chain(addresses)
            .take(MOST_NAMES)
            .collect();
        match (all.is_empty(), self.common_name()) {
            (false, _) => all.join(", "),
            (true, Some(name)) => shown(name),
            (true, None) => "nobody (it has no name)".to_owned(),
        }
    }

    /// Who issued it, for a message.
    pub(super) fn issuer_name(&self) -> String {
        common_name(self.issuer).map_or_else(|| "an issuer without a common name".to_owned(), shown)
    }

    /// `tls-server-end-point` (RFC 5929, section 4.1): the certificate's hash, by the algorithm
    /// that its signature uses, or SHA-256 instead of a weaker one. `None` where the signature has
    /// none, as Ed25519.
    pub(super) fn end_point(&self) -> Option<Vec<u8>> {
        let mut parts = self.signature_algorithm.inside();
        let oid = parts.expect(OID)?.content;
        let hash = if oid == RSA_PSS {
            pss_hash(parts)?
        } else {
            hash_of_signature(oid)?
        };
        Some(digest::digest(hash, self.der).as_ref().to_vec())
    }
}

/// A text of a stranger's in a message: short, on one line.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(MOST_CHARACTERS) {
        match character {
            ' '..='~' => shown.push(character),
            _ => drop(write!(shown, "{}", character.escape_default())),
        }
    }
    shown
}

fn time(element: Element<'_>) -> Option<WallTime> {
    let text = std::str::from_utf8(element.content).ok()?;
    let text = match element.tag {
        // Two digits: from 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
        UTC_TIME if text.get(..1)? < "5" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let (day, clock) = text.split_at_checked(8)?;
    timestamp::parse(&format!("{day}T{clock}"))
}

/// Walks a Name: a sequence of sets of attributes.
fn common_name(name: &[u8]) -> Option<&str> {
    let sets = Der(name)
        .expect(SEQUENCE)?
        .inside()
        .elements()
        .filter(|set| set.tag == der::SET);
    let attributes = sets.flat_map(|set| set.inside().elements());
    let common = attributes.filter_map(|attribute| {
        let mut parts = attribute.inside();
        let is_common = parts.expect(OID)?.content == COMMON_NAME;
        parts
            .next()
            .filter(|_| is_common)
            .and_then(|value| std::str::from_utf8(value.content).ok())
    });
    common.last()
}

/// The extensions follow two unique identifiers that nobody uses.
fn alternative_names<'a>(mut rest: Der<'a>) -> Option<(Vec<&'a str>, Vec<IpAddr>)> {
    let extensions = rest
        .elements()
        .find(|element| element.tag == explicit(3))?
        .inside()
        .next()?;
    rest = extensions.inside();
    let names = rest.elements().find_map(|extension| {
        let mut parts = extension.inside();
        if parts.expect(OID)?.content != ALTERNATIVE_NAME {
            return None;
        }
        parts.optional(der::BOOLEAN);
        Der(parts.expect(OCTET_STRING)?.content).expect(SEQUENCE)
    })?;
    let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
    for name in names.inside().elements() {
        match name.tag {
            DNS_NAME => dns_names.extend(std::str::from_utf8(name.content).ok()),
            IP_ADDRESS => addresses.extend(address(name.content)),
            _ => {}
        }
    }
    Some((dns_names, addresses))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn hash_of_signature(oid: &[u8]) -> Option<&'static digest::Algorithm> {
    SIGNATURES
        .iter()
        .find(|(known, _)| *known == oid)
        .map(|(_, hash)| *hash)
}

/// RSASSA-PSS names its hash in its parameters; SHA-1 is the default (RFC 4055, section 3.1).
fn pss_hash(mut parts: Der<'_>) -> Option<&'static digest::Algorithm> {
    let mut parameters = parts.expect(SEQUENCE)?.inside();
    let Some(hash) = parameters.optional(explicit(0)) else {
        return Some(&digest::SHA256);
    };
    let oid = hash
        .inside()
        .expect(SEQUENCE)?
        .inside()
        .expect(OID)?
        .content;
    HASHES
        .iter()
        .find(|(known, _)| *known == oid)
        .map(|(_, hash)| *hash)
}

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// 1.2.840.113549.1.1.10
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

/// The signature algorithms of RFC 3279, 4055 and 5758, and what each hashes with; MD5 and SHA-1 as
/// SHA-256.
const SIGNATURES: [(&[u8], &digest::Algorithm); 10] = [
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04],
        &digest::SHA256,
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
        &digest::SHA256,
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
        &digest::SHA256,
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c],
        &digest::SHA384,
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d],
        &digest::SHA512,
    ),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], &digest::SHA256),
    (
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
        &digest::SHA256,
    ),
    (
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
        &digest::SHA384,
    ),
    (
        &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
        &digest::SHA512,
    ),
    (
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x02],
        &digest::SHA256,
    ),
];

const HASHES: [(&[u8], &digest::Algorithm); 4] = [
    (&[0x2b, 0x0e, 0x03, 0x02, 0x1a], &digest::SHA256),
    (
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
        &digest::SHA256,
    ),
    (
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02],
        &digest::SHA384,
    ),
    (
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03],
        &digest::SHA512,
    ),
];

/// Names of one certificate that a message shows.
const MOST_NAMES: usize = 5;
/// Characters of one name that a message shows.
const MOST_CHARACTERS: usize = 100;

#[cfg(test)]
#[path = "certificate_tests.rs"]
pub(super) mod tests;
