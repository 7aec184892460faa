//! Where this node's own promotion stands: never two commands at once, no second one after a
//! success before our own node was asked again, a pause after each.

use std::time::Duration;

use super::{
    Alert, CommandId, CommandOutcome, CommandPurpose, Effect, FailoverOutcome, Lookout, Memory,
    PastFailover, ProbeId,
};
use crate::config::{CommandLine, Config};
use crate::time::{Monotonic, Now};

/// The state of our own promotion.
#[derive(Debug, Default)]
pub(super) struct Promotion {
    running: Option<CommandId>,
    /// The command of a former process runs, and its end will be told.
    former_runs: bool,
    /// The command ended with 0; a poll of our own node that is this one or a later one ends the
    /// wait.
    settled_by: Option<ProbeId>,
    /// The command has ended, or could not be run; it is not repeated before this.
    pub(super) tried_until: Option<Monotonic>,
    /// No decision before this.
    paused_until: Option<Monotonic>,
    /// The alert `failover_failed` was raised.
    failed: bool,
    /// The last run, while its outage lasts.
    last: Option<PastFailover>,
    /// After a restart: no promotion before this, unless our own node tells that it is a primary.
    held_off_until: Option<Monotonic>,
}

impl Promotion {
    /// What a former process has left. Its command may still run, or the server may be about to do
    /// what it was told: nothing is repeated sooner than the former process would have done it.
    pub(super) fn recall(memory: &Memory, config: &Config, now: Monotonic) -> Self {
        let mut promotion = Self {
            failed: memory.failover_failed,
            last: memory.failover.clone(),
            ..Self::default()
        };
        let is_watched = |last: &PastFailover| {
            last.outcome == FailoverOutcome::Running && last.process.is_some()
        };
        if memory.failover.as_ref().is_some_and(is_watched) {
            promotion.former_runs = true;
            return promotion;
        }
        let Some((at, outcome)) = memory
            .failover
            .as_ref()
            .and_then(|last| Some((last.mono?, last.outcome)))
        else {
            return promotion;
        };
        if at <= now {
            let patience = config
                .failover_command_timeout
                .unwrap_or(FORMER_COMMAND_PATIENCE);
            promotion.held_off_until = Some(match outcome {
                FailoverOutcome::Running => at + patience,
                FailoverOutcome::Succeeded | FailoverOutcome::Failed | FailoverOutcome::Unknown => {
                    at + config.check_interval
                }
            });
            promotion.paused_until =
                (outcome != FailoverOutcome::Running).then(|| at + config.failover_pause);
        }
        promotion
    }

    /// What a later process must know: the last run, and whether the alert stands.
    pub(super) fn memory(&self) -> (Option<PastFailover>, bool) {
        (self.last.clone(), self.failed)
    }

    /// A primary is connected: the outage is over. What may still be at work is not forgotten.
    pub(super) fn outage_over(&mut self, now: Monotonic) {
        if !self.is_running() && self.held_off(now).is_none() {
            self.last = None;
        }
    }

    fn note(&mut self, outcome: FailoverOutcome, now: Now) {
        if let Some(last) = &mut self.last {
            (last.outcome, last.mono, last.wall, last.process) =
                (outcome, Some(now.mono), now.wall, None);
        }
    }

    /// The next regular decision is due: what was tried may be tried again.
    pub(super) fn regular_decision_due(&mut self) {
        self.tried_until = None;
    }

    /// Ours, or one that a former process has begun.
    pub(super) fn is_running(&self) -> bool {
        self.is_ours_running() || self.former_runs
    }

    pub(super) fn is_ours_running(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn is_unsettled(&self) -> bool {
        self.settled_by.is_some()
    }

    /// The end of the pause that is on.
    pub(super) fn pause(&self, now: Monotonic) -> Option<Monotonic> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Until when the command of a former process may be at work.
    pub(super) fn held_off(&self, now: Monotonic) -> Option<Monotonic> {
        self.held_off_until.filter(|until| *until > now)
    }

    pub(super) fn own_node_polled(&mut self, probe: ProbeId, is_primary: bool) {
        self.settled_by = self.settled_by.filter(|awaited| probe < *awaited);
        self.held_off_until = self.held_off_until.filter(|_| !is_primary);
    }
}

impl Lookout {
    /// Rule 3h.
    pub(super) fn promote(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(command) = self.config.failover_command.clone() else {
            let empty = CommandOutcome::NotStarted(String::new());
            effects.extend(Effect::trouble_with(CommandPurpose::Failover, &empty));
            self.attempt_over(now);
            self.promotion_failed("failover_command is empty", effects);
            return;
        };
        let id = self.run(CommandPurpose::Failover, command, effects);
        self.promotion.running = Some(id);
        self.promotion.last = Some(PastFailover {
            primary: self.remembered.clone(),
            outcome: FailoverOutcome::Running,
            mono: Some(now.mono),
            wall: now.wall,
            process: None,
        });
    }

