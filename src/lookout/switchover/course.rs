//! How a switchover goes: checked, our own server stopped under its lease, the term released for the
//! successor once that has everything, and the successor awaited. Whatever fails before the release leads
//! back: the server is started again under the same lease.

use std::time::Duration;

use super::checks::Check;
use super::{Facts, Stage, Switchover, SwitchoverState};
use crate::cluster::{ControlData, DatabaseState, Lsn, NodeAnswer, NodeState};
use crate::config::{Config, DemoteSettings, NodeName, VoterName};
use crate::lookout::decisions::Decisions;
use crate::lookout::schedule::Schedule;
use crate::lookout::tenure::Seen;
use crate::lookout::turn::Turn;
use crate::lookout::{CommandId, CommandOutcome, CommandPurpose, Effect, SwitchoverRequest};
use crate::time::Monotonic;
use crate::votes::Stage as Held;

impl Decisions {
    pub(in crate::lookout) fn switchover_requested(
        &mut self,
        request: SwitchoverRequest,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        if let Some(known) = &self.switchover {
            if known.request.id == request.id {
                return;
            }
            if known.is_running() {
                let to = &known.request.to;
                turn.warning(format!("another switchover, to {to}, is under way"));
                return;
            }
        }
        let now = turn.now.mono;
        let kind = if request.dry_run { " (dry run)" } else { "" };
        turn.info(format!("switchover to {} was asked for{kind}", request.to));
        let times = config.voting.as_ref().map(|voting| voting.vote_timeout);
        let longest = config.poll_timeout.max(config.poll_interval);
        let patience = times.unwrap_or_default().max(longest) + CHECKS;
        let facts = Facts {
            until: now + patience,
            control: None,
            written: None,
            received: None,
        };
        self.switchover = Some(Switchover {
            request,
            began: now,
            term: self.votes.held(config).map_or(0, |held| held.term()),
            stage: Stage::Checking(facts),
            poll_at: now,
            steps: Vec::new(),
        });
        self.votes.renew_now(config, now);
        if let Some(demotion) = config.demotion() {
            turn.push(Effect::ReadControl(demotion.data_directory.clone()));
        }
        self.follow_switchover(config, schedule, turn);
    }

    pub(in crate::lookout) fn control_read(
        &mut self,
        outcome: Result<ControlData, String>,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let system = self.facts.state.system(config.own_db.as_ref());
        let outcome = outcome.and_then(|data| match system {
            Some(ours) if ours != data.system => Err(format!(
                "it is of system {}, our server of system {ours}",
                data.system
            )),
            _ => Ok(data),
        });
        let Some(mut switchover) = self.switchover.take() else {
            return;
        };
        match &mut switchover.stage {
            Stage::Checking(facts) => facts.control = Some(outcome),
            Stage::Looking { until } => match outcome.and_then(stopped_at) {
                Ok(checkpoint) => {
                    let until = turn.now.mono + CATCH_UP;
                    let text = format!(
                        "the server is shut down, its last checkpoint is at {checkpoint}: {} is to replay it",
                        switchover.request.to
                    );
                    switchover.step(text, turn);
                    switchover.stage = Stage::CatchingUp { checkpoint, until };
                    self.poll_own_anew(&mut switchover, schedule, turn);
                }
                Err(_) if turn.now.mono < *until => {
                    switchover.stage = Stage::LookingAgain { until: *until };
                }
                Err(reason) => {
                    let why = format!("global/pg_control: {reason}");
                    self.go_back(&mut switchover, why, schedule, turn);
                }
            },
            _ => {}
        }
        self.switchover = Some(switchover);
        self.follow_switchover(config, schedule, turn);
    }

