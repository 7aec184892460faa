//! Words to the terminal. A stream that is closed or full is no reason to panic.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::sys::text::escape_controls;

/// Prints what was asked for; fails if it could not be said.
pub(super) fn answer(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", harmless(text)).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says on stderr what went wrong. If nobody listens, the exit status has to do.
pub(super) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr(), "{}", harmless(&text.to_string()));
}

/// Line by line what may go to a terminal: names and reasons were written by others.
pub(super) fn harmless(text: &str) -> String {
    text.split('\n')
        .map(escape_controls)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Says what is wrong with the command line and where help is.
pub(super) fn usage_error(program: &str, error: &impl Display) -> ExitCode {
    complain(format_args!("{program}: {error}; see {program} --help"));
    ExitCode::from(WRONG_USAGE)
}

const WRONG_USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_text_steers_the_terminal_and_lines_stay() {
        assert_eq!(harmless("a\tb\r\n\x1b[2Jc\n"), "a\\tb\\r\n\\x1b[2Jc\n");
    }
}
