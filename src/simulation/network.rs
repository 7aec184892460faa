//! The network: for each ordered pair of hosts, what becomes of connections that the first opens to
//! the second.

use super::{HostId, Micros};

/// A path from one host to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Nothing gets through.
    pub cut: bool,
    /// Added to the usual delay.
    pub delay: Micros,
    /// Chance that an exchange is lost, in percent.
    pub loss: u64,
}

/// All the paths, and when each was last changed.
#[derive(Clone, Debug)]
pub struct Network {
    hosts: usize,
    paths: Vec<Path>,
    changed_at: Vec<Option<Micros>>,
}

impl Network {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            hosts,
            paths: vec![Path::default(); hosts * hosts],
            changed_at: vec![None; hosts * hosts],
        }
    }

    /// A host always reaches itself, if slowly.
    pub fn path(&self, from: HostId, to: HostId) -> Path {
        let path = self.paths[from * self.hosts + to];
        if from != to {
            return path;
        }
        Path {
            delay: path.delay,
            ..Path::default()
        }
    }

    /// When a path was last changed, from the start on.
    pub fn changed_at(&self, from: HostId, to: HostId) -> Option<Micros> {
        self.changed_at[from * self.hosts + to]
    }

    pub(super) fn change(
        &mut self,
        from: HostId,
        to: HostId,
        now: Micros,
        change: impl FnOnce(&mut Path),
    ) {
        let at = from * self.hosts + to;
        change(&mut self.paths[at]);
        self.changed_at[at] = Some(now);
    }

    /// Cuts every path between this group, a bit per host, and all others.
    pub(super) fn split(&mut self, group: u32, now: Micros) {
        for a in 0..self.hosts {
            for b in 0..self.hosts {
                if (group >> a & 1) != (group >> b & 1) {
                    self.change(a, b, now, |path| path.cut = true);
                }
            }
        }
    }

    /// Makes every path whole.
    pub(super) fn mend(&mut self, now: Micros) {
        self.paths.fill(Path::default());
        self.changed_at.fill(Some(now));
    }
}
