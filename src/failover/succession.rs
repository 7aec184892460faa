//! A switchover, as its successor decides (rule S4): the holder of the last term has stopped its server as
//! planned and released its term for us. That proves more than any sign of life: none of that server is
//! asked for, nor a limit, nor who is further.

use super::{Blocker, Cause, Contender, Snapshot, Verdict, candidate, quorum};
use crate::config::{NodeName, VoterName};

impl Snapshot<'_> {
    /// What keeps us from it still; else our node is to be promoted.
    pub(super) fn succession(&self, from: &VoterName) -> Verdict {
        let evidence = self.evidence();
        let at = evidence.as_ref().map(|evidence| evidence.at);
        let contenders = candidate::contenders(self, at);
        let quorum = quorum::count(self, &contenders).quorum();
        let blocker = self.forbids_succession(from);
        if let Some(blocker) = blocker.or_else(|| self.own_blockers(quorum).next()) {
            return Verdict::Hold(blocker);
        }
        let is_own = |it: &&Contender| Some(&it.node) == self.config.own_db.as_ref();
        let Some(own) = contenders.iter().find(is_own) else {
            return Verdict::Hold(self.nobody());
        };
        Verdict::Promote {
            cause: Cause::Switchover {
                from: NodeName::from(from.as_str()),
            },
            winner: own.candidate(),
            quorum,
            evidence: at.map(|at| self.now.since(at)),
        }
    }

    /// Whoever else is a primary may be one that holds no term.
    pub(super) fn forbids_succession(&self, from: &VoterName) -> Option<Blocker> {
        let mut connected = self.map.connected_primaries.iter();
        let another = connected.find(|(node, _)| node.as_str() != from.as_str());
        let another = another.map(|(primary, witness)| Blocker::PrimaryConnected {
            primary: primary.clone(),
            witness: witness.clone(),
        });
        another.or_else(|| self.paused())
    }
}
