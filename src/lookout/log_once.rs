//! What is logged once, and not again while it lasts: a trouble in the same words, a decision with
//! the same reason.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use super::turn::Turn;
use super::{Alert, Effect, Repeated, Round};
use crate::cluster::{ClusterState, ObserverReport, ProbeFailure, clock_skew};
use crate::config::{Config, NodeName, ObserverName};
use crate::failover::{Blocker, Verdict};
use crate::time::Monotonic;

/// A trouble that lasts, by kinds: the same words are no news, and other words for the same kind of
/// it are none for a minute. The other side chooses the words, others at every poll if it likes.
#[derive(Debug)]
pub struct LogOnce<Kind> {
    /// The words of the latest line.
    latest: Option<String>,
    /// When each kind was logged last.
    kinds: Vec<(Kind, Monotonic)>,
    /// How often it came in other words after the latest line.
    suppressed: u32,
}

impl<Kind: PartialEq> LogOnce<Kind> {
    /// The trouble is there, and in these words: the line to be logged, if that is news.
    pub fn line(&mut self, kind: Kind, words: &str, now: Monotonic) -> Option<String> {
        if self.latest.as_deref() == Some(words) {
            return None;
        }
        self.kinds.retain(|(_, at)| now.since(*at) < SAME_KIND);
        if self.kinds.iter().any(|(logged, _)| *logged == kind) {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.kinds.push((kind, now));
        self.latest = Some(words.to_owned());
        let suppressed = self.suppressed();
        self.suppressed = 0;
        Some(format!("{words}{suppressed}"))
    }

    /// What was kept back since the latest line, to be appended to the next.
    pub fn suppressed(&self) -> String {
        match self.suppressed {
            0 => String::new(),
            1 => " (1 similar message suppressed)".to_owned(),
            times => format!(" ({times} similar messages suppressed)"),
        }
    }
}

impl<Kind> Default for LogOnce<Kind> {
    fn default() -> Self {
        Self {
            latest: None,
            kinds: Vec::new(),
            suppressed: 0,
        }
    }
}

/// Who fails now, and what was logged of it: a line when something is news.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    nodes: Failing<NodeName>,
    observers: Failing<ObserverName>,
    /// Nodes that have rejected our credentials since their last answer.
    rejecting: BTreeSet<NodeName>,
}

impl FailureLog {
    /// Forgets those who have left the configuration.
    pub(super) fn adopt(&mut self, config: &Config) {
        let Self {
            nodes,
            observers,
            rejecting,
        } = self;
        rejecting.retain(|node| config.nodes.contains_key(node));
        nodes.0.retain(|node, _| config.nodes.contains_key(node));
        observers
            .0
            .retain(|observer, _| config.observers.contains_key(observer));
    }

    /// One line when a node's trouble begins, changes or ends, and the alert for rejected
    /// credentials.
    pub(super) fn node(
        &mut self,
        node: &NodeName,
        is_own: bool,
        failure: Option<&ProbeFailure>,
        turn: &mut Turn<'_>,
    ) {
        let Some(failure) = failure else {
            if let Some(end) = self.nodes.answered(node) {
                turn.info(format!("node {node}: {end}"));
            }
            if self.rejecting.remove(node) {
                turn.info(format!(
                    "node {node}: the credentials are accepted again; the alert file authentication_error stays until somebody removes it"
                ));
            }
            return;
        };
        if matches!(failure, ProbeFailure::AuthenticationRejected { .. }) {
            self.rejecting.insert(node.clone());
        }
        let remedy = remedy(failure).filter(|_| is_own);
        let kind = (discriminant(failure), remedy);
        let Some(news) = self.nodes.failed(node, kind, failure, turn.now.mono) else {
            return;
        };
        match remedy {
            Some(remedy) => turn.error(format!("node {node}: {news}; {remedy}")),
            None => turn.warning(format!("node {node}: {news}")),
        }
        if matches!(failure, ProbeFailure::AuthenticationRejected { .. }) {
            turn.push(Effect::RaiseAlert {
                alert: Alert::AuthenticationError,
                text: format!("node {node}: {failure}"),
            });
        }
    }

    /// The same of an observer, and that its clock is off. `state`: before this report.
    pub(super) fn observer(
        &mut self,
        observer: &ObserverName,
        outcome: &Result<ObserverReport, ProbeFailure>,
        state: &ClusterState,
        turn: &mut Turn<'_>,
    ) {
        let report = match outcome {
            Ok(report) => report,
            Err(failure) => {
                let (kind, now) = ((discriminant(failure), None), turn.now.mono);
                if let Some(news) = self.observers.failed(observer, kind, failure, now) {
                    turn.warning(format!("observer {observer}: {news}"));
                }
                return;
            }
        };
        if let Some(end) = self.observers.answered(observer) {
            turn.info(format!("observer {observer}: {end}"));
        }
        let known = state.observers.get(observer);
        let skew = clock_skew(report.date, turn.now.wall);
        if let Some(skew) = skew.filter(|_| known.is_none_or(|known| known.clock_skew.is_none())) {
            turn.error(format!(
                "observer {observer}: clock differs from ours by {:.0} s: check the time service of both hosts",
                skew.as_secs_f64()
            ));
        }
    }
}

