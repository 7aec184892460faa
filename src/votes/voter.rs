//! A voter: what it grants, and what it refuses (rules V1 to V10).

use std::cmp::Ordering;
use std::time::Duration;

use super::counted::Listed;
use super::promises::{Promises, PromisesLeft};
use super::{Answer, Kind, ListStage, Mandate, Position, Record, Refusal, Request};
use crate::config::{ClusterName, VoterName};
use crate::time::Monotonic;

/// What the voter's daemon knows of its own server, when it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnServer {
    /// Of our own standby, as it was last polled.
    pub position: Option<Position>,
    /// Rule C6: would we promote it.
    pub willing: bool,
    /// Is it fenced when it has lost its lease; `None`: there is none that may be promoted.
    pub fences: Option<bool>,
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

/// Takes requests for a vote, and renewals.
#[derive(Clone, Debug)]
pub struct Voter {
    cluster: ClusterName,
    own: VoterName,
    /// As it is on the disk.
    listed: Listed,
    /// As it is on the disk, or may be: a write that failed may have happened.
    record: Record,
    /// The last write has not come back well yet.
    unsaved: Option<Unsaved>,
    last_save: SaveId,
    promises: Promises,
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
        let longest = record.voted_for.as_ref().map(|_| record.promise);
        Self {
            cluster,
            own,
            listed: Listed::of(&record),
            unsaved: None,
            last_save: SaveId(0),
            promises: Promises::after_restart(longest.unwrap_or_default(), now),
            record,
        }
    }

    /// The record, as far as this process knows.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Has the attempt that this request is of the vote in its term.
    pub(super) fn votes_for(&self, request: &Request) -> bool {
        self.record
            .is_for(request.term, &request.from, request.mandate)
    }

    /// Its list, as far as that is written.
    pub(super) fn listed(&self) -> &Listed {
        &self.listed
    }

    /// Whose vote it is.
    pub fn name(&self) -> &VoterName {
        &self.own
    }

    /// Has the last write come back well.
    pub fn is_saved(&self) -> bool {
        self.unsaved.is_none()
    }

    /// Is a vote being written, for which somebody waits.
    pub fn is_granting(&self) -> bool {
        let unsaved = self.unsaved.as_ref();
        unsaved.is_some_and(|unsaved| unsaved.waiting.is_some())
    }

    pub(super) fn last_save(&self) -> SaveId {
        self.last_save
    }

    /// Goes on where another has stood.
    pub(super) fn resume(
        &mut self,
        last_save: SaveId,
        left: Option<&PromisesLeft>,
        now: Monotonic,
    ) {
        self.last_save = last_save;
        if let Some(left) = left {
            self.promises = Promises::resume(left, now);
        }
    }

    /// For [`resume`](Self::resume).
    pub(super) fn promises_left(&self, now: Monotonic) -> PromisesLeft {
        self.promises.left(now)
    }

    /// To whom its vote is promised, and for how long still. After a restart: may be promised.
    pub fn promised(&self, now: Monotonic) -> Option<(&VoterName, Duration)> {
        let mandate = self.record.voted_for.as_ref();
        let candidate = mandate.map(|mandate| &mandate.candidate);
        self.promises.promised(candidate, now)
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
            return Taken::Answer(self.answer(request, Some(refused), server, now));
        }
        match request.kind {
            Kind::AskVote | Kind::AskRenew => {}
            Kind::Release => {
                let successor = request.successor.as_ref();
                self.promises.release(request.term, successor, now);
            }
            Kind::Vote | Kind::Renew => {
                if let Some(record) = self.record_of(request, now) {
                    let (id, record) = self.write(record, Some((asker, request.clone())));
                    return Taken::Write(id, record);
                }
                self.promise(request, now);
            }
        }
        Taken::Answer(self.answer(request, None, server, now))
    }

    /// Has the term that this daemon holds written down, 0 for none. `None`: another write is under
    /// way.
    pub(super) fn hold(&mut self, term: u64) -> Option<(SaveId, Record)> {
        if self.unsaved.is_some() {
            return None;
        }
        let held = Record {
            held_term: term,
            ..self.record.clone()
        };
        Some(self.write(held, None))
    }

    /// Has what was learnt of lists written down. `None`: another write is under way.
    pub(super) fn enter(&mut self, list: Record) -> Option<(SaveId, Record)> {
        self.unsaved.is_none().then(|| self.write(list, None))
    }

    /// A write has come back. If it has happened, what waits for it is granted; if not, it may still have.
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
            self.listed = Listed::of(&self.record);
        }
        let (asker, request) = waiting?;
        if is_done {
            self.promise(&request, now);
        }
        let refused = (!is_done).then_some((Refusal::Busy, None));
        Some((asker, self.answer(&request, refused, server, now)))
    }

    /// The first reason against it, in the order of the rules.
    fn refusal(&self, request: &Request, server: &OwnServer, now: Monotonic) -> Option<Refused> {
        if let Some(refusal) = self.refuses_list(request) {
            return Some((refusal, None));
        }
        let systems = request.system.as_ref().zip(server.system.as_ref());
        if systems.is_some_and(|(theirs, ours)| theirs != ours) {
            return Some((Refusal::System, None));
        }
        if self.unsaved.is_some() {
            return Some((Refusal::Busy, None));
        }
        let has_vote = self.votes_for(request);
        match request.kind {
            Kind::Release => (!has_vote).then_some((Refusal::Term, None)),
            Kind::AskRenew | Kind::Renew => self.refuses_renewal(request, has_vote, now),
            Kind::AskVote | Kind::Vote => {
                if request.term <= self.record.term && !has_vote {
                    return Some((Refusal::Term, None));
                }
                self.promised_to_another(&request.from, now)
                    .or_else(|| self.objection(request, server, now))
            }
        }
    }

    /// Rules V1 and L3. A release is of what we have promised, whatever has become of the list since.
    fn refuses_list(&self, request: &Request) -> Option<Refusal> {
        if self.listed.stage() == ListStage::Joining {
            return Some(Refusal::Joining);
        }
        let is_vote = matches!(request.kind, Kind::AskVote | Kind::Vote);
        let goes = request.kind == Kind::Release || self.listed.goes_with(request);
        let goes = goes && (!is_vote || self.listed.may_elect(request));
        (!goes).then_some(Refusal::List)
    }

    /// Rules V7 to V9. A renewal of a later term is taken whatever is promised: a majority has elected
    /// its holder, and none of them had promised anything to another then. So is one of the same term
    /// whose votes were split, ours being another's: nobody else can win that term any more.
    fn refuses_renewal(
        &self,
        request: &Request,
        has_vote: bool,
        now: Monotonic,
    ) -> Option<Refused> {
        let Record {
            term, held_term, ..
        } = self.record;
        let is_taken = match request.term.cmp(&term) {
            Ordering::Greater => true,
            Ordering::Equal if has_vote => !self.promises.is_released(term),
            Ordering::Equal => held_term != term && !self.record.is_vote_for(&request.from),
            Ordering::Less => false,
        };
        if !is_taken {
            return Some((Refusal::Term, None));
        }
        match request.kind {
            Kind::AskRenew => self.promised_to_another(&request.from, now),
            _ => None,
        }
    }

    /// Rule V3.
    fn promised_to_another(&self, candidate: &VoterName, now: Monotonic) -> Option<Refused> {
        let promised = self.promised(now).filter(|(to, _)| *to != candidate);
        if let Some((_, left)) = promised {
            let why = match self.promises.is_given() {
                true => Refusal::Promised,
                false => Refusal::Quarantine,
            };
            return Some((why, Some(left)));
        }
        let (to, left) = self.promises.reserved(now)?;
        (to != candidate).then_some((Refusal::Reserved, Some(left)))
    }

    /// Rules V4 and V5. Whoever is the primary wins the next term as what it is: a standby has nothing
    /// that it has not, unless on a later timeline. A successor has what its predecessor has written, and
    /// that one is down: its holder has looked.
    fn objection(&self, request: &Request, server: &OwnServer, now: Monotonic) -> Option<Refused> {
        if self.promises.reserved(now).is_some() {
            return None;
        }
        let is_primary = server.sighted.contains(&request.from);
        let theirs = request.position.as_ref();
        let is_ahead = |ours: &Position| match is_primary {
            true => ours.is_on_later_timeline_than(theirs),
            false => ours.is_ahead_of(theirs),
        };
        let is_further = server.position.as_ref().is_some_and(is_ahead);
        if self.is_willing(server) && is_further && request.from != self.own {
            return Some((Refusal::Behind, None));
        }
        let is_other = |sighted: &VoterName| *sighted != request.from;
        let sighted = server.sighted.iter().any(is_other);
        sighted.then_some((Refusal::Sighted, None))
    }

    /// Rule C6, which no voter meets that its list keeps from being elected.
    fn is_willing(&self, server: &OwnServer) -> bool {
        server.willing && self.listed.may_stand(&self.own)
    }

    /// What has to be written before this vote may be given or renewed; `None`: nothing more.
    fn record_of(&self, request: &Request, now: Monotonic) -> Option<Record> {
        // What this candidate was promised before may last longer.
        let left = self.left_of(&request.from, now);
        let promise = promise_of(request.lease).max(left);
        if self.votes_for(request) && promise <= self.record.promise {
            return None;
        }
        Some(Record {
            term: request.term,
            voted_for: Some(Mandate {
                candidate: request.from.clone(),
                nonce: request.mandate,
            }),
            promise,
            ..self.record.clone()
        })
    }

    fn write(&mut self, record: Record, waiting: Option<(Asker, Request)>) -> (SaveId, Record) {
        self.last_save = SaveId(self.last_save.0.wrapping_add(1));
        self.unsaved = Some(Unsaved { waiting });
        self.record = record.clone();
        (self.last_save, record)
    }

    /// From when the request is granted; never shorter than it was.
    fn promise(&mut self, request: &Request, now: Monotonic) {
        let left = self.left_of(&request.from, now);
        let until = now + promise_of(request.lease).max(left);
        self.promises.give(&request.from, until);
    }

    /// How long our vote is promised to this one still.
    fn left_of(&self, candidate: &VoterName, now: Monotonic) -> Duration {
        let promised = self.promised(now).filter(|(to, _)| *to == candidate);
        promised.map_or(Duration::ZERO, |(_, left)| left)
    }

    pub(super) fn answer(
        &self,
        request: &Request,
        refused: Option<Refused>,
        server: &OwnServer,
        now: Monotonic,
    ) -> Answer {
        let is_joining = self.listed.stage() == ListStage::Joining;
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
            willing: self.is_willing(server),
            fences: server.fences,
            list: self.listed.id().clone(),
            news: Some(Box::new(self.listed.news())),
            is_free: self.unsaved.is_none() && self.promised(now).is_none() && !is_joining,
        }
    }
}

/// How long a vote is promised: one part in 32 longer than the lease, for clocks whose rates differ by
/// up to 3 %.
pub fn promise_of(lease: Duration) -> Duration {
    lease.saturating_add(lease / 32)
}

#[cfg(test)]
#[path = "voter_tests.rs"]
mod tests;
