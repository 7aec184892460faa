//! By which voters a round is counted: by what its sender knew of its list when the round began (rule L2).
//! What is written down, and nothing else, counts as known.

use std::collections::BTreeSet;

use super::{ListId, ListNews, ListStage, Record, Request, Roll, VoterList};
use crate::config::VoterName;

/// The list of a voter as it stands on its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    list: VoterList,
    id: ListId,
    roll: Roll,
    /// The list before, while it matters.
    former: Option<VoterList>,
}

/// The lists that have to grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) id: ListId,
    voters: VoterList,
    former: Option<VoterList>,
}

impl Listed {
    pub(super) fn of(record: &Record) -> Self {
        let former = |former: &super::FormerVoters| VoterList {
            generation: record.list.generation.saturating_sub(1),
            names: former.keys().cloned().collect(),
        };
        Self {
            list: record.list.clone(),
            id: record.list.id(),
            roll: record.roll.clone(),
            former: record.roll.former.as_ref().map(former),
        }
    }

    pub(super) fn id(&self) -> &ListId {
        &self.id
    }

    pub(super) fn list(&self) -> &VoterList {
        &self.list
    }

    pub(super) fn roll(&self) -> &Roll {
        &self.roll
    }

    pub(super) fn stage(&self) -> ListStage {
        self.roll.stage
    }

    pub(super) fn has(&self, voter: &VoterName) -> bool {
        self.list.names.contains(voter)
    }

    /// May this voter be elected: it is on the list, and knows by whom its rounds are counted.
    pub(super) fn may_stand(&self, own: &VoterName) -> bool {
        self.has(own) && self.is_known()
    }

    fn is_known(&self) -> bool {
        match self.roll.stage {
            ListStage::Joining => false,
            ListStage::Taken | ListStage::Accepted => self.former.is_some(),
            ListStage::Sealed => true,
        }
    }

    pub(super) fn news(&self) -> ListNews {
        ListNews {
            stage: self.roll.stage,
            former: self.former.as_ref().map(|former| former.id().fingerprint),
            floor: self.roll.floor,
        }
    }

    /// Everybody who may have to grant.
    pub(super) fn all(&self) -> BTreeSet<VoterName> {
        let former = self.former.iter().flat_map(|former| &former.names);
        self.list.names.iter().chain(former).cloned().collect()
    }

    /// Rule L2; `None`: a round of ours is counted by nobody.
    pub(super) fn counted(&self) -> Option<Counted> {
        self.is_known().then(|| Counted {
            id: self.id.clone(),
            voters: self.list.clone(),
            former: self.former.clone(),
        })
    }

    /// Rule L3: does the sender's list go with ours. A message of the version before knows nothing of
    /// changes: it goes with a list that is sealed, and no other.
    pub(super) fn goes_with(&self, request: &Request) -> bool {
        let (theirs, ours) = (&request.list, &self.id);
        if theirs == ours {
            return request.news.is_some() || self.roll.stage == ListStage::Sealed;
        }
        if request.news.is_none() {
            return false;
        }
        if Some(theirs.generation) == ours.generation.checked_add(1) {
            return true;
        }
        let is_former = || self.former.as_ref().is_some_and(|it| it.id() == *theirs);
        self.roll.stage < ListStage::Accepted && is_former()
    }

    /// May this one be voted for, as far as our list shows.
    pub(super) fn may_elect(&self, request: &Request) -> bool {
        let is_former = |it: &VoterList| it.names.contains(&request.from);
        match request.list.generation.cmp(&self.id.generation) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => self.has(&request.from),
            std::cmp::Ordering::Less => self.former.as_ref().is_some_and(is_former),
        }
    }
}

impl Counted {
    /// Whoever may grant.
    pub(super) fn names(&self) -> BTreeSet<VoterName> {
        let former = self.former.iter().flat_map(|former| &former.names);
        self.voters.names.iter().chain(former).cloned().collect()
    }

    /// Are these enough: a majority of the voters, and of the former ones until the list is sealed.
    pub(super) fn is_majority(&self, granted: &BTreeSet<VoterName>) -> bool {
        self.voters.is_majority(granted) && self.is_majority_of_former(granted)
    }

    /// Of a list that is sealed nobody is asked.
    pub(super) fn is_majority_of_former(&self, granted: &BTreeSet<VoterName>) -> bool {
        let of_former = |former: &VoterList| former.is_majority(granted);
        self.former.as_ref().is_none_or(of_former)
    }

    /// How many of the voters it takes.
    pub(super) fn needed(&self) -> usize {
        self.voters.majority()
    }

    /// How many of how many former voters it takes besides.
    pub(super) fn needed_of_former(&self) -> Option<(usize, usize)> {
        let former = self.former.as_ref();
        former.map(|former| (former.majority(), former.names.len()))
    }

    /// Is the list before asked no more.
    pub(super) fn is_sealed(&self) -> bool {
        self.former.is_none()
    }
}
