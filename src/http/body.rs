//! A message's body as it arrives: its content handed on piece by piece, its framing taken off (RFC
//! 9112, section 7).

use bytes::{Buf, BytesMut};

use super::head::Framing;
use super::limits::{MAX_CHUNK_LINE_BYTES, MAX_CHUNK_OVERHEAD_BYTES};

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body {
    part: Part,
    /// Bytes of content that may still come.
    budget: u64,
    /// Bytes of chunk extensions and trailer fields so far.
    overhead: usize,
}

/// Why reading a body was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// More content, or more of what is no content, than allowed.
    TooLarge,
    /// Not as the chunked coding says.
    BadChunk,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Part {
    Length(u64),
    ChunkSize,
    ChunkContent(u64),
    ChunkEnd,
    Trailer,
    UntilClose,
    Done,
}

impl Body {
    /// A body of at most `limit` bytes of content; refused at once if its announced length is
    /// beyond that.
    pub(super) fn new(framing: Framing, limit: u64) -> Result<Self, BodyError> {
        let part = match framing {
            Framing::Length(length) if length > limit => return Err(BodyError::TooLarge),
            Framing::Length(0) => Part::Done,
            Framing::Length(length) => Part::Length(length),
            Framing::Chunked => Part::ChunkSize,
            Framing::UntilClose => Part::UntilClose,
        };
        Ok(Self {
            part,
            budget: limit,
            overhead: 0,
        })
    }

    /// Takes what belongs to the body from `input` and hands its content to `keep`. True once the
    /// body is complete; what follows it stays in `input`.
    pub(super) fn receive(
        &mut self,
        input: &mut BytesMut,
        mut keep: impl FnMut(&[u8]),
    ) -> Result<bool, BodyError> {
        while !matches!(self.part, Part::Done) {
            if input.is_empty() {
                return Ok(false);
            }
            let Some(next) = self.step(input, &mut keep)? else {
                return Ok(false);
            };
            self.part = next;
        }
        Ok(true)
    }

    /// Is it one whose end the connection's end tells.
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self.part, Part::UntilClose)
    }

    /// Takes one part from `input`, or as much of it as is there; `None` if that is less than a
    /// line.
    fn step(
        &mut self,
        input: &mut BytesMut,
        keep: impl FnMut(&[u8]),
    ) -> Result<Option<Part>, BodyError> {
        let next = match self.part {
            Part::Length(left) => self
                .content(left, input, keep)?
                .map_or(Part::Done, Part::Length),
            Part::ChunkContent(left) => self
                .content(left, input, keep)?
                .map_or(Part::ChunkEnd, Part::ChunkContent),
            Part::UntilClose => self
                .content(u64::MAX, input, keep)
                .map(|_| Part::UntilClose)?,
            Part::ChunkSize => return line(input)?.map(|line| self.chunk(&line)).transpose(),
            Part::ChunkEnd => return line(input)?.map(|line| chunk_end(&line)).transpose(),
            Part::Trailer => return line(input)?.map(|line| self.trailer(&line)).transpose(),
            Part::Done => Part::Done,
        };
        Ok(Some(next))
    }

    /// Hands on up to `left` bytes; how many are then still to come, `None` for none.
    fn content(
        &mut self,
        left: u64,
        input: &mut BytesMut,
        mut keep: impl FnMut(&[u8]),
    ) -> Result<Option<u64>, BodyError> {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let taken = input.split_to(count);
        self.budget = self
            .budget
            .checked_sub(taken.len() as u64)
            .ok_or(BodyError::TooLarge)?;
        keep(&taken);
        Ok(left
            .checked_sub(taken.len() as u64)
            .filter(|left| *left > 0))
    }

    fn chunk(&mut self, line: &[u8]) -> Result<Part, BodyError> {
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (size, rest) = line.split_at_checked(digits).ok_or(BodyError::BadChunk)?;
        if !matches!(rest.trim_ascii_start(), [] | [b';', ..]) {
            return Err(BodyError::BadChunk);
        }
        self.count_overhead(rest.len())?;
        let size = std::str::from_utf8(size).map_err(|_| BodyError::BadChunk)?;
        let size = u64::from_str_radix(size, 16).map_err(|_| BodyError::BadChunk)?;
        match size {
            0 => Ok(Part::Trailer),
            size if size > self.budget => Err(BodyError::TooLarge),
            size => Ok(Part::ChunkContent(size)),
        }
    }

    /// Trailer fields are counted and dropped: none of them means anything to us.
    fn trailer(&mut self, line: &[u8]) -> Result<Part, BodyError> {
        if line.is_empty() {
            return Ok(Part::Done);
        }
        self.count_overhead(line.len())?;
        Ok(Part::Trailer)
    }

    fn count_overhead(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.overhead = self.overhead.saturating_add(bytes);
        if self.overhead > MAX_CHUNK_OVERHEAD_BYTES {
            Err(BodyError::TooLarge)
        } else {
            Ok(())
        }
    }
}

