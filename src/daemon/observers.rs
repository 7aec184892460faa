//! The client of other pglookouts: one connection each, kept open where the other side keeps it;
//! one fetch for every wish of the core.

use std::collections::BTreeMap;

use super::dial::{Dial, Place};
use super::io::Io;
use super::outbound::{OpenConnection, Outbound, Terms};
use super::registry::Owner;
use super::tls_negotiation;
use crate::cluster::{ObserverReport, ProbeFailure, ProbeStep};
use crate::compat;
use crate::config::{Config, HostAddress, ObserverName, ObserverUrl};
use crate::http::{self, Response, ResponseReader};
use crate::lookout::{Event, ProbeId};
use crate::net::Next;
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;

/// The connections to all observers.
#[derive(Default)]
pub(super) struct Observers {
    lines: BTreeMap<ObserverName, Line>,
}

/// The connection to one observer.
struct Line {
    url: ObserverUrl,
    terms: Terms,
    wire: Option<Outbound>,
    fetch: Option<Fetch>,
}

/// A fetch that is under way.
struct Fetch {
    id: ProbeId,
    /// When it has failed.
    deadline: Monotonic,
    /// The answer as far as it has come; `None` until the request is sent.
    reader: Option<ResponseReader>,
    /// The connection is an old one: if it ends before an answer begins, the other side has just
    /// closed it for idleness, and the request may be sent again over a new one.
    may_redial: bool,
}

impl Observers {
    /// Takes over a configuration: a connection is kept as long as its own URL is the same.
    pub(super) fn adopt(&mut self, config: &Config, io: &mut Io) {
        let (kept, left): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.lines)
            .into_iter()
            .partition(|(observer, line)| config.observers.get(observer) == Some(&line.url));
        self.lines = kept;
        for mut line in left.into_values() {
            line.drop_connection(io);
        }
    }

    /// Fetches an observer's state. What comes of it is an event with this id, in this turn or a
    /// later one.
    pub(super) fn probe(
        &mut self,
        observer: &ObserverName,
        probe: ProbeId,
        config: &Config,
        io: &mut Io,
    ) {
        let Some(url) = config.observers.get(observer) else {
            return;
        };
        let line = self
            .lines
            .entry(observer.clone())
            .or_insert_with(|| Line::new(observer, url));
        let may_redial = line.wire.is_some();
        let deadline = io.now.mono + config.poll_timeout;
        line.fetch = Some(Fetch {
            id: probe,
            deadline,
            reader: None,
            may_redial,
        });
        let outcome = if may_redial {
            line.go_on(io)
        } else {
            line.dial(io)
        };
        self.settle(observer, outcome, io);
    }

    /// Readiness on an observer's connection.
    pub(super) fn ready(&mut self, observer: &ObserverName, io: &mut Io) {
        let Some(line) = self.lines.get_mut(observer) else {
            return;
        };
        let outcome = line.go_on(io);
        self.settle(observer, outcome, io);
    }

    /// Names were found: those who wait for one go on.
    pub(super) fn names_found(&mut self, io: &mut Io) {
        let is_waiting = |line: &Line| matches!(line.wire, Some(Outbound::Awaiting { .. }));
        let waiting = self.lines.iter().filter(|(_, line)| is_waiting(line));
        for observer in waiting
            .map(|(observer, _)| observer.clone())
            .collect::<Vec<_>>()
        {
            self.ready(&observer, io);
        }
    }

    /// Whose time is up has failed, or tries the next address.
    pub(super) fn expire(&mut self, io: &mut Io) {
        let due = |line: &Line| {
            line.next_deadline()
                .is_some_and(|deadline| deadline <= io.now.mono)
        };
        let late = self
            .lines
            .iter()
            .filter(|(_, line)| due(line))
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>();
        for observer in late {
            let Some(line) = self.lines.get_mut(&observer) else {
                continue;
            };
            let outcome = match line.overdue(io.now.mono) {
                Some(step) => Err(ProbeFailure::TimedOut { step }),
                None => line.go_on(io),
            };
            self.settle(&observer, outcome, io);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.lines.values().filter_map(Line::next_deadline).min()
    }

    /// Turns what a line came to into an event.
    fn settle(
        &mut self,
        observer: &ObserverName,
        outcome: Result<Option<Response>, ProbeFailure>,
        io: &mut Io,
    ) {
        let Some(line) = self.lines.get_mut(observer) else {
            return;
        };
        let outcome = match outcome {
            Ok(None) => return,
            Ok(Some(response)) => {
                if !response.keep_alive {
                    line.drop_connection(io);
                }
                read(&response)
            }
            Err(failure) => {
                line.drop_connection(io);
                Err(failure)
            }
        };
        if let Some(fetch) = line.fetch.take() {
            io.events.push(Event::ObserverProbed {
                observer: observer.clone(),
                probe: fetch.id,
                outcome,
            });
        }
    }
}

fn read(response: &Response) -> Result<ObserverReport, ProbeFailure> {
    compat::observed::read(&response.body, response.date)
        .map_err(|reason| ProbeFailure::Nonsense { reason })
}

impl Line {
    fn new(observer: &ObserverName, url: &ObserverUrl) -> Self {
        let keepalive = KeepAlive {
            enabled: true,
            ..KeepAlive::default()
        };
        let terms = Terms {
            owner: Owner::Observer(observer.clone()),
            input_limit: INPUT_BYTES,
            keepalive,
        };
        Self {
            url: url.clone(),
            terms,
            wire: None,
            fetch: None,
        }
    }

