//! What observers report, aged by their own clocks and merged into the facts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::merge::{Context, differ};
use super::state::{Attempt, ClusterState, ObserverState, PrimaryContact, Sighting};
use super::{ObservedNode, ObserverReport, ProbeFailure, Role, Witness};
use crate::config::{NodeName, ObserverName};
use crate::time::{Monotonic, Now, WallTime};

/// How far an observer's `Date` is from our wall clock, if that is worth a warning.
pub fn clock_skew(date: WallTime, ours: WallTime) -> Option<Duration> {
    Some(date.distance(ours)).filter(|skew| *skew > MAX_CLOCK_SKEW)
}

impl ClusterState {
    /// Merges the outcome of fetching an observer's state. Says whether the news may change a
    /// decision.
    pub fn observer_probed(
        &mut self,
        observer: &ObserverName,
        outcome: Result<ObserverReport, ProbeFailure>,
        context: Context<'_>,
    ) -> bool {
        let now = context.now;
        let system = self.system(context.config.own_db.as_ref());
        let system = system.map(str::to_owned);
        let Self {
            nodes,
            observers,
            former,
            ..
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
        let attempt_before = state.attempt.replace(attempt);
        let before = std::mem::take(&mut state.nodes);
        let is_news = match outcome {
            Ok(report) => {
                let is_ours = |node: &NodeName| nodes.contains_key(node) || former.contains(node);
                state.answered(report, is_ours, system.as_deref(), &before, now);
                let is_news = !reports(&state.nodes).eq(reports(&before));
                self.learn_from_observer(observer, &before, context);
                is_news
            }
            Err(failure) => {
                state.failure = Some(failure);
                state.nodes = before;
                false
            }
        };
        is_news || attempt_before.map(|attempt| attempt.connected) != Some(connected)
    }

    /// What follows from an observer's answer for roles and for the WAL that standbys received.
    fn learn_from_observer(
        &mut self,
        name: &ObserverName,
        before: &BTreeMap<NodeName, Sighting>,
        context: Context<'_>,
    ) {
        let Some(observer) = self.observers.get(name) else {
            return;
        };
        let contacts = observer.primary_contacts.clone();
        let witness = || Witness::Observer(name.clone());
        let young = context.young();
        for (node, sighting) in observer.nodes.clone() {
            let Some(in_recovery) = sighting.in_recovery else {
                continue;
            };
            if context.config.own_db.as_ref() == Some(&node) {
                continue;
            }
            let contact = contacts.get(&node).map(|contact| contact.reported_at);
            let at = contact.filter(|_| !in_recovery);
            let at = at.unwrap_or(sighting.reported_at);
            self.learn_role_from(&node, in_recovery, at, sighting.resolution, witness());
            let is_young = context.now.mono.since(sighting.at) < young;
            let is_configured = self.nodes.contains_key(&node);
            if sighting.connected && !in_recovery && is_young && is_configured {
                self.history.gone.remove(&node);
            }
            if sighting.connected && in_recovery {
                self.learn_position_from(&node, &sighting);
                let before = before.get(&node);
                let before = before.map(|before| (before.at, before.receive));
                self.learn_wal(
                    &node,
                    before,
                    (sighting.at, sighting.receive),
                    witness(),
                    context,
                );
            }
        }
    }

    /// An observer's report ends a divergence if it is later than our own last answer, which may be
    /// what proved it, by more than its times are exact.
    fn learn_position_from(&mut self, node: &NodeName, sighting: &Sighting) {
        let ours = self.nodes.get(node).and_then(|state| state.answer.as_ref());
        let is_later = ours.is_some_and(|ours| ours.at + sighting.resolution < sighting.at);
        let position = sighting.receive.max(sighting.replay);
        if let Some(position) = position.filter(|_| is_later) {
            self.history
                .has_position(node, position, sighting.identity.timeline);
        }
    }

    /// An observer's report of a role counts if it is later than what is known, by more than its
    /// times are exact, or comes from the same observer.
    fn learn_role_from(
        &mut self,
        node: &NodeName,
        in_recovery: bool,
        at: Monotonic,
        resolution: Duration,
        witness: Witness,
    ) {
        if !self.nodes.contains_key(node) {
            return;
        }
        let known = self.history.roles.get(node);
        let is_later = known.is_none_or(|known| {
            let same = known.witness == witness;
            (same && known.at <= at) || known.at + resolution < at
        });
        if is_later {
            let role = Role {
                is_primary: !in_recovery,
                at,
                witness,
            };
            self.history.reported(node, role);
        }
    }
}

/// What of an observer's sightings a decision may turn on: of whom, connected, in recovery.
fn reports(
    sightings: &BTreeMap<NodeName, Sighting>,
) -> impl Iterator<Item = (&NodeName, bool, Option<bool>)> {
    sightings
        .iter()
        .map(|(node, sighting)| (node, sighting.connected, sighting.in_recovery))
}

impl ObserverState {
    /// `system`: our cluster's identifier. What the observer reports of another server under one of
    /// our names is ignored.
    fn answered(
        &mut self,
        report: ObserverReport,
        is_ours: impl Fn(&NodeName) -> bool,
        system: Option<&str>,
        before: &BTreeMap<NodeName, Sighting>,
        now: Now,
    ) {
        self.failure = None;
        self.clock_skew = clock_skew(report.date, now.wall);
        for (node, observed) in report.nodes {
            if !is_ours(&node) || differ(observed.identity.system.as_deref(), system) {
                continue;
            }
            let mut sighting = sighting(observed, report.date, now.mono);
            // With the same answer as before it has not been reached since, whatever the clocks read.
            let before_it = before.get(&node).filter(|_| !sighting.connected);
            let same = before_it.filter(|before| before.db_time == sighting.db_time);
            if let Some(same) = same {
                sighting.reported_at = sighting.reported_at.min(same.reported_at);
            }
            if sighting.in_recovery == Some(false) {
                let db_time = before.get(&node).and_then(|before| before.db_time);
                self.note_contact(&node, &sighting, db_time);
            }
            self.nodes.insert(node, sighting);
        }
    }

