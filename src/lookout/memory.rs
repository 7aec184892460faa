//! What must survive a restart of the daemon: carried in the state file, read once at start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cluster::{Divergence, Lsn, PauseMark};
use crate::config::{NodeName, ObserverName};
use crate::time::{Monotonic, Now, WallTime};
use crate::votes::Nonce;

/// The part of the core that outlives a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// `current_master`: the remembered primary.
    pub primary: Option<NodeName>,
    /// When each node was last reached as a primary, by anyone.
    pub contacts: BTreeMap<NodeName, Contact>,
    /// Nodes that have reported that they are standbys: they count for the quorum until they report
    /// otherwise.
    pub standbys: BTreeSet<NodeName>,
    /// The recovery settings of our own server are, or may be, others than those it runs with.
    pub restart_owed: bool,
    /// The failover command that was run last, as long as its outage is not over.
    pub failover: Option<PastFailover>,
    /// The alert `failover_failed` stands.
    pub failover_failed: bool,
    /// When this was written.
    pub saved: Option<Contact>,
    /// Nodes that last reported that they are primaries.
    pub primaries: BTreeSet<NodeName>,
    /// Primaries in whose place another one has come, and which.
    pub superseded: BTreeMap<NodeName, NodeName>,
    /// Standbys of another history than the last primary's, and what proved it.
    pub diverged: BTreeMap<NodeName, Divergence>,
    /// The last primary that answered.
    pub last_primary: Option<PastPrimary>,
    /// Which primaries each observer has ever reported.
    pub witnesses: BTreeMap<ObserverName, BTreeSet<NodeName>>,
    /// The node that goes first in this outage.
    pub went_first: Option<NodeName>,
    /// Lag is over the warning limit, and the alert stands.
    pub lag_warning: bool,
    /// The alert `failover_stuck` stands.
    pub failover_stuck: bool,
    /// The alert `diverged_standby` stands.
    pub diverged_standby: bool,
    /// The alert `primary_flapping` stands.
    pub primary_flapping: bool,
    /// The alert `primary_not_writing` stands.
    pub primary_not_writing: bool,
    /// The last changes of the primary, the oldest first.
    pub changes: Vec<PrimaryChange>,
    /// The newest pause, or end of one, that is known.
    pub pause: PauseMark,
    /// The switchover that is under way, once its server is being stopped.
    pub switchover: Option<PastSwitchover>,
}

/// A switchover whose term is not released yet, for a later process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastSwitchover {
    /// Of the request.
    pub id: Nonce,
    /// Which node is to be the primary.
    pub to: NodeName,
    /// The term that is given up for it.
    pub term: u64,
}

/// That another node became the primary, as this daemon saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryChange {
    /// When this daemon noticed.
    pub at: WallTime,
    /// The primary before.
    pub from: NodeName,
    /// The primary since.
    pub to: NodeName,
    /// The timeline of the new primary.
    pub timeline: Option<u32>,
    /// Its position when it was first seen as a primary.
    pub lsn: Option<Lsn>,
    /// Why this daemon promoted it; `None`: it did not, an operator or another daemon did.
    pub reason: Option<String>,
}

/// So many changes of the primary are kept.
pub(super) const MAX_CHANGES: usize = 50;

/// The last primary, for a later process.
#[derive(Clone, Debug, PartialEq)]
pub struct PastPrimary {
    /// Its name.
    pub node: NodeName,
    /// Its position when it last answered.
    pub lsn: Option<Lsn>,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// When it first answered as a primary of this timeline.
    pub since: Contact,
    /// When it last did.
    pub at: Contact,
    /// For how long it was known before `since`, in earlier boots of the machine.
    pub earlier: Duration,
}

impl PastPrimary {
    /// For how long it was known before the time that `since` has on the clock of this process. Of
    /// another boot only that it was, and for how long, is left.
    pub(super) fn earlier(&self, now: Monotonic) -> Duration {
        let is_on_our_clock = self.since.mono.is_some_and(|since| since <= now);
        match is_on_our_clock {
            true => self.earlier,
            false => self
                .earlier
                .saturating_add(self.at.wall.since(self.since.wall)),
        }
    }
}

/// A run of our failover command, for a later process: it must not be repeated sooner than this one
/// would have done it.
#[derive(Clone, Debug, PartialEq)]
pub struct PastFailover {
    /// The primary that was lost.
    pub primary: Option<NodeName>,
    /// How it ended.
    pub outcome: FailoverOutcome,
    /// When it ended, or when it began while it runs, by the machine's monotonic clock; `None` if
    /// that is not known.
    pub mono: Option<Monotonic>,
    /// The same by the wall clock of the process that wrote it.
    pub wall: WallTime,
    /// While it runs, the process that does it, where that is known: its end will be reported
    /// ([`Event::PreviousCommand`](super::Event::PreviousCommand)). Otherwise it is given a
    /// time.
    pub process: Option<Process>,
}

/// A process of this boot of the machine, distinguished from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id, which another one may have been given since.
    pub pid: u32,
    /// When it was started, in clock ticks since the boot (proc(5), `starttime`).
    pub started: u64,
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
    /// It has, and nobody was there to learn how.
    Unknown,
}

impl FailoverOutcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Succeeded, Self::Failed, Self::Unknown];

    /// The outcome's name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// The last contact with a primary, on the clocks a later process can compare with its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// By the machine's monotonic clock; `None` if that is not known (a state file of the original,
    /// another boot), or if the primary was within reach when this was written, so that the last
    /// contact was yet to come.
    pub mono: Option<Monotonic>,
    /// By the wall clock of the process that wrote it.
    pub wall: WallTime,
}

