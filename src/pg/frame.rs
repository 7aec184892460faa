//! The guard before the parser: which messages may come in, how long, how many. Everything that a
//! server may send at any time and that we have no use for is dropped here.

use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::{
    AUTHENTICATION_TAG, BACKEND_KEY_DATA_TAG, ERROR_RESPONSE_TAG, Header, Message,
    NOTICE_RESPONSE_TAG, NOTIFICATION_RESPONSE_TAG, PARAMETER_STATUS_TAG,
};

use super::error::{MAX_MESSAGE, declined, nonsense, printable};
use crate::cluster::ProbeFailure;

/// What one exchange (logging in, or one poll) may still cost us.
#[derive(Debug)]
pub(super) struct Budget {
    stage: Stage,
    bytes_left: usize,
    passing_left: u32,
    backend: Option<i32>,
    /// Something that makes sense has come in.
    is_postgres: bool,
}

impl Budget {
    /// For logging in: short messages only.
    pub(super) fn for_login() -> Self {
        Self {
            stage: Stage::Login,
            bytes_left: MAX_EXCHANGE,
            passing_left: MAX_PASSING,
            backend: None,
            is_postgres: false,
        }
    }

    /// For what comes after a login, up to and including the next poll.
    pub(super) fn for_poll() -> Self {
        Self {
            stage: Stage::LoggedIn,
            bytes_left: MAX_EXCHANGE,
            passing_left: MAX_PASSING,
            backend: None,
            is_postgres: true,
        }
    }

    /// The server process that has introduced itself while logging in, by its number.
    pub(super) fn backend(&self) -> Option<i32> {
        self.backend
    }

    /// The next message that means something to us; `None`: not all of it is there yet. What is not
    /// complete stays in `input`, and nothing is reserved for it: the length is the server's word
    /// only.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Message>, ProbeFailure> {
        while let Some(header) = Header::parse(input).map_err(|_| nonsense(odd_length(input)))? {
            let total = usize::try_from(header.len())
                .unwrap_or(usize::MAX)
                .saturating_add(1);
            if total > self.stage.longest() {
                return self.too_long(header, input);
            }
            if input.len() < total {
                return Ok(None);
            }
            self.bytes_left = self.bytes_left.checked_sub(total).ok_or_else(|| {
                declined(format!("more than {MAX_EXCHANGE} bytes for one exchange"))
            })?;
            if !self.stage.is_passing(header.tag()) {
                let message = parse(header, input)?;
                self.is_postgres = true;
                return Ok(message);
            }
            self.passing_left = self.passing_left.checked_sub(1).ok_or_else(|| {
                declined(format!(
                    "more than {MAX_PASSING} unsolicited messages in one exchange"
                ))
            })?;
            if header.tag() == BACKEND_KEY_DATA_TAG {
                let process = input.get(5..total).and_then(|body| body.first_chunk());
                self.backend = process.copied().map(i32::from_be_bytes);
            }
            input.advance(total);
        }
        Ok(None)
    }

    fn too_long(&self, header: Header, input: &[u8]) -> Result<Option<Message>, ProbeFailure> {
        if matches!(self.stage, Stage::Login) && header.tag() == ERROR_RESPONSE_TAG {
            return bare_error(input);
        }
        let reason = format!(
            "message {} announces {} bytes, at most {} are expected here",
            name(header.tag()),
            header.len(),
            self.stage.longest()
        );
        // What is no PostgreSQL begins with text, which as a length is absurd.
        let is_possible = matches!(header.tag(), AUTHENTICATION_TAG | NOTICE_RESPONSE_TAG)
            && header.len() < FIRST_LENGTH_OF_TEXT;
        if self.is_postgres || is_possible {
            return Err(declined(reason));
        }
        Err(nonsense(reason))
    }
}

/// A message type as its printable letter.
fn name(tag: u8) -> String {
    format!("'{}'", tag.escape_ascii())
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Login,
    LoggedIn,
}

impl Stage {
    fn longest(self) -> usize {
        match self {
            Self::Login => MAX_LOGIN_MESSAGE,
            Self::LoggedIn => MAX_MESSAGE_BYTES,
        }
    }

