//! The pause of the cluster, as this daemon knows it: set by an operator on any database host, learnt
//! from what other daemons show, remembered over restarts. While it lasts nothing is done to a
//! server: no promotion, no restart to follow another primary, no command of an isolated one.

use super::turn::Turn;
use crate::cluster::{ClusterState, PauseMark, Presence};
use crate::config::{Config, NodeName, ObserverName};

/// The newest mark.
#[derive(Debug, Default)]
pub(super) struct Pause {
    mark: PauseMark,
    /// As of the last decision, or of the last news: an end that comes with time takes effect at a
    /// decision.
    is_active: bool,
}

impl Pause {
    /// What the previous process knew.
    pub(super) fn recall(mark: PauseMark) -> Self {
        Self {
            mark,
            is_active: false,
        }
    }

    pub(super) fn mark(&self) -> PauseMark {
        self.mark
    }

    /// The mark that an operator left on this host. Says whether it is newer.
    pub(super) fn set(&mut self, mark: PauseMark, turn: &mut Turn<'_>) -> bool {
        self.learn(mark, || "(set on this host)".to_owned(), turn)
    }

    /// What a server showed at its last answer. Says whether there is news.
    pub(super) fn shown_by_node(
        &mut self,
        node: &NodeName,
        state: &ClusterState,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        let answer = state.nodes.get(node).and_then(|it| it.answer.as_ref());
        let shown = answer.and_then(|answer| answer.daemons.as_ref());
        self.shown(shown.into_iter().flatten(), config, turn)
    }

    /// What an observer passed on at its last answer. Says whether there is news.
    pub(super) fn passed_on(
        &mut self,
        observer: &ObserverName,
        state: &ClusterState,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        let sightings = state.observers.get(observer).map(|it| it.nodes.values());
        let shown = sightings.into_iter().flatten();
        let shown = shown.filter_map(|sighting| sighting.daemons.as_ref());
        self.shown(shown.flatten(), config, turn)
    }

    /// An observer may watch several clusters: a pause of one of them does not concern the others.
    fn shown<'a>(
        &mut self,
        shown: impl Iterator<Item = &'a Presence>,
        config: &Config,
        turn: &mut Turn<'_>,
    ) -> bool {
        let newest = shown.max_by_key(|presence| presence.pause);
        let Some(newest) = newest.filter(|_| config.own_db.is_some()) else {
            return false;
        };
        let by = || format!("(shown by pglookout on {})", newest.daemon);
        self.learn(newest.pause, by, turn)
    }

    fn learn(&mut self, mark: PauseMark, by: impl Fn() -> String, turn: &mut Turn<'_>) -> bool {
        if mark <= self.mark {
            return false;
        }
        let was_active = self.is_active;
        self.mark = mark;
        self.is_active = mark.is_active(turn.now.wall);
        turn.save = true;
        let by = by();
        if self.is_active {
            turn.warning(format!("{} {by}: no failover", mark.sentence()));
        } else if was_active {
            turn.warning(format!("the cluster is not paused any more {by}"));
        }
        true
    }

    /// Notices at a decision that the pause has ended, or that it lasts over a restart.
    pub(super) fn follow(&mut self, turn: &mut Turn<'_>) {
        let is_active = self.mark.is_active(turn.now.wall);
        match (std::mem::replace(&mut self.is_active, is_active), is_active) {
            (true, false) => turn.warning("the pause of the cluster has ended".to_owned()),
            (false, true) => turn.warning("the cluster is still paused: no failover".to_owned()),
            (true, true) | (false, false) => {}
        }
    }

    /// The mark, if the cluster is paused.
    pub(super) fn active(&self) -> Option<PauseMark> {
        self.is_active.then_some(self.mark)
    }
}
