//! The conversation with an observer: one HTTP request for its state after the other.

use std::collections::BTreeMap;

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
    /// Of the answer; `None` until the request is sent.
    reader: Option<ResponseReader>,
    /// The connection is an old one: if it ends before an answer begins, the observer has just closed
    /// it because it was idle, and the request may be sent again over a new one.
    may_redial: bool,
}

impl Conversation for ObserverConversation {
    type Name = ObserverName;
    type Settings = ObserverUrl;
    type Report = ObserverReport;
    type Request = ();

    fn configured(config: &Config) -> &BTreeMap<ObserverName, ObserverUrl> {
        &config.observers
    }

    fn new(name: &ObserverName, url: &ObserverUrl) -> (Self, Outbound) {
        let keepalive = KeepAlive {
            enabled: true,
            ..KeepAlive::default()
        };
        let outbound = Outbound::closed(Owner::Observer(name.clone()), INPUT_BYTES, keepalive);
        let conversation = Self {
            url: url.clone(),
            reader: None,
            may_redial: false,
        };
        (conversation, outbound)
    }

    fn settings(&self) -> &ObserverUrl {
        &self.url
    }

    fn event(
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
        let host = &self.url.host;
        let address = host
            .parse()
            .map_or_else(|_| HostAddress::Name(host.clone()), HostAddress::Ip);
        Dial::new([(address, self.url.port)], None, deadline)
    }

    fn begin(
        &mut self,
        (): (),
        _probe: &Probe,
        open: Option<&mut Connection>,
        _now: Monotonic,
    ) -> bool {
        self.reader = None;
        self.may_redial = open.is_some();
        self.may_redial
    }

    fn go_on(
        &mut self,
        open: &mut Connection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> NextAction<ObserverReport> {
        if probe.is_none() {
            return idle(open);
        }
        match self.converse(open, io) {
            Ok(None) => NextAction::Wait,
            Ok(Some(response)) => NextAction::Answer {
                outcome: read(&response),
                keep_connection: response.keep_alive,
            },
            Err(_) if self.may_redial => {
                self.may_redial = false;
                NextAction::Redial(Redial::FirstHost)
            }
            Err(failure) => NextAction::Failed(failure),
        }
    }

    fn step(&self) -> ProbeStep {
        ProbeStep::Answering
    }

    fn reset(&mut self) {
        self.reader = None;
    }
}

impl ObserverConversation {
    fn converse(
        &mut self,
        open: &mut Connection,
        io: &mut Io,
    ) -> Result<Option<Response>, ProbeFailure> {
        if self.reader.is_none() {
            if self.url.encrypted && !encrypted(&self.url, open, io)? {
                return Ok(None);
            }
            let port = self.url.uncommon_port();
            http::write_request(&self.url.host, port, &self.url.path, &mut open.link.output);
        }
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

/// Without a request. A connection that is closed or brings data is of no use.
fn idle(open: &mut Connection) -> NextAction<ObserverReport> {
    let pumped = open.link.pump();
    if pumped.read == 0 && matches!(pumped.next, Next::Wait) {
        return NextAction::Wait;
    }
    NextAction::Failed(unreachable("the observer closed an idle connection"))
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
