//! The pure core around the decision: memory, schedule and waiting states. Events in, effects out;
//! the only clock is the `now` that comes with each turn, so a whole failover with all its waits
//! can be replayed.
//!
//! Events are merged as they come and make decisions due; decisions themselves are made when a
//! deadline is reached, once per turn, on all that has been merged by then.

mod check;
mod deadlines;
mod decisions;
mod effect;
mod elections;
mod event;
mod facts;
mod fencing;
mod follow;
mod health;
mod isolation;
mod lag;
mod leases;
mod log_once;
mod memory;
mod metric;
mod outage;
mod pause;
mod presence;
mod promotion;
mod round;
mod saving;
mod schedule;
mod succession;
mod switchover;
mod tenure;
mod turn;
mod unfencing;
mod views;
mod vote_alerts;
mod votes;
mod watch;
#[cfg(test)]
mod world;
mod writing;

use std::sync::Arc;

pub use deadlines::LOOK_AGAIN;
pub use effect::{Alert, CommandId, CommandPurpose, Effect, ProbeId, Saved};
pub use event::{
    CommandOutcome, Event, FollowOutcome, GivenTurn, PreviousCommand, SwitchoverRequest,
};
pub use log_once::LogOnce;
pub use memory::{
    Contact, FailoverOutcome, Memory, PastFailover, PastPrimary, PastSwitchover, PrimaryChange,
    Process,
};
pub use metric::{Metric, Trouble};
pub use round::{Look, Repeated, Round, Rounds};
pub use switchover::{Step, Switchover, SwitchoverState};

use check::Checks;
use decisions::Decisions;
use health::Health;
use log_once::FailureLog;
use presence::OwnPresence;
use saving::Saving;
use schedule::{Answered, Schedule};
use turn::Turn;

use crate::cluster::{NodeReport, ObserverReport, ProbeFailure, RoleReport};
use crate::config::{Config, NodeName, ObserverName};
use crate::time::{Monotonic, Now};

/// The core of a node: all that it knows, remembers and waits for.
#[derive(Debug)]
pub struct Lookout {
    config: Arc<Config>,
    started_at: Monotonic,
    decisions: Decisions,
    schedule: Schedule,
    health: Health,
    checks: Checks,
    failures: FailureLog,
    presence: OwnPresence,
    saving: Saving,
    next_command: u64,
    /// A timeline says when there is a turn.
    turns_are_given: bool,
    /// The reports of a timeline cannot show what this core announces.
    assumes_shown: bool,
    stopping: bool,
}

impl Lookout {
    /// A core that knows nothing but its configuration and what the previous process remembered.
    pub fn new(config: Arc<Config>, memory: &Memory, now: Now) -> Self {
        let mut schedule = Schedule::new(now.mono);
        schedule.adopt(&config, now.mono);
        Self {
            decisions: Decisions::recall(memory, &config, now),
            presence: OwnPresence::new(&config),
            config,
            started_at: now.mono,
            health: Health::new(&schedule, now.mono),
            schedule,
            checks: Checks::default(),
            failures: FailureLog::default(),
            saving: Saving::default(),
            next_command: 0,
            turns_are_given: false,
            assumes_shown: false,
            stopping: false,
        }
    }

    /// The same for a timeline that says when there is a turn: deadlines are looked at and decisions
    /// are made at each [`Event::Turn`], and at no other time.
    pub fn with_given_turns(config: Arc<Config>, memory: &Memory, now: Now) -> Self {
        Self {
            turns_are_given: true,
            ..Self::new(config, memory, now)
        }
    }

    /// The same for a timeline whose reports were not made while this core ran: they cannot show
    /// what it announces.
    pub fn assuming_shown(self) -> Self {
        Self {
            assumes_shown: true,
            ..self
        }
    }

    /// The one way in: takes in what has happened since the last turn, and then does what is due.
    /// What is to be done is appended to `effects`.
    ///
    /// `maintenance`: does the maintenance file exist. Says whether deadlines were looked at.
    pub fn turn(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        maintenance: bool,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let mut turn = Turn {
            now,
            effects,
            save: false,
            assumes_shown: self.assumes_shown,
            next_command: self.next_command,
        };
        self.schedule.read_clock(now.mono);
        self.checks
            .begin_after_sleep(&self.config, &mut self.schedule, now.mono);
        let (mut given, mut reload) = (None, None);
        for event in events {
            match event {
                Event::Turn(what) => given = Some(what),
                // Answers that came in the same turn were requested under the old configuration.
                Event::ConfigLoaded(config) => reload = Some(config),
                event => self.take(event, &mut turn),
            }
        }
        if let Some(config) = reload {
            self.take(Event::ConfigLoaded(config), &mut turn);
        }
        let is_due = !self.turns_are_given && !self.stopping && self.next_deadline() <= now.mono;
        if is_due || given.is_some() {
            self.decisions.maintenance = maintenance;
        }
        self.show_presence(now.mono);
        match given {
            Some(GivenTurn::Decision(look)) => {
                if look == Look::Regular {
                    self.decisions.promotion.allow_another_try();
                }
                self.decisions
                    .decide(look, &self.config, &mut self.schedule, &mut turn);
            }
            Some(GivenTurn::Deadlines) => self.meet_deadlines(&mut turn),
            Some(GivenTurn::FreshFactsOverdue) => {
                let Decisions { outage, rounds, .. } = &mut self.decisions;
                if let Some(round) = rounds.newest() {
                    let reason = round.decision.verdict.to_string();
                    outage.undecided(&reason, &round.figures.changes, &self.config, &mut turn);
                }
            }
            None if is_due => self.meet_deadlines(&mut turn),
            None => {}
        }
        self.next_command = turn.next_command;
        if turn.save {
            self.save(now, effects);
        }
        self.checks.expect_turn(self.next_deadline().max(now.mono));
        is_due || given.is_some()
    }

