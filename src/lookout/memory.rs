//! What must survive a restart of the daemon: carried in the state file, read once at start.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::NodeName;
use crate::time::{Monotonic, Now, WallTime};

/// The part of the core that outlives a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// `current_master`: the remembered primary.
    pub primary: Option<NodeName>,
    /// When each node was last reached as a primary, by anyone.
    pub contacts: BTreeMap<NodeName, Contact>,
    /// Nodes that have told that they are standbys: they count for the quorum until they tell otherwise.
    pub standbys: BTreeSet<NodeName>,
    /// The failover command that was run last, as long as its outage is not over.
    pub failover: Option<PastFailover>,
    /// The alert `failover_failed` stands.
    pub failover_failed: bool,
}

/// A run of our failover command, for a later process: it must not be repeated sooner than this one would have done it.
#[derive(Clone, Debug, PartialEq)]
pub struct PastFailover {
    /// The primary that was lost.
    pub primary: Option<NodeName>,
    /// How it ended.
    pub outcome: FailoverOutcome,
    /// When it ended, or when it began while it runs, by the machine's monotonic clock; `None` if that is not known.
    pub mono: Option<Monotonic>,
    /// The same by the wall clock of the process that wrote it.
    pub wall: WallTime,
}

/// How a failover command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverOutcome {
    /// It has not; of a process that has ended nobody knows.
    Running,
    /// With 0.
    Succeeded,
    /// With anything else.
    Failed,
}

impl FailoverOutcome {
    /// The outcome's name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// The last contact with a primary, on the clocks a later process can compare with its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// By the machine's monotonic clock; `None` if that is not known (a state file of the original, another boot), or if the
    /// primary was within reach when this was written, so that the last contact was yet to come.
    pub mono: Option<Monotonic>,
    /// By the wall clock of the process that wrote it.
    pub wall: WallTime,
}

impl Memory {
    /// The latest of the contacts with each primary, for a later process. One that is within reach now is written without
    /// its time.
    pub(super) fn contacts<'a>(
        all: impl Iterator<Item = (&'a NodeName, Monotonic)>,
        is_within_reach: impl Fn(&NodeName) -> bool,
        now: Now,
    ) -> BTreeMap<NodeName, Contact> {
        let mut latest: BTreeMap<NodeName, Monotonic> = BTreeMap::new();
        for (node, at) in all {
            latest.entry(node.clone()).and_modify(|known| *known = at.max(*known)).or_insert(at);
        }
        let contact = |(node, at)| {
            let mono = Some(at).filter(|_| !is_within_reach(&node));
            (node, Contact { mono, wall: now.wall - now.mono.since(at) })
        };
        latest.into_iter().map(contact).collect()
    }

    /// The contacts on the clock of this process. One whose monotonic time is not known, or lies ahead, counts as just now:
    /// a wall clock may have been stepped, and waiting the limit once more is the lesser evil. So does one with the
    /// remembered primary that the file does not tell of.
    pub(super) fn contacts_at(&self, now: Monotonic) -> Vec<(NodeName, Monotonic)> {
        let at = |contact: &Contact| contact.mono.filter(|at| *at <= now).unwrap_or(now);
        let untold = self.primary.iter().filter(|primary| !self.contacts.contains_key(*primary));
        let told = self.contacts.iter().map(|(node, contact)| (node.clone(), at(contact)));
        told.chain(untold.map(|primary| (primary.clone(), now))).collect()
    }
}
