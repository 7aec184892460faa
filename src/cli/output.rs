//! Output to the terminal. A stream that is closed or full is no reason to panic.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::sys::text::escape_controls;

/// Prints to stdout.
pub(super) fn print(text: &str) -> ExitCode {
    print_prepared(&escaped(text))
}

/// The same for a text in which nothing is left to be escaped.
pub(super) fn print_prepared(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints to stderr.
pub(super) fn print_error(text: impl Display) {
    // If stderr is closed, the exit status remains.
    let _ = writeln!(io::stderr(), "{}", escaped(&text.to_string()));
}

/// The same, for the end of a program with exit status 1.
pub(super) fn fail(text: impl Display) -> ExitCode {
    print_error(text);
    ExitCode::FAILURE
}

/// Rows with aligned columns, control characters of their cells escaped.
pub(super) fn aligned(rows: &[impl AsRef<[String]>]) -> Vec<String> {
    let escaped = |row: &[String]| -> Vec<String> {
        let cells = row.iter().map(|cell| escape_controls(cell));
        cells.map(Cow::into_owned).collect()
    };
    let rows: Vec<_> = rows.iter().map(|row| escaped(row.as_ref())).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().min(WIDEST_COLUMN).max(*width);
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// With control characters escaped, line by line: names and reasons come from other programs.
pub(super) fn escaped(text: &str) -> String {
    text.split('\n')
        .map(escape_controls)
        .collect::<Vec<_>>()
        .join("\n")
}

/// For a wrong command line.
pub(super) fn usage_error(program: &str, error: &impl Display) -> ExitCode {
    print_error(format_args!("{program}: {error}; see {program} --help"));
    ExitCode::from(WRONG_USAGE)
}

const WRONG_USAGE: u8 = 2;
/// In characters. A longer cell shifts its own row only.
const WIDEST_COLUMN: usize = 200;

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn control_characters_are_escaped_and_lines_stay() {
        assert_eq!(escaped("a\tb\r\n\x1b[2Jc\n"), "a\\tb\\r\n\\x1b[2Jc\n");
    }
}
