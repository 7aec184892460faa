//! How a daemon holds a term (rules C4, C5, C7 and H1 to H7): what its holder counts, its own voter
//! writes down and renews. What is run and fenced, and what the server is, is the core's to know.

use std::time::Duration;

use super::candidate::{Aim, Attempt};
use super::holder::{Holder, Renewal};
use super::requests::Question;
use super::voter::{Asker, Taken};
use super::{Answer, Kind, Member, Nonce, Output, OwnServer, Refusal, SaveId, Stage};
use crate::config::VoterName;
use crate::time::Monotonic;

impl Member {
    /// After a restart, or where leases are new: goes on with the term that the record says is held.
    /// Where there are no leases any more nothing is held.
    pub(super) fn return_to_term(&mut self, now: Monotonic) {
        let record = self.voter.record();
        let term = record.held_term;
        match self.timers.hold {
            None => self.holder = None,
            Some(_) if self.holder.is_none() && term > 0 => {
                let mandate = record.mandate_of(&self.sender.own, term);
                self.holder = Some(Holder::returned(term, mandate, now));
            }
            Some(_) => {}
        }
    }

    /// Rule C4: is a win worth nothing any more, since its lease is nearly over.
    pub(super) fn is_too_late(&self, now: Monotonic) -> bool {
        let attempt = self.candidate.attempt();
        let until = attempt.map(|attempt| attempt.began + self.timers.lease);
        until.is_some_and(|until| self.is_nearly_over(until, now))
    }

    fn is_nearly_over(&self, until: Monotonic, now: Monotonic) -> bool {
        let needed = self
            .timers
            .hold
            .map(|hold| hold.fence.saturating_add(LEAST));
        needed.is_some_and(|needed| until < now + needed)
    }

    /// An attempt has won. With leases the term is written down before anything is run for it.
    pub(super) fn won(&mut self, attempt: &Attempt, now: Monotonic, out: &mut Vec<Output>) {
        let term = attempt.tally.term;
        let Some(hold) = &self.timers.hold else {
            out.push(Output::Elected(term));
            return;
        };
        let until = attempt.began + self.timers.lease;
        let of = (term, attempt.nonce);
        let has_primary = attempt.aim == Aim::Claim;
        let holder = Holder::won(of, has_primary, until, hold, now);
        self.holder = Some(holder);
        self.write_held_term(out);
    }

    /// Writes what is to be written of the held term, unless another write is under way.
    pub(super) fn write_held_term(&mut self, out: &mut Vec<Output>) {
        let Some(holder) = &mut self.holder else {
            return;
        };
        let written = holder.unwritten().and_then(|term| self.voter.hold(term));
        if let Some((id, record)) = written {
            holder.writing(id);
            out.push(Output::Save(id, record));
        }
    }

    pub(super) fn held_term_saved(&mut self, id: SaveId, now: Monotonic, out: &mut Vec<Output>) {
        let Some(holder) = &mut self.holder else {
            return;
        };
        if !holder.written(id) {
            return;
        }
        match holder.stage() {
            Stage::Entering => self.enter(now, out),
            Stage::Leaving => self.release_term(now, out),
            Stage::Holding | Stage::Waiting { .. } | Stage::Fencing { .. } => {}
        }
    }

    fn enter(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let until = self.holder.as_ref().and_then(|holder| holder.lease(now));
        let is_over = until.is_none_or(|until| self.is_nearly_over(until, now));
        let Some(holder) = &mut self.holder else {
            return;
        };
        if is_over {
            // Nothing was run for it.
            self.leave(out);
            return;
        }
        holder.enter();
        let term = holder.term();
        out.push(Output::Guard(holder.fence_at()));
        out.push(match holder.has_primary() {
            true => Output::Claimed(term),
            false => Output::Elected(term),
        });
    }

    /// Rule H6: nothing of the term is left to be lost by its release.
    fn release_term(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let Some(holder) = self.holder.take() else {
            return;
        };
        if let Some(mandate) = holder.mandate() {
            let successor = holder.successor().cloned();
            self.release((holder.term(), mandate), successor, now, out);
        }
        out.push(Output::Left(holder.term()));
    }

