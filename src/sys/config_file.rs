//! Reads the configuration file and what surrounds it: environment variables, the user, libpq's
//! files. Never waits for a file: what is not a regular one is refused.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::files::read_at_most;
use crate::config::{self, Environment, FileContent, Findings, Loaded, MAX_FILE_BYTES};

/// Why there is no configuration. Each prints as one line, but for [`LoadError::Broken`] with one
/// line per error.
#[derive(Debug)]
pub enum LoadError {
    /// It cannot be opened or read: the system's reason.
    Unreadable(PathBuf, io::Error),
    /// It is a directory, a pipe or a device.
    NotAFile(PathBuf),
    /// It is longer than the limit in bytes.
    TooLong(PathBuf, usize),
    /// It is not UTF-8 from this byte on, counted from 0.
    NotText(PathBuf, usize),
    /// It can be read, but not used.
    Broken(PathBuf, Box<Findings>),
}

/// Reads and checks the configuration at `path`.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let text = read_text(path, MAX_FILE_BYTES)?;
    config::parse(&text, &environment())
        .map_err(|findings| LoadError::Broken(path.to_owned(), Box::new(findings)))
}

/// The text of a regular file of at most `limit` bytes.
pub fn read_text(path: &Path, limit: usize) -> Result<String, LoadError> {
    let unreadable = |error| LoadError::Unreadable(path.to_owned(), error);
    let file = open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(LoadError::NotAFile(path.to_owned()));
    }
    let bytes = read_at_most(&file, limit).map_err(unreadable)?;
    let bytes = bytes.ok_or_else(|| LoadError::TooLong(path.to_owned(), limit))?;
    String::from_utf8(bytes)
        .map_err(|error| LoadError::NotText(path.to_owned(), error.utf8_error().valid_up_to()))
}

/// What libpq would find around this process.
pub fn environment() -> Environment {
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten();
    let home = std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from);
    Environment {
        vars: vars.filter(|(name, _)| name.starts_with("PG")).collect(),
        home: home.or_else(|| user.as_ref().map(|user| user.dir.clone())),
        os_user: user.map(|user| user.name),
        read_passfile,
        read_service_file,
    }
}

impl fmt::Display for LoadError {
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
            Self::Broken(path, findings) => {
                let lines = findings
                    .errors
                    .iter()
                    .map(|error| format!("{}: {error}", path.display()));
                f.write_str(&lines.collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Without `O_NONBLOCK` opening a pipe waits for its writer.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

/// libpq's rule: a password file that anybody but its owner can read is not used, nor is one that
/// is no regular file.
fn read_passfile(path: &Path) -> FileContent {
    let Ok(file) = open(path) else {
        return FileContent::Absent;
    };
    let Ok(metadata) = file.metadata() else {
        return FileContent::Absent;
    };
    if !metadata.is_file() {
        return FileContent::Refused("not a regular file".to_owned());
    }
    if metadata.mode() & OTHERS_BITS != 0 {
        return FileContent::Refused(
            "group or others have access; expected mode 0600 or less".to_owned(),
        );
    }
    let refused = FileContent::Refused;
    match read_at_most(&file, PASSFILE_MAX_BYTES) {
        Err(error) => refused(error.to_string()),
        Ok(None) => refused(format!("longer than {PASSFILE_MAX_BYTES} bytes")),
        Ok(Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => FileContent::Text(text),
            Err(error) => refused(format!(
                "not UTF-8 at byte {}",
                error.utf8_error().valid_up_to()
            )),
        },
    }
}

/// As libpq reads it, whoever may read it too.
fn read_service_file(path: &Path) -> FileContent {
    match read_text(path, SERVICE_FILE_MAX_BYTES) {
        Ok(text) => FileContent::Text(text),
        Err(LoadError::Unreadable(_, error)) if error.kind() == io::ErrorKind::NotFound => {
            FileContent::Absent
        }
        Err(error) => FileContent::Refused(error.to_string()),
    }
}

const PASSFILE_MAX_BYTES: usize = 1024 * 1024;
const SERVICE_FILE_MAX_BYTES: usize = 1024 * 1024;
/// Any access for group or others.
const OTHERS_BITS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory of its own for one test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!(
                "pglookout-config_file-{name}-{}",
                std::process::id()
            ));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, content: &[u8], mode: u32) -> PathBuf {
            let path = self.0.join("file");
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

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

    #[track_caller]
    fn check_passfile(path: &Path, expected: &FileContent) {
        assert!(read_passfile(path) == *expected, "{}", path.display());
    }

    #[test]
    fn a_password_file_must_be_its_owners_alone() {
        let scratch = Scratch::new("passfile");
        let text = FileContent::Text("x".to_owned());
        let refused = FileContent::Refused(
            "group or others have access; expected mode 0600 or less".to_owned(),
        );
        check_passfile(&scratch.file(b"x", 0o600), &text);
        check_passfile(&scratch.file(b"x", 0o640), &refused);
        check_passfile(&scratch.file(b"x", 0o604), &refused);
        check_passfile(
            &scratch.0,
            &FileContent::Refused("not a regular file".to_owned()),
        );
        check_passfile(&scratch.0.join("none"), &FileContent::Absent);
    }

    #[test]
    fn loads_with_warnings_or_says_all_that_is_wrong() {
        let scratch = Scratch::new("load");
        assert_eq!(
            load(&scratch.file(b"{\"x\": 1}", 0o600))
                .unwrap()
                .warnings
                .len(),
            1
        );
        let path = scratch.file(b"{\"http_port\": 0, \"log_level\": \"x\"}", 0o600);
        let error = load(&path).unwrap_err().to_string();
        assert!(
            error.lines().count() == 2
                && error
                    .lines()
                    .all(|line| line.starts_with(path.to_str().unwrap()))
        );
    }
}
