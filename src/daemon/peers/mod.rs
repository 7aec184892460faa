//! The prober: one connection to each peer, kept open, a probe whenever the core wants one, and an
//! answer to every probe. Who is late, what is dialled next and what becomes an event is written
//! once; what is said on the connection to a database node and to an observer are two
//! [`Conversation`]s.

mod conversation;
mod dial;
mod node;
mod observer;
mod outbound;
mod tls_negotiation;
mod warnings;

use std::collections::BTreeMap;

use conversation::{Conversation, Probe, Redial, Step};
pub(super) use node::NodeConversation;
pub(super) use observer::ObserverConversation;
use outbound::Outbound;

use super::io::Io;
use crate::cluster::ProbeFailure;
use crate::config::Config;
use crate::lookout::ProbeId;
use crate::time::Monotonic;

/// The connections to all peers of one kind.
pub(super) struct Peers<C: Conversation> {
    peers: BTreeMap<C::Name, Peer<C>>,
}

struct Peer<C: Conversation> {
    name: C::Name,
    conversation: C,
    outbound: Outbound,
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
        let peers = self.peers.values_mut();
        let waiting = peers.filter(|peer| peer.outbound.is_awaiting());
        waiting.for_each(|peer| peer.go_on(io));
    }

    /// Files of certificates were read: those who wait for them go on, the others find nothing to
    /// do.
    pub(super) fn files_read(&mut self, io: &mut Io) {
        let peers = self.peers.values_mut();
        let waiting = peers.filter(|peer| peer.probe.is_some() && peer.outbound.step().is_none());
        waiting.for_each(|peer| peer.go_on(io));
    }

    /// Whose time is up has failed, or tries the next address. Gives the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        let now = io.now.mono;
        let late = |at: Option<Monotonic>| at.is_some_and(|at| at <= now);
        for peer in self.peers.values_mut() {
            if late(peer.answer_deadline()) {
                let step = peer.outbound.step();
                let step = step.unwrap_or_else(|| peer.conversation.step());
                let step = peer.conversation.fail(ProbeFailure::TimedOut { step });
                peer.act_on(step, io);
            } else if late(peer.next_deadline()) {
                peer.go_on(io);
            }
        }
        let peers = self.peers.values_mut();
        peers.filter_map(Peer::next_deadline).min()
    }

    /// Says goodbye on every connection, as far as that goes without waiting.
    pub(super) fn hang_up(&mut self, io: &mut Io) {
        self.peers.values_mut().for_each(|peer| peer.hang_up(io));
    }
}

impl<C: Conversation> Peer<C> {
    fn new(name: &C::Name, settings: &C::Settings) -> Self {
        let (conversation, outbound) = C::new(name, settings);
        Self {
            name: name.clone(),
            conversation,
            outbound,
            probe: None,
        }
    }

    /// Asks over the open connection, or dials.
    fn begin(&mut self, io: &mut Io) {
        if self.conversation.begin(self.outbound.open()) {
            self.go_on(io);
        } else {
            self.act_on(Step::Redial(Redial::FirstHost), io);
        }
    }

    /// Goes on with whatever it is at.
    fn go_on(&mut self, io: &mut Io) {
        let step = match self.outbound.go_on(io) {
            Ok(Some(open)) => self.conversation.go_on(open, self.probe.as_mut(), io),
            Ok(None) => Step::Wait,
            Err(failure) => Step::Failed(failure),
        };
        self.act_on(step, io);
    }

    /// The one place where an outcome is acted on: another connection, or an event.
    fn act_on(&mut self, step: Step<C::Report>, io: &mut Io) {
        let dialled = match step {
            Step::Wait => return,
            Step::Answer {
                outcome,
                keep_connection,
            } => {
                if !keep_connection {
                    self.close(io);
                }
                return self.answer(outcome, io);
            }
            Step::Failed(failure) => Err(failure),
            Step::Redial(redial) => self.redial(redial, io),
        };
        if let Err(failure) = dialled {
            let outcome = self.conversation.give_up(failure);
            self.close(io);
            self.answer(outcome, io);
        }
    }

    fn redial(&mut self, redial: Redial, io: &mut Io) -> Result<(), ProbeFailure> {
        let probe = self.probe.as_ref();
        let deadline = probe.map_or(io.now.mono, |probe| probe.deadline);
        match redial {
            Redial::SameServer => self.outbound.again(io),
            Redial::NextHost(failure) if deadline <= io.now.mono => Err(failure),
            Redial::NextHost(failure) => {
                self.conversation.reset();
                self.outbound.next_host(failure, deadline, io)
            }
            Redial::FirstHost => {
                self.conversation.reset();
                self.outbound.dial(self.conversation.dial(deadline), io)
            }
        }
    }

    fn answer(&mut self, outcome: Result<C::Report, ProbeFailure>, io: &mut Io) {
        let probe = self.probe.take().map(|probe| probe.id);
        let event = C::event(self.name.clone(), probe, outcome);
        io.events.extend(event);
    }

    /// When the peer has failed if it has not answered, or has not let us in.
    fn answer_deadline(&mut self) -> Option<Monotonic> {
        let open = self.outbound.open();
        let connection = open.and_then(|open| self.conversation.deadline(open));
        let probe = self.probe.as_ref().map(|probe| probe.deadline);
        probe.into_iter().chain(connection).min()
    }

    fn next_deadline(&mut self) -> Option<Monotonic> {
        let outbound = self.outbound.next_deadline();
        outbound.into_iter().chain(self.answer_deadline()).min()
    }

    fn close(&mut self, io: &mut Io) {
        self.conversation.reset();
        self.outbound.close(io);
    }

    fn hang_up(&mut self, io: &mut Io) {
        if let Some(open) = self.outbound.open() {
            self.conversation.hang_up(open);
        }
        self.close(io);
    }
}
