//! Reads the configuration file and what it depends on: environment variables, the user, libpq's
//! files. Any of them may hang, so while the daemon runs a child process collects them, and the
//! configuration is made of what it has collected.

use std::cell::RefCell;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{ffi::OsString, io};

use serde::{Deserialize, Serialize};

use crate::config::{self, Environment, FileContent, Findings, Loaded, MAX_FILE_BYTES, ReadFile};
use crate::sys::files::{open, read_text, text_of};
use crate::sys::process::{host_name, os_user};

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Text(io::Error),
    /// It can be read, but not used. Prints as one line per error.
    Broken(PathBuf, Box<Findings>),
}

/// Reads and checks the configuration at `path`. May block.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let text = read_text(path, MAX_FILE_BYTES).map_err(LoadError::Text)?;
    let environment = environment(
        os_user(),
        read_passfile,
        read_service_file,
        read_secret_file,
    );
    parse(path, &text, &environment)
}

/// What a child process reads for the daemon.
#[derive(Serialize, Deserialize)]
struct Sources {
    text: Result<String, String>,
    /// Name and home directory.
    user: Option<(String, Vec<u8>)>,
    /// Those that the configuration refers to.
    passfiles: Vec<(Vec<u8>, FileContent)>,
    service_files: Vec<(Vec<u8>, FileContent)>,
    secret_files: Vec<(Vec<u8>, FileContent)>,
}

/// Runs in the child.
pub(super) fn collect(path: &Path) -> Vec<u8> {
    let text = read_text(path, MAX_FILE_BYTES).map_err(|error| error.to_string());
    let user = os_user();
    let (passfiles, service_files, secret_files) = (Rc::default(), Rc::default(), Rc::default());
    if let Ok(text) = &text {
        let environment = environment(
            user.clone(),
            recording(&passfiles, read_passfile),
            recording(&service_files, read_service_file),
            recording(&secret_files, read_secret_file),
        );
        // Only to see which files it refers to: the daemon parses it once more and logs the errors.
        let _ = config::parse(text, &environment);
    }
    let sources = Sources {
        text,
        user: user.map(|(name, home)| (name, home.into_os_string().into_vec())),
        passfiles: passfiles.take(),
        service_files: service_files.take(),
        secret_files: secret_files.take(),
    };
    serde_json::to_vec(&sources).unwrap_or_default()
}

/// The configuration at `path`, as it was collected. An error has one line for each reason.
pub(super) fn load_collected(path: &Path, collected: &[u8]) -> Result<Loaded, String> {
    let failed = |_| format!("{}: the reader process failed", path.display());
    let sources: Sources = serde_json::from_slice(collected).map_err(failed)?;
    let text = sources.text?;
    let home = |home| PathBuf::from(OsString::from_vec(home));
    let user = sources
        .user
        .map(|(name, directory)| (name, home(directory)));
    let environment = environment(
        user,
        recorded(sources.passfiles),
        recorded(sources.service_files),
        recorded(sources.secret_files),
    );
    parse(path, &text, &environment).map_err(|error| error.to_string())
}

type Record = Rc<RefCell<Vec<(Vec<u8>, FileContent)>>>;

/// `read`, whose results are recorded.
fn recording(
    record: &Record,
    read: fn(&Path) -> FileContent,
) -> impl Fn(&Path) -> FileContent + use<> {
    let record = Rc::clone(record);
    move |path| {
        let mut record = record.borrow_mut();
        let bytes = path.as_os_str().as_bytes();
        if let Some((_, content)) = record.iter().find(|(known, _)| known == bytes) {
            return content.clone();
        }
        let content = read(path);
        record.push((bytes.to_owned(), content.clone()));
        content
    }
}

fn recorded(files: Vec<(Vec<u8>, FileContent)>) -> impl Fn(&Path) -> FileContent {
    move |path| {
        let bytes = path.as_os_str().as_bytes();
        let found = files.iter().find(|(known, _)| known == bytes);
        found.map_or(FileContent::Absent, |(_, content)| content.clone())
    }
}

fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Loaded, LoadError> {
    config::parse(text, environment)
        .map_err(|findings| LoadError::Broken(path.to_owned(), Box::new(findings)))
}

/// What libpq finds in the environment of this process.
fn environment(
    user: Option<(String, PathBuf)>,
    read_passfile: impl Fn(&Path) -> FileContent + 'static,
    read_service_file: impl Fn(&Path) -> FileContent + 'static,
    read_secret_file: impl Fn(&Path) -> FileContent + 'static,
) -> Environment {
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let home = std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from);
    let (name, directory) = user.unzip();
    Environment {
        vars: vars.filter(|(name, _)| name.starts_with("PG")).collect(),
        home: home.or(directory),
        os_user: name,
        host_name: host_name(),
        read_passfile: ReadFile::new(read_passfile),
        read_service_file: ReadFile::new(read_service_file),
        read_secret_file: ReadFile::new(read_secret_file),
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(error) => error.fmt(f),
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

/// As libpq: a password file with access for group or others is not used, nor is one that is no
/// regular file.
fn read_passfile(path: &Path) -> FileContent {
    let Ok(file) = open(path) else {
        return FileContent::Absent;
    };
    let Ok(metadata) = file.metadata() else {
        return FileContent::Absent;
    };
    if metadata.is_file() && metadata.mode() & OTHERS_BITS != 0 {
        return FileContent::Refused(
            "group or others have access; expected mode 0600 or less".to_owned(),
        );
    }
    match text_of(&file, PASSFILE_MAX_BYTES) {
        Ok(text) => FileContent::Text(text),
        Err(error) => FileContent::Refused(error.to_string()),
    }
}

/// The secret of a voting cluster: nobody else may read it, and without it there are no votes.
fn read_secret_file(path: &Path) -> FileContent {
    let text = open(path).and_then(|file| {
        let mode = file.metadata()?.mode();
        if mode & OTHERS_BITS != 0 {
            let expected = "group or others have access; expected mode 0600 or less";
            return Err(io::Error::other(expected));
        }
        text_of(&file, SECRET_FILE_MAX_BYTES)
    });
    text.map_or_else(
        |error| FileContent::Refused(error.to_string()),
        FileContent::Text,
    )
}

/// As libpq: with any mode.
fn read_service_file(path: &Path) -> FileContent {
    match read_text(path, SERVICE_FILE_MAX_BYTES) {
        Ok(text) => FileContent::Text(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileContent::Absent,
        Err(error) => FileContent::Refused(error.to_string()),
    }
}

const PASSFILE_MAX_BYTES: usize = 1024 * 1024;
const SERVICE_FILE_MAX_BYTES: usize = 1024 * 1024;
const SECRET_FILE_MAX_BYTES: usize = 4096;
const OTHERS_BITS: u32 = 0o077;

#[cfg(test)]
mod tests {

    use super::*;
    use crate::testing::Scratch;

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
    fn so_must_a_secret_which_must_be_there() {
        let scratch = Scratch::new("secret");
        let text = FileContent::Text("x".to_owned());
        assert!(read_secret_file(&scratch.file(b"x", 0o600)) == text);
        for path in [scratch.file(b"x", 0o640), scratch.0.join("none")] {
            let found = read_secret_file(&path);
            assert!(
                matches!(found, FileContent::Refused(_)),
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn loads_with_warnings_or_reports_every_error() {
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
