//! Scripted timelines: a decision is made at each `check` line and nowhere else, on the facts up to that line, with the
//! memory that earlier checks left.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::format::{CheckLine, Follow, Line, Step, Timeline};
use crate::cluster::ProbeFailure;
use crate::compat;
use crate::lookout::{CommandOutcome, Effect, Event, FollowOutcome, Look, Lookout, Memory};
use crate::time::{Monotonic, Now, WallTime};

/// A decision that was made at a check.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When.
    pub t: Duration,
    /// The decision line: verdict, reason, lists, commands, alerts.
    pub decided: serde_json::Map<String, Value>,
    /// What the script expects, key by key.
    pub expected: serde_json::Map<String, Value>,
}

/// Runs a scripted timeline.
pub fn decisions(timeline: &Timeline) -> Vec<Outcome> {
    let mut run = Run::new(timeline);
    let mut outcomes = Vec::new();
    let mut lines = timeline.lines.as_slice();
    while let Some((line, rest)) = lines.split_first() {
        lines = rest;
        run.t = line.t;
        match &line.step {
            Step::Check(check) => {
                let fresh = rest.iter().take_while(|line| line.fresh).count();
                let (facts, after) = rest.split_at(fresh);
                outcomes.push(run.check(check, facts));
                lines = after;
            }
            step => run.learn(step),
        }
    }
    outcomes
}

struct Run {
    lookout: Lookout,
    t: Duration,
    /// Our wall clock less `t`.
    wall_at_zero: WallTime,
    epoch_offset_t: Duration,
    effects: Vec<Effect>,
}

impl Run {
    fn new(timeline: &Timeline) -> Self {
        let now = Now { mono: Monotonic::from_duration(START), wall: timeline.epoch };
        Self {
            lookout: Lookout::new(Arc::new(timeline.config.clone()), &Memory::default(), now),
            t: Duration::ZERO,
            wall_at_zero: timeline.epoch,
            epoch_offset_t: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        Now {
            mono: Monotonic::from_duration(START + self.t),
            wall: self.wall_at_zero + self.t.saturating_sub(self.epoch_offset_t),
        }
    }

    fn learn(&mut self, step: &Step) {
        let now = self.now();
        let Self { lookout, effects, .. } = self;
        match step {
            Step::Node(node, outcome) => lookout.node_told(node, outcome.clone(), now, effects),
            Step::Observer(observer, outcome) => lookout.observer_told(observer, outcome.clone(), now, effects),
            Step::Lost(node) => {
                let failure = ProbeFailure::Unreachable { reason: "connection lost".to_owned() };
                lookout.handle(Event::NodeLost { node: node.clone(), failure }, now, effects);
            }
            Step::Maintenance(exists) => lookout.set_maintenance(*exists),
            Step::Config(config) => {
                lookout.handle(Event::ConfigLoaded(Arc::new((**config).clone())), now, effects);
            }
            Step::Wall(wall) => {
                self.wall_at_zero = *wall;
                self.epoch_offset_t = self.t;
            }
            Step::Check(_) => {}
        }
    }

    fn check(&mut self, check: &CheckLine, facts: &[Line]) -> Outcome {
        let t = self.t;
        self.effects.clear();
        let wants_fresh_facts = self.decide(Look::Regular, check);
        let gauge = self.lookout.last_round().and_then(|round| round.decision.lag.lag);
        if wants_fresh_facts && !facts.is_empty() {
            for line in facts {
                self.t = line.t;
                self.learn(&line.step);
            }
            self.decide(Look::Fresh, check);
        }
        Outcome { t, decided: self.decision_line(wants_fresh_facts, gauge), expected: check.expect.clone() }
    }

    /// A decision, and what comes of its wishes: at once, each before the next wish.
    fn decide(&mut self, look: Look, check: &CheckLine) -> bool {
        let now = self.now();
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

    fn decision_line(&self, wants_fresh_facts: bool, gauge: Option<Duration>) -> serde_json::Map<String, Value> {
        let mut line = serde_json::Map::new();
        let Some(round) = self.lookout.last_round() else { return line };
        let verdict = &round.decision.verdict;
        let map = &round.map;
        let commands: Vec<_> = self.effects.iter().filter_map(Effect::command).map(|(_, argv)| argv).collect();
        let entries = [
            ("verdict", json!(verdict.name())),
            ("reason", json!(verdict.reason())),
            ("primary", json!(self.lookout.primary().map(|primary| primary.as_str()))),
            ("connected_primaries", names(map.connected_primaries.keys())),
            ("disconnected_primaries", names(map.disconnected_primaries.iter())),
            ("standbys", names(map.standbys.keys())),
            ("connected_observers", names(map.connected_observers.iter())),
            ("disconnected_observers", names(map.disconnected_observers.iter())),
            ("fresh_facts_wanted", json!(wants_fresh_facts)),
            ("commands", json!(commands)),
            ("alerts_raised", self.alerts(|effect| matches!(effect, Effect::RaiseAlert { .. }))),
            ("alerts_cleared", self.alerts(|effect| matches!(effect, Effect::ClearAlert(_)))),
            ("followed", json!(self.followed())),
            ("lag_warning", json!(self.lookout.lag_warning())),
            ("lag_gauge", json!(gauge.map(|lag| lag.as_secs_f64()))),
            ("figures", compat::decision_json::figures(round)),
        ];
        line.extend(entries.into_iter().map(|(key, value)| (key.to_owned(), value)));
        line
    }

    fn followed(&self) -> Option<&str> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::PrepareFollow { primary, .. } => Some(primary.as_str()),
            _ => None,
        })
    }

    /// File names of the alerts in the chosen effects, sorted and distinct.
    fn alerts(&self, chosen: impl Fn(&Effect) -> bool) -> Value {
        let names = self.effects.iter().filter(|effect| chosen(effect)).filter_map(|effect| match effect {
            Effect::RaiseAlert { alert, .. } | Effect::ClearAlert(alert) => Some(compat::alert::file_name(*alert)),
            _ => None,
        });
        json!(names.collect::<std::collections::BTreeSet<_>>())
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

fn names<'a, T: ToString + 'a>(names: impl Iterator<Item = &'a T>) -> Value {
    json!(names.map(ToString::to_string).collect::<Vec<_>>())
}

/// Where a timeline's `t` 0 lies on the monotonic clock: far enough from its zero that ages never reach it.
const START: Duration = Duration::from_secs(1_000_000_000);
