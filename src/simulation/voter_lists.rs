//! The lists of voters of a cluster, one after the other: what a configuration is with each, how an operator
//! brings it to the hosts, and which clusters of the drawn schedules have more than one.

use std::sync::Arc;

use super::fault::{Fault, Step};
use super::plan::Plan;
use super::rng::Rng;
use super::setup::{Setup, VotersOf};
use super::switching::is_lasting;
use super::vote_disk::VoteDisk;
use super::vote_exchange::VotesHere;
use super::vote_fault::VoteFault;
use super::world::World;
use super::{HostId, SECOND};
use crate::config::{Config, ObserverUrl, VoterName};
use crate::votes::{ListStage, VoterList};

impl Setup {
    /// The voters of each generation are these. The first host votes in the first of them.
    pub fn vote_in(&mut self, lists: Vec<VotersOf>) {
        self.lists = lists;
        for host in 0..self.hosts() {
            let mut config = self.with_list(host, 1);
            if self.voter_of(host, 1).is_none() {
                Arc::make_mut(&mut config).voting = None;
            }
            self.configs[host] = config;
        }
    }

    /// The configuration of a host with the list of this generation.
    pub(super) fn with_list(&self, host: HostId, generation: u64) -> Arc<Config> {
        let base = &self.configs[host];
        let Some(list) = self.list(generation) else {
            return Arc::clone(base);
        };
        let mut config = (**base).clone();
        let votes = |list: &VotersOf, node| list.values().any(|host| *host == node);
        for (node, name) in self.nodes.iter().enumerate() {
            // Every node that may be promoted is a voter.
            if !votes(list, node) {
                config.never_promote.insert(name.clone());
            } else if self.list(1).is_some_and(|first| !votes(first, node)) {
                config.never_promote.remove(name);
            }
        }
        let Some(own) = self.voter_of(host, generation) else {
            return Arc::new(config);
        };
        config.voting.clone_from(&self.any_config().voting);
        let clusters = config.voting.iter_mut();
        let clusters = clusters.flat_map(|voting| voting.clusters.values_mut());
        for cluster in clusters {
            cluster.own = own.clone();
            cluster.generation = generation;
            let voters = list.keys().map(|name| (name.clone(), url(name)));
            cluster.voters = voters.collect();
        }
        Arc::new(config)
    }

    /// The voters of this generation, where there is more than one.
    pub fn list(&self, generation: u64) -> Option<&VotersOf> {
        let place = usize::try_from(generation).ok()?.checked_sub(1)?;
        self.lists.get(place)
    }

    /// As which voter a host knows itself with this list: one that was removed, as the one it was.
    fn voter_of(&self, host: HostId, generation: u64) -> Option<&VoterName> {
        let before = usize::try_from(generation).unwrap_or(usize::MAX);
        let lists = self.lists.iter().take(before).rev();
        let mut names = lists.flat_map(|list| list.iter());
        names.find(|(_, at)| **at == host).map(|(name, _)| name)
    }

    /// The host that has this voter in any list.
    pub(super) fn listed_host(&self, voter: &VoterName) -> Option<HostId> {
        let mut lists = self.lists.iter();
        lists.find_map(|list| list.get(voter).copied())
    }
}

fn url(name: &VoterName) -> ObserverUrl {
    ObserverUrl {
        host: name.to_string(),
        port: 15_000,
        encrypted: false,
        path: String::new(),
    }
}

/// An operator edits the file of a host to have this list, and has the daemon read it. Unless he is
/// `careless`, he begins with a list when the one before is sealed, as `pglookout votes` has it.
pub(super) fn edit(
    world: &mut World<'_>,
    host: HostId,
    generation: u64,
    (restarts, is_careless): (bool, bool),
) {
    let is_first = generation > world.last_list;
    let is_next = generation == world.last_list + 1;
    if is_first && !is_careless {
        // He has brought the one before to all first.
        heal(world);
    }
    let may_begin = is_careless || (is_next && is_sealed(world));
    let is_newer = generation > world.hosts[host].list;
    if !is_newer || (is_first && !may_begin) {
        return;
    }
    world.last_list = world.last_list.max(generation);
    bring(world, host, generation, restarts);
}

/// Do all voters that answer know that the last list is sealed.
fn is_sealed(world: &World<'_>) -> bool {
    let list = world.setup.list(world.last_list);
    let mut voters = list.into_iter().flat_map(|list| list.values());
    voters.all(|host| {
        let members = world.core(*host).votes();
        let mut members = members.filter_map(|(_, member)| member.ok());
        members.any(|member| {
            let is_last = member.list().generation == world.last_list;
            is_last && member.roll().stage == ListStage::Sealed
        })
    })
}

