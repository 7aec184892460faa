//! What one round says of its sender's list (rule L4): who has taken it, and who knows it to be accepted.
//! A voter counts once nothing that it has promised by an earlier list is left: it has granted this very
//! round, or is bound to nobody.

use std::collections::BTreeSet;

use super::counted::Counted;
use super::{Answer, Kind, ListNews, ListStage, Nonce};
use crate::config::VoterName;
use crate::time::Monotonic;

/// One round, and what was answered to it.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    nonce: Nonce,
    kind: Kind,
    counted: Counted,
    /// Answers that come later say nothing.
    until: Monotonic,
    /// Who has the same list.
    same: BTreeSet<VoterName>,
    /// Who of them knows that it is accepted, and takes nothing of the list before any more.
    knew: BTreeSet<VoterName>,
    /// The highest term of these: nobody was elected in a later one by the list before.
    floor: u64,
}

impl Survey {
    pub(super) fn new(nonce: Nonce, kind: Kind, counted: Counted, until: Monotonic) -> Self {
        Self {
            nonce,
            kind,
            counted,
            until,
            same: BTreeSet::new(),
            knew: BTreeSet::new(),
            floor: 0,
        }
    }

    pub(super) fn is_over(&self, now: Monotonic) -> bool {
        self.until <= now
    }

    /// Counts an answer, if it is to this round.
    pub(super) fn count(&mut self, voter: &VoterName, answer: &Answer, now: Monotonic) {
        let is_its = answer.nonce == self.nonce && answer.kind == self.kind;
        let Some(news) = &answer.news else { return };
        // A grant binds the voter to this round; what only asks binds nobody.
        let counts = match self.kind {
            Kind::Vote | Kind::Renew => answer.refusal.is_none(),
            Kind::AskVote | Kind::AskRenew | Kind::Release => answer.is_free,
        };
        if !is_its || !counts || answer.list != self.counted.id || self.is_over(now) {
            return;
        }
        self.same.insert(voter.clone());
        if news.stage >= ListStage::Accepted {
            self.knew.insert(voter.clone());
        }
        self.floor = self.floor.max(answer.term);
    }

    /// What it has come to.
    pub(super) fn news(&self) -> ListNews {
        let stage = if self.counted.is_majority(&self.knew) {
            ListStage::Sealed
        } else if self.counted.is_majority_of_former(&self.same) {
            ListStage::Accepted
        } else {
            ListStage::Taken
        };
        ListNews {
            stage,
            former: None,
            floor: match stage {
                ListStage::Sealed => self.floor,
                ListStage::Joining | ListStage::Taken | ListStage::Accepted => 0,
            },
        }
    }

    /// Of which list.
    pub(super) fn counted(&self) -> &Counted {
        &self.counted
    }
}
