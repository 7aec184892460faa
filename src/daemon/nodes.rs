//! The prober of database nodes: one connection each, kept open; a poll for every wish of the core,
//! and an answer to every poll.

mod warnings;

use std::collections::BTreeMap;

use super::dial::{Dial, Place};
use super::io::Io;
use super::outbound::{OpenConnection, Outbound, Terms};
use super::registry::Owner;
use super::tls_negotiation::{self, TlsNegotiation};
use crate::cluster::{NodeReport, ProbeFailure, ProbeStep, RoleReport};
use crate::config::{AuthMethod, ChannelBinding, Config, ConnInfo, NodeName, WantedRole};
use crate::lookout::{Event, ProbeId};
use crate::net::Next;
use crate::pg::{Accepted, Binding, Login, Progress, Session};
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;
use warnings::Warnings;

/// The connections to all nodes.
#[derive(Default)]
pub(super) struct Nodes {
    lines: BTreeMap<NodeName, Line>,
}

/// The connection to one node.
struct Line {
    info: ConnInfo,
    terms: Terms,
    wire: Option<Outbound>,
    negotiation: TlsNegotiation,
    session: Option<Session>,
    poll: Option<Poll>,
    /// What a host told that has not the wanted role, while the others are asked.
    second_best: Option<NodeReport>,
    warnings: Warnings,
}

/// A poll that is under way.
struct Poll {
    id: ProbeId,
    /// When it has failed.
    deadline: Monotonic,
}

impl Nodes {
    /// Takes over a configuration: a connection is kept as long as its own settings are the same.
    pub(super) fn adopt(&mut self, config: &Config, io: &mut Io) {
        let (kept, left): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.lines)
            .into_iter()
            .partition(|(node, line)| config.nodes.get(node) == Some(&line.info));
        self.lines = kept;
        for line in left.into_values() {
            line.hang_up(io);
        }
    }

    /// Polls a node. What comes of it is an event with this id, in this turn or a later one.
    pub(super) fn probe(&mut self, node: &NodeName, probe: ProbeId, config: &Config, io: &mut Io) {
        let Some(info) = config.nodes.get(node) else {
            return;
        };
        let line = self
            .lines
            .entry(node.clone())
            .or_insert_with(|| Line::new(node, info));
        line.poll = Some(Poll {
            id: probe,
            deadline: io.now.mono + config.poll_timeout,
        });
        line.second_best = None;
        let outcome = line.begin(io);
        self.settle(node, outcome, io);
    }

    /// Readiness on a node's connection.
    pub(super) fn ready(&mut self, node: &NodeName, config: &Config, io: &mut Io) {
        let Some(line) = self.lines.get_mut(node) else {
            return;
        };
        let outcome = line.go_on(config, io);
        self.settle(node, outcome, io);
    }

    /// Names were found: those who wait for one go on.
    pub(super) fn names_found(&mut self, config: &Config, io: &mut Io) {
        let is_waiting = |line: &Line| matches!(line.wire, Some(Outbound::Awaiting { .. }));
        let waiting = self.lines.iter().filter(|(_, line)| is_waiting(line));
        for node in waiting.map(|(node, _)| node.clone()).collect::<Vec<_>>() {
            self.ready(&node, config, io);
        }
    }

    /// Whose time is up has failed, or tries the next address.
    pub(super) fn expire(&mut self, config: &Config, io: &mut Io) {
        let due = |line: &Line| {
            line.next_deadline()
                .is_some_and(|deadline| deadline <= io.now.mono)
        };
        let late = self
            .lines
            .iter()
            .filter(|(_, line)| due(line))
            .map(|(node, _)| node.clone())
            .collect::<Vec<_>>();
        for node in late {
            let Some(line) = self.lines.get_mut(&node) else {
                continue;
            };
            let outcome = match line.overdue(io.now.mono) {
                Some(step) => Err(ProbeFailure::TimedOut { step }),
                None => line.go_on(config, io),
            };
            self.settle(&node, outcome, io);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.lines.values().filter_map(Line::next_deadline).min()
    }

    /// Says goodbye on every connection, as far as that goes without waiting.
    pub(super) fn hang_up(&mut self, io: &mut Io) {
        for line in std::mem::take(&mut self.lines).into_values() {
            line.hang_up(io);
        }
    }

    /// Turns what a line came to into an event.
    fn settle(
        &mut self,
        node: &NodeName,
        outcome: Result<Option<NodeReport>, ProbeFailure>,
        io: &mut Io,
    ) {
        let Some(line) = self.lines.get_mut(node) else {
            return;
        };
        match line.choose(outcome, io) {
            Ok(None) => {}
            Ok(Some(report)) => {
                if let Some(poll) = line.poll.take() {
                    io.events.push(Event::NodeProbed {
                        node: node.clone(),
                        probe: poll.id,
                        outcome: Ok(report),
                    });
                }
            }
            Err(failure) => {
                line.drop_connection(io);
                let node = node.clone();
                io.events.push(match line.poll.take() {
                    Some(poll) => Event::NodeProbed {
                        node,
                        probe: poll.id,
                        outcome: Err(failure),
                    },
                    None => Event::NodeLost { node, failure },
                });
            }
        }
    }
}

