//! What a node's sessions warn of beside good answers: said when it begins, and not while it lasts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lookout::LogOnce;
use crate::time::Monotonic;

/// The warnings of one node, over all its sessions, by what they are about: what stands before the
/// first colon.
#[derive(Debug, Default)]
pub(super) struct Warnings(BTreeMap<String, Warning>);

#[derive(Debug)]
struct Warning {
    lasting: LogOnce<()>,
    heard: Monotonic,
}

impl Warnings {
    /// The line to be logged, if this is news. Nobody says that a warning is over: one that was not
    /// heard for a while is.
    pub(super) fn news(&mut self, text: &str, now: Monotonic) -> Option<String> {
        self.0.retain(|_, warning| now.since(warning.heard) < OVER);
        let about = text.split(": ").next().unwrap_or_default();
        let fresh = || Warning {
            lasting: LogOnce::default(),
            heard: now,
        };
        let warning = self.0.entry(about.to_owned()).or_insert_with(fresh);
        warning.heard = now;
        warning.lasting.line((), text, now)
    }
}

/// A warning that was not heard for so long is a new one.
const OVER: Duration = Duration::from_secs(600);

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
            (
                60,
                "heartbeat: c: d",
                Some("heartbeat: c: d (2 similar messages suppressed)"),
            ),
            (120, "heartbeat: e", Some("heartbeat: e")),
            (599, "slots: a", None),
            (1198, "slots: a", None),
            (1798, "slots: a", Some("slots: a")),
        ] {
            let now = Monotonic::from_duration(Duration::from_secs(second));
            assert_eq!(
                warnings.news(text, now).as_deref(),
                expected,
                "{text} at {second}"
            );
        }
    }
}
