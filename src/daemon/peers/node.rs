//! The conversation with a database node: agreeing on TLS, logging in, then poll after poll.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::outbound::{Connection, Dial, Outbound, unreachable};
use super::passwords::Passwords;
use super::tls_negotiation::{self, TlsNegotiation};
use super::{Conversation, NextAction, Probe, Redial};
use crate::cluster::{NodeReport, ProbeFailure, ProbeStep, RoleReport};
use crate::config::{Config, ConnInfo, NodeName, WantedRole};
use crate::daemon::io::Io;
use crate::daemon::registry::Owner;
use crate::lookout::{Event, LogOnce, ProbeId};
use crate::net::Next;
use crate::pg::{Ask, Progress, Session, Topic};
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;

pub(in crate::daemon) struct NodeConversation {
    name: NodeName,
    /// Shared with the configuration.
    info: Arc<ConnInfo>,
    passwords: Passwords,
    negotiation: TlsNegotiation,
    session: Option<Session>,
    /// What our sessions are to be called.
    session_name: Arc<str>,
    /// When the last poll began.
    began: Option<Monotonic>,
    omitted: Option<Omitted>,
    /// The report of a host of another role than the wanted one, while further hosts are tried.
    second_best: Option<Box<NodeReport>>,
    warnings: Warnings,
}

impl Conversation for NodeConversation {
    type Name = NodeName;
    type Settings = Arc<ConnInfo>;
    type Report = NodeReport;
    /// The name of the session.
    type Request = Arc<str>;

    fn configured<'a>(config: &'a Config, node: &NodeName) -> Option<&'a Arc<ConnInfo>> {
        config.nodes.get(node)
    }

    fn new(name: &NodeName, info: &Arc<ConnInfo>) -> (Self, Outbound) {
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
            info: Arc::clone(info),
            passwords: Passwords::new(info),
            negotiation: TlsNegotiation::new(),
            session: None,
            session_name: Arc::from(""),
            began: None,
            omitted: None,
            second_best: None,
            warnings: Warnings::default(),
        };
        (conversation, outbound)
    }

    fn settings(&self) -> &Arc<ConnInfo> {
        &self.info
    }

    fn event(
        &mut self,
        node: NodeName,
        probe: Option<ProbeId>,
        outcome: Result<NodeReport, ProbeFailure>,
    ) -> Option<Event> {
        if probe.is_some() {
            return Some(Event::NodeProbed {
                node,
                probe,
                outcome,
            });
        }
        let failure = outcome.err()?;
        Some(Event::NodeLost { node, failure })
    }

    fn dial(&self, deadline: Monotonic) -> Dial {
        let hosts = self.info.hosts.iter();
        let addresses = hosts.map(|host| (host.address.clone(), host.port));
        Dial::new(addresses, self.info.connect_timeout, deadline)
    }

    fn begin(
        &mut self,
        session_name: Arc<str>,
        probe: &Probe,
        open: Option<&mut Connection>,
        now: Monotonic,
    ) -> bool {
        self.second_best = None;
        self.session_name = session_name;
        let ask = self.how_to_ask(probe, now);
        self.began = Some(now);
        let (Some(open), Some(session)) = (open, &mut self.session) else {
            return false;
        };
        session.ask(ask, &mut open.link.output);
        true
    }

    /// Of several hosts the first that accepts the login, and of those the first of the wanted role.
    fn go_on(
        &mut self,
        open: &mut Connection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> NextAction<NodeReport> {
        match self.converse(open, probe, io) {
            Ok(None) => NextAction::Wait,
            Ok(Some(report)) => {
                self.omitted.take_if(|omitted| omitted.until <= io.now.mono);
                // The server may have ended the session right after its answer.
                let keep_connection = self.session.as_ref().is_some_and(Session::is_idle);
                self.answer(report, keep_connection)
            }
            Err(failure) => match self.unfinished(&failure, io.now.mono) {
                Some(report) => self.answer(report, false),
                None => self.try_other_encryption(open, failure, io.now.mono),
            },
        }
    }

    fn step(&self) -> ProbeStep {
        let session = self.session.as_ref();
        session.map_or(ProbeStep::LoggingIn, Session::step)
    }

    /// A connected host must accept the login within `connect_timeout`, or its share of the time.
    fn deadline(&self, open: &Connection) -> Option<Monotonic> {
        (!self.is_logged_in()).then_some(open.deadline)
    }

    /// A host that rejects the login ends the search, as with libpq; one that is down or starting up
    /// does not.
    fn fail(&mut self, failure: ProbeFailure, now: Monotonic) -> NextAction<NodeReport> {
        if let Some(report) = self.unfinished(&failure, now) {
            return self.answer(report, false);
        }
        let failure = match &self.session {
            Some(session) if matches!(failure, ProbeFailure::TimedOut { .. }) => {
                session.timed_out(failure)
            }
            _ => failure,
        };
        let failure = self.negotiation.attribute_timeout(failure);
        if self.is_logged_in() || !is_outage(&failure) {
            NextAction::Failed(failure)
        } else {
            NextAction::Redial(Redial::NextHost(failure))
        }
    }

    /// The next poll searches again, so a host of the wanted role is found once there is one.
    fn give_up(&mut self, failure: ProbeFailure) -> Result<NodeReport, ProbeFailure> {
        self.second_best.take().map(|best| *best).ok_or(failure)
    }

    fn reset(&mut self) {
        (self.session, self.negotiation) = (None, TlsNegotiation::new());
        self.passwords.settled();
    }

    fn hang_up(&self, open: &mut Connection) {
        if let Some(session) = &self.session {
            session.terminate(&mut open.link.output);
            open.link.pump();
        }
    }
}

