//! `pglookout pause CONFIG` and `pglookout resume CONFIG`: has the daemons of the cluster leave its
//! servers alone, or act again. Leaves a file for the daemon of this host, which shows it to the
//! others, and waits until they have it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser, ValueExt};

use super::look::{Look, Target};
use super::output;
use crate::format::{MAX_PAUSE_FILE_BYTES, PauseFile};
use crate::sys::{clock, files, process};
use crate::time::timestamp;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PauseOptions {
    config: PathBuf,
    wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Pause {
        reason: Option<String>,
        lasts: Option<Duration>,
    },
    Resume,
}

/// `None`: help is wanted.
pub(super) fn parse_pause(parser: &mut Parser) -> Result<Option<PauseOptions>, Error> {
    let (mut config, mut reason, mut lasts) = (None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("reason") => reason = Some(parser.value()?.string()?),
            Long("for") => lasts = Some(duration(&parser.value()?.string()?)?),
            Value(path) if config.is_none() => config = Some(PathBuf::from(path)),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    let is_odd = |text: &String| text.len() > MAX_REASON_BYTES || text.contains(char::is_control);
    if reason.as_ref().is_some_and(is_odd) {
        let expected = format!("expected one line of at most {MAX_REASON_BYTES} bytes");
        return Err(format!("pause: --reason: {expected}").into());
    }
    let config = config.ok_or("pause: the configuration file is missing")?;
    let wanted = Wanted::Pause { reason, lasts };
    Ok(Some(PauseOptions { config, wanted }))
}

/// `None`: help is wanted.
pub(super) fn parse_resume(parser: &mut Parser) -> Result<Option<PauseOptions>, Error> {
    let mut config = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Value(path) if config.is_none() => config = Some(PathBuf::from(path)),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    let config = config.ok_or("resume: the configuration file is missing")?;
    let wanted = Wanted::Resume;
    Ok(Some(PauseOptions { config, wanted }))
}

/// `90s`, `30m`, `2h`, `1d`.
fn duration(text: &str) -> Result<Duration, Error> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let parts = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
    let length = parts.and_then(|(number, seconds)| {
        let number = number.parse::<u32>().ok().filter(|number| *number > 0)?;
        Some(Duration::from_secs(u64::from(number) * seconds))
    });
    length.ok_or_else(|| format!("pause: --for {text:?}: expected a time such as 30m or 2h").into())
}

/// Exit 0: every daemon that is seen has it; 1: not all of them, or nothing was done; 3: it is left for
/// the daemon of this host, which does not answer.
pub(super) fn main(options: &PauseOptions) -> ExitCode {
    match run(options) {
        Ok(exit) => exit,
        Err(reason) => output::fail(reason),
    }
}

fn run(options: &PauseOptions) -> Result<ExitCode, String> {
    let target = Target::new(options.config.to_str(), None)?;
    let config = target.config().ok_or("the configuration file is missing")?;
    if config.own_db.is_none() {
        return Err("own_db is not set: pause a cluster on one of its database hosts".to_owned());
    }
    let path = PauseFile::path(&config.state_file);
    let look = target.look_alone();
    let known = look.as_ref().ok().map(|look| look.status.mark());
    let left = files::read_own(&path, MAX_PAUSE_FILE_BYTES).ok();
    let left = left.and_then(|content| Some(PauseFile::read(&content).ok()?.mark));
    let known = known.max(left).unwrap_or_default();
    let now = clock::wall();
    let (mark, reason) = match &options.wanted {
        Wanted::Pause { reason, lasts } => {
            let until = lasts.map(|lasts| now + lasts);
            (known.paused(until)?, reason.clone())
        }
        Wanted::Resume if !known.is_active(now) => {
            output::print("the cluster is not paused");
            return Ok(ExitCode::SUCCESS);
        }
        Wanted::Resume => (known.resumed()?, None),
    };
    let file = PauseFile {
        mark,
        at: timestamp::format(now),
        by: account(),
        reason,
    };
    files::replace(&path, &file.to_json()).map_err(|error| error.to_string())?;
    if let Some(failure) = look.map_or_else(Some, |look| look.failure) {
        output::print_error(&failure);
        output::print("it takes effect when pglookout is started on this host");
        return Ok(ExitCode::from(NO_ANSWER));
    }
    Ok(report(&target, &file))
}

/// Waits until the daemons have it, and prints who has not.
fn report(target: &Target, file: &PauseFile) -> ExitCode {
    let began = clock::monotonic();
    loop {
        let status = target.look_alone().map(|Look { status, .. }| status);
        let (has, lacks) = match &status {
            Ok(status) => status.know_pause(file.mark),
            Err(_) => (Vec::new(), vec!["this host"]),
        };
        if !lacks.is_empty() && clock::monotonic().since(began) < PATIENCE {
            pause_for_a_moment();
            continue;
        }
        if let Ok(status) = &status {
            output::print(&status.pause.as_ref().map_or_else(
                || "the cluster is not paused any more".to_owned(),
                |pause| pause.sentence() + ": no failover",
            ));
        }
        if !has.is_empty() {
            output::print(&format!("known to pglookout on: {}", has.join(", ")));
        }
        if lacks.is_empty() {
            return ExitCode::SUCCESS;
        }
        let lacks = lacks.join(", ");
        output::print_error(format!("not known to pglookout on: {lacks}"));
        return ExitCode::FAILURE;
    }
}

/// Behind sudo the one who called it.
fn account() -> String {
    let caller = std::env::var("SUDO_USER").ok();
    let own = || Some(process::os_user()?.0);
    caller.or_else(own).unwrap_or_else(|| "?".to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is not the daemon, and has nothing to do meanwhile"
)]
fn pause_for_a_moment() {
    thread::sleep(Duration::from_millis(200));
}

const NO_ANSWER: u8 = 3;
/// Polls carry it: two rounds of them at the default interval, and as much again.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_REASON_BYTES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_line_asks_for() {
        let pause = |arguments: &[&str]| parse_pause(&mut Parser::from_args(arguments));
        let found = pause(&["c", "--for", "90m", "--reason", "the switch"]).unwrap();
        let wanted = Wanted::Pause {
            reason: Some("the switch".to_owned()),
            lasts: Some(Duration::from_secs(5_400)),
        };
        let config = PathBuf::from("c");
        assert_eq!(found, Some(PauseOptions { config, wanted }));
        let long = "x".repeat(501);
        for wrong in [
            &[][..],
            &["c", "d"],
            &["c", "--for", "0m"],
            &["c", "--for", "ever"],
            &["c", "--reason", &long],
            &["c", "--reason", "a\nb"],
        ] {
            assert!(pause(wrong).is_err(), "{wrong:?}");
        }
        let resume = parse_resume(&mut Parser::from_args(["c"]))
            .unwrap()
            .unwrap();
        assert_eq!(resume.wanted, Wanted::Resume);
        assert!(parse_resume(&mut Parser::from_args(["c", "--for", "1m"])).is_err());
    }
}
