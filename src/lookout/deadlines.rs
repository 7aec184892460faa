//! What a turn does when its time has come: probes, checks that end, decisions, and what those ask for.

use std::time::Duration;

use super::check::Ended;
use super::turn::Turn;
use super::{Look, Lookout};
use crate::failover::{Verdict, Wait};
use crate::time::Monotonic;

impl Lookout {
    fn take_due_probes(&mut self, turn: &mut Turn<'_>) {
        let with_observers = self.polls_observers();
        let now = turn.now.mono;
        self.schedule.take_due(
            &self.config,
            with_observers,
            self.presence.session(),
            now,
            turn.effects,
        );
    }

    /// Everything whose time has come: probes, a finished or overdue check, a decision.
    pub(super) fn meet_deadlines(&mut self, turn: &mut Turn<'_>) {
        self.decisions
            .votes_due(&self.config, &mut self.schedule, turn);
        self.take_due_probes(turn);
        if self.decisions.succession.take_due(turn.now.mono) {
            return self.conclude(Look::Regular, turn);
        }
        let (with_observers, now) = (self.polls_observers(), turn.now.mono);
        self.health
            .look(&self.config, &self.schedule, with_observers, turn);
        match self.checks.take_ended(&self.schedule, with_observers, now) {
            Some(Ended::Complete(look)) => self.conclude(look, turn),
            // One that was merely requested is made on what is known.
            Some(Ended::Overdue(Look::Regular)) => self.conclude(Look::Regular, turn),
            // No decision on fresh facts this round.
            Some(Ended::Overdue(Look::Fresh | Look::Announced)) => {
                self.schedule.decision = now + self.config.check_interval;
                self.decisions
                    .note_wait(Wait::FreshFactsOverdue, &self.config, turn);
            }
            None if self.schedule.decision <= now && !self.checks.holds_decisions() => {
                self.conclude(Look::Regular, turn);
            }
            None => {}
        }
    }

    /// Makes a decision and waits for what it asks for.
    fn conclude(&mut self, look: Look, turn: &mut Turn<'_>) {
        let was_announced = self.decisions.outage.announced().is_some();
        let next = self
            .decisions
            .decide(look, &self.config, &mut self.schedule, turn);
        if was_announced && self.decisions.outage.announced().is_none() {
            // Whoever waits for the withdrawal is to see it at once.
            self.schedule.expedite_all(turn.now.mono);
        }
        self.show_presence(turn.now.mono);
        let now = turn.now.mono;
        let verdict = self.last_round().map(|round| &round.decision.verdict);
        let isolation = self.decisions.isolation.due(&self.config);
        let again = verdict.and_then(Verdict::look_again_at);
        let again = again.into_iter().chain(isolation).min();
        let regular = now + self.config.check_interval;
        self.schedule.decision = again.map_or(regular, |again| again.clamp(now, regular));
        let (config, schedule) = (&self.config, &mut self.schedule);
        match next {
            Some(Look::Fresh) => self.checks.begin_fresh(config, schedule, now),
            Some(Look::Announced) => {
                // The first look is taken at once; who has to look again gives the others time.
                let pause = if look == Look::Announced {
                    LOOK_AGAIN
                } else {
                    Duration::ZERO
                };
                self.checks
                    .begin_announced(config, schedule, now + pause, now);
            }
            Some(Look::Regular) | None => return,
        }
        self.take_due_probes(turn);
    }

    /// Shows what this daemon is at, from the next polls on.
    pub(super) fn show_presence(&mut self, now: Monotonic) {
        let state = self.decisions.shown(&self.config, now);
        self.presence.show(state, self.decisions.pause.mark());
    }
}

/// Between two looks at what other daemons have announced.
pub const LOOK_AGAIN: Duration = Duration::from_millis(500);
