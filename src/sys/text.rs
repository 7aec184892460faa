//! Text from outside made fit for one line of a log or an alert file.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// `text` with everything that could begin a new line, forge a column or steer a terminal written
/// as an escape. What is escaped once stays as it is.
pub fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !is_hostile(c) => escaped.push(c),
            '\n' | '\r' | '\t' => escaped.extend(c.escape_default()),
            c if c.is_ascii() => _ = write!(escaped, "\\x{:02x}", u32::from(c)),
            c => escaped.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(escaped)
}

/// `error` with what could not be done to which path before it.
pub(super) fn about_path(path: &Path, what: &str, error: &io::Error) -> io::Error {
    let path = path.to_string_lossy();
    let text = format!("{what} {}: {error}", escape_controls(&path));
    io::Error::new(error.kind(), text)
}

/// Control characters, line and paragraph separators, and the marks that turn the direction of text
/// around.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_a_new_line_or_steers_a_terminal() {
        let check = |text: &str, expected: &str| {
            assert_eq!(escape_controls(text), expected);
            assert_eq!(escape_controls(expected), expected, "escaped twice");
        };
        check("plain, with umlauts: grün", "plain, with umlauts: grün");
        check("a\nb\tc\r", "a\\nb\\tc\\r");
        check("\x1b[2J\0\x7f", "\\x1b[2J\\x00\\x7f");
        check(
            "a\u{85}b\u{2028}c\u{202e}d",
            "a\\u{85}b\\u{2028}c\\u{202e}d",
        );
    }
}
