//! One round: is it time to decide, the node map, the decision, and what follows from it.

use super::{Alert, CommandPurpose, Effect, Lookout, Metric, said};
use crate::cluster::NodeMap;
use crate::config::{NodeName, ObserverName};
use crate::failover::{Decision, Figures, LagChange, Snapshot, Verdict, Wait, decide};
use crate::time::{Monotonic, Now};

/// On what facts a decision is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// On what is known.
    Regular,
    /// On what everybody reported since a regular decision wanted fresh facts.
    Fresh,
}

/// What a round came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// When.
    pub at: Now,
    /// The node map that it was made on; empty where none was made.
    pub map: NodeMap,
    /// The decision.
    pub decision: Decision,
    /// The figures behind it.
    pub figures: Figures,
}

impl Round {
    /// The same without the node map, which is large and of which the figures say what matters: to
    /// be kept.
    pub fn compact(&self) -> Self {
        let Self {
            at,
            decision,
            figures,
            ..
        } = self;
        Self {
            at: *at,
            map: NodeMap::default(),
            decision: decision.clone(),
            figures: figures.clone(),
        }
    }

    /// How many rows its tables have, by which its size is measured.
    pub fn rows(&self) -> usize {
        let Figures {
            primaries,
            standbys,
            votes,
            ..
        } = &self.figures;
        primaries.len() + standbys.len() + votes.known.len() + votes.missing.len()
    }
}

impl Lookout {
    /// Makes a decision on the facts as they are and acts on it. Says whether fresh facts are
    /// wanted.
    pub fn decide(&mut self, look: Look, now: Now, effects: &mut Vec<Effect>) -> bool {
        if let Some(wait) = self.not_yet(now.mono) {
            self.note_wait(wait, now, effects);
            return false;
        }
        let map = NodeMap::new(
            &self.config,
            &self.state,
            self.remembered.as_ref(),
            now.mono,
        );
        if look == Look::Regular {
            self.remember_primary(&map, now.mono, effects);
        }
        let snapshot = self.snapshot(&map, look, now.mono);
        let decision = decide(&snapshot);
        let figures = Figures::new(&snapshot, &decision);
        let wants_fresh_facts = matches!(decision.verdict, Verdict::WantsFreshFacts { .. });
        if map.has_several_primaries() {
            effects.push(Effect::RaiseAlert {
                alert: Alert::MultiplePrimaries,
                text: decision_text_of_primaries(&map),
            });
        }
        if look == Look::Regular && !matches!(decision.verdict, Verdict::Promote { .. }) {
            self.follow(now.mono, effects);
        }
        self.act_on_lag(&decision, now.mono, effects);
        if look == Look::Regular {
            measure(&decision, effects);
        }
        self.note(
            Round {
                at: now,
                map,
                decision,
                figures,
            },
            effects,
        );
        if let Some(Verdict::Promote { .. }) =
            self.last.as_ref().map(|round| &round.decision.verdict)
        {
            self.promote(now, effects);
        }
        effects.push(Effect::SaveState);
        wants_fresh_facts
    }

    /// A round in which nothing could be decided. It is made on no node map; its figures are those
    /// of the moment.
    pub(super) fn note_wait(&mut self, wait: Wait, now: Now, effects: &mut Vec<Effect>) {
        let decision = Decision::without_lag(Verdict::Wait(wait));
        let map = NodeMap::new(
            &self.config,
            &self.state,
            self.remembered.as_ref(),
            now.mono,
        );
        let figures = Figures::new(&self.snapshot(&map, Look::Regular, now.mono), &decision);
        self.note(
            Round {
                at: now,
                map: NodeMap::default(),
                decision,
                figures,
            },
            effects,
        );
        effects.push(Effect::SaveState);
    }

    fn snapshot<'a>(&'a self, map: &'a NodeMap, look: Look, now: Monotonic) -> Snapshot<'a> {
        Snapshot {
            config: &self.config,
            state: &self.state,
            map,
            remembered: self.remembered.as_ref(),
            former_contacts: &self.former_contacts,
            former_standbys: &self.former_standbys,
            nodes_changed_at: self.nodes_changed_at,
            fresh: look == Look::Fresh,
            maintenance: self.maintenance,
            lag_warning: self.warning_since.is_some(),
            promoting: self.promotion.is_running(),
            held_off_until: self.promotion.held_off(now),
            tried_until: self.promotion.tried_until,
            unsettled: self.promotion.is_unsettled(),
            now,
        }
    }

    /// Why it is not time to decide at all.
    fn not_yet(&self, now: Monotonic) -> Option<Wait> {
        if let Some(until) = self.promotion.pause(now) {
            return Some(Wait::PauseAfterFailover { until });
        }
        self.first_answers_missing()
            .or_else(|| self.observers_not_asked_since_warning(now))
    }

