//! What a decision says of lag, acted on: the alert, the command, the measurement.

use super::turn::Turn;
use super::{Alert, CommandPurpose, Effect, Metric};
use crate::config::Config;
use crate::failover::{Decision, LagChange};
use crate::time::Monotonic;

/// Is lag over the warning limit.
#[derive(Debug, Default)]
pub(super) struct LagWarning {
    since: Option<Monotonic>,
}

impl LagWarning {
    pub(super) fn is_raised(&self) -> bool {
        self.since.is_some()
    }

    /// Since when it has been.
    pub(super) fn since(&self) -> Option<Monotonic> {
        self.since
    }

    /// This node is a primary now.
    pub(super) fn forget(&mut self) {
        self.since = None;
    }

    pub(super) fn follow(&mut self, decision: &Decision, config: &Config, turn: &mut Turn<'_>) {
        match decision.lag.change {
            LagChange::None => {}
            LagChange::Raised => {
                self.since = Some(turn.now.mono);
                turn.push(Effect::RaiseAlert {
                    alert: Alert::ReplicationDelay,
                    text: decision.verdict.to_string(),
                });
                if let Some(command) = config.over_warning_limit_command.clone() {
                    turn.run(CommandPurpose::LagWarning, command, config);
                }
            }
            LagChange::Cleared => {
                self.since = None;
                turn.push(Effect::ClearAlert(Alert::ReplicationDelay));
            }
        }
    }
}

/// Not on fresh facts as well: that is the same decision, continued.
pub(super) fn measure(decision: &Decision, turn: &mut Turn<'_>) {
    let lag = decision.lag.lag.map(Metric::ReplicationLag);
    let ignored = decision
        .disconnect_ignored
        .then_some(Metric::DisconnectIgnored);
    turn.effects
        .extend(lag.into_iter().chain(ignored).map(Effect::Measure));
}
