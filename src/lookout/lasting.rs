//! A trouble that lasts is said once: the same words are no news, and other words for the same kind
//! of it are none for a minute. The other side chooses the words, others at every poll if it wills.

use std::time::Duration;

use crate::time::Monotonic;

/// What was said of one trouble so far, by kinds.
#[derive(Debug)]
pub struct Lasting<Kind> {
    /// The words of the latest line.
    latest: Option<String>,
    /// When each kind was said last.
    kinds: Vec<(Kind, Monotonic)>,
    /// How often it came in other words than the latest line's after that line.
    unsaid: u32,
}

impl<Kind: PartialEq> Lasting<Kind> {
    /// It is there, and in these words: the line to be said, if that is news.
    pub fn hear(&mut self, kind: Kind, words: &str, now: Monotonic) -> Option<String> {
        if self.latest.as_deref() == Some(words) {
            return None;
        }
        self.kinds.retain(|(_, at)| now.since(*at) < SAME_KIND);
        if self.kinds.iter().any(|(said, _)| *said == kind) {
            self.unsaid = self.unsaid.saturating_add(1);
            return None;
        }
        self.kinds.push((kind, now));
        self.latest = Some(words.to_owned());
        let unsaid = self.unsaid();
        self.unsaid = 0;
        Some(format!("{words}{unsaid}"))
    }

    /// What was kept back since the latest line, to be appended to the next.
    pub fn unsaid(&self) -> String {
        match self.unsaid {
            0 => String::new(),
            1 => " (since the last line once in other words)".to_owned(),
            times => format!(" (since the last line {times} times in other words)"),
        }
    }
}

impl<Kind> Default for Lasting<Kind> {
    fn default() -> Self {
        Self {
            latest: None,
            kinds: Vec::new(),
            unsaid: 0,
        }
    }
}

/// So long one kind is said once.
const SAME_KIND: Duration = Duration::from_secs(60);