/// What makes a failure of our own server an error: nothing else would tell an operator that this node
/// is out of the race.
fn remedy(failure: &ProbeFailure) -> Option<&'static str> {
    match failure {
        ProbeFailure::AuthenticationRejected { .. } | ProbeFailure::Refused { .. } => {
            Some("this daemon's own server does not let it in: this node cannot be promoted")
        }
        ProbeFailure::NotReady { message } if message.contains(NO_HOT_STANDBY) => {
            Some("set hot_standby = on: this node cannot be promoted")
        }
        _ => None,
    }
}

/// A warning that becomes an error is another kind.
type FailureKind = (Discriminant<ProbeFailure>, Option<&'static str>);

/// Nodes or observers whose last answer was a failure.
#[derive(Debug)]
struct Failing<Name>(BTreeMap<Name, LogOnce<FailureKind>>);

impl<Name: Clone + Ord> Failing<Name> {
    /// The words for a failure, if it is news.
    fn failed(
        &mut self,
        name: &Name,
        kind: FailureKind,
        failure: &ProbeFailure,
        now: Monotonic,
    ) -> Option<String> {
        let known = self.0.entry(name.clone()).or_default();
        known.line(kind, &failure.to_string(), now)
    }

    /// The words for a good answer, if it ends a failure.
    fn answered(&mut self, name: &Name) -> Option<String> {
        let suppressed = self.0.remove(name)?.suppressed();
        Some(format!("answers again{suppressed}"))
    }
}

impl<Name> Default for Failing<Name> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// The decision that was last logged as news, and what has been repeated of it since.
#[derive(Debug)]
pub(super) struct DecisionLog {
    latest: Option<(Monotonic, Repeated)>,
}

impl DecisionLog {
    pub(super) fn new() -> Self {
        Self { latest: None }
    }

    /// The effect that logs a round. What is the same as before goes to the debug log only, as does
    /// the question for fresh facts, which comes before every decision of an outage. Verdict and
    /// reason, and the nodes that it is about, make it the same, not its figures.
    pub(super) fn decided(&mut self, round: &Arc<Round>) -> Effect {
        let (verdict, now) = (&round.decision.verdict, round.at.mono);
        let effect = |level, repeated| Effect::Decided {
            round: Arc::clone(round),
            level,
            repeated,
        };
        if matches!(verdict, Verdict::WantsFreshFacts { .. }) {
            return effect(log::Level::Debug, None);
        }
        let level = level(verdict);
        let is_same = |latest: &Verdict| {
            (latest.name(), latest.reason(), latest.subjects())
                == (verdict.name(), verdict.reason(), verdict.subjects())
        };
        let latest = self.latest.as_mut();
        if let Some((first, repeated)) = latest.filter(|(_, latest)| is_same(&latest.latest)) {
            repeated.times = repeated.times.saturating_add(1);
            (repeated.latest, repeated.span) = (verdict.clone(), now.since(*first));
            // Every attempt at a promotion is news.
            let is_news = is_promotion(verdict);
            return effect(if is_news { level } else { log::Level::Debug }, None);
        }
        let latest = Repeated {
            times: 0,
            span: Duration::ZERO,
            latest: verdict.clone(),
        };
        let before = self.latest.replace((now, latest)).map(|(_, before)| before);
        let repeated = before.filter(|before| before.times > 0 && !is_promotion(&before.latest));
        effect(level, repeated)
    }
}

/// An error where an operator must choose; a warning where somebody should look, and for what is done
/// to a server.
fn level(verdict: &Verdict) -> log::Level {
    match verdict {
        Verdict::SeveralPrimaries { .. } | Verdict::OutdatedPrimary { .. } => log::Level::Error,
        Verdict::DisconnectIgnored { .. }
        | Verdict::LagWarning { .. }
        | Verdict::Announce { .. }
        | Verdict::Promote { .. } => log::Level::Warn,
        Verdict::Hold(blocker) => match blocker {
            Blocker::NoCandidate { .. }
            | Blocker::AllStepAside { .. }
            | Blocker::Paused { .. }
            | Blocker::Maintenance { .. }
            | Blocker::VotesRefused { .. }
            | Blocker::SteppedAside { .. }
            | Blocker::BoundToTerm(_)
            | Blocker::NoVoteFile { .. }
            | Blocker::NoQuorum { .. } => log::Level::Warn,
            Blocker::AskingVotes { .. }
            | Blocker::NodesJustChanged { .. }
            | Blocker::PrimaryConnected { .. }
            | Blocker::RecentEvidence { .. }
            | Blocker::OtherPromotes { .. }
            | Blocker::OtherAnnounced { .. }
            | Blocker::PromotionRunning
            | Blocker::PreviousCommand { .. }
            | Blocker::OwnNodeNotPolledSince
            | Blocker::TriedJustNow { .. } => log::Level::Info,
        },
        Verdict::Wait(_)
        | Verdict::Observing { .. }
        | Verdict::PrimaryItself { .. }
        | Verdict::NoStandby { .. }
        | Verdict::PrimaryReachable { .. }
        | Verdict::WantsFreshFacts { .. }
        | Verdict::OtherCandidate { .. } => log::Level::Info,
    }
}

fn is_promotion(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Promote { .. })
}

