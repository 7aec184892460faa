//! The pure core around the decision: memory, schedule and waiting states. Events in, effects out;
//! the only clock is the `now` that comes with each call, so a whole failover with all its waits
//! can be replayed.
//!
//! Events are merged as they come and make decisions due; decisions themselves are made when a
//! deadline is reached, once per turn, on all that has been merged by then.

mod effect;
mod event;
mod follow;
mod health;
mod lasting;
mod memory;
mod metric;
mod news;
mod pending;
mod promotion;
mod round;
mod said;
mod schedule;
mod scripted;
#[cfg(test)]
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use effect::{Alert, CommandId, CommandPurpose, Effect, ProbeId};
pub use event::{CommandOutcome, Event, FollowOutcome};
pub use lasting::Lasting;
pub use memory::{Contact, FailoverOutcome, Memory, PastFailover, Process};
pub use metric::{Metric, Trouble};
pub use round::{Look, Round};
pub use said::REPEATED;

use follow::Following;
use health::Health;
use news::News;
use pending::Check;
use promotion::Promotion;
use said::Said;
use schedule::Schedule;

use crate::cluster::{ClusterState, NodeReport, ObserverReport, ProbeFailure, RoleReport};
use crate::config::{Config, NodeName, ObserverName};
use crate::failover::{Verdict, Wait};
use crate::time::{Monotonic, Now};

/// The core of a node: all that it knows, remembers and waits for.
#[derive(Debug)]
pub struct Lookout {
    config: Arc<Config>,
    state: ClusterState,
    /// `current_master`: the primary that the last regular decision took as such.
    remembered: Option<NodeName>,
    /// Contacts of our own with primaries that a former process had, or that have left the
    /// configuration since.
    former_contacts: Vec<(NodeName, Monotonic)>,
    /// Nodes that were standbys to a former process, or at the last reload.
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
    check: Option<Check>,
    /// When the next turn is wished for since the last event.
    expected_at: Option<Monotonic>,
    /// When the last check that somebody requested asked everybody, or will.
    requested_at: Option<Monotonic>,
    /// What the last round came to.
    last: Option<Round>,
    /// The sentence that was last logged.
    said: Option<Said>,
    news: News,
    next_command: u64,
}

impl Lookout {
    /// A core that knows nothing but its configuration and what a former process remembered.
    pub fn new(config: Arc<Config>, memory: &Memory, now: Now) -> Self {
        let mut state = ClusterState::default();
        state.adopt(&config);
        let mut schedule = Schedule::new(now.mono);
        schedule.adopt(&config, now.mono);
        // A primary that this configuration does not know was not removed under our eyes: nothing
        // is known of it.
        let remembered = memory
            .primary
            .clone()
            .filter(|primary| config.nodes.contains_key(primary));
        let promotion = Promotion::recall(memory, &config, now.mono);
        Self {
            former_contacts: memory.contacts_at(now.mono),
            former_standbys: memory.standbys.clone(),
            config,
            state,
            remembered,
            started_at: now.mono,
            nodes_changed_at: now.mono,
            maintenance: false,
            warning_since: None,
            promotion,
            following: Following::new(memory.restart_owed),
            schedule,
            health: Health::new(now.mono),
            check: None,
            expected_at: None,
            requested_at: None,
            last: None,
            said: None,
            news: News::default(),
            next_command: 0,
        }
    }

    /// Takes in one event. What it makes necessary is appended to `effects`.
    pub fn handle(&mut self, event: Event, now: Now, effects: &mut Vec<Effect>) {
        self.ask_anew_after_sleep(now.mono);
        match event {
            Event::ConfigLoaded(config) => self.reload(config, now, effects),
            Event::NodeProbed {
                node,
                probe,
                outcome,
            } => self.node_probed(&node, probe, outcome, now, effects),
            Event::NodeLost { node, failure } => self.node_lost(&node, failure, now, effects),
            Event::ObserverProbed {
                observer,
                probe,
                outcome,
            } => {
                self.observer_probed(&observer, probe, outcome, now, effects);
            }
            Event::CheckRequested => self.request_check(now),
            Event::CommandExited { id, outcome } => self.command_exited(id, &outcome, now, effects),
            Event::FormerCommandEnded => self.former_command_ended(now, effects),
            Event::FollowPrepared(outcome) => self.follow_prepared(outcome, effects),
            Event::DeadlineReached { maintenance } => {
                self.maintenance = maintenance;
                self.take_turn(now, effects);
            }
        }
        self.expected_at = Some(self.next_deadline().max(now.mono));
    }

