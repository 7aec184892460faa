//! `pglookout explain CONFIG`: the last decision and its reasons, from the running daemon, or from its
//! state file when the daemon is down.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytes::BytesMut;

use super::{config_file, explained, output};
use crate::config::Config;
use crate::format::{Decision, MAX_STATE_FILE_BYTES, StateFile};
use crate::http::{ResponseReader, write_get};
use crate::sys::{clock, files, resolve};

/// Exit 1 if neither the daemon nor its state file has a decision.
pub(super) fn main(config: &Path) -> ExitCode {
    match config_file::load(config).and_then(|config| decisions(&config)) {
        Ok((source, decisions)) => {
            output::print(&explained::text(&source, &decisions, clock::wall()))
        }
        Err(reason) => output::fail(reason),
    }
}

/// The newest first, and their source.
fn decisions(config: &Config) -> Result<(String, Vec<Decision>), String> {
    let address = config.http_address.as_deref().unwrap_or(LOOPBACK);
    let daemon = format!("the daemon at {address}, port {}", config.http_port);
    let failure = match request(address, config.http_port) {
        Ok(decisions) => return Ok((format!("reported by {daemon}"), decisions)),
        Err(error) => format!("{daemon}: {error}"),
    };
    let path = config.state_file.display();
    let stored = stored(&config.state_file).map_err(|error| format!("{failure}\n{path}: {error}"));
    Ok((
        format!("from the state file {path}; {failure}"),
        vec![stored?],
    ))
}

fn request(address: &str, port: u16) -> io::Result<Vec<Decision>> {
    let mut stream = connect(address, port)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    let mut request = BytesMut::new();
    write_get(address, Some(port), "/decisions.json", &mut request);
    stream.write_all(&request)?;
    let body = read_answer(&mut stream)?;
    serde_json::from_slice(&body)
        .map_err(|error| io::Error::other(format!("no list of decisions: {error}")))
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

/// May block: this is not the daemon.
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

fn stored(path: &Path) -> Result<Decision, String> {
    let bytes = files::read_small(path, MAX_STATE_FILE_BYTES).map_err(|error| error.to_string())?;
    let decision = StateFile::read(&bytes)?.decision();
    decision.ok_or_else(|| "no decision in it".to_owned())
}

/// For a daemon that listens on every interface.
const LOOPBACK: &str = "127.0.0.1";
/// For connecting, and for each part of the answer.
const TIME_LIMIT: Duration = Duration::from_secs(3);
