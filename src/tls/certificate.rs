//! What a certificate says (RFC 5280, section 4.1), as far as webpki does not tell: names for
//! messages, dates, the common name, the hash by which a login is bound to it. Verifies nothing.

use std::fmt::Write;
use std::net::IpAddr;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use ring::digest;

use crate::time::{WallTime, timestamp};

/// A certificate, read.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    der: &'a [u8],
    /// Version 1 has no extensions, and so no names but the common one.
    pub(super) is_version_1: bool,
    /// Names, each without its tag and length.
    pub(super) issuer: &'a [u8],
    subject: &'a [u8],
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
    /// AlgorithmIdentifier, without its tag and length.
    pub(super) signature_algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` if it is none.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = Elements::of(der)?.within(Tag::Sequence)?;
        let signed = outer.whole()?;
        let signature_algorithm = outer.expect(Tag::Sequence)?;
        // A bit string begins with the number of bits that its last byte lacks: none.
        let signature = outer.expect(Tag::BitString)?.strip_prefix(&[0])?;
        let mut inner = Elements::of(signed)?.within(Tag::Sequence)?;
        let version = inner.optional(explicit(0));
        inner.expect(Tag::Integer)?;
        inner.expect(Tag::Sequence)?;
        let issuer = inner.expect(Tag::Sequence)?;
        let mut validity = inner.within(Tag::Sequence)?;
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = inner.expect(Tag::Sequence)?;
        let public_key = inner.whole()?;
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
            signed,
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
        let names: Vec<String> = self
            .dns_names
            .iter()
            .map(|name| on_one_line(name))
            .collect();
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<String> = names
            .into_iter()
            .chain(addresses)
            .take(MOST_NAMES)
            .collect();
        match (all.is_empty(), self.common_name()) {
            (false, _) => all.join(", "),
            (true, Some(name)) => on_one_line(name),
            (true, None) => "nobody (it has no name)".to_owned(),
        }
    }

    /// Who issued it, for a message.
    pub(super) fn issuer_name(&self) -> String {
        common_name(self.issuer)
            .map_or_else(|| "an issuer without a common name".to_owned(), on_one_line)
    }

    /// `tls-server-end-point` (RFC 5929, section 4.1): the certificate's hash, by the algorithm
    /// that its signature uses, or SHA-256 instead of a weaker one. `None` where the signature has
    /// none, as Ed25519.
    pub(super) fn end_point(&self) -> Option<Vec<u8>> {
        let mut parts = Elements::of(self.signature_algorithm)?;
        let oid = parts.expect(Tag::ObjectIdentifier)?;
        let hash = if oid == RSA_PSS.as_bytes() {
            pss_hash(parts)?
        } else {
            known(&SIGNATURES, oid)?
        };
        Some(digest::digest(hash, self.der).as_ref().to_vec())
    }
}

/// A text of a stranger's in a message: short, on one line.
pub(super) fn on_one_line(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(MOST_CHARACTERS) {
        match character {
            ' '..='~' => shown.push(character),
            _ => drop(write!(shown, "{}", character.escape_default())),
        }
    }
    shown
}

/// Elements one after the other, read until the first that is broken: what a stranger has written
/// may end anywhere.
struct Elements<'a>(SliceReader<'a>);

impl<'a> Elements<'a> {
    fn of(content: &'a [u8]) -> Option<Self> {
        SliceReader::new(content).ok().map(Self)
    }

    /// The content of the next element, which must have this tag.
    fn expect(&mut self, tag: Tag) -> Option<&'a [u8]> {
        self.next()
            .filter(|element| element.tag() == tag)
            .map(AnyRef::value)
    }

    /// The same if it has this tag; else it stays.
    fn optional(&mut self, tag: Tag) -> Option<&'a [u8]> {
        match Tag::peek(&self.0) {
            Ok(found) if found == tag => self.expect(tag),
            _ => None,
        }
    }

    /// What is in the next element, which must have this tag.
    fn within(&mut self, tag: Tag) -> Option<Self> {
        self.expect(tag).and_then(Self::of)
    }

    /// The next element with its tag and length.
    fn whole(&mut self) -> Option<&'a [u8]> {
        self.0.tlv_bytes().ok()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = AnyRef<'a>;

    fn next(&mut self) -> Option<AnyRef<'a>> {
        AnyRef::decode(&mut self.0).ok()
    }
}

/// The tag of a context-specific element with elements inside.
const fn explicit(number: u32) -> Tag {
    let number = TagNumber(number);
    Tag::ContextSpecific {
        constructed: true,
        number,
    }
}

/// The tag of one that is in the place of a simple type.
const fn implicit(number: u32) -> Tag {
    let number = TagNumber(number);
    Tag::ContextSpecific {
        constructed: false,
        number,
    }
}

fn time(element: AnyRef<'_>) -> Option<WallTime> {
    let text = std::str::from_utf8(element.value()).ok()?;
    let text = match element.tag() {
        // Two digits: from 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
        Tag::UtcTime if text.get(..1)? < "5" => format!("20{text}"),
        Tag::UtcTime => format!("19{text}"),
        Tag::GeneralizedTime => text.to_owned(),
        _ => return None,
    };
    let (day, clock) = text.split_at_checked(8)?;
    timestamp::parse(&format!("{day}T{clock}"))
}

/// Walks a Name: a sequence of sets of attributes.
fn common_name(name: &[u8]) -> Option<&str> {
    let sets = Elements::of(name)?.filter(|set| set.tag() == Tag::Set);
    let attributes = sets.filter_map(|set| Elements::of(set.value())).flatten();
    let common = attributes.filter_map(|attribute| {
        let mut parts = Elements::of(attribute.value())?;
        let is_common = parts.expect(Tag::ObjectIdentifier)? == COMMON_NAME.as_bytes();
        let value = parts.next().filter(|_| is_common)?;
        std::str::from_utf8(value.value()).ok()
    });
    common.last()
}

/// The extensions follow two unique identifiers that nobody uses.
fn alternative_names(mut rest: Elements<'_>) -> Option<(Vec<&str>, Vec<IpAddr>)> {
    let extensions = rest.find(|element| element.tag() == explicit(3))?;
    let mut extensions = Elements::of(extensions.value())?.within(Tag::Sequence)?;
    let names = extensions.find_map(|extension| {
        let mut parts = Elements::of(extension.value())?;
        if parts.expect(Tag::ObjectIdentifier)? != ALTERNATIVE_NAME.as_bytes() {
            return None;
        }
        parts.optional(Tag::Boolean);
        parts.within(Tag::OctetString)?.within(Tag::Sequence)
    })?;
    let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
    for name in names {
        match name.tag() {
            DNS_NAME => dns_names.extend(std::str::from_utf8(name.value()).ok()),
            IP_ADDRESS => addresses.extend(address(name.value())),
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

/// RSASSA-PSS names its hash in its parameters; SHA-1 is the default (RFC 4055, section 3.1).
fn pss_hash(mut parts: Elements<'_>) -> Option<Hash> {
    match parts.within(Tag::Sequence)?.optional(explicit(0)) {
        None => Some(&digest::SHA256),
        Some(hash) => {
            let mut algorithm = Elements::of(hash)?.within(Tag::Sequence)?;
            known(&HASHES, algorithm.expect(Tag::ObjectIdentifier)?)
        }
    }
}

fn known(all: &[(ObjectIdentifier, Hash)], oid: &[u8]) -> Option<Hash> {
    let found = all.iter().find(|(known, _)| known.as_bytes() == oid);
    found.map(|(_, hash)| *hash)
}

type Hash = &'static digest::Algorithm;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const DNS_NAME: Tag = implicit(2);
const IP_ADDRESS: Tag = implicit(7);

const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// The signature algorithms of RFC 3279, 4055 and 5758, and what each hashes with; MD5 and SHA-1 as
/// SHA-256.
const SIGNATURES: [(ObjectIdentifier, Hash); 10] = [
    hashed("1.2.840.113549.1.1.4", &digest::SHA256),
    hashed("1.2.840.113549.1.1.5", &digest::SHA256),
    hashed("1.2.840.113549.1.1.11", &digest::SHA256),
    hashed("1.2.840.113549.1.1.12", &digest::SHA384),
    hashed("1.2.840.113549.1.1.13", &digest::SHA512),
    hashed("1.2.840.10045.4.1", &digest::SHA256),
    hashed("1.2.840.10045.4.3.2", &digest::SHA256),
    hashed("1.2.840.10045.4.3.3", &digest::SHA384),
    hashed("1.2.840.10045.4.3.4", &digest::SHA512),
    hashed("2.16.840.1.101.3.4.3.2", &digest::SHA256),
];

/// SHA-1 as SHA-256.
const HASHES: [(ObjectIdentifier, Hash); 4] = [
    hashed("1.3.14.3.2.26", &digest::SHA256),
    hashed("2.16.840.1.101.3.4.2.1", &digest::SHA256),
    hashed("2.16.840.1.101.3.4.2.2", &digest::SHA384),
    hashed("2.16.840.1.101.3.4.2.3", &digest::SHA512),
];

const fn hashed(oid: &str, hash: Hash) -> (ObjectIdentifier, Hash) {
    (ObjectIdentifier::new_unwrap(oid), hash)
}

/// Names of one certificate that a message shows.
const MOST_NAMES: usize = 5;
/// Characters of one name that a message shows.
const MOST_CHARACTERS: usize = 100;

#[cfg(test)]
#[path = "certificate_tests.rs"]
pub(super) mod tests;
