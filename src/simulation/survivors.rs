//! Who lives, reaches whom and is able to promote after the faults of a schedule.

use super::HostId;
use super::fault::{Fault, Step, are_apart};
use super::plan::Plan;

/// Has the primary died, and is there a standby that may and can be promoted and reaches, with
/// itself, more than half of all voters: of all hosts, unless there is an election. A split that isolates the primary counts as its death.
pub(super) fn have_a_majority(plan: &Plan) -> bool {
    let setup = &plan.setup;
    (0..setup.node_count()).any(|node| {
        let voters = (0..setup.hosts()).filter(|host| setup.has_vote(*host));
        let reached = voters.clone().filter(|host| reaches(plan, node, *host));
        is_able(plan, node) && has_lost_primary(plan, node) && 2 * reached.count() > voters.count()
    })
}

/// Could a standby promote but for a daemon that is down, in maintenance or without a command that
/// works.
pub(super) fn need_one_daemon(plan: &Plan) -> bool {
    let is_unable = |step: &Step| unable_host(&step.fault).is_some();
    let mut able = plan.clone();
    able.steps.retain(|step| !is_unable(step));
    able.steps.len() < plan.steps.len() && have_a_majority(&able)
}

/// Is the primary dead, or on the other side of a split.
fn has_lost_primary(plan: &Plan, node: HostId) -> bool {
    let primary = plan.setup.primary;
    let mut faults = plan.steps.iter().map(|step| step.fault);
    faults.any(|fault| match fault {
        Fault::Dies(dead, _) => dead == primary,
        Fault::Split(group) => are_apart(group, node, primary),
        _ => false,
    })
}

/// A standby that may be promoted, lives, and has a daemon that can.
fn is_able(plan: &Plan, node: HostId) -> bool {
    let setup = &plan.setup;
    let may = |name| !setup.any_config().never_promote.contains(name);
    let mut faults = plan.steps.iter().map(|step| &step.fault);
    node != setup.primary
        && setup.nodes.get(node).is_some_and(may)
        && lives(plan, node)
        && !faults.any(|fault| unable_host(fault) == Some(node))
}

/// Whose daemon cannot promote after this fault.
fn unable_host(fault: &Fault) -> Option<HostId> {
    match *fault {
        Fault::Daemon(host, false)
        | Fault::Maintenance(host, true)
        | Fault::Commands(host, _, _) => Some(host),
        _ => None,
    }
}

/// Has a vote, as far as this node can know.
fn reaches(plan: &Plan, node: HostId, host: HostId) -> bool {
    let is_cut = plan.steps.iter().any(|step| match step.fault {
        Fault::Split(group) => are_apart(group, node, host),
        Fault::Path(from, to, true) => (from, to) == (node, host),
        _ => false,
    });
    host != plan.setup.primary && lives(plan, host) && !is_cut
}

/// A database that runs; of an observer its daemon.
fn lives(plan: &Plan, host: HostId) -> bool {
    let is_observer = host >= plan.setup.node_count();
    !plan.steps.iter().any(|step| match step.fault {
        Fault::Dies(node, _) => node == host,
        Fault::Daemon(daemon, false) => is_observer && daemon == host,
        _ => false,
    })
}
