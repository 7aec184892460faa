//! The client's side of an answer: read as it arrives. Connecting, time limits and what the body
//! means are the caller's.

use bytes::BytesMut;
use httparse::{EMPTY_HEADER, Header, Status};

use super::body::{Body, BodyError};
use super::date;
use super::head::{Framing, FramingError, HeadScan, framing, keeps_alive, mac, values};
use super::limits::{
    MAX_HEADERS, MAX_INTERIM_RESPONSES, MAX_RESPONSE_BODY_BYTES, MAX_RESPONSE_HEAD_BYTES,
};
use crate::cluster::ProbeFailure;
use crate::time::WallTime;

/// A complete answer with status 200; every other status is a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The peer's wall clock when it answered: `Date`, to the microsecond if it is one of ours.
    pub date: WallTime,
    /// Its authentication code, if it has one.
    pub mac: Option<[u8; 32]>,
    /// The content, without its framing.
    pub body: Vec<u8>,
    /// Another request may be sent on the connection.
    pub keep_alive: bool,
}

/// Reads the answer to one request.
#[derive(Debug, Default)]
pub struct ResponseReader {
    state: State,
    /// Has anything arrived at all.
    begun: bool,
}

#[derive(Debug)]
enum State {
    Head { scan: HeadScan, interim: u32 },
    Body(Response, Body),
    Done,
}

impl ResponseReader {
    /// A reader for the answer to a request that was just sent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what has arrived; the answer once it is complete. After a failure the connection is of
    /// no use.
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<Option<Response>, ProbeFailure> {
        self.begun |= !input.is_empty();
        while let State::Head { scan, interim } = &mut self.state {
            let Some(head) = next_head(scan, input)? else {
                return Ok(None);
            };
            match parse(&head)? {
                Parsed::Final(response, body) => self.state = State::Body(response, body),
                Parsed::Interim if *interim < MAX_INTERIM_RESPONSES => {
                    self.state = State::Head {
                        scan: HeadScan::default(),
                        interim: *interim + 1,
                    };
                }
                Parsed::Interim => {
                    return Err(protocol_error(format!(
                        "more than {MAX_INTERIM_RESPONSES} interim answers"
                    )));
                }
            }
        }
        let State::Body(response, body) = &mut self.state else {
            return Ok(None);
        };
        if !body.receive(input, |content| response.body.extend_from_slice(content))? {
            return Ok(None);
        }
        Ok(self.take().map(|response| Response {
            keep_alive: response.keep_alive && input.is_empty(),
            ..response
        }))
    }

    /// The peer has closed the connection: the end of an answer without a length, else a failure.
    /// What had arrived must have been given to [`receive`](Self::receive) before.
    pub fn finish_at_eof(mut self) -> Result<Response, ProbeFailure> {
        let ended = matches!(&self.state, State::Body(_, body) if body.ends_with_connection());
        let when = if self.begun {
            "within its answer"
        } else {
            "without an answer"
        };
        let cut_off = || ProbeFailure::Unreachable {
            reason: format!("closed the connection {when}"),
        };
        self.take().filter(|_| ended).ok_or_else(cut_off)
    }

    fn take(&mut self) -> Option<Response> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Body(response, _) => Some(response),
            _ => None,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Head {
            scan: HeadScan::default(),
            interim: 0,
        }
    }
}

impl From<BodyError> for ProbeFailure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => protocol_error(format!(
                "the body is longer than {MAX_RESPONSE_BODY_BYTES} bytes"
            )),
            BodyError::BadChunk => protocol_error("bad chunk in the body"),
        }
    }
}

enum Parsed {
    Interim,
    Final(Response, Body),
}

fn next_head(scan: &mut HeadScan, input: &mut BytesMut) -> Result<Option<BytesMut>, ProbeFailure> {
    if input
        .iter()
        .zip(b"HTTP/1.")
        .any(|(byte, expected)| byte != expected)
    {
        return Err(protocol_error("expected an answer of HTTP/1.0 or 1.1"));
    }
    match scan
        .end(input)
        .filter(|end| *end <= MAX_RESPONSE_HEAD_BYTES)
    {
        Some(end) => Ok(Some(input.split_to(end))),
        None if input.len() <= MAX_RESPONSE_HEAD_BYTES => Ok(None),
        None => Err(protocol_error(format!(
            "the header is longer than {MAX_RESPONSE_HEAD_BYTES} bytes"
        ))),
    }
}

