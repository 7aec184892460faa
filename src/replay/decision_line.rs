//! What is written of a decision: one line with its verdict, its reason, and what it was made on.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::format::{DecisionFigures, alert_file};
use crate::lookout::{Alert, Effect, Lookout, Metric, Round};

/// A decision line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecisionLine {
    /// The timeline's name.
    pub timeline: String,
    /// Seconds from its start.
    pub t: f64,
    /// The verdict's name.
    pub verdict: &'static str,
    /// The reason's name.
    pub reason: &'static str,
    /// The remembered current primary.
    pub primary: Option<String>,
    /// From here on: the node map, sorted; empty where none was made.
    pub connected_primaries: Vec<String>,
    /// Primaries that nobody reaches.
    pub disconnected_primaries: Vec<String>,
    /// Standbys.
    pub standbys: Vec<String>,
    /// Observers that answer.
    pub connected_observers: Vec<String>,
    /// Observers that do not.
    pub disconnected_observers: Vec<String>,
    /// Was everybody asked again for it.
    pub fresh_facts_wanted: bool,
    /// Commands that were run, in order.
    pub commands: Vec<Vec<String>>,
    /// Alert files that were made, sorted and distinct.
    pub alerts_raised: BTreeSet<&'static str>,
    /// Alert files that were removed, sorted and distinct.
    pub alerts_cleared: BTreeSet<&'static str>,
    /// The node that is followed from now on.
    pub followed: Option<String>,
    /// Is lag over the warning limit.
    pub lag_warning: bool,
    /// The lag that was measured, in seconds.
    pub lag_gauge: Option<f64>,
    /// What led to the verdict.
    pub figures: DecisionFigures,
}

impl DecisionLine {
    /// The last round of `lookout`; commands and alerts are those of `effects`.
    pub(super) fn new(
        timeline: &str,
        t: Duration,
        lookout: &Lookout,
        round: &Round,
        effects: &[Effect],
    ) -> Self {
        let verdict = &round.decision.verdict;
        let map = &round.map;
        let mut line = Self {
            timeline: timeline.to_owned(),
            t: t.as_secs_f64(),
            verdict: verdict.name(),
            reason: verdict.reason(),
            primary: lookout.primary().map(ToString::to_string),
            connected_primaries: names(map.connected_primaries.keys()),
            disconnected_primaries: names(map.disconnected_primaries.iter()),
            standbys: names(map.standbys.keys()),
            connected_observers: names(map.connected_observers.iter()),
            disconnected_observers: names(map.disconnected_observers.iter()),
            fresh_facts_wanted: false,
            commands: Vec::new(),
            alerts_raised: BTreeSet::new(),
            alerts_cleared: BTreeSet::new(),
            followed: None,
            lag_warning: lookout.lag_warning(),
            lag_gauge: None,
            figures: DecisionFigures::from(&round.figures),
        };
        effects.iter().for_each(|effect| line.note(effect));
        line
    }
}

fn names<'a, T: ToString + 'a>(names: impl Iterator<Item = &'a T>) -> Vec<String> {
    names.map(ToString::to_string).collect()
}

impl DecisionLine {
    /// What was done since the last decision.
    fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::RunCommand { command, .. } => self.commands.push(command.argv.clone()),
            Effect::PrepareFollow { primary, .. } => {
                self.followed.get_or_insert_with(|| primary.to_string());
            }
            Effect::RaiseAlert { alert, .. } if is_of_decision(*alert) => {
                self.alerts_raised.insert(alert_file(*alert));
            }
            Effect::ClearAlert(alert) if is_of_decision(*alert) => {
                self.alerts_cleared.insert(alert_file(*alert));
            }
            Effect::Measure(Metric::ReplicationLag(lag)) => {
                self.lag_gauge.get_or_insert(lag.as_secs_f64());
            }
            Effect::Measure(
                Metric::HealthTimeout | Metric::DisconnectIgnored | Metric::Trouble { .. },
            )
            | Effect::RaiseAlert { .. }
            | Effect::ClearAlert(_)
            | Effect::ProbeNode { .. }
            | Effect::ProbeObserver { .. }
            | Effect::SendVote(_)
            | Effect::AnswerVote { .. }
            | Effect::SaveVote { .. }
            | Effect::ArmGuard(_)
            | Effect::ReadControl(_)
            | Effect::EndCommand(_)
            | Effect::Save(_)
            | Effect::Log { .. }
            | Effect::Decided { .. } => {}
        }
    }
}

/// Is it raised and cleared by decisions.
fn is_of_decision(alert: Alert) -> bool {
    match alert {
        Alert::DivergedStandby
        | Alert::PrimaryFlapping
        | Alert::PrimaryNotWriting
        | Alert::VoteFileUnusable
        | Alert::VotersDisagree
        | Alert::LeaseLost
        | Alert::FenceFailed
        | Alert::WatchdogUnusable => false,
        Alert::AuthenticationError
        | Alert::MultiplePrimaries
        | Alert::ReplicationDelay
        | Alert::FailoverHasHappened
        | Alert::FailoverFailed
        | Alert::CannotFollow
        | Alert::FailoverStuck => true,
    }
}
