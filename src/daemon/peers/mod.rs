//! Probes: one connection to each peer, kept open, and an outcome for every probe. Deadlines, the next
//! address and the events are the same for all peers; the protocols used with database nodes and
//! with observers are two [`Conversation`]s; the one with other voters is a third.

mod node;
mod observer;
mod outbound;
mod passwords;
mod tls_negotiation;
mod voter;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use node::NodeConversation;
pub(super) use observer::ObserverConversation;
use outbound::{Connection, Dial, Outbound};
pub(super) use voter::VoterConversation;

use super::io::Io;
use crate::cluster::{ProbeFailure, ProbeStep};
use crate::config::Config;
use crate::lookout::{Event, ProbeId};
use crate::time::Monotonic;

/// The connections to all peers of one kind.
pub(super) struct Peers<C: Conversation> {
    /// Boxed: a map has room for twice its entries, and these are large.
    peers: BTreeMap<C::Name, Box<Peer<C>>>,
    /// No deadline of any of them is before this. It may be too early, as deadlines are also lifted.
    earliest: Option<Monotonic>,
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
            earliest: None,
        }
    }
}

impl<C: Conversation> Peers<C> {
    /// A connection is kept as long as its own settings are the same.
    pub(super) fn adopt(&mut self, config: &Config, io: &mut Io) {
        self.peers.retain(|name, peer| {
            let is_kept = C::configured(config, name) == Some(peer.conversation.settings());
            if !is_kept {
                peer.hang_up(io);
            }
            is_kept
        });
    }

    /// The outcome is an event with this id, in this turn or a later one.
    pub(super) fn probe(
        &mut self,
        name: &C::Name,
        id: ProbeId,
        request: C::Request,
        config: &Config,
        io: &mut Io,
    ) {
        if let Some(settings) = C::configured(config, name) {
            self.probe_at(name, settings, (id, request), config, io);
        }
    }

    /// The same of a peer that need not be configured any more.
    pub(super) fn probe_at(
        &mut self,
        name: &C::Name,
        settings: &C::Settings,
        (id, request): (ProbeId, C::Request),
        config: &Config,
        io: &mut Io,
    ) {
        let peer = self
            .peers
            .entry(name.clone())
            .or_insert_with(|| Box::new(Peer::new(name, settings)));
        let timeout = C::timeout(config);
        let probe = Probe {
            id,
            deadline: io.now.mono + timeout,
            timeout,
        };
        peer.begin(request, probe, io);
        self.earliest = earlier(self.earliest, peer.next_deadline());
    }

    pub(super) fn ready(&mut self, name: &C::Name, io: &mut Io) {
        if let Some(peer) = self.peers.get_mut(name) {
            peer.go_on(io);
            self.earliest = earlier(self.earliest, peer.next_deadline());
        }
    }

    /// Names were looked up: peers that wait for one go on.
    pub(super) fn names_found(&mut self, io: &mut Io) {
        let peers = self.peers.values_mut();
        let waiting = peers.filter(|peer| peer.outbound.is_resolving());
        waiting.for_each(|peer| peer.go_on(io));
        self.find_earliest();
    }

    /// TLS files were read: peers that wait for them go on, the others find nothing to do.
    pub(super) fn files_read(&mut self, io: &mut Io) {
        let peers = self.peers.values_mut();
        let waiting = peers.filter(|peer| peer.probe.is_some() && peer.outbound.step().is_none());
        waiting.for_each(|peer| peer.go_on(io));
        self.find_earliest();
    }

    /// Peers whose time is over fail, or try the next address. Returns the next deadline, if that is
    /// before `others`, which the loop wakes up for anyway: there may be thousands of peers, and they
    /// are looked through only where it matters.
    pub(super) fn tick(&mut self, others: Option<Monotonic>, io: &mut Io) -> Option<Monotonic> {
        let now = io.now.mono;
        let late = |at: Option<Monotonic>| at.is_some_and(|at| at <= now);
        if late(self.earliest) {
            for peer in self.peers.values_mut() {
                if late(peer.answer_deadline()) {
                    let step = peer.outbound.step();
                    let step = step.unwrap_or_else(|| peer.conversation.step());
                    let action = peer.conversation.fail(ProbeFailure::TimedOut { step }, now);
                    peer.act_on(action, io);
                } else if late(peer.next_deadline()) {
                    peer.go_on(io);
                }
            }
            self.find_earliest();
        } else if earlier(others, self.earliest) != others {
            self.find_earliest();
        }
        self.earliest
    }

    fn find_earliest(&mut self) {
        let peers = self.peers.values_mut();
        self.earliest = peers.filter_map(|peer| peer.next_deadline()).min();
    }

