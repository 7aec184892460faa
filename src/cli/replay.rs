//! `pglookout replay FILE...`: reads timelines line by line, runs them, and prints the decisions.

mod story;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use story::Story;

use super::arguments::Replay;
use super::output::{self, escaped};
use crate::config::{self, Config, Environment, MAX_FILE_BYTES};
use crate::daemon::LoadError;
use crate::format::{MAX_LINE_BYTES, Reader, Timeline};
use crate::replay::{Report, Tally, run, verify};
use crate::sys::files::read_text;

/// Exit 1 if a decision differs from the expected one or cannot be printed, 2 for a file without
/// timelines.
pub(super) fn main(options: &Replay) -> ExitCode {
    match replay(options, &mut BufWriter::new(io::stdout().lock())) {
        Ok(tally) if tally.differ > 0 => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(Failure::Output) => ExitCode::FAILURE,
        Err(Failure::Input(reason)) => {
            output::print_error(reason);
            ExitCode::from(NO_TIMELINE)
        }
    }
}

enum Failure {
    /// Stdout is closed or full.
    Output,
    /// What is wrong, and where.
    Input(String),
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Output
    }
}

fn replay(options: &Replay, out: &mut impl Write) -> Result<Tally, Failure> {
    let config = options.config.as_deref().map(load).transpose()?;
    let mut tally = Tally::default();
    for path in &options.files {
        let read = read_timelines(path, &mut |mut timeline, line| {
            if let Some(config) = &config {
                timeline.reconfigure(config);
            }
            let printed = match (options.verify, options.text) {
                (true, _) => print_differences(&timeline, &mut tally, out),
                (_, true) => print_sentences(&timeline, out),
                _ => print_decisions(&timeline, out),
            };
            printed.map_err(|failure| match failure {
                Failure::Input(reason) => at_line(path, line, reason),
                Failure::Output => failure,
            })
        });
        if let Err(failure) = read {
            out.flush()?;
            return Err(failure);
        }
    }
    if options.verify {
        writeln!(out, "{tally}")?;
    }
    out.flush()?;
    Ok(tally)
}

/// Without passwords and environment, which a replay does not need.
fn load(path: &Path) -> Result<Config, Failure> {
    let text = read_text(path, MAX_FILE_BYTES).map_err(invalid)?;
    let broken = |findings| invalid(LoadError::Broken(path.to_owned(), Box::new(findings)));
    let loaded = config::parse(&text, &Environment::default()).map_err(broken)?;
    Ok(loaded.config)
}

/// Hands each timeline of a file to `take` as soon as it is complete, with the number of its last
/// line.
fn read_timelines(
    path: &Path,
    take: &mut dyn FnMut(Timeline, usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let unreadable = |error: io::Error| invalid(format_args!("{}: {error}", path.display()));
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
                let (path, line) = (path.display(), error.line);
                output::print_error(format_args!("{path}:{line}: unfinished, left out"));
            }
            Err(error) => return Err(at_line(path, error.line, error.reason)),
        }
    }
    let lines = reader.lines();
    match reader.finish() {
        Some(timeline) => take(timeline, lines),
        None => {
            let reason = "no timeline: expected a header with the key timeline";
            Err(at_line(path, 1, reason))
        }
    }
}

/// The next line with its end; of a line that is too long a little more than the limit. False at the
/// end of the file.
fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    Ok(file.take(limit.saturating_add(3)).read_until(b'\n', line)? > 0)
}

fn print_differences(
    timeline: &Timeline,
    tally: &mut Tally,
    out: &mut impl Write,
) -> Result<(), Failure> {
    verify(std::slice::from_ref(timeline), tally).map_err(invalid)?;
    for difference in tally.differences.drain(..) {
        writeln!(out, "{}", escaped(&difference.to_string()))?;
    }
    Ok(())
}

fn print_decisions(timeline: &Timeline, out: &mut impl Write) -> Result<(), Failure> {
    let mut written = Ok(());
    let endless = run(timeline, &mut |outcome| {
        if let (Report::Decision(decision), Ok(())) = (outcome, &written) {
            let line = serde_json::to_string(&decision.line).map_err(io::Error::from);
            written = line.and_then(|line| writeln!(out, "{line}"));
        }
    });
    written?;
    endless.map_err(invalid)
}

fn print_sentences(timeline: &Timeline, out: &mut impl Write) -> Result<(), Failure> {
    let mut written = writeln!(out, "{}", escaped(&timeline.name));
    let mut story = Story::default();
    let endless = run(timeline, &mut |outcome| {
        if written.is_ok() {
            written = story.add(&outcome, out);
        }
    });
    written?;
    story.end(out)?;
    endless.map_err(invalid)
}

fn invalid(reason: impl Display) -> Failure {
    Failure::Input(reason.to_string())
}

fn at_line(path: &Path, line: usize, reason: impl Display) -> Failure {
    invalid(format_args!("{}:{line}: {reason}", path.display()))
}

const NO_TIMELINE: u8 = 2;
