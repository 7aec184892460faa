//! Runs a timeline through the core and reports what was decided. Nothing is executed; no clock,
//! socket or file is touched.
//!
//! A recorded timeline says when the daemon looked at its deadlines (`turn`): the core is given its
//! turns then and at no other time, so that every wait ends at the very microsecond at which it
//! ended live. One written by hand has no such lines: there a turn is given whenever the core has
//! one due. A script says when decisions are made (`check`): each is given a turn of its own, on the
//! facts up to that line and with the memory that earlier checks left.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::decision_line::DecisionLine;
use crate::failover::Verdict;
use crate::format::{CheckLine, Clocks, Follow, Line, Step, Timeline, alert_file};
use crate::lookout::{
    CommandId, CommandOutcome, CommandPurpose, Effect, Event, FollowOutcome, GivenTurn, Look,
    Lookout, Round,
};

/// What a run has to report, in order of time.
#[derive(Clone, Debug)]
pub enum Report {
    /// A decision was made.
    Decision(Box<Outcome>),
    /// What the daemon would have logged, and done, besides.
    News {
        /// When.
        t: Duration,
        /// One sentence.
        text: String,
    },
}

/// A decision that was made.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Verdict, reason, lists, commands, alerts.
    pub line: DecisionLine,
    /// The same in one sentence.
    pub sentence: String,
    /// What a script expects of it, key by key.
    pub expected: Map<String, Value>,
}

/// Time goes on and on without anything that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endless {
    /// Since when.
    pub since: Duration,
}

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.as_secs_f64();
        write!(
            f,
            "too long a time after t {since}: more than {} turns without a line",
            MAX_IDLE_TURNS
        )
    }
}

/// Runs a timeline.
pub fn run(timeline: &Timeline, sink: &mut dyn FnMut(Report)) -> Result<(), Endless> {
    let mut run = Run::new(timeline, sink);
    let finds_turns = !timeline.gives_turns();
    let mut lines = timeline.lines.as_slice();
    while let Some((line, rest)) = lines.split_first() {
        lines = rest;
        // What arrives at the moment of a deadline is merged first, as in the daemon.
        while finds_turns && run.next_turn() < line.t {
            run.found_turn()?;
        }
        run.clocks.go_to(line.t);
        run.idle_turns = 0;
        match &line.step {
            Step::Check(check) => {
                let fresh = rest.iter().take_while(|line| line.fresh).count();
                let (facts, after) = rest.split_at(fresh);
                run.check(check, facts);
                lines = after;
            }
            step => {
                run.learn(step);
                run.report();
            }
        }
    }
    while finds_turns && run.next_turn() <= run.clocks.t() {
        run.found_turn()?;
    }
    Ok(())
}

/// All decisions of a timeline.
pub fn decisions(timeline: &Timeline) -> Result<Vec<Outcome>, Endless> {
    let mut outcomes = Vec::new();
    run(timeline, &mut |reported| match reported {
        Report::Decision(outcome) => outcomes.push(*outcome),
        Report::News { .. } => {}
    })?;
    Ok(outcomes)
}

struct Run<'a> {
    name: &'a str,
    is_script: bool,
    lookout: Lookout,
    clocks: Clocks,
    maintenance: bool,
    running: Vec<(CommandPurpose, CommandId)>,
    /// Since the last decision; of a script, since the check began.
    effects: Vec<Effect>,
    /// How many of them were reported.
    reported: usize,
    idle_turns: usize,
    sink: &'a mut dyn FnMut(Report),
}

impl<'a> Run<'a> {
    fn new(timeline: &'a Timeline, sink: &'a mut dyn FnMut(Report)) -> Self {
        let config = Arc::new(timeline.config.clone());
        let lookout = Lookout::with_given_turns(config, &timeline.memory, timeline.start);
        Self {
            name: &timeline.name,
            is_script: timeline.is_scripted(),
            lookout: match timeline.is_recorded() {
                true => lookout,
                false => lookout.assuming_shown(),
            },
            clocks: Clocks::new(timeline.start),
            maintenance: false,
            running: Vec::new(),
            effects: Vec::new(),
            reported: 0,
            idle_turns: 0,
            sink,
        }
    }

    /// When the core has its next turn due, but not before now.
    fn next_turn(&self) -> Duration {
        self.clocks
            .t_of(self.lookout.next_deadline())
            .max(self.clocks.t())
    }

    fn found_turn(&mut self) -> Result<(), Endless> {
        self.idle_turns += 1;
        if self.idle_turns > MAX_IDLE_TURNS {
            return Err(Endless {
                since: self.clocks.t(),
            });
        }
        self.clocks.go_to(self.next_turn());
        self.turn(Event::Turn(GivenTurn::Deadlines));
        self.report();
        Ok(())
    }

    fn turn(&mut self, event: Event) {
        let now = self.clocks.now();
        self.lookout
            .turn([event], self.maintenance, now, &mut self.effects);
    }

    /// Takes in a line. In a script the daemon's own timers do not run, and commands end within
    /// their check.
    fn learn(&mut self, step: &Step) {
        match step {
            Step::Event(event) => self.turn(event.clone()),
            Step::Maintenance(exists) => self.maintenance = *exists,
            Step::Wall(wall) => self.clocks.set_wall(*wall),
            Step::Command(purpose, outcome) => {
                let is_it = |(running, _): &(CommandPurpose, _)| running == purpose;
                if let Some(at) = self.running.iter().position(is_it) {
                    let (_, id) = self.running.remove(at);
                    let outcome = outcome.clone();
                    self.turn(Event::CommandExited { id, outcome });
                }
            }
            Step::Turn(_) if !self.is_script => self.turn(Event::Turn(GivenTurn::Deadlines)),
            Step::Turn(_) | Step::End | Step::Check(_) => {}
        }
    }

