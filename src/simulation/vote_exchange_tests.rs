use std::time::Duration;

use super::*;
use crate::config::{ClusterName, VoterName};
use crate::votes::Kind;

const ASKER: ProcessId = ProcessId { host: 0, number: 0 };
const VOTER: HostId = 1;

fn list() -> ListId {
    ListId {
        generation: 1,
        fingerprint: String::new(),
    }
}

fn request(nonce: u128) -> Request {
    Request {
        cluster: ClusterName::from("main"),
        from: VoterName::from("a"),
        to: VoterName::from("b"),
        kind: Kind::AskVote,
        term: 1,
        nonce: Nonce(nonce),
        mandate: Nonce(nonce),
        lease: Duration::from_secs(3),
        position: None,
        system: None,
        list: list(),
        news: None,
        successor: None,
    }
}

fn answer(to: &Request) -> Answer {
    Answer {
        refusal: None,
        ..Answer::without_record(to, Refusal::List, list())
    }
}

/// Both ends, and the requests that were sent.
#[derive(Default)]
struct Pair {
    client: VoteClient,
    server: VoteServer,
    sent: u64,
}

impl Pair {
    fn ask(&mut self, nonce: u128, keeps_former: bool) -> VoteRequest {
        self.sent += 1;
        self.client
            .ask(VOTER, self.sent, request(nonce), keeps_former);
        self.client.message(ASKER, VOTER).unwrap()
    }

    /// The answer, after which the voter expects another challenge.
    fn take(&mut self, message: &VoteRequest) -> VoteReply {
        self.sent += 1;
        let fresh = Nonce(u128::from(self.sent));
        match self.server.take(message, list(), fresh) {
            Ok(id) => self.server.answer(id, answer(&message.request)).unwrap(),
            Err(reply) => *reply,
        }
    }

    fn learns(&mut self, reply: &VoteReply) -> Reaction {
        self.sent += 1;
        self.client.answered(reply, self.sent)
    }

    /// Asks until there is an answer: the challenge of the last request is known then.
    fn introduce(&mut self) {
        let first = self.ask(1, false);
        let reply = self.take(&first);
        assert!(matches!(self.learns(&reply), Reaction::AskAgain));
        let again = self.client.message(ASKER, VOTER).unwrap();
        let reply = self.take(&again);
        assert!(reaches_core(&self.learns(&reply)));
    }
}

fn is_taken(reply: &VoteReply) -> bool {
    reply.answer.refusal.is_none()
}

fn reaches_core(reaction: &Reaction) -> bool {
    matches!(reaction, Reaction::Take(learnt) if learnt.1.is_ok())
}

#[test]
fn a_request_is_taken_once_and_may_come_late() {
    let mut pair = Pair::default();
    pair.introduce();
    let message = pair.ask(2, false);
    let reply = pair.take(&message);
    assert!(is_taken(&reply) && !is_taken(&pair.take(&message)));
    assert!(reaches_core(&pair.learns(&reply)));
    assert!(matches!(pair.learns(&reply), Reaction::Drop));
    // One that was held up, and nobody waits for: it bears the right challenge until another is taken.
    let late = pair.ask(3, false);
    assert!(pair.client.give_up(VOTER, late.number, false).is_some());
    let next = pair.ask(4, false);
    assert!(is_taken(&pair.take(&late)));
    assert!(!is_taken(&pair.take(&next)));
}

#[test]
fn what_is_superseded_is_answered_or_not() {
    for keeps_former in [false, true] {
        let mut pair = Pair::default();
        pair.introduce();
        let former = pair.ask(2, false);
        let reply = pair.take(&former);
        let _ = pair.ask(3, keeps_former);
        match pair.learns(&reply) {
            Reaction::Take(learnt) => assert!(keeps_former && learnt.0.nonce == Nonce(2)),
            other => assert!(!keeps_former && matches!(other, Reaction::Drop)),
        }
        // The time of the former one ends nothing any more.
        assert!(pair.client.give_up(VOTER, former.number, false).is_none());
    }
}
