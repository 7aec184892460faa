//! The failover commands that were begun, in order.

use super::{HostId, Micros, NodeId};

/// A failover command that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// Whose.
    pub host: HostId,
    /// When.
    pub began: Micros,
    /// The primary that it replaces, and its term.
    pub replaces: Option<(NodeId, u32)>,
    /// Its success, once it has ended.
    pub outcome: Option<bool>,
    /// The daemon has lost its memory since: it cannot know of it.
    pub is_forgotten: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Promotions(pub Vec<Promotion>);

impl Promotion {
    /// Do both replace the same primary in the same term, on different hosts and neither in vain.
    pub fn is_rival_of(&self, other: &Self) -> bool {
        let in_vain = [self, other].iter().any(|one| one.outcome == Some(false));
        !in_vain && self.host != other.host && self.replaces == other.replaces
    }
}

impl Promotions {
    /// Do two of them replace the same primary in the same term.
    pub fn has_rivals(&self) -> bool {
        let pairs = self.0.iter().enumerate();
        pairs
            .flat_map(|(at, one)| self.0.iter().skip(at + 1).map(move |other| (one, other)))
            .any(|(one, other)| one.is_rival_of(other))
    }

    /// Is a failover command of this host running, whichever process began it, that it can know of.
    pub fn is_promoting(&self, host: HostId) -> bool {
        let mut running = self.0.iter().filter(|one| one.outcome.is_none());
        running.any(|one| one.host == host && !one.is_forgotten)
    }

    /// Is any failover command running.
    pub(super) fn are_running(&self) -> bool {
        self.0.iter().any(|one| one.outcome.is_none())
    }

    /// Has this one not ended yet.
    pub(super) fn is_running(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|one| one.outcome.is_none())
    }

    /// Was this one begun by a daemon that has lost its memory since.
    pub(super) fn is_forgotten(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|one| one.is_forgotten)
    }

    pub(super) fn end(&mut self, index: usize, success: bool) {
        if let Some(promotion) = self.0.get_mut(index) {
            promotion.outcome = Some(success);
        }
    }

    /// A boot of the machine ends what runs on it.
    pub(super) fn kill(&mut self, host: HostId) {
        self.of(host)
            .for_each(|one| one.outcome = one.outcome.or(Some(false)));
    }

    pub(super) fn forget(&mut self, host: HostId) {
        self.of(host).for_each(|one| one.is_forgotten = true);
    }

    fn of(&mut self, host: HostId) -> impl Iterator<Item = &mut Promotion> {
        self.0.iter_mut().filter(move |one| one.host == host)
    }
}
