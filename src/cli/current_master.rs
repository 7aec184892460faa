//! `pglookout_current_master CONFIG`: the primary according to the daemon's state file.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use lexopt::Parser;

use super::output;
use crate::config::{self, Findings, MAX_FILE_BYTES};
use crate::daemon::LoadError;
use crate::format::{MAX_STATE_FILE_BYTES, StateFile};
use crate::sys::files::{self, read_text};

/// Why the primary is not known.
#[derive(Debug)]
enum Unknown {
    Unreadable(PathBuf, io::Error),
    Stale(PathBuf, Duration),
    NotState(PathBuf),
    NoPrimary(PathBuf),
}

/// `pglookout_current_master`: exit 0 with the name on stdout, 1 without a configuration file, 255
/// if the primary is not known.
pub fn main() -> ExitCode {
    let config = match parse(Parser::from_env()) {
        Ok(Invocation::Print(config)) => config,
        Ok(Invocation::Help) => return output::print(USAGE),
        Ok(Invocation::Version) => return output::print(env!("CARGO_PKG_VERSION")),
        Err(error) => return output::usage_error(PROGRAM, &error),
    };
    let state_file = match state_file(&config) {
        Ok(path) => path,
        // As in the original: without the file it could not be asked at all.
        Err(error @ LoadError::Text(_)) => return output::fail(error),
        Err(error @ LoadError::Broken(..)) => {
            output::print_error(error);
            return ExitCode::from(PRIMARY_UNKNOWN);
        }
    };
    match current_primary(&state_file) {
        Ok(name) => output::print(&name),
        Err(reason) => {
            output::print_error(reason);
            ExitCode::from(PRIMARY_UNKNOWN)
        }
    }
}

enum Invocation {
    Help,
    Version,
    /// The primary, by this configuration file.
    Print(PathBuf),
}

fn parse(mut parser: Parser) -> Result<Invocation, lexopt::Error> {
    let mut config = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Invocation::Help),
            Short('V') | Long("version") => return Ok(Invocation::Version),
            Value(path) if config.is_none() => config = Some(PathBuf::from(path)),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    config
        .map(Invocation::Print)
        .ok_or_else(|| "the configuration file is missing".into())
}

fn state_file(config: &Path) -> Result<PathBuf, LoadError> {
    let text = read_text(config, MAX_FILE_BYTES).map_err(LoadError::Text)?;
    let broken = |findings: Findings| LoadError::Broken(config.to_owned(), Box::new(findings));
    config::state_file_path(&text).map_err(broken)
}

fn current_primary(path: &Path) -> Result<String, Unknown> {
    let unreadable = |error| Unknown::Unreadable(path.to_owned(), error);
    let modified = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .map_err(unreadable)?;
    // A time ahead of ours is fresh: clocks are stepped back now and then.
    let age = modified.elapsed().unwrap_or_default();
    if age > FRESH {
        return Err(Unknown::Stale(path.to_owned(), age));
    }
    let bytes = files::read_small(path, MAX_STATE_FILE_BYTES).map_err(unreadable)?;
    let state = StateFile::read(&bytes).map_err(|_| Unknown::NotState(path.to_owned()))?;
    let name = state.primary().map(str::to_owned);
    name.ok_or_else(|| Unknown::NoPrimary(path.to_owned()))
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Stale(path, age) => write!(
                f,
                "{}: {} s old, is pglookout running?",
                path.display(),
                age.as_secs()
            ),
            Self::NotState(path) => write!(f, "{}: not a state file", path.display()),
            Self::NoPrimary(path) => write!(f, "{}: no primary is known", path.display()),
        }
    }
}

const PROGRAM: &str = "pglookout_current_master";
const USAGE: &str = "Usage: pglookout_current_master CONFIG | --version | --help\n\nPrints the primary's name; exit 255 if it is not known.";
const PRIMARY_UNKNOWN: u8 = 255;
/// The daemon writes the state file after every decision.
const FRESH: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// The result for a state file with this content and age.
    #[track_caller]
    fn check(content: &str, age: u64, expected: Result<&str, &str>) {
        let path =
            std::env::temp_dir().join(format!("pglookout-current_master-{}", std::process::id()));
        fs::write(&path, content).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - Duration::from_secs(age))
            .unwrap();
        let found = current_primary(&path).map_err(|reason| reason.to_string());
        fs::remove_file(&path).unwrap();
        assert_eq!(
            found,
            expected
                .map(str::to_owned)
                .map_err(|reason| format!("{}: {reason}", path.display()))
        );
    }

    #[test]
    fn prints_the_primary_of_a_fresh_state_file_only() {
        check(r#"{"current_master": "p"}"#, 0, Ok("p"));
        check(r#"{"current_master": "p"}"#, 55, Ok("p"));
        check(
            r#"{"current_master": "p"}"#,
            90,
            Err("90 s old, is pglookout running?"),
        );
        check(r#"{"current_master": null}"#, 0, Err("no primary is known"));
        check(r#"{"current_master": ""}"#, 0, Err("no primary is known"));
        check("{}", 0, Err("no primary is known"));
        check("[]", 0, Err("not a state file"));
        check("", 0, Err("not a state file"));
    }
}
