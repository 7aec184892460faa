//! What a voter keeps of its list of voters besides the names, and what messages bear of that. How one list
//! takes the place of another is in `next_list`; which daemons a round is counted by follows from it,
//! in `counted`; how a list is found to be accepted, in `survey`.

use std::collections::BTreeMap;

use crate::config::{ObserverUrl, VoterName};

/// How far a voter knows its list to have come. Each stage lasts until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListStage {
    /// This voter is new, and does not know yet that its list is accepted: it votes for nobody.
    Joining,
    /// It was taken from the configuration, and may still come to nothing.
    Taken,
    /// A majority of the list before has taken it: requests of that are refused.
    Accepted,
    /// A majority of it, and of the list before, knows that: it elects alone, and the next change may begin.
    Sealed,
}

/// The voters of the list before, and where they answer; `None`: that is not known.
pub type FormerVoters = BTreeMap<VoterName, Option<ObserverUrl>>;

/// What a voter keeps of its list besides the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// How far it has come.
    pub stage: ListStage,
    /// Who voted before; `None`: the list is sealed, or nobody has sent it.
    pub former: Option<FormerVoters>,
    /// A list that is sealed elects in later terms than this: nobody was elected in them without it.
    pub floor: u64,
}

/// What a message says of its sender's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListNews {
    /// How far the sender knows it to have come.
    pub stage: ListStage,
    /// The fingerprint of the list before, until its own is sealed.
    pub former: Option<String>,
    /// As in [`Roll`].
    pub floor: u64,
}

impl ListStage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Joining, Self::Taken, Self::Accepted, Self::Sealed];

    /// Its name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Taken => "taken",
            Self::Accepted => "accepted",
            Self::Sealed => "sealed",
        }
    }
}

impl Roll {
    /// Of a list that was never changed.
    pub fn first() -> Self {
        Self {
            stage: ListStage::Sealed,
            former: None,
            floor: 0,
        }
    }

    /// Of a voter that was in no list before.
    pub fn joining() -> Self {
        Self {
            stage: ListStage::Joining,
            ..Self::first()
        }
    }

    pub(super) fn reach(&mut self, stage: ListStage, floor: u64) {
        self.stage = self.stage.max(stage);
        self.floor = self.floor.max(floor);
        if self.stage == ListStage::Sealed {
            self.former = None;
        }
    }
}