/// What a server says that does not let anybody in, and is not about to (before PostgreSQL 14 it says that
/// it is starting up).
const NO_HOT_STANDBY: &str = "the database system is not accepting connections";
/// So long one kind of trouble is logged once.
const SAME_KIND: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::world;
    use super::*;

    #[test]
    fn how_often_a_decision_was_repeated_is_logged_once_another_follows() {
        // What is repeated is in the debug log only; the levels are not shown here.
        world::check(
            "",
            "20.2 p unreachable\n46 p primary\n56 end",
            "log last decision",
            "25.01 log last decision repeated 2 times in 20.000 s, most recently: primary p is reachable (own poll)
             50.01 log last decision repeated 2 times in 20.000 s, most recently: no failover: p last answered (own poll) 25.000 s ago, the limit is 60.000 s",
        );
    }

    #[test]
    fn the_question_for_fresh_facts_interrupts_nothing() {
        world::check(
            "",
            "20.2 p unreachable\n46 end",
            "log no failover, log re-polling",
            "25.01 log re-polling all nodes: primary p is unreachable
             25.01 log no failover: p last answered (own poll) 5.000 s ago, the limit is 60.000 s
             35.01 log re-polling all nodes: primary p is unreachable
             35.01 log no failover: p last answered (own poll) 15.000 s ago, the limit is 60.000 s
             45.01 log re-polling all nodes: primary p is unreachable
             45.01 log no failover: p last answered (own poll) 25.000 s ago, the limit is 60.000 s",
        );
    }

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

    /// What comes at which second (`None`: a good answer), and what is logged of it.
    #[track_caller]
    fn check(outcomes: &[(u64, Option<ProbeFailure>, &str)]) {
        let mut failing = Failing::default();
        for (second, outcome, expected) in outcomes {
            let now = Monotonic::from_duration(Duration::from_secs(*second));
            let logged = match outcome {
                Some(failure) => {
                    let kind = (discriminant(failure), remedy(failure));
                    failing.failed(&"n", kind, failure, now)
                }
                None => failing.answered(&"n"),
            };
            assert_eq!(logged.as_deref().unwrap_or(""), *expected, "at {second}");
        }
    }

    #[test]
    fn a_failure_is_logged_once_and_so_is_its_end() {
        check(&[
            (0, None, ""),
            (5, Some(refused("no")), "rejected by the server: no"),
            (10, Some(refused("no")), ""),
            (500, Some(refused("no")), ""),
            (505, None, "answers again"),
            (510, None, ""),
            (515, Some(refused("no")), "rejected by the server: no"),
        ]);
    }

    #[test]
    fn another_wording_is_logged_once_a_minute_and_the_last_one_in_the_end() {
        check(&[
            (0, Some(refused("1")), "rejected by the server: 1"),
            (5, Some(refused("2")), ""),
            (59, Some(refused("3")), ""),
            (
                60,
                Some(refused("4")),
                "rejected by the server: 4 (2 similar messages suppressed)",
            ),
            (65, Some(refused("5")), ""),
            (119, Some(refused("5")), ""),
            (121, Some(refused("4")), ""),
            (
                125,
                Some(refused("5")),
                "rejected by the server: 5 (2 similar messages suppressed)",
            ),
            (130, Some(refused("6")), ""),
            (135, None, "answers again (1 similar message suppressed)"),
        ]);
    }

    #[test]
    fn another_kind_is_news_at_once_and_each_kind_once_a_minute() {
        check(&[
            (0, Some(refused("1")), "rejected by the server: 1"),
            (1, Some(unreachable("a")), "unreachable: a"),
            (2, Some(refused("2")), ""),
            (3, Some(unreachable("a")), ""),
            (4, Some(unreachable("b")), ""),
            (
                60,
                Some(refused("3")),
                "rejected by the server: 3 (2 similar messages suppressed)",
            ),
            (61, Some(unreachable("b")), "unreachable: b"),
        ]);
    }

    #[test]
    fn a_reason_that_becomes_an_error_is_news_at_once() {
        let not_ready = |message: &str| ProbeFailure::NotReady {
            message: message.to_owned(),
        };
        let starting = "the database system is starting up";
        check(&[
            (
                0,
                Some(not_ready(starting)),
                &format!("not ready: {starting}"),
            ),
            (
                2,
                Some(not_ready("the database system is shutting down")),
                "",
            ),
            (
                4,
                Some(not_ready(NO_HOT_STANDBY)),
                &format!("not ready: {NO_HOT_STANDBY} (1 similar message suppressed)"),
            ),
        ]);
    }
}
