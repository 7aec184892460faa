//! The prober: one connection to each peer, kept open, a probe whenever the core wants one, and an
//! answer to every probe. Who is late, what is dialled next and what becomes an event is written
//! once; what is said on the connection to a database node and to an observer are two
//! [`Conversation`]s.

mod dial;
mod node;
mod observer;
mod outbound;
mod tls_negotiation;
mod warnings;

use std::collections::BTreeMap;
use std::time::Duration;

use dial::Dial;
pub(super) use node::NodeConversation;
pub(super) use observer::ObserverConversation;
use outbound::{OpenConnection, Outbound, Terms};

use super::io::Io;
use crate::cluster::{ProbeFailure, ProbeStep};
use crate::config::Config;
use crate::lookout::{Event, ProbeId};
use crate::time::Monotonic;

/// What is said on the connection to one peer. It owns no connection.
pub(super) trait Conversation: Sized {
    /// Whom it is held with.
    type Name: Clone + Ord;
    /// How that one is reached.
    type Settings: PartialEq;
    /// What a probe brings home.
    type Report;

    fn configured(config: &Config) -> &BTreeMap<Self::Name, Self::Settings>;
    fn new(name: &Self::Name, settings: &Self::Settings) -> (Self, Terms);
    fn settings(&self) -> &Self::Settings;
    /// What comes of a probe, or of a connection without one.
    fn event(
        name: Self::Name,
        probe: Option<ProbeId>,
        outcome: Result<Self::Report, ProbeFailure>,
    ) -> Option<Event>;

    /// Where to connect, until `deadline`.
    fn dial(&self, deadline: Monotonic) -> Dial;
    /// A probe begins. False: over a new connection.
    fn begin(&mut self, open: Option<&mut OpenConnection>) -> bool;
    /// Moves bytes and acts on what they say, until there is nothing to do without waiting.
    fn go_on(
        &mut self,
        open: &mut OpenConnection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> Step<Self::Report>;
    /// What is being waited for on an open connection.
    fn step(&self) -> ProbeStep;
    /// When the time of this connection is up, whatever becomes of the probe.
    fn deadline(&self, _open: &OpenConnection) -> Option<Monotonic> {
        None
    }
    /// What becomes of a connection that has failed, or has taken too long.
    fn fail(&mut self, failure: ProbeFailure) -> Step<Self::Report> {
        Step::Failed(failure)
    }
    /// The probe has failed, unless something else is better than nothing.
    fn give_up(&mut self, failure: ProbeFailure) -> Result<Self::Report, ProbeFailure> {
        Err(failure)
    }
    /// The connection is gone: the next one begins from the start.
    fn reset(&mut self);
    /// Queues what is said at the end.
    fn hang_up(&self, _open: &mut OpenConnection) {}
}

/// What a conversation has come to.
pub(super) enum Step<Report> {
    Wait,
    Answer {
        outcome: Result<Report, ProbeFailure>,
        keep_connection: bool,
    },
    Failed(ProbeFailure),
    Redial(Redial),
}

/// Where to connect instead.
pub(super) enum Redial {
    /// To the same server once more.
    SameServer,
    /// This host has failed.
    NextHost(ProbeFailure),
    FirstHost,
}

/// A probe that is under way.
pub(super) struct Probe {
    id: ProbeId,
    /// When it has failed.
    deadline: Monotonic,
    /// The time for each of its two parts: to be let in, and to be answered.
    timeout: Duration,
}

/// The connections to all peers of one kind.
pub(super) struct Peers<C: Conversation> {
    peers: BTreeMap<C::Name, Peer<C>>,
}

struct Peer<C: Conversation> {
    name: C::Name,
    conversation: C,
    terms: Terms,
    outbound: Option<Outbound>,
    probe: Option<Probe>,
}

impl<C: Conversation> Default for Peers<C> {
    fn default() -> Self {
        Self {
            peers: BTreeMap::new(),
        }
    }
}

impl<C: Conversation> Peers<C> {
    /// Takes over a configuration: a connection is kept as long as its own settings are the same.
    pub(super) fn adopt(&mut self, config: &Config, io: &mut Io) {
        let configured = C::configured(config);
        self.peers.retain(|name, peer| {
            let is_kept = configured.get(name) == Some(peer.conversation.settings());
            if !is_kept {
                peer.hang_up(io);
            }
            is_kept
        });
    }

    /// Probes a peer. What comes of it is an event with this id, in this turn or a later one.
    pub(super) fn probe(&mut self, name: &C::Name, id: ProbeId, config: &Config, io: &mut Io) {
        let Some(settings) = C::configured(config).get(name) else {
            return;
        };
        let peer = self
            .peers
            .entry(name.clone())
            .or_insert_with(|| Peer::new(name, settings));
        peer.probe = Some(Probe {
            id,
            deadline: io.now.mono + config.poll_timeout,
            timeout: config.poll_timeout,
        });
        peer.begin(io);
    }

