//! Runs a timeline of either kind and tells what was decided.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::decision_line::DecisionLine;
use super::timeline::Timeline;
use super::{live, scripted};

/// What a run has to tell, in order of time.
#[derive(Clone, Debug)]
pub enum Told {
    /// A decision was made.
    Decision(Box<Outcome>),
    /// The daemon would have logged this besides.
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
        write!(f, "too long a time after t {since}: more than {} turns without a line", live::MAX_IDLE_TURNS)
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