impl Line {
    fn new(node: &NodeName, info: &ConnInfo) -> Self {
        let keepalive = KeepAlive {
            enabled: info.keepalives.is_some(),
            idle: info
                .keepalives
                .as_ref()
                .and_then(|keepalives| keepalives.idle),
            interval: info
                .keepalives
                .as_ref()
                .and_then(|keepalives| keepalives.interval),
            count: info
                .keepalives
                .as_ref()
                .and_then(|keepalives| keepalives.count),
            user_timeout: info.tcp_user_timeout,
        };
        let terms = Terms {
            owner: Owner::Node(node.clone()),
            input_limit: INPUT_BYTES,
            keepalive,
        };
        Self {
            info: info.clone(),
            terms,
            wire: None,
            negotiation: TlsNegotiation::new(),
            session: None,
            poll: None,
            second_best: None,
            warnings: Warnings::default(),
        }
    }

    /// Asks over the open connection, or dials.
    fn begin(&mut self, io: &mut Io) -> Result<Option<NodeReport>, ProbeFailure> {
        if let (Some(Outbound::Open(wire)), Some(session)) = (&mut self.wire, &mut self.session) {
            session.ask(&mut wire.link.output);
            return self.converse(io);
        }
        self.drop_connection(io);
        let deadline = self.poll.as_ref().map_or(io.now.mono, |poll| poll.deadline);
        let places = self.info.hosts.iter().enumerate();
        let places = places
            .map(|(host, at)| Place {
                address: at.address.clone(),
                port: at.port,
                host,
            })
            .collect::<Vec<_>>();
        self.wire = Some(Outbound::dial(
            Dial::new(places, self.info.connect_timeout, deadline),
            &self.terms,
            io,
        )?);
        Ok(None)
    }

    /// Goes on with whatever it is at.
    fn go_on(&mut self, config: &Config, io: &mut Io) -> Result<Option<NodeReport>, ProbeFailure> {
        self.advance(config, io)
            .or_else(|failure| self.try_the_other_way(failure, io))
    }

    /// Encrypted if that was plaintext, and the other way round, where `sslmode` leaves it open.
    fn try_the_other_way(
        &mut self,
        failure: ProbeFailure,
        io: &mut Io,
    ) -> Result<Option<NodeReport>, ProbeFailure> {
        let was_turned_away = self.session.as_ref().is_some_and(Session::was_turned_away);
        let Some(Outbound::Open(wire)) = self.wire.take() else {
            return Err(failure);
        };
        let Some(second) = self
            .negotiation
            .other_way(&wire, &self.info, &failure, was_turned_away)
        else {
            self.wire = Some(Outbound::Open(wire));
            return Err(self.negotiation.explain(failure));
        };
        self.negotiation = second;
        self.session = None;
        self.wire = Some(wire.again(&self.terms, io)?);
        Ok(None)
    }

