//! Does the primary write. Every poll of it is followed by a transaction, ours or another daemon's,
//! so that its position is another at the next poll. Where storage hangs it still answers, and
//! commits that wait for no disk still succeed; the position up to which WAL is written stands still.

use crate::cluster::{ClusterState, Lsn, NodeAnswer, NodeState};
use crate::config::{Config, NodeName};
use crate::time::Monotonic;

/// The primary's position at our own polls.
#[derive(Debug, Default)]
pub(super) struct Writing {
    last: Option<Position>,
    /// The primary was not reached since.
    interrupted: bool,
}

#[derive(Debug)]
struct Position {
    primary: NodeName,
    lsn: Option<Lsn>,
    /// The first poll without an interruption that brought it.
    since: Monotonic,
    /// It was another one before. Where nothing ever moves our transactions are refused.
    has_moved: bool,
}

impl Writing {
    /// Follows a regular decision: has the primary stopped writing. `None`: nothing new is known.
    pub(super) fn is_stuck(
        &mut self,
        primary: Option<&NodeName>,
        state: &ClusterState,
        config: &Config,
    ) -> Option<bool> {
        let reached = primary.and_then(|primary| Some((primary, answer(primary, state)?)));
        // What was not polled for a while has not stood still for that while.
        let Some((primary, answer)) = reached else {
            self.interrupted = true;
            return None;
        };
        let last = self.last.get_or_insert_with(|| Position {
            primary: primary.clone(),
            lsn: answer.replay,
            since: answer.at,
            has_moved: false,
        });
        if (&last.primary, last.lsn) != (primary, answer.replay) {
            *last = Position {
                primary: primary.clone(),
                lsn: answer.replay,
                since: answer.at,
                has_moved: last.primary == *primary,
            };
            self.interrupted = false;
            return Some(false);
        }
        if std::mem::take(&mut self.interrupted) {
            last.since = answer.at;
        }
        let patience = config.warning_lag.max(config.poll_interval * MIN_POLLS);
        let is_stuck = last.has_moved && answer.at.since(last.since) >= patience;
        is_stuck.then_some(true)
    }
}

fn answer<'a>(primary: &NodeName, state: &'a ClusterState) -> Option<&'a NodeAnswer> {
    let node = state.nodes.get(primary)?;
    node.answer
        .as_ref()
        .filter(|_| NodeState::is_connected_primary(node))
}

/// So many polls at least must have found the same position.
const MIN_POLLS: u32 = 3;

#[cfg(test)]
#[path = "writing_tests.rs"]
mod tests;
