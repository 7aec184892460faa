//! Which clusters of the drawn schedules vote, with which times, and what befalls their voters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, Step};
use super::leases::with_leases;
use super::plan::Plan;
use super::rng::Rng;
use super::scenarios::death;
use super::setup::Setup;
use super::vote_fault::VoteFault;
use super::voter_lists::with_lists;
use super::{HostId, Micros, SECOND, micros};
use crate::config::{ClusterName, Config, NodeName, ObserverUrl, VoterName, Voting, VotingCluster};
use crate::votes::promise_of;

/// Has the daemons of this schedule vote, or leaves it as it is. Drawn apart, so that a schedule
/// without votes is what it was before there were any. `splits`: nothing may befall it that makes a
/// second promotion in one outage possible.
pub(super) fn with_votes(plan: &mut Plan, splits: bool) {
    let mut rng = Rng::new(plan.seed ^ 0x76_6F_74_65_73);
    if plan.setup.hosts() < FEWEST_VOTERS || !rng.percent(45) {
        return;
    }
    let voting = voting(&plan.setup, &mut rng);
    plan.setup.vote_by(&voting);
    if rng.percent(25) {
        contest(plan, &mut rng);
    }
    let before = plan.length;
    let mut earliest = 0;
    if splits {
        earliest = 5 * SECOND / 2;
    } else {
        plan.length += rng.between(0, 20 * SECOND);
    }
    if rng.percent(60) {
        let at = rng.between(earliest, before);
        let fault = Fault::Votes(VoteFault::HoldsUp(rng.between(5, 60)));
        plan.steps.push(Step { at, fault });
        let (at, fault) = (plan.length, Fault::Votes(VoteFault::HoldsUp(0)));
        plan.steps.push(Step { at, fault });
    }
    for _ in 0..rng.below(7) {
        let at = rng.between(earliest, plan.length);
        let host = rng.below(plan.setup.hosts());
        let all = match rng.below(10) {
            _ if splits => write_faults(host, &mut rng),
            0..=2 => write_faults(host, &mut rng),
            3..=6 => process_faults(host, &mut rng),
            _ => other_faults(&plan.setup, host, &mut rng),
        };
        let until = (at + rng.between(SECOND / 10, 12 * SECOND)).min(plan.length);
        let steps = [(at, all.0)].into_iter().chain(all.1.map(|it| (until, it)));
        plan.steps
            .extend(steps.map(|(at, fault)| Step { at, fault }));
    }
    with_leases(plan, splits);
    if !splits {
        with_lists(plan);
    }
    plan.steps.sort_by_key(|step| step.at);
}

/// Every daemon goes first by its own settings, and sees nothing of the others: more than one stands for
/// election in an outage.
fn contest(plan: &mut Plan, rng: &mut Rng) {
    plan.setup.presence.daemons = 0;
    let agrees = rng.percent(20);
    for (config, own) in plan.setup.configs.iter_mut().zip(&plan.setup.nodes) {
        let config = Arc::make_mut(config);
        config.failover_priorities.clear();
        if !agrees {
            config.failover_priorities.insert(own.clone(), 1);
        }
    }
}

fn voting(setup: &Setup, rng: &mut Rng) -> Voting {
    let url = |host: &str| ObserverUrl {
        host: host.to_owned(),
        port: 15_000,
        encrypted: false,
        path: String::new(),
    };
    let names = (0..setup.hosts()).map(|host| setup.host_name(host));
    let voters: BTreeMap<_, _> = names
        .map(|name| (VoterName::from(name), url(name)))
        .collect();
    let cluster = VotingCluster {
        generation: 1,
        voters,
        own: VoterName::from(""),
        secret_file: "/votes/secret".into(),
        secret: None,
        dry: rng.percent(10),
    };
    Voting {
        directory: "/votes".into(),
        lease: Duration::from_millis([3000, 3000, 4000, 8000][rng.below(4)]),
        vote_timeout: Duration::from_millis([500, 1000][rng.below(2)]),
        stagger: Duration::from_millis([600, 1000, 2000][rng.below(3)]),
        step_aside: Duration::from_millis([1000, 3000][rng.below(2)]),
        fence: None,
        demotion: None,
        clusters: BTreeMap::from([(ClusterName::from("main"), cluster)]),
    }
}

