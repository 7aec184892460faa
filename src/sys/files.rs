//! The daemon's own small files: state file, alert files, the maintenance file, and bounded
//! reading.
//!
//! The defaults live in `/tmp`, where anybody may have put something under our names first: a link
//! to follow, a FIFO to wait for, a directory. None of them is followed, waited for or written to.
//! Every error names its path.
//!
//! What writes waits for the disk, and is done in a child process ([`super::writer`]).

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::text::about_path;

/// Puts a new file with this content in the place of `path`, so that a reader sees the old one or
/// the new one, and after a power loss as well: it is on disk under a name that nobody can have
/// taken before it takes the place. What was there, be it a link or a FIFO, is replaced and not
/// opened.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o644);
    let mut file = options
        .open(&beside)
        .map_err(|error| about_path(path, "cannot create a file for", &error))?;
    let replaced = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        // What does not fit on the disk must not stay there half.
        let _ = fs::remove_file(&beside);
    }
    replaced
        .and_then(|()| sync_directory(path))
        .map_err(|error| about_path(path, "cannot write", &error))
}

/// Removes `path` if it is there and is a file.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => fs::remove_file(path).and_then(|()| sync_directory(path)),
        Ok(_) => Err(not_a_file()),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if is_absent(&error) => Ok(()),
        other => other.map_err(|error| about_path(path, "cannot remove", &error)),
    }
}

/// Whether `path` exists, be it a file, a directory or a link to something that does. The error of
/// a path that cannot be looked at is for the log, and for the caller to decide what it means.
pub fn exists(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(about_path(path, "cannot look at", &error)),
    }
}

/// The content of the regular file `path`, which may be at most `limit` bytes. Links are followed:
/// for files that an administrator placed.
pub fn read_small(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_with(path, limit, libc::O_NONBLOCK, |_| Ok(()))
}

/// Like [`read_small`], for a file that we wrote ourselves and that decides something: no link is
/// followed, and its owner must be us or root, so that nobody else prepares our memory in `/tmp`.
pub fn read_own(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let us = geteuid().as_raw();
    read_with(
        path,
        limit,
        libc::O_NONBLOCK | libc::O_NOFOLLOW,
        |found| match found.uid() {
            owner if owner == us || owner == 0 => Ok(()),
            other => Err(io::Error::other(format!(
                "belongs to another user (uid {other})"
            ))),
        },
    )
}

/// Like [`read_small`], for a private key: by libpq's rule it must be its owner's alone; one of
/// root's may be read by a group.
pub fn read_key(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_with(path, limit, libc::O_NONBLOCK, |found| {
        let too_open = if found.uid() == 0 { 0o037 } else { 0o077 };
        if found.mode() & too_open == 0 {
            return Ok(());
        }
        let mode = found.mode() & 0o777;
        let reason =
            format!("others may read it (mode {mode:04o}); expected 0600, or 0640 if it is root's");
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
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(not_a_file());
        }
        trusts(&found)?;
        read_at_most(file, limit)?
            .ok_or_else(|| io::Error::other(format!("is larger than {limit} bytes")))
    };
    read().map_err(|error| about_path(path, "cannot read", &error))
}

/// All of it, or `None` if there is more than `limit`.
pub fn read_at_most(file: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_more).read_to_end(&mut content)?;
    Ok(Some(content).filter(|content| content.len() <= limit))
}

/// Where the new file is made: in the same directory, hence on the same disk, under a random name.
/// Who guesses it hinders the write and no more: nothing that is there is opened.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{:016x}.tmp", fastrand::u64(..)));
    name.into()
}

/// A new name is on disk when its directory is. Some file systems know no such request, and a
/// directory that may be written but not read cannot be asked: that is as good as it gets there.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EACCES | libc::EBADF | libc::EINVAL)
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
