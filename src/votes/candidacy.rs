//! The attempts of a daemon, from the first question to the end (rules C2 to C5): what its candidate
//! counts, its own voter has to grant and write first.

use super::candidate::{Aim, Attempt, Phase};
use super::requests::Question;
use super::tally::Progress;
use super::voter::{Asker, Taken};
use super::{Answer, Kind, Member, Nonce, Output, OwnServer, Position, Standing};
use crate::config::VoterName;
use crate::time::Monotonic;

impl Member {
    /// Begins an attempt to be elected, if one may begin: that of a successor, if a holder has released
    /// its term for us.
    pub fn stand(&mut self, server: &OwnServer, now: Monotonic, out: &mut Vec<Output>) {
        if self.standing(now) == Standing::Free {
            let aim = match self.candidate.predecessor(now) {
                Some(_) => Aim::Succeed,
                None => Aim::Promote,
            };
            self.begin_attempt((server.position, aim), server, now, out);
        }
    }

    /// The same for a primary that runs without a lease, because the cluster has never voted or somebody
    /// has promoted it by hand: it wins the next term, and nothing is run for that. `position`: where it
    /// writes.
    pub fn claim(
        &mut self,
        position: Option<Position>,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        if self.timers.hold.is_some()
            && self.standing(now) == Standing::Free
            && self.candidate.may_claim(now)
        {
            self.begin_attempt((position, Aim::Claim), server, now, out);
        }
    }

    fn begin_attempt(
        &mut self,
        (position, aim): (Option<Position>, Aim),
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let Some(counted) = self.voter.listed().counted() else {
            return;
        };
        let record = self.voter.record();
        let term = record.term.max(record.roll.floor);
        let of_server = (position, server.system.clone(), aim);
        let timers = &self.timers;
        let attempt = self.candidate.begin(term, counted, of_server, timers, now);
        let (nonce, kind) = (attempt.nonce, Kind::AskVote);
        let Some(question) = self.question(kind) else {
            return;
        };
        self.sender.ask_others(&question, out);
        // Asking changes nothing, so nothing has to be written.
        let request = self.sender.to_ourselves(&question);
        if let Taken::Answer(answer) = self.voter.take(Asker::Own, &request, server, now) {
            let own = self.sender.own.clone();
            self.count(&own, (nonce, kind), &Ok(answer), server, now, out);
        }
    }

    /// A promotion is not wanted any more.
    pub fn abandon(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        if let Some(over) = self.candidate.abandon() {
            self.counts.attempt("abandoned");
            self.release_attempt(&over, now, out);
        }
    }

    /// Rule V8: another holds this term or a later one, so our own attempt is void. Our vote is its already.
    pub(super) fn overtaken(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let Some(over) = self.candidate.overtaken() else {
            return;
        };
        self.counts.attempt("abandoned");
        if over.phase == Phase::Voting {
            self.release((over.tally.term, over.nonce), None, now, out);
        }
    }

    pub(super) fn count(
        &mut self,
        voter: &VoterName,
        (nonce, kind): (Nonce, Kind),
        outcome: &Result<Answer, String>,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let progress = self.candidate.answered(voter, (nonce, kind), outcome);
        match progress {
            Progress::Open => {}
            // Whatever has come in: the votes may not be promised to us any more.
            _ if self.candidate.is_overdue(now) => self.lose(now, out),
            Progress::Lost => self.lose(now, out),
            // Rule C4.
            Progress::Majority if kind == Kind::Vote && self.is_too_late(now) => {
                self.lose(now, out);
            }
            Progress::Majority if kind == Kind::Vote => {
                if let Some(attempt) = self.candidate.win() {
                    self.counts.attempt("won");
                    self.won(&attempt, now, out);
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
        let Some(question) = self.question(Kind::Vote) else {
            return;
        };
        let request = self.sender.to_ourselves(&question);
        self.candidate.enter(Phase::Writing, &self.timers, now);
        match self.voter.take(Asker::Own, &request, server, now) {
            Taken::Write(id, record) => out.push(Output::Save(id, record)),
            Taken::Answer(answer) => self.own_vote_saved(&answer, server, now, out),
        }
    }

    pub(super) fn own_vote_saved(
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
            self.release_own((answer.term, answer.nonce), None, now);
            return;
        }
        if answer.refusal.is_some() {
            self.lose(now, out);
            return;
        }
        self.candidate.enter(Phase::Voting, &self.timers, now);
        if let Some(attempt) = self.candidate.attempt() {
            let counted = attempt.tally.counted().clone();
            self.survey((answer.nonce, Kind::Vote), &counted, now);
        }
        if let Some(question) = self.question(Kind::Vote) {
            self.sender.ask_others(&question, out);
        }
        let own = self.sender.own.clone();
        self.count_list(&own, answer, now, out);
        let of = (answer.nonce, Kind::Vote);
        self.count(&own, of, &Ok(answer.clone()), server, now, out);
    }

    pub(super) fn lose(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let Some(over) = self.candidate.lose(&self.timers, now) else {
            return;
        };
        self.counts.lost(&over.tally);
        out.push(Output::Lost);
        self.release_attempt(&over, now, out);
    }

    /// Rule C5: of an attempt that has our own vote. Nothing was won by it, so nothing can have been
    /// promoted. A successor that tries again reserves the next votes for itself.
    fn release_attempt(&mut self, over: &Attempt, now: Monotonic, out: &mut Vec<Output>) {
        let (record, own) = (self.voter.record(), self.sender.own.clone());
        if record.is_for(over.tally.term, &own, over.nonce) {
            let again = over.aim == Aim::Succeed && self.candidate.predecessor(now).is_some();
            let of = (over.tally.term, over.nonce);
            self.release(of, again.then_some(own), now, out);
        }
    }

    /// What the attempt that is under way asks for.
    fn question(&self, kind: Kind) -> Option<Question> {
        let attempt = self.candidate.attempt()?;
        Some(Question {
            kind,
            term: attempt.tally.term,
            nonce: attempt.nonce,
            mandate: attempt.nonce,
            lease: self.timers.lease,
            position: attempt.position,
            system: attempt.system.clone(),
            successor: None,
            list: Some(attempt.tally.list().clone()),
        })
    }
}
