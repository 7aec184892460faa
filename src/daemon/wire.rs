//! One outgoing connection from the first dial to its end, without a word of what is said on it. Nodes and observers use
//! it alike.

use mio::Token;

use super::address_book::AddressBook;
use super::board::{BOTH, Board, Owner};
use super::dial::{Dial, Next};
use crate::cluster::{ProbeFailure, ProbeStep};
use crate::net::{Endpoint, Link};
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;

/// What the components need of the loop to carry on.
pub(super) struct Hands<'a> {
    pub(super) board: &'a mut Board,
    pub(super) book: &'a mut AddressBook,
    pub(super) now: Monotonic,
}

/// A connection in the making, or made.
pub(super) enum Wire {
    /// Waiting for a name.
    Awaiting { dial: Dial },
    /// An endpoint is being tried.
    Trying { dial: Dial, link: Link, token: Token, host: usize, until: Monotonic },
    /// Connected.
    Open(OpenWire),
}

/// A made connection.
pub(super) struct OpenWire {
    pub(super) link: Link,
    pub(super) token: Token,
    /// Which host of the connection info it leads to.
    pub(super) host: usize,
}

/// How connections of one kind are made.
pub(super) struct Terms {
    pub(super) owner: Owner,
    /// Bytes of input that may wait.
    pub(super) input_limit: usize,
    pub(super) keepalive: KeepAlive,
}

impl Wire {
    /// Begins to dial.
    pub(super) fn dial(dial: Dial, terms: &Terms, hands: &mut Hands<'_>) -> Result<Self, ProbeFailure> {
        Self::try_next(dial, terms, hands)
    }

    /// Goes on: after an event, after a name was found, or because time has passed.
    pub(super) fn go_on(self, terms: &Terms, hands: &mut Hands<'_>) -> Result<Self, ProbeFailure> {
        match self {
            Self::Awaiting { dial } if dial.deadline <= hands.now => {
                Err(ProbeFailure::TimedOut { step: ProbeStep::Resolving })
            }
            Self::Awaiting { dial } => Self::try_next(dial, terms, hands),
            Self::Trying { dial, link, token, host, until } => {
                Self::pump_trying(dial, OpenWire { link, token, host }, until, terms, hands)
            }
            open @ Self::Open(_) => Ok(open),
        }
    }

    /// When something is to be done although nothing happens; an open connection's time is its owner's.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        match self {
            Self::Awaiting { dial } => Some(dial.deadline),
            Self::Trying { until, .. } => Some(*until),
            Self::Open(_) => None,
        }
    }

    /// Closes it.
    pub(super) fn close(self, board: &mut Board) {
        match self {
            Self::Awaiting { .. } => {}
            Self::Trying { link, token, .. } | Self::Open(OpenWire { link, token, .. }) => {
                let mut link = link;
                board.forget(&mut link, token);
            }
        }
    }

    fn try_next(mut dial: Dial, terms: &Terms, hands: &mut Hands<'_>) -> Result<Self, ProbeFailure> {
        loop {
            match dial.next(hands.book, hands.board, hands.now) {
                Next::Failed(failure) => return Err(failure),
                Next::Await => return Ok(Self::Awaiting { dial }),
                Next::Connect { endpoint, host, until } => match open(&endpoint, terms, hands.board) {
                    Ok((link, token)) => return Ok(Self::Trying { dial, link, token, host, until }),
                    Err(error) => dial.note(unreachable(&endpoint, &error)),
                },
            }
        }
    }

    fn pump_trying(
        mut dial: Dial,
        mut wire: OpenWire,
        until: Monotonic,
        terms: &Terms,
        hands: &mut Hands<'_>,
    ) -> Result<Self, ProbeFailure> {
        let pumped = wire.link.pump();
        if let (true, crate::net::Next::Failed(error)) = (wire.link.is_connecting(), &pumped.next) {
            dial.note(ProbeFailure::Unreachable { reason: error.to_string() });
        } else if !wire.link.is_connecting() {
            // Connected, whatever came after: the owner pumps on and sees it.
            return Ok(Self::Open(wire));
        } else if hands.now < until {
            let OpenWire { link, token, host } = wire;
            return Ok(Self::Trying { dial, link, token, host, until });
        } else {
            dial.note(ProbeFailure::TimedOut { step: ProbeStep::Connecting });
        }
        hands.board.forget(&mut wire.link, wire.token);
        Self::try_next(dial, terms, hands)
    }
}

fn open(endpoint: &Endpoint, terms: &Terms, board: &mut Board) -> std::io::Result<(Link, Token)> {
    let mut link = Link::connect(endpoint, terms.input_limit)?;
    link.set_keepalive(&terms.keepalive)?;
    let token = board.register(&mut link, terms.owner.clone(), BOTH)?;
    Ok((link, token))
}

fn unreachable(endpoint: &Endpoint, error: &std::io::Error) -> ProbeFailure {
    let place = match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix(path) => path.display().to_string(),
        Endpoint::Abstract(name) => format!("@{}", name.escape_ascii()),
    };
    ProbeFailure::Unreachable { reason: format!("{place}: {error}") }
}
