//! A check: the wait for facts that were requested from a certain moment on. It is complete when
//! everybody has reported or failed since then. Whoever has left our questions unanswered for as long
//! as the failover limit is not waited for again: a server that hangs, or a host that is gone.

use std::time::Duration;

use super::round::Look;
use super::schedule::{Schedule, Tick};
use crate::config::Config;
use crate::time::Monotonic;

/// A wait for everybody's report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    /// When it began.
    began: Monotonic,
    /// Reports that arrive from here on count, also those of probes that were under way already: a
    /// node that has been silent since before is not given its whole time twice.
    since: Tick,
    /// When it is given up.
    deadline: Monotonic,
    /// Who has left questions unanswered for so long is not waited for: the failover limit.
    patience: Duration,
    /// What kind of decision it is for.
    look: Look,
    /// No decision is made before it is over.
    holds: bool,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Everybody has reported or failed.
    Complete(Look),
    /// Somebody has not, and the time is over.
    Overdue(Look),
}

/// The check that is under way, and what may begin another.
#[derive(Debug, Default)]
pub(super) struct Checks {
    current: Option<Check>,
    /// When the last requested check polled everybody, or will.
    requested_at: Option<Monotonic>,
    /// When the next turn is due since the last one.
    expected_at: Option<Monotonic>,
}

impl Checks {
    /// POST /check or a reload: a poll and a decision at once. Requests that come close together
    /// share one poll.
    pub(super) fn request(&mut self, config: &Config, schedule: &mut Schedule, now: Monotonic) {
        if self.current.is_none() {
            let spaced = |last| now.max(last + REQUEST_SPACING);
            let at = self.requested_at.map_or(now, spaced);
            self.requested_at = Some(at);
            let since = schedule.tick();
            self.current = Some(Check::new(Look::Regular, false, since, config, now));
            schedule.expedite_all(at);
        }
    }

    /// A decision wants fresh facts: those are polled that have not reported at this very moment.
    pub(super) fn begin_fresh(&mut self, config: &Config, schedule: &mut Schedule, now: Monotonic) {
        let since = schedule.tick();
        self.current = Some(Check::new(Look::Fresh, true, since, config, now));
        schedule.expedite_unreported(since, now);
    }

    /// This daemon has announced its promotion: everybody is polled once more. A poll that was under
    /// way counts as a report, but its server did not show the announcement then, so the decision
    /// looks again.
    pub(super) fn begin_announced(
        &mut self,
        config: &Config,
        schedule: &mut Schedule,
        at: Monotonic,
        now: Monotonic,
    ) {
        let since = schedule.tick().next();
        self.current = Some(Check::new(Look::Announced, true, since, config, now));
        schedule.expedite_all(at);
    }

    /// A turn that comes later than it was expected: the process was stopped, or its host. What is
    /// known is old, and so may be what comes in now, which may have lain there all the time: only
    /// later reports count. A host that is so slow that it sleeps all the time must decide all the
    /// same: it goes on with a check that follows a sleep already, and after a short sleep with any.
    pub(super) fn begin_after_sleep(
        &mut self,
        config: &Config,
        schedule: &mut Schedule,
        now: Monotonic,
    ) {
        let slept = self.expected_at.map_or(Duration::ZERO, |it| now.since(it));
        let is_short = slept < SHORT_SLEEP.min(config.poll_interval * 2);
        if slept > OVERSLEPT.min(config.failover_lag / 4) {
            schedule.forget_silence(now);
        }
        let goes_on = |check: Check| check.holds && (is_short || check.look == Look::Regular);
        if slept <= OVERSLEPT || self.current.is_some_and(goes_on) {
            return;
        }
        let since = schedule.tick().next();
        self.current = Some(Check::new(Look::Regular, true, since, config, now));
        schedule.expedite_unreported(since, now);
    }

    /// The next turn is due then.
    pub(super) fn expect_turn(&mut self, at: Monotonic) {
        self.expected_at = Some(at);
    }

    /// A decision waits for everybody's report. Only this holds the others up: while a requested
    /// poll goes on, decisions are made when they are due, so that a node that does not answer
    /// delays none.
    pub(super) fn holds_decisions(&self) -> bool {
        self.current.is_some_and(|check| check.holds)
    }

    pub(super) fn next_deadline(
        &self,
        schedule: &Schedule,
        with_observers: bool,
    ) -> Option<Monotonic> {
        let check = self.current?;
        let settled = check.settled(schedule, with_observers);
        Some(settled.map_or(check.deadline, |at| at.min(check.deadline)))
    }

    /// Takes the check out if it is over.
    pub(super) fn take_ended(
        &mut self,
        schedule: &Schedule,
        with_observers: bool,
        now: Monotonic,
    ) -> Option<Ended> {
        let check = self.current?;
        let settled = check.settled(schedule, with_observers);
        let ended = if settled.is_some_and(|at| at <= now) {
            Ended::Complete(check.look)
        } else if check.deadline <= now {
            Ended::Overdue(check.look)
        } else {
            return None;
        };
        self.current = None;
        Some(ended)
    }
}

impl Check {
    fn new(look: Look, holds: bool, since: Tick, config: &Config, began: Monotonic) -> Self {
        let deadline = began + time_limit(config);
        Self {
            began,
            since,
            deadline,
            patience: config.failover_lag,
            look,
            holds,
        }
    }

    /// When everybody has reported who has to be waited for.
    fn settled(&self, schedule: &Schedule, with_observers: bool) -> Option<Monotonic> {
        let settled = schedule.settle(self.since, self.patience, with_observers);
        settled.map(|at| at.max(self.began))
    }
}

/// How long fresh facts are waited for: `missing_master_from_config_timeout`, but never so short
/// that a node which takes all of its time to connect and to answer could not fail in it.
pub(super) fn time_limit(config: &Config) -> Duration {
    config
        .missing_primary_timeout
        .max(config.poll_timeout * 2 + Duration::from_secs(1))
}

/// Anybody may request checks all the time: their polls are so far apart at least.
const REQUEST_SPACING: Duration = Duration::from_secs(1);

/// A turn that comes so much later than it was due was slept through.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// After a shorter sleep reports are no older than those of a slow server may be, and if it took less
/// than two poll intervals, an announcement has not become void.
const SHORT_SLEEP: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
