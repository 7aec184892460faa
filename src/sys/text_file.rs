//! Text files that an operator placed. Never waits for what is not a regular file; a disk may hang.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::files::read_at_most;

/// Why a text cannot be had. Each prints as one line.
#[derive(Debug)]
pub enum TextError {
    /// It cannot be opened or read: the system's reason.
    Unreadable(PathBuf, io::Error),
    /// It is a directory, a pipe or a device.
    NotAFile(PathBuf),
    /// It is longer than the limit in bytes.
    TooLong(PathBuf, usize),
    /// It is not UTF-8 from this byte on, counted from 0.
    NotText(PathBuf, usize),
}

/// The text of a regular file of at most `limit` bytes.
pub fn read_text(path: &Path, limit: usize) -> Result<String, TextError> {
    let unreadable = |error| TextError::Unreadable(path.to_owned(), error);
    let file = open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(TextError::NotAFile(path.to_owned()));
    }
    let bytes = read_at_most(&file, limit).map_err(unreadable)?;
    let bytes = bytes.ok_or_else(|| TextError::TooLong(path.to_owned(), limit))?;
    String::from_utf8(bytes)
        .map_err(|error| TextError::NotText(path.to_owned(), error.utf8_error().valid_up_to()))
}

/// Opens a file to be read. Without `O_NONBLOCK` opening a pipe waits for its writer.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotAFile(path) => write!(f, "{}: not a regular file", path.display()),
            Self::TooLong(path, limit) => {
                write!(f, "{}: longer than {limit} bytes", path.display())
            }
            Self::NotText(path, offset) => {
                write!(f, "{}: not UTF-8 at byte {offset}", path.display())
            }
        }
    }
}

impl std::error::Error for TextError {}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::testing::Scratch;

    #[track_caller]
    fn check(path: &Path, expected: Result<&str, &str>) {
        let read = read_text(path, 8).map_err(|error| error.to_string());
        let expected = expected
            .map(str::to_owned)
            .map_err(|reason| format!("{}: {reason}", path.display()));
        assert_eq!(read, expected);
    }

    #[test]
    fn reads_regular_files_of_limited_size_only() {
        let scratch = Scratch::new("kinds");
        check(&scratch.file(b"12345678", 0o644), Ok("12345678"));
        check(
            &scratch.file(b"123456789", 0o644),
            Err("longer than 8 bytes"),
        );
        check(&scratch.file(b"ab\xff", 0o644), Err("not UTF-8 at byte 2"));
        check(&scratch.0, Err("not a regular file"));
        check(
            &scratch.0.join("none"),
            Err("No such file or directory (os error 2)"),
        );
        let fifo = scratch.0.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        check(&fifo, Err("not a regular file"));
    }
}