    /// Whatever was run for the term is fenced, or nothing was: the record is cleared, and then the
    /// term released.
    fn leave(&mut self, out: &mut Vec<Output>) {
        if let Some(holder) = &mut self.holder {
            holder.leave();
            out.push(Output::Guard(None));
            self.write_held_term(out);
        }
    }

    pub(super) fn tick_holder(
        &mut self,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        self.lose_lease_if_overdue(now, out);
        let Some(holder) = &self.holder else { return };
        if holder.is_round_due(now) {
            self.begin_round(holder.next_kind(), server, now, out);
        }
    }

    /// Rule H2. Says whether it was.
    fn lose_lease_if_overdue(&mut self, now: Monotonic, out: &mut Vec<Output>) -> bool {
        let Some(holder) = self.holder.as_mut().filter(|it| it.is_overdue(now)) else {
            return false;
        };
        if holder.stage() == Stage::Entering {
            self.leave(out);
            return true;
        }
        self.lose_lease(out);
        true
    }

    /// Rule H2: another holds a later term, so our lease is over, whatever our clock shows: it may have stood
    /// still.
    pub(super) fn lose_lease_to(&mut self, term: u64, out: &mut Vec<Output>) {
        let holder = self.holder.as_ref();
        if holder.is_some_and(|it| it.term() < term && it.stage() == Stage::Holding) {
            self.lose_lease(out);
        }
    }

    fn lose_lease(&mut self, out: &mut Vec<Output>) {
        if let Some(holder) = &mut self.holder {
            holder.fence(false);
            self.counts.renewal("lost");
            out.push(Output::LeaseLost(holder.term()));
        }
    }

    fn begin_round(
        &mut self,
        kind: Kind,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        let nonce = self.candidate.next_nonce();
        let counted = self.voter.listed().counted();
        let (Some(holder), Some(hold)) = (&mut self.holder, &self.timers.hold) else {
            return;
        };
        let Some((mandate, counted)) = holder.mandate().zip(counted) else {
            holder.put_off_round(hold, now);
            return;
        };
        if holder.begin_round(kind, nonce, counted.clone(), hold, now) {
            self.counts.renewal("failed");
        }
        let question = Question {
            kind,
            term: holder.term(),
            nonce,
            mandate,
            lease: self.timers.lease,
            position: None,
            system: server.system.clone(),
            successor: None,
            list: Some(counted.id.clone()),
        };
        if kind == Kind::Renew {
            self.survey((nonce, kind), &counted, now);
        }
        self.sender.ask_others(&question, out);
        let request = self.sender.to_ourselves(&question);
        match self.voter.take(Asker::Own, &request, server, now) {
            Taken::Write(id, record) => out.push(Output::Save(id, record)),
            Taken::Answer(answer) => {
                let own = self.sender.own.clone();
                self.count_list(&own, &answer, now, out);
                self.count_round(&own, (nonce, kind), &Ok(answer), server, now, out);
            }
        }
    }

    pub(super) fn count_round(
        &mut self,
        voter: &VoterName,
        of: (Nonce, Kind),
        outcome: &Result<Answer, String>,
        server: &OwnServer,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        if self.lose_lease_if_overdue(now, out) {
            return;
        }
        let lease = self.timers.lease;
        let (Some(holder), Some(hold)) = (&mut self.holder, &self.timers.hold) else {
            return;
        };
        let left = holder.fence_in(now);
        match holder.answered(voter, of, outcome, lease, hold, now) {
            Renewal::Open => self.leave_if_overtaken(outcome, out),
            Renewal::Failed => {
                if of.1 == Kind::Renew {
                    self.counts.renewal("failed");
                }
                self.leave_if_overtaken(outcome, out);
            }
            Renewal::Welcome => self.begin_round(Kind::Renew, server, now, out),
            Renewal::Renewed => {
                self.counts.renewed(left);
                out.push(Output::Guard(holder.fence_at()));
            }
        }
    }

