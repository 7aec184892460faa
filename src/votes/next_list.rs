//! Which list of voters a voter has next (rule L1): by its configuration, and by what others report.

use std::collections::BTreeMap;
use std::fmt;

use super::{ListId, ListNews, ListStage, Record, Roll, VoterList};
use crate::config::{ObserverUrl, VoterName};

/// What a daemon knows of lists besides its record.
pub(super) struct KnownLists<'a> {
    /// The list of the configuration.
    pub(super) configured: &'a VoterList,
    /// Where voters answer.
    pub(super) addresses: &'a BTreeMap<VoterName, ObserverUrl>,
    /// A majority of the configured list votes already, so that it could elect.
    pub(super) may_take: bool,
}

/// Why the list of the configuration is not the one that counts (rule L1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListTrouble {
    /// It is the next one, and the present one is not known to be sealed.
    NotSealed(u64),
    /// It is the next one, and so few of its voters vote already that it could elect nobody: these do not.
    FewVote(u64, Vec<VoterName>),
    /// It is a later one than the next, and nobody is known to have accepted it.
    Skipped(u64, u64),
    /// It is an earlier one.
    Back(u64, u64),
    /// It has the same generation, and other names.
    OtherNames(VoterList),
}

impl Record {
    /// The record with what was learnt of lists; `None`: nothing is new. `reported`: from a message, or from
    /// a round of our own.
    pub(super) fn with_list(
        &self,
        reported: Option<(&ListId, &ListNews)>,
        known: &KnownLists<'_>,
    ) -> Option<Self> {
        let configured = known.configured;
        let mut next = self.clone();
        if let Some((id, news)) = reported {
            next.learn(id, news, known);
        }
        let is_next = Some(configured.generation) == next.list.generation.checked_add(1);
        match next.roll.stage {
            // It has voted in no list, so it is bound by none.
            ListStage::Joining => next.list = configured.clone(),
            // Rule L1.
            ListStage::Sealed if is_next && known.may_take => {
                next.take(known, ListStage::Taken, true);
            }
            ListStage::Taken | ListStage::Accepted | ListStage::Sealed => {}
        }
        (next != *self).then_some(next)
    }

    fn learn(&mut self, id: &ListId, news: &ListNews, known: &KnownLists<'_>) {
        let own = self.list.id();
        if *id == own {
            if news.stage > self.roll.stage.max(ListStage::Taken) {
                self.roll.reach(news.stage, news.floor);
            }
            return;
        }
        let is_next = Some(id.generation) == own.generation.checked_add(1);
        if is_next && news.former.as_ref() == Some(&own.fingerprint) {
            // Whoever has taken it knew ours to be sealed.
            self.roll.reach(ListStage::Sealed, news.floor);
        }
        if news.stage < ListStage::Accepted || known.configured.id() != *id {
            return;
        }
        // Rule L1: on the report of others a list is skipped, taken before ours is known to be sealed, or
        // takes the place of ours where that has other names, and so will never be accepted.
        let is_later = id.generation > own.generation;
        let is_instead = id.generation == own.generation && self.roll.stage == ListStage::Taken;
        if is_later {
            // Where ours may be another than the one that was accepted, it is not the list before.
            let is_followed = is_next && self.roll.stage >= ListStage::Accepted;
            self.roll.floor = self.roll.floor.max(news.floor);
            self.take(known, news.stage, is_followed);
        } else if is_instead {
            self.list = known.configured.clone();
            self.roll.reach(news.stage, news.floor);
        }
    }

    fn take(&mut self, known: &KnownLists<'_>, stage: ListStage, is_followed: bool) {
        let address = |name: &VoterName| (name.clone(), known.addresses.get(name).cloned());
        let former = (is_followed && stage < ListStage::Sealed)
            .then(|| self.list.names.iter().map(address).collect());
        self.list = known.configured.clone();
        self.roll = Roll {
            stage,
            former,
            floor: self.roll.floor,
        };
    }

    /// Why this record does not have the list of the configuration; `None`: it has.
    pub(super) fn trouble_with(&self, configured: &VoterList) -> Option<ListTrouble> {
        let (ours, theirs) = (self.list.generation, configured.generation);
        if self.list == *configured {
            return None;
        }
        Some(match theirs.checked_sub(ours) {
            Some(0) => ListTrouble::OtherNames(self.list.clone()),
            Some(1) => ListTrouble::NotSealed(ours),
            Some(_) => ListTrouble::Skipped(ours, theirs),
            None => ListTrouble::Back(ours, theirs),
        })
    }
}

impl ListTrouble {
    /// Does it end by itself.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::NotSealed(_) | Self::FewVote(..))
    }
}

impl fmt::Display for ListTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSealed(ours) => write!(
                f,
                "list {} of the configuration waits until list {ours} is known to be sealed",
                ours.saturating_add(1)
            ),
            Self::FewVote(ours, missing) => {
                let names: Vec<_> = missing.iter().map(VoterName::as_str).collect();
                write!(
                    f,
                    "list {} of the configuration waits until a majority of its voters is known to vote already; {} {}",
                    ours.saturating_add(1),
                    names.join(", "),
                    if names.len() == 1 {
                        "does not"
                    } else {
                        "do not"
                    }
                )
            }
            Self::Skipped(ours, theirs) => write!(
                f,
                "the configuration has list {theirs}, and list {ours} counts here: expected generation {}, or a voter \
                 that knows list {theirs} to be accepted",
                ours.saturating_add(1)
            ),
            Self::Back(ours, theirs) => write!(
                f,
                "the configuration has list {theirs}, and list {ours} counts already: a list is never taken back; \
                 expected the voters that are wanted with generation {}",
                ours.saturating_add(1)
            ),
            Self::OtherNames(ours) => {
                let names: Vec<_> = ours.names.iter().map(VoterName::as_str).collect();
                write!(
                    f,
                    "the configuration has other voters in generation {}, and {} count: other voters need generation {}, or a \
                     voter that knows them to be accepted",
                    ours.generation,
                    names.join(", "),
                    ours.generation.saturating_add(1)
                )
            }
        }
    }
}

#[cfg(test)]
#[path = "next_list_tests.rs"]
mod tests;
