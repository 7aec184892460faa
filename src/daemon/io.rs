//! What every component shares: the sources registered with epoll and who owns them, the child
//! processes, what is known of names and TLS files, the time of this turn, the events for the core.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::children::{Children, Task, TimeLimit};
use super::readers::{READ_TIME, ReadRequest, Readers};
use super::registry::Registry;
use super::tls_file_set::{self, TlsFileSet};
use super::tls_files::{self, TlsFiles};
use super::trust::TrustCache;
use crate::dns;
use crate::lookout::{Event, Metric, Trouble};
use crate::sys::child::Invocation;
use crate::sys::process::{is_init, reap_orphan};
use crate::sys::vote_directory::VoteDirectory;
use crate::time::{Monotonic, Now};

/// The one context that every component gets.
pub(super) struct Io {
    pub(super) registry: Registry,
    pub(super) children: Children,
    pub(super) readers: Readers,
    pub(super) names: dns::Cache,
    pub(super) tls_files: TlsFiles,
    pub(super) trust: TrustCache,
    /// On the directory of the vote files, once it is ours.
    pub(super) vote_lock: Option<(PathBuf, VoteDirectory)>,
    /// For the core, in this turn or the next.
    pub(super) events: Vec<Event>,
    /// For the core, not before the next turn.
    pub(super) late_events: Vec<Event>,
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

    /// Starts a program and returns its process id.
    pub(super) fn start_program(
        &mut self,
        task: Task,
        run: &Invocation<'_, impl AsRef<OsStr>>,
        limit: TimeLimit,
    ) -> io::Result<u32> {
        let Self {
            children, registry, ..
        } = self;
        children.start(task, run, limit, registry)
    }

    /// As process 1 of a container this one inherits what others leave behind.
    pub(super) fn reap_orphans(&self) {
        let is_ours = |pid| self.children.has(pid) || self.readers.has(pid);
        while is_init() && reap_orphan(is_ours) {}
    }

    /// Runs `work` in a child process, for at most `limit`. A child that stays goes on with the `work`
    /// of its first request.
    pub(super) fn read_in_child(
        &mut self,
        request: ReadRequest,
        limit: Duration,
        work: impl FnMut() -> Vec<u8>,
    ) {
        let (registry, now) = (&mut self.registry, self.now.mono);
        self.readers.start(request, limit, work, registry, now);
    }

    /// The contents of these files, which are read again unless they are fresh. `Ok(None)`: wait until
    /// they were read. An error: why nothing is known.
    pub(super) fn tls_material(&mut self, files: &TlsFileSet) -> tls_files::Found {
        let (found, is_due) = self.tls_files.look_up(files, self.now);
        if is_due {
            let request = ReadRequest::TlsFiles(files.clone());
            self.read_in_child(request, READ_TIME, || tls_file_set::read(files));
        }
        found
    }

    /// Counts a failure.
    pub(super) fn trouble(&mut self, trouble: Trouble, about: &'static str) {
        self.metrics.push(Metric::Trouble { trouble, about });
    }
}
