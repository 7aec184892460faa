//! What truly happened, as the judge writes it down: who reached whom when, who streamed from whom,
//! which sessions ended, what was disturbed. Nothing here is read from a daemon's own knowledge.

use std::collections::BTreeMap;

use pglookout::cluster::{DaemonState, NodeReport, PauseMark, Presence, ProbeFailure, RoleReport};
use pglookout::config::Config;
use pglookout::lookout::{Effect, Event, ProbeId};
use pglookout::simulation::{
    Condition, Fault, HostId, Micros, NodeId, SECOND, Setup, World, micros,
};
use pglookout::time::WallTime;
use std::sync::Arc;
use std::time::Duration;

/// All of it.
pub(crate) struct Truth {
    pub(crate) hosts: Vec<Host>,
    pub(crate) nodes: Vec<Node>,
    /// What an observer's report holds that is on its way: for whom, by whom, which.
    reports: BTreeMap<(HostId, usize, ProbeId), Vec<Option<Contact>>>,
}

/// That a server was reached as a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Contact {
    pub(crate) at: Micros,
    /// The term in which it was one.
    pub(crate) term: u32,
}

/// A poll that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Polled {
    pub(crate) ended: Micros,
    pub(crate) answered: bool,
    /// Of a standby: how much WAL it had by the last poll that it answered.
    pub(crate) position: Option<u64>,
    /// When that one began.
    position_asked: Micros,
}

/// A server.
#[derive(Clone, Default)]
pub(crate) struct Node {
    /// When something happened to it last.
    pub(crate) disturbed: Option<Micros>,
    condition: Option<(Condition, bool)>,
    /// It has been a primary since then.
    pub(crate) primary_since: Option<Micros>,
    /// It streams from this living primary, since then.
    pub(crate) streams: Option<(NodeId, Micros)>,
}

/// A host and its daemon.
#[derive(Clone)]
pub(crate) struct Host {
    /// The daemon was restarted, stopped, reloaded or tampered with last.
    pub(crate) disturbed: Option<Micros>,
    /// The wall clock was stepped, or the daemon lied or ceased to.
    pub(crate) unreliable: Option<Micros>,
    /// The daemon has lied at some time.
    pub(crate) has_lied: bool,
    /// When it began to announce its promotion.
    pub(crate) wants_since: Option<Micros>,
    /// What its sessions show.
    pub(crate) shows: DaemonState,
    /// When they last showed that it steps aside: others decide by what they learnt then.
    pub(crate) stepped_aside: Option<Micros>,
    /// A command of it has not done what it should, or may not.
    pub(crate) command_fails: bool,
    pub(crate) asked: Vec<Option<Micros>>,
    pub(crate) polled: Vec<Option<Polled>>,
    pub(crate) observer_polled: Vec<Option<Polled>>,
    /// Since when it asks each server, and each observer, in vain.
    pub(crate) in_vain: Vec<Option<Micros>>,
    pub(crate) observer_in_vain: Vec<Option<Micros>>,
    /// When its session on each server ended last.
    pub(crate) session_ended: Vec<Option<Micros>>,
    pub(crate) knowledge: Knowledge,
    /// What its core had at its last turn.
    config: Option<Arc<Config>>,
    saved: Option<Knowledge>,
    /// When it last asked everybody anew because there seemed to be cause for a promotion.
    pub(crate) asked_anew: Option<Micros>,
    /// The same, of the last decision to promote its node, and when that was made: an election may follow,
    /// in which more is asked for the next decision. What forbids the promotion meanwhile is another
    /// matter.
    pub(crate) decided_on: Option<(Micros, Micros)>,
    /// Its last decision to promote its node was that of a successor in a switchover.
    pub(crate) succeeds: bool,
    /// When it went on last after everything on it had stood still.
    pub(crate) woke: Option<Micros>,
    pub(crate) last_decision: Micros,
}

