//! How the outcome of a probe becomes part of what is known. No judgement here: what follows from
//! the facts is the node map's and the decision's.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state::{
    Attempt, ClusterState, NodeAnswer, NodeState, ObserverState, PrimaryContact, Sighting,
};
use super::{NodeReport, ObservedNode, ObserverReport, ProbeFailure, RoleReport};
use crate::config::{Config, NodeName, ObserverName};
use crate::time::{Monotonic, Now, WallTime};

/// How far an observer's `Date` is from our wall clock, if that is too far for a vote.
pub fn clock_skew(date: WallTime, ours: WallTime) -> Option<Duration> {
    Some(date.distance(ours)).filter(|skew| *skew > MAX_CLOCK_SKEW)
}

impl ClusterState {
    /// Gives every configured node and observer an entry, and lets everybody else leave with all
    /// that is known of them.
    pub fn adopt(&mut self, config: &Config) {
        let left = self
            .nodes
            .keys()
            .filter(|node| !config.nodes.contains_key(*node))
            .cloned();
        self.former
            .extend(left.take(MAX_FORMER_NODES.saturating_sub(self.former.len())));
        self.former.retain(|node| !config.nodes.contains_key(node));
        self.nodes.retain(|node, _| config.nodes.contains_key(node));
        self.observers
            .retain(|observer, _| config.observers.contains_key(observer));
        for node in config.nodes.keys() {
            self.nodes.entry(node.clone()).or_default();
        }
        for observer in config.observers.keys() {
            self.observers.entry(observer.clone()).or_default();
        }
    }

    /// Merges the outcome of a poll of our own. `remembered`: is this node the remembered primary.
    /// Says whether the news may change a decision: reachability, role or kind of failure.
    pub fn node_probed(
        &mut self,
        node: &NodeName,
        outcome: Result<NodeReport, ProbeFailure>,
        remembered: bool,
        now: Now,
    ) -> bool {
        let Some(state) = self.nodes.get_mut(node) else {
            return false;
        };
        let before = standing(state);
        match outcome {
            Ok(report) => state.answered(report, now),
            Err(failure) => state.failed(failure, remembered, now),
        }
        before != standing(state)
    }

    /// Merges the outcome of fetching an observer's state. Says whether the news may change a
    /// decision.
    pub fn observer_probed(
        &mut self,
        observer: &ObserverName,
        outcome: Result<ObserverReport, ProbeFailure>,
        now: Now,
    ) -> bool {
        let Self {
            nodes,
            observers,
            former,
        } = self;
        let Some(state) = observers.get_mut(observer) else {
            return false;
        };
        let connected = outcome.is_ok();
        let attempt = Attempt {
            at: now.mono,
            fetch_time: now.wall,
            connected,
        };
        let before = state
            .attempt
            .replace(attempt)
            .map(|attempt| attempt.connected);
        let is_news = match outcome {
            Ok(report) => state.answered(
                report,
                |node| nodes.contains_key(node) || former.contains(node),
                now,
            ),
            Err(failure) => {
                state.failure = Some(failure);
                false
            }
        };
        is_news || before != Some(connected)
    }
}

/// What of a node's state a decision may turn on.
fn standing(state: &NodeState) -> (Option<bool>, Option<bool>, bool) {
    (
        state.attempt.map(|attempt| attempt.connected),
        state.answer.as_ref().map(|answer| answer.in_recovery),
        state
            .failure
            .as_ref()
            .is_some_and(ProbeFailure::is_living_refusal),
    )
}

/// What of an observer's sightings a decision may turn on: of whom, connected, in recovery.
fn words(
    sightings: &BTreeMap<NodeName, Sighting>,
) -> impl Iterator<Item = (&NodeName, bool, Option<bool>)> {
    sightings
        .iter()
        .map(|(node, sighting)| (node, sighting.connected, sighting.in_recovery))
}

impl NodeState {
    fn answered(&mut self, report: NodeReport, now: Now) {
        self.attempt = Some(Attempt {
            at: now.mono,
            fetch_time: now.wall,
            connected: true,
        });
        self.failure = None;
        let mut answer = NodeAnswer {
            at: now.mono,
            in_recovery: true,
            db_time: report.db_time,
            receive: None,
            replay: None,
            last_replay: None,
            slots: Vec::new(),
            identity: report.identity,
            daemons: report.daemons,
        };
        match report.role {
            RoleReport::Primary { lsn, slots } => {
                answer.in_recovery = false;
                answer.replay = lsn;
                answer.slots = slots;
                self.replication_lag = None;
                self.primary_contact = Some(now.mono);
            }
            RoleReport::Standby {
                receive,
                replay,
                last_replay,
            } => {
                if self.received_more(receive) {
                    self.wal_arrived = Some(now.mono);
                }
                answer.receive = receive;
                answer.replay = replay;
                answer.last_replay = last_replay;
                self.measure_lag(report.db_time, last_replay);
                if receive.is_some() {
                    self.streaming_since.get_or_insert(now.mono);
                }
            }
        }
        self.answer = Some(answer);
    }

