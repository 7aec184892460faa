//! Where decisions and votes meet: what is known of our own server when somebody is asked for a vote,
//! and what an election leads to.

use super::decisions::Decisions;
use super::round::first_answers_missing;
use super::schedule::Schedule;
use super::turn::Turn;
use super::votes::{self, Outcome};
use super::{Event, Look};
use crate::cluster::NodeState;
use crate::config::{Config, NodeName};
use crate::time::Monotonic;
use crate::votes::{OwnServer, Position, Standing};

impl Decisions {
    /// What happens to a voter or a candidate. Other events are none of ours.
    pub(super) fn vote_event(
        &mut self,
        event: Event,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let server = self.own_server(config, turn.now.mono);
        let votes = &mut self.votes;
        let outcome = match event {
            Event::VoteFileRead {
                cluster,
                found,
                seed,
                resumed,
            } => votes.file_read(&cluster, found, (seed, resumed), config, turn),
            Event::VoteRequested { id, request } => votes.requested(id, &request, &server, turn),
            Event::VoteAnswered {
                cluster,
                voter,
                of,
                outcome,
            } => votes.answered((&cluster, &voter), of, outcome, &server, turn),
            Event::VoteSaved { cluster, id, done } => {
                votes.saved(&cluster, (id, done), &server, turn)
            }
            _ => Outcome::Open,
        };
        self.follow_election(outcome, config, schedule, turn);
        self.follow_tenure(config, turn);
        self.follow_switchover(config, schedule, turn);
    }

    /// Attempts, questions and renewals whose time has come, and what the held term asks for.
    pub(super) fn votes_due(
        &mut self,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        if self.votes.next_deadline().is_some_and(|at| at <= now) {
            let server = self.own_server(config, now);
            let outcome = self.votes.tick(&server, turn);
            self.follow_election(outcome, config, schedule, turn);
        }
        self.follow_tenure(config, turn);
        self.follow_switchover(config, schedule, turn);
    }

    /// The decision is to promote our node. Where voters elect, they are asked, and the command waits
    /// for them.
    pub(super) fn promote_or_ask(
        &mut self,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let server = self.own_server(config, now);
        if votes::is_dry(config) {
            self.votes.stand(config, &server, turn);
        }
        let term = match self.votes.standing(config, now) {
            None => None,
            // The command has succeeded, and this node is still a standby.
            Some(Standing::Holding(term)) => Some(term),
            Some(_) if self.promotion.may_run(config) => {
                self.votes.stand(config, &server, turn);
                return;
            }
            Some(_) => None,
        };
        let primary = self.facts.remembered.clone();
        self.promotion.start(primary, term, config, schedule, turn);
    }

    fn follow_election(
        &mut self,
        outcome: Outcome,
        config: &Config,
        schedule: &mut Schedule,
        turn: &mut Turn<'_>,
    ) {
        let term = match outcome {
            Outcome::Open => return,
            Outcome::Elected(term) => term,
            Outcome::Reserved => {
                let own = config.own_db.as_ref();
                self.succession.begin(own, schedule, turn.now.mono);
                return;
            }
            Outcome::Lost => {
                // The next decision determines what is waited for now.
                schedule.decision = turn.now.mono;
                self.ask_again_as_successor(config, turn.now.mono);
                return;
            }
        };
        if votes::is_dry(config) {
            turn.warning(format!(
                "dry: elected in term {term}; votes decide nothing yet"
            ));
            return;
        }
        if let Some(reason) = self.forbids_elected(config, turn.now.mono) {
            turn.warning(format!(
                "elected in term {term}, but not promoting: {reason}"
            ));
            self.votes.give_back(config, turn);
            schedule.decision = turn.now.mono;
            return;
        }
        turn.warning(format!("elected in term {term}"));
        // A reload may have taken the command away.
        if !self.promotion.may_run(config) {
            self.votes.give_back(config, turn);
        }
        let primary = self.facts.remembered.clone();
        self.promotion
            .start(primary, Some(term), config, schedule, turn);
    }

    /// Rule S4: while the next votes are reserved for us.
    fn ask_again_as_successor(&mut self, config: &Config, now: Monotonic) {
        if self.votes.predecessor(config, now).is_some() {
            let again = match self.votes.standing(config, now) {
                Some(Standing::Refused { until, .. }) => until,
                _ => now,
            };
            self.succession.again(again);
        }
    }

    /// What has come up since the decision that led to the election. A node that a reload has brought
    /// may be a primary, and is polled first, as before every decision.
    fn forbids_elected(&self, config: &Config, now: Monotonic) -> Option<String> {
        let map = self.facts.map(config, now);
        let snapshot = self.snapshot(&map, Look::Fresh, config, now);
        let blocker = snapshot.forbids_elected();
        let missing = || first_answers_missing(config, &self.facts.state);
        blocker
            .map(|blocker| blocker.to_string())
            .or_else(|| missing().map(|wait| wait.to_string()))
    }

    /// What is known of our own server, for whoever is asked for a vote.
    pub(super) fn own_server(&self, config: &Config, now: Monotonic) -> OwnServer {
        let state = &self.facts.state;
        let own = config.own_db.as_ref();
        let node = own.and_then(|own| state.nodes.get(own));
        let answer = node.and_then(|node| node.answer.as_ref());
        let standby = answer.filter(|answer| answer.in_recovery);
        let position = standby.and_then(|answer| {
            Some(Position {
                timeline: own.and_then(|own| state.timeline(own)),
                lsn: answer.receive.max(answer.replay)?,
            })
        });
        let may_be = |own: &NodeName| !config.never_promote.contains(own);
        // Rule C6.
        let willing = standby.is_some()
            && node.is_some_and(NodeState::is_connected)
            && !self.maintenance
            && config.failover_command.is_some()
            && own.is_some_and(may_be)
            && !self.votes.has_stepped_aside(now);
        // Rule V5.
        let young = config.poll_interval * 2;
        let is_young = |node: &NodeState| {
            let contact = node.primary_contact;
            contact.is_some_and(|at| now.since(at) < young)
        };
        let sighted = state.nodes.iter().filter(|(_, node)| is_young(node));
        OwnServer {
            position,
            willing,
            fences: own
                .filter(|own| may_be(own))
                .map(|_| votes::fencing(config).is_some()),
            system: state.system(own).map(str::to_owned),
            sighted: sighted.map(|(name, _)| name.as_str().into()).collect(),
        }
    }
}