    /// Protocol, "Asynchronous Operations": notices, parameter reports and notifications may come
    /// at any time. The key for cancelling and the answer to an offered protocol version belong to
    /// the start-up, and their form depends on the version; of the key we need the process only.
    fn is_passing(self, tag: u8) -> bool {
        match tag {
            NOTICE_RESPONSE_TAG | PARAMETER_STATUS_TAG | NOTIFICATION_RESPONSE_TAG => true,
            BACKEND_KEY_DATA_TAG | NEGOTIATE_PROTOCOL_VERSION_TAG => matches!(self, Self::Login),
            _ => false,
        }
    }
}

fn parse(header: Header, input: &mut BytesMut) -> Result<Option<Message>, ProbeFailure> {
    let method = unknown_method(header, input);
    Message::parse(input).map_err(|error| match method {
        Some(code) => ProbeFailure::Refused {
            message: format!("unknown authentication method {code}"),
        },
        None => nonsense(format!(
            "message {} of {} bytes: {error}",
            name(header.tag()),
            header.len()
        )),
    })
}

/// The code of an authentication request that postgres-protocol does not know either.
fn unknown_method(header: Header, input: &[u8]) -> Option<i32> {
    let code = input
        .get(5..)?
        .first_chunk()
        .copied()
        .map(i32::from_be_bytes)?;
    (header.tag() == AUTHENTICATION_TAG && header.len() >= 8 && !matches!(code, 0 | 2 | 3 | 5..=12))
        .then_some(code)
}

/// A postmaster that cannot fork writes `E`, a text and a zero byte, without a length: the first
/// four letters of the text stand where the length should be. libpq knows this too (fe-connect.c,
/// `CONNECTION_AWAITING_RESPONSE`). It is a living server that refuses us.
fn bare_error(input: &[u8]) -> Result<Option<Message>, ProbeFailure> {
    let text = input.get(1..).unwrap_or_default();
    let text = text.get(..MAX_MESSAGE).unwrap_or(text);
    match text.iter().position(|&byte| byte == 0) {
        Some(end) => {
            let text = text.get(..end).unwrap_or_default().trim_ascii_end();
            Err(ProbeFailure::Refused {
                message: printable(text, MAX_MESSAGE),
            })
        }
        None if text.len() < MAX_MESSAGE => Ok(None),
        None => Err(nonsense(
            "an error message without a length and without an end",
        )),
    }
}

fn odd_length(input: &[u8]) -> String {
    let tag = input.first().copied().unwrap_or_default();
    format!(
        "message {} announces a length of less than 4 bytes, which counts itself",
        name(tag)
    )
}