    /// Of several hosts the first that lets us in, and of those the first of the wanted role. One
    /// that refuses us ends the search, as with libpq; one that is down or starting up does not.
    fn choose(
        &mut self,
        outcome: Result<Option<NodeReport>, ProbeFailure>,
        io: &mut Io,
    ) -> Result<Option<NodeReport>, ProbeFailure> {
        let failure = match outcome {
            Ok(Some(report)) if !self.has_wanted_role(&report) => {
                self.second_best.get_or_insert(report);
                ProbeFailure::Refused {
                    message: "not of the role that target_session_attrs asks for".to_owned(),
                }
            }
            Err(failure) if self.is_logged_in() || !is_outage(&failure) => {
                return self.settle_for_second_best(failure, io);
            }
            Err(failure) => failure,
            other => return other,
        };
        let deadline = self.poll.as_ref().map_or(io.now.mono, |poll| poll.deadline);
        let Some(Outbound::Open(wire)) = self.wire.take().filter(|_| deadline > io.now.mono) else {
            return self.settle_for_second_best(failure, io);
        };
        (self.session, self.negotiation) = (None, TlsNegotiation::new());
        match wire.next_host(failure, deadline, &self.terms, io) {
            Ok(wire) => {
                self.wire = Some(wire);
                Ok(None)
            }
            Err(failure) => self.settle_for_second_best(failure, io),
        }
    }

    /// The search is over. The next poll begins another, so a host of the wanted role is found once
    /// there is one.
    fn settle_for_second_best(
        &mut self,
        failure: ProbeFailure,
        io: &mut Io,
    ) -> Result<Option<NodeReport>, ProbeFailure> {
        let report = self.second_best.take().ok_or(failure)?;
        self.drop_connection(io);
        Ok(Some(report))
    }

    fn has_wanted_role(&self, report: &NodeReport) -> bool {
        match self.info.wanted_role {
            Some(role) if self.info.hosts.len() > 1 => {
                (role == WantedRole::Primary) == matches!(report.role, RoleReport::Primary { .. })
            }
            _ => true,
        }
    }

    fn is_logged_in(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_logged_in)
    }

    fn advance(
        &mut self,
        config: &Config,
        io: &mut Io,
    ) -> Result<Option<NodeReport>, ProbeFailure> {
        let Some(wire) = self.wire.take() else {
            return Ok(None);
        };
        self.wire = Some(wire.go_on(&self.terms, io)?);
        let Some(Outbound::Open(wire)) = &mut self.wire else {
            return Ok(None);
        };
        if self.session.is_none() {
            if !self.negotiation.go_on(wire, &self.info, INPUT_BYTES, io)? {
                return Ok(None);
            }
            let login = login(&self.info, wire);
            self.session = Some(Session::start(login, &mut wire.link.output));
        }
        let report = self.converse(io)?;
        // The time for the query begins when we are logged in.
        if let (Some(poll), Some(true)) =
            (&mut self.poll, self.session.as_ref().map(Session::is_idle))
        {
            if report.is_none() {
                // Once, however many hosts there are.
                if self.second_best.is_none() {
                    poll.deadline = io.now.mono + config.poll_timeout;
                }
                return self.begin(io);
            }
        }
        Ok(report)
    }

    /// Moves bytes and listens to what they say, until there is nothing to do without waiting.
    fn converse(&mut self, io: &mut Io) -> Result<Option<NodeReport>, ProbeFailure> {
        let (Some(Outbound::Open(wire)), Some(session)) = (&mut self.wire, &mut self.session)
        else {
            return Ok(None);
        };
        let OpenConnection { link, token, .. } = wire;
        let mut report = None;
        loop {
            let pumped = link.pump();
            let waiting = link.input.len();
            while let Some(progress) = session.receive(&mut link.input, &mut link.output)? {
                match progress {
                    Progress::LoggedIn => {}
                    Progress::Answered(answer) => report = Some(answer),
                    Progress::Warned(text) => {
                        let news = self.warnings.hear(&text, io.now.mono);
                        news.iter()
                            .for_each(|news| log::warn!("{}: {news}", self.terms.owner));
                    }
                }
            }
            let took_some = link.input.len() < waiting;
            match pumped.next {
                Next::Failed(error) if report.is_none() => return Err(lost(session, Some(&error))),
                Next::Ended if report.is_none() => return Err(lost(session, None)),
                Next::Failed(_) | Next::Ended => break,
                Next::Full if took_some => {}
                Next::Full => {
                    return Err(ProbeFailure::Nonsense {
                        reason: format!("a message over {INPUT_BYTES} bytes"),
                    });
                }
                Next::Again => {
                    io.registry.again(*token);
                    break;
                }
                Next::Wait if link.output.is_empty() || pumped.written == 0 && pumped.read == 0 => {
                    break;
                }
                Next::Wait => {}
            }
        }
        link.tidy();
        Ok(report)
    }

    /// The step whose time is up, if its time is up.
    fn overdue(&self, now: Monotonic) -> Option<ProbeStep> {
        let is_late =
            |deadline: Option<Monotonic>| deadline.is_some_and(|deadline| deadline <= now);
        if !is_late(self.poll.as_ref().map(|poll| poll.deadline)) && !is_late(self.login_deadline())
        {
            return None;
        }
        Some(match (&self.wire, &self.session) {
            (Some(Outbound::Awaiting { .. }), _) => ProbeStep::Resolving,
            (Some(Outbound::Open(_)), Some(session)) => session.step(),
            (Some(Outbound::Open(_)), None) => ProbeStep::LoggingIn,
            _ => ProbeStep::Connecting,
        })
    }

    /// When the host that has been reached must have let us in: `connect_timeout`, or its share of
    /// the time.
    fn login_deadline(&self) -> Option<Monotonic> {
        match &self.wire {
            Some(Outbound::Open(wire)) if !self.is_logged_in() => Some(wire.until),
            _ => None,
        }
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        let poll = self.poll.as_ref().map(|poll| poll.deadline);
        let wire = self.wire.as_ref().and_then(Outbound::next_deadline);
        poll.into_iter()
            .chain(wire)
            .chain(self.login_deadline())
            .min()
    }

    fn drop_connection(&mut self, io: &mut Io) {
        self.session = None;
        self.negotiation = TlsNegotiation::new();
        if let Some(wire) = self.wire.take() {
            wire.close(&mut io.registry);
        }
    }

    fn hang_up(mut self, io: &mut Io) {
        if let (Some(Outbound::Open(wire)), Some(session)) = (&mut self.wire, &self.session) {
            session.terminate(&mut wire.link.output);
            wire.link.pump();
        }
        self.drop_connection(io);
    }
}

