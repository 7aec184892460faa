//! When the server of a term that is held is fenced, given up or claimed, and what comes of that. The
//! lease itself is the room `votes`'s.

use super::decisions::Decisions;
use super::schedule::Schedule;
use super::tenure::{Seen, Tenure};
use super::turn::Turn;
use super::votes;
use super::{CommandId, CommandOutcome, CommandPurpose, Effect, ProbeId};
use crate::cluster::{NodeState, ProbeFailure};
use crate::config::{Config, FenceSettings};
use crate::time::Monotonic;
use crate::votes::{Holder, Position, Stage, Standing};

impl Decisions {
    /// A poll of our own server that began then has ended. Where it has failed, the server did not
    /// answer in all of that time.
    pub(super) fn own_server_polled(
        &mut self,
        (probe, began): (ProbeId, Option<Monotonic>),
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        self.tenure.own_node_polled(probe);
        self.follow_tenure_since(began.unwrap_or(turn.now.mono), config, turn);
    }

    /// Does what the held term asks for, by what our own server was seen as last. Without
    /// `fence_command` nothing is held.
    pub(super) fn follow_tenure(&mut self, config: &Config, turn: &mut Turn<'_>) {
        self.follow_tenure_since(turn.now.mono, config, turn);
    }

    /// The same; what our own server is now seen as, it has been since then.
    fn follow_tenure_since(&mut self, since: Monotonic, config: &Config, turn: &mut Turn<'_>) {
        let Some(fence) = votes::fencing(config) else {
            self.tenure = Tenure::default();
            return;
        };
        let (seen, now) = (self.own_server_seen(config), turn.now.mono);
        match self.votes.held(config).map(Holder::stage) {
            None => {
                self.tenure.missing = None;
                if seen == Seen::Primary {
                    self.claim(config, turn);
                }
            }
            Some(Stage::Entering | Stage::Leaving) => self.tenure.missing = None,
            Some(stage @ (Stage::Holding | Stage::Waiting { is_fenced: false })) => {
                self.watch_own_server(stage, (seen, since), config, turn);
            }
            Some(Stage::Waiting { is_fenced: true }) => {
                (self.tenure.missing, self.tenure.is_fenced) = (None, true);
                match seen {
                    // Rule H7: it was started without a lease.
                    Seen::Primary | Seen::Alive => self.votes.primary_runs(config, now),
                    Seen::Standby => self.votes.standby_runs(config, turn),
                    Seen::Nothing => {}
                }
            }
            Some(Stage::Fencing { .. }) => {}
        }
        let stage = self.votes.held(config).map(Holder::stage);
        self.unfence(stage, seen, fence, config, turn);
        let is_fencing = matches!(stage, Some(Stage::Fencing { .. }));
        match is_fencing {
            true => self.fence(fence, config, turn),
            false => self.tenure.retry_at = None,
        }
    }

    /// Of a term with a lease, or of one that the process before us has held.
    fn watch_own_server(
        &mut self,
        stage: Stage,
        (seen, since): (Seen, Monotonic),
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        // What it is to become is not known yet, or it is stopped as planned.
        if self.promotion.is_running() || self.is_stopping_server() {
            self.tenure.missing = None;
            return;
        }
        let has_returned = stage != Stage::Holding;
        if has_returned && matches!(seen, Seen::Primary | Seen::Alive) {
            self.votes.primary_runs(config, now);
        }
        // Rule C7.
        let is_left_over = has_returned && seen == Seen::Standby;
        if is_left_over {
            turn.warning(
                "this server is a standby, and the previous pglookout process may have begun to promote it: fencing"
                    .to_owned(),
            );
            self.votes.give_up(config);
        } else if self.tenure.is_missing_too_long((seen, since), config, now) {
            let limit = config.failover_lag.as_secs_f64();
            turn.error(format!(
                "this server was not reached as a primary for {limit} s: fencing, then giving up its term"
            ));
            self.votes.give_up(config);
        }
    }

    /// Rule H2: runs the fence command, until one has succeeded.
    fn fence(&mut self, fence: &FenceSettings, config: &Config, turn: &mut Turn<'_>) {
        self.tenure.missing = None;
        let is_due = self.tenure.retry_at.is_none_or(|at| at <= turn.now.mono);
        if self.tenure.fencing.is_some() || !is_due {
            return;
        }
        self.tenure.retry_at = None;
        // A promotion, or a start, that goes on would undo it.
        let begun = [self.promotion.running(), self.tenure.unfencing];
        let ended = begun.into_iter().flatten().map(Effect::EndCommand);
        turn.effects.extend(ended);
        let id = turn.run(CommandPurpose::Fence, fence.command.clone(), config);
        self.tenure.fencing = Some(id);
    }

    /// A command has ended: false if it was no fence.
    pub(super) fn fence_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) -> bool {
        if self.tenure.fencing != Some(id) {
            return false;
        }
        self.tenure.fencing = None;
        turn.count_failure(CommandPurpose::Fence, outcome);
        let text = format!("fence_command {outcome}");
        if *outcome == CommandOutcome::Exited(0) {
            turn.warning(text);
            self.votes.fence_failed(String::new(), turn);
            self.await_own_server(config, schedule, turn);
            self.votes.fenced(config, turn);
        } else {
            turn.error(text.clone());
            self.votes.fence_failed(text, turn);
            let pause = votes::fencing(config).map(|fence| fence.timeout);
            self.tenure.retry_at = pause.map(|pause| turn.now.mono + pause);
        }
        self.follow_tenure(config, turn);
        true
    }

    /// A command has changed our own server.
    pub(super) fn await_own_server(
        &mut self,
        config: &Config,
        schedule: &mut Schedule,
        turn: &Turn<'_>,
    ) {
        self.tenure.await_poll(schedule);
        if let Some(own) = &config.own_db {
            schedule.expedite_node(own, turn.now.mono);
        }
    }

    /// Our server is a primary, and there is no lease for it. Where there are several, or another has taken
    /// its place, an operator has to choose.
    fn claim(&mut self, config: &Config, turn: &mut Turn<'_>) {
        let (own, now) = (config.own_db.as_ref(), turn.now.mono);
        if self.votes.standing(config, now) != Some(Standing::Free)
            || self.facts.map(config, now).sole_primary() != own
        {
            return;
        }
        let state = &self.facts.state;
        let answer = own.and_then(|own| state.nodes.get(own)?.answer.as_ref());
        let position = answer.and_then(|answer| {
            Some(Position {
                timeline: own.and_then(|own| state.timeline(own)),
                lsn: answer.receive.max(answer.replay)?,
            })
        });
        let server = self.own_server(config, now);
        self.votes.claim(config, position, &server, turn);
    }

    pub(super) fn own_server_seen(&self, config: &Config) -> Seen {
        let own = config.own_db.as_ref();
        let node = own.and_then(|own| self.facts.state.nodes.get(own));
        let is_alive = |node: &NodeState| {
            let failure = node.failure.as_ref();
            failure.is_some_and(ProbeFailure::is_living_refusal)
        };
        match node {
            _ if self.tenure.awaited.is_some() => Seen::Nothing,
            Some(node) if node.is_connected_primary() => Seen::Primary,
            Some(node) if node.is_connected() && node.answer.is_some() => Seen::Standby,
            Some(node) if is_alive(node) => Seen::Alive,
            Some(_) | None => Seen::Nothing,
        }
    }
}

#[cfg(test)]
#[path = "fencing_tests.rs"]
mod tests;