    pub(super) fn run(
        &mut self,
        purpose: CommandPurpose,
        command: CommandLine,
        effects: &mut Vec<Effect>,
    ) -> CommandId {
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let timeout = match purpose {
            CommandPurpose::Failover => self.config.failover_command_timeout,
            CommandPurpose::LagWarning
            | CommandPurpose::FollowStop
            | CommandPurpose::FollowStart => None,
        };
        effects.push(Effect::RunCommand {
            id,
            purpose,
            command,
            timeout,
        });
        id
    }

    /// A command that we run has ended, or never began.
    pub(super) fn command_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if self.follow_command_exited(id, outcome, now, effects) {
            return;
        }
        if self.promotion.running != Some(id) {
            if *outcome != CommandOutcome::Exited(0) {
                effects.push(Effect::error(format!(
                    "over_warning_limit_command {outcome}"
                )));
                effects.extend(Effect::trouble_with(CommandPurpose::LagWarning, outcome));
            }
            return;
        }
        effects.extend(Effect::trouble_with(CommandPurpose::Failover, outcome));
        self.promotion.running = None;
        self.attempt_over(now);
        effects.push(Effect::SaveMemory);
        if let CommandOutcome::NotStarted(_) = outcome {
            self.promotion.last = None;
            self.promotion_failed(&format!("failover_command {outcome}"), effects);
            return;
        }
        let text = format!("failover_command {outcome}");
        if *outcome == CommandOutcome::Exited(0) {
            self.command_has_run(&text, FailoverOutcome::Succeeded, now, effects);
            self.promotion_succeeded(now, effects);
        } else {
            self.command_has_run(&text, FailoverOutcome::Failed, now, effects);
            self.promotion_failed(&text, effects);
        }
    }

    /// The command of a former process has ended. It may have done its work: our own node is asked
    /// before anything else, as after a success.
    pub(super) fn former_command_ended(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !std::mem::take(&mut self.promotion.former_runs) {
            return;
        }
        let text = "the failover_command of a former process has ended, nobody knows how";
        effects.push(Effect::warning(text.to_owned()));
        self.attempt_over(now);
        effects.push(Effect::SaveMemory);
        self.command_has_run(text, FailoverOutcome::Unknown, now, effects);
        self.ask_before_the_next(now);
    }

    /// Whatever came of it.
    fn command_has_run(
        &mut self,
        text: &str,
        outcome: FailoverOutcome,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::RaiseAlert {
            alert: Alert::FailoverHasHappened,
            text: text.to_owned(),
        });
        self.promotion.paused_until = Some(now.mono + self.config.failover_pause);
        self.promotion.note(outcome, now);
    }

    /// Nothing is repeated before our own node has answered a poll that begins from now on;
    /// everybody is asked soon.
    fn ask_before_the_next(&mut self, now: Now) {
        self.promotion.settled_by = Some(self.schedule.next_id());
        self.schedule.hurry_all(now.mono);
    }

    /// Never again at once: a command that fails quickly, or one that leaves the promotion to the
    /// server and returns, would be run again and again. News still make a decision due, as that
    /// our own node has turned primary; they do not shorten this, or a node that comes and goes
    /// would have the command run each time.
    fn attempt_over(&mut self, now: Now) {
        let regular = now.mono + self.config.check_interval;
        self.promotion.tried_until = Some(regular);
        self.schedule.decision = regular;
    }

    fn promotion_succeeded(&mut self, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::warning("failover_command ended well".to_owned()));
        self.warning_since = None;
        effects.push(Effect::ClearAlert(Alert::ReplicationDelay));
        if std::mem::take(&mut self.promotion.failed) {
            effects.push(Effect::ClearAlert(Alert::FailoverFailed));
        }
        self.ask_before_the_next(now);
    }

    fn promotion_failed(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        self.promotion.failed = true;
        effects.push(Effect::error(format!(
            "this node was to be promoted: {reason}"
        )));
        effects.push(Effect::RaiseAlert {
            alert: Alert::FailoverFailed,
            text: reason.to_owned(),
        });
    }
}

/// After a restart the command that a former process started may still run, for all we know for
/// this long, unless `failover_command_timeout` says how long.
const FORMER_COMMAND_PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
#[path = "promotion_tests.rs"]
mod tests;
