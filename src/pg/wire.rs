//! Backend messages built by hand, for the tests of this room.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::backend::{DataRowBody, Message};

use crate::config::{ConnInfo, Environment, parse};

/// Any message: type, length, body.
pub(super) fn message(tag: u8, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(tag);
    bytes.put_u32(u32::try_from(body.len() + 4).unwrap());
    bytes.put_slice(body);
    bytes
}

/// Authentication request `code` with what follows it.
pub(super) fn authentication(code: i32, rest: &[u8]) -> BytesMut {
    message(b'R', &[&code.to_be_bytes(), rest].concat())
}

/// ErrorResponse with these fields.
pub(super) fn error_fields(fields: &[(u8, &[u8])]) -> BytesMut {
    let mut body = Vec::new();
    for (kind, value) in fields {
        body.push(*kind);
        body.extend_from_slice(value);
        body.push(0);
    }
    body.push(0);
    message(b'E', &body)
}

/// ErrorResponse as a server of ours writes it.
pub(super) fn error(severity: &str, sqlstate: &str, text: &str) -> BytesMut {
    error_fields(&[
        (b'S', severity.as_bytes()),
        (b'V', severity.as_bytes()),
        (b'C', sqlstate.as_bytes()),
        (b'M', text.as_bytes()),
    ])
}

/// DataRow of text values.
pub(super) fn row(values: &[Option<&str>]) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u16(u16::try_from(values.len()).unwrap());
    for value in values {
        match value {
            Some(value) => {
                body.put_i32(i32::try_from(value.len()).unwrap());
                body.put_slice(value.as_bytes());
            }
            None => body.put_i32(-1),
        }
    }
    message(b'D', &body)
}

/// The same as it comes out of the parser.
pub(super) fn row_body(values: &[Option<&str>]) -> DataRowBody {
    match Message::parse(&mut row(values)).unwrap() {
        Some(Message::DataRow(body)) => body,
        _ => panic!("not one row"),
    }
}

/// RowDescription without columns: nobody here looks into it.
pub(super) fn description() -> BytesMut {
    message(b'T', b"\0\0")
}

/// A whole good answer: description, rows, CommandComplete, ReadyForQuery.
pub(super) fn answer(rows: &[&[Option<&str>]]) -> BytesMut {
    let mut bytes = description();
    for values in rows {
        bytes.put(row(values));
    }
    bytes.put(message(b'C', b"SELECT 1\0"));
    bytes.put(ready());
    bytes
}

/// ReadyForQuery, outside a transaction.
pub(super) fn ready() -> BytesMut {
    message(b'Z', b"I")
}

/// What `remote_conns` says of one node.
pub(super) fn info(text: &str) -> ConnInfo {
    let file = format!(r#"{{"remote_conns": {{"n": "{text}"}}}}"#);
    let mut nodes = parse(&file, &Environment::default()).unwrap().config.nodes;
    Arc::unwrap_or_clone(nodes.pop_first().unwrap().1)
}
