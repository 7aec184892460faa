//! One daemon in one voting cluster: its voter, its attempts, what it holds, and what goes from one to
//! the other. How an attempt goes is in `candidacy`, how a term is held in `tenure`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::handing::Handing;
use super::holder::{Holder, HolderLeft};
use super::promises::{PromisesLeft, RESERVATION};
use super::requests::{Question, Sender};
use super::survey::Survey;
use super::voter::{Asker, Taken};
use super::{
    Answer, Candidate, ElectionCounts, ExchangeId, Kind, Nonce, Output, OwnServer, Record, Refusal,
    Request, SaveId, Stage, Standing, Timers, Voter, VoterList,
};
use crate::config::{ClusterName, ObserverUrl, VoterName};
use crate::time::Monotonic;

/// What is known of another voter.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its last answer, or why there was none.
    pub outcome: Result<Answer, String>,
    /// When it came.
    pub at: Monotonic,
}

/// What a recording that begins while a daemon runs says besides the vote file: with it another process
/// goes on as this one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The highest term that any voter has reported.
    pub known_term: u64,
    /// The last write of the vote file.
    pub last_save: SaveId,
    /// How long it is until the others are asked whether they answer.
    pub check_in: Duration,
    /// What is left of promises; `None`: it was written by a version that knew none at such a moment.
    pub promises: Option<PromisesLeft>,
    /// What is left of the term that this daemon holds.
    pub holder: Option<HolderLeft>,
    /// The other voters that are known to vote in its list.
    pub voting: BTreeSet<VoterName>,
}

