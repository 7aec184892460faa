//! `pglookout status`: the cluster as a running daemon sees it, and whether the other daemons see it
//! alike; from the state file where no daemon runs.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Error, Parser, ValueExt};

use super::look::Target;
use super::{output, status_text};

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StatusOptions {
    /// A configuration file, or the URL of a daemon.
    source: Option<String>,
    /// The host of a daemon, with or without a port.
    from: Option<String>,
    pub(super) json: bool,
    watch: bool,
}

impl StatusOptions {
    pub(super) fn target(&self) -> Result<Target, String> {
        Target::new(self.source.as_deref(), self.from.as_deref())
    }
}

/// `None`: help is wanted.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<StatusOptions>, Error> {
    let mut options = StatusOptions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("json") => options.json = true,
            Long("watch") => options.watch = true,
            Long("from") => options.from = Some(parser.value()?.string()?),
            Value(source) if options.source.is_none() => options.source = Some(source.string()?),
            unexpected => return Err(unexpected.unexpected()),
        }
    }
    if options.json && options.watch {
        return Err("status: either --json or --watch".into());
    }
    Ok(Some(options))
}

/// Exit 0 healthy, 1 degraded, 2 no primary, several, or no failover possible, 3 no answer.
pub(super) fn main(options: &StatusOptions) -> ExitCode {
    let target = match options.target() {
        Ok(target) => target,
        Err(reason) => return no_answer(&reason),
    };
    if options.watch {
        return watch(&target);
    }
    let look = match target.look() {
        Ok(look) => look,
        Err(reason) => return no_answer(&reason),
    };
    if options.json {
        let text = String::from_utf8_lossy(&look.status.to_json()).into_owned();
        output::print(&text);
        if let Some(failure) = &look.failure {
            output::print_error(failure);
        }
    } else {
        let lines = status_text::lines(&look, is_coloured());
        output::print_prepared(&lines.join("\n"));
    }
    ExitCode::from(match look.failure {
        Some(_) => NO_ANSWER,
        None => look.status.severity(),
    })
}

pub(super) fn no_answer(reason: &str) -> ExitCode {
    output::print_error(reason);
    ExitCode::from(NO_ANSWER)
}

/// Until a signal ends it. Each picture is one write over the one before, line by line, so that nothing
/// flickers; lines that are too long or too many for the terminal are cut by it, whatever its size
/// is now.
#[expect(
    clippy::disallowed_methods,
    reason = "this is not the daemon, and has nothing to do meanwhile"
)]
fn watch(target: &Target) -> ExitCode {
    let is_coloured = is_coloured();
    let mut picture = String::from("\x1b[2J");
    loop {
        let lines = match target.look() {
            Ok(look) => status_text::lines(&look, is_coloured),
            Err(reason) => output::escaped(&reason)
                .lines()
                .map(str::to_owned)
                .collect(),
        };
        picture += "\x1b[?7l";
        for (row, line) in lines.iter().enumerate() {
            picture += &format!("\x1b[{};1H{line}\x1b[K", row + 1);
        }
        picture += &format!("\x1b[{};1H\x1b[J\x1b[?7h", lines.len() + 1);
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(picture.as_bytes());
        if written.and_then(|()| stdout.flush()).is_err() {
            return ExitCode::FAILURE;
        }
        picture.clear();
        thread::sleep(WATCH_INTERVAL);
    }
}

/// <https://no-color.org>
fn is_coloured() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

const NO_ANSWER: u8 = 3;
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
