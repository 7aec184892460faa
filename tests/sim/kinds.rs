//! Of which kind a schedule or a cluster is, by which the judge knows what must come of it.

use pglookout::config::QuorumRule;
use pglookout::simulation::{Fault, NodeId, Plan, SECOND, Setup, VoteFault};

/// A majority is asked for, every daemon has come to know the whole cluster, and then the network
/// splits once into islands, before anybody can have begun to promote: the case in which no second
/// promotion is possible.
pub(crate) fn is_one_split(plan: &Plan) -> bool {
    let primary = plan.setup.primary;
    // Nobody was in contact before 0.
    let earliest_promotion = plan.setup.shortest_limit();
    let splits = |fault: &Fault| matches!(fault, Fault::Split(_) | Fault::Isolate(_));
    let harmless = |fault: &Fault, at| match *fault {
        Fault::Split(_) | Fault::Isolate(_) => at <= earliest_promotion,
        Fault::Dies(node, _) => node == primary,
        Fault::Restarts(_)
        | Fault::StepsClock(..)
        | Fault::Check(_)
        | Fault::Commands(..)
        | Fault::Pauses(..)
        | Fault::Votes(VoteFault::HoldsUp(_))
        | Fault::Votes(VoteFault::SlowDisk(..))
        | Fault::Votes(VoteFault::DiskFull(..))
        | Fault::Lost(..) => true,
        _ => false,
    };
    let mut configs = plan.setup.configs.iter();
    let mut steps = plan.steps.iter();
    // Where daemons differ in the candidates or their order, two of one island may each go first by
    // its own settings; and of whom one daemon thinks that it has no vote, another one may count.
    // Where voters elect, more than half of them always do.
    let asks_majority = plan.setup.elects() || configs.all(|it| it.quorum == QuorumRule::Majority);
    asks_majority
        && plan.setup.agrees_on_candidates()
        && steps.all(|step| harmless(&step.fault, step.at) && step.at > 2 * SECOND)
        && plan.steps.iter().filter(|step| splits(&step.fault)).count() <= 1
}

/// Does each daemon prefer its own node, and is one of them elected: whoever stands, somebody wins.
pub(crate) fn are_contestants(setup: &Setup) -> bool {
    let mut nodes = setup.nodes.iter().zip(&setup.configs);
    let never = &setup.any_config().never_promote;
    setup.elects()
        && nodes.all(|(own, config)| {
            config.failover_priorities.keys().eq([own]) && config.never_promote == *never
        })
}

pub(crate) fn all_show(setup: &Setup) -> bool {
    setup.presence.daemons == u32::MAX && setup.presence.servers == u32::MAX
}

/// How many standbys must be promoted when the primary is dead and all else is well, and how many may
/// be: differing quorums make both.
pub(crate) fn votes_without(setup: &Setup, primary: NodeId) -> (usize, usize) {
    let never = &setup.any_config().never_promote;
    let able = (0..setup.nodes.len())
        .filter(|node| *node != primary && !never.contains(&setup.nodes[*node]));
    let able: Vec<_> = able.collect();
    let known = able.len() + setup.observers.len();
    let all = known + 1;
    let is_met = |node: &NodeId| match setup.configs[*node].quorum {
        QuorumRule::Half => 2 * known >= all,
        QuorumRule::Majority => 2 * known > all,
    };
    let met = able.iter().filter(|node| is_met(node)).count();
    let is_one = !able.is_empty() && met == able.len();
    (usize::from(is_one), usize::from(met > 0))
}
