//! What is said of nodes and observers as their answers come in: a line when something is news, and
//! nothing while it lasts.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};

use super::lasting::Lasting;
use super::{Alert, Effect, Lookout};
use crate::cluster::{ObserverReport, ProbeFailure, clock_skew};
use crate::config::{Config, NodeName, ObserverName};
use crate::time::{Monotonic, Now};

/// Who fails now, and what was said of it.
#[derive(Debug, Default)]
pub(super) struct News {
    nodes: Failing<NodeName>,
    observers: Failing<ObserverName>,
}

impl News {
    /// Who has left is forgotten.
    pub(super) fn adopt(&mut self, config: &Config) {
        self.nodes
            .0
            .retain(|node, _| config.nodes.contains_key(node));
        self.observers
            .0
            .retain(|observer, _| config.observers.contains_key(observer));
    }
}

impl Lookout {
    /// One log line when a node's trouble begins, changes or ends, and the alert for rejected
    /// credentials.
    pub(super) fn say_of_node(
        &mut self,
        node: &NodeName,
        failure: Option<&ProbeFailure>,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let Some(failure) = failure else {
            let end = self.news.nodes.answered(node);
            effects.extend(end.map(|end| Effect::info(format!("node {node}: {end}"))));
            return;
        };
        let Some(news) = self.news.nodes.failed(node, failure, now) else {
            return;
        };
        effects.push(Effect::warning(format!("node {node}: {news}")));
        if matches!(failure, ProbeFailure::AuthenticationRejected { .. }) {
            effects.push(Effect::RaiseAlert {
                alert: Alert::AuthenticationError,
                text: format!("node {node}: {failure}"),
            });
        }
    }

    /// The same of an observer, and that its clock is off.
    pub(super) fn say_of_observer(
        &mut self,
        observer: &ObserverName,
        outcome: &Result<ObserverReport, ProbeFailure>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let report = match outcome {
            Ok(report) => report,
            Err(failure) => {
                let news = self.news.observers.failed(observer, failure, now.mono);
                effects.extend(
                    news.map(|news| Effect::warning(format!("observer {observer}: {news}"))),
                );
                return;
            }
        };
        let end = self.news.observers.answered(observer);
        effects.extend(end.map(|end| Effect::info(format!("observer {observer}: {end}"))));
        let known = self.state.observers.get(observer);
        let skew = clock_skew(report.date, now.wall);
        if let Some(skew) = skew.filter(|_| known.is_none_or(|known| known.clock_skew.is_none())) {
            effects.push(Effect::error(format!(
                "observer {observer}: its clock is {:.0} s away from ours, it has no vote",
                skew.as_secs_f64()
            )));
        }
    }
}

/// Nodes or observers whose last answer was a failure.
#[derive(Debug)]
struct Failing<Name>(BTreeMap<Name, Lasting<Discriminant<ProbeFailure>>>);

impl<Name: Clone + Ord> Failing<Name> {
    /// What is to be said of a failure.
    fn failed(&mut self, name: &Name, failure: &ProbeFailure, now: Monotonic) -> Option<String> {
        self.0.entry(name.clone()).or_default().hear(
            discriminant(failure),
            &failure.to_string(),
            now,
        )
    }

    /// What is to be said of a good answer.
    fn answered(&mut self, name: &Name) -> Option<String> {
        let unsaid = self.0.remove(name)?.unsaid();
        Some(format!("answers again{unsaid}"))
    }
}

impl<Name> Default for Failing<Name> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(text: &str) -> ProbeFailure {
        ProbeFailure::Refused {
            message: text.to_owned(),
        }
    }

    fn unreachable(text: &str) -> ProbeFailure {
        ProbeFailure::Unreachable {
            reason: text.to_owned(),
        }
    }

    /// What comes at which second (`None`: a good answer), and what is said of it.
    #[track_caller]
    fn check(heard: &[(u64, Option<ProbeFailure>, &str)]) {
        let mut failing = Failing::default();
        for (second, outcome, expected) in heard {
            let now = Monotonic::from_duration(Duration::from_secs(*second));
            let said = match outcome {
                Some(failure) => failing.failed(&"n", failure, now),
                None => failing.answered(&"n"),
            };
            assert_eq!(said.as_deref().unwrap_or(""), *expected, "at {second}");
        }
    }

    #[test]
    fn a_failure_is_said_once_and_so_is_its_end() {
        check(&[
            (0, None, ""),
            (5, Some(refused("no")), "refused by a living server: no"),
            (10, Some(refused("no")), ""),
            (500, Some(refused("no")), ""),
            (505, None, "answers again"),
            (510, None, ""),
            (515, Some(refused("no")), "refused by a living server: no"),
        ]);
    }

    #[test]
    fn other_words_are_said_once_a_minute_and_the_last_ones_in_the_end() {
        check(&[
            (0, Some(refused("1")), "refused by a living server: 1"),
            (5, Some(refused("2")), ""),
            (59, Some(refused("3")), ""),
            (
                60,
                Some(refused("4")),
                "refused by a living server: 4 (since the last line 2 times in other words)",
            ),
            (65, Some(refused("5")), ""),
            (119, Some(refused("5")), ""),
            (121, Some(refused("4")), ""),
            (
                125,
                Some(refused("5")),
                "refused by a living server: 5 (since the last line 2 times in other words)",
            ),
            (130, Some(refused("6")), ""),
            (
                135,
                None,
                "answers again (since the last line once in other words)",
            ),
        ]);
    }

    #[test]
    fn another_kind_is_news_at_once_and_each_kind_once_a_minute() {
        check(&[
            (0, Some(refused("1")), "refused by a living server: 1"),
            (1, Some(unreachable("a")), "unreachable: a"),
            (2, Some(refused("2")), ""),
            (3, Some(unreachable("a")), ""),
            (4, Some(unreachable("b")), ""),
            (
                60,
                Some(refused("3")),
                "refused by a living server: 3 (since the last line 2 times in other words)",
            ),
            (61, Some(unreachable("b")), "unreachable: b"),
        ]);
    }
}
