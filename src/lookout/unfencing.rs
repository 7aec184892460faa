//! A server that our own fence has stopped is started again, by `unfence_command`, once a majority has renewed
//! the lease of its term (rule H3): a loss of the voters that is short then costs a restart, not a failover.
//! One that has stopped otherwise may be so because an operator stopped it, and is left alone.

use std::time::Duration;

use super::decisions::Decisions;
use super::schedule::Schedule;
use super::tenure::Seen;
use super::turn::Turn;
use super::votes;
use super::{CommandId, CommandOutcome, CommandPurpose};
use crate::config::{Config, FenceSettings};
use crate::time::Monotonic;
use crate::votes::Stage;

impl Decisions {
    /// Does what is due, where the held term is at this stage.
    pub(super) fn unfence(
        &mut self,
        stage: Option<Stage>,
        seen: Seen,
        fence: &FenceSettings,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let is_waiting = stage == Some(Stage::Waiting { is_fenced: true });
        let is_up = seen != Seen::Nothing;
        if is_up || !(is_waiting || stage == Some(Stage::Holding)) {
            (self.tenure.is_fenced, self.tenure.unfence_at) = (false, None);
        }
        // Over once it has passed: what else is waited for comes with an event.
        self.tenure.unfence_at = self.tenure.unfence_at.filter(|at| *at > now);
        let Some(command) = fence.unfence.as_ref().filter(|_| self.tenure.is_fenced) else {
            return;
        };
        let is_due = self.tenure.unfence_at.is_none();
        let is_busy = self.tenure.unfencing.is_some() || self.tenure.awaited.is_some();
        if is_busy || !is_due || !matches!(self.gate(config, now), Some(Ok(_))) {
            return;
        }
        turn.warning(
            "a majority has renewed the lease: starting the fenced server by unfence_command"
                .to_owned(),
        );
        let id = turn.run(CommandPurpose::Unfence, command.clone(), config);
        (self.tenure.unfencing, self.tenure.unfence_at) = (Some(id), None);
    }

    /// A command has ended: false if it was another.
    pub(super) fn unfence_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) -> bool {
        if self.tenure.unfencing != Some(id) {
            return false;
        }
        turn.count_failure(CommandPurpose::Unfence, outcome);
        let text = format!("unfence_command {outcome}");
        match outcome {
            CommandOutcome::Exited(0) => turn.info(text),
            _ => turn.error(text),
        }
        self.tenure.unfencing = None;
        self.tenure.unfence_at = Some(turn.now.mono + AGAIN);
        self.await_own_server(config, schedule, turn);
        self.follow_tenure(config, turn);
        true
    }

    /// Until when our own server, which is down, may be started as a primary; else why it may not. A lease
    /// that lasts for twice `fence_timeout` more is neither lost nor given up while it starts.
    pub(super) fn gate(
        &self,
        config: &Config,
        now: Monotonic,
    ) -> Option<Result<Monotonic, String>> {
        let fence = votes::fencing(config)?;
        let Some(holder) = self.votes.held(config) else {
            return Some(Err("this daemon holds no term".to_owned()));
        };
        let term = holder.term();
        let needed = fence.timeout.saturating_mul(2);
        let lease = holder
            .lease(now)
            .filter(|_| holder.stage() == Stage::Holding);
        let given_up = self.tenure.given_up_at(config);
        if self.is_stopping_server() {
            return Some(Err(format!("the server of term {term} is being stopped")));
        }
        let until = lease.map(|lease| given_up.map_or(lease, |at| at.min(lease)));
        Some(match until {
            Some(until) if until >= now + needed => Ok(until),
            Some(_) => Err(format!("the lease of term {term} is nearly over")),
            None => Err(format!("there is no lease for term {term}")),
        })
    }
}

/// From one end of the command to the next run, while the server is down.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "unfencing_tests.rs"]
mod tests;
