//! A voter: what it grants, and what it refuses (rules V1 to V6 and V10).

use std::time::Duration;

use super::{Answer, Kind, ListId, Mandate, Position, Record, Refusal, Request};
use crate::config::{ClusterName, VoterName};
use crate::time::Monotonic;

/// What the voter's daemon knows of its own server, when it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnServer {
    /// Of our own standby, as it was last polled.
    pub position: Option<Position>,
    /// Rule C6: would we promote it.
    pub willing: bool,
    /// Its system identifier.
    pub system: Option<String>,
    /// The primaries that we have reached ourselves within two poll intervals.
    pub sighted: Vec<VoterName>,
}

/// Which request an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u64);

/// Which write of the vote file has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaveId(pub u64);

/// Takes requests for a vote.
#[derive(Clone, Debug)]
pub struct Voter {
    cluster: ClusterName,
    own: VoterName,
    list: ListId,
    /// As it is on the disk, or may be: a write that failed may have happened.
    record: Record,
    /// The last write has not come back well yet.
    unsaved: Option<Unsaved>,
    last_save: SaveId,
    promise: Option<Promise>,
    /// Until then a promise of the process before us may last.
    quarantine: Option<Monotonic>,
}

#[derive(Clone, Debug)]
struct Unsaved {
    /// Whoever is to be answered when the write has come back, and what was asked for.
    waiting: Option<(Asker, Request)>,
}

/// Who has asked for the vote that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Another daemon.
    Peer(ExchangeId),
    /// This daemon, for its own attempt.
    Own,
}

/// To vote for nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Promise {
    to: VoterName,
    until: Monotonic,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Taken {
    /// This is the answer.
    Answer(Answer),
    /// The record has to be written first.
    Write(SaveId, Record),
}

/// A refusal, and how long the reason lasts.
type Refused = (Refusal, Option<Duration>);

impl Voter {
    /// A voter that begins with this record, which was read from its file. A promise that it may have
    /// given before is kept for all of its length.
    pub fn new(cluster: ClusterName, own: VoterName, record: Record, now: Monotonic) -> Self {
        let has_promised = record.voted_for.is_some() && !record.promise.is_zero();
        Self {
            cluster,
            own,
            list: record.list.id(),
            unsaved: None,
            last_save: SaveId(0),
            promise: None,
            quarantine: has_promised.then(|| now + record.promise),
            record,
        }
    }

    /// The record, as far as this process knows.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whose vote it is.
    pub fn name(&self) -> &VoterName {
        &self.own
    }

    /// Has the last write come back well.
    pub fn is_saved(&self) -> bool {
        self.unsaved.is_none()
    }

    pub(super) fn last_save(&self) -> SaveId {
        self.last_save
    }

    pub(super) fn resume(&mut self, last_save: SaveId) {
        self.last_save = last_save;
    }

    /// To whom its vote is promised, and for how long still. After a restart: may be promised.
    pub fn promised(&self, now: Monotonic) -> Option<(&VoterName, Duration)> {
        let given = self
            .promise
            .as_ref()
            .map(|promise| (&promise.to, promise.until));
        let candidate = self
            .record
            .voted_for
            .as_ref()
            .map(|mandate| &mandate.candidate);
        let (to, until) = given.or_else(|| candidate.zip(self.quarantine))?;
        (until > now).then(|| (to, until.since(now)))
    }

    /// Takes a request.
    pub(super) fn take(
        &mut self,
        asker: Asker,
        request: &Request,
        server: &OwnServer,
        now: Monotonic,
    ) -> Taken {
        if let Some(refused) = self.refusal(request, server, now) {
            return Taken::Answer(self.answer(request, Some(refused), server));
        }
        match request.kind {
            Kind::AskVote => {}
            Kind::Release => (self.promise, self.quarantine) = (None, None),
            Kind::Vote => {
                if let Some(record) = self.record_of(request, now) {
                    return self.write(asker, request, record);
                }
                self.promise(request, now);
            }
        }
        Taken::Answer(self.answer(request, None, server))
    }

    /// A write has come back. If it has happened, the vote is granted; if not, it may still have.
    /// Returns whoever waits for the outcome.
    pub(super) fn saved(
        &mut self,
        id: SaveId,
        is_done: bool,
        server: &OwnServer,
        now: Monotonic,
    ) -> Option<(Asker, Answer)> {
        if id != self.last_save {
            return None;
        }
        let waiting = self.unsaved.as_mut().and_then(|it| it.waiting.take());
        if is_done {
            self.unsaved = None;
        }
        let (asker, request) = waiting?;
        if is_done {
            self.promise(&request, now);
        }
        let refused = (!is_done).then_some((Refusal::Busy, None));
        Some((asker, self.answer(&request, refused, server)))
    }

