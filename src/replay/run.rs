//! Runs a timeline of either kind and tells what was decided.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::decision_line::DecisionLine;
use super::timeline::Timeline;
use super::{live, scripted};
use crate::compat;
use crate::lookout::{Effect, REPEATED};

/// What a run has to tell, in order of time.
#[derive(Clone, Debug)]
pub enum Told {
    /// A decision was made.
    Decision(Box<Outcome>),
    /// What the daemon would have logged, and done, besides.
    News {
        /// When.
        t: Duration,
        /// One sentence.
        text: String,
    },
}

/// A decision that was made.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Verdict, reason, lists, commands, alerts.
    pub line: DecisionLine,
    /// The same in one sentence.
    pub sentence: String,
    /// What a script expects of it, key by key.
    pub expected: Map<String, Value>,
}

/// Time goes on and on without anything that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endless {
    /// Since when.
    pub since: Duration,
}

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.as_secs_f64();
        write!(
            f,
            "too long a time after t {since}: more than {} turns without a line",
            live::MAX_IDLE_TURNS
        )
    }
}

/// Runs a timeline.
pub fn run(timeline: &Timeline, tell: &mut dyn FnMut(Told)) -> Result<(), Endless> {
    if timeline.is_scripted() {
        scripted::run(timeline, tell);
        return Ok(());
    }
    live::run(timeline, tell)
}

/// All decisions of a timeline.
pub fn decisions(timeline: &Timeline) -> Result<Vec<Outcome>, Endless> {
    let mut outcomes = Vec::new();
    run(timeline, &mut |told| match told {
        Told::Decision(outcome) => outcomes.push(*outcome),
        Told::News { .. } => {}
    })?;
    Ok(outcomes)
}

/// Tells what these effects say besides the decision, which says `sentence` itself. How often one
/// was repeated is for whoever tells the decisions to count.
pub(super) fn tell_news(
    effects: &[Effect],
    sentence: &str,
    t: Duration,
    tell: &mut dyn FnMut(Told),
) {
    for effect in effects {
        let text = match effect {
            Effect::Log { level, .. } if *level > log::Level::Info => continue,
            Effect::Log { text, .. } if text == sentence || text.starts_with(REPEATED) => continue,
            Effect::Log { text, .. } => text.clone(),
            Effect::RaiseAlert { alert, .. } => {
                format!("alert raised: {}", compat::alert::file_name(*alert))
            }
            Effect::ClearAlert(alert) => {
                format!("alert removed: {}", compat::alert::file_name(*alert))
            }
            _ => continue,
        };
        tell(Told::News { t, text });
    }
}

/// Tells which commands were run.
pub(super) fn tell_commands(effects: &[Effect], t: Duration, tell: &mut dyn FnMut(Told)) {
    for (_, argv) in effects.iter().filter_map(Effect::command) {
        tell(Told::News {
            t,
            text: format!("command: {}", argv.join(" ")),
        });
    }
}