    fn save(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (memory, round) = (
            self.decisions.memory(&self.config, now),
            self.decisions.rounds.newest().cloned(),
        );
        let due = self.saving.due(
            Saved { memory, round },
            (&self.decisions.facts.state, &self.decisions.votes),
            self.stopping,
            &self.config,
            now.mono,
        );
        effects.extend(due.map(Effect::Save));
    }

    /// Does this event answer a request that is under way, or need none. Others change nothing.
    pub fn awaits(&self, event: &Event) -> bool {
        let awaited = match event {
            Event::NodeProbed { node, probe, .. } => self.schedule.awaits_node(node, *probe),
            Event::ObserverProbed {
                observer, probe, ..
            } => self.schedule.awaits_observer(observer, *probe),
            Event::NodeLost { node, .. } => self.config.nodes.contains_key(node),
            Event::CommandExited { .. } | Event::VoteSaved { .. } => return true,
            Event::ConfigLoaded(_)
            | Event::HostSlept(_)
            | Event::WatchdogSeen(_)
            | Event::VoteFileRead { .. }
            | Event::VoteRequested { .. }
            | Event::VoteAnswered { .. }
            | Event::CheckRequested
            | Event::PauseSet(_)
            | Event::SwitchoverRequested(_)
            | Event::ControlRead(_)
            | Event::CommandStarted { .. }
            | Event::PreviousCommand(_)
            | Event::FollowPrepared(_)
            | Event::Stopping
            | Event::Turn(_) => true,
        };
        awaited && !self.stopping
    }

    /// When the next turn is due.
    pub fn next_deadline(&self) -> Monotonic {
        let with_observers = self.polls_observers();
        let holds = self.checks.holds_decisions();
        [
            (!holds).then_some(self.schedule.decision),
            self.checks.next_deadline(&self.schedule, with_observers),
            self.schedule.next_probe(with_observers),
            self.health.next_deadline(&self.config),
            self.decisions.votes.next_deadline(),
            self.decisions.tenure.next_deadline(&self.config),
            self.decisions.succession.next_deadline(),
            self.decisions
                .switchover
                .as_ref()
                .and_then(Switchover::next_deadline),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.schedule.decision)
    }

    /// Are observers polled at all now: whoever reaches no primary needs every witness.
    fn polls_observers(&self) -> bool {
        !self.config.poll_observers_on_warning_only
            || self.decisions.lag.is_raised()
            || !self.decisions.facts.state.reaches_primary()
    }

    /// Merges one event.
    fn take(&mut self, event: Event, turn: &mut Turn<'_>) {
        if !self.awaits(&event) {
            return;
        }
        let Self {
            config, schedule, ..
        } = self;
        match event {
            Event::NodeProbed { node, outcome, .. } => {
                let answered = schedule.node_reported(&node, is_answer(&outcome));
                self.node_reported(&node, answered, outcome, turn);
            }
            Event::ObserverProbed {
                observer, outcome, ..
            } => {
                schedule.observer_reported(&observer, outcome.is_ok());
                self.observer_reported(&observer, outcome, turn);
            }
            Event::NodeLost { node, failure } => self.node_lost(&node, failure, turn),
            Event::CheckRequested => self.checks.request(config, schedule, turn.now.mono),
            Event::PauseSet(mark) => {
                if self.decisions.pause.set(mark, turn) {
                    schedule.decision = turn.now.mono;
                }
            }
            Event::CommandStarted { id, process } => {
                self.decisions.promotion.command_started(id, process, turn);
            }
            Event::CommandExited { id, outcome } => {
                self.decisions
                    .command_exited(id, &outcome, config, schedule, turn);
            }
            Event::PreviousCommand(news) => {
                self.decisions
                    .promotion
                    .previous_command(news, config, schedule, turn);
            }
            Event::FollowPrepared(outcome) => {
                let primary = self.decisions.facts.remembered.as_ref();
                self.decisions.following.prepared(
                    outcome,
                    primary,
                    config,
                    &self.decisions.promotion,
                    turn,
                );
            }
            event @ (Event::VoteFileRead { .. }
            | Event::VoteRequested { .. }
            | Event::VoteAnswered { .. }
            | Event::VoteSaved { .. }) => self.decisions.vote_event(event, config, schedule, turn),
            Event::HostSlept(time) => self.decisions.votes.slept(time),
            Event::WatchdogSeen(state) => self.decisions.votes.watchdog_seen(state, turn),
            Event::SwitchoverRequested(request) => {
                self.decisions
                    .switchover_requested(request, config, schedule, turn);
            }
            Event::ControlRead(outcome) => {
                self.decisions.control_read(outcome, config, schedule, turn);
            }
            Event::Stopping => (self.stopping, turn.save) = (true, true),
            Event::ConfigLoaded(config) => self.reload(config, turn),
            // Taken by whoever gives turns.
            Event::Turn(_) => {}
        }
    }

