//! Who is polled when. Every node and observer has a cadence of its own: a slow one is still under
//! way while the others are polled again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::{Effect, ProbeId};
use crate::config::{Config, NodeName, ObserverName};
use crate::time::Monotonic;

/// When each node and observer is polled next, and when the next regular decision is due.
#[derive(Debug)]
pub(super) struct Schedule {
    nodes: Cadences<NodeName>,
    observers: Cadences<ObserverName>,
    /// When the next regular decision is due.
    pub(super) decision: Monotonic,
    next_probe: u64,
    /// The latest reading of the clock.
    tick: (Tick, Monotonic),
}

/// A reading of the clock, by number: what is merged at one reading happened at one moment, and
/// what counts from the next reading on came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u64);

impl Tick {
    /// The reading after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a report answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// The probe, or the next one's id where none was under way.
    pub(super) probe: ProbeId,
    /// When it began.
    pub(super) asked: Option<Monotonic>,
}

#[derive(Clone, Copy, Debug)]
struct Cadence {
    due: Monotonic,
    /// When the last probe was started.
    started: Option<Monotonic>,
    /// The probe that is under way.
    out: Option<ProbeId>,
    /// When the last report or failure came.
    reported: Option<Tick>,
    /// When the first probe was started of those that got no answer since the last one that did.
    silent_since: Option<Monotonic>,
}

impl Cadence {
    fn new(now: Monotonic) -> Self {
        Self {
            due: now,
            started: None,
            out: None,
            reported: None,
            silent_since: None,
        }
    }

    /// When it asks for attention; never while a probe is under way.
    fn wants(&self) -> Option<Monotonic> {
        self.out.is_none().then_some(self.due)
    }

    fn expedite(&mut self, spacing: Duration, now: Monotonic) {
        let spaced = |started| now.max(started + spacing);
        let earliest = self.started.map_or(now, spaced);
        self.due = self.due.min(earliest);
    }

    fn start(&mut self, probe: ProbeId, interval: Duration, now: Monotonic) {
        self.out = Some(probe);
        self.started = Some(now);
        self.silent_since.get_or_insert(now);
        // Keep the beat, unless it was missed by more than one.
        let next = self.due + interval;
        self.due = if next > now { next } else { now + interval };
    }

    /// Is a report waited for that answers this probe, or any.
    fn awaits(&self, probe: Option<ProbeId>) -> bool {
        probe.is_none() || self.out == probe
    }

    /// A report came; the probe that was under way has ended.
    fn report(&mut self, is_answer: bool, tick: Tick) -> Option<ProbeId> {
        self.reported = Some(tick);
        self.silent_since.take_if(|_| is_answer);
        self.out.take()
    }

    /// When there is no need to wait for it any more: it has reported since then, or it has left
    /// questions unanswered for `patience`, the last of them for a moment. `None`: nobody knows.
    fn settles(&self, since: Tick, patience: Duration) -> Option<Monotonic> {
        if self.has_reported(since) {
            return Some(Monotonic::default());
        }
        let (silent_since, started) = self.silent_since.zip(self.started)?;
        Some((silent_since + patience).max(started + MOMENT))
    }

    fn has_reported(&self, since: Tick) -> bool {
        self.reported.is_some_and(|reported| reported >= since)
    }
}

/// The cadences of all peers of one kind. There may be thousands, and every report is followed by
/// questions about all of them: what answers those is kept.
#[derive(Debug)]
struct Cadences<Name> {
    all: BTreeMap<Name, Cadence>,
    /// Nobody is asked more often than this, however often a poll is asked for.
    spacing: Duration,
    /// When the first of them wants to be polled.
    next: Option<Monotonic>,
    /// One that had not reported when that was last asked.
    unreported: RefCell<Option<Name>>,
}

