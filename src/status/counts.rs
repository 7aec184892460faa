//! What has happened since the start, counted for `/metrics`: polls, decisions and commands.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Config, NodeName, ObserverName};
use crate::lookout::{CommandId, CommandOutcome, CommandPurpose, Effect, Event, Metric};
use crate::time::Monotonic;

/// Counts since the start of the process.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Polls of nodes that have ended.
    pub nodes: BTreeMap<NodeName, Polls>,
    /// The same of observers.
    pub observers: BTreeMap<ObserverName, Polls>,
    /// Decisions by verdict and reason.
    pub decisions: BTreeMap<(&'static str, &'static str), u64>,
    /// Commands that have ended by the key of the configuration and their outcome.
    pub commands: BTreeMap<(&'static str, &'static str), Total>,
    /// Poll cycles that were not complete in time.
    pub late_cycles: u64,
    /// How much later than planned the loop has woken up.
    pub lateness: Total,
    running: BTreeMap<CommandId, (CommandPurpose, Monotonic)>,
}

/// The polls of one node or observer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polls {
    /// Answered.
    pub succeeded: Total,
    /// Failed, in whatever way.
    pub failed: Total,
    asked_at: Option<Monotonic>,
}

/// How many, and how long all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How many.
    pub count: u64,
    /// How long.
    pub time: Duration,
}

impl Total {
    /// Another one, which took so long.
    pub fn add(&mut self, time: Duration) {
        self.count = self.count.saturating_add(1);
        self.time = self.time.saturating_add(time);
    }
}

impl Polls {
    fn ended(&mut self, is_success: bool, now: Monotonic) {
        let took = self.asked_at.take().map(|at| now.since(at));
        let total = match is_success {
            true => &mut self.succeeded,
            false => &mut self.failed,
        };
        total.add(took.unwrap_or_default());
    }
}

impl Counts {
    /// What the core gets.
    pub fn event(&mut self, event: &Event, now: Monotonic) {
        match event {
            Event::NodeProbed { node, outcome, .. } => {
                if let Some(polls) = self.nodes.get_mut(node) {
                    polls.ended(outcome.is_ok(), now);
                }
            }
            Event::ObserverProbed {
                observer, outcome, ..
            } => {
                if let Some(polls) = self.observers.get_mut(observer) {
                    polls.ended(outcome.is_ok(), now);
                }
            }
            Event::CommandExited { id, outcome } => {
                if let Some((purpose, since)) = self.running.remove(id) {
                    let total = self.commands.entry((purpose.key(), name(outcome)));
                    total.or_default().add(now.since(since));
                }
            }
            Event::ConfigLoaded(config) => self.adopt(config),
            Event::NodeLost { .. }
            | Event::CheckRequested
            | Event::VoteFileRead { .. }
            | Event::VoteRequested { .. }
            | Event::VoteAnswered { .. }
            | Event::VoteSaved { .. }
            | Event::HostSlept(_)
            | Event::WatchdogSeen(_)
            | Event::SwitchoverRequested(_)
            | Event::ControlRead(_)
            | Event::PauseSet(_)
            | Event::CommandStarted { .. }
            | Event::PreviousCommand(_)
            | Event::FollowPrepared(_)
            | Event::Stopping
            | Event::Turn(_) => {}
        }
    }

    /// What the core wants done.
    pub fn effect(&mut self, effect: &Effect, now: Monotonic) {
        match effect {
            Effect::ProbeNode { node, .. } => {
                self.nodes.entry(node.clone()).or_default().asked_at = Some(now);
            }
            Effect::ProbeObserver { observer, .. } => {
                let polls = self.observers.entry(observer.clone());
                polls.or_default().asked_at = Some(now);
            }
            Effect::RunCommand { id, purpose, .. } => {
                self.running.insert(*id, (*purpose, now));
            }
            Effect::Decided { round, .. } => {
                let verdict = &round.decision.verdict;
                let key = (verdict.name(), verdict.reason());
                let count = self.decisions.entry(key).or_default();
                *count = count.saturating_add(1);
            }
            Effect::Measure(Metric::HealthTimeout) => {
                self.late_cycles = self.late_cycles.saturating_add(1);
            }
            Effect::PrepareFollow { .. }
            | Effect::RaiseAlert { .. }
            | Effect::ClearAlert(_)
            | Effect::SendVote(_)
            | Effect::AnswerVote { .. }
            | Effect::SaveVote { .. }
            | Effect::ArmGuard(_)
            | Effect::ReadControl(_)
            | Effect::EndCommand(_)
            | Effect::Save(_)
            | Effect::Measure(_)
            | Effect::Log { .. } => {}
        }
    }

    /// Whoever is not configured any more is not shown any more.
    fn adopt(&mut self, config: &Config) {
        self.nodes.retain(|node, _| config.nodes.contains_key(node));
        self.observers
            .retain(|observer, _| config.observers.contains_key(observer));
    }
}

fn name(outcome: &CommandOutcome) -> &'static str {
    match outcome {
        CommandOutcome::Exited(0) => "succeeded",
        CommandOutcome::Exited(_) | CommandOutcome::Killed(_) => "failed",
        CommandOutcome::TimedOut => "timed_out",
        CommandOutcome::NotStarted(_) => "not_started",
    }
}
