//! What is reported to operators besides decisions: warnings, each once, and the alerts of a standby of
//! another history, and of a primary that comes and goes or does not write.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::turn::Turn;
use super::writing::Writing;
use super::{Alert, Effect, Memory, Round};
use crate::cluster::{ClusterState, NodeState};
use crate::config::{Config, NodeName};
use crate::time::Monotonic;

/// What has been logged and raised.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Since when each warning has been true, and whether it was logged.
    warnings: BTreeMap<String, (Monotonic, bool)>,
    /// Whether each alert stands.
    diverged: bool,
    /// Whom that alert names.
    diverged_nodes: BTreeSet<NodeName>,
    flapping: bool,
    not_writing: bool,
    writing: Writing,
    /// An operator had to choose among the connected primaries in the last round.
    needed_an_operator: bool,
    /// See [`Self::has_answered`].
    has_answered: bool,
    /// When polls of a primary that had answered began to fail, the latest last.
    losses: VecDeque<Monotonic>,
}

impl Watch {
    pub(super) fn recall(memory: &Memory) -> Self {
        Self {
            diverged: memory.diverged_standby,
            diverged_nodes: memory.diverged.keys().cloned().collect(),
            flapping: memory.primary_flapping,
            not_writing: memory.primary_not_writing,
            ..Self::default()
        }
    }

    /// Does this alert stand.
    pub(super) fn stands(&self, alert: Alert) -> bool {
        match alert {
            Alert::DivergedStandby => self.diverged,
            Alert::PrimaryFlapping => self.flapping,
            Alert::PrimaryNotWriting => self.not_writing,
            _ => false,
        }
    }

    /// The last poll of the primary has been answered, by a primary.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Follows a poll of the primary. The end of an idle session is none: an operator or a pooler may end
    /// one at any time, and its server is polled again at once.
    pub(super) fn primary_polled(&mut self, primary: &NodeState, now: Monotonic) {
        let is_lost = self.has_answered && !primary.is_connected();
        self.has_answered = primary.is_connected_primary();
        if is_lost {
            self.losses.push_back(now);
            if self.losses.len() > MAX_LOSSES {
                self.losses.pop_front();
            }
        }
    }

    /// Follows a regular decision.
    pub(super) fn follow(
        &mut self,
        round: &Round,
        state: &ClusterState,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        self.warn(&round.figures.warnings, config, turn);
        self.follow_choice(round, turn);
        self.follow_losses(config, turn);
        let primary = round.map.sole_primary();
        if let Some(is_stuck) = self.writing.is_stuck(primary, state, config) {
            let text = || {
                let primary = primary.map_or("", NodeName::as_str);
                format!("the primary {primary} answers, but writes no WAL: look at its storage")
            };
            let alert = Alert::PrimaryNotWriting;
            raise(&mut self.not_writing, is_stuck, alert, turn, text);
        }
        if primary.is_some() {
            self.follow_diverged(state, turn);
        }
    }

    fn follow_choice(&mut self, round: &Round, turn: &mut Turn<'_>) {
        let is_needed = round.map.needs_an_operator();
        let was_needed = std::mem::replace(&mut self.needed_an_operator, is_needed);
        if was_needed && !is_needed {
            turn.info(
                "one primary at most is reachable again; the alert file of several primaries stays until somebody removes it"
                    .to_owned(),
            );
        }
    }

    fn follow_losses(&mut self, config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let window = config.failover_lag * 10;
        self.losses.retain(|at| now.since(*at) < window);
        let is_flapping = match self.flapping {
            true => !self.losses.is_empty(),
            false => self.losses.len() >= MAX_LOSSES,
        };
        let text = || {
            let window = window.as_secs();
            format!("the primary was lost {MAX_LOSSES} times within {window} s")
        };
        let alert = Alert::PrimaryFlapping;
        raise(&mut self.flapping, is_flapping, alert, turn, text);
    }

    fn follow_diverged(&mut self, state: &ClusterState, turn: &mut Turn<'_>) {
        let nodes: BTreeSet<_> = state.history.diverged.keys().cloned().collect();
        // With other names it is another alert.
        self.diverged &= nodes == self.diverged_nodes || nodes.is_empty();
        let names: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
        let text = || {
            let names = names.join(", ");
            format!("of another history than the primary, rebuild it or run pg_rewind: {names}")
        };
        let alert = Alert::DivergedStandby;
        raise(&mut self.diverged, !nodes.is_empty(), alert, turn, text);
        self.diverged_nodes = nodes;
    }

    /// Logs what lasts: where everything has just started, much is true for a moment.
    fn warn(&mut self, warnings: &[String], config: &Config, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        self.warnings.retain(|known, _| warnings.contains(known));
        for warning in warnings {
            let known = self.warnings.entry(warning.clone());
            let (since, is_logged) = known.or_insert((now, false));
            if !*is_logged && now.since(*since) >= config.poll_interval * LASTING_POLLS {
                *is_logged = true;
                turn.warning(warning.clone());
            }
        }
    }
}

fn raise(
    stands: &mut bool,
    is_so: bool,
    alert: Alert,
    turn: &mut Turn<'_>,
    text: impl Fn() -> String,
) {
    if std::mem::replace(stands, is_so) == is_so {
        return;
    }
    if is_so {
        turn.warning(text());
        turn.push(Effect::RaiseAlert {
            alert,
            text: text(),
        });
    } else {
        turn.push(Effect::ClearAlert(alert));
    }
}

/// A warning that has been true for so many poll intervals is logged.
const LASTING_POLLS: u32 = 3;
/// So many losses within ten limits are one too many.
const MAX_LOSSES: usize = 3;

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
