//! The daemon's own small files: state file, alert files, the maintenance file, and bounded reading.
//!
//! The defaults live in `/tmp`, where anybody may have put something under our names first: a link to follow, a FIFO to
//! wait for, a directory. None of them is followed, waited for or written to. Every error names its path.
//!
//! Nothing here calls fsync. The loop has one thread and a sick disk would hold a failover up for as long as it likes.
//! The rename alone keeps the state file whole when the process dies at any point; after a power loss the file may be
//! older, or empty, and is then read as far as it makes sense.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::text::escape_controls;
use crate::compat::timestamp;
use crate::time::WallTime;

/// Writes `content` to `<path>.tmp` and renames that to `path`, so that a reader sees the old file or the new one.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = with_suffix(path, ".tmp");
    let mut file = create_new(&beside).map_err(|error| about(&beside, "cannot create", &error))?;
    file.write_all(content).map_err(|error| {
        // What does not fit on the disk must not stay there half.
        let _ = fs::remove_file(&beside);
        about(&beside, "cannot write", &error)
    })?;
    fs::rename(&beside, path).map_err(|error| about(path, "cannot replace", &error))
}

/// Makes the alert file `path`, or writes it anew: one line, time and `text`.
pub fn raise_alert(path: &Path, at: WallTime, text: &str) -> io::Result<()> {
    let line = format!("{} {}\n", timestamp::format_millis(at), escape_controls(text));
    let written = open_alert(path).and_then(|mut file| {
        file.set_len(0)?;
        file.write_all(line.as_bytes())
    });
    written.map_err(|error| about(path, "cannot write alert file", &error))
}

/// Removes the alert file `path` if it is there and is a file.
pub fn clear_alert(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => fs::remove_file(path),
        Ok(_) => Err(not_a_file()),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if is_absent(&error) => Ok(()),
        other => other.map_err(|error| about(path, "cannot remove alert file", &error)),
    }
}

/// Whether `path` exists, be it a file, a directory or a link to something that does. The error of a path that cannot be
/// looked at is for the log, and for the caller to decide what it means.
pub fn exists(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(about(path, "cannot look at", &error)),
    }
}

/// The content of the regular file `path`, which may be at most `limit` bytes. Links are followed: for files that an
/// administrator placed.
pub fn read_small(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_with(path, limit, libc::O_NONBLOCK, |_| Ok(()))
}

/// Like [`read_small`], for a file that we wrote ourselves and that decides something: no link is followed, and its owner
/// must be us or root, so that nobody else prepares our memory in `/tmp`.
pub fn read_own(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let us = geteuid().as_raw();
    read_with(path, limit, libc::O_NONBLOCK | libc::O_NOFOLLOW, |found| match found.uid() {
        owner if owner == us || owner == 0 => Ok(()),
        other => Err(io::Error::other(format!("belongs to another user (uid {other})"))),
    })
}

/// Like [`read_small`], for a private key: by libpq's rule it must be its owner's alone; one of root's may be read by a
/// group.
pub fn read_key(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_with(path, limit, libc::O_NONBLOCK, |found| {
        let too_open = if found.uid() == 0 { 0o037 } else { 0o077 };
        if found.mode() & too_open == 0 {
            return Ok(());
        }
        let mode = found.mode() & 0o777;
        let reason = format!("others may read it (mode {mode:04o}); expected 0600, or 0640 if it is root's");
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    })
}

fn read_with(
    path: &Path,
    limit: usize,
    flags: i32,
    trusts: impl Fn(&Metadata) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let read = || {
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(not_a_file());
        }
        trusts(&found)?;
        read_at_most(file, limit)?.ok_or_else(|| io::Error::other(format!("is larger than {limit} bytes")))
    };
    read().map_err(|error| about(path, "cannot read", &error))
}

/// All of it, or `None` if there is more than `limit`.
pub(super) fn read_at_most(file: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut content)?;
    Ok(Some(content).filter(|content| content.len() <= limit))
}

/// A file that was not there before. What a killed daemon left is removed; removing never follows a link, and a directory
/// is left alone.
fn create_new(path: &Path) -> io::Result<File> {
    let create = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o644).custom_flags(libc::O_NOFOLLOW);
        options.open(path)
    };
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create()
        }
        other => other,
    }
}

/// Opened without truncating: only what proved to be a file of its own is emptied. A second hard link would be somebody
/// else's file under our name.
fn open_alert(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o644).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    let found: Metadata = file.metadata()?;
    if !found.is_file() {
        return Err(not_a_file());
    }
    if found.nlink() > 1 {
        return Err(io::Error::other("it has another name as well (hard link)"));
    }
    Ok(file)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

fn about(path: &Path, what: &str, error: &io::Error) -> io::Error {
    let path = path.to_string_lossy();
    io::Error::new(error.kind(), format!("{what} {}: {error}", escape_controls(&path)))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
