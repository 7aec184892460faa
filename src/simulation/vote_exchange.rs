//! Both ends of `POST /vote` on one host, as the daemon has them outside of its core: what it asks of each
//! voter, and who waits for its answers. Challenges are the real ones.

use std::collections::BTreeMap;

use super::in_flight::{ProcessId, VoteReply, VoteRequest};
use super::rng::Rng;
use super::vote_disk::VoteDisk;
use super::{HostId, Micros};
use crate::votes::{
    Answer, Challenges, CheckedChallenge, ExchangeId, ListId, Nonce, Refusal, Request,
};

/// The part of a host in elections.
#[derive(Clone, Debug)]
pub(super) struct VotesHere {
    pub(super) client: VoteClient,
    pub(super) server: VoteServer,
    pub(super) disk: VoteDisk,
}

/// How the network treats requests for votes.
#[derive(Clone, Debug)]
pub(super) struct VoteTraffic {
    /// For elections alone, so that a schedule without them is what it was before there were any.
    pub(super) rng: Rng,
    /// Chance that a request or an answer is held up, or repeated later, in percent.
    pub(super) late: u64,
    /// Answers that are held up until their daemon asks the same voter again.
    kept: Vec<VoteReply>,
    last_number: u64,
}

impl VotesHere {
    pub(super) fn new(disk: VoteDisk) -> Self {
        Self {
            client: VoteClient::default(),
            server: VoteServer::default(),
            disk,
        }
    }

    /// Another process of the daemon begins: what the former one has asked and issued is forgotten.
    pub(super) fn restart(&mut self, boot: bool, rng: &mut Rng) {
        (self.client, self.server) = (VoteClient::default(), VoteServer::default());
        if boot {
            self.disk.power_loss(rng);
        } else {
            self.disk.end_of_process(rng.percent(50));
        }
    }
}

impl VoteTraffic {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed ^ 0x0BA1_107B),
            late: 0,
            kept: Vec::new(),
            last_number: 0,
        }
    }

    /// The number of another message.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn random_bits(&mut self) -> u128 {
        (u128::from(self.rng.bits()) << 64) | u128::from(self.rng.bits())
    }

    /// Holds an answer up until its daemon asks the voter again.
    pub(super) fn keep(&mut self, reply: VoteReply) {
        self.kept.push(reply);
    }

    /// Those that were held up until now.
    pub(super) fn take_kept(&mut self, by: ProcessId, voter: HostId) -> Vec<VoteReply> {
        let is_it = |reply: &mut VoteReply| (reply.to, reply.voter) == (by, voter);
        self.kept.extract_if(.., is_it).collect()
    }

    /// Does a daemon go on waiting for an answer that its core does not count on any more. The core must
    /// not rely on that it does not.
    pub(super) fn is_patient(&mut self) -> bool {
        self.late > 0 && self.rng.percent(50)
    }

    /// How much later this arrives, if somebody holds it up: up to minutes.
    pub(super) fn held_up(&mut self) -> Option<Micros> {
        let is_late = self.late > 0 && self.rng.percent(self.late);
        is_late.then(|| self.lateness())
    }

    pub(super) fn lateness(&mut self) -> Micros {
        self.rng.between(SHORTEST_LATENESS, 8 * SHORTEST_LATENESS) << self.rng.below(9)
    }
}

const SHORTEST_LATENESS: Micros = 50_000;

/// What a daemon asks of other voters.
#[derive(Clone, Debug, Default)]
pub(super) struct VoteClient {
    lines: BTreeMap<HostId, Line>,
}

/// The conversation with one voter: one request after the other.
#[derive(Clone, Debug, Default)]
struct Line {
    asked: Option<Asked>,
    /// Given up, for another request or because their time was over, but for an answer that comes
    /// all the same.
    superseded: Vec<Asked>,
    /// What the voter issued last.
    challenge: Option<Nonce>,
}

/// A request that is under way.
#[derive(Clone, Debug)]
struct Asked {
    /// Of the message: an answer is bound to it.
    number: u64,
    /// Of the message that was sent first, if it was sent again.
    first: u64,
    request: Request,
    /// It was sent again with the challenge that the voter had named.
    is_second: bool,
}

/// What an answer comes to.
#[derive(Debug)]
pub(super) enum Reaction {
    /// The core is given this, for what was asked in this request.
    Take(Box<(Request, Result<Answer, String>)>),
    /// The same is asked once more, with the right challenge.
    AskAgain,
    /// Nobody waits for it.
    Drop,
}

