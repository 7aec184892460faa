//! The control file of our own server, read by a child process: a disk that hangs holds up nothing else.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::io::Io;
use super::readers::{READ_TIME, ReadRequest, ReadResult};
use crate::format::{CONTROL_BYTES, read_control};
use crate::lookout::Event;
use crate::sys::files;

/// What the child has found.
#[derive(Serialize, Deserialize)]
struct Found {
    /// The beginning of the file.
    content: Vec<u8>,
    has_pid_file: bool,
}

/// Reads that of this data directory; what it says is an event.
pub(super) fn read(data_directory: PathBuf, io: &mut Io) {
    let request = ReadRequest::ControlFile(data_directory.clone());
    io.read_in_child(request, READ_TIME, || {
        let found = find(&data_directory).map_err(|error| error.to_string());
        serde_json::to_vec(&found).unwrap_or_default()
    });
}

/// Runs in the child. The pid file is looked for last: a server that is started meanwhile has made its own
/// before it changes the control file.
fn find(data_directory: &Path) -> std::io::Result<Found> {
    let path = data_directory.join("global/pg_control");
    let mut content = files::read_small(&path, MAX_BYTES)?;
    let has_pid_file = files::exists(&data_directory.join("postmaster.pid"))?;
    content.truncate(CONTROL_BYTES);
    Ok(Found {
        content,
        has_pid_file,
    })
}

pub(super) fn finished(result: ReadResult, io: &mut Io) {
    let found = result.and_then(|found| {
        let found = serde_json::from_slice::<Result<Found, String>>(&found);
        found.map_err(|error| format!("the reader process: {error}"))?
    });
    let outcome = found.and_then(|found| read_control(&found.content, found.has_pid_file));
    io.events.push(Event::ControlRead(outcome));
}

/// The file has 8 KiB.
const MAX_BYTES: usize = 64 << 10;
