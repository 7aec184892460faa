//! A round from beginning to end: is it time to decide, the node map, the decision, and what follows
//! from it.

use std::sync::Arc;

use super::facts::{self, Facts};
use super::follow::Following;
use super::isolation::Isolation;
use super::lag::{self, LagWarning};
use super::log_once::DecisionLog;
use super::outage::Outage;
use super::pause::Pause;
use super::promotion::Promotion;
use super::schedule::Schedule;
use super::succession::Succession;
use super::switchover::Switchover;
use super::tenure::Tenure;
use super::turn::Turn;
use super::votes::{self, Votes};
use super::watch::Watch;
use super::{
    Alert, CommandId, CommandOutcome, CommandPurpose, FailoverOutcome, Look, Memory, Round, Rounds,
    round,
};
use crate::cluster::{DaemonState, NodeMap, NodeReport, NodeState, ObserverReport, ProbeFailure};
use crate::config::{Config, NodeName, ObserverName};
use crate::failover::{Blocker, Decision, Figures, Prospect, Snapshot, Verdict, Wait, decide};
use crate::time::{Monotonic, Now};

/// What is known, what was decided on it, and what is under way because of it.
#[derive(Debug)]
pub(super) struct Decisions {
    pub(super) facts: Facts,
    pub(super) maintenance: bool,
    pub(super) lag: LagWarning,
    pub(super) promotion: Promotion,
    pub(super) following: Following,
    pub(super) outage: Outage,
    pub(super) pause: Pause,
    pub(super) isolation: Isolation,
    pub(super) watch: Watch,
    pub(super) rounds: Rounds,
    pub(super) votes: Votes,
    pub(super) tenure: Tenure,
    pub(super) succession: Succession,
    /// The last that was asked for here.
    pub(super) switchover: Option<Switchover>,
    log: DecisionLog,
}

impl Decisions {
    /// Goes on from what the previous process remembered.
    pub(super) fn recall(memory: &Memory, config: &Config, now: Now) -> Self {
        Self {
            facts: Facts::recall(memory, config, now),
            maintenance: false,
            lag: LagWarning::recall(memory.lag_warning),
            promotion: Promotion::recall(memory, config, now.mono),
            following: Following::new(memory.restart_owed),
            outage: Outage::recall(memory),
            pause: Pause::recall(memory.pause),
            isolation: Isolation::default(),
            watch: Watch::recall(memory),
            rounds: Rounds::default(),
            votes: Votes::new(config, now.mono),
            tenure: Tenure::default(),
            succession: Succession::default(),
            switchover: memory
                .switchover
                .as_ref()
                .map(|past| Switchover::resumed(past, config, now.mono)),
            log: DecisionLog::new(),
        }
    }

    /// What a later process must know.
    pub(super) fn memory(&self, config: &Config, now: Now) -> Memory {
        let (failover, failover_failed) = self.promotion.memory();
        Memory {
            failover,
            failover_failed,
            restart_owed: self.following.owes_restart(),
            failover_stuck: self.outage.is_stuck(),
            lag_warning: self.lag.is_raised(),
            diverged_standby: self.watch.stands(Alert::DivergedStandby),
            primary_flapping: self.watch.stands(Alert::PrimaryFlapping),
            primary_not_writing: self.watch.stands(Alert::PrimaryNotWriting),
            pause: self.pause.mark(),
            switchover: self.switchover.as_ref().and_then(Switchover::memory),
            ..self.facts.memory(self.outage.went_first(), config, now)
        }
    }

    /// Merges the outcome of a poll. Says whether it may change a decision.
    pub(super) fn node_probed(
        &mut self,
        node: &NodeName,
        outcome: Result<NodeReport, ProbeFailure>,
        asked: Option<Monotonic>,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Facts {
            state, remembered, ..
        } = &mut self.facts;
        let gone = state.history.gone.clone();
        let context = Facts::context(remembered.as_ref(), config, turn.now);
        let is_news = state.node_probed(node, outcome, asked, context);
        let is_paused = self.pause.shown_by_node(node, state, config, turn);
        self.facts.warn_of_void(&gone, turn);
        is_news || is_paused
    }

    /// A poll has ended, and its outcome is merged.
    pub(super) fn node_polled(&mut self, node: &NodeName, turn: &Turn<'_>) {
        let Facts {
            state, remembered, ..
        } = &self.facts;
        if remembered.as_ref() == Some(node)
            && let Some(primary) = state.nodes.get(node)
        {
            self.watch.primary_polled(primary, turn.now.mono);
        }
    }

