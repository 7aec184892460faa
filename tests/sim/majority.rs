//! A majority that is connected, with a standby that may and can be promoted, has one promoted.

use pglookout::config::QuorumRule;
use pglookout::simulation::{Condition, HostId, Micros, NodeId, Path, SECOND, World};

use crate::elections::Elections;
use crate::kinds::are_contestants;
use crate::objections::Case;
use crate::truth::Truth;
use crate::violation::Violation;

/// Nothing has happened for so long that somebody must have been promoted: was nobody, in spite of a
/// majority. Where quorums differ, a majority by every daemon's rule promotes; where limits differ, it
/// does so by the longest. Where daemons differ in the candidates or their order, each may wait for
/// another one: nothing is promised.
pub(crate) fn nobody_promoted(
    world: &World<'_>,
    truth: &Truth,
    elections: &Elections,
) -> Option<Violation> {
    let setup = world.setup();
    let is_ruled_out = elections.is_held_up
        || !setup.any_config().failover_on_disconnect
        || !(setup.agrees_on_candidates() || are_contestants(setup))
        || (0..setup.hosts()).any(|host| *world.config(host) != world.proper_config(host))
        || world.promotions().0.iter().any(|one| one.outcome.is_none());
    if is_ruled_out {
        return None;
    }
    let mut standbys = 0..setup.nodes.len();
    let found = standbys.find(|node| {
        let group = group(world, *node);
        let never = &world.config(*node).never_promote;
        !never.contains(&setup.nodes[*node])
            && group.contains(node)
            && match setup.elects() {
                true => elects(world, elections, &group),
                false => is_majority(world, truth, &group),
            }
            && !meets_a_primary(world, &group)
            && are_willing(world, truth, &group)
    })?;
    Some(Violation::Nobody(found))
}

/// Hosts that reach each other and this one without any trouble.
fn group(world: &World<'_>, node: NodeId) -> Vec<HostId> {
    let network = world.network();
    let is_well = |host: HostId| {
        let database = world.databases().get(host);
        world.is_alive(host)
            && !world.is_asleep(host)
            && network.path(host, host) == Path::default()
            && world.lie(host).is_none()
            && database.is_none_or(|it| {
                it.condition == Condition::Up
                    && it.refusal.is_none()
                    && it.out_of_slots_for == 0
                    && !it.is_primary
            })
    };
    let reach = |a: HostId, b: HostId| {
        network.path(a, b) == Path::default() && network.path(b, a) == Path::default()
    };
    let mut group = Vec::new();
    let others = (0..world.setup().hosts()).filter(|host| *host != node);
    for host in std::iter::once(node).chain(others) {
        if is_well(host) && group.iter().all(|other| reach(host, *other)) {
            group.push(host);
        }
    }
    group
}

/// Are the voters among these, who live and can write their votes, more than half of all, and is each
/// standby one of them that can.
fn elects(world: &World<'_>, elections: &Elections, group: &[HostId]) -> bool {
    let nodes = world.setup().nodes.len();
    let mut standbys = group.iter().filter(|host| **host < nodes);
    elections.can_elect(world, group.iter().copied())
        && standbys.all(|node| !votes(world, *node) || elections.is_able(world, *node))
}

/// One that is in no list waits for nobody, and nobody for it.
fn votes(world: &World<'_>, host: HostId) -> bool {
    world.config(host).voting.is_some()
}

fn is_majority(world: &World<'_>, truth: &Truth, group: &[HostId]) -> bool {
    let setup = world.setup();
    let config = setup.any_config();
    let may = |node: &NodeId| !config.never_promote.contains(&setup.nodes[*node]);
    let standbys = group.iter().filter(|host| **host < setup.nodes.len());
    let standbys = standbys.filter(|node| may(node)).count();
    // A witness that has never reached the primary has no vote.
    let saw = |host: HostId, node: Option<NodeId>| {
        node.is_some_and(|node| truth.hosts[host].knowledge.answered[node].is_some())
    };
    let remembered = group.first().and_then(|host| world.remembered(*host));
    let observers = setup.observers.iter();
    let observers = observers.filter(|(_, host)| group.contains(host) && saw(*host, remembered));
    let known = standbys + observers.count();
    let all = (0..setup.nodes.len()).filter(may).count() + 1 + setup.observers.len();
    setup.configs.iter().all(|config| match config.quorum {
        QuorumRule::Half => 2 * known >= all,
        QuorumRule::Majority => 2 * known > all,
    })
}

/// Can anybody of them still meet a primary, or somebody else who comes and goes.
fn meets_a_primary(world: &World<'_>, group: &[HostId]) -> bool {
    let databases = world.databases();
    let network = world.network();
    let outside = (0..databases.len()).filter(|node| !group.contains(node));
    let is_dead = |node: NodeId| {
        matches!(
            databases[node].condition,
            Condition::Crashed | Condition::HostDown | Condition::Hung
        )
    };
    let mut outside = outside.filter(|node| !is_dead(*node));
    let is_met = outside.any(|node| group.iter().any(|host| !network.path(*host, node).cut));
    let observers = world.setup().observers.iter();
    let mut partly = observers.filter(|(_, host)| !group.contains(host));
    is_met
        || partly.any(|(_, host)| group.iter().any(|one| !network.path(*one, *host).cut))
        || group
            .iter()
            .filter_map(|node| databases.get(*node))
            .any(|it| {
                it.upstream
                    .is_some_and(|upstream| !group.contains(&upstream) && !is_dead(upstream))
            })
}

/// Is every standby of them of the history of the last primary, and would its daemon promote it.
fn are_willing(world: &World<'_>, truth: &Truth, group: &[HostId]) -> bool {
    let databases = world.databases();
    let last = databases.iter().max_by_key(|database| database.term);
    let nodes = group.iter().filter(|host| **host < databases.len());
    let since = world.now().saturating_sub(10 * SECOND);
    let mut nodes = nodes.peekable();
    nodes.peek().is_some()
        && nodes.all(|node| {
            let case = Case {
                truth,
                world,
                host: *node,
            };
            let config = world.config(*node);
            let never = config.never_promote.contains(&world.setup().nodes[*node]);
            let of_history = last.is_some_and(|last| {
                // Once the last primary itself is rewound, its history is gone: everybody else is
                // of an older one, and an operator must decide.
                let mut forks = last.history.iter();
                let is_whole = forks.any(|fork| Some(fork.term) == last.term);
                is_whole && databases[*node].is_part_of(last) && !is_outlived(world, truth, *node)
            });
            let knows_primary = world.remembered(*node).is_some();
            of_history && knows_primary && (never || case.is_willing(*node, since))
        })
}

/// Does this standby lack all that the last primary has written, which has lived for longer than the
/// shortest limit: it is not promoted, since nobody knows how much would be lost.
fn is_outlived(world: &World<'_>, truth: &Truth, node: NodeId) -> bool {
    let databases = world.databases();
    let terms = (0..databases.len()).filter_map(|node| Some((node, databases[node].term?)));
    let Some((primary, last)) = terms.max_by_key(|(_, term)| *term) else {
        return false;
    };
    let mut own = databases[node].history.iter();
    let has_it = own.any(|fork| fork.term == last);
    // One that an operator has rewound in between was promoted to a timeline of the same number again.
    let lived = truth.hosts.iter().any(|host| {
        let reigns = host.knowledge.reigns.iter();
        let reigns = reigns.filter(|((of, _), _)| *of == primary);
        let lived: Micros = reigns
            .map(|(_, (first, until))| until.saturating_sub(*first))
            .sum();
        lived + SECOND >= world.setup().shortest_limit()
    });
    !has_it && lived
}
