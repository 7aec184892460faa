//! What must survive a restart of the daemon: carried in the state file, read once at start.

use std::collections::BTreeMap;

use crate::config::NodeName;
use crate::time::{Monotonic, Now, WallTime};

/// The part of the core that outlives a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// `current_master`: the remembered primary.
    pub primary: Option<NodeName>,
    /// When each node was last reached as a primary, by anyone.
    pub contacts: BTreeMap<NodeName, Contact>,
}

/// The last contact with a primary, on the clocks a later process can compare with its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// By the machine's monotonic clock, with the boot it belongs to; `None` if that is not known (a state file of the
    /// original, another boot).
    pub mono: Option<Monotonic>,
    /// By the wall clock of the process that wrote it.
    pub wall: WallTime,
}

impl Memory {
    /// What is known now, for a later process.
    pub(super) fn new<'a>(
        primary: Option<NodeName>,
        contacts: impl Iterator<Item = (&'a NodeName, Monotonic)>,
        now: Now,
    ) -> Self {
        let mut latest: BTreeMap<NodeName, Monotonic> = BTreeMap::new();
        for (node, at) in contacts {
            latest.entry(node.clone()).and_modify(|known| *known = at.max(*known)).or_insert(at);
        }
        let contact = |at| Contact { mono: Some(at), wall: now.wall - now.mono.since(at) };
        Self { primary, contacts: latest.into_iter().map(|(node, at)| (node, contact(at))).collect() }
    }

    /// The contacts on the clock of this process. One whose monotonic time is not known, or lies ahead, counts as just now:
    /// a wall clock may have been stepped, and waiting the limit once more is the lesser evil.
    pub(super) fn contacts_at(&self, now: Monotonic) -> Vec<(NodeName, Monotonic)> {
        let at = |contact: &Contact| contact.mono.filter(|at| *at <= now).unwrap_or(now);
        self.contacts.iter().map(|(node, contact)| (node.clone(), at(contact))).collect()
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
    fn keeps_the_latest_contact_with_each_node() {
        let contacts = [("p".into(), at(100)), ("q".into(), at(50)), ("p".into(), at(70))];
        let contacts = contacts.iter().map(|(node, at)| (node, *at));
        let memory = Memory::new(Some("p".into()), contacts, Now { mono: at(120), wall: wall(1_000) });
        let expected = [
            ("p".into(), Contact { mono: Some(at(100)), wall: wall(980) }),
            ("q".into(), Contact { mono: Some(at(50)), wall: wall(930) }),
        ];
        assert_eq!(memory, Memory { primary: Some("p".into()), contacts: expected.into() });
    }

    #[test]
    fn a_contact_at_an_unknown_time_or_ahead_counts_as_just_now() {
        for (mono, expected) in [(Some(at(80)), 80), (Some(at(100)), 100), (Some(at(101)), 100), (None, 100)] {
            let contacts = [("p".into(), Contact { mono, wall: wall(0) })].into();
            assert_eq!(Memory { primary: None, contacts }.contacts_at(at(100)), [("p".into(), at(expected))]);
        }
    }
}
