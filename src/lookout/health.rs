//! Whether polling goes on at all: a poll cycle is complete when everybody who is asked has
//! reported or failed since it began. None for `cluster_monitor_health_timeout_seconds` is one
//! warning, and counted.

use std::time::Duration;

use super::schedule::{Schedule, Tick};
use super::turn::Turn;
use super::{Effect, Metric};
use crate::config::Config;
use crate::time::Monotonic;

/// Where the poll cycles stand.
#[derive(Debug)]
pub(super) struct Health {
    /// When the cycle that is under way began, which is when the last one was complete.
    began: Monotonic,
    /// Reports that arrive from here on belong to it.
    since: Tick,
    /// It takes too long, and that was logged.
    is_overdue: bool,
    incidents: u64,
}

impl Health {
    pub(super) fn new(schedule: &Schedule, now: Monotonic) -> Self {
        Self {
            began: now,
            since: schedule.tick(),
            is_overdue: false,
            incidents: 0,
        }
    }

    /// A cycle begins, whatever became of the one before: others are polled from now on.
    pub(super) fn begin_anew(&mut self, since: Tick, now: Monotonic) {
        (self.began, self.since, self.is_overdue) = (now, since, false);
    }

    /// When the cycle that is under way is overdue.
    pub(super) fn next_deadline(&self, config: &Config) -> Option<Monotonic> {
        let is_watched = !config.nodes.is_empty() && !self.is_overdue;
        let timeout = timeout(config).filter(|_| is_watched)?;
        Some(self.began + timeout)
    }

    /// Somebody has reported: perhaps the last one of the cycle.
    pub(super) fn reported(
        &mut self,
        schedule: &Schedule,
        with_observers: bool,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        if !schedule.all_reported(self.since, with_observers) {
            return;
        }
        if self.is_overdue {
            let took = now.since(self.began).as_secs_f64();
            turn.info(format!("poll cycle complete after {took:.3} s"));
        }
        // The report that completes one cycle is none of the next.
        self.begin_anew(schedule.tick().next(), now);
    }

    /// Logs a cycle that is overdue, once.
    pub(super) fn look(
        &mut self,
        config: &Config,
        schedule: &Schedule,
        with_observers: bool,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        if self
            .next_deadline(config)
            .is_none_or(|deadline| deadline > now)
        {
            return;
        }
        self.is_overdue = true;
        self.incidents = self.incidents.saturating_add(1);
        turn.push(Effect::Measure(Metric::HealthTimeout));
        let silent = schedule.unreported(self.since, with_observers);
        turn.warning(format!(
            "no complete poll cycle for {:.3} s, no result from: {} (incidents since start: {})",
            now.since(self.began).as_secs_f64(),
            silent.join(", "),
            self.incidents
        ));
    }
}

/// Never so short that a cycle could not be complete in it.
fn timeout(config: &Config) -> Option<Duration> {
    config
        .health_timeout
        .map(|timeout| timeout.max(config.poll_interval * 2))
}

#[cfg(test)]
mod tests {
    use super::super::world::check;

    #[track_caller]
    fn complaints(settings: &str, script: &str, expected: &str) {
        check(
            settings,
            script,
            "log no complete, log poll cycle",
            expected,
        );
    }

    #[test]
    fn one_that_does_not_answer_is_reported_once() {
        // Twice the check interval of 10 s, from the cycle that was complete at 20.01.
        complaints(
            "",
            "20.5 p silent\n90 end",
            "40.01 log no complete poll cycle for 20.000 s, no result from: p (incidents since start: 1)",
        );
        complaints("", "20.5 p unreachable\n90 end", "");
        complaints(
            r#""cluster_monitor_health_timeout_seconds": null"#,
            "20.5 p silent\n90 end",
            "",
        );
    }

    #[test]
    fn every_incident_is_counted() {
        complaints(
            r#""observers": {"o1": "http://o1"}, "cluster_monitor_health_timeout_seconds": 15"#,
            "20.5 o1 sees in 18\n41 o1 sees\n60 o1 sees in 17\n90 end",
            "35.01 log no complete poll cycle for 15.000 s, no result from: o1 (incidents since start: 1)
             43 log poll cycle complete after 22.990 s
             75.01 log no complete poll cycle for 15.000 s, no result from: o1 (incidents since start: 2)
             80 log poll cycle complete after 19.990 s",
        );
    }

    #[test]
    fn a_slow_rhythm_is_no_incident() {
        complaints(r#""db_poll_interval": 60"#, "1 p primary\n300 end", "");
    }
}