impl<Name: Ord + Clone + Display> Cadences<Name> {
    fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            spacing: MAX_SPACING,
            next: None,
            unreported: RefCell::new(None),
        }
    }

    /// As they are configured from now on: who is new is due at once, who has left is forgotten, and
    /// a longer interval that was counted on no longer holds.
    fn adopt<'a>(
        &mut self,
        configured: impl Iterator<Item = &'a Name>,
        interval: Duration,
        now: Monotonic,
    ) where
        Name: 'a,
    {
        self.spacing = MAX_SPACING.min(interval / 2);
        let mut before = std::mem::take(&mut self.all);
        let mut cadence = |name: &Name| before.remove(name).unwrap_or_else(|| Cadence::new(now));
        self.all = configured
            .map(|name| (name.clone(), cadence(name)))
            .collect();
        let cadences = self.all.values_mut();
        cadences.for_each(|cadence| cadence.due = cadence.due.min(now + interval));
        self.find_next();
    }

    fn retain(&mut self, is_kept: impl Fn(&Name) -> bool) {
        self.all.retain(|name, _| is_kept(name));
        self.find_next();
    }

    fn find_next(&mut self) {
        self.next = self.all.values().filter_map(Cadence::wants).min();
    }

    /// Is a report of this peer waited for that answers this probe, or any.
    fn awaits(&self, name: &Name, probe: Option<ProbeId>) -> bool {
        let cadence = self.all.get(name);
        cadence.is_some_and(|cadence| cadence.awaits(probe))
    }

    /// A report came: of the probe that was under way, if one was, and when that began.
    fn report(
        &mut self,
        name: &Name,
        is_answer: bool,
        tick: Tick,
    ) -> Option<(ProbeId, Option<Monotonic>)> {
        let cadence = self.all.get_mut(name)?;
        let probe = cadence.report(is_answer, tick);
        self.next = self.next.into_iter().chain(cadence.wants()).min();
        Some((probe?, cadence.started))
    }

    fn expedite(&mut self, name: &Name, now: Monotonic) {
        if let Some(cadence) = self.all.get_mut(name) {
            cadence.expedite(self.spacing, now);
            self.next = self.next.into_iter().chain(cadence.wants()).min();
        }
    }

    fn expedite_all(&mut self, now: Monotonic, is_expedited: impl Fn(&Cadence) -> bool) {
        let all = self.all.values_mut();
        let expedited = all.filter(|cadence| is_expedited(cadence));
        expedited.for_each(|cadence| cadence.expedite(self.spacing, now));
        self.find_next();
    }

    /// Has everybody reported at `since` or later.
    fn all_reported(&self, since: Tick) -> bool {
        let has_reported = |name: &Name| {
            let cadence = self.all.get(name);
            cadence.is_none_or(|cadence| cadence.has_reported(since))
        };
        let unreported = self.unreported.take().filter(|name| !has_reported(name));
        let find = || {
            // From the end: they are asked in their order, and most answer in it.
            let mut all = self.all.iter();
            let found = all.rfind(|(_, cadence)| !cadence.has_reported(since));
            found.map(|(name, _)| name.clone())
        };
        let unreported = unreported.or_else(find);
        let has_all = unreported.is_none();
        self.unreported.replace(unreported);
        has_all
    }

    /// When nobody has to be waited for any more; `None`: not before another report.
    fn settle(&self, since: Tick, patience: Duration) -> Option<Monotonic> {
        let mut all = self.all.values();
        all.try_fold(Monotonic::default(), |latest, cadence| {
            Some(latest.max(cadence.settles(since, patience)?))
        })
    }

    /// Who has not reported at `since` or later.
    fn unreported(&self, since: Tick) -> impl Iterator<Item = String> {
        let all = self.all.iter();
        let unreported = all.filter(move |(_, cadence)| !cadence.has_reported(since));
        unreported.map(|(name, _)| name.to_string())
    }

    /// Starts the probes that are due.
    fn take_due(
        &mut self,
        interval: Duration,
        now: Monotonic,
        mut start: impl FnMut(&Name) -> ProbeId,
    ) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        for (name, cadence) in &mut self.all {
            if cadence.wants().is_some_and(|due| due <= now) {
                cadence.start(start(name), interval, now);
            }
        }
        self.find_next();
    }
}

impl Schedule {
    pub(super) fn new(now: Monotonic) -> Self {
        Self {
            nodes: Cadences::new(),
            observers: Cadences::new(),
            decision: now,
            next_probe: 0,
            tick: (Tick(0), now),
        }
    }

    /// A turn begins: its moment is another one only if the clock went on.
    pub(super) fn read_clock(&mut self, now: Monotonic) {
        let (tick, at) = self.tick;
        if at != now {
            self.tick = (tick.next(), now);
        }
    }

    /// The reading of this turn.
    pub(super) fn tick(&self) -> Tick {
        self.tick.0
    }

    /// Everybody who is new is due at once; who has left is forgotten, and with it the probe that
    /// is under way.
    pub(super) fn adopt(&mut self, config: &Config, now: Monotonic) {
        let interval = config.poll_interval;
        self.nodes.adopt(config.nodes.keys(), interval, now);
        self.observers.adopt(config.observers.keys(), interval, now);
    }

    /// Whoever is reached otherwise than before is new: what is under way asks somebody else, and
    /// will not be answered.
    pub(super) fn drop_readdressed(&mut self, old: &Config, new: &Config) {
        self.nodes
            .retain(|node| old.nodes.get(node) == new.nodes.get(node));
        self.observers
            .retain(|observer| old.observers.get(observer) == new.observers.get(observer));
    }

