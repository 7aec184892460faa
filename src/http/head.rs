//! What request and response heads have in common: where they end, how the body is framed, whether
//! the connection stays.

use httparse::Header;

/// Finds the end of a head that arrives in pieces, looking at each byte about once.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    seen: usize,
}

impl HeadScan {
    /// Length of the head with the empty line that ends it. A line may end in a lone LF (RFC 9112,
    /// section 2.2); the parser refuses it where it may not.
    pub(super) fn end(&mut self, input: &[u8]) -> Option<usize> {
        while let Some(rest) = input.get(self.seen..) {
            let Some(line_end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.seen = input.len();
                return None;
            };
            let next_line = self.seen + line_end + 1;
            match input.get(next_line..) {
                Some([b'\n', ..]) => return Some(next_line + 1),
                Some([b'\r', b'\n', ..]) => return Some(next_line + 2),
                // Too early to tell: look at this line's end again when there is more.
                None | Some([] | [b'\r']) => {
                    self.seen += line_end;
                    return None;
                }
                Some(_) => self.seen = next_line,
            }
        }
        None
    }
}

/// How a body's end is known (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `Content-Length`, bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Responses only: the body ends with the connection.
    UntilClose,
}

/// Why a body's end cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramingError {
    /// Contradictory or malformed: two readers might see two different messages.
    Ambiguous(&'static str),
    /// A transfer coding that we do not support.
    UnknownCoding,
}

/// What the header fields say of the body; `None` if nothing. `minor` is the version's second
/// digit.
pub(super) fn framing(headers: &[Header<'_>], minor: u8) -> Result<Option<Framing>, FramingError> {
    let length = content_length(headers)?;
    if values(headers, "transfer-encoding").next().is_none() {
        return Ok(length.map(Framing::Length));
    }
    if length.is_some() {
        return Err(FramingError::Ambiguous(
            "both Content-Length and Transfer-Encoding",
        ));
    }
    if minor == 0 {
        return Err(FramingError::Ambiguous("Transfer-Encoding in HTTP/1.0"));
    }
    let mut codings = list(headers, "transfer-encoding");
    match (codings.next(), codings.next()) {
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
        (None, _) => Err(FramingError::Ambiguous("empty Transfer-Encoding")),
        _ if list(headers, "transfer-encoding")
            .filter(|coding| coding.eq_ignore_ascii_case(b"chunked"))
            .count()
            > 1 =>
        {
            Err(FramingError::Ambiguous("chunked twice"))
        }
        _ => Err(FramingError::UnknownCoding),
    }
}

/// Does the sender want the connection to stay (RFC 9112, section 9.3).
pub(super) fn keeps_alive(headers: &[Header<'_>], minor: u8) -> bool {
    let has_option =
        |option: &[u8]| list(headers, "connection").any(|token| token.eq_ignore_ascii_case(option));
    !has_option(b"close") && (minor > 0 || has_option(b"keep-alive"))
}

/// The values of every field of that name.
pub(super) fn values<'a>(
    headers: &'a [Header<'_>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value.trim_ascii())
}

/// The elements of a comma-separated field, over all its lines, without the empty ones (RFC 9110,
/// section 5.6.1).
fn list<'a>(headers: &'a [Header<'_>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let elements = values(headers, name).flat_map(|value| value.split(|byte| *byte == b','));
    elements
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Repeated equal lengths are one (RFC 9112, section 6.3, rule 5).
fn content_length(headers: &[Header<'_>]) -> Result<Option<u64>, FramingError> {
    let mut length = None;
    for value in
        values(headers, "content-length").flat_map(|value| value.split(|byte| *byte == b','))
    {
        let one =
            decimal(value.trim_ascii()).ok_or(FramingError::Ambiguous("bad Content-Length"))?;
        if length.is_some_and(|before| before != one) {
            return Err(FramingError::Ambiguous("different Content-Lengths"));
        }
        length = Some(one);
    }
    Ok(length)
}

/// A number of digits alone; one beyond 64 bits is as good as endless, and is refused as too long
/// later.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        std::str::from_utf8(digits)
            .ok()?
            .parse()
            .unwrap_or(u64::MAX),
    )
}

