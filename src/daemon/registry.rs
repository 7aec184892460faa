//! The sources registered with epoll, and which component owns each.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Token};

use crate::config::{ClusterName, NodeName, ObserverName, VoterName};

/// Which voter of which cluster.
pub(super) type VoterAt = (ClusterName, VoterName);

/// The component that handles the readiness of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Signals,
    HttpListener,
    HttpClient,
    Node(NodeName),
    Observer(ObserverName),
    Voter(VoterAt),
    /// The output of a command or helper.
    Child,
    /// The answer of a child that reads files.
    Reader,
}

/// The registered sources. Each is registered once, edge-triggered; tokens are never reused.
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

    /// To be called before the source is dropped; events that are still queued for it have no owner.
    pub(super) fn forget(&mut self, source: &impl AsFd, token: Token) {
        // A closed descriptor leaves epoll by itself; an error here changes nothing.
        let descriptor = source.as_fd().as_raw_fd();
        let _ = self.poll.deregister(&mut SourceFd(&descriptor));
        self.owners.remove(&token);
    }

    pub(super) fn owner(&self, token: Token) -> Option<Owner> {
        self.owners.get(&token).cloned()
    }

    /// The source has more to do in the next turn, for which no event will come.
    pub(super) fn again(&mut self, token: Token) {
        self.unfinished.push(token);
    }

    pub(super) fn has_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    pub(super) fn take_unfinished(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.unfinished)
    }
}

pub(super) const READ_WRITE: Interest = Interest::READABLE.add(Interest::WRITABLE);
