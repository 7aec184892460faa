//! What a daemon reports to those who ask for its `/state.json`, lies included.

use std::collections::BTreeMap;

use super::Micros;
use super::fault::Lie;
use super::host::Host;
use super::setup::Setup;
use crate::cluster::{NodeState, ObservedNode, ObserverReport};
use crate::time::WallTime;

/// The report of this host's daemon.
pub(super) fn report(
    host: &Host,
    setup: &Setup,
    shows_presence: bool,
    now: Micros,
) -> ObserverReport {
    let mut date = host.clocks.wall(now);
    if host.faults.whole_seconds {
        date = WallTime::from_unix_micros(date.unix_micros().div_euclid(1_000_000) * 1_000_000);
    }
    if let (Some(Lie::Frozen), Some(frozen)) = (host.faults.lie, &host.faults.frozen) {
        let nodes = frozen.nodes.clone();
        return ObserverReport { date, nodes };
    }
    let mut report = ObserverReport {
        date,
        nodes: BTreeMap::new(),
    };
    for (name, node) in &host.daemon.core.state().nodes {
        if let Some(observed) = observed(node, shows_presence) {
            report.nodes.insert(name.clone(), observed);
        }
    }
    if let Some(lie) = host.faults.lie {
        falsify(&mut report, lie, setup);
    }
    report
}

/// One that does not know of presence does not relay identities either.
fn observed(node: &NodeState, shows_presence: bool) -> Option<ObservedNode> {
    let attempt = node.attempt?;
    let answer = node.answer.as_ref();
    Some(ObservedNode {
        fetch_time: attempt.fetch_time,
        connection: attempt.connected,
        db_time: answer.map(|answer| answer.db_time),
        in_recovery: answer.map(|answer| answer.in_recovery),
        receive: answer.and_then(|answer| answer.receive),
        replay: answer.and_then(|answer| answer.replay),
        last_replay: answer.and_then(|answer| answer.last_replay),
        identity: answer
            .filter(|_| shows_presence)
            .map(|answer| answer.identity.clone())
            .unwrap_or_default(),
        daemons: answer.and_then(|answer| answer.daemons.clone()),
    })
}

fn falsify(report: &mut ObserverReport, lie: Lie, setup: &Setup) {
    let date = report.date;
    let reached = |entry: &mut ObservedNode, in_recovery| {
        entry.connection = true;
        entry.in_recovery = Some(in_recovery);
        entry.fetch_time = date;
    };
    let entries = report.nodes.iter_mut();
    match lie {
        Lie::Primary(node) => entries
            .filter(|(name, _)| **name == setup.nodes[node])
            .for_each(|(_, entry)| reached(entry, false)),
        Lie::AllStandbys => entries.for_each(|(_, entry)| reached(entry, true)),
        Lie::AllGone => entries.for_each(|(_, entry)| entry.connection = false),
        Lie::Frozen => {}
        Lie::Date(by) => {
            report.date = WallTime::from_unix_micros(date.unix_micros() + by * 1_000_000);
        }
    }
}