fn is_outage(failure: &ProbeFailure) -> bool {
    use ProbeFailure::{NotReady, TimedOut, Unreachable};
    matches!(
        failure,
        Unreachable { .. } | TimedOut { .. } | NotReady { .. }
    )
}

fn login(info: &ConnInfo, wire: &OpenConnection) -> Login {
    let password = info
        .hosts
        .get(wire.host)
        .and_then(|host| host.password.as_ref());
    Login {
        user: info.user.clone(),
        dbname: info.dbname.clone(),
        password: password.map(|password| password.reveal().into()),
        application_name: info.application_name.clone(),
        options: info.options.clone(),
        transport: tls_negotiation::transport(wire),
        binding: match info.channel_binding {
            ChannelBinding::Disable => Binding::Disable,
            ChannelBinding::Prefer => Binding::Prefer,
            ChannelBinding::Require => Binding::Require,
        },
        accepted: accepted(info),
    }
}

fn accepted(info: &ConnInfo) -> Accepted {
    let Some(methods) = info.require_auth else {
        return Accepted::default();
    };
    Accepted {
        nothing: methods.allows(AuthMethod::Nothing),
        cleartext: methods.allows(AuthMethod::Password),
        cleartext_in_the_open: methods.lists(AuthMethod::Password),
        md5: methods.allows(AuthMethod::Md5),
        scram: methods.allows(AuthMethod::Scram),
    }
}

/// What the end of a connection means: what the server said before, if it said something.
fn lost(session: &Session, error: Option<&std::io::Error>) -> ProbeFailure {
    match (
        session.connection_closed(),
        error.map(tls_negotiation::blame),
    ) {
        (
            ProbeFailure::Unreachable { reason },
            Some(ProbeFailure::Unreachable { reason: cause }),
        ) => ProbeFailure::Unreachable {
            reason: format!("{reason}: {cause}"),
        },
        (ProbeFailure::Unreachable { .. }, Some(failure)) => failure,
        (failure, _) => failure,
    }
}

/// Bytes of a server's messages that may wait: the longest message that the session takes, and
/// some.
const INPUT_BYTES: usize = 2 << 20;
