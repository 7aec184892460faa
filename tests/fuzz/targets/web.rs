//! HTTP from both sides: requests of anybody's, answers of observers.

use bytes::{Bytes, BytesMut};
use pglookout::http::limits::{
    MAX_REQUEST_HEAD_BYTES, MAX_RESPONSE_BODY_BYTES, MAX_RESPONSE_HEAD_BYTES,
};
use pglookout::http::{Answer, Exchange, Reply, Response, ResponseReader, Step};
use pglookout::time::WallTime;

use super::{however_delivered, on_one_line};

pub(super) fn request(input: &[u8]) {
    let steps = however_delivered(input, |pieces| {
        let (mut exchange, mut waiting, mut steps) = (Exchange::new(), BytesMut::new(), Vec::new());
        for piece in pieces {
            waiting.extend_from_slice(piece);
            loop {
                match exchange.receive(&mut waiting, true) {
                    Step::NeedMore => break,
                    // A body that comes along with its head needs no invitation.
                    Step::Continue => {}
                    step => steps.push(step),
                }
            }
            assert!(
                waiting.len() <= MAX_REQUEST_HEAD_BYTES,
                "{} bytes are kept",
                waiting.len()
            );
        }
        steps
    });
    let refused = steps
        .iter()
        .position(|step| matches!(step, Step::Refused(_)));
    assert!(
        refused.is_none_or(|at| at + 1 == steps.len()),
        "goes on after a refusal: {steps:?}"
    );
}

/// An answer that ends with the input.
pub(super) fn response(input: &[u8]) {
    let outcome = however_delivered(input, |pieces| {
        read(pieces).map(|response| (response.date, response.body))
    });
    match outcome {
        Ok((_, body)) => assert!(body.len() as u64 <= MAX_RESPONSE_BODY_BYTES),
        Err(failure) => on_one_line(&failure),
    }
}

/// The values of `Date` and of our own field beside it, one in each line.
pub(super) fn date(input: &[u8]) {
    let (date, micros) = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &b"0"[..]),
    };
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    let fields = [
        b"Date: ",
        date,
        b"\r\nPglookout-Date-Micros: ",
        micros,
        b"\r\n\r\n",
    ]
    .concat();
    let Ok(response) = read(&[head, &fields]) else {
        return;
    };
    let mut written = BytesMut::new();
    let reply = Reply {
        head_only: false,
        keep_alive: true,
    };
    let body = Answer::json(Bytes::from_static(b"{}")).write(reply, response.date, &mut written);
    let again = read(&[&written, &body]).expect("our own answer is read");
    assert_eq!((again.date, &again.body[..]), (response.date, &b"{}"[..]));
    assert!(response.date >= WallTime::from_unix_micros(0));
}

fn read(pieces: &[&[u8]]) -> Result<Response, String> {
    let (mut reader, mut waiting) = (ResponseReader::new(), BytesMut::new());
    for piece in pieces {
        waiting.extend_from_slice(piece);
        if let Some(response) = reader
            .receive(&mut waiting)
            .map_err(|failure| failure.to_string())?
        {
            return Ok(response);
        }
        assert!(
            waiting.len() <= MAX_RESPONSE_HEAD_BYTES,
            "{} bytes are kept",
            waiting.len()
        );
    }
    reader
        .finish_at_eof()
        .map_err(|failure| failure.to_string())
}
