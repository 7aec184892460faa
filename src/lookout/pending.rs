//! A check: the wait for facts that were asked for from a certain moment on. It is complete when
//! everybody has reported or failed since then.

use std::time::Duration;

use super::round::Look;
use super::{Effect, Lookout};
use crate::config::Config;
use crate::time::{Monotonic, Now};

/// A wait for everybody's report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    /// Reports that arrive from here on count, also those of probes that were under way already: a
    /// node that has been silent since before is not given its whole time twice.
    pub(super) since: Monotonic,
    /// When it is given up.
    pub(super) deadline: Monotonic,
    /// What kind of decision it is for.
    pub(super) look: Look,
    /// No decision is made before it is over.
    pub(super) holds: bool,
}

impl Lookout {
    /// POST /check or a reload: a poll and a decision at once. Requests that come close together
    /// share one poll.
    pub(super) fn request_check(&mut self, now: Now) {
        if self.check.is_none() {
            let at = self
                .requested_at
                .map_or(now.mono, |last| now.mono.max(last + REQUEST_SPACING));
            self.requested_at = Some(at);
            self.check = Some(self.new_check(Look::Regular, false, now.mono));
            self.schedule.hurry_all(at);
        }
    }

    pub(super) fn begin_check(&mut self, look: Look, now: Monotonic, effects: &mut Vec<Effect>) {
        let check = self.new_check(look, true, now);
        self.schedule.hurry_unreported(check.since);
        self.check = Some(check);
        self.take_due_probes(now, effects);
    }

    /// Has everybody who is asked reported since the check began.
    pub(super) fn is_complete(&self, check: &Check) -> bool {
        self.schedule
            .all_reported(check.since, self.asks_observers())
    }

    pub(super) fn take_due_probes(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let asks_observers = self.asks_observers();
        self.schedule
            .take_due(&self.config, asks_observers, now, effects);
    }

    /// Something came later than a turn was wished for: the process was stopped, or its host. What
    /// is known is old, and so may be what comes in now, which may have lain there all the time:
    /// only later reports count. Whoever oversleeps again meanwhile goes on with the check that is
    /// under way, or a slow host would never decide.
    pub(super) fn ask_anew_after_sleep(&mut self, now: Monotonic) {
        let slept = self
            .expected_at
            .is_some_and(|expected| now.since(expected) > OVERSLEPT);
        if !slept
            || self
                .check
                .is_some_and(|check| check.holds && check.look == Look::Regular)
        {
            return;
        }
        let check = self.new_check(Look::Regular, true, now + MOMENT);
        self.schedule.hurry_unreported(check.since);
        self.check = Some(check);
    }

    fn new_check(&self, look: Look, holds: bool, since: Monotonic) -> Check {
        Check {
            since,
            deadline: since + patience(&self.config),
            look,
            holds,
        }
    }
}

/// How long fresh facts are waited for: `missing_master_from_config_timeout`, but never so short
/// that a node which takes all of its time to connect and to answer could not fail in it.
pub(super) fn patience(config: &Config) -> Duration {
    config
        .missing_primary_timeout
        .max(config.poll_timeout * 2 + Duration::from_secs(1))
}

/// Anybody may ask for checks all the time: their polls are so far apart at least.
const REQUEST_SPACING: Duration = Duration::from_secs(1);

/// A turn that comes so much later than it was wished for was slept through.
const OVERSLEPT: Duration = Duration::from_secs(1);
/// The next reading of the clock.
const MOMENT: Duration = Duration::from_micros(1);

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
