//! The conversation with another voter: one request for its vote after the other, each proved by the
//! secret and made new by the voter's last challenge.

use super::observer::{Exchange, closed, idle};
use super::outbound::{Connection, Dial, Outbound};
use super::{Conversation, NextAction, Probe, Redial};
use crate::cluster::{ProbeFailure, ProbeStep};
use crate::config::{Config, ObserverUrl, Secret};
use crate::daemon::io::Io;
use crate::daemon::registry::{Owner, VoterAt};
use crate::format::{read_vote_answer, vote_request};
use crate::http::{self, Response};
use crate::lookout::{Event, ProbeId};
use crate::time::Monotonic;
use crate::votes::{Answer, Mac, Nonce, Refusal, Request, is_answers_mac, request_mac};

pub(in crate::daemon) struct VoterConversation {
    url: ObserverUrl,
    asked: Option<Asked>,
    /// What the voter issued last.
    challenge: Option<Nonce>,
    exchange: Exchange,
}

/// The request that is under way.
struct Asked {
    request: Request,
    secret: Secret,
    /// Of the request as it was sent.
    mac: Mac,
    /// It was sent again with the challenge that the voter had named.
    is_second: bool,
}

impl Conversation for VoterConversation {
    type Name = VoterAt;
    type Settings = ObserverUrl;
    type Report = Answer;
    type Request = (Request, Secret);

    fn configured<'a>(config: &'a Config, (cluster, voter): &VoterAt) -> Option<&'a ObserverUrl> {
        let voting = config.voting.as_ref()?;
        voting.clusters.get(cluster)?.voters.get(voter)
    }

    fn timeout(config: &Config) -> std::time::Duration {
        let voting = config.voting.as_ref();
        voting.map_or(config.poll_timeout, |voting| voting.vote_timeout)
    }

    fn new(name: &VoterAt, url: &ObserverUrl) -> (Self, Outbound) {
        let outbound = closed(Owner::Voter(name.clone()), INPUT_BYTES);
        let conversation = Self {
            url: url.clone(),
            asked: None,
            challenge: None,
            exchange: Exchange::default(),
        };
        (conversation, outbound)
    }

    fn settings(&self) -> &ObserverUrl {
        &self.url
    }

    fn event(
        &mut self,
        (cluster, voter): VoterAt,
        probe: Option<ProbeId>,
        outcome: Result<Answer, ProbeFailure>,
    ) -> Option<Event> {
        probe?;
        let request = self.asked.take()?.request;
        Some(Event::VoteAnswered {
            cluster,
            voter,
            of: (request.nonce, request.kind),
            outcome: outcome.map_err(|failure| failure.to_string()),
        })
    }

    fn dial(&self, deadline: Monotonic) -> Dial {
        super::observer::dial(&self.url, deadline)
    }

    fn begin(
        &mut self,
        (request, secret): (Request, Secret),
        _probe: &Probe,
        open: Option<&mut Connection>,
        _now: Monotonic,
    ) -> bool {
        // An answer to the request before would be taken for one to this.
        let is_idle = self.asked.is_none() && open.is_some();
        self.asked = Some(Asked {
            request,
            secret,
            mac: Mac::default(),
            is_second: false,
        });
        self.exchange.begin(is_idle);
        is_idle
    }

    fn go_on(
        &mut self,
        open: &mut Connection,
        probe: Option<&mut Probe>,
        io: &mut Io,
    ) -> NextAction<Answer> {
        if probe.is_none() {
            return idle(open, "the voter closed an idle connection");
        }
        loop {
            match self.converse(open, io) {
                Ok(None) => return NextAction::Wait,
                Ok(Some(response)) => match self.read(&response) {
                    Ok(Some(answer)) => {
                        return NextAction::Answer {
                            outcome: Ok(answer),
                            keep_connection: response.keep_alive,
                        };
                    }
                    // Once more, with the right challenge.
                    Ok(None) if response.keep_alive => self.exchange.begin(false),
                    Ok(None) => return NextAction::Redial(Redial::FirstHost),
                    Err(reason) => {
                        return NextAction::Failed(ProbeFailure::ProtocolError { reason });
                    }
                },
                Err(_) if self.exchange.take_redial() => {
                    return NextAction::Redial(Redial::FirstHost);
                }
                Err(failure) => return NextAction::Failed(failure),
            }
        }
    }

    fn step(&self) -> ProbeStep {
        ProbeStep::Answering
    }

    fn reset(&mut self) {
        self.exchange.begin(false);
    }
}

impl VoterConversation {
    fn converse(
        &mut self,
        open: &mut Connection,
        io: &mut Io,
    ) -> Result<Option<Response>, ProbeFailure> {
        let Self {
            url,
            asked,
            challenge,
            exchange,
        } = self;
        exchange.converse(url, open, io, |output| {
            let Some(asked) = asked.as_mut() else {
                return;
            };
            let body = vote_request(&asked.request, *challenge);
            asked.mac = request_mac(asked.secret.reveal(), &body);
            let to = (url.host.as_str(), url.uncommon_port(), url.path.as_str());
            http::write_vote(to, &asked.mac, &body, output);
        })
    }

    /// `None`: the voter wants another challenge, which is known now.
    fn read(&mut self, response: &Response) -> Result<Option<Answer>, String> {
        let Some(asked) = self.asked.as_mut() else {
            return Err("an answer to nothing".to_owned());
        };
        let mac = response.mac.ok_or("the answer has no Pglookout-Mac")?;
        let (secret, body) = (asked.secret.reveal(), response.body.as_slice());
        if !is_answers_mac(secret, &asked.mac, body, &mac) {
            return Err("the answer is not of this voter's secret".to_owned());
        }
        let (answer, challenge) = read_vote_answer(body)?;
        let request = &asked.request;
        let is_its = answer.from == request.to
            && answer.to == request.from
            && answer.cluster == request.cluster
            && answer.nonce == request.nonce
            && answer.kind == request.kind;
        if !is_its {
            return Err("the answer is to another request".to_owned());
        }
        self.challenge = challenge.or(self.challenge);
        if answer.refusal != Some(Refusal::Challenge) {
            return Ok(Some(answer));
        }
        match std::mem::replace(&mut asked.is_second, true) {
            false => Ok(None),
            true => Err("the voter takes no challenge".to_owned()),
        }
    }
}

/// Of an answer that waits to be parsed.
const INPUT_BYTES: usize = 32 << 10;
