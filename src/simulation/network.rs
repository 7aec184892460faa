//! The network: for each ordered pair of hosts, what becomes of connections that the first opens to
//! the second.

use super::{HostId, Micros};

/// A way from one host to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) cut: bool,
    /// Added to the usual delay.
    pub(super) delay: Micros,
    /// Chance that an exchange is lost, in percent.
    pub(super) loss: u64,
}

/// All the ways, and when each was last disturbed.
#[derive(Clone, Debug)]
pub(super) struct Network {
    hosts: usize,
    ways: Vec<Way>,
    disturbed: Vec<Option<Micros>>,
}

impl Network {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            hosts,
            ways: vec![Way::default(); hosts * hosts],
            disturbed: vec![None; hosts * hosts],
        }
    }

    /// A host always reaches itself, if slowly.
    pub(super) fn way(&self, from: HostId, to: HostId) -> Way {
        let way = self.ways[from * self.hosts + to];
        if from == to {
            Way {
                delay: way.delay,
                ..Way::default()
            }
        } else {
            way
        }
    }

    pub(super) fn change(
        &mut self,
        from: HostId,
        to: HostId,
        now: Micros,
        change: impl FnOnce(&mut Way),
    ) {
        let at = from * self.hosts + to;
        change(&mut self.ways[at]);
        self.disturbed[at] = Some(now);
    }

    pub(super) fn change_all(&mut self, now: Micros, change: impl Fn(&mut Way)) {
        for (way, disturbed) in self.ways.iter_mut().zip(&mut self.disturbed) {
            change(way);
            *disturbed = Some(now);
        }
    }

    /// Has this way been whole and untouched since then.
    pub(super) fn is_calm_since(&self, from: HostId, to: HostId, since: Micros) -> bool {
        let at = from * self.hosts + to;
        from == to
            || (self.ways[at] == Way::default() && self.disturbed[at].is_none_or(|at| at < since))
    }

    /// Has this way been as it is since then.
    pub(super) fn is_unchanged_since(&self, from: HostId, to: HostId, since: Micros) -> bool {
        from == to || self.disturbed[from * self.hosts + to].is_none_or(|at| at < since)
    }
}