    /// A command has ended: false if it was none of ours.
    pub(in crate::lookout) fn switchover_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(mut switchover) = self.switchover.take() else {
            return false;
        };
        let is_ours = match &switchover.stage {
            Stage::Demoting(running) => *running == id,
            Stage::GoingBack { starting, .. } => *starting == Some(id),
            _ => false,
        };
        if is_ours {
            self.command_over(&mut switchover, outcome, config, schedule, turn);
        }
        self.switchover = Some(switchover);
        if is_ours {
            self.follow_switchover(config, schedule, turn);
        }
        is_ours
    }

    fn command_over(
        &mut self,
        switchover: &mut Switchover,
        outcome: &CommandOutcome,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        if let Stage::GoingBack {
            starting, start_at, ..
        } = &mut switchover.stage
        {
            (*starting, *start_at) = (None, turn.now.mono + START_AGAIN);
            turn.count_failure(CommandPurpose::FollowStart, outcome);
            switchover.step(format!("pg_start_command {outcome}"), turn);
            self.poll_own_anew(switchover, schedule, turn);
            return;
        }
        turn.count_failure(CommandPurpose::Demote, outcome);
        let text = format!("demote_command {outcome}");
        let has_succeeded = *outcome == CommandOutcome::Exited(0);
        match config.demotion().filter(|_| has_succeeded) {
            Some(demotion) => {
                switchover.step(text, turn);
                let until = turn.now.mono;
                switchover.stage = Stage::Looking { until };
                turn.push(Effect::ReadControl(demotion.data_directory.clone()));
            }
            None => self.go_back(switchover, text, schedule, turn),
        }
    }

    /// Is our own server being stopped as planned, or known to be down by that: nobody may start it.
    pub(in crate::lookout) fn is_stopping_server(&self) -> bool {
        let stage = self.switchover.as_ref().map(|it| &it.stage);
        matches!(
            stage,
            Some(
                Stage::Demoting(_)
                    | Stage::Looking { .. }
                    | Stage::LookingAgain { .. }
                    | Stage::CatchingUp { .. }
                    | Stage::Releasing { .. }
            )
        )
    }

    /// Does what the facts and the time ask for.
    pub(in crate::lookout) fn follow_switchover(
        &mut self,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let Some(mut switchover) = self.switchover.take_if(|it| it.is_running()) else {
            return;
        };
        self.advance(&mut switchover, config, schedule, turn);
        let now = turn.now.mono;
        if switchover.poll_at <= now && switchover.next_deadline().is_some() {
            switchover.poll_at = now + POLL;
            let polled = switchover.polled(config.own_db.as_ref());
            polled.for_each(|node| schedule.expedite_node(node, now));
        }
        self.switchover = Some(switchover);
    }

    fn advance(
        &mut self,
        switchover: &mut Switchover,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        match &switchover.stage {
            Stage::Checking(_) => self.check(switchover, config, turn),
            Stage::Demoting(_) | Stage::Looking { .. } => {
                self.fail_without_lease(switchover, config, turn);
            }
            Stage::LookingAgain { until } => {
                let until = *until;
                self.look_again(switchover, until, config, turn);
            }
            Stage::Resuming { until } => {
                let until = *until;
                self.resume(switchover, until, config, turn);
            }
            Stage::CatchingUp { checkpoint, until } => {
                let (checkpoint, is_over) = (*checkpoint, *until <= now);
                self.catch_up(switchover, (checkpoint, is_over), config, schedule, turn);
            }
            Stage::Releasing { until } => {
                let (to, term, until) = (&switchover.request.to, switchover.term, *until);
                if self.votes.held(config).is_none() {
                    let text = format!("term {term} is released, the next votes are {to}'s");
                    switchover.step(text, turn);
                    (switchover.stage, switchover.poll_at) = (Stage::Awaiting { until }, now);
                } else if until <= now {
                    let text = "the vote file could not be written: this server is down".to_owned();
                    switchover.end(SwitchoverState::Failed, text, turn);
                }
            }
            Stage::Awaiting { until } => {
                let until = *until;
                self.await_successor(switchover, until, config, turn);
            }
            Stage::GoingBack { .. } => self.start_again(switchover, config, turn),
            Stage::Over(_) => {}
        }
    }

    /// Rule S1, and the beginning of S2.
    fn check(&mut self, switchover: &mut Switchover, config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let checks = self.checks(switchover, config, now);
        let Stage::Checking(facts) = &switchover.stage else {
            return;
        };
        let is_met = checks.iter().all(Check::is_met);
        let is_final = checks.iter().any(Check::is_final);
        if !is_met && !is_final && now < facts.until {
            return;
        }
        let demotion = config.demotion().filter(|_| is_met);
        let refused = checks.iter().filter(|check| !check.is_met());
        let refused: Vec<_> = refused.map(|check| check.text().to_owned()).collect();
        for check in &checks {
            switchover.step(check.to_string(), turn);
        }
        match demotion {
            Some(_) if switchover.request.dry_run => {
                let text = "a dry run: nothing was changed".to_owned();
                switchover.end(SwitchoverState::Possible, text, turn);
            }
            Some(demotion) => self.demote(switchover, demotion, config, turn),
            None => {
                let text = format!("nothing was changed: {}", refused.join("; "));
                switchover.end(SwitchoverState::Refused, text, turn);
            }
        }
    }

    fn demote(
        &mut self,
        switchover: &mut Switchover,
        demotion: &DemoteSettings,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let id = turn.run(CommandPurpose::Demote, demotion.command.clone(), config);
        let limit = demotion.timeout.as_secs_f64();
        let text = format!("stopping the server by demote_command, for at most {limit} s");
        switchover.step(text, turn);
        switchover.stage = Stage::Demoting(id);
    }

    /// Says whether there is no lease any more: the server is fenced then, as ever.
    pub(super) fn fail_without_lease(
        &mut self,
        switchover: &mut Switchover,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        let term = switchover.term;
        let held = self.votes.held(config);
        let has_lease = held.is_some_and(|held| {
            (held.term(), held.stage()) == (term, Held::Holding)
                && held.lease(turn.now.mono).is_some()
        });
        if has_lease {
            return false;
        }
        let running = match &switchover.stage {
            Stage::Demoting(id) => Some(*id),
            Stage::GoingBack { starting, .. } => *starting,
            _ => None,
        };
        turn.effects.extend(running.map(Effect::EndCommand));
        let text = format!(
            "term {term} is not held any more: this server is down, and another is elected as in any outage"
        );
        switchover.end(SwitchoverState::Failed, text, turn);
        true
    }

    /// The last answer of this standby to ourselves.
    fn standby(&self, node: &NodeName) -> Option<&NodeAnswer> {
        let answer = self.facts.state.nodes.get(node)?.answer.as_ref();
        answer.filter(|answer| answer.in_recovery)
    }

    /// Rule S3: the successor has everything, and our server was polled since it was stopped: nobody has
    /// started it again past the gate. What has more than was written here streams from another server.
    fn catch_up(
        &mut self,
        switchover: &mut Switchover,
        (checkpoint, is_over): (Lsn, bool),
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        if self.fail_without_lease(switchover, config, turn) {
            return;
        }
        let standby = self.standby(&switchover.request.to);
        let replayed = standby.and_then(|answer| answer.replay);
        let has_all = replayed > Some(checkpoint);
        let end = checkpoint.bytes().saturating_add(CHECKPOINT_BYTES);
        let beyond = standby.map(NodeAnswer::position);
        let beyond = beyond.filter(|position| position.bytes() > end);
        let (seen, is_awaited) = (self.own_server_seen(config), self.tenure.awaited.is_some());
        if seen != Seen::Nothing {
            let text = "this server was started again".to_owned();
            self.go_back(switchover, text, schedule, turn);
        } else if let Some(position) = beyond {
            let to = &switchover.request.to;
            let text = format!(
                "{to} is at {position}, beyond the last checkpoint of this server at {checkpoint}: it has WAL of another one"
            );
            self.go_back(switchover, text, schedule, turn);
        } else if has_all && !is_awaited {
            self.release_for(switchover, replayed, config, turn);
        } else if is_over {
            let (to, limit) = (&switchover.request.to, CATCH_UP.as_secs());
            let at = replayed.map_or_else(|| "nothing".to_owned(), |at| at.to_string());
            let text = match has_all {
                true => format!("a poll of this server has not ended after {limit} s"),
                false => {
                    format!("{to} has replayed {at} after {limit} s, {checkpoint} is needed")
                }
            };
            self.go_back(switchover, text, schedule, turn);
        }
    }

    fn release_for(
        &mut self,
        switchover: &mut Switchover,
        replayed: Option<Lsn>,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let (to, replayed) = (&switchover.request.to, replayed.unwrap_or_default());
        let voter = VoterName::from(to.as_str());
        if !self.votes.hand_over(&voter, config, turn) {
            return;
        }
        let text = format!(
            "{to} has replayed {replayed}, which is all: releasing term {}",
            switchover.term
        );
        switchover.step(text, turn);
        let until = turn.now.mono + AWAIT;
        switchover.stage = Stage::Releasing { until };
    }

    fn await_successor(
        &mut self,
        switchover: &mut Switchover,
        until: Monotonic,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let to = switchover.request.to.clone();
        let record = self.votes.own(config).map(|own| own.voter().record());
        let elected = record.filter(|record| record.term > switchover.term);
        let elected = elected.and_then(|record| {
            let mandate = record.voted_for.as_ref()?;
            Some((mandate.candidate.to_string(), record.term))
        });
        let winner = elected.as_ref().map(|(winner, _)| winner.as_str().into());
        let node = winner.and_then(|node: NodeName| self.facts.state.nodes.get(&node));
        let is_primary = node.is_some_and(NodeState::is_connected_primary);
        match elected {
            Some((winner, term)) if is_primary => {
                let text = format!("{winner} holds term {term}, and is the primary");
                let state = match winner == to.as_str() {
                    true => SwitchoverState::Done,
                    false => SwitchoverState::Failed,
                };
                switchover.end(state, text, turn);
            }
            _ if until <= turn.now.mono => {
                let limit = AWAIT.as_secs();
                let vote = elected.map_or_else(
                    || "no vote was asked for since".to_owned(),
                    |(winner, term)| format!("this voter has voted for {winner} in term {term}"),
                );
                let text = format!(
                    "{to} is not seen as the primary {limit} s after the release: {vote}; this server is down, look at pglookout explain on the other hosts"
                );
                switchover.end(SwitchoverState::Failed, text, turn);
            }
            _ => {}
        }
    }
}

/// Rule S3: where the last checkpoint of a server begins that was stopped as a primary.
fn stopped_at(data: ControlData) -> Result<Lsn, String> {
    match data.state {
        DatabaseState::ShutDown if data.has_pid_file => {
            Err("there is a postmaster.pid: a server runs".to_owned())
        }
        DatabaseState::ShutDown => Ok(data.checkpoint),
        state => Err(format!("the server is {state}, not shut down")),
    }
}

/// From one poll of whoever is waited for to the next.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// The checks are given so much longer than a poll, a voter's answer, or the time between two polls: on an
/// idle primary another daemon may be the one that writes.
const CHECKS: Duration = Duration::from_secs(3);
/// The record of a checkpoint is no longer, with the page headers in it: the last one of a server that is shut
/// down.
const CHECKPOINT_BYTES: u64 = 1 << 10;
/// For so long the successor may replay what was written last.
const CATCH_UP: Duration = Duration::from_secs(10);
/// For so long the successor may be elected, which is as long as its votes are reserved, and promoted.
const AWAIT: Duration = Duration::from_secs(40);
/// From one end of the start command to the next attempt.
const START_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
