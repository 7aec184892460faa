//! Compares what was decided with what a timeline expects: a script says it check by check, a
//! recording names every decision that was made live.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::decision_line::DecisionLine;
use super::run::{Endless, Outcome, Report, run};
use crate::format::{Decided, Timeline};

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
    /// Checks made; of a recording, decisions.
    pub checks: usize,
    /// Checks that came out otherwise.
    pub differ: usize,
    /// Every difference, in order.
    pub differences: Vec<Difference>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            timeline,
            t,
            key,
            expected,
            decided,
        } = self;
        write!(
            f,
            "{timeline} t={t} {key}: expected {expected}, decided {decided}"
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} timelines, {} checks, {} differ",
            self.timelines, self.checks, self.differ
        )
    }
}

/// Runs the timelines and compares: of a script every expected key, of a recording time, verdict
/// and reason of every decision. One written by hand that says neither has nothing to compare.
pub fn verify(timelines: &[Timeline], tally: &mut Tally) -> Result<(), Endless> {
    for timeline in timelines {
        tally.timelines += 1;
        if timeline.is_scripted() {
            run(timeline, &mut |reported| match reported {
                Report::Decision(outcome) => compare(&outcome, tally),
                Report::News { .. } => {}
            })?;
        } else if timeline.decisions().next().is_some() {
            verify_recording(timeline, tally)?;
        }
    }
    Ok(())
}

/// One decision for each that was recorded, at the same moment, and no other.
fn verify_recording(timeline: &Timeline, tally: &mut Tally) -> Result<(), Endless> {
    let mut recorded = timeline.decisions().peekable();
    run(timeline, &mut |reported| {
        let Report::Decision(outcome) = reported else {
            return;
        };
        let line = &outcome.line;
        while let Some((t, missed)) = recorded.next_if(|(t, _)| t.as_secs_f64() < line.t) {
            tally.missed(&timeline.name, t, missed);
        }
        let expected = recorded
            .next_if(|(t, _)| t.as_secs_f64() <= line.t)
            .map(|(_, expected)| expected);
        tally.decided(line, expected);
    })?;
    recorded.for_each(|(t, missed)| tally.missed(&timeline.name, t, missed));
    Ok(())
}

impl Tally {
    /// A recorded decision was not made.
    fn missed(&mut self, timeline: &str, t: Duration, expected: &Decided) {
        self.checks += 1;
        self.differ += 1;
        let (timeline, expected) = (timeline.to_owned(), json!(expected.verdict));
        let t = t.as_secs_f64();
        self.differences.push(Difference {
            timeline,
            t,
            key: "verdict".to_owned(),
            expected,
            decided: Value::Null,
        });
    }

    /// This was decided, where this was recorded, or nothing.
    fn decided(&mut self, line: &DecisionLine, expected: Option<&Decided>) {
        let words = expected.map(|expected| (expected.verdict.as_str(), expected.reason.as_str()));
        self.checks += 1;
        if words == Some((line.verdict, line.reason)) {
            return;
        }
        self.differ += 1;
        let (verdict, reason) = words.unzip();
        for (key, expected, decided) in [
            ("verdict", verdict, line.verdict),
            ("reason", reason, line.reason),
        ] {
            if expected != Some(decided) {
                self.differences.push(Difference {
                    timeline: line.timeline.clone(),
                    t: line.t,
                    key: key.to_owned(),
                    expected: json!(expected),
                    decided: json!(decided),
                });
            }
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
    use super::*;
    use crate::format::read;

    #[test]
    fn every_key_that_came_out_otherwise_is_a_difference() {
        let text = r#"{"timeline": "t", "config": {"own_db": "s", "remote_conns": {"p": "host=p", "s": "host=s"}}}
            {"t": 5, "node": "p", "report": {"in_recovery": false, "db_time": 5}}
            {"t": 5, "node": "s", "report": {"in_recovery": true, "db_time": 5, "receive_lsn": "0/5", "last_replay": 5}}
            {"t": 5, "check": {"expect": {"primary": "p", "lag_gauge": 0, "standbys": ["p"], "followd": null}}}"#;
        let mut tally = Tally::default();
        verify(&read(text).unwrap(), &mut tally).unwrap();
        let found: Vec<_> = tally.differences.iter().map(ToString::to_string).collect();
        let expected = [
            r#"t t=5 followd: expected null, decided null"#,
            r#"t t=5 standbys: expected ["p"], decided ["s"]"#,
        ];
        assert_eq!(found, expected);
        assert_eq!(tally.to_string(), "1 timelines, 1 checks, 1 differ");
    }

    const RECORDED: &str = r#"{"timeline": "t", "config": {"own_db": "s", "remote_conns": {"p": "host=p", "s": "host=s"}}}
        {"t": 0, "turn": true, "verdict": "wait", "reason": "first_answers"}
        {"t": 1, "node": "p", "report": {"in_recovery": false, "db_time": 1}}
        {"t": 1, "node": "s", "report": {"in_recovery": true, "db_time": 1, "receive_lsn": "0/5", "last_replay": 1}}
        {"t": 1, "turn": true, "verdict": "primary_reachable", "reason": "primary_reachable"}"#;

    #[track_caller]
    fn check_recording(from: &str, to: &str, expected: &[&str]) {
        let mut tally = Tally::default();
        verify(&read(&RECORDED.replace(from, to)).unwrap(), &mut tally).unwrap();
        let found: Vec<_> = tally.differences.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
        assert_eq!(tally.differ > 0, !expected.is_empty(), "{tally}");
    }

    #[test]
    fn every_decision_of_a_recording_is_made_again_and_no_other() {
        let first = r#", "verdict": "wait", "reason": "first_answers""#;
        check_recording("", "", &[]);
        check_recording(
            "\"first_answers\"",
            "\"command_running\"",
            &["t t=0 reason: expected \"command_running\", decided \"first_answers\""],
        );
        check_recording(
            first,
            "",
            &[
                "t t=0 verdict: expected null, decided \"wait\"",
                "t t=0 reason: expected null, decided \"first_answers\"",
            ],
        );
        check_recording(
            r#"{"t": 0, "turn": true"#,
            &format!("{{\"t\": 0, \"turn\": true{first}}}\n{{\"t\": 0.5, \"turn\": true"),
            &["t t=0.5 verdict: expected \"wait\", decided null"],
        );
    }
}