impl NodeConversation {
    /// With TLS if the failed attempt was plaintext, and the other way round, if `sslmode` allows.
    fn try_other_encryption(
        &mut self,
        open: &Connection,
        failure: ProbeFailure,
        now: Monotonic,
    ) -> NextAction<NodeReport> {
        let is_rejected = self.session.as_ref().is_some_and(Session::was_turned_away);
        let negotiation = &self.negotiation;
        let Some(second) = negotiation.second_attempt(open, &self.info, &failure, is_rejected)
        else {
            let failure = negotiation.with_first_failure(failure);
            return self.try_other_password(failure, now);
        };
        (self.session, self.negotiation) = (None, second);
        NextAction::Redial(Redial::SameServer)
    }

    /// While the password is being changed, one server may know the new one already, and another not
    /// yet.
    fn try_other_password(
        &mut self,
        failure: ProbeFailure,
        now: Monotonic,
    ) -> NextAction<NodeReport> {
        let is_rejected = matches!(failure, ProbeFailure::AuthenticationRejected { .. });
        if self.is_logged_in() || !is_rejected || !self.passwords.change() {
            return self.fail(failure, now);
        }
        (self.session, self.negotiation) = (None, TlsNegotiation::new());
        NextAction::Redial(Redial::SameServer)
    }

    fn answer(&mut self, report: NodeReport, keep_connection: bool) -> NextAction<NodeReport> {
        if !self.has_wanted_role(&report) {
            self.second_best.get_or_insert(Box::new(report));
            return NextAction::Redial(Redial::NextHost(ProbeFailure::Refused {
                message: "not of the role that target_session_attrs asks for".to_owned(),
            }));
        }
        // Kept, it would hide a later loss of the idle connection.
        self.second_best = None;
        NextAction::Answer {
            outcome: Ok(report),
            keep_connection,
        }
    }

    /// The report of a poll that was answered in part: the status, and not all of the rest. The
    /// session cannot be used any more, and its server process may hang in what it was asked. So
    /// the same is not asked again for a while, or such processes would pile up.
    fn unfinished(&mut self, failure: &ProbeFailure, now: Monotonic) -> Option<NodeReport> {
        let (report, topic) = self.session.as_mut()?.give_up(failure)?;
        let before = self.omitted.as_ref().map(|omitted| omitted.pause);
        let pause = before.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.omitted = Some(Omitted {
            from: topic,
            until: now + pause,
            pause,
        });
        let text = format!("poll answered in part: {failure}");
        if let Some(line) = self.warnings.line(&text, now) {
            log::warn!("node {}: {line}", self.name);
        }
        Some(report)
    }

