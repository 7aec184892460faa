//! Decisions as text: one sentence each, with its time; repetitions are counted.

use std::io::{self, Write};
use std::time::Duration;

use crate::replay::{Outcome, Report};

/// What the next line depends on.
#[derive(Default)]
pub(super) struct Story {
    /// Name and reason of the last printed verdict.
    printed: Option<(&'static str, &'static str)>,
    /// How often it was repeated, and when last.
    repeated: Option<(usize, f64)>,
    /// The printed reason for polling again, which precedes every decision while a failover waits.
    poll_reason: Option<&'static str>,
}

impl Story {
    /// Prints a line, unless it repeats the last one.
    pub(super) fn add(&mut self, next: &Report, out: &mut impl Write) -> io::Result<()> {
        match next {
            Report::News { t, text } => {
                self.end(out)?;
                write_line(out, *t, text)
            }
            Report::Decision(outcome) => self.add_decision(outcome, out),
        }
    }

    /// Prints the repetitions of the last sentence.
    pub(super) fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        match self.repeated.take() {
            Some((1, t)) => writeln!(out, "{:>14}  the same at {t:.3}", ""),
            Some((times, t)) => {
                writeln!(out, "{:>14}  the same {times} times more, until {t:.3}", "")
            }
            None => Ok(()),
        }
    }

    fn add_decision(&mut self, outcome: &Outcome, out: &mut impl Write) -> io::Result<()> {
        let Outcome { line, sentence, .. } = outcome;
        let verdict = (line.verdict, line.reason);
        let is_poll = line.verdict == POLL_AGAIN;
        if is_poll && self.poll_reason.replace(line.reason) == Some(line.reason) {
            return Ok(());
        }
        if self.printed == Some(verdict) {
            let times = self
                .repeated
                .map_or(1, |(times, _)| times.saturating_add(1));
            self.repeated = Some((times, line.t));
            return Ok(());
        }
        self.end(out)?;
        self.poll_reason = self.poll_reason.filter(|_| is_poll || line.verdict == HOLD);
        self.printed = Some(verdict);
        write_line(
            out,
            Duration::try_from_secs_f64(line.t).unwrap_or_default(),
            sentence,
        )
    }
}

/// May be repeated for one cause.
const HOLD: &str = "hold";
/// Precedes a decision about a failover.
const POLL_AGAIN: &str = "wants_fresh_facts";

fn write_line(out: &mut impl Write, t: Duration, text: &str) -> io::Result<()> {
    let text: String = text
        .chars()
        .map(|next| if next.is_control() { ' ' } else { next })
        .collect();
    writeln!(out, "{:>14.6}  {text}", t.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::read;
    use crate::replay::run;

    #[track_caller]
    fn check(lines: &str, expected: &str) {
        let config = r#"{"own_db": "s", "failover_command": ["promote", "it"], "db_poll_interval": 2,
            "replication_state_check_interval": 2, "missing_master_from_config_timeout": 0, "max_failover_replication_time_lag": 7, "remote_conns": {"p": "", "s": ""}}"#;
        let header = format!(
            r#"{{"timeline": "x", "config": {}}}"#,
            config.replace('\n', " ")
        );
        let timelines = read(&format!("{header}\n{lines}")).unwrap();
        let (mut out, mut story) = (Vec::new(), Story::default());
        run(&timelines[0], &mut |next| {
            story.add(&next, &mut out).unwrap()
        })
        .unwrap();
        story.end(&mut out).unwrap();
        let found = String::from_utf8(out).unwrap();
        let found: Vec<_> = found.lines().map(str::trim).collect();
        let expected: Vec<_> = expected.lines().map(str::trim).collect();
        assert_eq!(found, expected, "\n{}", found.join("\n"));
    }

    #[test]
    fn a_failover_is_printed_with_the_deadlines_of_the_core() {
        check(
            r#"{"t": 0.1, "node": "p", "report": {"in_recovery": false, "db_time": 0.1, "lsn": "0/5"}}
               {"t": 0.1, "node": "s", "report": {"in_recovery": true, "db_time": 0.1, "receive_lsn": "0/5", "last_replay": 0}}
               {"t": 3, "lost": "p", "failure": "unreachable", "message": "connection reset"}
               {"t": 3, "node": "p", "failure": "unreachable", "message": "connection reset"}
               {"t": 3.1, "node": "s", "report": {"in_recovery": true, "db_time": 3, "receive_lsn": "0/5", "last_replay": 0}}
               {"t": 5, "node": "s", "report": {"in_recovery": true, "db_time": 5, "receive_lsn": "0/5", "last_replay": 0}}
               {"t": 5.2, "node": "p", "failure": "unreachable", "message": "connection reset"}
               {"t": 7.2, "node": "p", "failure": "unreachable", "message": "connection reset"}
               {"t": 7.2, "node": "s", "report": {"in_recovery": true, "db_time": 7.2, "receive_lsn": "0/5", "last_replay": 0}}
               {"t": 8, "command": "failover_command", "exit": 0}
               {"t": 9, "end": true}"#,
            "0.000000  waiting for the first poll of: p, s
             0.100000  the primary is p
             0.100000  primary p is reachable (own poll)
             the same at 2.100
             3.000000  node p: unreachable: connection reset
             3.000000  re-polling all nodes: primary p is unreachable
             3.100000  no failover: p last answered (own poll) 3.000 s ago, the limit is 7.000 s
             7.200000  promoting s at 0/5: primary p is unreachable, last evidence of a primary 7.100 s ago; 1 of 2 votes, 1 required
             7.200000  command: promote it
             8.000000  alert raised: failover_has_happened
             8.000000  failover_command succeeded
             8.000000  alert removed: replication_delay_warning",
        );
    }
}
