//! A release that names a successor (rule S3), repeated to whoever has not taken it. One that is lost would
//! leave the successor waiting for the failover limit.

use std::collections::BTreeSet;
use std::time::Duration;

use super::promises::RESERVATION;
use super::requests::{Question, Sender};
use super::{Answer, Output, Refusal};
use crate::config::VoterName;
use crate::time::Monotonic;

/// Who has not taken it yet, and when it is sent again.
#[derive(Clone, Debug)]
pub(super) struct Handing {
    question: Question,
    missing: BTreeSet<VoterName>,
    again_at: Monotonic,
    until: Monotonic,
}

impl Handing {
    /// This release was just sent; `None`: it names nobody else.
    pub(super) fn of(
        question: &Question,
        sender: &Sender,
        interval: Duration,
        now: Monotonic,
    ) -> Option<Self> {
        let is_other = |successor: &VoterName| *successor != sender.own;
        question
            .successor
            .as_ref()
            .is_some_and(is_other)
            .then(|| Self {
                question: question.clone(),
                missing: sender.others().cloned().collect(),
                again_at: now + interval,
                until: now + RESERVATION,
            })
    }

    /// What a voter has answered. One that has voted in a later term needs it no more.
    pub(super) fn answered(&mut self, voter: &VoterName, outcome: &Result<Answer, String>) {
        let is_taken = |answer: &Answer| matches!(answer.refusal, None | Some(Refusal::Term));
        if outcome.as_ref().is_ok_and(is_taken) {
            self.missing.remove(voter);
        }
    }

    /// Is there nothing more to be sent: everybody has it, its time is over, or somebody was elected since.
    pub(super) fn is_over(&self, own_term: u64, now: Monotonic) -> bool {
        self.missing.is_empty() || self.until <= now || own_term > self.question.term
    }

    pub(super) fn next_deadline(&self) -> Monotonic {
        self.again_at.min(self.until)
    }

    /// Sends it again, if it is time.
    pub(super) fn tick(
        &mut self,
        sender: &Sender,
        interval: Duration,
        now: Monotonic,
        out: &mut Vec<Output>,
    ) {
        if self.again_at <= now {
            self.again_at = now + interval;
            let missing = self.missing.iter();
            out.extend(missing.map(|to| Output::Send(sender.request(&self.question, to))));
        }
    }
}
