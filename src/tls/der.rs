//! A reader of DER (ITU-T X.690), as far as certificates need it: elements one after the other,
//! definite lengths. What it reads comes from strangers, so that nothing is assumed and nothing is
//! copied.

/// What is left of some DER.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(pub(super) &'a [u8]);

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

impl<'a> Der<'a> {
    /// The next element, if there is a whole one.
    pub(super) fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (
                    bytes
                        .iter()
                        .fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte)),
                    rest,
                )
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some(Element {
            tag,
            content,
            whole,
        })
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element if it has this tag; else it stays.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.0.first() == Some(&tag) {
            self.next()
        } else {
            None
        }
    }

    /// All elements to the end, or to the first that is broken.
    pub(super) fn elements(mut self) -> impl Iterator<Item = Element<'a>> {
        std::iter::from_fn(move || self.next())
    }
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub(super) fn inside(self) -> Der<'a> {
        Der(self.content)
    }
}

/// A sequence of what is given.
pub(super) fn sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = length.iter().skip_while(|byte| **byte == 0).copied();
    let mut whole = vec![SEQUENCE];
    if content.len() < 0x80 {
        whole.extend(digits);
    } else {
        let digits: Vec<u8> = digits.collect();
        whole.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
        whole.extend(digits);
    }
    whole.extend_from_slice(content);
    whole
}

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The tag of the constructed, context-specific element `number`.
pub(super) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for length in [1, 0x7f, 0x80, 0xff, 0x100, 70_000] {
            let content = vec![7; length];
            let whole = sequence(&content);
            let element = Der(&whole).expect(SEQUENCE).unwrap();
            assert_eq!(
                (element.content, element.whole),
                (&content[..], &whole[..]),
                "{length}"
            );
        }
    }

    #[test]
    fn reads_whole_elements_only() {
        let bytes = [0x02, 0x01, 0x05, 0x04, 0x81, 0x02, 0xaa, 0xbb];
        let mut der = Der(&bytes);
        assert!(der.optional(OID).is_none());
        assert_eq!(der.expect(INTEGER).unwrap().content, [5]);
        let string = der.next().unwrap();
        assert_eq!(
            (string.tag, string.content, string.whole),
            (OCTET_STRING, &[0xaa, 0xbb][..], &bytes[3..])
        );
        assert!(der.next().is_none());
        for broken in [
            &b"\x02"[..],
            b"\x02\x02\x01",
            b"\x02\x80\x01",
            b"\x02\x85\x01\x01\x01\x01\x01",
            b"\x02\x84\xff",
        ] {
            assert!(Der(broken).next().is_none(), "{broken:x?}");
        }
    }
}
