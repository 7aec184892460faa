//! Requests of one daemon: whom it asks, and what every request of it bears.

use std::time::Duration;

use super::{Kind, Nonce, Output, Position, Request, VoterList};
use crate::config::{ClusterName, VoterName};

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) cluster: ClusterName,
    pub(super) own: VoterName,
    pub(super) list: VoterList,
}

/// What every voter is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) kind: Kind,
    pub(super) term: u64,
    /// Of the attempt, or of the round of renewals.
    pub(super) nonce: Nonce,
    /// The attempt that has the vote, or is to get it.
    pub(super) mandate: Nonce,
    pub(super) lease: Duration,
    pub(super) position: Option<Position>,
    pub(super) system: Option<String>,
    /// With a release: for whom the next votes are reserved.
    pub(super) successor: Option<VoterName>,
}

impl Sender {
    /// The other voters.
    pub(super) fn others(&self) -> impl Iterator<Item = &VoterName> {
        self.list.names.iter().filter(|name| **name != self.own)
    }

    pub(super) fn ask_others(&self, question: &Question, out: &mut Vec<Output>) {
        let requests = self.others().map(|to| self.request(question, to));
        out.extend(requests.map(Output::Send));
    }

    /// To our own voter.
    pub(super) fn to_ourselves(&self, question: &Question) -> Request {
        self.request(question, &self.own)
    }

    pub(super) fn request(&self, question: &Question, to: &VoterName) -> Request {
        Request {
            cluster: self.cluster.clone(),
            from: self.own.clone(),
            to: to.clone(),
            kind: question.kind,
            term: question.term,
            nonce: question.nonce,
            mandate: question.mandate,
            lease: question.lease,
            position: question.position,
            system: question.system.clone(),
            list: self.list.id(),
            successor: question.successor.clone(),
        }
    }
}