    /// Whoever sends WAL lives; a position after none is no such proof, the server may have read it
    /// from its own disk.
    fn received_more(&self, receive: Option<super::Lsn>) -> bool {
        let before = self.answer.as_ref().and_then(|answer| answer.receive);
        matches!((before, receive), (Some(before), Some(receive)) if receive > before)
    }

    /// A null last replay timestamp leaves the last known lag as it is (behaviour.md, "Polling").
    fn measure_lag(&mut self, db_time: WallTime, last_replay: Option<WallTime>) {
        let Some(last_replay) = last_replay else {
            return;
        };
        let lag = db_time.distance(last_replay);
        self.replication_lag = Some(lag);
        self.min_replication_lag = Some(
            self.min_replication_lag
                .map_or(lag, |lowest| lowest.min(lag)),
        );
    }

    fn failed(&mut self, failure: ProbeFailure, remembered: bool, now: Now) {
        let primary = self
            .answer
            .as_ref()
            .map_or(remembered, |answer| !answer.in_recovery);
        if primary && failure.is_living_refusal() {
            self.primary_contact = Some(now.mono);
        }
        self.attempt = Some(Attempt {
            at: now.mono,
            fetch_time: now.wall,
            connected: false,
        });
        self.failure = Some(failure);
    }
}

impl ObserverState {
    /// Says whether it tells something else than before.
    fn answered(
        &mut self,
        report: ObserverReport,
        is_ours: impl Fn(&NodeName) -> bool,
        now: Now,
    ) -> bool {
        self.failure = None;
        let was_skewed = self.clock_skew.is_some();
        self.clock_skew = clock_skew(report.date, now.wall);
        let mut sightings = BTreeMap::new();
        for (node, observed) in report.nodes {
            // An observer whose clock is off is heard on primaries only.
            if !is_ours(&node) || (self.clock_skew.is_some() && observed.in_recovery != Some(false))
            {
                continue;
            }
            let sighting = sighting(observed, report.date, now.mono);
            self.note_contact(&node, &sighting);
            self.note_wal(&node, &sighting, now.mono);
            sightings.insert(node, sighting);
        }
        let is_news =
            was_skewed != self.clock_skew.is_some() || !words(&sightings).eq(words(&self.nodes));
        self.nodes = sightings;
        is_news
    }

    /// behaviour.md 3d: "its last connected sighting; of one it has lost, its db_time by its Date,
    /// not later than its last attempt, fixed when first heard".
    fn note_contact(&mut self, node: &NodeName, sighting: &Sighting) {
        if sighting.in_recovery != Some(false) {
            return;
        }
        let known = self.primary_contacts.get(node).copied();
        if sighting.connected {
            let at = known.map_or(sighting.at, |known| known.at.max(sighting.at));
            self.primary_contacts.insert(
                node.clone(),
                PrimaryContact {
                    at,
                    sighted: Some(sighting.at),
                    lost_db_time: None,
                },
            );
            return;
        }
        let Some(db_time) = sighting.db_time else {
            return;
        };
        if known.is_some_and(|known| known.lost_db_time == Some(db_time)) {
            return;
        }
        let at = known.map_or(sighting.reported_at, |known| {
            known.at.max(sighting.reported_at)
        });
        let sighted = known.and_then(|known| known.sighted);
        self.primary_contacts.insert(
            node.clone(),
            PrimaryContact {
                at,
                sighted,
                lost_db_time: Some(db_time),
            },
        );
    }

    fn note_wal(&mut self, node: &NodeName, sighting: &Sighting, now: Monotonic) {
        let before = self.nodes.get(node).and_then(|before| before.receive);
        let standby = sighting.connected && sighting.in_recovery == Some(true);
        if standby
            && matches!((before, sighting.receive), (Some(before), Some(receive)) if receive > before)
        {
            self.wal_arrived.insert(node.clone(), now);
        }
    }
}

/// Ages an observer's entry by the observer's own clock: our time of arrival less (its `Date` less
/// its `fetch_time`).
fn sighting(observed: ObservedNode, date: WallTime, now: Monotonic) -> Sighting {
    let at = carried_over(observed.fetch_time, date, now);
    let lost = observed.db_time.filter(|_| !observed.connection);
    Sighting {
        at,
        reported_at: lost.map_or(at, |db_time| at.min(carried_over(db_time, date, now))),
        fetch_time: observed.fetch_time,
        connected: observed.connection,
        db_time: observed.db_time,
        in_recovery: observed.in_recovery,
        receive: observed.receive,
        replay: observed.replay,
        last_replay: observed.last_replay,
        identity: observed.identity,
        daemons: observed.daemons,
    }
}

/// A moment on an observer's clock, on ours; never ahead of now, whatever the observer says.
fn carried_over(moment: WallTime, date: WallTime, now: Monotonic) -> Monotonic {
    now.before(date.since(moment))
}

/// An observer whose `Date` is further than this from our wall clock, either way, has no vote.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5);
/// So many names that have left are remembered.
const MAX_FORMER_NODES: usize = 1_000;

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
