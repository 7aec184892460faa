//! Requests of other daemons for our votes: who has proved to know the secret, and that the request is
//! new, is passed on to the core, and answered when that has decided. Whatever else comes costs one hash
//! for each cluster.

use std::collections::BTreeMap;

use mio::Token;

use super::io::Io;
use crate::config::{ClusterName, Config, Secret, VotingCluster};
use crate::format::{read_vote_request, vote_answer};
use crate::http::{self, Reply, VotePost};
use crate::lookout::Event;
use crate::sys::vote_directory::random_bits;
use crate::votes::{
    Answer, Challenges, CheckedChallenge, ExchangeId, Mac, Nonce, Refusal, VoterList, answer_mac,
    is_requests_mac,
};

/// What was issued, and who waits for an answer.
#[derive(Default)]
pub(super) struct VoteServer {
    challenges: BTreeMap<ClusterName, Challenges>,
    waiting: BTreeMap<ExchangeId, Waiting>,
    next: u64,
}

/// A request that the core has been given.
struct Waiting {
    client: Token,
    reply: Reply,
    secret: Secret,
    /// Of the request.
    mac: Mac,
    /// For the next one.
    challenge: Option<Nonce>,
}

impl VoteServer {
    /// Takes a request. `None`: it is answered later.
    pub(super) fn receive(
        &mut self,
        post: &VotePost,
        (client, reply): (Token, Reply),
        config: &Config,
        io: &mut Io,
    ) -> Option<http::Answer> {
        let Some((mac, name, cluster, secret)) = authenticated(post, config) else {
            return Some(http::Answer::unauthorized());
        };
        let Ok((request, given)) = read_vote_request(&post.body) else {
            return Some(http::Answer::bad_parameters());
        };
        if request.cluster != *name || request.to != cluster.own || request.from == cluster.own {
            return Some(http::Answer::bad_parameters());
        }
        // A former voter, or one of a list that we do not know yet, is given a place while there is room.
        let mut challenge = None;
        let challenges = self.challenges.entry(name.clone()).or_default();
        if cluster.voters.contains_key(&request.from) || challenges.has_room_for(&request.from) {
            match challenges.check(&request.from, given, Nonce(random_bits())) {
                CheckedChallenge::New(next) => challenge = Some(next),
                CheckedChallenge::Wrong(right) => {
                    let list = VoterList::from(cluster).id();
                    let answer = Answer::without_record(&request, Refusal::Challenge, list);
                    let body = vote_answer(&answer, Some(right));
                    let code = answer_mac(secret.reveal(), &mac, &body);
                    return Some(http::Answer::vote(body, &code));
                }
            }
        }
        let id = ExchangeId(self.next);
        self.next = self.next.wrapping_add(1);
        let waiting = Waiting {
            client,
            reply,
            secret: secret.clone(),
            mac,
            challenge,
        };
        self.waiting.insert(id, waiting);
        io.late_events.push(Event::VoteRequested { id, request });
        None
    }

    /// The core's answer, and for whom; `None`: nobody waits for it any more.
    pub(super) fn answer(
        &mut self,
        id: ExchangeId,
        answer: &Answer,
    ) -> Option<(Token, Reply, http::Answer)> {
        let waiting = self.waiting.remove(&id)?;
        let body = vote_answer(answer, waiting.challenge);
        let mac = answer_mac(waiting.secret.reveal(), &waiting.mac, &body);
        Some((
            waiting.client,
            waiting.reply,
            http::Answer::vote(body, &mac),
        ))
    }

    pub(super) fn forget(&mut self, client: Token) {
        self.waiting.retain(|_, waiting| waiting.client != client);
    }
}

/// The cluster by whose secret the request is proved, before anything of it is parsed.
fn authenticated<'a>(
    post: &VotePost,
    config: &'a Config,
) -> Option<(Mac, &'a ClusterName, &'a VotingCluster, &'a Secret)> {
    let mac = post.mac?;
    let clusters = &config.voting.as_ref()?.clusters;
    clusters.iter().find_map(|(name, cluster)| {
        let secret = cluster.secret.as_ref()?;
        let is_its = is_requests_mac(secret.reveal(), &post.body, &mac);
        is_its.then_some((mac, name, cluster, secret))
    })
}
