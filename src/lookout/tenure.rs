//! The term that this daemon holds, and its own server: what is under way with it.

use super::{CommandId, ProbeId};
use crate::config::Config;
use crate::time::Monotonic;

/// What is under way with the server of a term that is held.
#[derive(Debug, Default)]
pub(super) struct Tenure {
    pub(super) fencing: Option<CommandId>,
    /// The fence command has failed, and is run again then.
    pub(super) retry_at: Option<Monotonic>,
    /// Since when our own server is not seen as a primary.
    pub(super) missing_since: Option<Monotonic>,
    /// It was fenced: only this poll of it, or a later one, says what it is now.
    pub(super) awaited: Option<ProbeId>,
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

    /// A promotion has ended: its server has the whole limit to become a primary.
    pub(super) fn command_ended(&mut self) {
        self.missing_since = None;
    }

    /// Is there nothing under way that a recording would have to say.
    pub(super) fn is_at_rest(&self) -> bool {
        self.fencing.is_none()
            && self.retry_at.is_none()
            && self.missing_since.is_none()
            && self.awaited.is_none()
    }

    pub(super) fn next_deadline(&self, config: &Config) -> Option<Monotonic> {
        let given_up = self.given_up_at(config);
        self.retry_at.into_iter().chain(given_up).min()
    }

    /// When our own server is given up, unless it is seen as a primary before.
    pub(super) fn given_up_at(&self, config: &Config) -> Option<Monotonic> {
        self.missing_since.map(|since| since + config.failover_lag)
    }

    /// Rule H5. Says whether it is time.
    pub(super) fn is_missing_too_long(
        &mut self,
        seen: Seen,
        config: &Config,
        now: Monotonic,
    ) -> bool {
        if matches!(seen, Seen::Primary | Seen::Alive) {
            self.missing_since = None;
            return false;
        }
        let since = *self.missing_since.get_or_insert(now);
        now.since(since) >= config.failover_lag
    }
}
