//! A primary that is cut off: if the others have a quorum without it, one of them is promoted, and a
//! command may see to it that this one takes no more writes.

use std::collections::BTreeSet;

use super::turn::Turn;
use super::{CommandId, CommandOutcome, CommandPurpose};
use crate::cluster::{ClusterState, NodeMap, NodeState};
use crate::config::{Config, NodeName};
use crate::failover::Quorum;
use crate::time::Monotonic;

/// Whether our own primary is cut off.
#[derive(Debug, Default)]
pub(super) struct Isolation {
    since: Option<Monotonic>,
    /// The command was run for it.
    has_run: bool,
    running: Option<CommandId>,
}

impl Isolation {
    /// When the command is due.
    pub(super) fn due(&self, config: &Config) -> Option<Monotonic> {
        config.isolated_primary_command.as_ref()?;
        let since = self.since.filter(|_| !self.has_run)?;
        Some(since + config.isolated_primary_timeout)
    }

    /// Follows a regular decision.
    pub(super) fn follow(
        &mut self,
        is_paused: bool,
        state: &ClusterState,
        map: &NodeMap,
        config: &Config,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let Some(command) = config.isolated_primary_command.clone() else {
            return;
        };
        if is_paused || !is_primary(state, config) || !are_others_enough(state, map, config) {
            if self.has_run {
                turn.info("this primary is not isolated any more".to_owned());
            }
            (self.since, self.has_run) = (None, false);
            return;
        }
        let since = *self.since.get_or_insert(now);
        let lasts = now.since(since);
        if self.has_run || lasts < config.isolated_primary_timeout {
            return;
        }
        self.has_run = true;
        let lasts = lasts.as_secs_f64();
        turn.error(format!(
            "this primary has been isolated for {lasts:.3} s: the others have a quorum without it"
        ));
        let purpose = CommandPurpose::Isolation;
        self.running = Some(turn.run(purpose, command, config));
    }

    /// A command has ended: false if it was not ours.
    pub(super) fn command_exited(
        &mut self,
        id: CommandId,
        outcome: &CommandOutcome,
        turn: &mut Turn<'_>,
    ) -> bool {
        if self.running != Some(id) {
            return false;
        }
        self.running = None;
        let text = format!("isolated_primary_command {outcome}");
        match outcome {
            CommandOutcome::Exited(0) => turn.warning(text),
            _ => turn.error(text),
        }
        turn.count_failure(CommandPurpose::Isolation, outcome);
        true
    }
}

/// By its last answer: one that hangs may still take writes.
fn is_primary(state: &ClusterState, config: &Config) -> bool {
    let own = config.own_db.as_ref();
    let answer = own.and_then(|own| state.nodes.get(own)?.answer.as_ref());
    answer.is_some_and(|answer| !answer.in_recovery)
}

/// Are those whom we do not reach ourselves as many as a promotion requires.
fn are_others_enough(state: &ClusterState, map: &NodeMap, config: &Config) -> bool {
    let has_vote = |node: &&NodeName| {
        config.own_db.as_ref() != Some(*node)
            && !config.never_promote.contains(*node)
            && !config.known_gone.contains(*node)
    };
    let others = config.nodes.keys().filter(has_vote);
    let (reached, unreached): (Vec<_>, Vec<_>) =
        others.partition(|node| state.nodes.get(*node).is_some_and(NodeState::is_connected));
    // One vote for each address.
    let observers = config.observers.iter();
    let addresses: BTreeSet<_> = observers
        .clone()
        .map(|(_, it)| (&it.host, it.port))
        .collect();
    let connected = observers.filter(|(name, _)| map.connected_observers.contains(*name));
    let connected: BTreeSet<_> = connected.map(|(_, it)| (&it.host, it.port)).collect();
    let silent = addresses.len().saturating_sub(connected.len());
    let quorum = Quorum {
        known: unreached.len() + silent,
        total: reached.len() + unreached.len() + addresses.len() + 1,
        rule: config.quorum,
    };
    quorum.is_met()
}

#[cfg(test)]
mod tests {
    use super::super::world::check;

    const COMMAND: &str = r#""own_db": "p", "isolated_primary_command": "fence", "isolated_primary_timeout": 20,
        "failover_quorum": "majority", "observers": {"o1": "http://o1"}"#;

    #[track_caller]
    fn runs(script: &str, expected: &str) {
        check(COMMAND, script, "run, log this primary", expected);
    }

    const TOGETHER: &str = "0 p primary\n0 s1 standby 0/50\n0 s2 standby 0/50\n0 o1 sees p\n";

    #[test]
    fn a_primary_without_the_others_is_isolated_once() {
        let script = "30 s1 unreachable\n30 s2 unreachable\n30 o1 unreachable\n\
            120 s1 standby 0/50\n120 s2 standby 0/50\n160 end";
        runs(
            &format!("{TOGETHER}{script}"),
            "50.01 log this primary has been isolated for 20.000 s: the others have a quorum without it
             50.01 run fence
             120.01 log this primary is not isolated any more",
        );
        // Two of four are no majority, and neither would the other two be.
        let half = "30 s1 unreachable\n30 o1 unreachable\n160 end";
        runs(&format!("{TOGETHER}{half}"), "");
    }

    #[test]
    fn one_that_came_up_alone_is_isolated() {
        let script = "0 p primary\n0 s1 unreachable\n0 s2 unreachable\n0 o1 unreachable\n60 end";
        runs(
            script,
            "20.01 log this primary has been isolated for 20.000 s: the others have a quorum without it
             20.01 run fence",
        );
    }

    #[test]
    fn a_standby_is_not() {
        let script =
            "0 p standby 0/50\n0 s1 unreachable\n0 s2 unreachable\n0 o1 unreachable\n60 end";
        runs(script, "");
    }
}
