//! Text from outside made fit for a log or an alert file: control characters escaped, and what a
//! command prints cut into lines, bounded whatever the command does.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;

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

/// Control characters, line and paragraph separators, and the marks that turn the direction of text
/// around.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Collects one command's output.
#[derive(Debug, Default)]
pub(super) struct Output {
    tail: VecDeque<u8>,
    dropped: u64,
    line: Vec<u8>,
    line_is_cut: bool,
    /// Lines that were given out, the bytes that they had, and lines that were not since this was
    /// last said.
    lines: u64,
    bytes: usize,
    more: u64,
}

impl Output {
    /// Takes in the next bytes and appends the lines that they complete, cut and with control
    /// characters escaped.
    pub(super) fn take(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        self.keep(bytes);
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(at);
            self.lengthen(line);
            self.end_line(lines);
            rest = after.get(1..).unwrap_or_default();
        }
        self.lengthen(rest);
    }

    /// The last line, if it was not ended, and how many lines were not given out.
    pub(super) fn end(&mut self, lines: &mut Vec<String>) {
        if !self.line.is_empty() {
            self.end_line(lines);
        }
        let more = std::mem::take(&mut self.more);
        if more > 0 {
            lines.push(format!("[{more} more lines of output are not shown]"));
        }
    }

    /// The end of the output, and how many bytes came before it.
    pub(super) fn tail(&self) -> (Vec<u8>, u64) {
        (self.tail.iter().copied().collect(), self.dropped)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let fitting = bytes
            .get(bytes.len().saturating_sub(TAIL_BYTES)..)
            .unwrap_or_default();
        let too_many = (self.tail.len() + fitting.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..too_many);
        self.tail.extend(fitting);
        self.dropped += (bytes.len() - fitting.len() + too_many) as u64;
    }

    fn lengthen(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES.saturating_sub(self.line.len()).min(bytes.len());
        self.line_is_cut |= room < bytes.len();
        self.line.extend(bytes.iter().take(room));
    }

    fn end_line(&mut self, lines: &mut Vec<String>) {
        if self.lines >= MOST_LINES || self.bytes >= MOST_BYTES {
            self.more += 1;
        } else {
            self.lines += 1;
            self.bytes += self.line.len();
            let text = String::from_utf8_lossy(self.line.strip_suffix(b"\r").unwrap_or(&self.line))
                .into_owned();
            let cut = if self.line_is_cut { " [cut]" } else { "" };
            lines.push(format!("{}{cut}", escape_controls(&text)));
        }
        self.line.clear();
        self.line_is_cut = false;
    }
}

/// The last bytes of a command's output that are kept.
const TAIL_BYTES: usize = 16 * 1024;
/// A longer line is cut, and the rest of it is dropped.
const LINE_BYTES: usize = 1024;
/// Lines per command that are given out, and bytes of them; a command that prints without end, or
/// much at each of many attempts, must not push everything else out of the log.
const MOST_LINES: u64 = 2_000;
const MOST_BYTES: usize = 256 * 1024;

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

    fn lines_of(pieces: &[&[u8]]) -> Vec<String> {
        let (mut output, mut lines) = (Output::default(), Vec::new());
        pieces
            .iter()
            .for_each(|piece| output.take(piece, &mut lines));
        output.end(&mut lines);
        lines
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = b"first\n\n  third \xff\r\n\x1b[31mred\nnot ended";
        let expected = ["first", "", "  third \u{fffd}", "\\x1b[31mred", "not ended"];
        assert_eq!(lines_of(&[text]), expected);
        assert_eq!(lines_of(&text.chunks(1).collect::<Vec<_>>()), expected);
        for at in 0..text.len() {
            assert_eq!(
                lines_of(&[&text[..at], &text[at..]]),
                expected,
                "split at {at}"
            );
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let check = |length: usize, expected_end: &str| {
            let lines = lines_of(&[&vec![b'x'; length], b"\nnext\n"]);
            assert_eq!(lines.len(), 2);
            assert!(
                lines[0].ends_with(expected_end) && lines[0].len() <= LINE_BYTES + " [cut]".len()
            );
            assert_eq!(lines[1], "next");
        };
        check(LINE_BYTES, "xx");
        check(LINE_BYTES + 1, "x [cut]");
        check(LINE_BYTES * 1000, "x [cut]");
    }

    #[test]
    fn lines_beyond_the_limit_are_counted() {
        let most = usize::try_from(MOST_LINES).unwrap();
        assert_eq!(lines_of(&[&b"y\n".repeat(most)]), vec!["y"; most]);
        let lines = lines_of(&[&b"y\n".repeat(most + 3)]);
        assert_eq!(lines.len(), most + 1);
        assert_eq!(lines[most], "[3 more lines of output are not shown]");
        let long = [vec![b'x'; LINE_BYTES], vec![b'\n']].concat();
        let lines = lines_of(&[&long.repeat(MOST_BYTES / LINE_BYTES + 2)]);
        assert_eq!(lines.len(), MOST_BYTES / LINE_BYTES + 1);
        assert_eq!(
            lines[MOST_BYTES / LINE_BYTES],
            "[2 more lines of output are not shown]"
        );
    }

    #[test]
    fn what_is_printed_after_the_end_has_no_room_of_its_own() {
        let (mut output, mut lines) = (Output::default(), Vec::new());
        for most in [usize::try_from(MOST_LINES).unwrap(), 0] {
            output.take(&b"y\n".repeat(most + 3), &mut lines);
            output.end(&mut lines);
        }
        let most = usize::try_from(MOST_LINES).unwrap();
        assert_eq!(lines[most..], ["[3 more lines of output are not shown]"; 2]);
    }

    #[test]
    fn the_tail_is_the_end_and_the_rest_is_counted() {
        let (mut output, mut lines) = (Output::default(), Vec::new());
        output.take(&vec![b'a'; TAIL_BYTES - 1], &mut lines);
        output.take(b"bcd", &mut lines);
        let (tail, dropped) = output.tail();
        assert_eq!((tail.len(), dropped), (TAIL_BYTES, 2));
        assert!(tail.ends_with(b"abcd"));
        output.take(&vec![b'e'; TAIL_BYTES + 5], &mut lines);
        assert_eq!(
            output.tail(),
            (vec![b'e'; TAIL_BYTES], 2 + 5 + TAIL_BYTES as u64)
        );
    }
}