    fn reload(&mut self, config: Arc<Config>, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        self.decisions.facts.adopt(&self.config, &config, now);
        self.decisions.votes.adopt(&config, now);
        self.decisions.votes.reloaded(&config, turn);
        self.failures.adopt(&config);
        self.presence.adopt(&config);
        self.schedule.drop_readdressed(&self.config, &config);
        self.schedule.adopt(&config, now);
        self.config = config;
        self.decisions.following.want();
        // The file may be another one.
        self.saving = Saving::default();
        self.health.begin_anew(self.schedule.tick(), now);
        self.checks.request(&self.config, &mut self.schedule, now);
    }

    fn node_reported(
        &mut self,
        node: &NodeName,
        answered: Answered,
        outcome: Result<NodeReport, ProbeFailure>,
        turn: &mut Turn<'_>,
    ) {
        let is_own = self.config.own_db.as_ref() == Some(node);
        if is_own {
            let is_primary =
                |report: &NodeReport| matches!(report.role, RoleReport::Primary { .. });
            let is_primary = outcome.as_ref().is_ok_and(is_primary);
            self.decisions
                .promotion
                .own_node_polled(answered.probe, is_primary, turn);
            if is_primary {
                self.decisions.outage.over(turn);
            }
        }
        self.merge_node(node, outcome, answered.asked, turn);
        self.decisions.node_polled(node, turn);
        if is_own {
            let succession = &mut self.decisions.succession;
            succession.own_node_polled(answered.probe, turn.now.mono);
            let polled = (answered.probe, answered.asked);
            self.decisions.own_server_polled(polled, &self.config, turn);
        }
        let decisions = &mut self.decisions;
        decisions.follow_switchover(&self.config, &mut self.schedule, turn);
        let with_observers = self.polls_observers();
        self.health.reported(&self.schedule, with_observers, turn);
    }

    fn merge_node(
        &mut self,
        node: &NodeName,
        outcome: Result<NodeReport, ProbeFailure>,
        asked: Option<Monotonic>,
        turn: &mut Turn<'_>,
    ) {
        let is_own = self.config.own_db.as_ref() == Some(node);
        self.failures
            .node(node, is_own, outcome.as_ref().err(), turn);
        let decisions = &mut self.decisions;
        if decisions.node_probed(node, outcome, asked, &self.config, turn) {
            self.schedule.decision = turn.now.mono;
        }
    }

    /// A connection lost while idle is no answer to a probe: whoever waits for fresh facts waits on,
    /// and the node is polled again at once.
    fn node_lost(&mut self, node: &NodeName, failure: ProbeFailure, turn: &mut Turn<'_>) {
        self.merge_node(node, Err(failure), None, turn);
        self.schedule.expedite_node(node, turn.now.mono);
    }

    fn observer_reported(
        &mut self,
        observer: &ObserverName,
        outcome: Result<ObserverReport, ProbeFailure>,
        turn: &mut Turn<'_>,
    ) {
        self.failures
            .observer(observer, &outcome, &self.decisions.facts.state, turn);
        let decisions = &mut self.decisions;
        if decisions.observer_probed(observer, outcome, &self.config, turn) {
            self.schedule.decision = turn.now.mono;
        }
        let with_observers = self.polls_observers();
        self.health.reported(&self.schedule, with_observers, turn);
    }
}

/// Has it answered, or turned us away as only a living server does.
fn is_answer(outcome: &Result<NodeReport, ProbeFailure>) -> bool {
    outcome
        .as_ref()
        .map_or_else(ProbeFailure::is_living_refusal, |_| true)
}

#[cfg(test)]
mod pause_tests;
#[cfg(test)]
mod presence_tests;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
#[path = "lookout_tests.rs"]
mod tests;
#[cfg(test)]
mod votes_tests;
#[cfg(test)]
mod votes_world;
