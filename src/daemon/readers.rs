//! Requests to the file system and to name services, each carried out by a child process, so that a
//! hang delays only the component that made the request. Every request gets a result in its time:
//! what the child has read, or why there is nothing.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::path::PathBuf;
use std::time::Duration;

use mio::{Interest, Token};

use super::registry::{Owner, Registry};
use super::tls_files::TlsFileSet;
use crate::sys::child::Reading;
use crate::sys::forked::Worker;
use crate::time::{Monotonic, Now, timestamp};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadRequest {
    /// The configuration file and the files that it refers to.
    Configuration,
    OperatorFiles {
        maintenance: PathBuf,
        pause: PathBuf,
    },
    /// The alert files in this directory.
    Alerts(PathBuf),
    TlsFiles(TlsFileSet),
}

pub(super) type ReadResult = Result<Vec<u8>, String>;

#[derive(Default)]
pub(super) struct Readers {
    running: BTreeMap<Token, Running>,
    /// Finished and not reaped yet. One that hangs in the kernel may stay here for long.
    unreaped: Vec<Unreaped>,
    results: Vec<(ReadRequest, ReadResult)>,
}

struct Running {
    request: ReadRequest,
    reader: Worker,
    deadline: Monotonic,
    limit: Duration,
}

struct Unreaped {
    request: ReadRequest,
    reader: Worker,
    is_killed: bool,
}

impl Readers {
    /// See [`Io::read_in_child`](super::io::Io::read_in_child).
    pub(super) fn start(
        &mut self,
        request: ReadRequest,
        limit: Duration,
        work: impl FnOnce() -> Vec<u8>,
        registry: &mut Registry,
        now: Monotonic,
    ) {
        match self.start_reader(&request, work, registry) {
            Ok((token, reader)) => {
                let running = Running {
                    request,
                    reader,
                    deadline: now + limit,
                    limit,
                };
                self.running.insert(token, running);
            }
            Err(reason) => self.results.push((request, Err(reason))),
        }
    }

    fn start_reader(
        &self,
        request: &ReadRequest,
        work: impl FnOnce() -> Vec<u8>,
        registry: &mut Registry,
    ) -> Result<(Token, Worker), String> {
        let is_hanging = |unreaped: &&Unreaped| {
            unreaped.is_killed && discriminant(&unreaped.request) == discriminant(request)
        };
        if self.unreaped.iter().filter(is_hanging).count() >= MAX_HANGING {
            return Err(format!("{MAX_HANGING} earlier reader processes still hang"));
        }
        let failed = |error| format!("cannot start a reader process: {error}");
        let reader = Worker::start(work).map_err(failed)?;
        let token = registry.register(&reader, Owner::Reader, Interest::READABLE);
        Ok((token.map_err(failed)?, reader))
    }

    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry) {
        let Some(running) = self.running.get_mut(&token) else {
            return;
        };
        match running.reader.read() {
            Ok(Reading::Drained) => {}
            Ok(Reading::Unfinished) => registry.again(token),
            Ok(Reading::Ended) => {
                let result = running.reader.take_result();
                let result = result.ok_or_else(|| "the reader process failed".to_owned());
                self.finish(token, result, false, registry);
            }
            Err(error) => self.finish(token, Err(error.to_string()), true, registry),
        }
    }

    /// Kills readers whose time is over. Returns the next deadline.
    pub(super) fn tick(&mut self, registry: &mut Registry, now: Monotonic) -> Option<Monotonic> {
        let running = self.running.iter();
        let late = running.filter(|(_, running)| running.deadline <= now);
        let late: Vec<_> = late.map(|(token, late)| (*token, late.limit)).collect();
        for (token, limit) in late {
            let result = Err(format!("no answer for {limit:?}"));
            self.finish(token, result, true, registry);
        }
        self.running.values().map(|running| running.deadline).min()
    }

    fn finish(&mut self, token: Token, result: ReadResult, kill: bool, registry: &mut Registry) {
        let Some(Running {
            request, reader, ..
        }) = self.running.remove(&token)
        else {
            return;
        };
        registry.forget(&reader, token);
        if kill {
            reader.kill();
        }
        self.results.push((request.clone(), result));
        self.unreaped.push(Unreaped {
            request,
            reader,
            is_killed: kill,
        });
        self.reap();
    }

    pub(super) fn reap(&mut self) {
        self.unreaped.retain(|unreaped| !unreaped.reader.try_reap());
    }

    /// Is this process one of them.
    pub(super) fn has(&self, pid: u32) -> bool {
        let running = self.running.values().map(|running| &running.reader);
        let unreaped = self.unreaped.iter().map(|unreaped| &unreaped.reader);
        running.chain(unreaped).any(|reader| reader.id() == pid)
    }

    pub(super) fn has_results(&self) -> bool {
        !self.results.is_empty()
    }

    pub(super) fn take_results(&mut self) -> Vec<(ReadRequest, ReadResult)> {
        std::mem::take(&mut self.results)
    }
}

/// Something that is read in a child process again and again. While a path hangs, the last value
/// stays in use.
#[derive(Debug)]
pub(super) struct Reread<T> {
    pub(super) value: Option<T>,
    /// Cleared to have it read again.
    pub(super) read_at: Option<Monotonic>,
    /// Of the request without a result.
    requested_at: Option<Now>,
    /// Of the last request, which was logged.
    pub(super) failure: Option<String>,
    pub(super) retry_at: Option<Monotonic>,
}

impl<T> Default for Reread<T> {
    fn default() -> Self {
        Self {
            value: None,
            read_at: None,
            requested_at: None,
            failure: None,
            retry_at: None,
        }
    }
}

impl<T> Reread<T> {
    pub(super) fn is_fresh(&self, lifetime: Duration, now: Now) -> bool {
        self.read_at.is_some_and(|at| now.mono < at + lifetime)
    }

    /// Is a request to be made now.
    pub(super) fn request_if_due(&mut self, lifetime: Duration, now: Now) -> bool {
        let is_put_off = self.retry_at.is_some_and(|at| now.mono < at);
        let is_due = self.requested_at.is_none() && !is_put_off && !self.is_fresh(lifetime, now);
        if is_due {
            self.requested_at = Some(now);
        }
        is_due
    }

    /// Until when to wait for the result; `None`: there is no request, or the one before it got no
    /// result.
    pub(super) fn wait_until(&self) -> Option<Monotonic> {
        let requested_at = self.requested_at.filter(|_| self.failure.is_none())?;
        Some(requested_at.mono + MAX_WAIT)
    }

    /// True: the request before this one failed.
    pub(super) fn succeeded(&mut self, value: T, now: Now) -> bool {
        self.value = Some(value);
        (self.read_at, self.requested_at, self.retry_at) = (Some(now.mono), None, None);
        self.failure.take().is_some()
    }

    /// The failure with the time of the request, and whether it is the first.
    pub(super) fn failed(&mut self, reason: &str, now: Now) -> (String, bool) {
        let requested_at = self.requested_at.take().unwrap_or(now);
        let since = timestamp::format_millis(requested_at.wall);
        let failure = format!("{reason}, requested at {since}");
        self.retry_at = Some(now.mono + RETRY);
        let is_first = self.failure.replace(failure.clone()).is_none();
        (failure, is_first)
    }
}

/// Killed processes of one kind that the kernel still keeps.
const MAX_HANGING: usize = 4;
/// A turn or handshake waits no longer for a result.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How long a reader may take.
pub(super) const READ_TIME: Duration = Duration::from_secs(5);
/// After a failure.
const RETRY: Duration = Duration::from_secs(5);
