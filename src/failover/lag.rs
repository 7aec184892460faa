//! Rule 2: this node's replication lag against the warning limit and the failover limit.

use std::time::Duration;

use super::Snapshot;
use crate::cluster::NodeState;
use crate::config::Config;
use crate::time::Monotonic;

/// What this node's lag says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LagReading {
    /// The lag as last known; `None` while restoring or catching up, and before it is known.
    pub lag: Option<Duration>,
    /// It was measured, and does not stand for the time without a primary.
    pub is_measured: bool,
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
            is_measured: self.is_measured,
            ..Self::default()
        }
    }
}

/// Reads the lag of our own node. Where it was never known and no primary is reached, the time since
/// the last evidence of one stands in for it.
pub(super) fn read(snapshot: &Snapshot<'_>, own: &NodeState) -> LagReading {
    let (config, warned) = (snapshot.config, snapshot.lag_warning);
    let is_standby = own.answer.as_ref().is_some_and(|answer| answer.in_recovery);
    if is_standby && is_catching_up(config, own, snapshot.now) {
        return LagReading::default();
    }
    let is_measured = own.replication_lag.is_some();
    let never_seen = snapshot.remembered.is_none() && snapshot.map.connected_primaries.is_empty();
    let Some(lag) = own.replication_lag.or_else(|| silence(snapshot)) else {
        return LagReading::default();
    };
    // Fresh facts decide on the failover only: the warning changes with the regular decision.
    let change = match (warned, lag >= config.warning_lag) {
        _ if snapshot.fresh || never_seen => LagChange::None,
        (false, true) => LagChange::Raised,
        (true, false) => LagChange::Cleared,
        _ => LagChange::None,
    };
    let over_failover_limit =
        change == LagChange::None && !never_seen && lag >= config.failover_lag;
    LagReading {
        lag: Some(lag),
        is_measured,
        change,
        over_failover_limit,
    }
}

/// How long no primary has been known alive, once one was known.
fn silence(snapshot: &Snapshot<'_>) -> Option<Duration> {
    if snapshot.remembered.is_none() || !snapshot.map.connected_primaries.is_empty() {
        return None;
    }
    let evidence = snapshot.evidence()?;
    Some(snapshot.now.since(evidence.at))
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
