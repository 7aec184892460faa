//! Who owns which token: readiness finds its component here, and a link that has used up its turn's
//! budget is remembered for the next.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Token};

use crate::config::{NodeName, ObserverName};

/// What readiness is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The signal descriptor.
    Signals,
    /// The HTTP listener.
    Listener,
    /// An HTTP client.
    Client,
    /// The connection to a node.
    Node(NodeName),
    /// The connection to an observer.
    Observer(ObserverName),
    /// The output of a child process.
    Child,
    /// The answer of a child that reads files.
    Reader,
}

/// The registry of sources. Interests are registered once, edge-triggered; tokens are never reused.
#[derive(Debug)]
pub(super) struct Registry {
    poll: mio::Registry,
    next_token: Token,
    owners: BTreeMap<Token, Owner>,
    unfinished: Vec<Token>,
}

impl Registry {
    pub(super) fn new(poll: mio::Registry) -> Self {
        Self {
            poll,
            next_token: Token(0),
            owners: BTreeMap::new(),
            unfinished: Vec::new(),
        }
    }

    /// Registers a source that both reads and writes, or only reads, and gives it a token.
    pub(super) fn register(
        &mut self,
        source: &impl AsFd,
        owner: Owner,
        interest: Interest,
    ) -> io::Result<Token> {
        // At a million a second 64 bits last for half a million years.
        let token = self.next_token;
        self.next_token = Token(token.0.wrapping_add(1));
        let descriptor = source.as_fd().as_raw_fd();
        self.poll
            .register(&mut SourceFd(&descriptor), token, interest)?;
        self.owners.insert(token, owner);
        Ok(token)
    }

    /// Forgets a source that is about to be dropped; events that are still under way for it find
    /// nobody.
    pub(super) fn forget(&mut self, source: &impl AsFd, token: Token) {
        // A descriptor that is closed leaves epoll by itself; an error here changes nothing.
        let descriptor = source.as_fd().as_raw_fd();
        let _ = self.poll.deregister(&mut SourceFd(&descriptor));
        self.owners.remove(&token);
    }

    pub(super) fn owner(&self, token: Token) -> Option<Owner> {
        self.owners.get(&token).cloned()
    }

    /// This source has more to do, and no event will say so.
    pub(super) fn again(&mut self, token: Token) {
        self.unfinished.push(token);
    }

    pub(super) fn has_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Those who asked for another turn.
    pub(super) fn take_unfinished(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.unfinished)
    }
}

/// Links and listeners: both directions.
pub(super) const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
