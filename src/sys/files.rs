//! Small files: the daemon's own (state file, alert files, the maintenance file) and those that an
//! operator placed. Reading is bounded. Every error names its path.
//!
//! The defaults live in `/tmp`, where anybody may have put something under our names first: a link
//! to follow, a FIFO to wait for, a directory. None of them is followed, waited for or written to.
//!
//! A disk may hang: what writes is done in a child process ([`super::forked`]), and so is reading
//! where the daemon could be held up.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access, geteuid};

use super::text::escape_controls;

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

/// Has a file and its name reach the disk. Whoever has put it there may have been killed before that, and
/// after a power loss the old one would be there again.
pub fn sync(path: &Path) -> io::Result<()> {
    let synced = open(path).and_then(|file| file.sync_all());
    synced
        .and_then(|()| sync_directory(path))
        .map_err(|error| about_path(path, "cannot sync", &error))
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

/// Whether `path` is a file that this account may execute.
pub fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// Whether this account may make files in this directory.
pub fn check_writable(directory: &Path) -> io::Result<()> {
    let may = AccessFlags::W_OK | AccessFlags::X_OK;
    if !directory.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(directory, may)?)
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
            other => Err(of_another_user(other)),
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

/// The text of a regular file of at most `limit` bytes, for files that an operator placed.
pub fn read_text(path: &Path, limit: usize) -> io::Result<String> {
    open(path)
        .and_then(|file| text_of(&file, limit))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// The same of an open file; the error does not name it.
pub fn text_of(file: &File, limit: usize) -> io::Result<String> {
    if !file.metadata()?.is_file() {
        return Err(not_a_file());
    }
    let bytes = read_at_most(file, limit)?
        .ok_or_else(|| io::Error::other(format!("longer than {limit} bytes")))?;
    String::from_utf8(bytes).map_err(|error| {
        if error.as_bytes().starts_with(b"\xff\xfe") || error.as_bytes().starts_with(b"\xfe\xff") {
            return io::Error::other("UTF-16, expected UTF-8 without a byte order mark");
        }
        let offset = error.utf8_error().valid_up_to();
        io::Error::other(format!("not UTF-8 at byte {offset}"))
    })
}

/// Opens a file to be read. Without `O_NONBLOCK` opening a pipe waits for its writer.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

/// Where the system's authorities are, as OpenSSL finds them: `SSL_CERT_FILE` and the directories
/// of `SSL_CERT_DIR`; if neither is set, the bundle of the distribution. `None`: there is none.
pub fn system_authorities() -> Option<Vec<PathBuf>> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let (file, directories) = (variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR"));
    let candidates: Vec<PathBuf> = match (&file, &directories) {
        (None, None) => BUNDLES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .into_iter()
            .collect(),
        _ => file
            .iter()
            .map(PathBuf::from)
            .chain(directories.iter().flat_map(env::split_paths))
            .collect(),
    };
    let places: Vec<PathBuf> = candidates
        .into_iter()
        .filter(|path| path.exists())
        .collect();
    Some(places).filter(|places| !places.is_empty())
}

/// The PEM text at `path`: a file's, or that of all files in a directory.
pub fn read_bundle(path: &Path) -> io::Result<Vec<u8>> {
    if !path.is_dir() {
        return read_small(path, MAX_BUNDLE_BYTES);
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(path)?.take(MAX_FILES) {
        let entry = entry?.path();
        if entry.is_file() {
            all.extend(read_small(
                &entry,
                MAX_BUNDLE_BYTES.saturating_sub(all.len()),
            )?);
            all.push(b'\n');
        }
    }
    Ok(all)
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

pub(super) fn of_another_user(uid: u32) -> io::Error {
    io::Error::other(format!("belongs to another user (uid {uid})"))
}

pub(super) fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// `error` with what could not be done to which path before it.
pub(super) fn about_path(path: &Path, what: &str, error: &io::Error) -> io::Error {
    let path = path.to_string_lossy();
    let text = format!("{what} {}: {error}", escape_controls(&path));
    io::Error::new(error.kind(), text)
}

/// Debian and Ubuntu; Fedora, RHEL; the same, newer; SUSE; Alpine.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Bytes of one place; the largest bundles have a quarter of a million.
pub const MAX_BUNDLE_BYTES: usize = 4 << 20;
/// Files of one directory.
const MAX_FILES: usize = 1_000;

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