fn bring(world: &mut World<'_>, host: HostId, generation: u64, restarts: bool) {
    world.hosts[host].list = generation;
    let base = world.setup.with_list(host, generation);
    let is_new = init(world, host, &base);
    let mut config = (**world.config(host)).clone();
    config.voting.clone_from(&base.voting);
    config.never_promote.clone_from(&base.never_promote);
    let config = Arc::new(config);
    if !world.is_alive(host) {
        world.hosts[host].daemon.edit(config);
    } else if restarts || is_new {
        world.hosts[host].daemon.edit(config);
        world.restart(host, false);
    } else {
        world.load(host, config);
    }
}

/// `pglookout votes init` on the host of a voter that is new, or has a new name.
fn init(world: &mut World<'_>, host: HostId, config: &Config) -> bool {
    let own = config.voting.as_ref().and_then(|it| it.own_cluster());
    let Some((cluster, own)) = own else {
        return false;
    };
    let list = VoterList::from(own);
    let votes = world.hosts[host].votes.as_ref();
    let is_known = votes.is_some_and(|votes| *votes.disk.voter() == own.own);
    if is_known || !list.names.contains(&own.own) {
        return false;
    }
    let disk = VoteDisk::joining(cluster.clone(), own.own.clone(), list);
    world.hosts[host].votes = Some(VotesHere::new(disk));
    true
}

/// The operator brings the last list to every host.
pub(super) fn heal(world: &mut World<'_>) {
    for host in 0..world.hosts.len() {
        let is_behind = world.hosts[host].list < world.last_list;
        if is_behind {
            bring(world, host, world.last_list, false);
        }
    }
}

/// Has the list of voters of this cluster changed, or leaves it as it is. Drawn apart, so that a schedule
/// without that is what it was before there was any.
pub(super) fn with_lists(plan: &mut Plan) {
    let mut rng = Rng::new(plan.seed ^ 0x006C_6973_7473);
    let hosts = plan.setup.hosts();
    if !plan.setup.elects() || hosts < FEWEST_HOSTS || !rng.percent(20) {
        return;
    }
    if rng.percent(50) {
        plan.steps.retain(|step| is_lasting(&step.fault));
    }
    let lists = lists(&plan.setup, &mut rng);
    plan.setup.vote_in(lists);
    let mut at = rng.between(2 * SECOND, 8 * SECOND);
    for generation in (2..).take(plan.setup.lists.len() - 1) {
        let is_careless = rng.percent(8);
        let restarts = rng.percent(40);
        for host in 0..hosts {
            // One that is left out is edited in the end.
            if rng.percent(12) {
                continue;
            }
            let edit = VoteFault::Edits(host, generation, (restarts, is_careless));
            let at = at + rng.between(0, 8 * SECOND);
            let fault = Fault::Votes(edit);
            plan.steps.push(Step { at, fault });
        }
        at += rng.between(8 * SECOND, 30 * SECOND);
    }
    plan.length = plan.length.max(at);
    plan.steps.sort_by_key(|step| step.at);
}

/// Up to three changes, each of one voter.
fn lists(setup: &Setup, rng: &mut Rng) -> Vec<VotersOf> {
    let name = |host: HostId| VoterName::from(setup.host_name(host));
    let mut list: VotersOf = (0..setup.hosts())
        .filter(|host| *host == 0 || *host == setup.primary || rng.percent(60))
        .map(|host| (name(host), host))
        .collect();
    for host in 0..setup.hosts() {
        if list.len() < FEWEST_VOTERS {
            list.insert(name(host), host);
        }
    }
    let mut lists = vec![list];
    for number in 0..=rng.below(3) {
        let Some(mut next) = lists.last().cloned() else {
            break;
        };
        let members: Vec<_> = next.clone().into_iter().collect();
        let removed = &members[rng.below(members.len())];
        let added = rng.below(setup.hosts());
        let is_new = !next.values().any(|host| *host == added);
        let may_go = removed.1 != setup.primary;
        let is_observer = removed.1 >= setup.node_count();
        match rng.below(4) {
            0 if is_observer => {
                next.remove(&removed.0);
                let renamed = format!("{}{number}", setup.host_name(removed.1));
                next.insert(VoterName::from(renamed.as_str()), removed.1);
            }
            1 if may_go && next.len() > FEWEST_VOTERS => _ = next.remove(&removed.0),
            2 if may_go && is_new => {
                next.remove(&removed.0);
                next.insert(name(added), added);
            }
            _ if is_new => _ = next.insert(name(added), added),
            _ => {}
        }
        if Some(&next) != lists.last() {
            lists.push(next);
        }
    }
    lists
}

const FEWEST_HOSTS: usize = 4;
const FEWEST_VOTERS: usize = 3;