    fn how_to_ask(&self, probe: &Probe, now: Monotonic) -> Ask {
        let omitted = self.omitted.as_ref();
        let omitted = omitted.filter(|omitted| now < omitted.until);
        Ask {
            session: Arc::clone(&self.session_name),
            timeout: probe.timeout,
            spacing: self.began.map_or(Duration::ZERO, |began| now.since(began)),
            below: omitted.map(|omitted| omitted.from),
        }
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
            let info = self.passwords.chosen(&self.info);
            self.session = Some(Session::start(info, open.host, transport, out));
        }
        let report = self.exchange(open, io)?;
        let is_idle = self.session.as_ref().is_some_and(Session::is_idle);
        let (Some(probe), true, None) = (probe, is_idle, &report) else {
            return Ok(report);
        };
        // Just logged in: the time for the query begins, once for all hosts.
        if self.second_best.is_none() {
            probe.deadline = io.now.mono + probe.timeout;
        }
        let ask = self.how_to_ask(probe, io.now.mono);
        if let Some(session) = &mut self.session {
            session.ask(ask, &mut open.link.output);
        }
        self.exchange(open, io)
    }

    /// Moves bytes and hands them to the session, until there is nothing to do without waiting.
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
            let before = link.input.len();
            loop {
                let progress = match session.receive(&mut link.input, &mut link.output) {
                    Ok(Some(progress)) => progress,
                    Ok(None) => break,
                    // What has been answered stays answered.
                    Err(_) if report.is_some() => return Ok(report),
                    Err(failure) => return Err(failure),
                };
                match progress {
                    Progress::LoggedIn => self.passwords.settled(),
                    Progress::Answered(answer) => report = Some(answer),
                    Progress::Warned(text) => {
                        if let Some(line) = self.warnings.line(&text, io.now.mono) {
                            log::warn!("node {}: {line}", self.name);
                        }
                    }
                }
            }
            let is_over = matches!(pumped.next, Next::Failed(_) | Next::Ended);
            if session.is_computing() && !is_over {
                session.compute(&mut link.output)?;
                if session.is_computing() {
                    // The others first.
                    io.registry.again(*token);
                    break;
                }
                continue;
            }
            let is_consumed = link.input.len() < before;
            match pumped.next {
                Next::Failed(error) if report.is_none() => return Err(lost(session, Some(&error))),
                Next::Ended if report.is_none() => return Err(lost(session, None)),
                Next::Failed(_) | Next::Ended => break,
                Next::Full if is_consumed => {}
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

/// The failure that the end of a connection means; an error that the server sent before comes first.
fn lost(session: &Session, error: Option<&std::io::Error>) -> ProbeFailure {
    use ProbeFailure::Unreachable;
    let cause = error.map(tls_negotiation::failure_of);
    match (session.connection_closed(), cause) {
        (Unreachable { reason }, Some(Unreachable { reason: cause })) => {
            unreachable(format_args!("{reason}: {cause}"))
        }
        (Unreachable { .. }, Some(failure)) => failure,
        (failure, _) => failure,
    }
}

/// The questions that are not asked for a while, since the session ended before they were answered.
#[derive(Debug)]
struct Omitted {
    from: Topic,
    until: Monotonic,
    pause: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Of a server's messages: more than the longest that the session accepts.
const INPUT_BYTES: usize = 2 << 20;
const WARNING_LIFETIME: Duration = Duration::from_secs(600);

/// What sessions warn of beside good answers, each logged when it begins and not while it lasts. The
/// key is the subject, the text before the first colon.
#[derive(Debug, Default)]
struct Warnings(BTreeMap<String, Warning>);

#[derive(Debug)]
struct Warning {
    log: LogOnce<()>,
    received_at: Monotonic,
}

impl Warnings {
    /// The line to be logged, if any. A warning that was not repeated for a while has ended.
    fn line(&mut self, text: &str, now: Monotonic) -> Option<String> {
        self.0
            .retain(|_, warning| now.since(warning.received_at) < WARNING_LIFETIME);
        let subject = text.split(": ").next().unwrap_or_default();
        let fresh = || Warning {
            log: LogOnce::default(),
            received_at: now,
        };
        let warning = self.0.entry(subject.to_owned()).or_insert_with(fresh);
        warning.received_at = now;
        warning.log.line((), text, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_logged_once_and_a_changed_text_once_a_minute() {
        let mut warnings = Warnings::default();
        for (second, text, expected) in [
            (0, "heartbeat: a", Some("heartbeat: a")),
            (0, "slots: a", Some("slots: a")),
            (5, "heartbeat: a", None),
            (10, "heartbeat: b", None),
            (15, "heartbeat: c: d", None),
            (60, "heartbeat: a", None),
            (
                60,
                "heartbeat: c: d",
                Some("heartbeat: c: d (2 similar messages suppressed)"),
            ),
            (120, "heartbeat: e", Some("heartbeat: e")),
            (599, "slots: a", None),
            (1198, "slots: a", None),
            (1798, "slots: a", Some("slots: a")),
        ] {
            let now = Monotonic::from_duration(Duration::from_secs(second));
            assert_eq!(
                warnings.line(text, now).as_deref(),
                expected,
                "{text} at {second}"
            );
        }
    }
}
