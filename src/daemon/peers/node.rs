//! What is said to a database node: agreeing on TLS, logging in, then poll after poll.

use std::collections::BTreeMap;

use super::conversation::{Conversation, Probe, Redial, Step};
use super::dial::Dial;
use super::outbound::{Connection, Outbound};
use super::tls_negotiation::{self, TlsNegotiation};
use super::warnings::Warnings;
use crate::cluster::{NodeReport, ProbeFailure, ProbeStep, RoleReport};
use crate::config::{Config, ConnInfo, NodeName, WantedRole};
use crate::daemon::io::Io;
use crate::daemon::registry::Owner;
use crate::lookout::{Event, ProbeId};
use crate::net::Next;
use crate::pg::{Progress, Session};
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;

/// The conversation with one node.
pub(in crate::daemon) struct NodeConversation {
    name: NodeName,
    info: ConnInfo,
    negotiation: TlsNegotiation,
    session: Option<Session>,
    /// The report of a host that has not the wanted role, while the others are asked.
    second_best: Option<NodeReport>,
    warnings: Warnings,
}

impl Conversation for NodeConversation {
    type Name = NodeName;
    type Settings = ConnInfo;
    type Report = NodeReport;

    fn configured(config: &Config) -> &BTreeMap<NodeName, ConnInfo> {
        &config.nodes
    }

    fn new(name: &NodeName, info: &ConnInfo) -> (Self, Outbound) {
        let known = info.keepalives.unwrap_or_default();
        let keepalive = KeepAlive {
            enabled: info.keepalives.is_some(),
            idle: known.idle,
            interval: known.interval,
            count: known.count,
            user_timeout: info.tcp_user_timeout,
        };
        let outbound = Outbound::closed(Owner::Node(name.clone()), INPUT_BYTES, keepalive);
        let conversation = Self {
            name: name.clone(),
            info: info.clone(),
            negotiation: TlsNegotiation::new(),
            session: None,
            second_best: None,
            warnings: Warnings::default(),
        };
        (conversation, outbound)
    }

    fn settings(&self) -> &ConnInfo {
        &self.info
    }

    fn event(
        node: NodeName,
        probe: Option<ProbeId>,
        outcome: Result<NodeReport, ProbeFailure>,
    ) -> Option<Event> {
        match (probe, outcome) {
            (Some(probe), outcome) => Some(Event::NodeProbed {
                node,
                probe: Some(probe),
                outcome,
            }),
            (None, Err(failure)) => Some(Event::NodeLost { node, failure }),
            (None, Ok(_)) => None,
        }
    }

    fn dial(&self, deadline: Monotonic) -> Dial {
        let hosts = self.info.hosts.iter();
        let places = hosts.map(|host| (host.address.clone(), host.port));
        Dial::new(places, self.info.connect_timeout, deadline)
    }

    fn begin(&mut self, open: Option<&mut Connection>) -> bool {
        self.second_best = None;
        let (Some(open), Some(session)) = (open, &mut self.session) else {
            return false;
        };
        session.ask(&mut open.link.output);
        true
    }

