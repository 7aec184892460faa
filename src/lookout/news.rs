//! What is said of nodes and observers as their answers come in: a line when something is news, and nothing while it lasts.

use super::{Alert, Effect, Lookout};
use crate::cluster::{ObserverReport, ProbeFailure, clock_skew};
use crate::config::{NodeName, ObserverName};
use crate::time::Now;

impl Lookout {
    /// One log line when a node's trouble begins, changes or ends, and the alert for rejected credentials.
    pub(super) fn say_of_node(&self, node: &NodeName, failure: Option<&ProbeFailure>, effects: &mut Vec<Effect>) {
        let known = self.state.nodes.get(node).and_then(|state| state.failure.as_ref());
        match failure {
            Some(failure) if is_news(failure, known) => {
                effects.push(Effect::warning(format!("node {node}: {failure}")));
                if matches!(failure, ProbeFailure::AuthenticationRejected { .. }) {
                    effects.push(Effect::RaiseAlert {
                        alert: Alert::AuthenticationError,
                        text: format!("node {node}: {failure}"),
                    });
                }
            }
            None if known.is_some() => effects.push(Effect::info(format!("node {node}: answers again"))),
            _ => {}
        }
    }

    /// The same of an observer, and that its clock is off.
    pub(super) fn say_of_observer(
        &self,
        observer: &ObserverName,
        outcome: &Result<ObserverReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let known = self.state.observers.get(observer);
        match outcome {
            Err(failure) if is_news(failure, known.and_then(|known| known.failure.as_ref())) => {
                effects.push(Effect::warning(format!("observer {observer}: {failure}")));
            }
            Ok(report) => {
                if known.is_some_and(|known| known.failure.is_some()) {
                    effects.push(Effect::info(format!("observer {observer}: answers again")));
                }
                let skew = clock_skew(report.date, now.wall);
                if let Some(skew) = skew.filter(|_| known.is_none_or(|known| known.clock_skew.is_none())) {
                    effects.push(Effect::error(format!(
                        "observer {observer}: its clock is {:.0} s away from ours, it has no vote",
                        skew.as_secs_f64()
                    )));
                }
            }
            Err(_) => {}
        }
    }
}

/// Is a failure another than the last one. What cannot be understood is new at every poll if the other side wills; once is
/// enough.
fn is_news(failure: &ProbeFailure, known: Option<&ProbeFailure>) -> bool {
    match (failure, known) {
        (ProbeFailure::Nonsense { .. }, Some(ProbeFailure::Nonsense { .. })) => false,
        (failure, known) => known != Some(failure),
    }
}