fn chunk_end(line: &[u8]) -> Result<Part, BodyError> {
    if line.is_empty() {
        Ok(Part::ChunkSize)
    } else {
        Err(BodyError::BadChunk)
    }
}

/// The next line without its CRLF. A lone LF or CR would let two readers disagree on where a chunk
/// ends.
fn line(input: &mut BytesMut) -> Result<Option<BytesMut>, BodyError> {
    let Some(end) = input
        .iter()
        .take(MAX_CHUNK_LINE_BYTES)
        .position(|byte| *byte == b'\n')
    else {
        return if input.len() < MAX_CHUNK_LINE_BYTES {
            Ok(None)
        } else {
            Err(BodyError::TooLarge)
        };
    };
    let mut line = input.split_to(end);
    input.advance(1);
    if line.last() != Some(&b'\r') {
        return Err(BodyError::BadChunk);
    }
    line.truncate(end.saturating_sub(1));
    if line
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        Err(BodyError::BadChunk)
    } else {
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{deliveries, mutations};

    type Read = Result<Option<(String, String)>, BodyError>;

    fn read(framing: Framing, limit: u64, pieces: &[&[u8]]) -> Read {
        let (mut body, mut input, mut content) =
            (Body::new(framing, limit)?, BytesMut::new(), Vec::new());
        let mut complete = body.receive(&mut input, |_| ())?;
        for piece in pieces {
            input.extend_from_slice(piece);
            complete =
                complete || body.receive(&mut input, |part| content.extend_from_slice(part))?;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(complete.then(|| (text(&content), text(&input))))
    }

    #[track_caller]
    fn check(framing: Framing, text: &str, expected: Result<Option<(&str, &str)>, BodyError>) {
        let expected =
            expected.map(|read| read.map(|(content, rest)| (content.to_owned(), rest.to_owned())));
        for pieces in deliveries(text.as_bytes()) {
            assert_eq!(
                read(framing, 20, &pieces),
                expected,
                "{text:?} as {pieces:?}"
            );
        }
    }

    #[test]
    fn bodies_end_at_their_length() {
        check(Framing::Length(0), "GET", Ok(Some(("", "GET"))));
        check(Framing::Length(3), "abcGET", Ok(Some(("abc", "GET"))));
        check(Framing::Length(4), "abc", Ok(None));
        check(Framing::UntilClose, "abc", Ok(None));
        check(
            Framing::Chunked,
            "3\r\nabc\r\n0\r\n\r\nGET",
            Ok(Some(("abc", "GET"))),
        );
        check(
            Framing::Chunked,
            "003;a=\"b\"\r\nabc\r\nA \t;x\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
            Ok(Some(("abc0123456789", ""))),
        );
        check(Framing::Chunked, "3\r\nabc\r\n0\r\n", Ok(None));
    }

    #[test]
    fn bad_chunks_are_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 1\r\n",
            "3\nabc\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n",
            "3;a\rb\r\n",
            "3;\0\r\n",
            "11111111111111111\r\n",
            "0\r\nT: x\n\r\n",
        ] {
            check(Framing::Chunked, text, Err(BodyError::BadChunk));
        }
    }

    #[test]
    fn limits_hold() {
        let long = "x".repeat(20);
        check(Framing::Length(21), "", Err(BodyError::TooLarge));
        check(
            Framing::UntilClose,
            &format!("{long}x"),
            Err(BodyError::TooLarge),
        );
        check(
            Framing::Chunked,
            &format!("14\r\n{long}\r\n0\r\n\r\n"),
            Ok(Some((&long, ""))),
        );
        check(
            Framing::Chunked,
            &format!("14\r\n{long}\r\n1\r\n"),
            Err(BodyError::TooLarge),
        );
        check(
            Framing::Chunked,
            "ffffffffffffffff\r\n",
            Err(BodyError::TooLarge),
        );
        let endless = format!("1;{}", "x".repeat(MAX_CHUNK_LINE_BYTES));
        assert_eq!(
            read(Framing::Chunked, 20, &[endless.as_bytes()]),
            Err(BodyError::TooLarge)
        );
        let trailers = format!("0\r\n{}", format!("{}\r\n", "x".repeat(1000)).repeat(17));
        assert_eq!(
            read(Framing::Chunked, 20, &[trailers.as_bytes()]),
            Err(BodyError::TooLarge)
        );
    }

    #[test]
    fn no_mutation_panics_or_passes_the_limit() {
        mutations(
            b"3;a\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\nGET",
            |text| {
                if let Ok(Some((content, _))) = read(Framing::Chunked, 20, &[text]) {
                    assert!(content.chars().count() <= 20);
                }
            },
        );
    }
}
