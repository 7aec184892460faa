//! `pglookout replay FILE...`: timelines in, decisions out. Reads the files line by line; what is
//! made of them is `replay`'s.

mod story;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use story::Story;

use super::arguments::Replay;
use super::output;
use crate::config::{self, Config, Environment, MAX_FILE_BYTES};
use crate::daemon::LoadError;
use crate::format::{MAX_LINE_BYTES, Reader, Timeline};
use crate::replay::{Tally, Told, run, verify};
use crate::sys::files::read_text;

/// Exit 0 if all was told, 1 if something differs from what was expected, 2 for what is no
/// timeline.
pub(super) fn main(what: &Replay) -> ExitCode {
    let told = tell_all(what, &mut BufWriter::new(io::stdout().lock()));
    match told {
        Ok(tally) if tally.differ > 0 => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(Stop::Unheard) => ExitCode::FAILURE,
        Err(Stop::Wrong(reason)) => {
            output::complain(reason);
            ExitCode::from(NO_TIMELINE)
        }
    }
}

/// Why it does not go on.
enum Stop {
    /// Nobody takes what we print.
    Unheard,
    /// What is wrong, and where.
    Wrong(String),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Unheard
    }
}

fn tell_all(what: &Replay, out: &mut impl Write) -> Result<Tally, Stop> {
    let config = what.config.as_deref().map(load).transpose()?;
    let mut tally = Tally::default();
    for path in &what.files {
        let told = read_timelines(path, &mut |mut timeline, line| {
            if let Some(config) = &config {
                timeline.reconfigure(config);
            }
            let told = match (what.verify, what.text) {
                (true, _) => tell_differences(&timeline, &mut tally, out),
                (_, true) => tell_story(&timeline, out),
                _ => tell_decisions(&timeline, out),
            };
            told.map_err(|stop| at_line(stop, path, line))
        });
        if let Err(stop) = told {
            out.flush()?;
            return Err(stop);
        }
    }
    if what.verify {
        writeln!(out, "{tally}")?;
    }
    out.flush()?;
    Ok(tally)
}

/// Passwords and environment are nothing to a replay, so none is looked for.
fn load(path: &Path) -> Result<Config, Stop> {
    let text = read_text(path, MAX_FILE_BYTES).map_err(wrong)?;
    let loaded = config::parse(&text, &Environment::default());
    loaded
        .map(|loaded| loaded.config)
        .map_err(|findings| wrong(LoadError::Broken(path.to_owned(), Box::new(findings))))
}

/// Hands on each timeline of a file, with the number of its last line, as soon as it is complete.
fn read_timelines(
    path: &Path,
    take: &mut dyn FnMut(Timeline, usize) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let unreadable = |error: io::Error| wrong(format_args!("{}: {error}", path.display()));
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut reader = Reader::default();
    let mut line = Vec::new();
    while read_line(&mut file, &mut line).map_err(unreadable)? {
        let is_whole = line.last() == Some(&b'\n');
        match reader.line(line.trim_ascii_end()) {
            Ok(Some(timeline)) => take(timeline, reader.lines() - 1)?,
            Ok(None) => {}
            // A daemon that is writing it, or that was killed.
            Err(error) if error.is_cut_short && !is_whole && reader.has_begun() => {
                output::complain(format_args!(
                    "{}:{}: unfinished, left out",
                    path.display(),
                    error.line
                ));
            }
            Err(error) => {
                return Err(wrong(format_args!(
                    "{}:{}: {}",
                    path.display(),
                    error.line,
                    error.reason
                )));
            }
        }
    }
    let lines = reader.lines();
    match reader.finish() {
        Some(timeline) => take(timeline, lines),
        None => Err(wrong(format_args!(
            "{}:1: no timeline: expected a header with the key timeline",
            path.display()
        ))),
    }
}

/// The next line with its end, as much of it as is needed to see that it is too long; false at the
/// end of the file.
fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = u64::try_from(MAX_LINE_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(3);
    Ok(file.take(most).read_until(b'\n', line)? > 0)
}

fn tell_differences(
    timeline: &Timeline,
    tally: &mut Tally,
    out: &mut impl Write,
) -> Result<(), Stop> {
    verify(std::slice::from_ref(timeline), tally).map_err(wrong)?;
    for difference in tally.differences.drain(..) {
        writeln!(out, "{}", output::harmless(&difference.to_string()))?;
    }
    Ok(())
}

fn tell_decisions(timeline: &Timeline, out: &mut impl Write) -> Result<(), Stop> {
    let mut written = Ok(());
    let endless = run(timeline, &mut |told| {
        if let (Told::Decision(outcome), Ok(())) = (told, &written) {
            let line = serde_json::to_string(&outcome.line).map_err(io::Error::from);
            written = line.and_then(|line| writeln!(out, "{line}"));
        }
    });
    written?;
    endless.map_err(wrong)
}

fn tell_story(timeline: &Timeline, out: &mut impl Write) -> Result<(), Stop> {
    let mut written = writeln!(out, "{}", output::harmless(&timeline.name));
    let mut story = Story::default();
    let endless = run(timeline, &mut |told| {
        if written.is_ok() {
            written = story.tell(&told, out);
        }
    });
    written?;
    story.end(out)?;
    endless.map_err(wrong)
}

fn wrong(reason: impl Display) -> Stop {
    Stop::Wrong(reason.to_string())
}

fn at_line(stop: Stop, path: &Path, line: usize) -> Stop {
    match stop {
        Stop::Wrong(reason) => wrong(format_args!("{}:{line}: {reason}", path.display())),
        Stop::Unheard => stop,
    }
}

const NO_TIMELINE: u8 = 2;
