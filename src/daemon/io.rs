//! What every component shares: the sources registered with epoll and who owns them, the child
//! processes, what is known of names and TLS files, the time of this turn, the events for the core.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::children::{Children, Task, TimeLimit};
use super::readers::{ReadRequest, Readers};
use super::tls_files::TlsFiles;
use super::tls_settings::TrustCache;
use crate::config::{NodeName, ObserverName};
use crate::dns;
use crate::lookout::{Event, Metric, Trouble};
use crate::sys::process::{is_init, reap_orphan};
use crate::time::{Monotonic, Now};

/// The one context that every component gets.
pub(super) struct Io {
    pub(super) registry: Registry,
    pub(super) children: Children,
    pub(super) readers: Readers,
    pub(super) names: dns::Cache,
    pub(super) tls_files: TlsFiles,
    pub(super) trust: TrustCache,
    /// For the core, in this turn or the next.
    pub(super) events: Vec<Event>,
    /// To be sent at the end of this turn.
    pub(super) metrics: Vec<Metric>,
    /// As of the beginning of this turn.
    pub(super) now: Now,
}

impl Io {
    /// Returns the next deadline.
    pub(super) fn tick(&mut self) -> Option<Monotonic> {
        let now = self.now.mono;
        let deadlines = [
            self.children.tick(&mut self.registry, now),
            self.readers.tick(&mut self.registry, now),
            self.tls_files.tick(now),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Starts a program, which may read `input`, and returns its process id.
    pub(super) fn start_program(
        &mut self,
        task: Task,
        argv: &[impl AsRef<OsStr>],
        input: Option<&[u8]>,
        limit: TimeLimit,
    ) -> io::Result<u32> {
        let Self {
            children, registry, ..
        } = self;
        children.start(task, argv, input, limit, registry)
    }

    /// As process 1 of a container this one inherits what others leave behind.
    pub(super) fn reap_orphans(&self) {
        let is_ours = |pid| self.children.has(pid) || self.readers.has(pid);
        while is_init() && reap_orphan(is_ours) {}
    }

    /// Runs `work` in a child process, for at most `limit`.
    pub(super) fn read_in_child(
        &mut self,
        request: ReadRequest,
        limit: Duration,
        work: impl FnOnce() -> Vec<u8>,
    ) {
        let (registry, now) = (&mut self.registry, self.now.mono);
        self.readers.start(request, limit, work, registry, now);
    }

    /// Counts a failure.
    pub(super) fn trouble(&mut self, trouble: Trouble, about: &'static str) {
        self.metrics.push(Metric::Trouble { trouble, about });
    }
}

/// The component that handles the readiness of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Signals,
    HttpListener,
    HttpClient,
    Node(NodeName),
    Observer(ObserverName),
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
