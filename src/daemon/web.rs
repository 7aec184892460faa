//! The HTTP server: clients, their deadlines and what they are told. A client that is slow, idle,
//! greedy or hostile costs nobody else anything.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};
use mio::Token;
use mio::net::TcpStream;

use super::io::Io;
use super::registry::{BOTH, Owner};
use crate::http::limits::{IDLE_DEADLINE, MAX_REQUEST_HEAD_BYTES, REQUEST_DEADLINE};
use crate::http::{Answer, Exchange, Refusal, Reply, Request, Route, Step, write_continue};
use crate::net::{Accepting, Link, Listener, Next};
use crate::time::{Monotonic, Now};

/// The listener and its clients.
pub(super) struct Web {
    listener: Option<Listener>,
    token: Token,
    clients: BTreeMap<Token, Client>,
    /// Clients at once.
    room: usize,
    /// Accept again then: no descriptor was left.
    retry_at: Option<Monotonic>,
}

/// What the answers are made of.
pub(super) struct Pages<'a> {
    /// Renders `/state.json`, or gives the last rendering if nothing has changed.
    pub(super) state: &'a mut dyn FnMut() -> Bytes,
    /// Renders `/decisions.json`, or gives a rendering that is new enough.
    pub(super) decisions: &'a mut dyn FnMut() -> Bytes,
    /// Somebody asked for a check.
    pub(super) check: &'a mut bool,
}

struct Client {
    link: Link,
    exchange: Exchange,
    /// What of an answer's body is not in the link's output yet.
    body: Bytes,
    phase: Phase,
    deadline: Monotonic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// A request is coming in.
    Reading,
    /// An answer is going out.
    Answering { then: Then },
    /// The last answer is out; what still comes is thrown away, so that the client can read it.
    Lingering,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    ReadOn,
    Close,
}

impl Web {
    /// For so many clients at once.
    pub(super) fn new(mut listener: Listener, room: usize, io: &mut Io) -> io::Result<Self> {
        let token = io.registry.register(&mut listener, Owner::Listener, BOTH)?;
        Ok(Self {
            listener: Some(listener),
            token,
            clients: BTreeMap::new(),
            room,
            retry_at: None,
        })
    }

    /// Listens somewhere else from now on; clients stay.
    pub(super) fn listen(&mut self, mut listener: Listener, io: &mut Io) -> io::Result<()> {
        let token = io.registry.register(&mut listener, Owner::Listener, BOTH)?;
        self.stop_listening(io);
        (self.listener, self.token) = (Some(listener), token);
        io.registry.again(token);
        Ok(())
    }

    /// For so many clients from now on. Those who are too many now give way as others come.
    pub(super) fn set_max_clients(&mut self, room: usize) {
        self.room = room;
    }

    /// Lets nobody in until it is told to listen again; where it was.
    pub(super) fn stop_listening(&mut self, io: &mut Io) -> Option<SocketAddr> {
        let mut listener = self.listener.take()?;
        io.registry.forget(&mut listener, self.token);
        listener.local_addr().ok()
    }

    /// Where it listens.
    pub(super) fn port(&self) -> Option<u16> {
        self.listener
            .as_ref()?
            .local_addr()
            .ok()
            .map(|address| address.port())
    }

    /// Takes in those who wait.
    pub(super) fn accept(&mut self, io: &mut Io, pages: &mut Pages<'_>) {
        let Some(mut listener) = self.listener.take() else {
            return;
        };
        let accepting = listener.accept(|stream| self.welcome(stream, io, pages));
        self.listener = Some(listener);
        self.retry_at = None;
        match accepting {
            Accepting::Wait => {}
            Accepting::Again => io.registry.again(self.token),
            Accepting::OutOfDescriptors(sent_away) => {
                log::warn!("no descriptor left: {sent_away} HTTP clients were sent away");
                self.retry_at = Some(io.now.mono + RETRY_ACCEPT);
            }
        }
    }

    /// Readiness on a client's connection.
    pub(super) fn ready(&mut self, token: Token, io: &mut Io, pages: &mut Pages<'_>) {
        let Some(client) = self.clients.get_mut(&token) else {
            return;
        };
        if client.go_on(token, io, pages) == Fate::Gone {
            self.drop_client(token, io);
        }
    }

