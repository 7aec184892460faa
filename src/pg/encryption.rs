//! The question whether the server encrypts (Protocol, "SSL Session Encryption"). The handshake
//! that may follow is not in this room: bytes come decrypted.

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::error::{ServerError, nonsense};
use super::frame::Budget;
use crate::cluster::ProbeFailure;

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It encrypts: the handshake is next, from our side.
    Willing,
    /// It does not; the login may follow in plaintext.
    Unwilling,
    /// An error, which is still in the input.
    Error,
}

/// Queues the question (SSLRequest). Nothing else may be sent before the answer.
pub fn ask_for_encryption(out: &mut BytesMut) {
    frontend::ssl_request(out);
}

/// Takes the answer: one byte. What comes behind a yes without having been asked for was written by
/// somebody between the server and us, who wants it to be taken for encrypted (CVE-2021-23222).
pub fn encryption_answer(input: &mut BytesMut) -> Result<Option<Answer>, ProbeFailure> {
    let answer = match input.first() {
        None => return Ok(None),
        Some(b'S') => Answer::Willing,
        Some(b'N') => Answer::Unwilling,
        Some(b'E') => return Ok(Some(Answer::Error)),
        Some(other) => {
            let reason = format!(
                "answer '{}' to the TLS request, expected S or N",
                other.escape_ascii()
            );
            return Err(nonsense(reason));
        }
    };
    if input.len() > 1 {
        return Err(nonsense(
            "unencrypted bytes after the answer to the TLS request: possible attack",
        ));
    }
    input.clear();
    Ok(Some(answer))
}

/// The error that the server sends in place of an answer, once all of it is there.
pub fn encryption_error(input: &mut BytesMut) -> Result<(), ProbeFailure> {
    match Budget::for_login().next(input)? {
        None => Ok(()),
        Some(Message::ErrorResponse(body)) => Err(ServerError::read(&body)?.into_failure()),
        Some(_) => Err(nonsense("an unexpected message while waiting for an error")),
    }
}

/// Bytes of input that may wait while the question is open: the answer, and what would betray an
/// attack.
pub const ENCRYPTION_ANSWER_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Option<Answer>, &str>, left: &[u8]) {
        let mut input = BytesMut::from(bytes);
        let answer = encryption_answer(&mut input).map_err(|failure| failure.to_string());
        match (answer, expected) {
            (Ok(answer), Ok(expected)) => {
                assert_eq!((answer, &input[..]), (expected, left), "{bytes:?}")
            }
            (Err(failure), Err(expected)) => assert!(failure.contains(expected), "{failure}"),
            (answer, _) => panic!("{bytes:?}: {answer:?}"),
        }
    }

    #[test]
    fn the_answer_is_one_byte() {
        check(b"", Ok(None), b"");
        check(b"S", Ok(Some(Answer::Willing)), b"");
        check(b"N", Ok(Some(Answer::Unwilling)), b"");
        check(b"ES", Ok(Some(Answer::Error)), b"ES");
        check(b"H", Err("'H' to the TLS request, expected S or N"), b"");
        check(b"SR", Err("possible attack"), b"");
        check(b"NR", Err("possible attack"), b"");
    }

    #[test]
    fn an_error_in_place_of_the_answer_is_reported() {
        let mut input = BytesMut::from(&b"Ecould not fork new process\n"[..]);
        assert_eq!(encryption_error(&mut input), Ok(()));
        input.extend_from_slice(b"\0");
        let failure = encryption_error(&mut input).unwrap_err().to_string();
        assert_eq!(
            failure,
            "rejected by the server: could not fork new process"
        );
        let mut error = crate::pg::wire::error("FATAL", "57P03", "starting up");
        assert!(matches!(
            encryption_error(&mut error),
            Err(ProbeFailure::NotReady { .. })
        ));
    }

    #[test]
    fn the_question_is_the_protocols() {
        let mut out = BytesMut::new();
        ask_for_encryption(&mut out);
        assert_eq!(out, &b"\0\0\0\x08\x04\xd2\x16\x2f"[..]);
    }
}
