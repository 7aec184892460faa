//! The pure core around the decision: memory, schedule and waiting states. Events in, effects out;
//! the only clock is the `now` that comes with each turn, so a whole failover with all its waits
//! can be replayed.
//!
//! Events are merged as they come and make decisions due; decisions themselves are made when a
//! deadline is reached, once per turn, on all that has been merged by then.

mod check;
mod effect;
mod event;
mod follow;
mod health;
mod log_once;
mod memory;
mod metric;
mod promotion;
mod round;
mod schedule;
mod turn;
#[cfg(test)]
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use effect::{Alert, CommandId, CommandPurpose, Effect, ProbeId, Saved};
pub use event::{CommandOutcome, Event, FollowOutcome, GivenTurn, PreviousCommand};
pub use log_once::{LogOnce, Repeated};
pub use memory::{Contact, FailoverOutcome, Memory, PastFailover, Process};
pub use metric::{Metric, Trouble};
pub use round::{Look, Round, Rounds};

use check::{Checks, Ended};
use follow::Following;
use health::Health;
use log_once::{DecisionLog, FailureLog};
use promotion::Promotion;
use schedule::Schedule;
use turn::Turn;

use crate::cluster::{ClusterState, NodeMap, NodeReport, ObserverReport, ProbeFailure, RoleReport};
use crate::config::{Config, NodeName, ObserverName};
use crate::failover::{Decision, Figures, LagChange, Snapshot, Verdict, Wait, decide};
use crate::time::{Monotonic, Now};

/// The core of a node: all that it knows, remembers and waits for.
#[derive(Debug)]
pub struct Lookout {
    config: Arc<Config>,
    state: ClusterState,
    /// `current_master`: the primary that the last regular decision took as such.
    remembered: Option<NodeName>,
    /// Contacts of our own with primaries that the previous process had, or that have left the
    /// configuration since.
    former_contacts: Vec<(NodeName, Monotonic)>,
    /// Nodes that were standbys to the previous process, or at the last reload.
    former_standbys: BTreeSet<NodeName>,
    started_at: Monotonic,
    /// The last change of `remote_conns`, or the start.
    nodes_changed_at: Monotonic,
    maintenance: bool,
    /// Since when lag has been over the warning limit.
    warning_since: Option<Monotonic>,
    promotion: Promotion,
    following: Following,
    schedule: Schedule,
    health: Health,
    checks: Checks,
    rounds: Rounds,
    failures: FailureLog,
    decisions: DecisionLog,
    next_command: u64,
    /// A timeline says when there is a turn.
    turns_are_given: bool,
    stopping: bool,
}

impl Lookout {
    /// A core that knows nothing but its configuration and what the previous process remembered.
    pub fn new(config: Arc<Config>, memory: &Memory, now: Now) -> Self {
        let mut state = ClusterState::default();
        state.adopt(&config);
        let mut schedule = Schedule::new(now.mono);
        schedule.adopt(&config, now.mono);
        // A primary that this configuration does not know was not removed under our eyes: nothing
        // is known of it.
        let is_configured = |primary: &NodeName| config.nodes.contains_key(primary);
        let remembered = memory.primary.clone().filter(is_configured);
        Self {
            former_contacts: memory.contacts_at(now.mono),
            former_standbys: memory.standbys.clone(),
            promotion: Promotion::recall(memory, &config, now.mono),
            config,
            state,
            remembered,
            started_at: now.mono,
            nodes_changed_at: now.mono,
            maintenance: false,
            warning_since: None,
            following: Following::new(memory.restart_owed),
            health: Health::new(&schedule, now.mono),
            schedule,
            checks: Checks::default(),
            rounds: Rounds::default(),
            failures: FailureLog::default(),
            decisions: DecisionLog::new(),
            next_command: 0,
            turns_are_given: false,
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
            self.maintenance = maintenance;
        }
        match given {
            Some(GivenTurn::Decision(look)) => {
                if look == Look::Regular {
                    self.promotion.allow_another_try();
                }
                self.decide(look, &mut turn);
            }
            Some(GivenTurn::Deadlines) => self.meet_deadlines(&mut turn),
            None if is_due => self.meet_deadlines(&mut turn),
            None => {}
        }
        self.next_command = turn.next_command;
        let save = turn.save;
        self.checks.expect_turn(self.next_deadline().max(now.mono));
        if save {
            let (memory, round) = (self.memory(now), self.rounds.newest().cloned());
            effects.push(Effect::Save(Saved { memory, round }));
        }
        is_due || given.is_some()
    }

