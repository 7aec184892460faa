//! Where this node's own promotion stands: never two commands at once, no second one after a
//! success before our own node was asked again, a pause after each.

use std::time::Duration;

use super::schedule::Schedule;
use super::turn::Turn;
use super::{
    Alert, CommandId, CommandOutcome, CommandPurpose, Effect, FailoverOutcome, Memory,
    PastFailover, PreviousCommand, ProbeId, Process,
};
use crate::cluster::DaemonState;
use crate::config::{Config, NodeName};
use crate::failover::Blocker;
use crate::time::Monotonic;

/// The state of our own promotion.
#[derive(Debug, Default)]
pub(super) struct Promotion {
    running: Option<CommandId>,
    /// The term in which this daemon was elected to run it.
    term: Option<u64>,
    /// The command of the previous process runs, and news of it will come.
    previous_runs: bool,
    /// The command ended with 0; a poll of our own node that is this one or a later one ends the
    /// wait.
    settled_by: Option<ProbeId>,
    /// The command has ended, or could not be run; it is not repeated before this.
    tried_until: Option<Monotonic>,
    /// No decision before this.
    paused_until: Option<Monotonic>,
    /// The alert `failover_failed` was raised.
    failed: bool,
    /// How often the command succeeded in this outage, and promoted nothing.
    fruitless: u32,
    /// The number of them for which attempts were put off last.
    put_off_after: u32,
    /// The last run, while its outage lasts.
    last: Option<PastFailover>,
    /// After a restart: no promotion before this, unless our own node reports that it is a primary.
    held_off_until: Option<Monotonic>,
}

impl Promotion {
    /// Goes on where the previous process ended. Its command may still run, or the server may be
    /// about to run its command: nothing is repeated sooner than that process would have done.
    pub(super) fn recall(memory: &Memory, config: &Config, now: Monotonic) -> Self {
        let mut promotion = Self {
            failed: memory.failover_failed,
            last: memory.failover.clone(),
            ..Self::default()
        };
        let is_observed = |last: &PastFailover| {
            last.outcome == FailoverOutcome::Running && last.process.is_some()
        };
        if memory.failover.as_ref().is_some_and(is_observed) {
            promotion.previous_runs = true;
        } else {
            promotion.hold_off(config, now);
        }
        promotion
    }

    /// Gives the last command its time: nobody can know whether it still runs.
    fn hold_off(&mut self, config: &Config, now: Monotonic) {
        let ended = |last: &PastFailover| Some((last.mono?, last.outcome));
        let Some((at, outcome)) = self
            .last
            .as_ref()
            .and_then(ended)
            .filter(|(at, _)| *at <= now)
        else {
            return;
        };
        let patience = config
            .failover_command_timeout
            .unwrap_or(PREVIOUS_COMMAND_PATIENCE);
        self.held_off_until = Some(match outcome {
            FailoverOutcome::Running => at + patience,
            FailoverOutcome::Succeeded | FailoverOutcome::Failed | FailoverOutcome::Unknown => {
                at + config.check_interval
            }
        });
        self.paused_until =
            (outcome != FailoverOutcome::Running).then(|| at + config.failover_pause);
    }

    /// What a later process must know: the last run, and whether the alert stands.
    pub(super) fn memory(&self) -> (Option<PastFailover>, bool) {
        (self.last.clone(), self.failed)
    }

    /// A primary is connected: the outage is over. What may still be at work is not forgotten.
    pub(super) fn outage_over(&mut self, now: Monotonic) {
        if !self.is_running() && self.held_off(now).is_none() {
            self.last = None;
            (self.fruitless, self.put_off_after) = (0, 0);
        }
    }

    /// A timeline gives a regular decision: what was tried may be tried again.
    pub(super) fn allow_another_try(&mut self) {
        self.tried_until = None;
    }

    /// Ours, or one that the previous process began.
    pub(super) fn is_running(&self) -> bool {
        self.is_ours_running() || self.previous_runs
    }

    /// The command that this process has begun and that runs.
    pub(super) fn running(&self) -> Option<CommandId> {
        self.running
    }

    pub(super) fn is_ours_running(&self) -> bool {
        self.running.is_some()
    }