impl Contact {
    /// A moment on the clock of this process, for a later one.
    pub(super) fn of(at: Monotonic, now: Now) -> Self {
        Self {
            mono: Some(at),
            wall: now.wall - now.mono.since(at),
        }
    }

    /// On the clock of this process. One whose monotonic time is not known, or lies ahead, counts
    /// as just now: a wall clock may have been stepped, and waiting once more is the lesser evil.
    pub(super) fn at(&self, now: Monotonic) -> Monotonic {
        self.mono.filter(|at| *at <= now).unwrap_or(now)
    }
}

impl Memory {
    /// Was it written longer than this before `now`.
    pub(super) fn is_older_than(&self, limit: Duration, now: Now) -> bool {
        self.saved.as_ref().is_some_and(|saved| {
            let age = match saved.mono.filter(|at| *at <= now.mono) {
                Some(at) => now.mono.since(at),
                None => now.wall.since(saved.wall),
            };
            age >= limit
        })
    }

    /// Does this mean the same to a later process as one that was written later. The moments of what is
    /// within reach go on; all others stand still on the monotonic clock.
    pub(super) fn is_as_good_as(&self, newer: &Self) -> bool {
        // Without `..`: a new field does not compile before it has its place here.
        let Self {
            primary,
            contacts,
            standbys,
            restart_owed,
            failover,
            failover_failed,
            saved: _,
            primaries,
            superseded,
            diverged,
            last_primary,
            witnesses,
            went_first,
            lag_warning,
            failover_stuck,
            diverged_standby,
            primary_flapping,
            primary_not_writing,
            changes,
            pause,
            switchover,
        } = self;
        let since = |past: &PastPrimary| (past.node.clone(), past.timeline, past.since.mono);
        let moments = |(node, contact): (&NodeName, &Contact)| (node.clone(), contact.mono);
        *primary == newer.primary
            && contacts.len() == newer.contacts.len()
            && contacts
                .iter()
                .map(moments)
                .eq(newer.contacts.iter().map(moments))
            && *standbys == newer.standbys
            && *restart_owed == newer.restart_owed
            && *failover == newer.failover
            && *failover_failed == newer.failover_failed
            && *primaries == newer.primaries
            && *superseded == newer.superseded
            && *diverged == newer.diverged
            && last_primary.as_ref().map(since) == newer.last_primary.as_ref().map(since)
            && *witnesses == newer.witnesses
            && *went_first == newer.went_first
            && *lag_warning == newer.lag_warning
            && *failover_stuck == newer.failover_stuck
            && *diverged_standby == newer.diverged_standby
            && *primary_flapping == newer.primary_flapping
            && *primary_not_writing == newer.primary_not_writing
            && *changes == newer.changes
            && *pause == newer.pause
            && *switchover == newer.switchover
    }

    /// The latest of the contacts with each primary, for a later process. One that is within reach
    /// now is written without its time.
    pub(super) fn contacts<'a>(
        all: impl Iterator<Item = (&'a NodeName, Monotonic)>,
        is_within_reach: impl Fn(&NodeName) -> bool,
        now: Now,
    ) -> BTreeMap<NodeName, Contact> {
        let mut latest: BTreeMap<NodeName, Monotonic> = BTreeMap::new();
        for (node, at) in all {
            latest
                .entry(node.clone())
                .and_modify(|known| *known = at.max(*known))
                .or_insert(at);
        }
        let contact = |(node, at)| {
            let mono = Some(at).filter(|_| !is_within_reach(&node));
            (
                node,
                Contact {
                    mono,
                    wall: now.wall - now.mono.since(at),
                },
            )
        };
        latest.into_iter().map(contact).collect()
    }

    /// The contacts on the clock of this process. One with the remembered primary that the file
    /// does not hold counts as just now.
    pub(super) fn contacts_at(&self, now: Monotonic) -> Vec<(NodeName, Monotonic)> {
        let missing = self
            .primary
            .iter()
            .filter(|primary| !self.contacts.contains_key(*primary));
        let known = self.contacts.iter();
        let known = known.map(|(node, contact)| (node.clone(), contact.at(now)));
        known
            .chain(missing.map(|primary| (primary.clone(), now)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    fn wall(seconds: i64) -> WallTime {
        WallTime::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn keeps_the_latest_contact_with_each_node_and_no_time_of_one_within_reach() {
        let all = [
            ("p".into(), at(100)),
            ("q".into(), at(50)),
            ("p".into(), at(70)),
            ("r".into(), at(119)),
        ];
        let all = all.iter().map(|(node, at)| (node, *at));
        let now = Now {
            mono: at(120),
            wall: wall(1_000),
        };
        let contacts = Memory::contacts(all, |node: &NodeName| node.as_str() == "r", now);
        let expected = [
            (
                "p".into(),
                Contact {
                    mono: Some(at(100)),
                    wall: wall(980),
                },
            ),
            (
                "q".into(),
                Contact {
                    mono: Some(at(50)),
                    wall: wall(930),
                },
            ),
            (
                "r".into(),
                Contact {
                    mono: None,
                    wall: wall(999),
                },
            ),
        ];
        assert_eq!(contacts, expected.into());
    }

    #[test]
    fn a_contact_at_an_unknown_time_or_ahead_counts_as_just_now() {
        for (mono, expected) in [
            (Some(at(80)), 80),
            (Some(at(100)), 100),
            (Some(at(101)), 100),
            (None, 100),
        ] {
            let contacts = [(
                "p".into(),
                Contact {
                    mono,
                    wall: wall(0),
                },
            )]
            .into();
            let memory = Memory {
                contacts,
                ..Memory::default()
            };
            assert_eq!(memory.contacts_at(at(100)), [("p".into(), at(expected))]);
        }
    }
}
