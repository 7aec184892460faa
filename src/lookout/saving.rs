//! When the state file is written. Whatever a later process must know is written at once. That time has
//! passed, and positions with it, is written now and then: each write costs two fsyncs.

use std::sync::Arc;
use std::time::Duration;

use super::Saved;
use super::votes::Votes;
use crate::cluster::{ClusterState, NodeState};
use crate::config::Config;
use crate::time::Monotonic;

/// What was written last.
#[derive(Debug, Default)]
pub(super) struct Saving {
    last: Option<Written>,
}

#[derive(Debug)]
struct Written {
    at: Monotonic,
    saved: Arc<Saved>,
    shown: Shown,
}

/// What else people read of it.
#[derive(Debug, PartialEq)]
struct Shown {
    connected: Vec<bool>,
    /// Of each cluster in which this daemon votes; `None`: it has no record.
    terms: Vec<Option<u64>>,
}

impl Saving {
    /// What is to be written now, if anything. `is_last`: there is no decision to come.
    pub(super) fn due(
        &mut self,
        saved: Saved,
        (state, votes): (&ClusterState, &Votes),
        is_last: bool,
        config: &Config,
        now: Monotonic,
    ) -> Option<Arc<Saved>> {
        let members = votes.all().map(|(_, member)| member.ok());
        let shown = Shown {
            connected: connected(state),
            terms: members.map(|it| Some(it?.voter().record().term)).collect(),
        };
        let is_withheld = self.last.as_ref().is_some_and(|last| {
            let next = now + config.check_interval;
            !is_last
                && next.since(last.at) <= longest_age(config)
                && last.shown == shown
                && last.saved.is_as_good_as(&saved)
        });
        if is_withheld {
            return None;
        }
        let saved = Arc::new(saved);
        self.last = Some(Written {
            at: now,
            saved: Arc::clone(&saved),
            shown,
        });
        Some(saved)
    }
}

impl Saved {
    /// Would another process go on from either in the same way, and people read the same of it.
    fn is_as_good_as(&self, newer: &Self) -> bool {
        let verdict = |saved: &Self| {
            let verdict = &saved.round.as_ref()?.decision.verdict;
            Some((verdict.name(), verdict.reason()))
        };
        verdict(self) == verdict(newer) && self.memory.is_as_good_as(&newer.memory)
    }
}

fn connected(state: &ClusterState) -> Vec<bool> {
    let nodes = state.nodes.values().map(NodeState::is_connected);
    let observers = state.observers.values();
    let observers = observers.map(|it| it.attempt.is_some_and(|attempt| attempt.connected));
    nodes.chain(observers).collect()
}

/// A process that starts takes a file that is older than the limit for one that knows no primary.
/// `pglookout_current_master` reads none that is older than 60 s.
fn longest_age(config: &Config) -> Duration {
    (config.failover_lag / 4).min(Duration::from_secs(30))
}

#[cfg(test)]
#[path = "saving_tests.rs"]
mod tests;
