//! The term that this daemon holds, and its own server: what is under way with it.

use std::time::Duration;

use super::schedule::Schedule;
use super::{CommandId, ProbeId};
use crate::config::Config;
use crate::time::Monotonic;

/// What is under way with the server of a term that is held.
#[derive(Debug, Default)]
pub(super) struct Tenure {
    pub(super) fencing: Option<CommandId>,
    /// The fence command has failed, and is run again then.
    pub(super) retry_at: Option<Monotonic>,
    /// Our server is down by our own fence.
    pub(super) is_fenced: bool,
    /// `unfence_command` runs.
    pub(super) unfencing: Option<CommandId>,
    /// It has ended, and is not run again before that.
    pub(super) unfence_at: Option<Monotonic>,
    /// Our own server is not seen as a primary.
    pub(super) missing: Option<Missing>,
    /// Something was done to it: only this poll of it, or a later one, shows what it is now.
    pub(super) awaited: Option<ProbeId>,
}

/// Since when our own server is not seen as a primary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    /// The first poll that failed began then: all that time it left unanswered.
    since: Monotonic,
    /// That poll ended then.
    noticed: Monotonic,
}

/// What our own server was seen as last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Primary,
    Standby,
    /// It turned us away, as only a living server does.
    Alive,
    Nothing,
}

impl Tenure {
    /// A poll of our own node has ended.
    pub(super) fn own_node_polled(&mut self, probe: ProbeId) {
        self.awaited = self.awaited.filter(|awaited| probe < *awaited);
    }

    /// What our own server was seen as counts no more, nor does a poll of it that is under way.
    pub(super) fn await_poll(&mut self, schedule: &Schedule) {
        self.awaited = Some(schedule.next_id());
    }

    /// A promotion has ended: its server has the whole limit to become a primary.
    pub(super) fn command_ended(&mut self) {
        self.missing = None;
    }

    /// Is there nothing under way that a recording would have to contain.
    pub(super) fn is_at_rest(&self) -> bool {
        self.fencing.is_none()
            && self.retry_at.is_none()
            && self.unfencing.is_none()
            && self.unfence_at.is_none()
            && self.missing.is_none()
            && self.awaited.is_none()
    }

    pub(super) fn next_deadline(&self, config: &Config) -> Option<Monotonic> {
        let given_up = self.given_up_at(config);
        let due = [self.retry_at, self.unfence_at, given_up];
        due.into_iter().flatten().min()
    }

    /// When our own server is given up, unless it is seen as a primary before.
    pub(super) fn given_up_at(&self, config: &Config) -> Option<Monotonic> {
        let missing = self.missing?;
        // Of a poll that hung until the limit the next one has time to be answered: this daemon may
        // have been stopped meanwhile, and the server's part of a log-in was late for that.
        let again = config.fence().map_or(Duration::ZERO, |it| it.renew);
        Some((missing.since + config.failover_lag).max(missing.noticed + again))
    }

    /// Rule H5: is it time to give up our own server, which has been as it is `seen` since then.
    pub(super) fn is_missing_too_long(
        &mut self,
        (seen, since): (Seen, Monotonic),
        config: &Config,
        now: Monotonic,
    ) -> bool {
        if matches!(seen, Seen::Primary | Seen::Alive) {
            self.missing = None;
            return false;
        }
        self.missing.get_or_insert(Missing {
            since,
            noticed: now,
        });
        self.given_up_at(config).is_some_and(|at| at <= now)
    }
}
