//! A round from beginning to end: is it time to decide, the node map, the decision, and what follows
//! from it.

use std::sync::Arc;

use super::facts::{self, Facts};
use super::follow::Following;
use super::lag::{self, LagWarning};
use super::log_once::DecisionLog;
use super::promotion::Promotion;
use super::schedule::Schedule;
use super::turn::Turn;
use super::{Look, Memory, Round, Rounds, round};
use crate::cluster::NodeMap;
use crate::config::Config;
use crate::failover::{Decision, Figures, Snapshot, Verdict, Wait, decide};
use crate::time::{Monotonic, Now};

/// What is known, what was decided on it, and what is under way because of it.
#[derive(Debug)]
pub(super) struct Decisions {
    pub(super) facts: Facts,
    pub(super) maintenance: bool,
    pub(super) lag: LagWarning,
    pub(super) promotion: Promotion,
    pub(super) following: Following,
    pub(super) rounds: Rounds,
    log: DecisionLog,
}

impl Decisions {
    /// Goes on from what the previous process remembered.
    pub(super) fn recall(memory: &Memory, config: &Config, now: Monotonic) -> Self {
        Self {
            facts: Facts::recall(memory, config, now),
            maintenance: false,
            lag: LagWarning::default(),
            promotion: Promotion::recall(memory, config, now),
            following: Following::new(memory.restart_owed),
            rounds: Rounds::default(),
            log: DecisionLog::new(),
        }
    }

    /// What a later process must know.
    pub(super) fn memory(&self, now: Now) -> Memory {
        let (failover, failover_failed) = self.promotion.memory();
        Memory {
            primary: self.facts.remembered.clone(),
            contacts: self.facts.contacts(now),
            standbys: self.facts.standbys(),
            failover,
            failover_failed,
            restart_owed: self.following.owes_restart(),
        }
    }

    /// Makes a decision on the facts as they are and acts on it. Says whether fresh facts are
    /// wanted.
    pub(super) fn decide(
        &mut self,
        look: Look,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) -> bool {
        let now = turn.now.mono;
        if let Some(wait) = self.not_yet(config, now) {
            self.note_wait(wait, config, turn);
            return false;
        }
        let map = self.facts.map(config, now);
        if look == Look::Regular {
            if map.sole_primary().is_some() && !map.has_several_primaries() {
                self.promotion.outage_over(now);
            }
            if self.facts.remember_primary(&map, turn) {
                self.following.want();
            }
        }
        let snapshot = self.snapshot(&map, look, config, now);
        let decision = decide(&snapshot);
        let figures = Figures::new(&snapshot, &decision);
        let wants_fresh_facts = matches!(decision.verdict, Verdict::WantsFreshFacts { .. });
        let promotes = matches!(decision.verdict, Verdict::Promote { .. });
        turn.effects.extend(facts::alert_of(&map));
        // A decision on fresh facts is the regular one, continued: what it does besides is done.
        if look == Look::Regular && !promotes {
            let primary = self.facts.remembered.as_ref();
            self.following
                .pursue(primary, config, &self.facts.state, &self.promotion, turn);
        }
        self.lag.follow(&decision, config, turn);
        if look == Look::Regular {
            lag::measure(&decision, turn);
        }
        self.note(map, decision, figures, turn);
        if promotes {
            let primary = self.facts.remembered.clone();
            self.promotion.start(primary, config, schedule, turn);
        }
        wants_fresh_facts
    }

    /// Why it is not time to decide at all.
    fn not_yet(&self, config: &Config, now: Monotonic) -> Option<Wait> {
        let state = &self.facts.state;
        if let Some(until) = self.promotion.pause(now) {
            return Some(Wait::PauseAfterFailover { until });
        }
        let since_warning = self
            .lag
            .since()
            .filter(|_| config.poll_observers_on_warning_only);
        round::first_answers_missing(config, state)
            .or_else(|| round::observers_missing(since_warning?, config, state, now))
    }

    /// A round in which nothing could be decided. It is made on no node map; its figures are those
    /// of the moment.
    pub(super) fn note_wait(&mut self, wait: Wait, config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let decision = Decision::without_lag(Verdict::Wait(wait));
        let map = self.facts.map(config, now);
        let figures = Figures::new(&self.snapshot(&map, Look::Regular, config, now), &decision);
        self.note(NodeMap::default(), decision, figures, turn);
    }

    fn snapshot<'a>(
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
            previous_standbys: &self.facts.previous_standbys,
            nodes_changed_at: self.facts.nodes_changed_at,
            fresh: look == Look::Fresh,
            maintenance: self.maintenance,
            lag_warning: self.lag.is_raised(),
            promoting: self.promotion.is_running(),
            held_off_until: self.promotion.held_off(now),
            tried_until: self.promotion.tried_until(),
            unsettled: self.promotion.is_unsettled(),
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
