//! How a switchover goes on in the process that comes after the one that began it. Its server may be down,
//! being stopped or running still; what the control file says decides, as after the command.

use super::course::POLL;
use super::{Stage, Switchover, SwitchoverState};
use crate::config::Config;
use crate::lookout::Effect;
use crate::lookout::decisions::Decisions;
use crate::lookout::turn::Turn;
use crate::time::Monotonic;
use crate::votes::Stage as Held;

impl Decisions {
    /// Without the lease of its term nothing is done for it: the server may have been fenced, and another be
    /// elected.
    pub(super) fn resume(
        &mut self,
        switchover: &mut Switchover,
        until: Monotonic,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let (term, now) = (switchover.term, turn.now.mono);
        let held = self.votes.held(config);
        // The vote file may not be read yet.
        let is_unread = held.is_none() && self.votes.own(config).is_none();
        let can_be = match held {
            Some(held) => {
                held.term() == term && !matches!(held.stage(), Held::Fencing { .. } | Held::Leaving)
            }
            None => is_unread,
        };
        let has_lease = held.is_some_and(|held| {
            can_be && held.stage() == Held::Holding && held.lease(now).is_some()
        });
        match config.demotion() {
            Some(demotion) if has_lease => {
                let text = format!("the lease of term {term} is renewed: looking at the server");
                switchover.step(text, turn);
                // The command may run still.
                let until = now + demotion.timeout;
                switchover.stage = Stage::Looking { until };
                turn.push(Effect::ReadControl(demotion.data_directory.clone()));
            }
            Some(_) if can_be && now < until => {}
            _ => {
                let text = format!(
                    "this daemon was restarted on the way, and has no lease for term {term} any more: if this server is \
                     down, another is elected as in any outage"
                );
                switchover.end(SwitchoverState::Failed, text, turn);
            }
        }
    }

    /// The server was not shut down, and may be so by now.
    pub(super) fn look_again(
        &mut self,
        switchover: &mut Switchover,
        until: Monotonic,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        if self.fail_without_lease(switchover, config, turn) || switchover.poll_at > now {
            return;
        }
        if let Some(demotion) = config.demotion() {
            (switchover.stage, switchover.poll_at) = (Stage::Looking { until }, now + POLL);
            turn.push(Effect::ReadControl(demotion.data_directory.clone()));
        }
    }
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