    /// Merges the outcome of fetching an observer's state. Says whether it may change a decision.
    pub(super) fn observer_probed(
        &mut self,
        observer: &ObserverName,
        outcome: Result<ObserverReport, ProbeFailure>,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Facts {
            state, remembered, ..
        } = &mut self.facts;
        let gone = state.history.gone.clone();
        let context = Facts::context(remembered.as_ref(), config, turn.now);
        let is_news = state.observer_probed(observer, outcome, context);
        let is_paused = self.pause.passed_on(observer, state, config, turn);
        self.facts.warn_of_void(&gone, turn);
        is_news || is_paused
    }

    /// A command has ended, or never began.
    pub(super) fn command_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let has_succeeded = *outcome == CommandOutcome::Exited(0);
        if self.fence_exited(id, outcome, config, schedule, turn)
            || self.unfence_exited(id, outcome, config, schedule, turn)
            || self.switchover_exited(id, outcome, config, schedule, turn)
            || self.isolation.command_exited(id, outcome, turn)
            || self.following.command_exited(id, outcome, config, turn)
        {
            return;
        }
        if self
            .promotion
            .command_exited(id, outcome, config, schedule, turn)
        {
            if has_succeeded {
                self.lag.forget();
                self.outage.over(turn);
            } else {
                let reason = format!("failover_command {outcome}");
                // Nothing was run, so there is nothing to fence.
                if matches!(outcome, CommandOutcome::NotStarted(_)) {
                    self.votes.never_run(config, turn);
                }
                self.votes.command_failed(config, turn.now.mono);
                self.outage.undecided(&reason, &[], config, turn);
            }
            self.tenure.command_ended();
            self.follow_tenure(config, turn);
        } else if !has_succeeded {
            turn.error(format!("over_warning_limit_command {outcome}"));
            turn.count_failure(CommandPurpose::LagWarning, outcome);
        }
    }

    /// Makes a decision on the facts as they are and acts on it. Says what has to be polled before
    /// the next one.
    pub(super) fn decide(
        &mut self,
        look: Look,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) -> Option<Look> {
        let now = turn.now.mono;
        self.pause.follow(turn);
        if let Some(wait) = self.not_yet(config, now) {
            self.outage.withdraw();
            self.note_wait(wait, config, turn);
            return None;
        }
        let map = self.facts.map(config, now);
        if look == Look::Regular {
            let reason = self.reason_of_promotion();
            if map.sole_primary().is_some() {
                self.promotion.outage_over(now);
                self.votes.outage_over();
            }
            let is_paused = self.pause.active().is_some();
            self.isolation
                .follow(is_paused, &self.facts.state, &map, config, turn);
            if self.facts.remember_primary(&map, reason, config, turn) {
                self.following.follow_another();
            }
        }
        let snapshot = self.snapshot(&map, look, config, now);
        let decision = decide(&snapshot);
        let figures = Figures::new(&snapshot, &decision);
        turn.effects.extend(facts::alert_of(&map));
        self.outage
            .follow(&map, &decision, &figures.changes, config, turn);
        self.report_if_passed_over(&decision.verdict, config, turn);
        if votes::ends_attempt(&decision.verdict) {
            self.votes.abandon(config, turn);
        }
        let next = self.next_look(&decision.verdict, turn);
        let promotes = matches!(decision.verdict, Verdict::Promote { .. });
        // A decision on fresh facts is the regular one, continued: what it does besides is done.
        if look == Look::Regular && !promotes && self.pause.active().is_none() {
            let primary = self.facts.remembered.as_ref();
            self.following.pursue(
                primary,
                &map,
                config,
                &self.facts.state,
                &self.promotion,
                turn,
            );
        }
        self.lag.follow(&decision, config, turn);
        if look == Look::Regular {
            lag::measure(&decision, turn);
        }
        self.note(map, decision, figures, turn);
        if let Some(round) = self.rounds.newest().filter(|_| look == Look::Regular) {
            self.watch.follow(round, &self.facts.state, config, turn);
        }
        if promotes {
            self.promote_or_ask(config, schedule, turn);
        }
        next
    }

    /// Why this daemon has promoted its node in this outage, if it has.
    fn reason_of_promotion(&self) -> Option<&'static str> {
        let (last, _) = self.promotion.memory();
        last.filter(|last| last.outcome != FailoverOutcome::Failed)?;
        let mut promotions = self.rounds.iter().filter_map(|round| {
            let verdict = &round.decision.verdict;
            matches!(verdict, Verdict::Promote { .. }).then(|| verdict.reason())
        });
        // A process that has been restarted since has no decisions.
        Some(promotions.next().unwrap_or("failover"))
    }

    /// This node goes first, something keeps it from its promotion, and others can see so: they pass
    /// it over.
    fn report_if_passed_over(&mut self, verdict: &Verdict, config: &Config, turn: &mut Turn<'_>) {
        let own = config.own_db.as_ref();
        let own = own.and_then(|own| self.facts.state.nodes.get(own)?.answer.as_ref());
        let is_shown = own.is_some_and(|answer| answer.daemons.is_some());
        if let Verdict::Hold(blocker @ (Blocker::Maintenance { .. } | Blocker::NoQuorum { .. })) =
            verdict
            && is_shown
        {
            self.promotion.passed_over(blocker, turn);
        }
    }

    /// What the verdict wants polled before the next decision.
    fn next_look(&mut self, verdict: &Verdict, turn: &Turn<'_>) -> Option<Look> {
        match verdict {
            Verdict::Announce { winner, .. } => {
                self.outage
                    .announce(winner, turn.assumes_shown, turn.now.mono);
                Some(Look::Announced)
            }
            // Whoever slept after its announcement announces anew.
            Verdict::WantsFreshFacts { .. } => {
                self.outage.withdraw();
                Some(Look::Fresh)
            }
            _ => {
                self.outage.withdraw();
                None
            }
        }
    }

    /// What our sessions are to show.
    pub(super) fn shown(&self, config: &Config, now: Monotonic) -> DaemonState {
        let Some(own) = &config.own_db else {
            return DaemonState::Observer;
        };
        let state = self.facts.state.nodes.get(own);
        if state.is_some_and(NodeState::is_connected_primary) {
            return DaemonState::Primary;
        }
        if let Some(announced) = self.outage.announced() {
            return DaemonState::Wants(Some(announced.position));
        }
        if let Some(state) = self.promotion.shown(config, now) {
            return state;
        }
        if config.never_promote.contains(own) {
            return DaemonState::Never;
        }
        if self.maintenance {
            return DaemonState::Maintenance;
        }
        if config.failover_command.is_none() {
            return DaemonState::NoCommand;
        }
        self.outage.steps_aside().unwrap_or(DaemonState::Ok)
    }

    /// What the loss of the primary comes to, by this node map.
    pub(super) fn prospect(&self, map: &NodeMap, config: &Config, now: Monotonic) -> Prospect {
        let own = self.shown(config, now);
        self.snapshot(map, Look::Regular, config, now).prospect(own)
    }

    /// Why it is not time to decide at all.
    fn not_yet(&self, config: &Config, now: Monotonic) -> Option<Wait> {
        let state = &self.facts.state;
        if let Some(until) = self.promotion.pause(now) {
            return Some(Wait::PauseAfterFailover { until });
        }
        round::first_answers_missing(config, state)
    }

    /// A round in which nothing could be decided. It is made on no node map; its figures are those
    /// of the moment.
    pub(super) fn note_wait(&mut self, wait: Wait, config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let is_overdue = wait == Wait::FreshFactsOverdue;
        let decision = Decision::without_lag(Verdict::Wait(wait));
        let map = self.facts.map(config, now);
        let figures = Figures::new(&self.snapshot(&map, Look::Regular, config, now), &decision);
        if is_overdue {
            self.outage.withdraw();
            let reason = decision.verdict.to_string();
            self.outage
                .undecided(&reason, &figures.changes, config, turn);
        }
        self.note(NodeMap::default(), decision, figures, turn);
    }

    pub(super) fn snapshot<'a>(
        &'a self,
        map: &'a NodeMap,
        look: Look,
        config: &'a Config,
        now: Monotonic,
    ) -> Snapshot<'a> {
        Snapshot {
            config,
            state: &self.facts.state,
            map,
            remembered: self.facts.remembered.as_ref(),
            previous_contacts: &self.facts.previous_contacts,
            nodes_changed_at: self.facts.nodes_changed_at,
            started_at: self.facts.started_at,
            memory_is_old: self.facts.memory_is_old,
            went_first: self.outage.went_first(),
            announced: self.outage.announced().filter(|_| look == Look::Announced),
            fresh: look != Look::Regular,
            maintenance: self.maintenance,
            pause: self.pause.active(),
            lag_warning: self.lag.is_raised(),
            promoting: self.promotion.is_running(),
            has_failed: self.promotion.has_failed(),
            held_off_until: self.promotion.held_off(now),
            tried_until: self.promotion.tried_until(),
            unsettled: self.promotion.is_unsettled(),
            election: self.votes.standing(config, now),
            predecessor: self.votes.predecessor(config, now),
            now,
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
        turn.push(self.log.decided(&round));
        self.rounds.push(round);
        turn.save = true;
    }
}
