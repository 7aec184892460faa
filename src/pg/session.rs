//! One conversation with one server: logging in, then poll after poll.

use std::{fmt, mem};

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::auth::Handshake;
use super::error::{ServerError, declined, nonsense};
use super::frame::Budget;
use super::mechanism::Transport;
use super::naming::Naming;
use super::poll::{Ask, Brought, Learnt, Poll, Topic};
use crate::cluster::{NodeReport, ProbeFailure, ProbeStep};
use crate::config::ConnInfo;

/// A session with a PostgreSQL server (Protocol, "Message Flow"). It owns no connection:
/// [`receive`](Self::receive) is fed what came in, and what shall be sent is appended to `out`.
pub struct Session {
    state: State,
    budget: Budget,
    learnt: Learnt,
    /// What a poll had brought when the session failed.
    unfinished: Option<Box<(NodeReport, Topic)>>,
    turned_away: bool,
    logged_in: bool,
}

/// What a session reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// The server is ready: the session may be asked.
    LoggedIn,
    /// The poll is over; the session is idle again.
    Answered(NodeReport),
    /// One line to be logged: something beside the point went wrong. It may come at every poll.
    Warned(String),
}

impl Session {
    /// Queues the start-up message for the host at index `host` of `info`.
    pub fn start(info: &ConnInfo, host: usize, transport: Transport, out: &mut BytesMut) -> Self {
        let is_remote = transport != Transport::Local;
        let naming = Naming::new(info.application_name.is_some(), is_remote);
        let state = match Handshake::begin(info, host, transport, out) {
            Ok(handshake) => State::LoggingIn(Box::new(handshake)),
            // No server was asked, so none is known to be alive.
            Err(error) => State::Failed(ProbeFailure::Unreachable {
                reason: format!(
                    "user, dbname, application_name or options cannot be sent: {error}"
                ),
            }),
        };
        Self {
            state,
            budget: Budget::for_login(),
            learnt: Learnt::new(naming),
            unfinished: None,
            turned_away: false,
            logged_in: false,
        }
    }