fn parse(head: &[u8]) -> Result<Parsed, ProbeFailure> {
    let mut fields = [EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut fields);
    match parsed.parse(head) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(protocol_error("bad header: it ends too early")),
        Err(error) => return Err(protocol_error(format!("bad header: {error}"))),
    }
    let minor = parsed.version.unwrap_or(0);
    match parsed.code {
        Some(200) => {}
        // 101 would change the protocol, which nobody asked for.
        Some(100 | 102..=199) => return Ok(Parsed::Interim),
        Some(401) => {
            return Err(protocol_error(
                "status 401, unauthorized: voters need the same secret",
            ));
        }
        status => {
            return Err(protocol_error(format!(
                "bad status {}, expected 200",
                status.unwrap_or(0)
            )));
        }
    }
    let (framing, keep_alive) = match framing(parsed.headers, minor) {
        Ok(Some(framing)) => (framing, keeps_alive(parsed.headers, minor)),
        Ok(None) => (Framing::UntilClose, false),
        Err(FramingError::Ambiguous(reason)) => return Err(protocol_error(reason)),
        Err(FramingError::UnknownCoding) => {
            return Err(protocol_error("a transfer coding other than chunked"));
        }
    };
    let response = Response {
        date: sole_date(parsed.headers)?,
        mac: mac(parsed.headers),
        body: Vec::new(),
        keep_alive,
    };
    Ok(Parsed::Final(
        response,
        Body::new(framing, MAX_RESPONSE_BODY_BYTES)?,
    ))
}

