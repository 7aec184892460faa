//! One daemon in one voting cluster: its voter, its attempts, and what goes from one to the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::candidate::{Attempt, Phase, Progress};
use super::voter::{Asker, Taken};
use super::{
    Answer, Candidate, ElectionCounts, ExchangeId, Kind, Nonce, OwnServer, Position, Record,
    Request, SaveId, Standing, Timers, Voter, VoterList,
};
use crate::config::{ClusterName, VoterName};
use crate::time::Monotonic;

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ask this voter.
    Send(Request),
    /// Answer this request.
    Answer(ExchangeId, Answer),
    /// Write the vote file; nothing that depends on it is sent before that has come back.
    Save(SaveId, Record),
    /// This daemon is elected in this term, and may promote its node, once.
    Elected(u64),
    /// The attempt is over, and was not won.
    Lost,
}

/// What is known of another voter.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its last answer, or why there was none.
    pub outcome: Result<Answer, String>,
    /// When it came.
    pub at: Monotonic,
}

/// What a recording that begins while a daemon runs says besides the vote file: with it another process
/// numbers its questions and writes as this one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The highest term that any voter has reported.
    pub known_term: u64,
    /// The last write of the vote file.
    pub last_save: SaveId,
    /// How long it is until the others are asked whether they answer.
    pub check_in: Duration,
}

/// A daemon's part in the elections of a cluster.
#[derive(Clone, Debug)]
pub struct Member {
    cluster: ClusterName,
    list: VoterList,
    timers: Timers,
    voter: Voter,
    candidate: Candidate,
    peers: BTreeMap<VoterName, Peer>,
    /// When the others are asked next for a vote that nobody wants.
    check_at: Monotonic,
    counts: ElectionCounts,
}

impl Member {
    /// Begins with the record that was read from the vote file. `seed`: random bits that no other
    /// process gets.
    pub fn new(
        (cluster, own): (ClusterName, VoterName),
        record: Record,
        timers: Timers,
        seed: u128,
        now: Monotonic,
    ) -> Self {
        Self {
            list: record.list.clone(),
            voter: Voter::new(cluster.clone(), own, record, now),
            cluster,
            timers,
            candidate: Candidate::new(seed),
            peers: BTreeMap::new(),
            check_at: now,
            counts: ElectionCounts::default(),
        }
    }

    /// Other times are in force.
    pub fn adopt(&mut self, timers: Timers) {
        self.timers = timers;
    }

    /// Goes on where another has stood.
    pub fn resume(&mut self, from: &Resumed, now: Monotonic) {
        self.candidate.resume(from.known_term);
        self.voter.resume(from.last_save);
        self.check_at = now + from.check_in;
    }

    /// For [`resume`](Self::resume).
    pub fn resumed(&self, now: Monotonic) -> Resumed {
        Resumed {
            known_term: self.candidate.known_term(),
            last_save: self.voter.last_save(),
            check_in: self.check_at.max(now).since(now),
        }
    }

    /// Its record, with what is left of its promise: another process keeps all of that.
    pub fn record_now(&self, now: Monotonic) -> Record {
        Record {
            promise: self.voter.promised(now).map_or(Duration::ZERO, |it| it.1),
            ..self.voter.record().clone()
        }
    }

    /// Is there nothing about it that ends by itself, or with the outage: neither an attempt nor a
    /// time to wait, no promise and no write.
    pub fn is_at_rest(&self, now: Monotonic) -> bool {
        self.candidate.is_at_rest(now)
            && self.voter.is_saved()
            && self.voter.promised(now).is_none()
    }

    /// Who votes.
    pub fn list(&self) -> &VoterList {
        &self.list
    }

    /// Its voter.
    pub fn voter(&self) -> &Voter {
        &self.voter
    }

    /// Its attempts.
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// What the other voters last answered.
    pub fn peers(&self) -> &BTreeMap<VoterName, Peer> {
        &self.peers
    }

    /// What has come of the elections so far.
    pub fn counts(&self) -> &ElectionCounts {
        &self.counts
    }

