//! The HTTP server: clients, their deadlines and what they are told. A client that is slow, idle,
//! greedy or hostile costs nobody else anything.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use mio::Token;
use mio::net::TcpStream;

use super::io::Io;
use super::journal::Journal;
use super::listening::Listening;
use super::registry::{BOTH, Owner};
use crate::format;
use crate::http::limits::{IDLE_DEADLINE, MAX_REQUEST_HEAD_BYTES, REQUEST_DEADLINE};
use crate::http::{Answer, Exchange, Refusal, Reply, Request, Route, Step, write_continue};
use crate::lookout::{Event, Lookout};
use crate::net::{Link, Listener, Next};
use crate::time::{Monotonic, Now};

/// The listener and its clients.
pub(super) struct Web {
    pub(super) listening: Listening,
    clients: Clients,
}

/// What the answers are made of.
pub(super) struct Content<'a> {
    pub(super) lookout: &'a Lookout,
    /// `/state.json` as last rendered; `None` once the facts have changed.
    pub(super) state: &'a mut Option<Bytes>,
    pub(super) journal: &'a mut Journal,
}

struct Clients {
    clients: BTreeMap<Token, Client>,
    /// At once.
    max: usize,
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
    pub(super) fn new(listener: Listener, max_clients: usize, io: &mut Io) -> io::Result<Self> {
        let clients = Clients {
            clients: BTreeMap::new(),
            max: max_clients,
        };
        Ok(Self {
            listening: Listening::new(listener, io)?,
            clients,
        })
    }

    /// For so many clients from now on. Those who are too many now give way as others come.
    pub(super) fn set_max_clients(&mut self, max: usize) {
        self.clients.max = max;
    }

    /// Takes in those who wait.
    pub(super) fn accept(&mut self, content: &mut Content<'_>, io: &mut Io) {
        let clients = &mut self.clients;
        self.listening
            .accept(io, |stream, io| clients.take_in(stream, content, io));
    }

    /// Readiness on a client's connection.
    pub(super) fn ready(&mut self, token: Token, content: &mut Content<'_>, io: &mut Io) {
        self.clients.ready(token, content, io);
    }

    /// Whose time is up is told so if that helps, and closed. Gives the next deadline.
    pub(super) fn tick(&mut self, content: &mut Content<'_>, io: &mut Io) -> Option<Monotonic> {
        let listening = self.listening.tick(io);
        self.clients.expire(content, io);
        let clients = self.clients.clients.values();
        let deadlines = clients.map(|client| client.deadline);
        deadlines.chain(listening).min()
    }
}

impl Clients {
    fn take_in(&mut self, stream: TcpStream, content: &mut Content<'_>, io: &mut Io) {
        if self.clients.len() >= self.max && !self.make_room(io) {
            return;
        }
        let link = Link::accepted(stream, INPUT_BYTES);
        let Ok(token) = io.registry.register(&link, Owner::Client, BOTH) else {
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
        self.ready(token, content, io);
    }

    fn ready(&mut self, token: Token, content: &mut Content<'_>, io: &mut Io) {
        let client = self.clients.get_mut(&token);
        if client.is_some_and(|client| !client.go_on(token, content, io)) {
            self.drop_client(token, io);
        }
    }

    fn expire(&mut self, content: &mut Content<'_>, io: &mut Io) {
        let now = io.now;
        let late = self
            .clients
            .iter()
            .filter(|(_, client)| client.deadline <= now.mono);
        for token in late.map(|(token, _)| *token).collect::<Vec<_>>() {
            let Some(client) = self.clients.get_mut(&token) else {
                continue;
            };
            if client.phase == Phase::Reading {
                client.answer(Answer::refused(Refusal::TimedOut), Reply::CLOSE, now);
                client.deadline = now.mono + LINGER;
                if client.go_on(token, content, io) {
                    continue;
                }
            }
            self.drop_client(token, io);
        }
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
        if let Some(client) = self.clients.remove(&token) {
            io.registry.forget(&client.link, token);
        }
    }
}

impl Content<'_> {
    fn state(&mut self) -> Bytes {
        let nodes = &self.lookout.state().nodes;
        let render = || format::state_json(nodes).into();
        self.state.get_or_insert_with(render).clone()
    }
}

impl Client {
    /// Moves bytes, takes requests and answers them, until there is nothing to do without waiting.
    /// False: the client has gone.
    fn go_on(&mut self, token: Token, content: &mut Content<'_>, io: &mut Io) -> bool {
        for _ in 0..STEPS_PER_TURN {
            self.feed();
            let pumped = self.link.pump();
            let took_request = self.take_requests(content, io);
            let moved = pumped.read > 0 || pumped.written > 0 || took_request;
            match pumped.next {
                Next::Failed(_) => return false,
                Next::Ended if self.is_sent() && !took_request => return false,
                Next::Again => break,
                Next::Wait | Next::Ended | Next::Full if !moved => {
                    self.link.tidy();
                    return true;
                }
                Next::Wait | Next::Ended | Next::Full => {}
            }
        }
        io.registry.again(token);
        true
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
    fn take_requests(&mut self, content: &mut Content<'_>, io: &mut Io) -> bool {
        if let Phase::Answering { then } = self.phase {
            if !self.is_sent() {
                return false;
            }
            self.answered(then, io.now);
        }
        match self.exchange.receive(&mut self.link.input) {
            Step::NeedMore => {
                self.note_progress(io.now);
                false
            }
            Step::Continue => {
                write_continue(&mut self.link.output);
                true
            }
            Step::Request(request) => {
                self.serve(request, content, io);
                true
            }
            Step::Refused(refusal) => {
                self.answer(Answer::refused(refusal), Reply::CLOSE, io.now);
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

    fn serve(&mut self, request: Request, content: &mut Content<'_>, io: &mut Io) {
        let answer = match request.route {
            Route::State => Answer::json(content.state()),
            Route::Decisions => {
                Answer::json(content.journal.page(content.lookout.rounds(), io.now.mono))
            }
            Route::Check => {
                io.events.push(Event::CheckRequested);
                Answer::no_content()
            }
            Route::NotFound => Answer::not_found(),
            Route::NotAllowed { allow } => Answer::not_allowed(allow),
        };
        self.answer(answer, request.reply, io.now);
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
