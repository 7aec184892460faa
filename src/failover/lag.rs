//! Rule 2: this node's replication lag against the warning limit and the failover limit.

use std::time::Duration;

use crate::cluster::NodeState;
use crate::config::Config;
use crate::time::Monotonic;

/// What this node's lag says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LagReading {
    /// The lag as last known; `None` while restoring or catching up, and before it is known.
    pub lag: Option<Duration>,
    /// What becomes of the lag warning.
    pub change: LagChange,
    /// It was over the warning limit before already, and is over the failover limit.
    pub over_failover_limit: bool,
}

/// What becomes of the lag warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LagChange {
    /// It stays as it was.
    #[default]
    None,
    /// Lag has crossed the warning limit.
    Raised,
    /// Lag is back under it.
    Cleared,
}

impl LagReading {
    /// The same, where the rule that looks at lag was not reached.
    pub(super) fn unchanged(self) -> Self {
        Self {
            lag: self.lag,
            ..Self::default()
        }
    }
}

/// Reads the lag of our own node. `warned`: it was over the warning limit at an earlier decision.
pub(super) fn read(config: &Config, own: &NodeState, warned: bool, now: Monotonic) -> LagReading {
    if is_catching_up(config, own, now) {
        return LagReading::default();
    }
    let Some(lag) = own.replication_lag else {
        return LagReading::default();
    };
    let change = match (warned, lag >= config.warning_lag) {
        (false, true) => LagChange::Raised,
        (true, false) => LagChange::Cleared,
        _ => LagChange::None,
    };
    let over_failover_limit = change == LagChange::None && lag >= config.failover_lag;
    LagReading {
        lag: Some(lag),
        change,
        over_failover_limit,
    }
}

/// Restoring (no receive position yet) or catching up (its lowest lag never came under the warning
/// limit), but not for longer than `replication_catchup_timeout` after streaming began.
pub(super) fn is_catching_up(config: &Config, own: &NodeState, now: Monotonic) -> bool {
    let has_position = own
        .answer
        .as_ref()
        .is_some_and(|answer| answer.receive.is_some());
    let Some(since) = own.streaming_since else {
        return !has_position;
    };
    if now.since(since) > config.catchup_timeout {
        return false;
    }
    !has_position
        || own
            .min_replication_lag
            .is_none_or(|lowest| lowest >= config.warning_lag)
}
