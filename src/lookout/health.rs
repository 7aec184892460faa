//! Whether polling goes on at all: a poll cycle is complete when everybody who is asked has
//! reported or failed since it began. None for `cluster_monitor_health_timeout_seconds` is one
//! warning, and counted.

use std::time::Duration;

use super::{Effect, Lookout, Metric};
use crate::time::Monotonic;

/// Where the poll cycles stand.
#[derive(Debug)]
pub(super) struct Health {
    /// When the cycle that is under way began, which is when the last one was complete.
    began: Monotonic,
    /// It takes too long, and that was said.
    is_overdue: bool,
    incidents: u64,
}

impl Health {
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            began: now,
            is_overdue: false,
            incidents: 0,
        }
    }

    /// A cycle begins, whatever became of the one before: others are asked from now on.
    pub(super) fn begin_anew(&mut self, now: Monotonic) {
        (self.began, self.is_overdue) = (now, false);
    }
}

impl Lookout {
    /// When the cycle that is under way is overdue.
    pub(super) fn health_deadline(&self) -> Option<Monotonic> {
        let asks_somebody = !self.config.nodes.is_empty();
        let timeout = self
            .health_timeout()
            .filter(|_| asks_somebody && !self.health.is_overdue)?;
        Some(self.health.began + timeout)
    }

    /// Somebody has reported: perhaps the last one.
    pub(super) fn note_report(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        if !self
            .schedule
            .all_reported(self.health.began, self.asks_observers())
        {
            return;
        }
        if self.health.is_overdue {
            let took = now.since(self.health.began).as_secs_f64();
            effects.push(Effect::info(format!(
                "the poll cycle is complete, after {took:.3} s"
            )));
        }
        // Just after: the report that completes one cycle is none of the next.
        self.health.begin_anew(now + Duration::from_nanos(1));
    }

    pub(super) fn look_after_health(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        if self.health_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        self.health.is_overdue = true;
        self.health.incidents = self.health.incidents.saturating_add(1);
        effects.push(Effect::Measure(Metric::HealthTimeout));
        let silent = self
            .schedule
            .unreported(self.health.began, self.asks_observers());
        effects.push(Effect::warning(format!(
            "no complete poll cycle for {:.3} s, neither answer nor failure of: {} (incidents since the start: {})",
            now.since(self.health.began).as_secs_f64(),
            silent.join(", "),
            self.health.incidents
        )));
    }

    /// Never so short that a cycle could not be complete in it.
    fn health_timeout(&self) -> Option<Duration> {
        self.config
            .health_timeout
            .map(|timeout| timeout.max(self.config.poll_interval * 2))
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::check;

    #[track_caller]
    fn complaints(settings: &str, script: &str, expected: &str) {
        check(
            settings,
            script,
            "log no complete, log the poll cycle",
            expected,
        );
    }

    #[test]
    fn one_who_is_silent_is_complained_of_once() {
        // Twice the check interval of 10 s, from the cycle that was complete at 20.01.
        complaints(
            "",
            "20.5 p silent\n90 end",
            "40.01 log no complete poll cycle for 20.000 s, neither answer nor failure of: p (incidents since the start: 1)",
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
            "35.01 log no complete poll cycle for 15.000 s, neither answer nor failure of: o1 (incidents since the start: 1)
             43 log the poll cycle is complete, after 22.990 s
             75.01 log no complete poll cycle for 15.000 s, neither answer nor failure of: o1 (incidents since the start: 2)
             80 log the poll cycle is complete, after 19.990 s",
        );
    }

    #[test]
    fn a_slow_rhythm_is_no_incident() {
        complaints(r#""db_poll_interval": 60"#, "1 p primary\n300 end", "");
    }
}
