//! Asking a running daemon over HTTP. May block: this is not the daemon.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;

use crate::http::{ResponseReader, write_get, write_post};
use crate::sys::resolve;

/// The body of the answer, whatever its status. An error: there was none.
pub(super) fn get(address: &str, port: u16, path: &str) -> io::Result<Vec<u8>> {
    let mut request = BytesMut::new();
    write_get(address, Some(port), path, &mut request);
    ask(address, port, &request)
}

/// A POST without a body. An error: there was no answer.
pub(super) fn post(address: &str, port: u16, path: &str) -> io::Result<Vec<u8>> {
    let mut request = BytesMut::new();
    write_post(address, Some(port), path, &mut request);
    ask(address, port, &request)
}

fn ask(address: &str, port: u16, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(address, port)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    stream.write_all(request)?;
    read_answer(&mut stream)
}

fn read_answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut reader, mut input) = (ResponseReader::new(), BytesMut::new());
    let mut part = [0; 16 << 10];
    loop {
        let count = stream.read(&mut part)?;
        input.extend_from_slice(part.get(..count).unwrap_or_default());
        let answer = reader
            .receive(&mut input)
            .map_err(|failure| io::Error::other(failure.to_string()))?;
        if let Some(answer) = answer {
            return Ok(answer.body);
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn connect(address: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for at in resolve::addresses(resolve::without_brackets(address), port)? {
        match TcpStream::connect_timeout(&at, TIME_LIMIT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// For a daemon that listens on every interface.
pub(super) const LOOPBACK: &str = "127.0.0.1";
/// For connecting, and for each part of the answer.
const TIME_LIMIT: Duration = Duration::from_secs(3);