/// The authentication code of a message: 64 hexadecimal digits in lower case.
pub(super) fn mac(headers: &[Header<'_>]) -> Option<[u8; 32]> {
    let mut fields = values(headers, MAC_FIELD);
    let (digits, None) = (fields.next()?, fields.next()) else {
        return None;
    };
    let mut mac = [0; 32];
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != mac.len() {
        return None;
    }
    for (byte, [high, low]) in mac.iter_mut().zip(pairs) {
        *byte = (hex_digit(*high)? << 4) | hex_digit(*low)?;
    }
    Some(mac)
}

/// The same as the text of a field.
pub(super) fn mac_text(mac: &[u8; 32]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The header field with the authentication code of a vote.
pub(super) const MAC_FIELD: &str = "Pglookout-Mac";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::deliveries;

    #[track_caller]
    fn ends_at(head: &str, expected: Option<usize>) {
        for pieces in deliveries(head.as_bytes()) {
            let (mut scan, mut input, mut end) = (HeadScan::default(), Vec::new(), None);
            for piece in pieces {
                input.extend_from_slice(piece);
                end = end.or_else(|| scan.end(&input));
            }
            assert_eq!(end, expected, "{head:?}");
        }
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        ends_at("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest", Some(27));
        ends_at("GET / HTTP/1.1\nHost: a\n\nrest", Some(24));
        ends_at("GET / HTTP/1.1\r\n\n", Some(17));
        ends_at("GET / HTTP/1.1\n\r\n\r\n", Some(17));
        ends_at("a\r\nb\r\n\r", None);
        ends_at("a\r\n\rb\r\n", None);
        ends_at("a", None);
    }

    #[track_caller]
    fn framed(lines: &[(&str, &str)], minor: u8, expected: Result<Option<Framing>, FramingError>) {
        let headers: Vec<_> = lines
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        assert_eq!(framing(&headers, minor), expected, "{lines:?}");
    }

    #[test]
    fn framing_is_unambiguous_or_refused() {
        let ambiguous = |reason| Err(FramingError::Ambiguous(reason));
        framed(&[], 1, Ok(None));
        framed(&[("content-length", "3")], 0, Ok(Some(Framing::Length(3))));
        framed(
            &[("Content-Length", "3"), ("CONTENT-LENGTH", "03, 3")],
            1,
            Ok(Some(Framing::Length(3))),
        );
        framed(
            &[("Content-Length", "99999999999999999999999")],
            1,
            Ok(Some(Framing::Length(u64::MAX))),
        );
        framed(
            &[("Content-Length", "3"), ("Content-Length", "4")],
            1,
            ambiguous("different Content-Lengths"),
        );
        for bad in ["", "+3", "-1", "3 4", "0x3", "3,", "three"] {
            framed(
                &[("Content-Length", bad)],
                1,
                ambiguous("bad Content-Length"),
            );
        }
        framed(
            &[("Transfer-Encoding", " Chunked ")],
            1,
            Ok(Some(Framing::Chunked)),
        );
        framed(
            &[("Transfer-Encoding", ", chunked,")],
            1,
            Ok(Some(Framing::Chunked)),
        );
        framed(
            &[("Transfer-Encoding", "chunked")],
            0,
            ambiguous("Transfer-Encoding in HTTP/1.0"),
        );
        framed(
            &[("Transfer-Encoding", "chunked, chunked")],
            1,
            ambiguous("chunked twice"),
        );
        framed(
            &[("Transfer-Encoding", "")],
            1,
            ambiguous("empty Transfer-Encoding"),
        );
        framed(
            &[("Transfer-Encoding", "gzip, chunked")],
            1,
            Err(FramingError::UnknownCoding),
        );
        framed(
            &[("Transfer-Encoding", "xchunked")],
            1,
            Err(FramingError::UnknownCoding),
        );
        let both = [("Content-Length", "3"), ("Transfer-Encoding", "chunked")];
        framed(
            &both,
            1,
            ambiguous("both Content-Length and Transfer-Encoding"),
        );
    }
}
