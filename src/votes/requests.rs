//! Requests of one daemon: whom it asks, and what every request of it bears.

use std::collections::BTreeSet;
use std::time::Duration;

use super::counted::Listed;
use super::{Kind, ListId, ListNews, Nonce, Output, Position, Request};
use crate::config::{ClusterName, VoterName};

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) cluster: ClusterName,
    pub(super) own: VoterName,
    /// Whoever may have to grant, ourselves included.
    all: BTreeSet<VoterName>,
    list: ListId,
    news: ListNews,
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
    /// By which list the round is counted; `None`: it is no round.
    pub(super) list: Option<ListId>,
}

impl Sender {
    pub(super) fn new(cluster: ClusterName, own: VoterName, listed: &Listed) -> Self {
        Self {
            cluster,
            own,
            all: listed.all(),
            list: listed.id().clone(),
            news: listed.news(),
        }
    }

    /// The list has moved on.
    pub(super) fn follow(&mut self, listed: &Listed) {
        self.all = listed.all();
        self.list = listed.id().clone();
        self.news = listed.news();
    }

    /// The other voters.
    pub(super) fn others(&self) -> impl Iterator<Item = &VoterName> {
        self.all.iter().filter(|name| **name != self.own)
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
            // What is known by now is not what was known when the round began.
            list: question.list.as_ref().unwrap_or(&self.list).clone(),
            news: Some(Box::new(self.news.clone())),
            successor: question.successor.clone(),
        }
    }
}