    /// Our last attempt in this outage failed.
    pub(super) fn has_failed(&self) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| last.outcome == FailoverOutcome::Failed)
    }

    /// What our sessions show of it; `None`: nothing. A success is shown until the server is a
    /// primary, so that nobody else promotes
    /// meanwhile, but no longer than the limit: a command may report a success that was none.
    pub(super) fn shown(&self, config: &Config, now: Monotonic) -> Option<DaemonState> {
        if self.is_running() {
            return Some(DaemonState::Promoting);
        }
        let last = self.last.as_ref()?;
        let is_recent = |at: Monotonic| at <= now && now.since(at) < config.failover_lag;
        match last.outcome {
            FailoverOutcome::Failed => Some(DaemonState::Failed),
            FailoverOutcome::Running | FailoverOutcome::Succeeded | FailoverOutcome::Unknown => {
                let is_recent = last.mono.is_some_and(is_recent);
                is_recent.then_some(DaemonState::Promoting)
            }
        }
    }

    /// The command has succeeded, and our own node was not polled since.
    pub(super) fn is_unsettled(&self) -> bool {
        self.settled_by.is_some()
    }

    /// The server of this node may be in the middle of its promotion.
    pub(super) fn may_be_under_way(&self, config: &Config, now: Monotonic) -> bool {
        self.is_unsettled()
            || self.held_off(now).is_some()
            || self.shown(config, now) == Some(DaemonState::Promoting)
    }

    pub(super) fn tried_until(&self) -> Option<Monotonic> {
        self.tried_until
    }

    /// The end of the pause that is on.
    pub(super) fn pause(&self, now: Monotonic) -> Option<Monotonic> {
        self.paused_until.filter(|until| *until > now)
    }

    /// Until when the command of the previous process may be at work.
    pub(super) fn held_off(&self, now: Monotonic) -> Option<Monotonic> {
        self.held_off_until.filter(|until| *until > now)
    }

    pub(super) fn own_node_polled(
        &mut self,
        probe: ProbeId,
        is_primary: bool,
        turn: &mut Turn<'_>,
    ) {
        // It was promoted after all.
        if is_primary && self.put_off_after > 0 && std::mem::take(&mut self.failed) {
            turn.push(Effect::ClearAlert(Alert::FailoverFailed));
        }
        self.settled_by = self.settled_by.filter(|awaited| probe < *awaited);
        self.held_off_until = self.held_off_until.filter(|_| !is_primary);
    }

    /// Would [`start`](Self::start) run the command.
    pub(super) fn may_run(&self, config: &Config) -> bool {
        config.failover_command.is_some() && !self.is_to_be_put_off()
    }

    fn is_to_be_put_off(&self) -> bool {
        self.fruitless >= MAX_FRUITLESS && self.put_off_after != self.fruitless
    }

    /// The term in which this daemon was elected to run the command that it ran last.
    pub(super) fn term(&self) -> Option<u64> {
        self.term
    }

    /// Rule 3h. `primary`: the one that is lost. `term`: in which this daemon was elected, where
    /// voters elect.
    pub(super) fn start(
        &mut self,
        primary: Option<NodeName>,
        term: Option<u64>,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let Some(command) = config.failover_command.clone() else {
            let empty = CommandOutcome::NotStarted(String::new());
            turn.count_failure(CommandPurpose::Failover, &empty);
            self.attempt_over(config, schedule, turn);
            self.failed("failover_command is empty", turn);
            return;
        };
        if self.is_to_be_put_off() {
            self.put_off(config, schedule, turn);
            return;
        }
        self.term = term;
        self.running = Some(turn.run(CommandPurpose::Failover, command, config));
        // Every server is to show it at once.
        schedule.expedite_all(turn.now.mono);
        self.last = Some(PastFailover {
            primary,
            outcome: FailoverOutcome::Running,
            mono: Some(turn.now.mono),
            wall: turn.now.wall,
            process: None,
        });
    }

    /// The command has succeeded again and again, and this node is still to be promoted: that is a
    /// failure, and it is run less and less often.
    fn put_off(&mut self, config: &Config, schedule: &mut Schedule, turn: &mut Turn<'_>) {
        self.put_off_after = self.fruitless;
        let doublings = self.fruitless.saturating_sub(MAX_FRUITLESS).min(16);
        let pause = config
            .check_interval
            .saturating_mul(2 << doublings)
            .min(LONGEST_PAUSE);
        self.attempt_over(config, schedule, turn);
        self.tried_until = Some(turn.now.mono + pause.max(config.check_interval));
        self.last_ended(FailoverOutcome::Failed, turn);
        turn.save = true;
        let times = self.fruitless;
        self.failed(
            &format!("failover_command succeeded {times} times, and this node is still a standby"),
            turn,
        );
    }

    /// A later process must be able to find our command. Does nothing for other commands.
    pub(super) fn command_started(
        &mut self,
        id: CommandId,
        process: Option<Process>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(last) = self.last.as_mut().filter(|_| self.running == Some(id)) {
            last.process = process;
            turn.save = true;
        }
    }

    /// A command has ended, or never began: false if it was none of a promotion.
    pub(super) fn command_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) -> bool {
        if self.running != Some(id) {
            return false;
        }
        turn.count_failure(CommandPurpose::Failover, outcome);
        self.running = None;
        self.attempt_over(config, schedule, turn);
        turn.save = true;
        let text = format!("failover_command {outcome}");
        match outcome {
            CommandOutcome::NotStarted(_) => {
                // No pause, but a failed attempt like another: others go first from now on.
                self.last_ended(FailoverOutcome::Failed, turn);
                self.failed(&text, turn);
            }
            CommandOutcome::Exited(0) => {
                self.fruitless = self.fruitless.saturating_add(1);
                self.command_has_run(&text, FailoverOutcome::Succeeded, config, turn);
                self.succeeded(schedule, turn);
            }
            CommandOutcome::Exited(_) | CommandOutcome::Killed(_) | CommandOutcome::TimedOut => {
                self.command_has_run(&text, FailoverOutcome::Failed, config, turn);
                self.failed(&text, turn);
            }
        }
        true
    }

    /// News of the command of the previous process. If it has ended it may have done its work: our
    /// own node is polled before anything else, as after a success.
    pub(super) fn previous_command(
        &mut self,
        news: PreviousCommand,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        if !std::mem::take(&mut self.previous_runs) {
            return;
        }
        turn.save = true;
        match news {
            PreviousCommand::Unobservable => {
                self.last.iter_mut().for_each(|last| last.process = None);
                self.hold_off(config, turn.now.mono);
            }
            PreviousCommand::Ended => {
                let text = "failover_command of the previous pglookout process has ended, exit status unknown";
                turn.warning(text.to_owned());
                self.attempt_over(config, schedule, turn);
                self.command_has_run(text, FailoverOutcome::Unknown, config, turn);
                self.poll_before_the_next(schedule, turn);
            }
        }
    }

    /// Whatever came of it.
    fn command_has_run(
        &mut self,
        text: &str,
        outcome: FailoverOutcome,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        turn.push(Effect::RaiseAlert {
            alert: Alert::FailoverHasHappened,
            text: text.to_owned(),
        });
        self.paused_until = Some(turn.now.mono + config.failover_pause);
        self.last_ended(outcome, turn);
    }

    fn last_ended(&mut self, outcome: FailoverOutcome, turn: &Turn<'_>) {
        let now = turn.now;
        if let Some(last) = &mut self.last {
            (last.outcome, last.mono, last.wall, last.process) =
                (outcome, Some(now.mono), now.wall, None);
        }
    }

    /// Nothing is repeated before our own node has answered a poll that begins from now on;
    /// everybody is polled soon.
    fn poll_before_the_next(&mut self, schedule: &mut Schedule, turn: &Turn<'_>) {
        self.settled_by = Some(schedule.next_id());
        schedule.expedite_all(turn.now.mono);
    }

    /// Never again at once: a command that fails quickly, or one that leaves the promotion to the
    /// server and returns, would be run again and again. News still make a decision due, as that
    /// our own node has turned primary; they do not shorten this, or a node that comes and goes
    /// would have the command run each time.
    fn attempt_over(&mut self, config: &Config, schedule: &mut Schedule, turn: &Turn<'_>) {
        let regular = turn.now.mono + config.check_interval;
        self.tried_until = Some(regular);
        schedule.decision = regular;
    }

    fn succeeded(&mut self, schedule: &mut Schedule, turn: &mut Turn<'_>) {
        turn.warning("failover_command succeeded".to_owned());
        turn.push(Effect::ClearAlert(Alert::ReplicationDelay));
        if self.put_off_after == 0 && std::mem::take(&mut self.failed) {
            turn.push(Effect::ClearAlert(Alert::FailoverFailed));
        }
        self.poll_before_the_next(schedule, turn);
    }

    /// Other daemons pass this node over; the alert is raised once.
    pub(super) fn passed_over(&mut self, blocker: &Blocker, turn: &mut Turn<'_>) {
        if !self.failed {
            self.failed(&blocker.to_string(), turn);
        }
    }

    fn failed(&mut self, reason: &str, turn: &mut Turn<'_>) {
        self.failed = true;
        turn.error(format!("promotion failed: {reason}"));
        turn.push(Effect::RaiseAlert {
            alert: Alert::FailoverFailed,
            text: reason.to_owned(),
        });
    }
}

/// After a restart the command that the previous process started may still run, for all we know for
/// this long, unless `failover_command_timeout` says how long.
const PREVIOUS_COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// After so many successes that promoted nothing attempts are put off.
const MAX_FRUITLESS: u32 = 3;
/// Between two such attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

#[cfg(test)]
#[path = "promotion_tests.rs"]
mod tests;
