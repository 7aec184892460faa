//! Compares what was decided with what a timeline expects.

use serde_json::Value;

use super::format::Timeline;
use super::scripted::decisions;

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
    /// Every difference, in order.
    pub differences: Vec<Difference>,
}

/// Runs the timelines and compares every expected key.
pub fn verify(timelines: &[Timeline], tally: &mut Tally) {
    for timeline in timelines {
        tally.timelines += 1;
        for outcome in decisions(timeline) {
            tally.checks += 1;
            for (key, expected) in &outcome.expected {
                let decided = outcome.decided.get(key).unwrap_or(&Value::Null);
                if !same(expected, decided) {
                    tally.differences.push(Difference {
                        timeline: timeline.name.clone(),
                        t: outcome.t.as_secs_f64(),
                        key: key.clone(),
                        expected: expected.clone(),
                        decided: decided.clone(),
                    });
                }
            }
        }
    }
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
            {"t": 5, "check": {"expect": {"primary": "p", "lag_gauge": 0, "standbys": ["p"], "followed": "p", "what": 1}}}"#;
        let mut tally = Tally::default();
        verify(&read(text).unwrap(), &mut tally);
        let differences = tally.differences.iter();
        let found: Vec<_> =
            differences.map(|d| format!("{} {} {} {} {}", d.timeline, d.t, d.key, d.expected, d.decided)).collect();
        assert_eq!(found, [r#"t 5 followed "p" null"#, r#"t 5 standbys ["p"] ["s"]"#, "t 5 what 1 null"]);
        assert_eq!((tally.timelines, tally.checks), (1, 1));
    }
}