    /// The id that the next probe will have.
    pub(super) fn next_id(&self) -> ProbeId {
        ProbeId(self.next_probe)
    }

    /// Is a report of this node waited for that answers this probe, or any. The one rule by which
    /// reports are admitted.
    pub(super) fn awaits_node(&self, node: &NodeName, probe: Option<ProbeId>) -> bool {
        self.nodes.awaits(node, probe)
    }

    /// The same of an observer.
    pub(super) fn awaits_observer(&self, observer: &ObserverName, probe: Option<ProbeId>) -> bool {
        self.observers.awaits(observer, probe)
    }

    /// An awaited report of this node has come: what it answers.
    pub(super) fn node_reported(&mut self, node: &NodeName, is_answer: bool) -> Answered {
        let answered = self.nodes.report(node, is_answer, self.tick());
        let (probe, asked) = answered.unwrap_or((self.next_id(), None));
        Answered { probe, asked }
    }

    /// An awaited report of this observer has come.
    pub(super) fn observer_reported(&mut self, observer: &ObserverName, is_answer: bool) {
        self.observers.report(observer, is_answer, self.tick());
    }

    /// This process was asleep: that it got no answers meanwhile proves nothing.
    pub(super) fn forget_silence(&mut self, now: Monotonic) {
        let cadences = self.nodes.all.values_mut();
        let cadences = cadences.chain(self.observers.all.values_mut());
        for cadence in cadences {
            cadence.silent_since = cadence.silent_since.map(|_| now);
        }
    }

    pub(super) fn expedite_node(&mut self, node: &NodeName, now: Monotonic) {
        self.nodes.expedite(node, now);
    }

    pub(super) fn expedite_all(&mut self, now: Monotonic) {
        self.nodes.expedite_all(now, |_| true);
        self.observers.expedite_all(now, |_| true);
    }

    /// Polls those at once who have not reported at `since` or later, and are not being polled.
    pub(super) fn expedite_unreported(&mut self, since: Tick, now: Monotonic) {
        let is_idle = |cadence: &Cadence| cadence.out.is_none() && !cadence.has_reported(since);
        self.nodes.expedite_all(now, is_idle);
        self.observers.expedite_all(now, is_idle);
    }

    /// Has everybody reported at `since` or later.
    pub(super) fn all_reported(&self, since: Tick, with_observers: bool) -> bool {
        self.nodes.all_reported(since) && (!with_observers || self.observers.all_reported(since))
    }

    /// When everybody has reported at `since` or later, or has been silent for `patience`; `None`: not
    /// before another report.
    pub(super) fn settle(
        &self,
        since: Tick,
        patience: Duration,
        with_observers: bool,
    ) -> Option<Monotonic> {
        let nodes = self.nodes.settle(since, patience)?;
        match with_observers {
            true => Some(nodes.max(self.observers.settle(since, patience)?)),
            false => Some(nodes),
        }
    }

    /// Who has not reported at `since` or later.
    pub(super) fn unreported(&self, since: Tick, with_observers: bool) -> Vec<String> {
        let observers = self.observers.unreported(since).filter(|_| with_observers);
        self.nodes.unreported(since).chain(observers).collect()
    }

    /// When the next probe is due.
    pub(super) fn next_probe(&self, with_observers: bool) -> Option<Monotonic> {
        let observers = self.observers.next.filter(|_| with_observers);
        self.nodes.next.into_iter().chain(observers).min()
    }

    /// Starts the probes that are due, with sessions of this name.
    pub(super) fn take_due(
        &mut self,
        config: &Config,
        with_observers: bool,
        session: &Arc<str>,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let Self {
            nodes,
            observers,
            next_probe,
            ..
        } = self;
        let mut next_id = || {
            let probe = ProbeId(*next_probe);
            *next_probe += 1;
            probe
        };
        nodes.take_due(config.poll_interval, now, |node| {
            let probe = next_id();
            effects.push(Effect::ProbeNode {
                node: node.clone(),
                probe,
                session: Arc::clone(session),
            });
            probe
        });
        if with_observers {
            observers.take_due(config.poll_interval, now, |observer| {
                let (probe, observer) = (next_id(), observer.clone());
                effects.push(Effect::ProbeObserver { observer, probe });
                probe
            });
        }
    }
}

/// A server that lives answers in this time, as a rule, also over a new connection.
const MOMENT: Duration = Duration::from_millis(300);
/// Between two questions to one server that are asked because of an event. A promotion waits for it
/// twice: it is shorter for whoever polls faster.
const MAX_SPACING: Duration = Duration::from_millis(100);

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
