//! What is not as it should be, in words.

use super::model::Observer;
use super::node::{Node, Role, Standing};

/// The worst first.
pub(super) fn all(nodes: &[Node], observers: &[Observer]) -> Vec<String> {
    let mut problems: Vec<String> = nodes.iter().filter_map(of_node).collect();
    problems.extend(nodes.iter().filter_map(of_daemon));
    problems.extend(observers.iter().filter_map(of_observer));
    problems
}

pub(super) fn of_node(node: &Node) -> Option<String> {
    let (name, role) = (&node.name, node.role.name());
    let why = node.failure.as_ref();
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    Some(match (node.standing, node.role) {
        (Standing::Ok | Standing::NeverPolled | Standing::Unknown, _) => return None,
        (Standing::Lost, Role::Unknown) => {
            format!("{name} is not reached and has never reported its role{why}")
        }
        (Standing::Lost, _) => format!("{role} {name} is not reached{why}"),
        (Standing::Superseded, _) if node.connected => format!(
            "{name} is a primary in whose place another one has come: stop it and make it a standby"
        ),
        (Standing::Superseded, _) => format!(
            "{name} was the primary before: rewind or rebuild it as a standby before it is started"
        ),
        (Standing::Diverged, _) => format!(
            "{name} is of another history than the primary and no candidate: pg_rewind or rebuild it"
        ),
        (Standing::OldTimeline, _) => {
            // Without the right to see the receiver a timeline is that of the last checkpoint.
            let (from, or) = match &node.upstream {
                Some(from) => (format!(" and streams from {from}"), ""),
                None => (
                    String::new(),
                    "; or it has made no checkpoint since, pg_monitor would show that",
                ),
            };
            format!(
                "{name} does not follow the primary: it is on an older timeline{from}, see its primary_conninfo and its log{or}"
            )
        }
        (Standing::Lagging, _) => format!("the lag of {name} is over warning_replication_time_lag"),
        (Standing::OtherCluster, _) => {
            format!("{name} is a server of another cluster (system identifier)")
        }
    })
}

pub(super) fn of_daemon(node: &Node) -> Option<String> {
    let name = &node.name;
    let state = node.daemon.as_ref()?.state.as_str();
    Some(match state {
        "maintenance" => format!("maintenance: pglookout on {name} does not promote it"),
        "no_command" => format!("pglookout on {name} has no failover_command"),
        "failed" => format!("the last failover_command on {name} failed"),
        _ => return None,
    })
}

pub(super) fn of_observer(observer: &Observer) -> Option<String> {
    if observer.connected || observer.answered.is_none() {
        return None;
    }
    let why = observer
        .failure
        .as_deref()
        .unwrap_or("its last answer is old");
    Some(format!("observer {} does not answer: {why}", observer.name))
}
