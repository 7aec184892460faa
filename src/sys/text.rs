//! Text from outside made fit for one line of a log or an alert file.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::time::WallTime;

/// `text` with everything that could begin a new line, forge a column or steer a terminal written as an escape. What is
/// escaped once stays as it is.
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

/// `time` as people read it: UTC, to the millisecond.
pub fn utc_millis(time: WallTime) -> String {
    let mut text = String::with_capacity(24);
    let printed = system_time(time).map(|at| write!(text, "{}", humantime::format_rfc3339_millis(at)));
    match printed {
        Some(Ok(())) => text,
        // Before 1970 or after 9999: a clock that far out is shown as what it counts.
        _ => format!("{}us", time.unix_micros()),
    }
}

fn system_time(time: WallTime) -> Option<std::time::SystemTime> {
    let micros = u64::try_from(time.unix_micros()).ok()?;
    std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_micros(micros))
}

/// Control characters, line and paragraph separators, and the marks that turn the direction of text around.
fn is_hostile(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        check("a\u{85}b\u{2028}c\u{202e}d", "a\\u{85}b\\u{2028}c\\u{202e}d");
    }

    #[test]
    fn prints_any_clock() {
        let check = |micros, expected: &str| assert_eq!(utc_millis(WallTime::from_unix_micros(micros)), expected);
        check(1_714_480_496_789_012, "2024-04-30T12:34:56.789Z");
        check(0, "1970-01-01T00:00:00.000Z");
        check(-1, "-1us");
        check(i64::MAX, "9223372036854775807us");
    }
}