    /// Of several hosts the first that lets us in, and of those the first of the wanted role.
    fn go_on(
        &mut self,
        open: &mut Connection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> Step<NodeReport> {
        match self.converse(open, probe, io) {
            Ok(None) => Step::Wait,
            Ok(Some(report)) if self.has_wanted_role(&report) => {
                // Kept, it would stand in for this host when the idle connection is lost.
                self.second_best = None;
                Step::Answer {
                    outcome: Ok(report),
                    keep_connection: true,
                }
            }
            Ok(Some(report)) => {
                self.second_best.get_or_insert(report);
                Step::Redial(Redial::NextHost(ProbeFailure::Refused {
                    message: "not of the role that target_session_attrs asks for".to_owned(),
                }))
            }
            Err(failure) => self.try_the_other_way(open, failure),
        }
    }

    fn step(&self) -> ProbeStep {
        let session = self.session.as_ref();
        session.map_or(ProbeStep::LoggingIn, Session::step)
    }

    /// The host that has been reached must let us in within `connect_timeout`, or its share of the
    /// time.
    fn deadline(&self, open: &Connection) -> Option<Monotonic> {
        (!self.is_logged_in()).then_some(open.until)
    }

    /// A host that refuses us ends the search, as with libpq; one that is down or starting up does
    /// not.
    fn fail(&mut self, failure: ProbeFailure) -> Step<NodeReport> {
        let failure = self.negotiation.blame_files(failure);
        if self.is_logged_in() || !is_outage(&failure) {
            Step::Failed(failure)
        } else {
            Step::Redial(Redial::NextHost(failure))
        }
    }

    /// The next poll begins another search, so a host of the wanted role is found once there is
    /// one.
    fn give_up(&mut self, failure: ProbeFailure) -> Result<NodeReport, ProbeFailure> {
        self.second_best.take().ok_or(failure)
    }

    fn reset(&mut self) {
        (self.session, self.negotiation) = (None, TlsNegotiation::new());
    }

    fn hang_up(&self, open: &mut Connection) {
        if let Some(session) = &self.session {
            session.terminate(&mut open.link.output);
            open.link.pump();
        }
    }
}

impl NodeConversation {
    /// Encrypted if that was plaintext, and the other way round, where `sslmode` leaves it open.
    fn try_the_other_way(&mut self, open: &Connection, failure: ProbeFailure) -> Step<NodeReport> {
        let turned_away = self.session.as_ref().is_some_and(Session::was_turned_away);
        let negotiation = &self.negotiation;
        let Some(second) = negotiation.other_way(open, &self.info, &failure, turned_away) else {
            return self.fail(negotiation.explain(failure));
        };
        (self.session, self.negotiation) = (None, second);
        Step::Redial(Redial::SameServer)
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

    fn converse(
        &mut self,
        open: &mut Connection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> Result<Option<NodeReport>, ProbeFailure> {
        if self.session.is_none() {
            if !self.negotiation.go_on(open, &self.info, INPUT_BYTES, io)? {
                return Ok(None);
            }
            let transport = tls_negotiation::transport(open);
            let out = &mut open.link.output;
            self.session = Some(Session::start(&self.info, open.host, transport, out));
        }
        let report = self.exchange(open, io)?;
        let (Some(session), Some(probe), None) = (&mut self.session, probe, &report) else {
            return Ok(report);
        };
        if !session.is_idle() {
            return Ok(None);
        }
        // Just logged in. The time for the query begins now, once, however many hosts there are.
        if self.second_best.is_none() {
            probe.deadline = io.now.mono + probe.timeout;
        }
        session.ask(&mut open.link.output);
        self.exchange(open, io)
    }

    /// Moves bytes and listens to what they say, until there is nothing to do without waiting.
    fn exchange(
        &mut self,
        open: &mut Connection,
        io: &mut Io,
    ) -> Result<Option<NodeReport>, ProbeFailure> {
        let Some(session) = &mut self.session else {
            return Ok(None);
        };
        let Connection { link, token, .. } = open;
        let mut report = None;
        loop {
            let pumped = link.pump();
            let waiting = link.input.len();
            while let Some(progress) = session.receive(&mut link.input, &mut link.output)? {
                match progress {
                    Progress::LoggedIn => {}
                    Progress::Answered(answer) => report = Some(answer),
                    Progress::Warned(text) => {
                        let news = self.warnings.news(&text, io.now.mono);
                        news.iter()
                            .for_each(|news| log::warn!("node {}: {news}", self.name));
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
                    return Err(ProbeFailure::ProtocolError {
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
}

fn is_outage(failure: &ProbeFailure) -> bool {
    use ProbeFailure::{NotReady, TimedOut, Unreachable};
    matches!(
        failure,
        Unreachable { .. } | TimedOut { .. } | NotReady { .. }
    )
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
