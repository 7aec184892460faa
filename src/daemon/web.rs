//! The HTTP server: its clients, their deadlines, and the pages. A client that is slow, idle, greedy
//! or hostile costs the others nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use mio::Token;
use mio::net::TcpStream;

use super::health_checks;
use super::io::Io;
use super::listening::Listening;
use super::page;
use super::pages::{Pages, Served};
use super::registry::{Owner, READ_WRITE};
use super::vote_server::VoteServer;
use crate::format::{votes_json, votes_page};
use crate::http::limits::{IDLE_DEADLINE, MAX_REQUEST_HEAD_BYTES, REQUEST_DEADLINE};
use crate::http::{Answer, Exchange, Refusal, Reply, Request, Route, Step, write_continue};
use crate::lookout::Event;
use crate::net::{Link, Next};
use crate::time::{Monotonic, Now};
use crate::votes::{self, ExchangeId};

pub(super) struct Web {
    pub(super) listening: Listening,
    pub(super) clients: Clients,
}

pub(super) struct Clients {
    pub(super) pages: Pages,
    /// Those over this number are disconnected as others come.
    pub(super) max: usize,
    clients: BTreeMap<Token, Client>,
    votes: VoteServer,
}

struct Client {
    link: Link,
    exchange: Exchange,
    phase: Phase,
    deadline: Monotonic,
}

/// What requests are answered from, beside the core.
type Shown<'a> = (&'a mut Pages, &'a mut VoteServer);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// A request is coming in.
    Reading,
    /// An answer is going out.
    Answering { keep_alive: bool },
    /// The core has a request for our vote, and answers it later.
    Waiting,
    /// The last answer is out; further input is discarded, so that the client can read the answer.
    Lingering,
}

impl Web {
    pub(super) fn new(max_clients: usize) -> Self {
        Self {
            listening: Listening::default(),
            clients: Clients {
                pages: Pages::default(),
                max: max_clients,
                clients: BTreeMap::new(),
                votes: VoteServer::default(),
            },
        }
    }

    pub(super) fn accept(&mut self, served: Served<'_>, io: &mut Io) {
        let clients = &mut self.clients;
        self.listening
            .accept(io, |stream, io| clients.add(stream, served, io));
    }

    /// Returns the next deadline.
    pub(super) fn tick(&mut self, served: Served<'_>, io: &mut Io) -> Option<Monotonic> {
        let listening = self.listening.tick(io);
        listening
            .into_iter()
            .chain(self.clients.tick(served, io))
            .min()
    }
}

impl Clients {
    fn add(&mut self, stream: TcpStream, served: Served<'_>, io: &mut Io) {
        if self.clients.len() >= self.max && !self.make_room(io) {
            return;
        }
        let link = Link::accepted(stream, INPUT_BYTES);
        let Ok(token) = io.registry.register(&link, Owner::HttpClient, READ_WRITE) else {
            return;
        };
        let client = Client {
            link,
            exchange: Exchange::new(),
            phase: Phase::Reading,
            deadline: io.now.mono + REQUEST_DEADLINE,
        };
        self.clients.insert(token, client);
        self.ready(token, served, io);
    }

    pub(super) fn ready(&mut self, token: Token, served: Served<'_>, io: &mut Io) {
        let Self {
            clients,
            pages,
            votes,
            ..
        } = self;
        let client = clients.get_mut(&token);
        if client.is_some_and(|client| !client.go_on(token, served, (pages, votes), io)) {
            self.drop_client(token, io);
        }
    }

    /// The core has decided on a request for our vote.
    pub(super) fn answer_vote(
        &mut self,
        id: ExchangeId,
        answer: &votes::Answer,
        served: Served<'_>,
        io: &mut Io,
    ) {
        let Some((token, reply, answer)) = self.votes.answer(id, answer) else {
            return;
        };
        if let Some(client) = self.clients.get_mut(&token) {
            client.answer(answer, reply, io.now);
            self.ready(token, served, io);
        }
    }

    /// Closes connections whose time is over; an unfinished request gets an answer first.
    fn tick(&mut self, served: Served<'_>, io: &mut Io) -> Option<Monotonic> {
        let now = io.now;
        let clients = self.clients.iter_mut();
        let late = clients.filter(|(_, client)| client.deadline <= now.mono);
        let mut closed = Vec::new();
        for (token, client) in late {
            let is_reading = client.phase == Phase::Reading;
            if is_reading {
                client.answer(Answer::refused(Refusal::TimedOut), Reply::CLOSE, now);
                client.deadline = now.mono + LINGER;
            }
            let shown = (&mut self.pages, &mut self.votes);
            if !is_reading || !client.go_on(*token, served, shown, io) {
                closed.push(*token);
            }
        }
        for token in closed {
            self.drop_client(token, io);
        }
        self.clients.values().map(|client| client.deadline).min()
    }

    /// Closes the connection nearest its deadline of those that are not being answered, so that a
    /// proper request gets through a crowd of idle clients.
    fn make_room(&mut self, io: &mut Io) -> bool {
        let clients = self.clients.iter();
        let waiting = clients.filter(|(_, client)| {
            !matches!(client.phase, Phase::Answering { .. } | Phase::Waiting)
        });
        let first = waiting.min_by_key(|(_, client)| client.deadline);
        let Some(token) = first.map(|(token, _)| *token) else {
            return false;
        };
        self.drop_client(token, io);
        true
    }

