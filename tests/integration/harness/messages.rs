//! Messages of a server (Protocol, "Message Formats").

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [
        &promise(tag, i32::try_from(body.len() + 4).expect("a length"))[..],
        body,
    ]
    .concat()
}

/// The beginning of a message: its type and length.
pub(crate) fn promise(tag: u8, length: i32) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes()].concat()
}

pub(crate) fn authentication(code: i32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes()[..], rest].concat())
}

/// AuthenticationOk and ReadyForQuery.
pub(crate) fn login() -> Vec<u8> {
    [authentication(0, b""), ready()].concat()
}

pub(crate) fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

pub(crate) fn described() -> Vec<u8> {
    message(b'T', b"\0\0")
}

pub(crate) fn row(values: &[Option<&str>]) -> Vec<u8> {
    let mut body = Vec::from(u16::try_from(values.len()).expect("a count").to_be_bytes());
    for value in values {
        let length = value.map_or(-1, |value| value.len() as i32);
        body.extend(length.to_be_bytes());
        body.extend(value.unwrap_or_default().as_bytes());
    }
    message(b'D', &body)
}

/// CommandComplete and ReadyForQuery.
pub(crate) fn complete() -> Vec<u8> {
    [message(b'C', b"SELECT 1\0"), ready()].concat()
}

pub(crate) fn error(severity: &str, sqlstate: &str, text: &str) -> Vec<u8> {
    message(
        b'E',
        format!("S{severity}\0C{sqlstate}\0M{text}\0\0").as_bytes(),
    )
}