/// What a daemon has had of evidence, and keeps over a restart.
#[derive(Clone)]
pub(crate) struct Knowledge {
    /// When each node last answered it as a primary.
    pub(crate) answered: Vec<Option<Contact>>,
    /// When each node, a primary, last turned it away.
    pub(crate) refused: Vec<Option<Contact>>,
    /// When an observer reached each node as a primary, by the last report that came.
    pub(crate) sighted: Vec<Option<Contact>>,
    /// When each primary was first and last reached in one term.
    pub(crate) reigns: BTreeMap<(NodeId, u32), (Micros, Micros)>,
    /// WAL that arrived at a standby from a living primary: not before then. By that primary.
    pub(crate) received: Vec<Option<Contact>>,
    /// When a poll last showed more WAL of each standby than the one before: from whatever primary.
    pub(crate) grew: Vec<Option<Micros>>,
    /// The most WAL that each standby was known to have.
    positions: Vec<u64>,
    /// The highest term of a primary that it knew before its host was booted.
    known_term: Option<u32>,
    /// The newest mark of a pause that it was given, or shown.
    pub(crate) pause: PauseMark,
}

impl Truth {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            hosts: vec![Host::new(setup); setup.hosts()],
            nodes: vec![Node::default(); setup.nodes.len()],
            reports: BTreeMap::new(),
        }
    }

    /// Who streams from whom, now.
    pub(crate) fn look(&mut self, world: &World<'_>) {
        for (node, known) in self.nodes.iter_mut().enumerate() {
            let source = streams_from(world, node);
            let database = &world.databases()[node];
            let condition = (database.condition, database.is_asleep);
            if known.condition.replace(condition) != Some(condition) {
                known.disturbed = Some(world.now());
                for host in &mut self.hosts {
                    host.session_ended[node] = Some(world.now());
                }
            }
            let is_primary = world.databases()[node].is_primary;
            let since = known.primary_since.unwrap_or(world.now());
            known.primary_since = is_primary.then_some(since);
            known.streams = source.map(|source| match known.streams {
                Some((before, since)) if before == source => (source, since),
                _ => (source, world.now()),
            });
        }
    }

    pub(crate) fn fault(&mut self, world: &World<'_>, fault: &Fault) {
        let now = Some(world.now());
        match *fault {
            Fault::Dies(node, _) | Fault::Refuses(node, _) | Fault::OutOfSlots(node, _) => {
                self.nodes[node].disturbed = now;
            }
            Fault::Starts(node) | Fault::Follows(node, _) | Fault::LosesSlot(node) => {
                self.nodes[node].disturbed = now;
            }
            Fault::StepsClock(host, _) => self.hosts[host].unreliable = now,
            Fault::Lies(host, _) => {
                (self.hosts[host].unreliable, self.hosts[host].has_lied) = (now, true);
            }
            Fault::Maintenance(host, _) | Fault::Daemon(host, _) => {
                self.hosts[host].disturbed = now;
            }
            Fault::Commands(host, status, takes) => {
                let timeout = world.config(host).failover_command_timeout;
                let is_late = timeout.is_some_and(|timeout| takes >= micros(timeout));
                self.hosts[host].command_fails |= status != Some(0) || is_late;
            }
            Fault::Lost(host, node) => self.hosts[host].session_ended[node] = now,
            // What these do is seen in later facts, or on the network.
            _ => {}
        }
        if let Fault::Dies(node, _) = *fault {
            for host in &mut self.hosts {
                host.session_ended[node] = now;
            }
        }
    }

    pub(crate) fn started(&mut self, host: HostId, remembers: bool, boot: bool, now: Micros) {
        let known = &mut self.hosts[host];
        let nodes = known.asked.len();
        let saved = known.saved.take().filter(|_| remembers);
        // What is dated by a wall clock alone is not relied on here.
        known.knowledge = saved
            .clone()
            .filter(|_| !boot)
            .unwrap_or(Knowledge::new(nodes));
        known.knowledge.pause = saved.as_ref().map(|it| it.pause).unwrap_or_default();
        known.knowledge.known_term = saved.as_ref().and_then(Knowledge::highest_term);
        known.saved = saved;
        known.disturbed = Some(now);
        known.asked.fill(None);
        known.polled.fill(None);
        known.observer_polled.fill(None);
        known.session_ended.fill(Some(now));
        known.in_vain.fill(None);
        known.observer_in_vain.fill(None);
        (known.wants_since, known.asked_anew, known.decided_on) = (None, None, None);
        (known.last_decision, known.succeeds) = (now, false);
        if boot {
            known.unreliable = Some(now);
        }
    }

    /// Does this daemon know that the cluster is paused.
    pub(crate) fn knows_pause(&self, host: HostId) -> bool {
        // None of them ends by itself.
        let pause = self.hosts[host].knowledge.pause;
        pause.is_active(WallTime::from_unix_micros(0))
    }

    /// A daemon will be stopped until then: that it got no answers meanwhile proves nothing. What came
    /// in a shorter time lies there, and is taken in before anything is decided.
    pub(crate) fn stopped(&mut self, host: HostId, until: Micros, now: Micros) {
        let known = &mut self.hosts[host];
        known.disturbed = Some(until);
        if until > now + 4 * SECOND {
            let asks = known.in_vain.iter_mut().chain(&mut known.observer_in_vain);
            asks.flatten().for_each(|since| *since = until);
        }
    }

    /// It goes on earlier than that.
    pub(crate) fn resumed(&mut self, host: HostId, now: Micros) {
        let known = &mut self.hosts[host];
        known.last_decision = now;
        let asks = known.in_vain.iter_mut().chain(&mut known.observer_in_vain);
        asks.flatten().for_each(|since| *since = now.min(*since));
    }

    pub(crate) fn saved(&mut self, host: HostId) {
        self.hosts[host].saved = Some(self.hosts[host].knowledge.clone());
    }

    /// An observer makes its report: which primaries it has truly reached, last of all its polls.
    pub(crate) fn report_made(
        &mut self,
        world: &World<'_>,
        observer: usize,
        to: HostId,
        probe: ProbeId,
    ) {
        let host = world.setup().observers[observer].1;
        let known = &self.hosts[host];
        let contacts = known.knowledge.answered.iter().zip(&known.polled);
        let honest = |contact: &Contact| {
            world.lie(host).is_none() && known.unreliable.is_none_or(|at| at < contact.at)
        };
        let contacts = contacts.map(|(contact, polled)| {
            // Of one that has become a standby its report does not say any more.
            // When it reached one that it has lost it dates by that server's clock.
            let is_reached = polled.is_some_and(|it| it.answered && it.position.is_none());
            // What arrives at this moment is not in it yet: one that was stopped takes both in one turn.
            let is_in_it = |contact: &Contact| contact.at < world.now();
            contact.filter(|contact| is_reached && is_in_it(contact) && honest(contact))
        });
        self.reports
            .insert((to, observer, probe), contacts.collect());
    }

    pub(crate) fn event(&mut self, world: &World<'_>, host: HostId, event: &Event) {
        let (setup, now) = (world.setup(), world.now());
        match event {
            Event::NodeProbed { node, outcome, .. } => {
                let node = setup.node_id(node).unwrap();
                self.polled(world, host, node, outcome);
                let shown = outcome.iter().flat_map(|report| &report.daemons).flatten();
                let newest = shown.map(|it| it.pause).max();
                newest
                    .into_iter()
                    .for_each(|mark| self.learns_of_pause(host, mark, now));
            }
            Event::NodeLost { node, .. } => {
                let node = setup.node_id(node).unwrap();
                let known = &mut self.hosts[host];
                known.session_ended[node] = Some(now);
                if let Some(polled) = &mut known.polled[node] {
                    polled.answered = false;
                }
            }
            Event::ObserverProbed {
                observer,
                probe,
                outcome,
            } => {
                let observer = setup.observer_id(observer).unwrap();
                let known = &mut self.hosts[host];
                known.observer_in_vain[observer].take_if(|_| outcome.is_ok());
                known.observer_polled[observer] = Some(Polled {
                    ended: now,
                    answered: outcome.is_ok(),
                    position: None,
                    position_asked: 0,
                });
                let report = probe.and_then(|probe| self.reports.remove(&(host, observer, probe)));
                let mut newest = PauseMark::default();
                if let Ok(told) = outcome {
                    for (node, name) in setup.nodes.iter().enumerate() {
                        // One that is known under another name here is a stranger to this daemon.
                        let entry = told.nodes.get(world.name_on(host, node).unwrap_or(name));
                        let shown = entry.iter().flat_map(|it| &it.daemons).flatten();
                        newest = shown.map(|it| it.pause).fold(newest, PauseMark::max);
                        let position = entry.and_then(|it| it.receive.max(it.replay));
                        known
                            .knowledge
                            .has_position(node, position.map(|it| it.bytes()));
                        let contact = report.as_ref().and_then(|report| report[node]);
                        let contact = contact.filter(|_| entry.is_some());
                        let sighted = &mut known.knowledge.sighted[node];
                        *sighted = contact.max(*sighted);
                    }
                }
                self.learns_of_pause(host, newest, now);
            }
            Event::ConfigLoaded(_) => self.hosts[host].disturbed = Some(now),
            Event::PauseSet(mark) => self.learns_of_pause(host, *mark, now),
            _ => {}
        }
    }

    /// An observer keeps none.
    fn learns_of_pause(&mut self, host: HostId, mark: PauseMark, now: Micros) {
        if host < self.nodes.len() && mark > self.hosts[host].knowledge.pause {
            self.hosts[host].knowledge.pause = mark;
            self.hosts[host].disturbed = Some(now);
        }
    }

    fn polled(
        &mut self,
        world: &World<'_>,
        host: HostId,
        node: NodeId,
        outcome: &Result<NodeReport, ProbeFailure>,
    ) {
        let now = world.now();
        let database = &world.databases()[node];
        let contact = database.term.map(|term| Contact { at: now, term });
        let source = self.nodes[node].streams;
        let known = &mut self.hosts[host];
        let (asked, before) = (known.asked[node].unwrap_or(now), known.polled[node]);
        let mut polled = Polled {
            ended: now,
            answered: outcome.is_ok(),
            position: None,
            position_asked: asked,
        };
        let failure = outcome.as_ref().err();
        let is_answer = failure.is_none_or(ProbeFailure::is_living_refusal);
        known.in_vain[node].take_if(|_| is_answer);
        match outcome {
            Ok(report) => match report.role {
                RoleReport::Primary { .. } => {
                    known.knowledge.answered[node] = contact;
                    if let Some(contact) = contact {
                        let reign = (node, contact.term);
                        known.knowledge.reigns.entry(reign).or_insert((now, now)).1 = now;
                    }
                }
                RoleReport::Standby {
                    receive, replay, ..
                } => {
                    let position = receive.max(replay).map_or(0, |lsn| lsn.bytes());
                    polled.position = Some(position);
                    let knowledge = &mut known.knowledge;
                    let is_most = knowledge.is_most(node, position);
                    let grew = before.filter(|it| it.position.is_some_and(|it| it < position));
                    if grew.is_some() {
                        knowledge.grew[node] = Some(now);
                    }
                    if let (Some(before), Some((source, since)), true) = (grew, source, is_most) {
                        let term = world.databases()[source].term.unwrap_or_default();
                        let at = before.position_asked;
                        if since <= at {
                            knowledge.received[node] = Some(Contact { at, term });
                        }
                    }
                    knowledge.has_position(node, Some(position));
                }
            },
            Err(failure) => {
                known.session_ended[node] = Some(now);
                let turned_away = failure.is_living_refusal() && database.is_primary;
                if turned_away {
                    known.knowledge.refused[node] = contact;
                }
                if let Some(before) = before {
                    polled.position = before.position;
                    polled.position_asked = before.position_asked;
                }
            }
        }
        known.polled[node] = Some(polled);
    }

    /// What was known of a node that has left goes with it. Of several configurations that come in one
    /// turn the daemon takes the last.
    fn adopt(&mut self, world: &World<'_>, host: HostId) {
        let config = world.core(host).config();
        let known = &mut self.hosts[host];
        let before = known.config.replace(Arc::clone(config));
        let before = before.filter(|before| !Arc::ptr_eq(before, config));
        let Some(before) = before else { return };
        let setup = world.setup();
        for node in 0..setup.nodes.len() {
            let name = setup.name_in(config, node);
            if name.is_none() || name != setup.name_in(&before, node) {
                known.polled[node] = None;
            }
            // One that comes back has yet to report its role.
            if name.is_none() {
                known.knowledge.answered[node] = None;
                known.knowledge.reigns.retain(|(of, _), _| *of != node);
            }
        }
    }

    pub(crate) fn effects(&mut self, world: &World<'_>, host: HostId, effects: &[Effect]) {
        let (setup, now) = (world.setup(), world.now());
        self.adopt(world, host);
        for effect in effects {
            let known = &mut self.hosts[host];
            match effect {
                Effect::ProbeNode { node, session, .. } => {
                    if let Some(node) = setup.node_id(node) {
                        known.asked[node] = Some(now);
                        known.in_vain[node].get_or_insert(now);
                    }
                    if known.shows.steps_aside() {
                        known.stepped_aside = Some(now);
                    }
                    let shown = Presence::of_session(session, Duration::ZERO);
                    known.shows = shown.map(|it| it.state).unwrap_or_default();
                    match known.shows {
                        DaemonState::Wants(_) => _ = known.wants_since.get_or_insert(now),
                        DaemonState::Promoting => {}
                        _ => known.wants_since = None,
                    }
                }
                Effect::ProbeObserver { observer, .. } => {
                    if let Some(observer) = setup.observer_id(observer) {
                        known.observer_in_vain[observer].get_or_insert(now);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The living primary that this standby streams from directly.
fn streams_from(world: &World<'_>, node: NodeId) -> Option<NodeId> {
    let databases = world.databases();
    let standby = &databases[node];
    let source = standby.upstream?;
    let streams = standby.condition == Condition::Up
        && !standby.is_primary
        && !standby.is_starved
        && !standby.is_archive_fed
        && databases[source].is_primary
        && databases[source].condition == Condition::Up
        && !world.network().path(node, source).cut
        && ![standby, &databases[source]].iter().any(|it| it.is_asleep)
        && standby.is_part_of(&databases[source]);
    streams.then_some(source)
}

impl Host {
    /// Its next decision is waited for from then on.
    pub(crate) fn waits_from(&mut self, now: Micros) {
        self.last_decision = self.last_decision.max(now);
    }

    fn new(setup: &Setup) -> Self {
        let (nodes, observers) = (setup.nodes.len(), setup.observers.len());
        Self {
            disturbed: None,
            unreliable: None,
            has_lied: false,
            wants_since: None,
            shows: DaemonState::default(),
            stepped_aside: None,
            command_fails: false,
            asked: vec![None; nodes],
            polled: vec![None; nodes],
            observer_polled: vec![None; observers],
            in_vain: vec![None; setup.nodes.len()],
            observer_in_vain: vec![None; setup.observers.len()],
            session_ended: vec![None; nodes],
            knowledge: Knowledge::new(nodes),
            config: None,
            saved: None,
            asked_anew: None,
            decided_on: None,
            succeeds: false,
            woke: None,
            last_decision: 0,
        }
    }
}

impl Knowledge {
    fn new(nodes: usize) -> Self {
        Self {
            answered: vec![None; nodes],
            refused: vec![None; nodes],
            sighted: vec![None; nodes],
            reigns: BTreeMap::new(),
            received: vec![None; nodes],
            grew: vec![None; nodes],
            positions: vec![0; nodes],
            known_term: None,
            pause: PauseMark::default(),
        }
    }

    fn has_position(&mut self, node: NodeId, position: Option<u64>) {
        self.positions[node] = self.positions[node].max(position.unwrap_or_default());
    }

    /// Is this more than any other standby is known to have.
    fn is_most(&self, node: NodeId, position: u64) -> bool {
        let mut others = self.positions.iter().enumerate();
        others.all(|(other, known)| other == node || *known < position)
    }

    /// The highest term in which it reached a primary itself, also before a boot.
    pub(crate) fn highest_term(&self) -> Option<u32> {
        let reigns = self.reigns.keys().map(|(_, term)| *term);
        reigns.chain(self.known_term).max()
    }
}