/// What befalls the writing of a vote file, and what ends it.
fn write_faults(host: HostId, rng: &mut Rng) -> (Fault, Option<Fault>) {
    match rng.below(3) {
        0 => {
            let by = rng.between(SECOND / 100, 6 * SECOND);
            (
                Fault::Votes(VoteFault::SlowDisk(host, by)),
                Some(Fault::Votes(VoteFault::SlowDisk(host, 0))),
            )
        }
        1 => (
            Fault::Votes(VoteFault::DiskFull(host, true)),
            Some(Fault::Votes(VoteFault::DiskFull(host, false))),
        ),
        _ => (Fault::Restarts(host), None),
    }
}

/// What befalls a voter.
fn process_faults(host: HostId, rng: &mut Rng) -> (Fault, Option<Fault>) {
    match rng.below(6) {
        0..=3 => (
            Fault::Votes(VoteFault::EndsInWrite(host, rng.percent(70))),
            None,
        ),
        4 => (Fault::Restarts(host), None),
        _ => (
            Fault::Stops(host, rng.between(SECOND / 10, 6 * SECOND)),
            None,
        ),
    }
}

/// What needs more elections, or leaves fewer voters.
fn other_faults(setup: &Setup, host: HostId, rng: &mut Rng) -> (Fault, Option<Fault>) {
    let node = rng.below(setup.node_count());
    match rng.below(12) {
        0..=2 => (Fault::Dies(node, death(rng)), Some(Fault::Starts(node))),
        3 => (Fault::Isolate(node), Some(Fault::Mend)),
        4 => {
            let group = u32::try_from(rng.between(1, 1 << setup.hosts())).unwrap_or(1);
            (Fault::Split(group), Some(Fault::Mend))
        }
        5 => (Fault::Reboots(host), None),
        6 => {
            let status = [Some(1), None][rng.below(2)];
            let takes = rng.between(1, 3 * SECOND);
            let heals = Fault::Commands(node, Some(0), SECOND / 10);
            (Fault::Commands(node, status, takes), Some(heals))
        }
        7 => (Fault::Daemon(host, false), Some(Fault::Daemon(host, true))),
        8 => (
            Fault::Votes(VoteFault::LosesFile(host)),
            Some(Fault::Restarts(host)),
        ),
        9 => (
            Fault::Votes(VoteFault::TearsFile(host)),
            Some(Fault::Restarts(host)),
        ),
        _ => (
            Fault::Votes(VoteFault::PutsFileBack(host)),
            Some(Fault::Restarts(host)),
        ),
    }
}

impl Setup {
    /// The daemons vote as this configuration of one of them has it, if that can be simulated.
    pub(super) fn vote_as(&mut self, config: &Config) {
        let Some(voting) = config
            .voting
            .as_ref()
            .filter(|_| self.not_simulated(config).is_none())
        else {
            return;
        };
        self.vote_by(voting);
    }

    /// Every host that is a voter votes, under its own name.
    fn vote_by(&mut self, voting: &Voting) {
        for host in 0..self.hosts() {
            let own = VoterName::from(self.host_name(host));
            let mut voting = voting.clone();
            let clusters = voting.clusters.values_mut();
            let votes = clusters.filter(|it| it.voters.contains_key(&own));
            if votes.map(|cluster| cluster.own = own.clone()).count() > 0 {
                Arc::make_mut(&mut self.configs[host]).voting = Some(voting);
            }
        }
    }

