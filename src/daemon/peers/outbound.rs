//! One outgoing connection from the first dial to its end, without a word of what is said on it.
//! Nodes and observers use it alike.

use mio::Token;

use super::dial::{Dial, Next};
use crate::cluster::{ProbeFailure, ProbeStep};
use crate::daemon::io::Io;
use crate::daemon::registry::{BOTH, Owner, Registry};
use crate::net::{Endpoint, Link};
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;

/// A connection in the making, or made.
pub(super) enum Outbound {
    /// Waiting for a name.
    Awaiting { dial: Dial },
    /// An endpoint is being tried.
    Trying(OpenConnection),
    /// Connected.
    Open(OpenConnection),
}

/// A made connection.
pub(in crate::daemon) struct OpenConnection {
    pub(super) link: Link,
    pub(super) token: Token,
    /// Where it leads.
    pub(super) endpoint: Endpoint,
    /// Which host of the connection info that is.
    pub(super) host: usize,
    /// When the next one is tried, if nobody has let us in here.
    pub(super) until: Monotonic,
    /// What else could have been tried.
    dial: Dial,
}

/// How connections of one kind are made.
pub(in crate::daemon) struct Terms {
    pub(super) owner: Owner,
    /// Bytes of input that may wait.
    pub(super) input_limit: usize,
    pub(super) keepalive: KeepAlive,
}

impl Outbound {
    /// Begins to dial.
    pub(super) fn dial(dial: Dial, terms: &Terms, io: &mut Io) -> Result<Self, ProbeFailure> {
        Self::try_next(dial, terms, io)
    }

    /// Goes on: after an event, after a name was found, or because time has passed.
    pub(super) fn go_on(self, terms: &Terms, io: &mut Io) -> Result<Self, ProbeFailure> {
        match self {
            Self::Awaiting { dial } if dial.deadline <= io.now.mono => {
                Err(ProbeFailure::TimedOut {
                    step: ProbeStep::Resolving,
                })
            }
            Self::Awaiting { dial } => Self::try_next(dial, terms, io),
            Self::Trying(open) => Self::pump_trying(open, terms, io),
            open @ Self::Open(_) => Ok(open),
        }
    }

    /// When something is to be done although nothing happens; an open connection's time is its
    /// owner's.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        match self {
            Self::Awaiting { dial } => Some(dial.deadline),
            Self::Trying(open) => Some(open.until),
            Self::Open(_) => None,
        }
    }

    /// Closes it.
    pub(super) fn close(self, registry: &mut Registry) {
        match self {
            Self::Awaiting { .. } => {}
            Self::Trying(mut open) | Self::Open(mut open) => {
                registry.forget(&mut open.link, open.token)
            }
        }
    }

    fn try_next(mut dial: Dial, terms: &Terms, io: &mut Io) -> Result<Self, ProbeFailure> {
        loop {
            match dial.next(io) {
                Next::Failed(failure) => return Err(failure),
                Next::Await => return Ok(Self::Awaiting { dial }),
                Next::Connect {
                    endpoint,
                    host,
                    until,
                } => match open(&endpoint, terms, &mut io.registry) {
                    Ok((link, token)) => {
                        return Ok(Self::Trying(OpenConnection {
                            link,
                            token,
                            endpoint,
                            host,
                            until,
                            dial,
                        }));
                    }
                    Err(error) => dial.note(unreachable(&endpoint, &error)),
                },
            }
        }
    }

    fn pump_trying(
        mut open: OpenConnection,
        terms: &Terms,
        io: &mut Io,
    ) -> Result<Self, ProbeFailure> {
        let pumped = open.link.pump();
        if let (true, crate::net::Next::Failed(error)) = (open.link.is_connecting(), &pumped.next) {
            open.dial.note(ProbeFailure::Unreachable {
                reason: error.to_string(),
            });
        } else if !open.link.is_connecting() {
            // Connected, whatever came after: the owner pumps on and sees it.
            return Ok(Self::Open(open));
        } else if io.now.mono < open.until {
            return Ok(Self::Trying(open));
        } else {
            open.dial.note(ProbeFailure::TimedOut {
                step: ProbeStep::Connecting,
            });
        }
        io.registry.forget(&mut open.link, open.token);
        Self::try_next(open.dial, terms, io)
    }
}

impl OpenConnection {
    /// Tries the next host, until `deadline`; `failure`: what is wrong with this one.
    pub(super) fn next_host(
        mut self,
        failure: ProbeFailure,
        deadline: Monotonic,
        terms: &Terms,
        io: &mut Io,
    ) -> Result<Outbound, ProbeFailure> {
        io.registry.forget(&mut self.link, self.token);
        self.dial.leave(self.host, deadline);
        self.dial.note(failure);
        Outbound::try_next(self.dial, terms, io)
    }

    /// Connects to the same endpoint once more.
    pub(super) fn again(mut self, terms: &Terms, io: &mut Io) -> Result<Outbound, ProbeFailure> {
        io.registry.forget(&mut self.link, self.token);
        self.dial.put_back(self.endpoint, self.host);
        Outbound::try_next(self.dial, terms, io)
    }
}

fn open(
    endpoint: &Endpoint,
    terms: &Terms,
    registry: &mut Registry,
) -> std::io::Result<(Link, Token)> {
    let mut link = Link::connect(endpoint, terms.input_limit)?;
    link.set_keepalive(&terms.keepalive)?;
    let token = registry.register(&mut link, terms.owner.clone(), BOTH)?;
    Ok((link, token))
}

fn unreachable(endpoint: &Endpoint, error: &std::io::Error) -> ProbeFailure {
    let place = match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix(path) => path.display().to_string(),
        Endpoint::Abstract(name) => format!("@{}", name.escape_ascii()),
    };
    ProbeFailure::Unreachable {
        reason: format!("{place}: {error}"),
    }
}