    fn first_answers_missing(&self) -> Option<Wait> {
        let nodes = self
            .state
            .nodes
            .iter()
            .filter(|(_, node)| node.attempt.is_none());
        let nodes: Vec<NodeName> = nodes.map(|(name, _)| name.clone()).collect();
        let required = !self.config.poll_observers_on_warning_only;
        let observers = self
            .state
            .observers
            .iter()
            .filter(|(_, observer)| required && observer.attempt.is_none());
        let observers: Vec<ObserverName> = observers.map(|(name, _)| name.clone()).collect();
        (!nodes.is_empty() || !observers.is_empty())
            .then_some(Wait::FirstAnswers { nodes, observers })
    }

    fn observers_not_asked_since_warning(&self, now: Monotonic) -> Option<Wait> {
        let since = self
            .warning_since
            .filter(|_| self.config.poll_observers_on_warning_only)?;
        let until = since + self.config.poll_interval * OBSERVERS_PATIENCE;
        let asked = |at: Option<Monotonic>| at.is_some_and(|at| at >= since);
        let observers = self.state.observers.iter();
        let observers =
            observers.filter(|(_, observer)| !asked(observer.attempt.map(|attempt| attempt.at)));
        let observers: Vec<_> = observers.map(|(name, _)| name.clone()).collect();
        (now < until && !observers.is_empty())
            .then_some(Wait::ObserversSinceWarning { observers, until })
    }

    /// "The primary" of this round is remembered: the one connected, else among the disconnected
    /// ones the one remembered already, else the one seen last.
    fn remember_primary(&mut self, map: &NodeMap, now: Monotonic, effects: &mut Vec<Effect>) {
        if map.has_several_primaries() {
            return;
        }
        if map.sole_primary().is_some() {
            self.promotion.outage_over(now);
        }
        let primary = map
            .sole_primary()
            .cloned()
            .or_else(|| self.lost_primary(map));
        if primary.is_none() || primary == self.remembered {
            return;
        }
        if let Some(primary) = &primary {
            let old = self.remembered.as_ref().map_or("none", NodeName::as_str);
            effects.push(Effect::warning(format!(
                "the primary is {primary} now (before: {old})"
            )));
        }
        self.remembered = primary;
        self.following.want();
    }

    fn lost_primary(&self, map: &NodeMap) -> Option<NodeName> {
        if let Some(remembered) = self
            .remembered
            .as_ref()
            .filter(|node| map.disconnected_primaries.contains(*node))
        {
            return Some(remembered.clone());
        }
        let seen = |node: &NodeName| {
            let contacts = self
                .state
                .primary_contacts()
                .filter(|(contact, ..)| *contact == node);
            contacts.map(|(_, at, _)| at).max()
        };
        map.disconnected_primaries
            .iter()
            .max_by_key(|node| seen(node))
            .cloned()
    }

    fn act_on_lag(&mut self, decision: &Decision, now: Monotonic, effects: &mut Vec<Effect>) {
        match decision.lag.change {
            LagChange::None => {}
            LagChange::Raised => {
                self.warning_since = Some(now);
                effects.push(Effect::RaiseAlert {
                    alert: Alert::ReplicationDelay,
                    text: decision.verdict.to_string(),
                });
                if let Some(command) = self.config.over_warning_limit_command.clone() {
                    self.run(CommandPurpose::LagWarning, command, effects);
                }
            }
            LagChange::Cleared => {
                self.warning_since = None;
                effects.push(Effect::ClearAlert(Alert::ReplicationDelay));
            }
        }
    }

    /// Keeps the round and logs it.
    fn note(&mut self, round: Round, effects: &mut Vec<Effect>) {
        said::say(&mut self.said, &round, effects);
        self.last = Some(round);
    }
}

/// Not on fresh facts as well: that is the same decision, continued.
fn measure(decision: &Decision, effects: &mut Vec<Effect>) {
    let lag = decision.lag.lag.map(Metric::ReplicationLag);
    let ignored = decision
        .disconnect_ignored
        .then_some(Metric::DisconnectIgnored);
    effects.extend(lag.into_iter().chain(ignored).map(Effect::Measure));
}

fn decision_text_of_primaries(map: &NodeMap) -> String {
    let primaries = map
        .connected_primaries
        .iter()
        .map(|(node, witness)| format!("{node} (by {witness})"));
    format!(
        "several primaries at once: {}",
        primaries.collect::<Vec<_>>().join(", ")
    )
}

/// With `poll_observers_on_warning_only`, observers are waited for this many poll intervals after
/// the warning began.
const OBSERVERS_PATIENCE: u32 = 5;

#[cfg(test)]
#[path = "round_tests.rs"]
mod tests;
