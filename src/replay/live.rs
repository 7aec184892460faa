//! Live timelines: the core runs on its own schedule, timers included, and decisions come when they
//! come.
//!
//! A recorded one says when the daemon looked at its deadlines (`turn`): the core is told of them
//! then and at no other time, so that every wait ends at the very microsecond at which it ended
//! live. One written by hand has no such lines: there the core looks at each deadline when it is
//! due.

use std::sync::Arc;

use super::decision_line::DecisionLine;
use super::run::{Endless, Outcome, Told, tell_commands, tell_news};
use super::timeline::{Clocks, Step, Timeline};
use crate::cluster::{NodeReport, ObserverReport, ProbeFailure};
use crate::config::{NodeName, ObserverName};
use crate::failover::Verdict;
use crate::lookout::{CommandId, CommandPurpose, Effect, Event, Lookout};

/// So often may the core look at its deadlines between two lines.
pub(super) const MAX_IDLE_TURNS: usize = 1_000_000;

/// Runs a live timeline and tells every decision.
pub(super) fn run(timeline: &Timeline, tell: &mut dyn FnMut(Told)) -> Result<(), Endless> {
    let mut run = Run::new(timeline, tell);
    let own_turns = !timeline.has_turns();
    for line in &timeline.lines {
        // What arrives at the moment of a deadline is merged first, as in the daemon.
        while own_turns && run.next_turn() < line.t {
            run.own_turn()?;
        }
        run.clocks.go_to(line.t);
        run.idle_turns = 0;
        run.learn(&line.step);
    }
    while own_turns && run.next_turn() <= run.clocks.t() {
        run.own_turn()?;
    }
    Ok(())
}

struct Run<'a> {
    name: &'a str,
    lookout: Lookout,
    clocks: Clocks,
    maintenance: bool,
    running: Vec<(CommandPurpose, CommandId)>,
    /// Since the last decision, that one's own excepted.
    effects: Vec<Effect>,
    /// How many of them were looked at.
    seen: usize,
    idle_turns: usize,
    tell: &'a mut dyn FnMut(Told),
}

impl<'a> Run<'a> {
    fn new(timeline: &'a Timeline, tell: &'a mut dyn FnMut(Told)) -> Self {
        Self {
            name: &timeline.name,
            lookout: Lookout::new(
                Arc::new(timeline.config.clone()),
                &timeline.memory,
                timeline.start,
            ),
            clocks: Clocks::new(timeline.start),
            maintenance: false,
            running: Vec::new(),
            effects: Vec::new(),
            seen: 0,
            idle_turns: 0,
            tell,
        }
    }

    /// When the core's next deadline is, but not before now.
    fn next_turn(&self) -> std::time::Duration {
        self.clocks
            .t_of(self.lookout.next_deadline())
            .max(self.clocks.t())
    }

    fn own_turn(&mut self) -> Result<(), Endless> {
        self.idle_turns += 1;
        if self.idle_turns > MAX_IDLE_TURNS {
            return Err(Endless {
                since: self.clocks.t(),
            });
        }
        self.clocks.go_to(self.next_turn());
        self.turn();
        Ok(())
    }

    /// Decisions are made here and nowhere else, and whatever was decided is saved.
    fn turn(&mut self) {
        let maintenance = self.maintenance;
        self.lookout.handle(
            Event::DeadlineReached { maintenance },
            self.clocks.now(),
            &mut self.effects,
        );
        let is_decision = self
            .effects
            .get(self.seen..)
            .unwrap_or_default()
            .contains(&Effect::SaveState);
        self.look_at_effects(is_decision);
    }

    fn learn(&mut self, step: &Step) {
        match step {
            Step::Node(node, outcome) => self.node(node, outcome.clone()),
            Step::Observer(observer, outcome) => self.observer(observer, outcome.clone()),
            Step::Lost(node, failure) => self.handle(Event::NodeLost {
                node: node.clone(),
                failure: failure.clone(),
            }),
            Step::Maintenance(exists) => self.maintenance = *exists,
            Step::Config(config) => self.handle(Event::ConfigLoaded(Arc::new((**config).clone()))),
            Step::Wall(wall) => self.clocks.set_wall(*wall),
            Step::CheckRequested => self.handle(Event::CheckRequested),
            Step::Command(purpose, outcome) => {
                let Some(at) = self
                    .running
                    .iter()
                    .position(|(running, _)| running == purpose)
                else {
                    return;
                };
                let (_, id) = self.running.remove(at);
                self.handle(Event::CommandExited {
                    id,
                    outcome: outcome.clone(),
                });
            }
            Step::FormerCommandEnded => self.handle(Event::FormerCommandEnded),
            Step::FollowPrepared(outcome) => self.handle(Event::FollowPrepared(outcome.clone())),
            Step::Turn(_) => self.turn(),
            Step::End | Step::Check(_) => {}
        }
    }

    /// It answers the probe that is under way. If there is none (the file was written by hand,
    /// begins in mid-flight, or is tried with other settings), it is news all the same.
    fn node(&mut self, node: &NodeName, outcome: Result<NodeReport, ProbeFailure>) {
        match self.lookout.asked_node(node) {
            Some(probe) => self.handle(Event::NodeProbed {
                node: node.clone(),
                probe,
                outcome,
            }),
            None => {
                self.lookout
                    .node_told(node, outcome, self.clocks.now(), &mut self.effects);
                self.look_at_effects(false);
            }
        }
    }

    fn observer(&mut self, observer: &ObserverName, outcome: Result<ObserverReport, ProbeFailure>) {
        match self.lookout.asked_observer(observer) {
            Some(probe) => self.handle(Event::ObserverProbed {
                observer: observer.clone(),
                probe,
                outcome,
            }),
            None => {
                self.lookout
                    .observer_told(observer, outcome, self.clocks.now(), &mut self.effects);
                self.look_at_effects(false);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.lookout
            .handle(event, self.clocks.now(), &mut self.effects);
        self.look_at_effects(false);
    }

    fn look_at_effects(&mut self, is_decision: bool) {
        let t = self.clocks.t();
        let sentence = self
            .lookout
            .last_round()
            .map(|round| round.decision.verdict.to_string())
            .unwrap_or_default();
        let effects = self.effects.get(self.seen..).unwrap_or_default();
        let commands = effects.iter().filter_map(|effect| match effect {
            Effect::RunCommand { id, purpose, .. } => Some((*purpose, *id)),
            _ => None,
        });
        self.running.extend(commands);
        tell_news(effects, &sentence, t, self.tell);
        if is_decision {
            self.tell_decision(sentence);
        }
        tell_commands(
            self.effects.get(self.seen..).unwrap_or_default(),
            t,
            self.tell,
        );
        if is_decision {
            self.effects.clear();
        }
        self.seen = self.effects.len();
    }

    fn tell_decision(&mut self, sentence: String) {
        let Some(round) = self.lookout.last_round() else {
            return;
        };
        let line = DecisionLine {
            fresh_facts_wanted: matches!(round.decision.verdict, Verdict::WantsFreshFacts { .. }),
            ..DecisionLine::new(
                self.name,
                self.clocks.t(),
                &self.lookout,
                round,
                &self.effects,
            )
        };
        (self.tell)(Told::Decision(Box::new(Outcome {
            line,
            sentence,
            expected: serde_json::Map::new(),
        })));
    }
}