/// Without the peer's clock its facts cannot be aged.
fn sole_date(headers: &[Header<'_>]) -> Result<WallTime, ProbeFailure> {
    let mut dates = values(headers, "date");
    match (dates.next(), dates.next()) {
        (Some(date), None) => {
            let date = date::parse(date).ok_or_else(|| protocol_error("bad Date header"))?;
            Ok(date::with_micros(
                date,
                values(headers, date::MICROS_FIELD)
                    .next()
                    .unwrap_or_default(),
            ))
        }
        (None, _) => Err(protocol_error("no Date header")),
        _ => Err(protocol_error("more than one Date header")),
    }
}

fn protocol_error(reason: impl Into<String>) -> ProbeFailure {
    let reason = reason.into();
    ProbeFailure::ProtocolError { reason }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{deliveries, mutations};

    const DATE: &str = "Date: Tue, 30 Apr 2024 12:34:56 GMT";

    /// The body, and does the connection stay; `None` while the answer is incomplete. With `eof`
    /// the peer closes at the end.
    fn read(pieces: &[&[u8]], eof: bool) -> Result<Option<(String, bool)>, ProbeFailure> {
        let (mut reader, mut input, mut response) = (ResponseReader::new(), BytesMut::new(), None);
        for piece in pieces {
            input.extend_from_slice(piece);
            response = response.or(reader.receive(&mut input)?);
        }
        if eof && response.is_none() {
            response = Some(reader.finish_at_eof()?);
        }
        Ok(response.map(|response| {
            assert_eq!(
                response.date,
                WallTime::from_unix_micros(0) + Duration::from_secs(1_714_480_496)
            );
            (
                String::from_utf8_lossy(&response.body).into_owned(),
                response.keep_alive,
            )
        }))
    }

    #[track_caller]
    fn check(answer: &str, eof: bool, expected: Option<(&str, bool)>) {
        for pieces in deliveries(answer.as_bytes()) {
            let got = read(&pieces, eof);
            assert_eq!(
                got,
                Ok(expected.map(|(body, keep_alive)| (body.to_owned(), keep_alive))),
                "{answer:?}"
            );
        }
    }

    #[track_caller]
    fn fails(answer: &str, reason: &str) {
        for pieces in deliveries(answer.as_bytes()) {
            let failure = read(&pieces, true).unwrap_err().to_string();
            assert!(failure.contains(reason), "{answer:?}: {failure}");
        }
    }

    #[test]
    fn reads_answers_framed_in_each_way() {
        check(
            &format!("HTTP/1.1 200 OK\r\n{DATE}\r\nContent-Length: 2\r\n\r\n{{}}"),
            false,
            Some(("{}", true)),
        );
        check(
            &format!("HTTP/1.1 200 OK\r\n{DATE}\r\nContent-Length: 0\r\n\r\n"),
            false,
            Some(("", true)),
        );
        check(
            &format!("HTTP/1.1 200\n{DATE}\ncontent-length: 2\nConnection: Close\n\n{{}}"),
            false,
            Some(("{}", false)),
        );
        let chunked = format!(
            "HTTP/1.1 200 OK\r\n{DATE}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n1;x\r\n}}\r\n0\r\nT: 1\r\n\r\n"
        );
        check(&chunked, false, Some(("{}", true)));
        check(
            &format!("HTTP/1.1 200 OK\r\n{DATE}\r\n\r\n{{}}"),
            true,
            Some(("{}", false)),
        );
        check(
            &format!("HTTP/1.1 200 OK\r\n{DATE}\r\n\r\n{{}}"),
            false,
            None,
        );
    }

    #[test]
    fn reads_the_originals_answer() {
        let head = "HTTP/1.0 200 OK\r\nServer: pglookout/2.0 Python/3.11\r\n";
        let answer = format!(
            "{head}{DATE}\r\nContent-type: application/json\r\nContent-length: 2\r\n\r\n{{}}"
        );
        check(&answer, true, Some(("{}", false)));
        fails("", "closed the connection without an answer");
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        let answer = format!("HTTP/1.1 200 OK\r\n{DATE}\r\nContent-Length: 1\r\n\r\nx");
        check(
            &format!("{}{answer}", interim.repeat(4)),
            false,
            Some(("x", true)),
        );
        fails(
            &format!("{}{answer}", interim.repeat(5)),
            "more than 4 interim answers",
        );
        fails(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "bad status 101",
        );
    }

    #[test]
    fn bytes_beyond_the_answer_end_the_connection() {
        let answer = format!("HTTP/1.1 200 OK\r\n{DATE}\r\nContent-Length: 1\r\n\r\nxHTTP");
        assert_eq!(
            read(&[answer.as_bytes()], false),
            Ok(Some(("x".to_owned(), false)))
        );
    }

    #[test]
    fn every_other_answer_names_its_fault() {
        let ok = format!("HTTP/1.1 200 OK\r\n{DATE}\r\n");
        for (answer, reason) in [
            ("HTTP/1.1 500 Oops\r\n\r\n", "bad status 500"),
            ("HTTP/1.1 401 Unauthorized\r\n\r\n", "the same secret"),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n",
                "bad status 302",
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", "bad status 204"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "no Date"),
            (
                "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\n\r\n",
                "bad Date",
            ),
            (
                &format!("{ok}{DATE}\r\nContent-Length: 0\r\n\r\n"),
                "more than one Date",
            ),
            (
                &format!("{ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
                "different Content-Lengths",
            ),
            (
                &format!("{ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
                "both Content-Length and",
            ),
            (
                &format!("{ok}Transfer-Encoding: gzip\r\n\r\n"),
                "a transfer coding other",
            ),
            (
                &format!("{ok}Transfer-Encoding: chunked\r\n\r\nz\r\n"),
                "bad chunk",
            ),
            (
                &format!("{ok}Content-Length: 8388609\r\n\r\n"),
                "longer than 8388608 bytes",
            ),
            (
                &format!("{ok}Content-Length: 2\r\n\r\nx"),
                "closed the connection within",
            ),
            (
                &format!("{ok}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
                "closed the connection within",
            ),
            ("HTTP/1.1 200 OK\r\nDa", "closed the connection within"),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "bad header"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "bad header"),
            ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "bad header"),
            ("HTTP/2 200\r\n\r\n", "expected an answer of HTTP/1"),
            ("SSH-2.0-OpenSSH_9.2\r\n", "expected an answer of HTTP/1"),
            ("\u{15}\u{3}\u{3}", "expected an answer of HTTP/1"),
        ] {
            fails(answer, reason);
        }
    }

    #[test]
    fn limits_hold() {
        let padded = |bytes: usize| {
            let head = format!("HTTP/1.1 200 OK\r\n{DATE}\r\nContent-Length: 0\r\nX: ");
            format!("{head}{}\r\n\r\n", "x".repeat(bytes - head.len() - 4))
        };
        assert!(
            read(&[padded(MAX_RESPONSE_HEAD_BYTES).as_bytes()], false)
                .is_ok_and(|answer| answer.is_some())
        );
        assert!(read(&[padded(MAX_RESPONSE_HEAD_BYTES + 1).as_bytes()], false).is_err());
        let fields = |count: usize| {
            format!(
                "HTTP/1.1 200 OK\r\n{DATE}\r\nContent-Length: 0\r\n{}\r\n",
                "a: b\r\n".repeat(count - 2)
            )
        };
        assert!(
            read(&[fields(MAX_HEADERS).as_bytes()], false).is_ok_and(|answer| answer.is_some())
        );
        assert!(read(&[fields(MAX_HEADERS + 1).as_bytes()], false).is_err());
        let endless = format!("HTTP/1.1 200 OK\r\n{DATE}\r\n\r\n{}", "x".repeat(8 << 20));
        assert!(read(&[endless.as_bytes()], true).is_ok());
        assert!(read(&[endless.as_bytes(), b"x"], true).is_err());
    }

    #[test]
    fn no_mutation_panics() {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{DATE}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        mutations(answer.as_bytes(), |text| {
            let mut reader = ResponseReader::new();
            if reader.receive(&mut BytesMut::from(text)).is_ok() {
                let _ = reader.finish_at_eof();
            }
        });
    }
}