/// NegotiateProtocolVersion, which postgres-protocol does not name.
const NEGOTIATE_PROTOCOL_VERSION_TAG: u8 = b'v';
/// The longest message while logging in, in bytes, its type included.
const MAX_LOGIN_MESSAGE: usize = 64 * 1024;
/// The longest message afterwards, in bytes: a row, whose largest value is a slot's state file.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// A blank and three zero bytes, as a length.
const FIRST_LENGTH_OF_TEXT: i32 = 0x2000_0000;
/// All messages of one login or one poll together, in bytes.
const MAX_EXCHANGE: usize = 16 * 1024 * 1024;
/// Messages of one login or one poll that nobody asked for.
const MAX_PASSING: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::wire;
    use bytes::BufMut;

    #[track_caller]
    fn check(mut budget: Budget, input: &[u8], expected: &str) {
        let mut input = BytesMut::from(input);
        let failure = loop {
            match budget.next(&mut input) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("nothing wrong with it"),
                Err(failure) => break failure,
            }
        };
        assert!(
            failure.to_string().contains(expected),
            "{failure} / {expected}"
        );
    }

    #[test]
    fn the_announced_length_has_limits() {
        check(
            Budget::for_login(),
            b"R\0\0\0\x03",
            "'R' announces a length of less than 4",
        );
        check(Budget::for_login(), b"R\xff\xff\xff\xff", "less than 4");
        check(
            Budget::for_login(),
            b"R\0\x01\0\0",
            "'R' announces 65536 bytes, at most 65536",
        );
        check(
            Budget::for_poll(),
            b"D\0\x10\0\0",
            "'D' announces 1048576 bytes",
        );
        check(
            Budget::for_poll(),
            b"E\x7f\xff\xff\xff",
            "'E' announces 2147483647 bytes",
        );
        check(
            Budget::for_login(),
            b"HTTP/1.1 400 Bad Request\r\n",
            "'H' announces 1414811695 bytes",
        );
    }

    #[test]
    fn what_is_too_long_is_a_refusal_where_a_server_must_have_sent_it() {
        let http = b"HTTP/1.1 400 Bad Request\r\n";
        let ssh = b"SSH-2.0-OpenSSH_9.2\r\n";
        let notice = b"N\0\x01\0\0";
        let text = b"Not for you.\r\n";
        let row = b"D\x7f\xff\xff\xff";
        let (refused, outage) = ("rejected by the server: pglookout does", "protocol error: ");
        check(Budget::for_login(), http, outage);
        check(Budget::for_login(), ssh, outage);
        check(Budget::for_login(), text, outage);
        check(Budget::for_login(), notice, refused);
        check(Budget::for_poll(), row, refused);
        let after_a_request = [&wire::authentication(0, b"")[..], ssh].concat();
        check(Budget::for_login(), &after_a_request, refused);
    }

    #[test]
    fn nothing_is_reserved_for_a_promise() {
        let mut input = BytesMut::from(&b"D\0\x0f\0\0"[..]);
        let capacity = input.capacity();
        assert!(Budget::for_poll().next(&mut input).unwrap().is_none());
        assert_eq!((input.len(), input.capacity()), (5, capacity));
    }

    #[test]
    fn unasked_messages_are_counted() {
        let notice = wire::message(b'N', b"SNOTICE\0\0");
        let flood = notice.repeat(MAX_PASSING as usize);
        assert!(
            Budget::for_poll()
                .next(&mut BytesMut::from(&flood[..]))
                .unwrap()
                .is_none()
        );
        check(
            Budget::for_poll(),
            &notice.repeat(MAX_PASSING as usize + 1),
            "more than 1000 unsolicited",
        );
    }

    #[test]
    fn an_exchange_has_a_limit_too() {
        let row = wire::message(b'T', &[0; 1_000_000]);
        check(
            Budget::for_poll(),
            &row.repeat(17),
            "more than 16777216 bytes for one exchange",
        );
    }

    #[test]
    fn what_belongs_to_the_start_up_is_dropped_there_only() {
        let mut both = wire::message(b'K', &[0; 36]);
        both.put(wire::message(b'v', b"\0\x03\0\0\0\0\0\0"));
        assert!(
            Budget::for_login()
                .next(&mut both.clone())
                .unwrap()
                .is_none()
        );
        check(Budget::for_poll(), &both, "message 'K' of 40 bytes");
        check(
            Budget::for_poll(),
            &wire::message(b'v', b""),
            "unknown message tag",
        );
    }

    #[test]
    fn a_postmaster_that_cannot_fork_is_understood() {
        let text = b"Ecould not fork new process for connection: Cannot allocate memory\n\0";
        check(
            Budget::for_login(),
            text,
            "rejected by the server: could not fork new process for connection: Cannot",
        );
        for end in 0..text.len() {
            assert!(
                Budget::for_login()
                    .next(&mut BytesMut::from(&text[..end]))
                    .unwrap()
                    .is_none(),
                "{end}"
            );
        }
        check(Budget::for_login(), &[b'E'; 1_001], "without an end");
    }

    #[test]
    fn an_unknown_method_is_named() {
        check(
            Budget::for_login(),
            &wire::authentication(99, b""),
            "rejected by the server: unknown authentication method 99",
        );
        check(
            Budget::for_login(),
            &wire::authentication(4, b"xx"),
            "unknown authentication method 4",
        );
        check(
            Budget::for_login(),
            &wire::message(b'R', b"\0\0"),
            "protocol error: message 'R' of 6 bytes",
        );
    }
}