    /// Consumes whole messages from `input` up to the first that brings something; what is
    /// incomplete stays there. To be called again until it returns `None`.
    ///
    /// # Errors
    /// What ended the session. From then on it only repeats the same failure; the connection is to
    /// be closed.
    pub fn receive(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Option<Progress>, ProbeFailure> {
        if let State::Failed(failure) = &self.state {
            return Err(failure.clone());
        }
        self.advance(input, out)
            .inspect_err(|failure| self.unfinished = self.end(failure.clone()).map(Box::new))
    }

    /// Queues one poll. Does nothing unless the session is idle.
    pub fn ask(&mut self, ask: Ask, out: &mut BytesMut) {
        if self.is_idle() {
            self.budget = Budget::for_poll();
            self.state = State::Answering(Box::new(Poll::begin(ask, &self.learnt, out)));
        }
    }

    /// Gives the poll up because of `failure`, or after the session has failed, and the session
    /// with it. What the poll has brought so far, if that is the status at least, and what was
    /// waited for.
    pub fn give_up(&mut self, failure: &ProbeFailure) -> Option<(NodeReport, Topic)> {
        let unfinished = self.end(failure.clone());
        unfinished.or_else(|| self.unfinished.take().map(|it| *it))
    }

    fn end(&mut self, failure: ProbeFailure) -> Option<(NodeReport, Topic)> {
        match mem::replace(&mut self.state, State::Failed(failure.clone())) {
            State::Answering(poll) => poll.unfinished(&failure),
            _ => None,
        }
    }

    /// The login has something to compute: [`compute`](Self::compute) is to be called, and nothing is
    /// received before that is done.
    pub fn is_computing(&self) -> bool {
        matches!(&self.state, State::LoggingIn(handshake) if handshake.is_computing())
    }

    /// Computes for a moment, and appends the answer to `out` once it is there.
    ///
    /// # Errors
    /// As of [`receive`](Self::receive).
    pub fn compute(&mut self, out: &mut BytesMut) -> Result<(), ProbeFailure> {
        let computed = match &mut self.state {
            State::LoggingIn(handshake) => handshake.compute(out),
            State::Failed(failure) => Err(failure.clone()),
            State::Idle | State::Answering(_) => Ok(()),
        };
        computed.inspect_err(|failure| _ = self.end(failure.clone()))
    }

    /// What it means that the time is over: if it is we who have not computed our answer, the server
    /// lives.
    pub fn timed_out(&self, failure: ProbeFailure) -> ProbeFailure {
        if self.is_computing() {
            declined("the server's SCRAM challenge: its iterations take longer than poll_timeout")
        } else {
            failure
        }
    }

    /// Logged in, and no poll under way.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// The server has let us in, and the session has not failed before that.
    pub fn is_logged_in(&self) -> bool {
        self.logged_in
    }

    /// The server has ended the login with an error, before it let us in.
    pub fn was_turned_away(&self) -> bool {
        self.turned_away
    }

    /// What is being waited for; of an idle session, the answer to come.
    pub fn step(&self) -> ProbeStep {
        match self.state {
            State::LoggingIn(_) => ProbeStep::LoggingIn,
            State::Idle | State::Answering(_) | State::Failed(_) => ProbeStep::Answering,
        }
    }

    /// What it means that the server has closed the connection now: its last message if that was
    /// an error, else that nobody is there.
    pub fn connection_closed(&self) -> ProbeFailure {
        let during = match &self.state {
            State::Failed(failure) => return failure.clone(),
            State::LoggingIn(_) => "while logging in",
            State::Idle => "between two polls",
            State::Answering(_) => "before it answered",
        };
        ProbeFailure::Unreachable {
            reason: format!("the server closed the connection {during}"),
        }
    }

    /// Queues the good-bye (Protocol, "Termination"); the connection is to be closed once it is
    /// sent.
    pub fn terminate(&self, out: &mut BytesMut) {
        frontend::terminate(out);
    }

    fn advance(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Option<Progress>, ProbeFailure> {
        while !self.is_computing()
            && let Some(message) = self.budget.next(input)?
        {
            if let Some(progress) = self.take(message, out)? {
                return Ok(Some(progress));
            }
        }
        Ok(None)
    }

    fn take(
        &mut self,
        message: Message,
        out: &mut BytesMut,
    ) -> Result<Option<Progress>, ProbeFailure> {
        match &mut self.state {
            State::LoggingIn(handshake) => {
                self.turned_away =
                    matches!(message, Message::ErrorResponse(_)) && handshake.is_undecided();
                if !handshake.receive(message, out)? {
                    return Ok(None);
                }
                self.learnt.naming.logged_in(self.budget.backend());
                self.rest();
                self.logged_in = true;
                Ok(Some(Progress::LoggedIn))
            }
            State::Answering(poll) => match poll.receive(message, &mut self.learnt, out)? {
                Brought::Nothing => Ok(None),
                Brought::Note(note) => Ok(Some(Progress::Warned(note))),
                Brought::Report(report) => {
                    self.rest();
                    Ok(Some(Progress::Answered(report)))
                }
            },
            State::Idle => Err(unsolicited(message)),
            State::Failed(failure) => Err(failure.clone()),
        }
    }

    fn rest(&mut self) {
        self.budget = Budget::for_poll();
        self.state = State::Idle;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.step())
    }
}

enum State {
    LoggingIn(Box<Handshake>),
    Idle,
    Answering(Box<Poll>),
    Failed(ProbeFailure),
}

/// An error without a query means that the connection ends: the server is stopped, or its
/// administrator ended us.
fn unsolicited(message: Message) -> ProbeFailure {
    match message {
        Message::ErrorResponse(body) => {
            ServerError::read(&body).map_or_else(|failure| failure, ServerError::into_failure)
        }
        _ => nonsense("an unsolicited message between two polls"),
    }
}

#[cfg(test)]
mod tests;