    /// When the observer last reached this primary: at its last connected sighting. One that it has
    /// lost was reached since our last fetch if it brings another `db_time` than before, at the
    /// latest at that attempt; if it is reported for the first time, when its own clock read so by
    /// the observer's.
    fn note_contact(
        &mut self,
        node: &NodeName,
        sighting: &Sighting,
        db_time_before: Option<WallTime>,
    ) {
        let known = self.primary_contacts.get(node).copied();
        let known_time = known.and_then(|known| known.db_time).or(db_time_before);
        self.seen_primaries.insert(node.clone());
        let at = match (sighting.connected, sighting.db_time) {
            (true, _) => sighting.at,
            (false, None) => return,
            (false, db_time) if db_time == known_time => match known {
                Some(known) => known.reported_at,
                None => sighting.reported_at,
            },
            (false, Some(_)) if known_time.is_some() => sighting.at,
            (false, Some(_)) => sighting.reported_at,
        };
        let contact = PrimaryContact {
            at: known.map_or(at, |known| known.at.max(at)),
            reported_at: at,
            db_time: sighting.db_time,
        };
        self.primary_contacts.insert(node.clone(), contact);
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
        resolution: resolution(date),
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

/// A `Date` header has whole seconds.
fn resolution(date: WallTime) -> Duration {
    let second = Duration::from_secs(1);
    let is_whole = date.unix_micros() % 1_000_000 == 0;
    if is_whole {
        second
    } else {
        Duration::from_micros(1)
    }
}

/// A moment on an observer's clock, on ours; never ahead of now, whatever the observer says.
fn carried_over(moment: WallTime, date: WallTime, now: Monotonic) -> Monotonic {
    now.before(date.since(moment))
}

/// A `Date` that is further than this from our wall clock, either way, is worth a warning.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5);