    fn dial(&mut self, io: &mut Io) -> Result<Option<Response>, ProbeFailure> {
        self.drop_connection(io);
        let deadline = self
            .fetch
            .as_ref()
            .map_or(io.now.mono, |fetch| fetch.deadline);
        let address = match self.url.host.parse() {
            Ok(ip) => HostAddress::Ip(ip),
            Err(_) => HostAddress::Name(self.url.host.clone()),
        };
        let places = vec![Place {
            address,
            port: self.url.port,
            host: 0,
        }];
        self.wire = Some(Outbound::dial(
            Dial::new(places, None, deadline),
            &self.terms,
            io,
        )?);
        Ok(None)
    }

    /// Goes on with whatever it is at.
    fn go_on(&mut self, io: &mut Io) -> Result<Option<Response>, ProbeFailure> {
        let Some(wire) = self.wire.take() else {
            return Ok(None);
        };
        self.wire = Some(wire.go_on(&self.terms, io)?);
        let Some(Outbound::Open(wire)) = &mut self.wire else {
            return Ok(None);
        };
        let Some(fetch) = &mut self.fetch else {
            // Nothing is asked. If the other side closes, or talks out of turn, this connection is
            // of no use.
            let pumped = wire.link.pump();
            if pumped.read > 0 || !matches!(pumped.next, Next::Wait) {
                self.drop_connection(io);
            }
            return Ok(None);
        };
        if fetch.reader.is_none() {
            if self.url.encrypted && !encrypted(&self.url, wire, io)? {
                return Ok(None);
            }
            let port = self.url.uncommon_port();
            http::write_request(&self.url.host, port, &self.url.path, &mut wire.link.output);
            fetch.reader = Some(ResponseReader::new());
        }
        match fetch.converse(wire, io) {
            Err(Ending::BeforeAnswer) => {
                fetch.may_redial = false;
                fetch.reader = None;
                self.dial(io)
            }
            Err(Ending::Failed(failure)) => Err(failure),
            Ok(response) => Ok(response),
        }
    }

    fn overdue(&self, now: Monotonic) -> Option<ProbeStep> {
        self.fetch.as_ref().filter(|fetch| fetch.deadline <= now)?;
        Some(match &self.wire {
            Some(Outbound::Awaiting { .. }) => ProbeStep::Resolving,
            Some(Outbound::Open(_)) => ProbeStep::Answering,
            _ => ProbeStep::Connecting,
        })
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        let fetch = self.fetch.as_ref().map(|fetch| fetch.deadline);
        let wire = self.wire.as_ref().and_then(Outbound::next_deadline);
        fetch.into_iter().chain(wire).min()
    }

    fn drop_connection(&mut self, io: &mut Io) {
        if let Some(wire) = self.wire.take() {
            wire.close(&mut io.registry);
        }
    }
}

/// Brings the handshake on. True: it is over.
fn encrypted(
    url: &ObserverUrl,
    wire: &mut OpenConnection,
    io: &mut Io,
) -> Result<bool, ProbeFailure> {
    if wire.link.secured().is_none() {
        let terms = io.tls_files.for_observer(&url.host, io.now.wall);
        let begun = terms.and_then(|terms| tls_negotiation::secure(wire, terms));
        begun.map_err(|failure| tls_negotiation::explained(&failure))?;
    }
    tls_negotiation::shake(wire, io)
}

/// Why a conversation has ended without an answer.
enum Ending {
    /// An old connection had been closed before we asked.
    BeforeAnswer,
    Failed(ProbeFailure),
}

impl Fetch {
    /// Moves bytes until there is an answer or nothing to do without waiting.
    fn converse(
        &mut self,
        wire: &mut OpenConnection,
        io: &mut Io,
    ) -> Result<Option<Response>, Ending> {
        let OpenConnection { link, token, .. } = wire;
        let mut reader = self.reader.take().unwrap_or_default();
        let mut has_begun = false;
        loop {
            let pumped = link.pump();
            has_begun |= pumped.read > 0;
            let waiting = link.input.len();
            if let Some(response) = reader.receive(&mut link.input).map_err(Ending::Failed)? {
                link.tidy();
                return Ok(Some(response));
            }
            let took_some = link.input.len() < waiting;
            match pumped.next {
                Next::Failed(_) | Next::Ended if self.may_redial && !has_begun => {
                    return Err(Ending::BeforeAnswer);
                }
                Next::Failed(error) => return Err(Ending::Failed(tls_negotiation::blame(&error))),
                Next::Ended => return reader.finish_at_eof().map(Some).map_err(Ending::Failed),
                Next::Full if took_some => {}
                Next::Full => {
                    let reason = format!("more than {INPUT_BYTES} bytes that make no sense");
                    return Err(Ending::Failed(ProbeFailure::Nonsense { reason }));
                }
                Next::Again => {
                    io.registry.again(*token);
                    break;
                }
                Next::Wait => break,
            }
        }
        self.may_redial &= !has_begun;
        self.reader = Some(reader);
        link.tidy();
        Ok(None)
    }
}

/// Bytes of an answer that may wait before they are taken.
const INPUT_BYTES: usize = 64 << 10;
