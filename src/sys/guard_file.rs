//! The file that names the guard of our server: by it a later daemon finds the guard that the one before
//! has left, and ends it once its own guard stands. It must survive the daemon, not the host.

use std::io;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{clock, files, process};

/// Ends the guard that this file names, unless it is `description`'s, and writes that. Only a holder whose
/// lease was renewed, and whose own guard knows of it, may do so.
pub(super) fn take_over(path: &Path, description: &str) -> io::Result<()> {
    let before = files::read_own(path, MAX_FILE_BYTES).unwrap_or_default();
    let before = String::from_utf8_lossy(&before).into_owned();
    let words: Vec<&str> = before.split_whitespace().collect();
    if let [boot, id, started] = words.as_slice()
        && before != description
        && clock::boot_id().as_deref() == Some(*boot)
        && let (Ok(id), Ok(started)) = (id.parse::<u32>(), started.parse())
        && process::started(id)? == Some(started)
    {
        let id = i32::try_from(id).map_err(io::Error::other)?;
        kill(Pid::from_raw(id), Signal::SIGKILL)?;
    }
    files::replace(path, description.as_bytes())
}

const MAX_FILE_BYTES: usize = 256;
