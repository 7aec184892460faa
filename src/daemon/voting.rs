//! What the core wants done with votes.

use super::Daemon;
use super::commands::PreviousFailover;
use super::pages::Served;
use crate::lookout::{Effect, Event, ProbeId};
use crate::votes::Request;

impl Daemon {
    /// Other effects are no votes.
    pub(super) fn carry_out_vote(&mut self, effect: Effect) {
        match effect {
            Effect::SendVote(request) => self.send_vote(request),
            Effect::AnswerVote { id, answer } => {
                let served = Served {
                    lookout: &self.lookout,
                    beside: &self.beside,
                };
                self.web
                    .clients
                    .answer_vote(id, &answer, served, &mut self.io);
            }
            Effect::SaveVote {
                cluster,
                id,
                record,
            } => {
                let (config, files) = (self.lookout.config(), &mut self.files);
                self.vote_files
                    .save((cluster, id), record, config, files, &mut self.io);
            }
            Effect::ArmGuard(until) => {
                let previous = self.previous_failover.as_ref();
                let previous = previous.map(PreviousFailover::process);
                let (config, files) = (self.lookout.config(), (&mut self.files, previous));
                self.guard.arm(until, config, files, &mut self.io);
            }
            Effect::EndCommand(id) => self.io.children.end(id),
            _ => {}
        }
    }

    /// What the core gets before anything else of this turn. Requests of other voters count from a
    /// clock that is read after they have come: a promise that began before would end too early.
    pub(super) fn begin_of_turn(&mut self) {
        let late = std::mem::take(&mut self.io.late_events);
        self.io.events.extend(late);
        let has_leases = self.lookout.config().fence().is_some();
        if let Some(slept) = self.guard.slept().filter(|_| has_leases) {
            log::warn!("this host was suspended for {:.3} s", slept.as_secs_f64());
            self.io.events.insert(0, Event::HostSlept(slept));
        }
    }

    fn send_vote(&mut self, request: Request) {
        let config = self.lookout.config();
        let voting = config.voting.as_ref();
        let cluster = voting.and_then(|voting| voting.clusters.get(&request.cluster));
        let Some(secret) = cluster.and_then(|cluster| cluster.secret.clone()) else {
            return;
        };
        let voter = (request.cluster.clone(), request.to.clone());
        let Some(url) = self.lookout.voter_address(&voter.0, &voter.1) else {
            return;
        };
        // What was asked before is given up, so that one id does for all.
        let (asked, io) = ((request, secret), &mut self.io);
        self.voters
            .probe_at(&voter, url, (ProbeId(0), asked), config, io);
    }
}