    /// Does this event answer a request that is under way, or need none. Others change nothing.
    pub fn awaits(&self, event: &Event) -> bool {
        let awaited = match event {
            Event::NodeProbed { node, probe, .. } => self.schedule.awaits_node(node, *probe),
            Event::ObserverProbed {
                observer, probe, ..
            } => self.schedule.awaits_observer(observer, *probe),
            Event::NodeLost { node, .. } => self.config.nodes.contains_key(node),
            Event::CommandExited { .. } => return true,
            Event::ConfigLoaded(_)
            | Event::CheckRequested
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
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.schedule.decision)
    }

    /// The facts per node and observer.
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The remembered primary: `current_master`.
    pub fn primary(&self) -> Option<&NodeName> {
        self.remembered.as_ref()
    }

    /// The last decisions.
    pub fn rounds(&self) -> &Rounds {
        &self.rounds
    }

    /// What the last round came to.
    pub fn last_round(&self) -> Option<&Round> {
        self.rounds.newest().map(Arc::as_ref)
    }

    /// Has lag been over the warning limit since an earlier decision.
    pub fn lag_warning(&self) -> bool {
        self.warning_since.is_some()
    }

    /// Is a failover command running that this process has begun.
    pub fn is_promoting(&self) -> bool {
        self.promotion.is_ours_running()
    }

    /// Is our own server being restarted, so that a new primary is followed.
    pub fn is_restarting(&self) -> bool {
        self.following.is_restarting()
    }

    /// Are decisions being made: was there a round, a wait included, in the time in which there
    /// must have been one.
    pub fn is_deciding(&self, now: Monotonic) -> bool {
        let longest = self
            .config
            .check_interval
            .saturating_mul(2)
            .saturating_add(check::patience(&self.config));
        let last = self
            .last_round()
            .map_or(self.started_at, |round| round.at.mono);
        now.since(last) <= longest
    }

    /// What a later process must know.
    pub fn memory(&self, now: Now) -> Memory {
        let former = self.former_contacts.iter().map(|(node, at)| (node, *at));
        let contacts = self
            .state
            .primary_contacts()
            .map(|(node, at, _)| (node, at));
        let is_within_reach = |node: &NodeName| self.state.is_within_reach(node);
        let (failover, failover_failed) = self.promotion.memory();
        Memory {
            primary: self.remembered.clone(),
            contacts: Memory::contacts(contacts.chain(former), is_within_reach, now),
            standbys: self.standbys(),
            failover,
            failover_failed,
            restart_owed: self.following.owes_restart(),
        }
    }

    /// Nodes whose last report was that of a standby; of those without a report, or not among the
    /// nodes now, those that were standbys before.
    fn standbys(&self) -> BTreeSet<NodeName> {
        let answer = |node: &NodeName| {
            let state = self.state.nodes.get(node);
            state.and_then(|state| state.answer.as_ref())
        };
        let is_standby = |node: &NodeName| match answer(node) {
            Some(answer) => answer.in_recovery,
            None => self.former_standbys.contains(node),
        };
        let all = self.state.nodes.keys().chain(&self.former_standbys);
        all.filter(|node| is_standby(node)).cloned().collect()
    }

