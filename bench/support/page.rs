//! One question to any HTTP server on a host, without what version 1.1 adds: not every server has it.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde_json::Value;

use crate::harness::host::Host;

/// The JSON of a page, whatever the status; null where there is none.
pub fn json(host: &Host, port: u16, target: &str) -> Value {
    let body = read(host, port, target).unwrap_or_default();
    serde_json::from_str(&body).unwrap_or_default()
}

fn read(host: &Host, port: u16, target: &str) -> io::Result<String> {
    let mut stream = host.connect(port, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let address = host.address;
    let request = format!("GET {target} HTTP/1.0\r\nHost: {address}:{port}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    body.ok_or_else(|| io::Error::other("not HTTP"))
}

/// An answer that takes longer than this is none.
const LIMIT: Duration = Duration::from_secs(2);