    /// As far as that goes without waiting.
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

    /// Over the open connection, or a new one.
    fn begin(&mut self, request: C::Request, probe: Probe, io: &mut Io) {
        let probe = self.probe.insert(probe);
        let (open, now) = (self.outbound.open(), io.now.mono);
        if self.conversation.begin(request, probe, open, now) {
            let open = self.outbound.open();
            // Where the request is on its way, there is nothing more to do before an event.
            if !open.is_some_and(|open| !open.link.output.is_empty() && open.link.flush()) {
                self.go_on(io);
            }
        } else {
            self.act_on(NextAction::Redial(Redial::FirstHost), io);
        }
    }

    fn go_on(&mut self, io: &mut Io) {
        let action = match self.outbound.go_on(io) {
            Ok(Some(open)) => self.conversation.go_on(open, self.probe.as_mut(), io),
            Ok(None) => NextAction::Wait,
            Err(failure) => NextAction::Failed(failure),
        };
        self.act_on(action, io);
    }

    fn act_on(&mut self, action: NextAction<C::Report>, io: &mut Io) {
        let dialled = match action {
            NextAction::Wait => return,
            NextAction::Answer {
                outcome,
                keep_connection,
            } => {
                if !keep_connection {
                    self.close(io);
                }
                return self.answer(outcome, io);
            }
            NextAction::Failed(failure) => Err(failure),
            NextAction::Redial(redial) => self.redial(redial, io),
        };
        if let Err(failure) = dialled {
            self.outbound.look_names_up_anew(io);
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
        let event = self.conversation.event(self.name.clone(), probe, outcome);
        io.events.extend(event);
    }

    /// Until then the peer must have answered, and before that accepted the login.
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

fn earlier(one: Option<Monotonic>, other: Option<Monotonic>) -> Option<Monotonic> {
    one.into_iter().chain(other).min()
}

/// The protocol on the connection to one peer. It owns no connection.
pub(in crate::daemon) trait Conversation: Sized {
    type Name: Clone + Ord;
    /// How the peer is reached.
    type Settings: PartialEq;
    /// The result of a probe.
    type Report;
    /// What a probe is made with.
    type Request;

    fn configured<'a>(config: &'a Config, name: &Self::Name) -> Option<&'a Self::Settings>;
    /// For a probe.
    fn timeout(config: &Config) -> Duration {
        config.poll_timeout
    }
    fn new(name: &Self::Name, settings: &Self::Settings) -> (Self, Outbound);
    fn settings(&self) -> &Self::Settings;
    /// For the outcome of a probe, or for the end of an idle connection.
    fn event(
        &mut self,
        name: Self::Name,
        probe: Option<ProbeId>,
        outcome: Result<Self::Report, ProbeFailure>,
    ) -> Option<Event>;

    /// The addresses of the peer.
    fn dial(&self, deadline: Monotonic) -> Dial;
    /// A probe begins. False: it needs a new connection.
    fn begin(
        &mut self,
        request: Self::Request,
        probe: &Probe,
        open: Option<&mut Connection>,
        now: Monotonic,
    ) -> bool;
    /// Moves and interprets bytes, until there is nothing to do without waiting.
    fn go_on(
        &mut self,
        open: &mut Connection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> NextAction<Self::Report>;
    /// The step that an open connection waits for.
    fn step(&self) -> ProbeStep;
    /// Of this connection alone, beside the one of the probe.
    fn deadline(&self, _open: &Connection) -> Option<Monotonic> {
        None
    }
    /// After the connection has failed, or has timed out.
    fn fail(&mut self, failure: ProbeFailure, _now: Monotonic) -> NextAction<Self::Report> {
        NextAction::Failed(failure)
    }
    /// The outcome of a probe that has failed.
    fn give_up(&mut self, failure: ProbeFailure) -> Result<Self::Report, ProbeFailure> {
        Err(failure)
    }
    /// The connection is closed: the next one begins from the start.
    fn reset(&mut self);
    /// Queues the protocol's good-bye.
    fn hang_up(&self, _open: &mut Connection) {}
}

pub(in crate::daemon) enum NextAction<Report> {
    Wait,
    Answer {
        outcome: Result<Report, ProbeFailure>,
        keep_connection: bool,
    },
    Failed(ProbeFailure),
    Redial(Redial),
}

pub(in crate::daemon) enum Redial {
    /// Once more.
    SameServer,
    /// This host has failed.
    NextHost(ProbeFailure),
    FirstHost,
}

/// A probe in progress.
pub(in crate::daemon) struct Probe {
    id: ProbeId,
    /// When it has failed.
    deadline: Monotonic,
    /// For each of its two parts: to log in, and to get the answer.
    timeout: Duration,
}