    /// Are observers polled at all now.
    fn polls_observers(&self) -> bool {
        !self.config.poll_observers_on_warning_only || self.warning_since.is_some()
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
                let probe = schedule.node_reported(&node);
                self.node_reported(&node, probe, outcome, turn);
            }
            Event::ObserverProbed {
                observer, outcome, ..
            } => {
                schedule.observer_reported(&observer);
                self.observer_reported(&observer, outcome, turn);
            }
            Event::NodeLost { node, failure } => self.node_lost(&node, failure, turn),
            Event::CheckRequested => self.checks.request(config, schedule, turn.now.mono),
            Event::CommandStarted { id, process } => {
                self.promotion.command_started(id, process, turn);
            }
            Event::CommandExited { id, outcome } => self.command_exited(id, &outcome, turn),
            Event::PreviousCommand(news) => {
                self.promotion
                    .previous_command(news, config, schedule, turn);
            }
            Event::FollowPrepared(outcome) => {
                let primary = self.remembered.as_ref();
                self.following
                    .prepared(outcome, primary, config, &self.promotion, turn);
            }
            Event::Stopping => self.stopping = true,
            Event::ConfigLoaded(config) => self.reload(config, turn),
            // Taken by whoever gives turns.
            Event::Turn(_) => {}
        }
    }

    fn reload(&mut self, config: Arc<Config>, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        if config.nodes != self.config.nodes {
            self.nodes_changed_at = now;
        }
        self.remember_leavers(&config);
        self.state.adopt(&config);
        self.failures.adopt(&config);
        self.schedule.drop_readdressed(&self.config, &config);
        self.schedule.adopt(&config, now);
        self.config = config;
        self.following.want();
        self.health.begin_anew(self.schedule.tick(), now);
        self.checks.request(&self.config, &mut self.schedule, now);
        self.take_due_probes(turn);
    }

    /// A node that leaves takes its state along, but not that we reached it as a primary, nor that
    /// it was a standby: nobody counts that while it is away, and if it was left out by mistake and
    /// comes back, the wait goes on and its vote is missed.
    fn remember_leavers(&mut self, config: &Config) {
        let nodes = self.state.nodes.iter();
        let leavers = nodes.filter(|(node, _)| !config.nodes.contains_key(*node));
        for (node, at) in leavers.filter_map(|(node, state)| Some((node, state.primary_contact?))) {
            self.former_contacts.retain(|(known, _)| known != node);
            if self.former_contacts.len() < MAX_FORMER {
                self.former_contacts.push((node.clone(), at));
            }
        }
        self.former_standbys = self.standbys();
        if self.former_standbys.len() > MAX_FORMER {
            self.former_standbys
                .retain(|node| config.nodes.contains_key(node));
        }
    }

    fn node_reported(
        &mut self,
        node: &NodeName,
        probe: ProbeId,
        outcome: Result<NodeReport, ProbeFailure>,
        turn: &mut Turn<'_>,
    ) {
        if self.config.own_db.as_ref() == Some(node) {
            let is_primary =
                |report: &NodeReport| matches!(report.role, RoleReport::Primary { .. });
            self.promotion
                .own_node_polled(probe, outcome.as_ref().is_ok_and(is_primary));
        }
        self.merge_node(node, outcome, turn);
        let with_observers = self.polls_observers();
        self.health.reported(&self.schedule, with_observers, turn);
    }

    fn merge_node(
        &mut self,
        node: &NodeName,
        outcome: Result<NodeReport, ProbeFailure>,
        turn: &mut Turn<'_>,
    ) {
        self.failures.node(node, outcome.as_ref().err(), turn);
        let remembered = self.remembered.as_ref() == Some(node);
        if self.state.node_probed(node, outcome, remembered, turn.now) {
            self.schedule.decision = turn.now.mono;
        }
    }

    /// A connection lost while idle is no answer to a probe: whoever waits for fresh facts waits on,
    /// and the node is polled again at once.
    fn node_lost(&mut self, node: &NodeName, failure: ProbeFailure, turn: &mut Turn<'_>) {
        self.merge_node(node, Err(failure), turn);
        self.schedule.hurry_node(node, turn.now.mono);
    }

    fn observer_reported(
        &mut self,
        observer: &ObserverName,
        outcome: Result<ObserverReport, ProbeFailure>,
        turn: &mut Turn<'_>,
    ) {
        self.failures
            .observer(observer, &outcome, &self.state, turn);
        let awaited = matches!(
            self.last_round().map(|round| &round.decision.verdict),
            Some(Verdict::Wait(Wait::ObserversSinceWarning { .. }))
        );
        if self.state.observer_probed(observer, outcome, turn.now) || awaited {
            self.schedule.decision = turn.now.mono;
        }
        let with_observers = self.polls_observers();
        self.health.reported(&self.schedule, with_observers, turn);
    }

    fn command_exited(&mut self, id: CommandId, outcome: &CommandOutcome, turn: &mut Turn<'_>) {
        let Self {
            config, schedule, ..
        } = self;
        if self.following.command_exited(id, outcome, config, turn) {
            return;
        }
        if self
            .promotion
            .command_exited(id, outcome, config, schedule, turn)
        {
            if *outcome == CommandOutcome::Exited(0) {
                self.warning_since = None;
            }
        } else if *outcome != CommandOutcome::Exited(0) {
            turn.error(format!("over_warning_limit_command {outcome}"));
            turn.effects
                .extend(Effect::trouble_with(CommandPurpose::LagWarning, outcome));
        }
    }

    fn take_due_probes(&mut self, turn: &mut Turn<'_>) {
        let with_observers = self.polls_observers();
        let now = turn.now.mono;
        self.schedule
            .take_due(&self.config, with_observers, now, turn.effects);
    }

    /// Everything whose time has come: probes, a finished or overdue check, a decision.
    fn meet_deadlines(&mut self, turn: &mut Turn<'_>) {
        self.take_due_probes(turn);
        let (with_observers, now) = (self.polls_observers(), turn.now.mono);
        self.health
            .look(&self.config, &self.schedule, with_observers, turn);
        match self.checks.take_ended(&self.schedule, with_observers, now) {
            Some(Ended::Complete(look)) => self.conclude(look, turn),
            // One that was merely requested is made on what is known.
            Some(Ended::Overdue(Look::Regular)) => self.conclude(Look::Regular, turn),
            // No decision on fresh facts this round.
            Some(Ended::Overdue(Look::Fresh)) => {
                self.schedule.decision = now + self.config.check_interval;
                self.note_wait(Wait::FreshFactsOverdue, turn);
            }
            None if self.schedule.decision <= now && !self.checks.holds_decisions() => {
                self.conclude(Look::Regular, turn);
            }
            None => {}
        }
    }

    /// Makes a decision and waits for what it asks for.
    fn conclude(&mut self, look: Look, turn: &mut Turn<'_>) {
        let wants_fresh_facts = self.decide(look, turn);
        let now = turn.now.mono;
        let verdict = self.last_round().map(|round| &round.decision.verdict);
        let again = verdict.and_then(Verdict::look_again_at);
        let regular = now + self.config.check_interval;
        self.schedule.decision = again.map_or(regular, |again| again.clamp(now, regular));
        if wants_fresh_facts {
            self.checks
                .begin_fresh(&self.config, &mut self.schedule, now);
            self.take_due_probes(turn);
        }
    }

    /// Makes a decision on the facts as they are and acts on it. Says whether fresh facts are
    /// wanted.
    fn decide(&mut self, look: Look, turn: &mut Turn<'_>) -> bool {
        let now = turn.now.mono;
        if let Some(wait) = self.not_yet(now) {
            self.note_wait(wait, turn);
            return false;
        }
        let map = self.node_map(now);
        if look == Look::Regular {
            self.remember_primary(&map, turn);
        }
        let snapshot = self.snapshot(&map, look, now);
        let decision = decide(&snapshot);
        let figures = Figures::new(&snapshot, &decision);
        let wants_fresh_facts = matches!(decision.verdict, Verdict::WantsFreshFacts { .. });
        let promotes = matches!(decision.verdict, Verdict::Promote { .. });
        if map.has_several_primaries() {
            turn.push(Effect::RaiseAlert {
                alert: Alert::MultiplePrimaries,
                text: text_of_primaries(&map),
            });
        }
        // A decision on fresh facts is the regular one, continued: what it does besides is done.
        if look == Look::Regular && !promotes {
            let primary = self.remembered.as_ref();
            self.following
                .pursue(primary, &self.config, &self.state, &self.promotion, turn);
        }
        self.act_on_lag(&decision, turn);
        if look == Look::Regular {
            measure(&decision, turn);
        }
        self.note(map, decision, figures, turn);
        if promotes {
            let primary = self.remembered.clone();
            self.promotion
                .start(primary, &self.config, &mut self.schedule, turn);
        }
        wants_fresh_facts
    }

    /// Why it is not time to decide at all.
    fn not_yet(&self, now: Monotonic) -> Option<Wait> {
        let (config, state) = (&self.config, &self.state);
        if let Some(until) = self.promotion.pause(now) {
            return Some(Wait::PauseAfterFailover { until });
        }
        let since_warning = self
            .warning_since
            .filter(|_| config.poll_observers_on_warning_only);
        round::first_answers_missing(config, state)
            .or_else(|| round::observers_missing(since_warning?, config, state, now))
    }

    /// A round in which nothing could be decided. It is made on no node map; its figures are those
    /// of the moment.
    fn note_wait(&mut self, wait: Wait, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let decision = Decision::without_lag(Verdict::Wait(wait));
        let map = self.node_map(now);
        let figures = Figures::new(&self.snapshot(&map, Look::Regular, now), &decision);
        self.note(NodeMap::default(), decision, figures, turn);
    }

    fn node_map(&self, now: Monotonic) -> NodeMap {
        NodeMap::new(&self.config, &self.state, self.remembered.as_ref(), now)
    }

    fn snapshot<'a>(&'a self, map: &'a NodeMap, look: Look, now: Monotonic) -> Snapshot<'a> {
        Snapshot {
            config: &self.config,
            state: &self.state,
            map,
            remembered: self.remembered.as_ref(),
            former_contacts: &self.former_contacts,
            former_standbys: &self.former_standbys,
            nodes_changed_at: self.nodes_changed_at,
            fresh: look == Look::Fresh,
            maintenance: self.maintenance,
            lag_warning: self.warning_since.is_some(),
            promoting: self.promotion.is_running(),
            held_off_until: self.promotion.held_off(now),
            tried_until: self.promotion.tried_until(),
            unsettled: self.promotion.is_unsettled(),
            now,
        }
    }

    /// The primary of this round is remembered.
    fn remember_primary(&mut self, map: &NodeMap, turn: &mut Turn<'_>) {
        if map.has_several_primaries() {
            return;
        }
        if map.sole_primary().is_some() {
            self.promotion.outage_over(turn.now.mono);
        }
        let primary = round::primary_of(map, self.remembered.as_ref(), &self.state);
        let Some(primary) = primary.filter(|primary| self.remembered.as_ref() != Some(primary))
        else {
            return;
        };
        let old = self.remembered.as_ref().map_or("none", NodeName::as_str);
        turn.warning(format!("the primary is {primary} now (before: {old})"));
        self.remembered = Some(primary);
        self.following.want();
    }

    fn act_on_lag(&mut self, decision: &Decision, turn: &mut Turn<'_>) {
        match decision.lag.change {
            LagChange::None => {}
            LagChange::Raised => {
                self.warning_since = Some(turn.now.mono);
                turn.push(Effect::RaiseAlert {
                    alert: Alert::ReplicationDelay,
                    text: decision.verdict.to_string(),
                });
                if let Some(command) = self.config.over_warning_limit_command.clone() {
                    turn.run(CommandPurpose::LagWarning, command, &self.config);
                }
            }
            LagChange::Cleared => {
                self.warning_since = None;
                turn.push(Effect::ClearAlert(Alert::ReplicationDelay));
            }
        }
    }

    /// Keeps the round, logs it, has it saved.
    fn note(&mut self, map: NodeMap, decision: Decision, figures: Figures, turn: &mut Turn<'_>) {
        let round = Arc::new(Round {
            at: turn.now,
            map,
            decision,
            figures,
        });
        turn.push(self.decisions.decided(&round));
        self.rounds.push(round);
        turn.save = true;
    }
}

fn measure(decision: &Decision, turn: &mut Turn<'_>) {
    let lag = decision.lag.lag.map(Metric::ReplicationLag);
    let ignored = decision
        .disconnect_ignored
        .then_some(Metric::DisconnectIgnored);
    turn.effects
        .extend(lag.into_iter().chain(ignored).map(Effect::Measure));
}

fn text_of_primaries(map: &NodeMap) -> String {
    let primaries = map.connected_primaries.iter();
    let primaries = primaries.map(|(node, witness)| format!("{node} (by {witness})"));
    format!(
        "several primaries at once: {}",
        primaries.collect::<Vec<_>>().join(", ")
    )
}

/// So many nodes that have left are remembered.
const MAX_FORMER: usize = 1_000;

#[cfg(test)]
mod restart_tests;
#[cfg(test)]
#[path = "lookout_tests.rs"]
mod tests;