    /// The first reason against it, in the order of the rules.
    fn refusal(&self, request: &Request, server: &OwnServer, now: Monotonic) -> Option<Refused> {
        if request.list != self.list || !self.record.list.names.contains(&request.from) {
            return Some((Refusal::List, None));
        }
        let systems = request.system.as_ref().zip(server.system.as_ref());
        if systems.is_some_and(|(theirs, ours)| theirs != ours) {
            return Some((Refusal::System, None));
        }
        if self.unsaved.is_some() {
            return Some((Refusal::Busy, None));
        }
        let has_vote = self
            .record
            .is_for(request.term, &request.from, request.nonce);
        if request.kind == Kind::Release {
            return (!has_vote).then_some((Refusal::Term, None));
        }
        if request.term <= self.record.term && !has_vote {
            return Some((Refusal::Term, None));
        }
        self.promised_to_another(&request.from, now)
            .or_else(|| self.knows_better(request, server))
    }

    /// Rule V3.
    fn promised_to_another(&self, candidate: &VoterName, now: Monotonic) -> Option<Refused> {
        let (to, left) = self.promised(now)?;
        let why = match self.promise {
            Some(_) => Refusal::Promised,
            None => Refusal::Quarantine,
        };
        (to != candidate).then_some((why, Some(left)))
    }

    /// Rules V4 and V5.
    fn knows_better(&self, request: &Request, server: &OwnServer) -> Option<Refused> {
        let is_ahead = |ours: &Position| ours.is_ahead_of(request.position.as_ref());
        let is_further = server.position.as_ref().is_some_and(is_ahead);
        if server.willing && is_further && request.from != self.own {
            return Some((Refusal::Behind, None));
        }
        let is_other = |sighted: &VoterName| *sighted != request.from;
        let sighted = server.sighted.iter().any(is_other);
        sighted.then_some((Refusal::Sighted, None))
    }

    /// What has to be written before this vote may be given; `None`: nothing more.
    fn record_of(&self, request: &Request, now: Monotonic) -> Option<Record> {
        // What this candidate was promised before may last longer.
        let left = self.promised(now).map_or(Duration::ZERO, |it| it.1);
        let promise = promise_of(request.lease).max(left);
        let is_same = self
            .record
            .is_for(request.term, &request.from, request.nonce);
        if is_same && promise <= self.record.promise {
            return None;
        }
        Some(Record {
            list: self.record.list.clone(),
            term: request.term,
            voted_for: Some(Mandate {
                candidate: request.from.clone(),
                nonce: request.nonce,
            }),
            promise,
        })
    }

    fn write(&mut self, asker: Asker, request: &Request, record: Record) -> Taken {
        self.last_save = SaveId(self.last_save.0.wrapping_add(1));
        self.unsaved = Some(Unsaved {
            waiting: Some((asker, request.clone())),
        });
        self.record = record.clone();
        Taken::Write(self.last_save, record)
    }

    /// From when the request is granted; never shorter than it was.
    fn promise(&mut self, request: &Request, now: Monotonic) {
        let until = now + promise_of(request.lease);
        // Of nobody else: the request would have been refused.
        let before = self.promised(now).map(|(_, left)| now + left);
        self.promise = Some(Promise {
            to: request.from.clone(),
            until: before.map_or(until, |before| before.max(until)),
        });
        self.quarantine = None;
    }

    pub(super) fn answer(
        &self,
        request: &Request,
        refused: Option<Refused>,
        server: &OwnServer,
    ) -> Answer {
        let candidate = self.record.voted_for.as_ref();
        Answer {
            cluster: self.cluster.clone(),
            from: self.own.clone(),
            to: request.from.clone(),
            kind: request.kind,
            nonce: request.nonce,
            refusal: refused.map(|(refusal, _)| refusal),
            wait: refused.and_then(|(_, wait)| wait),
            term: self.record.term,
            voted_for: candidate.map(|mandate| mandate.candidate.clone()),
            position: server.position,
            willing: server.willing,
            list: self.list.clone(),
        }
    }
}

/// How long a vote is promised: one part in 32 longer than the lease, for clocks whose rates differ by
/// up to 3 %.
pub(super) fn promise_of(lease: Duration) -> Duration {
    lease.saturating_add(lease / 32)
}

#[cfg(test)]
#[path = "voter_tests.rs"]
mod tests;