impl VoteClient {
    /// Another request takes the place of the former one, whose answer is still taken, or not.
    pub(super) fn ask(&mut self, voter: HostId, number: u64, request: Request, keeps_former: bool) {
        let line = self.lines.entry(voter).or_default();
        let former = line.asked.replace(Asked {
            number,
            first: number,
            request,
            is_second: false,
        });
        line.superseded.extend(former.filter(|_| keeps_former));
    }

    /// The message that is to be sent to a voter now.
    pub(super) fn message(&self, by: ProcessId, to: HostId) -> Option<VoteRequest> {
        let line = self.lines.get(&to)?;
        let asked = line.asked.as_ref()?;
        Some(VoteRequest {
            by,
            to,
            number: asked.number,
            request: asked.request.clone(),
            challenge: line.challenge,
            is_late: false,
        })
    }

    /// A voter has answered. `number`: what it is asked once more gets.
    pub(super) fn answered(&mut self, reply: &VoteReply, number: u64) -> Reaction {
        let Some(line) = self.lines.get_mut(&reply.voter) else {
            return Reaction::Drop;
        };
        let is_wrong = reply.answer.refusal == Some(Refusal::Challenge);
        let place = line
            .superseded
            .iter()
            .position(|it| it.number == reply.number);
        if let Some(place) = place {
            let former = line.superseded.swap_remove(place);
            return match is_wrong {
                true => Reaction::Drop,
                false => Reaction::Take(Box::new((former.request, Ok(reply.answer.clone())))),
            };
        }
        let Some(asked) = line.asked.as_mut().filter(|it| it.number == reply.number) else {
            return Reaction::Drop;
        };
        line.challenge = reply.challenge.or(line.challenge);
        if is_wrong && !asked.is_second {
            (asked.is_second, asked.number) = (true, number);
            return Reaction::AskAgain;
        }
        let outcome = match is_wrong {
            true => Err("the voter takes no challenge".to_owned()),
            false => Ok(reply.answer.clone()),
        };
        let asked = line.asked.take();
        asked.map_or(Reaction::Drop, |asked| {
            Reaction::Take(Box::new((asked.request, outcome)))
        })
    }

    /// The time for a request is over, or its connection was refused: what was asked for, if an answer is
    /// still waited for, unless it is waited for further. `number`: of the message, or of the one that
    /// was sent first.
    pub(super) fn give_up(
        &mut self,
        voter: HostId,
        number: u64,
        is_patient: bool,
    ) -> Option<Request> {
        let line = self.lines.get_mut(&voter)?;
        let is_it = |asked: &mut Asked| asked.number == number || asked.first == number;
        let asked = line.asked.take_if(is_it)?;
        if is_patient {
            line.superseded.push(asked);
            return None;
        }
        Some(asked.request)
    }
}

/// Who waits for the answer of a daemon, and what it has issued to whom.
#[derive(Clone, Debug, Default)]
pub(super) struct VoteServer {
    challenges: Challenges,
    waiting: BTreeMap<ExchangeId, Waiting>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    by: ProcessId,
    to: HostId,
    number: u64,
    /// For the next request.
    challenge: Nonce,
}

impl VoteServer {
    /// Takes a request: for the core, under this id, or answered at once. `fresh`: random bits.
    pub(super) fn take(
        &mut self,
        message: &VoteRequest,
        list: ListId,
        fresh: Nonce,
    ) -> Result<ExchangeId, Box<VoteReply>> {
        let request = &message.request;
        let checked = self
            .challenges
            .check(&request.from, message.challenge, fresh);
        match checked {
            CheckedChallenge::New(challenge) => {
                let id = ExchangeId(self.next);
                self.next += 1;
                let waiting = Waiting {
                    by: message.by,
                    to: message.to,
                    number: message.number,
                    challenge,
                };
                self.waiting.insert(id, waiting);
                Ok(id)
            }
            CheckedChallenge::Wrong(right) => Err(Box::new(VoteReply {
                to: message.by,
                voter: message.to,
                number: message.number,
                answer: Answer::without_record(request, Refusal::Challenge, list),
                challenge: Some(right),
            })),
        }
    }

    /// The core's answer, for whoever waits for it.
    pub(super) fn answer(&mut self, id: ExchangeId, answer: Answer) -> Option<VoteReply> {
        let waiting = self.waiting.remove(&id)?;
        Some(VoteReply {
            to: waiting.by,
            voter: waiting.to,
            number: waiting.number,
            answer,
            challenge: Some(waiting.challenge),
        })
    }
}

#[cfg(test)]
#[path = "vote_exchange_tests.rs"]
mod tests;