    fn drop_client(&mut self, token: Token, io: &mut Io) {
        if let Some(client) = self.clients.remove(&token) {
            io.registry.forget(&client.link, token);
            self.votes.forget(token);
        }
    }
}

impl Client {
    /// Moves bytes, takes requests and answers them, until there is nothing to do without waiting.
    /// False: the connection is over.
    fn go_on(&mut self, token: Token, served: Served<'_>, shown: Shown<'_>, io: &mut Io) -> bool {
        let (pages, votes) = shown;
        for _ in 0..STEPS_PER_TURN {
            let pumped = self.link.pump();
            let took_request = self.take_requests(token, served, (pages, votes), io);
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

    fn is_sent(&self) -> bool {
        self.link.unsent() == 0
    }

    /// Takes the next request if the last answer is out. True if one was taken, or another can be.
    fn take_requests(
        &mut self,
        token: Token,
        served: Served<'_>,
        shown: Shown<'_>,
        io: &mut Io,
    ) -> bool {
        if self.phase == Phase::Waiting {
            return false;
        }
        if let Phase::Answering { keep_alive } = self.phase {
            if !self.is_sent() {
                return false;
            }
            self.answered(keep_alive, io.now);
        }
        let takes_votes = served.lookout.config().voting.is_some();
        match self.exchange.receive(&mut self.link.input, takes_votes) {
            Step::NeedMore => {
                self.note_progress(io.now);
                false
            }
            Step::Continue => {
                write_continue(&mut self.link.output);
                true
            }
            Step::Request(request) => {
                self.serve(token, request, served, shown, io);
                true
            }
            Step::Refused(refusal) => {
                self.answer(Answer::refused(refusal), Reply::CLOSE, io.now);
                true
            }
        }
    }

    fn answered(&mut self, keep_alive: bool, now: Now) {
        (self.phase, self.deadline) = if keep_alive {
            (Phase::Idle, now.mono + IDLE_DEADLINE)
        } else {
            // The client reads the answer and closes. An error: it has closed already.
            let _ = self.link.end_output();
            (Phase::Lingering, now.mono + LINGER)
        };
    }

    /// The first byte of a further request starts its time.
    fn note_progress(&mut self, now: Now) {
        if self.phase == Phase::Idle && !self.exchange.is_idle(&self.link.input) {
            self.phase = Phase::Reading;
            self.deadline = now.mono + REQUEST_DEADLINE;
        }
    }

    fn serve(
        &mut self,
        token: Token,
        request: Request,
        served: Served<'_>,
        (pages, votes): Shown<'_>,
        io: &mut Io,
    ) {
        let Served { lookout, .. } = served;
        let votes_here = lookout.config().voting.is_some();
        let answer = match request.route {
            Route::State => Answer::json(pages.state(lookout, io.now.mono)),
            Route::Decisions => Answer::json(pages.decisions(lookout.rounds(), io.now.mono)),
            Route::Status => Answer::json(pages.status(served, io.now)),
            Route::LagHistory => Answer::json(pages.lag_history()),
            Route::Metrics => Answer::metrics(pages.metrics(served, io.now)),
            Route::Page => page::answer(),
            Route::Votes | Route::Vote(_) | Route::VotesNotAllowed { .. } if !votes_here => {
                Answer::not_found()
            }
            Route::Votes => {
                let page = votes_page(lookout, io.now.mono).unwrap_or_default();
                Answer::json(votes_json(&page).into())
            }
            Route::Vote(post) => {
                let from = (token, request.reply);
                match votes.receive(&post, from, lookout.config(), io) {
                    Some(answer) => answer,
                    None => {
                        self.phase = Phase::Waiting;
                        self.deadline = io.now.mono + REQUEST_DEADLINE;
                        return;
                    }
                }
            }
            Route::VotesNotAllowed { allow } => Answer::not_allowed(allow),
            Route::Check => {
                io.events.push(Event::CheckRequested);
                Answer::no_content()
            }
            Route::HealthCheck(check) => {
                let map = pages.map(lookout, io.now.mono);
                health_checks::answer(&check, lookout, map, io.now.mono)
            }
            Route::BadParameters => Answer::bad_parameters(),
            Route::NotFound => Answer::not_found(),
            Route::NotAllowed { allow } => Answer::not_allowed(allow),
        };
        self.answer(answer, request.reply, io.now);
    }

    fn answer(&mut self, answer: Answer, reply: Reply, now: Now) {
        let body = answer.write(reply, now.wall, &mut self.link.output);
        // One write sends a short answer.
        match body.len() <= SHORT_BYTES {
            true => self.link.output.extend_from_slice(&body),
            false => self.link.body = body,
        }
        if self.phase == Phase::Idle {
            self.deadline = now.mono + REQUEST_DEADLINE;
        }
        self.phase = Phase::Answering {
            keep_alive: reply.keep_alive,
        };
    }
}

/// Of requests that wait.
const INPUT_BYTES: usize = 2 * MAX_REQUEST_HEAD_BYTES;
/// Of a body that is copied behind its head.
const SHORT_BYTES: usize = 16 << 10;
/// Requests, or parts of an answer, that one client gets per turn.
const STEPS_PER_TURN: usize = 16;
/// How long a client has to read the last answer.
const LINGER: Duration = Duration::from_secs(2);
