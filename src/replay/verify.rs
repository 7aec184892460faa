//! Compares what was decided with what a timeline expects.

use std::fmt;

use serde_json::Value;

use super::run::{Outcome, Told};
use super::scripted;
use super::timeline::Timeline;

/// One key of one check that came out otherwise than expected.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Name of the timeline.
    pub timeline: String,
    /// Seconds from its start.
    pub t: f64,
    /// Which key.
    pub key: String,
    /// What the timeline expects.
    pub expected: Value,
    /// What was decided.
    pub decided: Value,
}

/// What was compared.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Timelines read.
    pub timelines: usize,
    /// Checks made.
    pub checks: usize,
    /// Checks that came out otherwise.
    pub differ: usize,
    /// Every difference, in order.
    pub differences: Vec<Difference>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeline, t, key, expected, decided } = self;
        write!(f, "{timeline} t={t} {key}: expected {expected}, decided {decided}")
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} timelines, {} checks, {} differ", self.timelines, self.checks, self.differ)
    }
}

/// Runs the timelines and compares every expected key. Only scripted ones have checks.
pub fn verify(timelines: &[Timeline], tally: &mut Tally) {
    for timeline in timelines {
        tally.timelines += 1;
        if timeline.is_scripted() {
            scripted::run(timeline, &mut |told| match told {
                Told::Decision(outcome) => compare(&outcome, tally),
                Told::News { .. } => {}
            });
        }
    }
}

fn compare(outcome: &Outcome, tally: &mut Tally) {
    let Outcome { line, expected, .. } = outcome;
    let decided = serde_json::to_value(line).unwrap_or_default();
    let before = tally.differences.len();
    for (key, expected) in expected {
        // A key that no decision has is a difference, whatever is expected of it.
        let found = decided.get(key);
        if !found.is_some_and(|found| same(expected, found)) {
            tally.differences.push(Difference {
                timeline: line.timeline.clone(),
                t: line.t,
                key: key.clone(),
                expected: expected.clone(),
                decided: found.cloned().unwrap_or_default(),
            });
        }
    }
    tally.checks += 1;
    tally.differ += usize::from(tally.differences.len() > before);
}

/// Numbers are compared as numbers (0 is 0.0), everything else as it is.
fn same(expected: &Value, decided: &Value) -> bool {
    match (expected.as_f64(), decided.as_f64()) {
        (Some(expected), Some(decided)) => (expected - decided).abs() < 1e-6,
        _ => expected == decided,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn every_key_that_came_out_otherwise_is_a_difference() {
        let text = r#"{"timeline": "t", "config": {"own_db": "s", "remote_conns": {"p": "host=p", "s": "host=s"}}}
            {"t": 5, "node": "p", "report": {"in_recovery": false, "db_time": 5}}
            {"t": 5, "node": "s", "report": {"in_recovery": true, "db_time": 5, "receive_lsn": "0/5", "last_replay": 5}}
            {"t": 5, "check": {"expect": {"primary": "p", "lag_gauge": 0, "standbys": ["p"], "followd": null}}}"#;
        let mut tally = Tally::default();
        verify(&read(text).unwrap(), &mut tally);
        let found: Vec<_> = tally.differences.iter().map(ToString::to_string).collect();
        let expected =
            [r#"t t=5 followd: expected null, decided null"#, r#"t t=5 standbys: expected ["p"], decided ["s"]"#];
        assert_eq!(found, expected);
        assert_eq!(tally.to_string(), "1 timelines, 1 checks, 1 differ");
    }
}
