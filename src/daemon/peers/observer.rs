//! The conversation with an observer: one HTTP request for its state after the other.

use bytes::BytesMut;

use super::outbound::{Connection, Dial, Outbound, unreachable};
use super::{Conversation, NextAction, Probe, Redial, tls_negotiation};
use crate::cluster::{ObserverReport, ProbeFailure, ProbeStep};
use crate::config::{Config, HostAddress, ObserverName, ObserverUrl};
use crate::daemon::io::Io;
use crate::daemon::registry::Owner;
use crate::daemon::tls_settings;
use crate::format::read_state_json;
use crate::http::{self, Response, ResponseReader};
use crate::lookout::{Event, ProbeId};
use crate::net::Next;
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;

pub(in crate::daemon) struct ObserverConversation {
    url: ObserverUrl,
    exchange: Exchange,
}

/// One request and its answer.
#[derive(Default)]
pub(super) struct Exchange {
    /// Of the answer; `None` until the request is sent.
    reader: Option<ResponseReader>,
    /// The connection is an old one: if it ends before an answer begins, the peer has just closed
    /// it because it was idle, and the request may be sent again over a new one.
    may_redial: bool,
}

impl Conversation for ObserverConversation {
    type Name = ObserverName;
    type Settings = ObserverUrl;
    type Report = ObserverReport;
    type Request = ();

    fn configured<'a>(config: &'a Config, name: &ObserverName) -> Option<&'a ObserverUrl> {
        config.observers.get(name)
    }

    fn new(name: &ObserverName, url: &ObserverUrl) -> (Self, Outbound) {
        let outbound = closed(Owner::Observer(name.clone()), INPUT_BYTES);
        let conversation = Self {
            url: url.clone(),
            exchange: Exchange::default(),
        };
        (conversation, outbound)
    }

    fn settings(&self) -> &ObserverUrl {
        &self.url
    }

    fn event(
        &mut self,
        observer: ObserverName,
        probe: Option<ProbeId>,
        outcome: Result<ObserverReport, ProbeFailure>,
    ) -> Option<Event> {
        probe.map(|probe| Event::ObserverProbed {
            observer,
            probe: Some(probe),
            outcome,
        })
    }

    fn dial(&self, deadline: Monotonic) -> Dial {
        dial(&self.url, deadline)
    }

    fn begin(
        &mut self,
        (): (),
        _probe: &Probe,
        open: Option<&mut Connection>,
        _now: Monotonic,
    ) -> bool {
        self.exchange.begin(open.is_some());
        open.is_some()
    }

    fn go_on(
        &mut self,
        open: &mut Connection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> NextAction<ObserverReport> {
        if probe.is_none() {
            return idle(open, "the observer closed an idle connection");
        }
        let url = &self.url;
        let port = url.uncommon_port();
        let write = |output: &mut _| http::write_request(&url.host, port, &url.path, output);
        match self.exchange.converse(url, open, io, write) {
            Ok(None) => NextAction::Wait,
            Ok(Some(response)) => NextAction::Answer {
                outcome: read(&response),
                keep_connection: response.keep_alive,
            },
            Err(_) if self.exchange.take_redial() => NextAction::Redial(Redial::FirstHost),
            Err(failure) => NextAction::Failed(failure),
        }
    }

    fn step(&self) -> ProbeStep {
        ProbeStep::Answering
    }

    fn reset(&mut self) {
        self.exchange.begin(false);
    }
}

/// A connection for HTTP.
pub(super) fn closed(owner: Owner, input_limit: usize) -> Outbound {
    let keepalive = KeepAlive {
        enabled: true,
        ..KeepAlive::default()
    };
    Outbound::closed(owner, input_limit, keepalive)
}

impl Exchange {
    /// `is_old`: over a connection that was idle.
    pub(super) fn begin(&mut self, is_old: bool) {
        (self.reader, self.may_redial) = (None, is_old);
    }

    /// May the request be sent again over a new connection. Returned once.
    pub(super) fn take_redial(&mut self) -> bool {
        std::mem::take(&mut self.may_redial)
    }

    /// The answer, once it is complete. The request is written when the connection is ready for it.
    pub(super) fn converse(
        &mut self,
        url: &ObserverUrl,
        open: &mut Connection,
        io: &mut Io,
        write: impl FnOnce(&mut BytesMut),
    ) -> Result<Option<Response>, ProbeFailure> {
        if self.reader.is_none() {
            if url.encrypted && !encrypted(url, open, io)? {
                return Ok(None);
            }
            write(&mut open.link.output);
        }
        self.receive(open, io)
    }

    fn receive(
        &mut self,
        open: &mut Connection,
        io: &mut Io,
    ) -> Result<Option<Response>, ProbeFailure> {
        let reader = self.reader.get_or_insert_default();
        let Connection { link, token, .. } = open;
        loop {
            let pumped = link.pump();
            self.may_redial &= pumped.read == 0;
            let before = link.input.len();
            if let Some(response) = reader.receive(&mut link.input)? {
                link.tidy();
                return Ok(Some(response));
            }
            let is_consumed = link.input.len() < before;
            match pumped.next {
                Next::Failed(error) => return Err(tls_negotiation::failure_of(&error)),
                Next::Ended => return std::mem::take(reader).finish_at_eof().map(Some),
                Next::Full if is_consumed => {}
                Next::Full => {
                    let reason = format!("more than {INPUT_BYTES} bytes that cannot be parsed");
                    return Err(ProbeFailure::ProtocolError { reason });
                }
                Next::Again => {
                    io.registry.again(*token);
                    break;
                }
                Next::Wait => break,
            }
        }
        link.tidy();
        Ok(None)
    }
}

/// Where a daemon answers.
pub(super) fn dial(url: &ObserverUrl, deadline: Monotonic) -> Dial {
    let host = &url.host;
    let address = host
        .parse()
        .map_or_else(|_| HostAddress::Name(host.clone()), HostAddress::Ip);
    Dial::new([(address, url.port)], None, deadline)
}

/// Without a request. A connection that is closed or brings data is of no use.
pub(super) fn idle<Report>(open: &mut Connection, closed: &str) -> NextAction<Report> {
    let pumped = open.link.pump();
    if pumped.read == 0 && matches!(pumped.next, Next::Wait) {
        return NextAction::Wait;
    }
    NextAction::Failed(unreachable(closed))
}

fn read(response: &Response) -> Result<ObserverReport, ProbeFailure> {
    read_state_json(&response.body, response.date)
        .map_err(|reason| ProbeFailure::ProtocolError { reason })
}

/// Continues the handshake. True: it is complete.
fn encrypted(url: &ObserverUrl, open: &mut Connection, io: &mut Io) -> Result<bool, ProbeFailure> {
    if open.link.tls().is_none() {
        let settings = tls_settings::for_observer(&url.host, io);
        if !tls_negotiation::start_handshake(open, settings)? {
            return Ok(false);
        }
    }
    tls_negotiation::continue_handshake(open, io)
}

/// Of an answer that waits to be parsed.
const INPUT_BYTES: usize = 64 << 10;
