//! Lists of voters that change: what the configuration has is given to the member of each cluster, and
//! what becomes of it is logged, and raised as an alert where it does not go on by itself.

use super::super::Alert;
use super::super::turn::Turn;
use super::Votes;
use crate::config::{ClusterName, Config, ObserverUrl, VoterName, VotingCluster};
use crate::votes::{ListStage, Member, VoterList};

impl Votes {
    /// Where a voter answers that the configuration does not name any more; `None`: nobody knows.
    pub(in crate::lookout) fn former_address(
        &self,
        cluster: &ClusterName,
        voter: &VoterName,
    ) -> Option<&ObserverUrl> {
        self.member(cluster)?.former_address(voter)
    }

    /// A reload has brought other lists, or none.
    pub(super) fn configure_lists(&mut self, config: &Config, turn: &mut Turn<'_>) {
        let clusters = config.voting.iter().flat_map(|voting| &voting.clusters);
        for (name, cluster) in clusters {
            self.configure_list(name, cluster, turn);
            let member = self.member_mut(name);
            if let Some(member) = member.filter(|it| it.is_list_changing()) {
                member.check_soon(turn.now.mono);
            }
        }
    }

    /// The list of one cluster; whether it is taken is the member's to know.
    pub(super) fn configure_list(
        &mut self,
        name: &ClusterName,
        cluster: &VotingCluster,
        turn: &mut Turn<'_>,
    ) {
        let list = VoterList::from(cluster);
        let before = self.member(name).and_then(Member::list_trouble);
        self.with(name, turn, |member, out| {
            member.configure(list, &cluster.voters, out);
        });
        let trouble = self.member(name).and_then(Member::list_trouble);
        let has_trouble = trouble.is_some();
        if let Some(trouble) = trouble.filter(|it| before.as_ref() != Some(it)) {
            let text = format!("votes in cluster {name}: {trouble}");
            match trouble.is_waiting() {
                true => turn.info(text),
                false => turn.error(text),
            }
        }
        if has_trouble || self.raised.contains_key(&Alert::VotersDisagree) {
            self.watch_agreement(turn);
        }
    }

    /// It is written.
    pub(super) fn list_moved(&mut self, name: &ClusterName, turn: &mut Turn<'_>) {
        let Some(member) = self.member(name) else {
            return;
        };
        let list = member.list();
        let (generation, own) = (list.generation, member.voter().name());
        let text = match member.roll().stage {
            ListStage::Joining => "is known, and not accepted yet: voting for nobody",
            ListStage::Taken => {
                "is taken; it is accepted when a majority of it and of the former voters has it"
            }
            ListStage::Accepted => "is accepted: requests of former lists are refused from now on",
            ListStage::Sealed if !list.names.contains(own) => {
                "is sealed, without this daemon: it votes for nobody any more, and may be stopped"
            }
            ListStage::Sealed => "is sealed: the next change may begin",
        };
        turn.info(format!("votes in cluster {name}: list {generation} {text}"));
        if self.raised.contains_key(&Alert::VotersDisagree) {
            self.watch_agreement(turn);
        }
    }
}

#[cfg(test)]
#[path = "lists_tests.rs"]
mod tests;
