//! `pglookout explain CONFIG`: the last decision and its reasons, from the running daemon, or from its
//! state file when the daemon is down.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::daemon_client::{LOOPBACK, get};
use super::{config_file, explained, output};
use crate::config::Config;
use crate::format::{Decision, MAX_STATE_FILE_BYTES, StateFile};
use crate::sys::{clock, files};

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
    let body = get(address, port, "/decisions.json")?;
    serde_json::from_slice(&body)
        .map_err(|error| io::Error::other(format!("no list of decisions: {error}")))
}

fn stored(path: &Path) -> Result<Decision, String> {
    let bytes = files::read_small(path, MAX_STATE_FILE_BYTES).map_err(|error| error.to_string())?;
    let decision = StateFile::read(&bytes)?.decision();
    decision.ok_or_else(|| "no decision in it".to_owned())
}