    /// Reports what was not reported yet: the news, the decision if one was made, and the commands
    /// that were run for it. A script reports its checks alone.
    fn report(&mut self) {
        if self.is_script {
            return;
        }
        let t = self.clocks.t();
        let effects = self.effects.get(self.reported..).unwrap_or_default();
        self.running
            .extend(effects.iter().filter_map(Effect::purpose));
        let decided = effects.iter().find_map(Effect::decided).cloned();
        report_news(effects, t, self.sink);
        if let Some(round) = &decided {
            let asks = matches!(round.decision.verdict, Verdict::WantsFreshFacts { .. });
            self.report_decision(round, asks, t, Map::new());
        }
        let effects = self.effects.get(self.reported..).unwrap_or_default();
        report_commands(effects, t, self.sink);
        if decided.is_some() {
            self.effects.clear();
        }
        self.reported = self.effects.len();
    }

    /// A decision of a script, and a second one on the fresh facts that stand behind it, if the
    /// first wants them.
    fn check(&mut self, check: &CheckLine, facts: &[Line]) {
        let t = self.clocks.t();
        self.effects.clear();
        self.decide(Look::Regular, check);
        let wants_fresh_facts = self.wants(|it| matches!(it, Verdict::WantsFreshFacts { .. }));
        if wants_fresh_facts && facts.is_empty() {
            self.turn(Event::Turn(GivenTurn::FreshFactsOverdue));
        } else if wants_fresh_facts {
            for line in facts {
                self.clocks.go_to(line.t);
                self.learn(&line.step);
            }
            self.decide(Look::Fresh, check);
            if self.wants(|verdict| matches!(verdict, Verdict::Announce { .. })) {
                self.decide(Look::Announced, check);
            }
        }
        let Some(round) = self.lookout.rounds().newest().cloned() else {
            return;
        };
        report_news(&self.effects, t, self.sink);
        self.report_decision(&round, wants_fresh_facts, t, check.expect.clone());
        report_commands(&self.effects, t, self.sink);
    }

    /// A decision, and what comes of its effects: at once, each before the next effect.
    fn decide(&mut self, look: Look, check: &CheckLine) {
        let mut at = self.effects.len();
        self.turn(Event::Turn(GivenTurn::Decision(look)));
        while let Some(effect) = self.effects.get(at) {
            at += 1;
            if let Some(event) = answer(effect, check) {
                let later = self.effects.split_off(at);
                self.turn(event);
                self.effects.extend(later);
            }
        }
    }

    /// Does the last verdict want this.
    fn wants(&self, what: impl Fn(&Verdict) -> bool) -> bool {
        let round = self.lookout.last_round();
        round.is_some_and(|round| what(&round.decision.verdict))
    }

    fn report_decision(
        &mut self,
        round: &Round,
        fresh_facts_wanted: bool,
        t: Duration,
        expected: Map<String, Value>,
    ) {
        let line = DecisionLine {
            fresh_facts_wanted,
            ..DecisionLine::new(self.name, t, &self.lookout, round, &self.effects)
        };
        let sentence = round.decision.verdict.to_string();
        (self.sink)(Report::Decision(Box::new(Outcome {
            line,
            sentence,
            expected,
        })));
    }
}

/// What comes of an effect, as the check line has it.
fn answer(effect: &Effect, check: &CheckLine) -> Option<Event> {
    match effect {
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
        Effect::ProbeNode { .. }
        | Effect::ProbeObserver { .. }
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
        | Effect::Log { .. }
        | Effect::Decided { .. } => None,
    }
}

/// Reports what these effects say besides the decision. How often one was repeated is for whoever
/// reports the decisions to count.
fn report_news(effects: &[Effect], t: Duration, sink: &mut dyn FnMut(Report)) {
    for effect in effects {
        let text = match effect {
            Effect::Log { level, text } if *level <= log::Level::Info => text.clone(),
            Effect::RaiseAlert { alert, .. } => {
                format!("alert raised: {}", alert_file(*alert))
            }
            Effect::ClearAlert(alert) => {
                format!("alert removed: {}", alert_file(*alert))
            }
            Effect::ProbeNode { .. }
            | Effect::ProbeObserver { .. }
            | Effect::RunCommand { .. }
            | Effect::PrepareFollow { .. }
            | Effect::SendVote(_)
            | Effect::AnswerVote { .. }
            | Effect::SaveVote { .. }
            | Effect::ArmGuard(_)
            | Effect::ReadControl(_)
            | Effect::EndCommand(_)
            | Effect::Save(_)
            | Effect::Measure(_)
            | Effect::Log { .. }
            | Effect::Decided { .. } => continue,
        };
        sink(Report::News { t, text });
    }
}

/// Reports which commands were run.
fn report_commands(effects: &[Effect], t: Duration, sink: &mut dyn FnMut(Report)) {
    for (_, argv) in effects.iter().filter_map(Effect::command) {
        let text = format!("command: {}", argv.join(" "));
        sink(Report::News { t, text });
    }
}

/// So many turns may be due between two lines.
const MAX_IDLE_TURNS: usize = 1_000_000;