/// A daemon's part in the elections of a cluster.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) sender: Sender,
    pub(super) timers: Timers,
    pub(super) voter: Voter,
    pub(super) candidate: Candidate,
    pub(super) holder: Option<Holder>,
    handing: Option<Handing>,
    peers: BTreeMap<VoterName, Peer>,
    /// When the others are asked next for a vote that nobody wants.
    pub(super) check_at: Monotonic,
    pub(super) counts: ElectionCounts,
    /// The list of the configuration.
    pub(super) configured: VoterList,
    /// Where voters answer, the former ones too.
    pub(super) addresses: BTreeMap<VoterName, ObserverUrl>,
    /// Who is known to vote in our list, or a later one.
    pub(super) voting: BTreeSet<VoterName>,
    /// What the last round says of our list, until that is sealed.
    pub(super) survey: Option<Survey>,
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
        let configured = record.list.clone();
        let former = record.roll.former.iter().flatten();
        let known = former.filter_map(|(name, url)| Some((name.clone(), url.clone()?)));
        let addresses = known.collect();
        let voter = Voter::new(cluster.clone(), own.clone(), record, now);
        let mut member = Self {
            sender: Sender::new(cluster, own, voter.listed()),
            voter,
            timers,
            candidate: Candidate::new(seed),
            holder: None,
            handing: None,
            peers: BTreeMap::new(),
            check_at: now,
            counts: ElectionCounts::default(),
            configured,
            addresses,
            voting: BTreeSet::new(),
            survey: None,
        };
        member.return_to_term(now);
        member
    }

    /// Other times are in force.
    pub fn adopt(&mut self, timers: Timers, now: Monotonic) {
        self.timers = timers;
        self.return_to_term(now);
    }

    /// Goes on where another has stood.
    pub fn resume(&mut self, from: &Resumed, now: Monotonic) {
        self.candidate.resume(from.known_term);
        let promises = from.promises.as_ref();
        self.voter.resume(from.last_save, promises, now);
        self.check_at = now + from.check_in;
        self.voting.clone_from(&from.voting);
        if let Some((holder, left)) = self.holder.as_mut().zip(from.holder.as_ref()) {
            holder.resume(left, now);
        }
    }

    /// For [`resume`](Self::resume).
    pub fn resumed(&self, now: Monotonic) -> Resumed {
        Resumed {
            known_term: self.candidate.known_term(),
            last_save: self.voter.last_save(),
            check_in: self.check_at.max(now).since(now),
            promises: Some(self.voter.promises_left(now)),
            holder: self.holder.as_ref().map(|holder| holder.left(now)),
            voting: self.voting.clone(),
        }
    }

    /// Is there nothing about it that [`resumed`](Self::resumed) does not say: neither an attempt nor
    /// a time to wait, no round of renewals and no write.
    pub fn is_at_rest(&self, now: Monotonic) -> bool {
        self.candidate.is_at_rest(now)
            && self.voter.is_saved()
            && self.holder.as_ref().is_none_or(Holder::is_at_rest)
            && self.handing.is_none()
            && self.survey.as_ref().is_none_or(|it| it.is_over(now))
    }

    /// Its voter.
    pub fn voter(&self) -> &Voter {
        &self.voter
    }

    /// Its attempts.
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// The term that it holds, or is about to enter or to leave.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// What the other voters last answered.
    pub fn peers(&self) -> &BTreeMap<VoterName, Peer> {
        &self.peers
    }

    /// Where leases are in force here: the voters whose server may be promoted and is not fenced, by what
    /// they last answered. While there is one, nothing keeps its server from being a second primary.
    pub fn unfenced(&self) -> impl Iterator<Item = &VoterName> {
        let peers = self.peers.iter().filter(|_| self.timers.hold.is_some());
        peers.filter_map(|(voter, peer)| {
            let fences = peer.outcome.as_ref().ok()?.fences;
            (fences == Some(false)).then_some(voter)
        })
    }

    /// What has come of the elections so far.
    pub fn counts(&self) -> &ElectionCounts {
        &self.counts
    }

    /// May an attempt begin.
    pub fn standing(&self, now: Monotonic) -> Standing<'_> {
        match &self.holder {
            Some(holder) if holder.stage() == Stage::Holding => Standing::Holding(holder.term()),
            Some(holder) => Standing::Bound(holder.term()),
            None => match self.is_no_candidate() {
                Some(reason) => Standing::NoRecord(reason),
                None => self.candidate.standing(now),
            },
        }
    }

    /// Another daemon asks for our vote, or renews its term.
    pub fn requested(
        &mut self,
        id: ExchangeId,
        request: &Request,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let had_vote = self.voter.votes_for(request);
        let output = match self.voter.take(Asker::Peer(id), request, server, now) {
            Taken::Answer(answer) => {
                match request.kind {
                    Kind::Vote => self.counts.request(answer.refusal),
                    Kind::Release if answer.refusal.is_none() => {
                        self.released(request, now, out);
                    }
                    _ => {}
                }
                Output::Answer(id, answer)
            }
            Taken::Write(save, record) => Output::Save(save, record),
        };
        out.push(output);
        // Rule V8.
        if request.kind == Kind::Renew && !had_vote && self.voter.votes_for(request) {
            self.overtaken(now, out);
            self.lose_lease_to(request.term, out);
        }
        if let Some(news) = &request.news {
            self.note_voting(&request.from, Some(&request.list));
            self.learn_list(Some((&request.list, news)), out);
        }
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
        let listed = self.voter.listed().clone();
        match self.voter.saved(id, is_done, server, now) {
            None => {}
            Some((Asker::Peer(id), answer)) => {
                if answer.kind == Kind::Vote {
                    self.counts.request(answer.refusal);
                }
                out.push(Output::Answer(id, answer));
            }
            Some((Asker::Own, answer)) if answer.kind == Kind::Renew => {
                let (own, of) = (answer.from.clone(), (answer.nonce, answer.kind));
                self.count_list(&own, &answer, now, out);
                self.count_round(&own, of, &Ok(answer), server, now, out);
            }
            Some((Asker::Own, answer)) => self.own_vote_saved(&answer, server, now, out),
        }
        if is_done {
            self.held_term_saved(id, now, out);
            self.write_held_term(out);
            self.list_saved(&listed, now, out);
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
        let votes = |it: &&Answer| it.news.is_some() && it.refusal != Some(Refusal::Joining);
        let votes = outcome.as_ref().ok().filter(votes);
        self.note_voting(voter, votes.map(|it| &it.list));
        if let Ok(answer) = &outcome {
            self.candidate.learn(answer.term);
            self.count_list(voter, answer, now, out);
            if let Some(news) = &answer.news {
                self.learn_list(Some((&answer.list, news)), out);
            }
        }
        match of.1.is_renewal() {
            true => self.count_round(voter, of, &outcome, server, now, out),
            false => self.count(voter, of, &outcome, server, now, out),
        }
        if let Some(handing) = self.handing.as_mut().filter(|_| of.1 == Kind::Release) {
            handing.answered(voter, &outcome);
        }
        // What is answered to a release says nothing of the next vote.
        if of.1 != Kind::Release || outcome.is_err() {
            self.peers.insert(voter.clone(), Peer { outcome, at: now });
        }
    }

    /// Ends an attempt whose time is over, and does what a holder has to do. Now and then the others
    /// are asked for a vote that nobody wants, which changes nothing (rule V6), so that before an
    /// outage
    /// - an operator learns who would not answer, or has another list or secret (`/votes.json`, the
    ///   alert of voters that disagree);
    /// - their terms are known: an attempt in a term that is over is refused by everybody;
    /// - their last challenges are known: an attempt takes one round trip for each phase, not two.
    ///
    /// A holder asks them more often than that.
    pub fn tick(&mut self, server: &OwnServer, now: Monotonic, out: &mut Vec<Output>) {
        if self.candidate.is_overdue(now) {
            self.lose(now, out);
        }
        self.tick_holder(server, now, out);
        self.tick_handing(now, out);
        if self.check_at <= now {
            self.check_at = now + self.check_interval();
            if self.candidate.attempt().is_none() && self.holder.is_none() {
                self.check(server, now, out);
            }
        }
    }

    fn tick_handing(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let term = self.voter.record().term;
        // Whatever the same voter is asked next takes the place of what it was asked before.
        let is_asking = self.candidate.attempt().is_some();
        self.handing
            .take_if(|handing| is_asking || handing.is_over(term, now));
        if let Some(handing) = &mut self.handing {
            handing.tick(&self.sender, self.timers.vote_timeout, now, out);
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_deadline(&self) -> Monotonic {
        let attempt = self.candidate.next_deadline();
        let holder = self.holder.as_ref().and_then(Holder::next_deadline);
        let handing = self.handing.as_ref().map(Handing::next_deadline);
        let others = attempt.into_iter().chain(holder).chain(handing);
        others.fold(self.check_at, Monotonic::min)
    }

    /// The host was suspended for so long: what was promised to us has gone on to run out. What we have
    /// promised lasts longer for it.
    pub fn slept(&mut self, time: Duration) {
        self.candidate.slept(time);
        if let Some(holder) = &mut self.holder {
            holder.slept(time);
        }
    }

    /// A primary is there again.
    pub fn outage_over(&mut self) {
        self.candidate.outage_over();
    }

    /// Gives back the vote of this attempt, which is over, and reserves the next for that successor.
    pub(super) fn release(
        &mut self,
        of: (u64, Nonce),
        successor: Option<VoterName>,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let question = self.release_own(of, successor, now);
        self.sender.ask_others(&question, out);
        self.handing = Handing::of(&question, &self.sender, self.timers.vote_timeout, now);
        // Whatever the same voter is asked next takes the place of what it was asked before.
        self.check_at = self.check_at.max(now + self.timers.vote_timeout);
    }

    /// The same with our own voter alone: what the others would be asked.
    pub(super) fn release_own(
        &mut self,
        (term, mandate): (u64, Nonce),
        successor: Option<VoterName>,
        now: Monotonic,
    ) -> Question {
        let question = Question {
            kind: Kind::Release,
            term,
            nonce: mandate,
            mandate,
            lease: self.timers.lease,
            position: None,
            system: None,
            successor,
            list: None,
        };
        let request = self.sender.to_ourselves(&question);
        self.voter
            .take(Asker::Own, &request, &OwnServer::default(), now);
        question
    }

    fn check(&mut self, server: &OwnServer, now: Monotonic, out: &mut Vec<Output>) {
        if !self.is_to_check() {
            return;
        }
        let nonce = self.candidate.next_nonce();
        let question = Question {
            kind: Kind::AskVote,
            term: self.voter.record().term.saturating_add(1),
            nonce,
            mandate: nonce,
            lease: self.timers.lease,
            position: server.position,
            system: server.system.clone(),
            successor: None,
            list: None,
        };
        self.survey_ourselves(&question, server, now, out);
        self.sender.ask_others(&question, out);
    }

    /// Rule V10: another has released its term, perhaps for us (rule S4).
    fn released(&mut self, request: &Request, now: Monotonic, out: &mut Vec<Output>) {
        self.candidate.promise_over(&self.timers, now);
        if request.successor.as_ref() == Some(&self.sender.own) {
            self.candidate.succeeds(&request.from, now + RESERVATION);
            out.push(Output::Reserved(request.from.clone()));
        }
    }
}

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
