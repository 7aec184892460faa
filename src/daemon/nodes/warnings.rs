//! What a node's sessions warn of beside good answers, said once; of the same thing in other words, once a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Monotonic;

/// The warnings of one node, over all its sessions, by what they are about: what stands before the first colon.
#[derive(Debug, Default)]
pub(super) struct Warnings(BTreeMap<String, Warned>);

#[derive(Debug)]
struct Warned {
    text: String,
    at: Monotonic,
    /// Others of the same that were not said since.
    unsaid: u32,
}

impl Warnings {
    /// The line to be logged, if this is news. The reason is the server's, another one at every poll if it wills.
    pub(super) fn hear(&mut self, text: String, now: Monotonic) -> Option<String> {
        let about = text.split(": ").next().unwrap_or_default();
        let mut line = text.clone();
        if let Some(warned) = self.0.get_mut(about) {
            if warned.text == text {
                return None;
            }
            if now.since(warned.at) < SAME_THING {
                warned.unsaid = warned.unsaid.saturating_add(1);
                return None;
            }
            if warned.unsaid > 0 {
                line = format!("{text} (since the last line {} others)", warned.unsaid);
            }
        }
        self.0.insert(about.to_owned(), Warned { text, at: now, unsaid: 0 });
        Some(line)
    }
}

/// So long one thing is warned of once.
const SAME_THING: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_warned_of_once_and_in_other_words_once_a_minute() {
        let mut warnings = Warnings::default();
        for (second, text, expected) in [
            (0, "heartbeat: a", Some("heartbeat: a")),
            (0, "slots: a", Some("slots: a")),
            (5, "heartbeat: a", None),
            (10, "heartbeat: b", None),
            (15, "heartbeat: c: d", None),
            (60, "heartbeat: a", None),
            (60, "heartbeat: c: d", Some("heartbeat: c: d (since the last line 2 others)")),
            (120, "heartbeat: e", Some("heartbeat: e")),
            (3600, "slots: a", None),
        ] {
            let now = Monotonic::from_duration(Duration::from_secs(second));
            assert_eq!(warnings.hear(text.to_owned(), now).as_deref(), expected, "{text} at {second}");
        }
    }
}