    /// May an attempt begin.
    pub fn standing(&self, now: Monotonic) -> Standing<'_> {
        self.candidate.standing(now)
    }

    /// Begins an attempt, if one may begin.
    pub fn stand(&mut self, server: &OwnServer, now: Monotonic, out: &mut Vec<Output>) {
        if self.standing(now) != Standing::Free {
            return;
        }
        let term = self.voter.record().term;
        let of_server = (server.position, server.system.clone());
        let attempt = self
            .candidate
            .begin(term, &self.list, of_server, &self.timers, now);
        let (nonce, kind) = (attempt.nonce, Kind::AskVote);
        self.send(kind, out);
        let Some(request) = self.request(kind, self.voter.name()) else {
            return;
        };
        // Asking changes nothing, so nothing has to be written.
        if let Taken::Answer(answer) = self.voter.take(Asker::Own, &request, server, now) {
            self.count(
                &self.voter.name().clone(),
                (nonce, kind),
                &Ok(answer),
                server,
                now,
                out,
            );
        }
    }

    /// Another daemon asks for our vote.
    pub fn requested(
        &mut self,
        id: ExchangeId,
        request: &Request,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let output = match self.voter.take(Asker::Peer(id), request, server, now) {
            Taken::Answer(answer) => {
                if request.kind == Kind::Vote {
                    self.counts.request(answer.refusal);
                }
                Output::Answer(id, answer)
            }
            Taken::Write(save, record) => Output::Save(save, record),
        };
        out.push(output);
    }

    /// A write of the vote file has come back: has it happened.
    pub fn saved(
        &mut self,
        id: SaveId,
        is_done: bool,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        match self.voter.saved(id, is_done, server, now) {
            None => {}
            Some((Asker::Peer(id), answer)) => {
                self.counts.request(answer.refusal);
                out.push(Output::Answer(id, answer));
            }
            Some((Asker::Own, answer)) => self.own_vote_saved(&answer, server, now, out),
        }
    }

    /// Another voter has answered, or has not.
    pub fn answered(
        &mut self,
        voter: &VoterName,
        of: (Nonce, Kind),
        outcome: Result<Answer, String>,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        self.count(voter, of, &outcome, server, now, out);
        // What is answered to a release says nothing of the next vote.
        if of.1 != Kind::Release || outcome.is_err() {
            self.peers.insert(voter.clone(), Peer { outcome, at: now });
        }
    }

    /// Ends an attempt whose time is over. Now and then the others are asked for a vote that nobody
    /// wants, which changes nothing (rule V6), so that before an outage
    /// - an operator learns who would not answer, or has another list or secret (`/votes.json`, the
    ///   alert of voters that disagree);
    /// - their terms are known: an attempt in a term that is over is refused by everybody;
    /// - their last challenges are known: an attempt takes one round trip for each phase, not two.
    pub fn tick(&mut self, server: &OwnServer, now: Monotonic, out: &mut Vec<Output>) {
        if self.candidate.is_overdue(now) {
            self.lose(now, out);
        }
        if self.check_at <= now {
            self.check_at = now + CHECK_INTERVAL;
            if self.candidate.attempt().is_none() {
                self.check(server, out);
            }
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_deadline(&self) -> Monotonic {
        let attempt = self.candidate.next_deadline();
        attempt.map_or(self.check_at, |attempt| attempt.min(self.check_at))
    }

    /// A promotion is not wanted any more.
    pub fn abandon(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        if let Some(over) = self.candidate.abandon() {
            self.counts.attempt("abandoned");
            self.release(&over, now, out);
        }
    }

    /// The failover command that was run after an election has failed. What was won is not released:
    /// a promotion may still be pending inside the server, and nothing fences it.
    pub fn command_failed(&mut self, now: Monotonic) {
        self.candidate.command_failed(&self.timers, now);
    }

    /// Rule C5: what was won is not used. No command was run, so nothing can have been promoted.
    pub fn give_back(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let (record, own) = (self.voter.record(), self.voter.name());
        let mandate = record.voted_for.as_ref();
        if mandate.is_some_and(|mandate| mandate.candidate == *own) {
            self.release_own_vote(now, out);
        }
    }

    /// A primary is there again.
    pub fn outage_over(&mut self) {
        self.candidate.outage_over();
    }

    fn count(
        &mut self,
        voter: &VoterName,
        (nonce, kind): (Nonce, Kind),
        outcome: &Result<Answer, String>,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let progress = self
            .candidate
            .answered(voter, (nonce, kind), outcome, &self.list);
        match progress {
            Progress::Open => {}
            // Whatever has come in: the votes may not be promised to us any more.
            _ if self.candidate.is_overdue(now) => self.lose(now, out),
            Progress::Lost => self.lose(now, out),
            Progress::Majority if kind == Kind::Vote => {
                if let Some(attempt) = self.candidate.win() {
                    self.counts.attempt("won");
                    out.push(Output::Elected(attempt.tally.term));
                }
            }
            Progress::Majority if self.candidate.is_to_defer() => {
                self.candidate.defer(&self.timers, now);
                self.counts.attempt("deferred");
                out.push(Output::Lost);
            }
            Progress::Majority => self.vote_for_ourselves(server, now, out),
        }
    }

    /// Rule C3: our own vote is written before any other is asked for.
    fn vote_for_ourselves(&mut self, server: &OwnServer, now: Monotonic, out: &mut Vec<Output>) {
        let Some(request) = self.request(Kind::Vote, self.voter.name()) else {
            return;
        };
        self.candidate.enter(Phase::Writing, &self.timers, now);
        match self.voter.take(Asker::Own, &request, server, now) {
            Taken::Write(id, record) => out.push(Output::Save(id, record)),
            Taken::Answer(answer) => self.own_vote_saved(&answer, server, now, out),
        }
    }

    fn own_vote_saved(
        &mut self,
        answer: &Answer,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let attempt = self.candidate.attempt();
        let is_awaited = |it: &&Attempt| it.phase == Phase::Writing && it.nonce == answer.nonce;
        if attempt.filter(is_awaited).is_none() {
            // Its release came before the write had ended, and the others were never asked.
            let own = self.voter.name();
            let of = (Kind::Release, answer.term, answer.nonce);
            let release = self.request_of(of, (None, None), own);
            self.voter
                .take(Asker::Own, &release, &OwnServer::default(), now);
            return;
        }
        if answer.refusal.is_some() {
            self.lose(now, out);
            return;
        }
        self.candidate.enter(Phase::Voting, &self.timers, now);
        self.send(Kind::Vote, out);
        let own = self.voter.name().clone();
        let of = (answer.nonce, Kind::Vote);
        self.count(&own, of, &Ok(answer.clone()), server, now, out);
    }

    fn lose(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let Some(over) = self.candidate.lose(&self.timers, now) else {
            return;
        };
        self.counts.lost(&over.tally);
        out.push(Output::Lost);
        self.release(&over, now, out);
    }

    /// Rule C5: of an attempt that has our own vote. Nothing was won by it, so nothing can have been
    /// promoted.
    fn release(&mut self, over: &Attempt, now: Monotonic, out: &mut Vec<Output>) {
        let own = self.voter.name();
        if self.voter.record().is_for(over.tally.term, own, over.nonce) {
            self.release_own_vote(now, out);
        }
    }

    /// Of the attempt that has it.
    fn release_own_vote(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let (record, own) = (self.voter.record(), self.voter.name().clone());
        let Some(mandate) = &record.voted_for else {
            return;
        };
        let of = (Kind::Release, record.term, mandate.nonce);
        let request = |to: &VoterName| self.request_of(of, (None, None), to);
        out.extend(self.others().map(|to| Output::Send(request(to))));
        let to_ourselves = request(&own);
        self.voter
            .take(Asker::Own, &to_ourselves, &OwnServer::default(), now);
        // Whatever the same voter is asked next takes the place of what it was asked before.
        self.check_at = self.check_at.max(now + self.timers.vote_timeout);
    }

    /// The other voters.
    fn others(&self) -> impl Iterator<Item = &VoterName> {
        let own = self.voter.name();
        self.list.names.iter().filter(move |name| *name != own)
    }

    /// Asks all others.
    fn send(&self, kind: Kind, out: &mut Vec<Output>) {
        let requests = self.others().filter_map(|to| self.request(kind, to));
        out.extend(requests.map(Output::Send));
    }

    fn request(&self, kind: Kind, to: &VoterName) -> Option<Request> {
        let attempt = self.candidate.attempt()?;
        let of = (kind, attempt.tally.term, attempt.nonce);
        let server = (attempt.position, attempt.system.clone());
        Some(self.request_of(of, server, to))
    }

    fn request_of(
        &self,
        (kind, term, nonce): (Kind, u64, Nonce),
        (position, system): (Option<Position>, Option<String>),
        to: &VoterName,
    ) -> Request {
        Request {
            cluster: self.cluster.clone(),
            from: self.voter.name().clone(),
            to: to.clone(),
            kind,
            term,
            nonce,
            lease: self.timers.lease,
            position,
            system,
            list: self.list.id(),
        }
    }

    fn check(&mut self, server: &OwnServer, out: &mut Vec<Output>) {
        let nonce = self.candidate.next_nonce();
        let of = (
            Kind::AskVote,
            self.voter.record().term.saturating_add(1),
            nonce,
        );
        let server = (server.position, server.system.clone());
        let requests = self
            .others()
            .map(|to| self.request_of(of, server.clone(), to));
        out.extend(requests.map(Output::Send));
    }
}

/// Between two questions whether the other voters answer.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