    /// Whose time is up is told so if that helps, and closed.
    pub(super) fn expire(&mut self, io: &mut Io, pages: &mut Pages<'_>) {
        if self.retry_at.is_some_and(|at| at <= io.now.mono) {
            self.accept(io, pages);
        }
        let late = self
            .clients
            .iter()
            .filter(|(_, client)| client.deadline <= io.now.mono);
        for token in late.map(|(token, _)| *token).collect::<Vec<_>>() {
            let Some(client) = self.clients.get_mut(&token) else {
                continue;
            };
            if client.phase == Phase::Reading {
                client.answer(Answer::refused(Refusal::TimedOut), Reply::CLOSE, io.now);
                client.deadline = io.now.mono + LINGER;
                if client.go_on(token, io, pages) == Fate::Stays {
                    continue;
                }
            }
            self.drop_client(token, io);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.clients
            .values()
            .map(|client| client.deadline)
            .chain(self.retry_at)
            .min()
    }

    fn welcome(&mut self, stream: TcpStream, io: &mut Io, pages: &mut Pages<'_>) {
        if self.clients.len() >= self.room && !self.make_room(io) {
            return;
        }
        let mut link = Link::accepted(stream, INPUT_BYTES);
        let Ok(token) = io.registry.register(&mut link, Owner::Client, BOTH) else {
            return;
        };
        let client = Client {
            link,
            exchange: Exchange::new(),
            body: Bytes::new(),
            phase: Phase::Reading,
            deadline: io.now.mono + REQUEST_DEADLINE,
        };
        self.clients.insert(token, client);
        self.ready(token, io, pages);
    }

    /// The one nearest its deadline that is not being answered gives way, so that a new client with
    /// an honest request gets through a crowd of idle ones.
    fn make_room(&mut self, io: &mut Io) -> bool {
        let waiting = self
            .clients
            .iter()
            .filter(|(_, client)| !matches!(client.phase, Phase::Answering { .. }));
        let Some(token) = waiting
            .min_by_key(|(_, client)| client.deadline)
            .map(|(token, _)| *token)
        else {
            return false;
        };
        self.drop_client(token, io);
        true
    }

    fn drop_client(&mut self, token: Token, io: &mut Io) {
        if let Some(mut client) = self.clients.remove(&token) {
            io.registry.forget(&mut client.link, token);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Gone,
}

impl Client {
    /// Moves bytes, takes requests and answers them, until there is nothing to do without waiting.
    fn go_on(&mut self, token: Token, io: &mut Io, pages: &mut Pages<'_>) -> Fate {
        for _ in 0..STEPS_PER_TURN {
            self.feed();
            let pumped = self.link.pump();
            let took_request = self.take_requests(pages, io.now);
            let moved = pumped.read > 0 || pumped.written > 0 || took_request;
            match pumped.next {
                Next::Failed(_) => return Fate::Gone,
                Next::Ended if self.is_sent() && !took_request => return Fate::Gone,
                Next::Again => break,
                Next::Wait | Next::Ended | Next::Full if !moved => {
                    self.link.tidy();
                    return Fate::Stays;
                }
                Next::Wait | Next::Ended | Next::Full => {}
            }
        }
        io.registry.again(token);
        Fate::Stays
    }

    /// The next part of the body goes to the link.
    fn feed(&mut self) {
        let room = OUTPUT_BYTES
            .saturating_sub(self.link.output.len())
            .min(self.body.len());
        if let Some(part) = self.body.get(..room) {
            self.link.output.extend_from_slice(part);
            self.body.advance(room);
        }
    }

    fn is_sent(&self) -> bool {
        self.body.is_empty() && self.link.output.is_empty()
    }

    /// Takes the next request if the last answer is out. True if one was taken, or another can be.
    fn take_requests(&mut self, pages: &mut Pages<'_>, now: Now) -> bool {
        if let Phase::Answering { then } = self.phase {
            if !self.is_sent() {
                return false;
            }
            self.answered(then, now);
        }
        match self.exchange.receive(&mut self.link.input) {
            Step::NeedMore => {
                self.note_progress(now);
                false
            }
            Step::Continue => {
                write_continue(&mut self.link.output);
                true
            }
            Step::Request(request) => {
                self.serve(request, pages, now);
                true
            }
            Step::Refused(refusal) => {
                self.answer(Answer::refused(refusal), Reply::CLOSE, now);
                true
            }
        }
    }

    fn answered(&mut self, then: Then, now: Now) {
        (self.phase, self.deadline) = match then {
            Then::ReadOn => (Phase::Idle, now.mono + IDLE_DEADLINE),
            Then::Close => {
                // The other side reads the answer and closes; a client that has gone already needs
                // no goodbye.
                let _ = self.link.end_output();
                (Phase::Lingering, now.mono + LINGER)
            }
        };
    }

    /// The first byte of a further request starts its time.
    fn note_progress(&mut self, now: Now) {
        if self.phase == Phase::Idle && !self.exchange.is_idle(&self.link.input) {
            self.phase = Phase::Reading;
            self.deadline = now.mono + REQUEST_DEADLINE;
        }
    }

    fn serve(&mut self, request: Request, pages: &mut Pages<'_>, now: Now) {
        let answer = match request.route {
            Route::State => Answer::json((pages.state)()),
            Route::Decisions => Answer::json((pages.decisions)()),
            Route::Check => {
                *pages.check = true;
                Answer::no_content()
            }
            Route::NotFound => Answer::not_found(),
            Route::NotAllowed { allow } => Answer::not_allowed(allow),
        };
        self.answer(answer, request.reply, now);
    }

    fn answer(&mut self, answer: Answer, reply: Reply, now: Now) {
        self.body = answer.write(reply, now.wall, &mut self.link.output);
        let then = if reply.keep_alive {
            Then::ReadOn
        } else {
            Then::Close
        };
        if self.phase == Phase::Idle {
            self.deadline = now.mono + REQUEST_DEADLINE;
        }
        self.phase = Phase::Answering { then };
    }
}

/// Bytes of requests that may wait.
const INPUT_BYTES: usize = 2 * MAX_REQUEST_HEAD_BYTES;
/// Bytes of an answer that are copied for sending at a time.
const OUTPUT_BYTES: usize = 64 << 10;
/// Requests, or parts of an answer, that one client gets per turn.
const STEPS_PER_TURN: usize = 16;
/// How long a client has to read the last answer.
const LINGER: Duration = Duration::from_secs(2);
/// How soon to accept again when no descriptor was left.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);
