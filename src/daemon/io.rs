//! What every component needs of the loop to carry on: where sources are registered, what names
//! and certificates are known, what time it is, and where events go.

use std::time::Duration;

use mio::Token;

use super::children::Children;
use super::keyring::Keyring;
use super::readers::{Question, Readers};
use super::registry::Registry;
use super::tls_files::TlsFiles;
use crate::dns;
use crate::lookout::{Event, Metric, Trouble};
use crate::time::{Monotonic, Now};

/// The one context that is handed around.
pub(super) struct Io {
    pub(super) registry: Registry,
    pub(super) children: Children,
    pub(super) readers: Readers,
    pub(super) addresses: dns::Cache,
    pub(super) tls_files: TlsFiles,
    pub(super) keyring: Keyring,
    /// For the core, in this turn or the next.
    pub(super) events: Vec<Event>,
    /// To be sent at the end of this turn.
    pub(super) metrics: Vec<Metric>,
    /// As of the beginning of this turn.
    pub(super) now: Now,
}

impl Io {
    /// Gives the next deadline.
    pub(super) fn tick(&mut self) -> Option<Monotonic> {
        let Self {
            registry,
            children,
            readers,
            now,
            addresses: _,
            tls_files,
            keyring: _,
            events: _,
            metrics: _,
        } = self;
        let deadlines = [
            children.tick(registry, now.mono),
            readers.tick(registry, now.mono),
            tls_files.tick(now.mono),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Readiness on a child's pipe.
    pub(super) fn child_ready(&mut self, token: Token) {
        self.children
            .ready(token, &mut self.registry, self.now.mono);
    }

    /// Has a child look at files, for at most `limit`.
    pub(super) fn ask(
        &mut self,
        question: Question,
        limit: Duration,
        work: impl FnOnce() -> Vec<u8>,
    ) {
        let (registry, now) = (&mut self.registry, self.now.mono);
        self.readers.ask(question, limit, work, registry, now);
    }

    /// Has somebody been answered who does not know it yet.
    pub(super) fn has_answers(&self) -> bool {
        self.readers.has_answers() || self.tls_files.has_news()
    }

    /// Counts something that went wrong.
    pub(super) fn trouble(&mut self, trouble: Trouble, about: &'static str) {
        self.metrics.push(Metric::Trouble { trouble, about });
    }
}
