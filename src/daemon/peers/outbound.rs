//! One outgoing connection from the first dial to its end, without a word of what is said on it.
//! Nodes and observers use it alike.

use mio::Token;

use super::dial::Dial;
use crate::cluster::{ProbeFailure, ProbeStep};
use crate::daemon::io::Io;
use crate::daemon::registry::{BOTH, Owner};
use crate::net::{Endpoint, Link, Next};
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;

/// A connection: none, in the making, or made.
pub(in crate::daemon) struct Outbound {
    owner: Owner,
    /// Bytes of input that may wait.
    input_limit: usize,
    keepalive: KeepAlive,
    /// What else can be tried.
    dial: Dial,
    stage: Stage,
    connection: Option<Connection>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Closed,
    /// Waiting for a name.
    Awaiting,
    /// An endpoint is being tried.
    Trying,
    Open,
}

pub(in crate::daemon) struct Connection {
    pub(super) link: Link,
    pub(super) token: Token,
    pub(super) endpoint: Endpoint,
    /// Which host of the connection info that is.
    pub(super) host: usize,
    /// When the next one is tried, if nobody has let us in here.
    pub(super) until: Monotonic,
}

impl Outbound {
    pub(super) fn closed(owner: Owner, input_limit: usize, keepalive: KeepAlive) -> Self {
        Self {
            owner,
            input_limit,
            keepalive,
            dial: Dial::default(),
            stage: Stage::Closed,
            connection: None,
        }
    }

    /// Begins to dial.
    pub(super) fn dial(&mut self, dial: Dial, io: &mut Io) -> Result<(), ProbeFailure> {
        self.dial = dial;
        self.try_next(io)
    }

    /// Tries the next host, until `deadline`; `failure`: what is wrong with this one.
    pub(super) fn next_host(
        &mut self,
        failure: ProbeFailure,
        deadline: Monotonic,
        io: &mut Io,
    ) -> Result<(), ProbeFailure> {
        if let Some(connection) = &self.connection {
            self.dial.leave(connection.host, deadline);
        }
        self.dial.note(failure);
        self.try_next(io)
    }

    /// Connects to the same endpoint once more.
    pub(super) fn again(&mut self, io: &mut Io) -> Result<(), ProbeFailure> {
        if let Some(connection) = &self.connection {
            let endpoint = connection.endpoint.clone();
            self.dial.put_back(endpoint, connection.host);
        }
        self.try_next(io)
    }

    /// Goes on: after an event, after a name was found, or because time has passed. Gives the
    /// connection once it is made.
    pub(super) fn go_on(&mut self, io: &mut Io) -> Result<Option<&mut Connection>, ProbeFailure> {
        match self.stage {
            Stage::Awaiting if self.dial.deadline <= io.now.mono => {
                return Err(timed_out(ProbeStep::Resolving));
            }
            Stage::Awaiting => self.try_next(io)?,
            Stage::Trying => self.pump_trying(io)?,
            Stage::Closed | Stage::Open => {}
        }
        Ok(self.open())
    }

    pub(super) fn open(&mut self) -> Option<&mut Connection> {
        let is_open = self.stage == Stage::Open;
        self.connection.as_mut().filter(|_| is_open)
    }

    pub(super) fn is_awaiting(&self) -> bool {
        self.stage == Stage::Awaiting
    }

    /// What is being waited for; `None`: something that is said on it.
    pub(super) fn step(&self) -> Option<ProbeStep> {
        match self.stage {
            Stage::Awaiting => Some(ProbeStep::Resolving),
            Stage::Trying | Stage::Closed => Some(ProbeStep::Connecting),
            Stage::Open => None,
        }
    }

    /// When something is to be done although nothing happens. An open connection's time is
    /// its owner's.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        match self.stage {
            Stage::Awaiting => Some(self.dial.deadline),
            Stage::Trying => self.connection.as_ref().map(|connection| connection.until),
            Stage::Closed | Stage::Open => None,
        }
    }

    pub(super) fn close(&mut self, io: &mut Io) {
        self.stage = Stage::Closed;
        if let Some(connection) = self.connection.take() {
            io.registry.forget(&connection.link, connection.token);
        }
    }

    fn try_next(&mut self, io: &mut Io) -> Result<(), ProbeFailure> {
        self.close(io);
        while let Some((endpoint, host, until)) = self.dial.next(io)? {
            match self.connect(&endpoint, io) {
                Ok((link, token)) => {
                    self.stage = Stage::Trying;
                    self.connection = Some(Connection {
                        link,
                        token,
                        endpoint,
                        host,
                        until,
                    });
                    return Ok(());
                }
                Err(error) => self.dial.note(unreachable(&endpoint, &error)),
            }
        }
        self.stage = Stage::Awaiting;
        Ok(())
    }

    fn connect(&self, endpoint: &Endpoint, io: &mut Io) -> std::io::Result<(Link, Token)> {
        let link = Link::connect(endpoint, self.input_limit)?;
        link.set_keepalive(&self.keepalive)?;
        let registry = &mut io.registry;
        let token = registry.register(&link, self.owner.clone(), BOTH)?;
        Ok((link, token))
    }

    fn pump_trying(&mut self, io: &mut Io) -> Result<(), ProbeFailure> {
        let Some(Connection { link, until, .. }) = &mut self.connection else {
            return Ok(());
        };
        let pumped = link.pump();
        if !link.is_connecting() {
            // Connected, whatever came after: the owner pumps on and sees it.
            self.stage = Stage::Open;
            return Ok(());
        }
        let failure = match pumped.next {
            Next::Failed(error) => ProbeFailure::Unreachable {
                reason: error.to_string(),
            },
            _ if io.now.mono < *until => return Ok(()),
            _ => timed_out(ProbeStep::Connecting),
        };
        self.dial.note(failure);
        self.try_next(io)
    }
}

fn timed_out(step: ProbeStep) -> ProbeFailure {
    ProbeFailure::TimedOut { step }
}

fn unreachable(endpoint: &Endpoint, error: &std::io::Error) -> ProbeFailure {
    let place = match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix(path) => path.display().to_string(),
        Endpoint::Abstract(name) => format!("@{}", name.escape_ascii()),
    };
    let reason = format!("{place}: {error}");
    ProbeFailure::Unreachable { reason }
}