    /// Readiness on a peer's connection.
    pub(super) fn ready(&mut self, name: &C::Name, io: &mut Io) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.go_on(io);
        }
    }

    /// Names were found: those who wait for one go on.
    pub(super) fn names_found(&mut self, io: &mut Io) {
        let is_waiting =
            |peer: &&mut Peer<C>| matches!(peer.outbound, Some(Outbound::Awaiting { .. }));
        let waiting = self.peers.values_mut().filter(is_waiting);
        waiting.for_each(|peer| peer.go_on(io));
    }

    /// Whose time is up has failed, or tries the next address.
    pub(super) fn expire(&mut self, io: &mut Io) {
        let now = io.now.mono;
        let late = |at: Option<Monotonic>| at.is_some_and(|at| at <= now);
        for peer in self.peers.values_mut() {
            if late(peer.answer_deadline()) {
                let step = peer.step();
                let step = peer.conversation.fail(ProbeFailure::TimedOut { step });
                peer.take(step, io);
            } else if late(peer.next_deadline()) {
                peer.go_on(io);
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.peers.values().filter_map(Peer::next_deadline).min()
    }

    /// Says goodbye on every connection, as far as that goes without waiting.
    pub(super) fn hang_up(&mut self, io: &mut Io) {
        self.peers.values_mut().for_each(|peer| peer.hang_up(io));
    }
}

impl<C: Conversation> Peer<C> {
    fn new(name: &C::Name, settings: &C::Settings) -> Self {
        let (conversation, terms) = C::new(name, settings);
        Self {
            name: name.clone(),
            conversation,
            terms,
            outbound: None,
            probe: None,
        }
    }

    /// Asks over the open connection, or dials.
    fn begin(&mut self, io: &mut Io) {
        let open = match &mut self.outbound {
            Some(Outbound::Open(open)) => Some(open),
            _ => None,
        };
        if self.conversation.begin(open) {
            self.go_on(io);
        } else {
            self.take(Step::Redial(Redial::FirstHost), io);
        }
    }

    /// Goes on with whatever it is at.
    fn go_on(&mut self, io: &mut Io) {
        let Some(outbound) = self.outbound.take() else {
            return;
        };
        let step = match outbound.go_on(&self.terms, io) {
            Ok(Outbound::Open(mut open)) => {
                let step = self.conversation.go_on(&mut open, self.probe.as_mut(), io);
                self.outbound = Some(Outbound::Open(open));
                step
            }
            Ok(not_yet) => {
                self.outbound = Some(not_yet);
                Step::Wait
            }
            Err(failure) => Step::Failed(failure),
        };
        self.take(step, io);
    }

    /// The one place where an outcome is acted on: another connection, or an event.
    fn take(&mut self, step: Step<C::Report>, io: &mut Io) {
        let dialled = match step {
            Step::Wait => return,
            Step::Answer {
                outcome,
                keep_connection,
            } => {
                if !keep_connection {
                    self.drop_connection(io);
                }
                return self.answer(outcome, io);
            }
            Step::Failed(failure) => Err(failure),
            Step::Redial(redial) => self.redial(redial, io),
        };
        match dialled {
            Ok(outbound) => self.outbound = Some(outbound),
            Err(failure) => {
                let outcome = self.conversation.give_up(failure);
                self.drop_connection(io);
                self.answer(outcome, io);
            }
        }
    }

    fn redial(&mut self, redial: Redial, io: &mut Io) -> Result<Outbound, ProbeFailure> {
        let probe = self.probe.as_ref();
        let deadline = probe.map_or(io.now.mono, |probe| probe.deadline);
        match (redial, self.outbound.take()) {
            (Redial::SameServer, Some(Outbound::Open(open))) => open.again(&self.terms, io),
            (Redial::NextHost(failure), Some(Outbound::Open(open))) if deadline > io.now.mono => {
                self.conversation.reset();
                open.next_host(failure, deadline, &self.terms, io)
            }
            (Redial::NextHost(failure), outbound) => {
                self.outbound = outbound;
                Err(failure)
            }
            (Redial::SameServer | Redial::FirstHost, outbound) => {
                self.outbound = outbound;
                self.drop_connection(io);
                Outbound::dial(self.conversation.dial(deadline), &self.terms, io)
            }
        }
    }

    fn answer(&mut self, outcome: Result<C::Report, ProbeFailure>, io: &mut Io) {
        let probe = self.probe.take().map(|probe| probe.id);
        io.events
            .extend(C::event(self.name.clone(), probe, outcome));
    }

    fn step(&self) -> ProbeStep {
        match &self.outbound {
            Some(Outbound::Awaiting { .. }) => ProbeStep::Resolving,
            Some(Outbound::Open(_)) => self.conversation.step(),
            Some(Outbound::Trying(_)) | None => ProbeStep::Connecting,
        }
    }

    /// When the peer has failed if it has not answered, or has not let us in.
    fn answer_deadline(&self) -> Option<Monotonic> {
        let connection = match &self.outbound {
            Some(Outbound::Open(open)) => self.conversation.deadline(open),
            _ => None,
        };
        let probe = self.probe.as_ref().map(|probe| probe.deadline);
        probe.into_iter().chain(connection).min()
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        let outbound = self.outbound.as_ref().and_then(Outbound::next_deadline);
        outbound.into_iter().chain(self.answer_deadline()).min()
    }

    fn drop_connection(&mut self, io: &mut Io) {
        self.conversation.reset();
        if let Some(outbound) = self.outbound.take() {
            outbound.close(&mut io.registry);
        }
    }

    fn hang_up(&mut self, io: &mut Io) {
        if let Some(Outbound::Open(open)) = &mut self.outbound {
            self.conversation.hang_up(open);
        }
        self.drop_connection(io);
    }
}
