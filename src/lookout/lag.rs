//! What a decision reports of lag, acted on: the alert, the command, the measurement.

use super::turn::Turn;
use super::{Alert, CommandPurpose, Effect, Metric};
use crate::config::Config;
use crate::failover::{Decision, LagChange};

/// Is lag over the warning limit.
#[derive(Debug, Default)]
pub(super) struct LagWarning {
    is_raised: bool,
}

impl LagWarning {
    /// Whether the previous process left the alert standing.
    pub(super) fn recall(is_raised: bool) -> Self {
        Self { is_raised }
    }

    pub(super) fn is_raised(&self) -> bool {
        self.is_raised
    }

    /// This node is a primary now.
    pub(super) fn forget(&mut self) {
        self.is_raised = false;
    }

    pub(super) fn follow(&mut self, decision: &Decision, config: &Config, turn: &mut Turn<'_>) {
        match decision.lag.change {
            LagChange::None => {}
            LagChange::Raised => {
                self.is_raised = true;
                turn.push(Effect::RaiseAlert {
                    alert: Alert::ReplicationDelay,
                    text: decision.verdict.to_string(),
                });
                if let Some(command) = config.over_warning_limit_command.clone() {
                    turn.run(CommandPurpose::LagWarning, command, config);
                }
            }
            LagChange::Cleared => {
                self.is_raised = false;
                turn.push(Effect::ClearAlert(Alert::ReplicationDelay));
            }
        }
    }
}

/// Not on fresh facts as well: that is the same decision, continued.
pub(super) fn measure(decision: &Decision, turn: &mut Turn<'_>) {
    let lag = decision.lag.lag.filter(|_| decision.lag.is_measured);
    let lag = lag.map(Metric::ReplicationLag);
    let ignored = decision
        .disconnect_ignored
        .then_some(Metric::DisconnectIgnored);
    turn.effects
        .extend(lag.into_iter().chain(ignored).map(Effect::Measure));
}
