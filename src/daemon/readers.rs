//! Requests to the file system, each carried out by a child process, so that a hang delays only the
//! component that made the request. Every request gets a result in its time: what the child has read, or
//! why there is nothing. What is read at every turn is read by a child that stays.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::path::PathBuf;
use std::time::Duration;

use mio::{Interest, Token};

use super::registry::{Owner, Registry};
use super::tls_file_set::TlsFileSet;
use crate::config::ClusterName;
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
        switchover: PathBuf,
    },
    /// The control file of the server with this data directory.
    ControlFile(PathBuf),
    /// The alert files in this directory.
    Alerts(PathBuf),
    TlsFiles(TlsFileSet),
    /// The vote file of this cluster.
    VoteFile(ClusterName),
}

pub(super) type ReadResult = Result<Vec<u8>, String>;

impl ReadRequest {
    /// Is it made at every turn of the core.
    fn is_frequent(&self) -> bool {
        matches!(self, Self::OperatorFiles { .. })
    }

    fn is_like(&self, other: &Self) -> bool {
        discriminant(self) == discriminant(other)
    }
}

#[derive(Default)]
pub(super) struct Readers {
    open: BTreeMap<Token, Open>,
    /// Finished and not reaped yet. One that hangs in the kernel may stay here for long.
    unreaped: Vec<Unreaped>,
    results: Vec<(ReadRequest, ReadResult)>,
}

struct Open {
    request: ReadRequest,
    reader: Worker,
    /// `None`: it waits to be asked again.
    asked: Option<Asked>,
}

struct Asked {
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
        work: impl FnMut() -> Vec<u8>,
        registry: &mut Registry,
        now: Monotonic,
    ) {
        let asked = Some(Asked {
            deadline: now + limit,
            limit,
        });
        if let Some(open) = self.ask_again(&request, registry) {
            open.asked = asked;
            return;
        }
        match self.start_reader(&request, work, registry) {
            Ok((token, reader)) => {
                let open = Open {
                    request,
                    reader,
                    asked,
                };
                self.open.insert(token, open);
            }
            Err(reason) => self.results.push((request, Err(reason))),
        }
    }

    /// One that waits for this very request. One that waits for another of its kind, or has ended
    /// meanwhile, is of no use any more.
    fn ask_again(&mut self, request: &ReadRequest, registry: &mut Registry) -> Option<&mut Open> {
        let waits = |open: &Open| open.asked.is_none() && open.request.is_like(request);
        let (token, open) = self.open.iter_mut().find(|(_, open)| waits(open))?;
        let token = *token;
        if open.request != *request || open.reader.ask().is_err() {
            self.close(token, false, registry);
        }
        self.open.get_mut(&token)
    }

    fn start_reader(
        &self,
        request: &ReadRequest,
        work: impl FnMut() -> Vec<u8>,
        registry: &mut Registry,
    ) -> Result<(Token, Worker), String> {
        let is_hanging =
            |unreaped: &&Unreaped| unreaped.is_killed && unreaped.request.is_like(request);
        if self.unreaped.iter().filter(is_hanging).count() >= MAX_HANGING {
            return Err(format!("{MAX_HANGING} earlier reader processes still hang"));
        }
        let failed = |error| format!("cannot start a reader process: {error}");
        let mut reader = Worker::start(work).map_err(failed)?;
        reader.ask().map_err(failed)?;
        let token = registry.register(&reader, Owner::Reader, Interest::READABLE);
        Ok((token.map_err(failed)?, reader))
    }

    pub(super) fn ready(&mut self, token: Token, registry: &mut Registry) {
        let Some(open) = self.open.get_mut(&token) else {
            return;
        };
        let reading = open.reader.read();
        let result = match (open.reader.take_result(), reading) {
            (Some(result), _) => Ok(result),
            (None, Ok(Reading::Drained)) => return,
            (None, Ok(Reading::Unfinished)) => return registry.again(token),
            (None, Ok(Reading::Ended)) => Err("the reader process failed".to_owned()),
            (None, Err(error)) => Err(error.to_string()),
        };
        let may_stay = result.is_ok() && open.request.is_frequent();
        if open.asked.take().is_some() {
            self.results.push((open.request.clone(), result));
        }
        if !may_stay {
            self.close(token, false, registry);
        }
    }

    /// Kills readers whose time is over. Returns the next deadline.
    pub(super) fn tick(&mut self, registry: &mut Registry, now: Monotonic) -> Option<Monotonic> {
        let asked = |(token, open): (&Token, &Open)| Some((*token, open.asked.as_ref()?.deadline));
        let late = self.open.iter().filter_map(asked);
        let late: Vec<_> = late.filter(|(_, deadline)| *deadline <= now).collect();
        for (token, _) in late {
            self.give_up(token, registry);
        }
        let deadlines = self.open.iter().filter_map(asked);
        deadlines.map(|(_, deadline)| deadline).min()
    }

    fn give_up(&mut self, token: Token, registry: &mut Registry) {
        if let Some(Open { request, asked, .. }) = self.open.get(&token)
            && let Some(Asked { limit, .. }) = asked
        {
            let result = Err(format!("no answer for {limit:?}"));
            self.results.push((request.clone(), result));
        }
        self.close(token, true, registry);
    }

    fn close(&mut self, token: Token, kill: bool, registry: &mut Registry) {
        let Some(Open {
            request,
            mut reader,
            ..
        }) = self.open.remove(&token)
        else {
            return;
        };
        registry.forget(&reader, token);
        if kill {
            reader.kill();
        }
        reader.dismiss();
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
        let open = self.open.values().map(|open| &open.reader);
        let unreaped = self.unreaped.iter().map(|unreaped| &unreaped.reader);
        open.chain(unreaped).any(|reader| reader.id() == pid)
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