    /// A server that is down, of a term that another has overtaken, is never started again by it.
    fn leave_if_overtaken(&mut self, outcome: &Result<Answer, String>, out: &mut Vec<Output>) {
        let Some(holder) = &self.holder else {
            return;
        };
        let is_later =
            |answer: &Answer| answer.refusal == Some(Refusal::Term) && answer.term > holder.term();
        let is_down = holder.stage() == Stage::Waiting { is_fenced: true };
        if is_down && outcome.as_ref().is_ok_and(is_later) {
            self.leave(out);
        }
    }

    /// Rules H5, C5 and C7: the server is given up, and the term released once it is fenced.
    pub fn give_up(&mut self) {
        let Some(holder) = &mut self.holder else {
            return;
        };
        match holder.stage() {
            Stage::Holding | Stage::Waiting { is_fenced: false } | Stage::Fencing { .. } => {
                holder.fence(true);
            }
            // Nothing was run, or nothing is left of it.
            Stage::Entering | Stage::Waiting { is_fenced: true } | Stage::Leaving => {}
        }
    }

    /// The server is fenced: it takes no commits, and nothing is pending in it.
    pub fn fenced(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        let (Some(holder), Some(hold)) = (&mut self.holder, &self.timers.hold) else {
            return;
        };
        match holder.stage() {
            Stage::Fencing { releases: true } => self.leave(out),
            Stage::Fencing { releases: false } => {
                holder.fenced(hold, now);
                out.push(Output::Guard(None));
            }
            Stage::Entering | Stage::Holding | Stage::Waiting { .. } | Stage::Leaving => {}
        }
    }

    /// Rule H7: the server of a holder that has no lease runs as a primary. It is fenced unless a
    /// majority renews in time. That is no lease: the guard of the process before us fences when it was
    /// ordered to.
    pub fn primary_runs(&mut self, now: Monotonic) {
        let (Some(holder), Some(hold)) = (&mut self.holder, &self.timers.hold) else {
            return;
        };
        if matches!(holder.stage(), Stage::Waiting { .. }) && holder.fence_at().is_none() {
            let round = hold.renew.saturating_add(self.timers.vote_timeout);
            holder.has_until(now + round.saturating_mul(2));
        }
    }

    /// The server of a holder that was fenced is a standby now: somebody has made it one.
    pub fn standby_runs(&mut self, out: &mut Vec<Output>) {
        let stage = self.holder.as_ref().map(Holder::stage);
        if stage == Some(Stage::Waiting { is_fenced: true }) {
            self.leave(out);
        }
    }

    /// The failover command that was run after an election has failed: others go first. Without
    /// leases what was won is not released: a promotion may still be pending inside the server, and
    /// nothing fences it.
    pub fn command_failed(&mut self, now: Monotonic) {
        self.candidate.command_failed(&self.timers, now);
        self.give_up();
    }

    /// Rule C5: what was won is not used. No command was run, so nothing can have been promoted.
    pub fn give_back(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        if self.holder.is_some() {
            self.leave(out);
            return;
        }
        let (record, own) = (self.voter.record(), &self.sender.own);
        if let Some(mandate) = record.mandate_of(own, record.term) {
            self.release((record.term, mandate), None, now, out);
        }
    }

    /// Rule S1: whether a majority renews is looked at now.
    pub fn renew_now(&mut self, now: Monotonic) {
        if let Some(holder) = &mut self.holder {
            holder.expedite(now);
        }
    }

    /// Rule S3: our server is known to be down, and this voter's has all that it has written. The term is
    /// released for it. False: there is no lease, and nothing was done.
    pub fn hand_over(
        &mut self,
        successor: &VoterName,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(holder) = &mut self.holder else {
            return false;
        };
        if holder.stage() != Stage::Holding || holder.lease(now).is_none() {
            return false;
        }
        holder.leave_to(successor);
        self.leave(out);
        true
    }
}

/// Less than this and `fence_timeout` is no lease to begin with.
const LEAST: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "tenure_tests.rs"]
mod tests;
