//! Scripted timelines: a decision is made at each `check` line and nowhere else, on the facts up to
//! that line, with the memory that earlier checks left.

use std::sync::Arc;

use super::decision_line::DecisionLine;
use super::run::{Outcome, Told, tell_commands, tell_news};
use super::timeline::{CheckLine, Clocks, Follow, Line, Step, Timeline};
use crate::lookout::{CommandOutcome, Effect, Event, FollowOutcome, Look, Lookout};

/// Runs a scripted timeline and tells every decision.
pub(super) fn run(timeline: &Timeline, tell: &mut dyn FnMut(Told)) {
    let mut run = Run::new(timeline);
    let mut lines = timeline.lines.as_slice();
    while let Some((line, rest)) = lines.split_first() {
        lines = rest;
        run.clocks.go_to(line.t);
        match &line.step {
            Step::Check(check) => {
                let fresh = rest.iter().take_while(|line| line.fresh).count();
                let (facts, after) = rest.split_at(fresh);
                run.check(check, facts, tell);
                lines = after;
            }
            step => run.learn(step),
        }
    }
}

struct Run<'a> {
    name: &'a str,
    lookout: Lookout,
    clocks: Clocks,
    effects: Vec<Effect>,
}

impl<'a> Run<'a> {
    fn new(timeline: &'a Timeline) -> Self {
        Self {
            name: &timeline.name,
            lookout: Lookout::new(
                Arc::new(timeline.config.clone()),
                &timeline.memory,
                timeline.start,
            ),
            clocks: Clocks::new(timeline.start),
            effects: Vec::new(),
        }
    }

    fn learn(&mut self, step: &Step) {
        let now = self.clocks.now();
        let Self {
            lookout, effects, ..
        } = self;
        match step {
            Step::Node(node, outcome) => lookout.node_told(node, outcome.clone(), now, effects),
            Step::Observer(observer, outcome) => {
                lookout.observer_told(observer, outcome.clone(), now, effects)
            }
            Step::Lost(node, failure) => {
                lookout.handle(
                    Event::NodeLost {
                        node: node.clone(),
                        failure: failure.clone(),
                    },
                    now,
                    effects,
                );
            }
            Step::Maintenance(exists) => lookout.set_maintenance(*exists),
            Step::Config(config) => {
                lookout.handle(
                    Event::ConfigLoaded(Arc::new((**config).clone())),
                    now,
                    effects,
                );
            }
            Step::FormerCommandEnded => lookout.handle(Event::FormerCommandEnded, now, effects),
            Step::Wall(wall) => self.clocks.set_wall(*wall),
            // The daemon's own timers do not run, and commands end within their check.
            Step::CheckRequested
            | Step::Command(..)
            | Step::FollowPrepared(_)
            | Step::Turn(_)
            | Step::End
            | Step::Check(_) => {}
        }
    }

    fn check(&mut self, check: &CheckLine, facts: &[Line], tell: &mut dyn FnMut(Told)) {
        let t = self.clocks.t();
        self.effects.clear();
        self.lookout.regular_decision_due();
        let wants_fresh_facts = self.decide(Look::Regular, check);
        if wants_fresh_facts && !facts.is_empty() {
            for line in facts {
                self.clocks.go_to(line.t);
                self.learn(&line.step);
            }
            self.decide(Look::Fresh, check);
        }
        let Some(round) = self.lookout.last_round() else {
            return;
        };
        let line = DecisionLine {
            fresh_facts_wanted: wants_fresh_facts,
            ..DecisionLine::new(self.name, t, &self.lookout, round, &self.effects)
        };
        let sentence = round.decision.verdict.to_string();
        tell_news(&self.effects, &sentence, t, tell);
        tell(Told::Decision(Box::new(Outcome {
            line,
            sentence,
            expected: check.expect.clone(),
        })));
        tell_commands(&self.effects, t, tell);
    }

    /// A decision, and what comes of its wishes: at once, each before the next wish.
    fn decide(&mut self, look: Look, check: &CheckLine) -> bool {
        let now = self.clocks.now();
        let mut wishes = Vec::new();
        let wants_fresh_facts = self.lookout.decide(look, now, &mut wishes);
        while !wishes.is_empty() {
            let wish = wishes.remove(0);
            if let Some(event) = answer(&wish, check) {
                let mut later = Vec::new();
                self.lookout.handle(event, now, &mut later);
                wishes.splice(0..0, later);
            }
            self.effects.push(wish);
        }
        wants_fresh_facts
    }
}

/// What comes of a wish, as the check line has it.
fn answer(wish: &Effect, check: &CheckLine) -> Option<Event> {
    match wish {
        Effect::RunCommand { id, .. } => {
            let outcome = match check.command_exit {
                None => CommandOutcome::NotStarted("as scripted".to_owned()),
                Some(status) if status < 0 => CommandOutcome::Killed(status.saturating_neg()),
                Some(status) => CommandOutcome::Exited(status),
            };
            Some(Event::CommandExited { id: *id, outcome })
        }
        Effect::PrepareFollow { .. } => Some(Event::FollowPrepared(match check.follow {
            Follow::Changed => FollowOutcome::Changed,
            Follow::Unchanged => FollowOutcome::Unchanged,
            Follow::Failed => FollowOutcome::Failed("as scripted".to_owned()),
        })),
        _ => None,
    }
}