    /// When [`Event::DeadlineReached`] is due next.
    pub fn next_deadline(&self) -> Monotonic {
        let decision = (!self.is_held_up()).then_some(self.schedule.decision);
        let check = self.check.as_ref();
        let check = check.map(|check| {
            if self.is_complete(check) {
                check.since
            } else {
                check.deadline
            }
        });
        let probe = self.schedule.next_probe(self.asks_observers());
        [decision, check, probe, self.health_deadline()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.schedule.decision)
    }

    /// The decision that comes next is a regular one, whatever the time: timelines that say when
    /// decisions are made have no others.
    pub fn regular_decision_due(&mut self) {
        self.promotion.regular_decision_due();
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

    /// What the last round came to.
    pub fn last_round(&self) -> Option<&Round> {
        self.last.as_ref()
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
            .saturating_add(pending::patience(&self.config));
        now.since(
            self.last
                .as_ref()
                .map_or(self.started_at, |round| round.at.mono),
        ) <= longest
    }

    /// What a later process must know.
    pub fn memory(&self, now: Now) -> Memory {
        let former = self.former_contacts.iter().map(|(node, at)| (node, *at));
        let contacts = self
            .state
            .primary_contacts()
            .map(|(node, at, _)| (node, at))
            .chain(former);
        let contacts = Memory::contacts(contacts, |node| self.state.is_within_reach(node), now);
        let (failover, failover_failed) = self.promotion.memory();
        Memory {
            primary: self.remembered.clone(),
            contacts,
            standbys: self.standbys(),
            failover,
            failover_failed,
            restart_owed: self.following.owes_restart(),
        }
    }

    /// Who has told that it is a standby; of who has told nothing yet, or is not among the nodes
    /// now, what was known before.
    fn standbys(&self) -> BTreeSet<NodeName> {
        let answer = |node: &NodeName| {
            self.state
                .nodes
                .get(node)
                .and_then(|state| state.answer.as_ref())
        };
        let is_standby = |node: &NodeName| match answer(node) {
            Some(answer) => answer.in_recovery,
            None => self.former_standbys.contains(node),
        };
        self.state
            .nodes
            .keys()
            .chain(&self.former_standbys)
            .filter(|node| is_standby(node))
            .cloned()
            .collect()
    }

    /// Are observers asked at all now.
    fn asks_observers(&self) -> bool {
        !self.config.poll_observers_on_warning_only || self.warning_since.is_some()
    }

    fn reload(&mut self, config: Arc<Config>, now: Now, effects: &mut Vec<Effect>) {
        if config.nodes != self.config.nodes {
            self.nodes_changed_at = now.mono;
        }
        self.remember_leavers(&config);
        self.state.adopt(&config);
        self.news.adopt(&config);
        self.schedule.drop_readdressed(&self.config, &config);
        self.schedule.adopt(&config, now.mono);
        self.config = config;
        self.following.want();
        self.health.begin_anew(now.mono);
        self.request_check(now);
        self.take_due_probes(now.mono, effects);
    }

    /// A node that leaves takes its state along, but not that we reached it as a primary, nor that
    /// it was a standby: nobody counts that while it is away, and if it was left out by mistake and
    /// comes back, the wait goes on and its vote is missed.
    fn remember_leavers(&mut self, config: &Config) {
        let leavers = self
            .state
            .nodes
            .iter()
            .filter(|(node, _)| !config.nodes.contains_key(*node));
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

    fn node_probed(
        &mut self,
        node: &NodeName,
        probe: ProbeId,
        outcome: Result<NodeReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if self.schedule.node_reported(node, probe, now.mono) {
            self.learn_of_node(node, probe, outcome, now, effects);
            self.note_report(now.mono, effects);
        }
    }

    fn learn_of_node(
        &mut self,
        node: &NodeName,
        probe: ProbeId,
        outcome: Result<NodeReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if self.config.own_db.as_ref() == Some(node) {
            let is_primary = matches!(
                &outcome,
                Ok(NodeReport {
                    role: RoleReport::Primary { .. },
                    ..
                })
            );
            self.promotion.own_node_polled(probe, is_primary);
        }
        self.say_of_node(node, outcome.as_ref().err(), now.mono, effects);
        let remembered = self.remembered.as_ref() == Some(node);
        if self.state.node_probed(node, outcome, remembered, now) {
            self.schedule.decision = now.mono;
        }
    }

    /// A connection lost while idle is no answer to a probe: whoever waits for fresh facts waits
    /// on, and the node is asked again at once.
    fn node_lost(
        &mut self,
        node: &NodeName,
        failure: ProbeFailure,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if !self.config.nodes.contains_key(node) {
            return;
        }
        self.say_of_node(node, Some(&failure), now.mono, effects);
        let remembered = self.remembered.as_ref() == Some(node);
        if self.state.node_probed(node, Err(failure), remembered, now) {
            self.schedule.decision = now.mono;
        }
        self.schedule.hurry_node(node, now.mono);
    }

    fn observer_probed(
        &mut self,
        observer: &ObserverName,
        probe: ProbeId,
        outcome: Result<ObserverReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if self.schedule.observer_reported(observer, probe, now.mono) {
            self.learn_of_observer(observer, outcome, now, effects);
            self.note_report(now.mono, effects);
        }
    }

    fn learn_of_observer(
        &mut self,
        observer: &ObserverName,
        outcome: Result<ObserverReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        self.say_of_observer(observer, &outcome, now, effects);
        let awaited = matches!(
            self.last.as_ref().map(|round| &round.decision.verdict),
            Some(Verdict::Wait(Wait::ObserversSinceWarning { .. }))
        );
        if self.state.observer_probed(observer, outcome, now) || awaited {
            self.schedule.decision = now.mono;
        }
    }

    /// Everything whose time has come: probes, a finished or overdue check, a decision.
    fn take_turn(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.take_due_probes(now.mono, effects);
        self.look_after_health(now.mono, effects);
        if let Some(check) = self.check {
            if self.is_complete(&check) {
                self.check = None;
                self.conclude(check.look, now, effects);
                return;
            }
            if check.deadline <= now.mono {
                self.check = None;
                self.give_up_check(&check, now, effects);
                return;
            }
        }
        if self.schedule.decision <= now.mono && !self.is_held_up() {
            self.conclude(Look::Regular, now, effects);
        }
    }

    /// A decision waits for everybody's report. Only this holds the others up: while a requested
    /// poll goes on, decisions are made when they are due, so that a node that does not answer
    /// delays none.
    fn is_held_up(&self) -> bool {
        self.check.is_some_and(|check| check.holds)
    }

    /// Makes a decision and waits for what it asks for.
    fn conclude(&mut self, look: Look, now: Now, effects: &mut Vec<Effect>) {
        let wants_fresh_facts = self.decide(look, now, effects);
        let again = self
            .last
            .as_ref()
            .and_then(|round| round.decision.verdict.look_again_at());
        let regular = now.mono + self.config.check_interval;
        self.schedule.decision = again.map_or(regular, |again| again.clamp(now.mono, regular));
        if wants_fresh_facts {
            self.begin_check(Look::Fresh, now.mono, effects);
        }
    }

    /// Not everybody has reported in time: no decision on fresh facts this round, and one that was
    /// merely requested is made on what is known.
    fn give_up_check(&mut self, check: &Check, now: Now, effects: &mut Vec<Effect>) {
        match check.look {
            Look::Regular => self.conclude(Look::Regular, now, effects),
            Look::Fresh => {
                self.schedule.decision = now.mono + self.config.check_interval;
                self.note_wait(Wait::FreshFactsOverdue, now, effects);
            }
        }
    }
}

/// So many nodes that have left are remembered.
const MAX_FORMER: usize = 1_000;

#[cfg(test)]
mod restart_tests;
#[cfg(test)]
#[path = "lookout_tests.rs"]
mod tests;