    /// Who keeps the votes of this configuration from being simulated: a voter that is no host of it, a
    /// server that may be promoted and does not vote, or several clusters.
    pub(super) fn not_simulated(&self, config: &Config) -> Option<String> {
        let voting = config.voting.as_ref()?;
        let mut clusters = voting.clusters.values();
        let (Some(cluster), None) = (clusters.next(), clusters.next()) else {
            return Some("it names several clusters".to_owned());
        };
        let mut voters = cluster.voters.keys();
        if let Some(voter) = voters.find(|voter| self.voter_host(voter).is_none()) {
            return Some(format!(
                "the voter {voter} is no server and no observer of it"
            ));
        }
        let may_be = |node: &&NodeName| !config.never_promote.contains(*node);
        let votes = |node: &NodeName| {
            let own = VoterName::from(node.as_str());
            cluster.voters.contains_key(&own)
        };
        let mut promotable = self.nodes.iter().filter(may_be);
        let silent = promotable.find(|node| !votes(node));
        silent.map(|node| format!("the server {node} may be promoted and is no voter"))
    }

    /// Does whoever decides count the vote of this host.
    pub(super) fn has_vote(&self, host: HostId) -> bool {
        !self.elects() || self.configs[host].voting.is_some()
    }

    /// How much longer it takes to be elected, in addition to what comes before, at the latest: a promise
    /// to another runs out, once more if its request is delivered late; a write that failed is repeated;
    /// two times another standby goes first; four attempts collide, and who lost them, or whose command
    /// has failed before, steps aside. That more attempts collide is possible, and less likely than one in
    /// a million: each waits for a random time.
    pub(super) fn time_to_elect(&self) -> Micros {
        let Some(voting) = self.voting().filter(|_| self.elects()) else {
            return 0;
        };
        let (timeout, stagger) = (micros(voting.vote_timeout), micros(voting.stagger));
        let attempt = 2 * timeout
            + self.longest(|config| config.check_interval)
            + 3 * self.longest(|config| config.poll_timeout);
        let attempts = 4 * attempt + (1 + 2 + 4 + 8) * stagger;
        let deferrals = 2 * (attempt + 2 * stagger);
        let elected = 2 * micros(promise_of(voting.lease))
            + WRITE_TIME
            + attempts
            + deferrals
            + 4 * micros(voting.step_aside);
        elected + self.time_to_give_up()
    }

    /// How much longer it takes at the latest where leases are in force: a server that is dead on a living
    /// host is given up after the limit, by what was polled, fenced, and its term released; until then the
    /// voters are promised to it, and it may have had to be given up once more after its lease came back.
    fn time_to_give_up(&self) -> Micros {
        let Some(fence) = self.leases() else {
            return 0;
        };
        let polls = self.longest(|config| config.poll_interval + config.poll_timeout);
        let limit = self.longest(|config| config.failover_lag);
        let give_up = 2 * (polls + micros(fence.timeout) + micros(fence.renew));
        limit + give_up + WRITE_TIME + self.time_to_hand_over()
    }

    /// How much longer it takes at the latest until a list that every file has is sealed, and all know that:
    /// voters ask each other every 5 s, in some four rounds, and what they have promised before is over.
    pub(super) fn time_to_change_lists(&self) -> Micros {
        let promises = self.voting().map_or(0, |it| 2 * micros(it.lease));
        match self.lists.is_empty() {
            true => 0,
            false => promises + LISTS_TIME,
        }
    }

    /// How much longer it takes at the latest where there may be a switchover: the server is being stopped,
    /// its successor catches up, or has the next votes reserved for it.
    fn time_to_hand_over(&self) -> Micros {
        let demotion = self.any_config().demotion();
        demotion.map_or(0, |it| micros(it.timeout) + HANDING_TIME)
    }
}

const LISTS_TIME: Micros = 40 * SECOND;
/// A successor is waited for, and its votes are reserved, for 10 s each.
const HANDING_TIME: Micros = 25 * SECOND;
/// Of a slow write, and the time after one that has failed.
const WRITE_TIME: Micros = 12 * SECOND;
const FEWEST_VOTERS: usize = 3;
