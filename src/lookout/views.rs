//! What others may look at.

use std::sync::Arc;

use super::votes::UNREAD;
use super::{Event, Lookout, Memory, PrimaryChange, Round, Rounds, Switchover, check};
use crate::cluster::{ClusterState, DaemonState, NodeMap, PauseMark};
use crate::config::{ClusterName, Config, NodeName, ObserverUrl, VoterName};
use crate::failover::Prospect;
use crate::time::{Monotonic, Now};
use crate::votes::Member;

impl Lookout {
    /// The facts per node and observer.
    pub fn state(&self) -> &ClusterState {
        &self.decisions.facts.state
    }

    /// The node map of this moment.
    pub fn node_map(&self, now: Monotonic) -> NodeMap {
        self.decisions.facts.map(&self.config, now)
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The remembered primary: `current_master`.
    pub fn primary(&self) -> Option<&NodeName> {
        self.decisions.facts.remembered.as_ref()
    }

    /// The session with the primary was ended, and no poll has shown yet whether it is lost.
    pub fn awaits_primary(&self) -> bool {
        let node = self
            .primary()
            .and_then(|primary| self.state().nodes.get(primary));
        self.decisions.watch.has_answered() && node.is_some_and(|node| !node.is_connected())
    }

    /// The last changes of the primary, the oldest first.
    pub fn changes(&self) -> &[PrimaryChange] {
        &self.decisions.facts.changes
    }

    /// The last decisions.
    pub fn rounds(&self) -> &Rounds {
        &self.decisions.rounds
    }

    /// What the last round came to.
    pub fn last_round(&self) -> Option<&Round> {
        self.decisions.rounds.newest().map(Arc::as_ref)
    }

    /// Has lag been over the warning limit since an earlier decision.
    pub fn lag_warning(&self) -> bool {
        self.decisions.lag.is_raised()
    }

    /// What the loss of the primary comes to, by this node map.
    pub fn prospect(&self, map: &NodeMap, now: Monotonic) -> Prospect {
        self.decisions.prospect(map, &self.config, now)
    }

    /// The name of this daemon, as in presence: its node's, or its host's.
    pub fn daemon(&self) -> &str {
        self.presence.daemon()
    }

    /// The fingerprint of the settings on which daemons must agree.
    pub fn settings(&self) -> &str {
        self.presence.settings()
    }

    /// What this daemon shows of itself.
    pub fn shown(&self, now: Monotonic) -> DaemonState {
        self.decisions.shown(&self.config, now)
    }

    /// The newest pause, or end of one, that is known here.
    pub fn pause(&self) -> PauseMark {
        self.decisions.pause.mark()
    }

    /// Each cluster in which this daemon votes, or why it cannot.
    pub fn votes(&self) -> impl Iterator<Item = (&ClusterName, Result<&Member, &str>)> {
        self.decisions.votes.all()
    }

    /// Where a voter answers: as configured, or as it was while it was. A former voter is asked until the
    /// list that it is not in is sealed.
    pub fn voter_address(&self, cluster: &ClusterName, voter: &VoterName) -> Option<&ObserverUrl> {
        let voting = self.config.voting.as_ref()?;
        let configured = voting.clusters.get(cluster)?.voters.get(voter);
        configured.or_else(|| self.decisions.votes.former_address(cluster, voter))
    }

    /// Its voters as events, with which another core would go on; all of it while
    /// [they are at rest](Self::votes_are_at_rest).
    pub fn vote_files(&self, now: Monotonic) -> Vec<Event> {
        let read = self
            .votes()
            .filter(|(_, member)| member.err() != Some(UNREAD));
        let read = read.map(|(name, member)| Event::VoteFileRead {
            cluster: name.clone(),
            seed: member.map_or(0, |it| it.candidate().seed()),
            resumed: member.ok().map(|it| Box::new(it.resumed(now))),
            found: member
                .map(|it| it.voter().record().clone())
                .map_err(str::to_owned),
        });
        read.collect()
    }

    /// Is no election under way, no round of renewals and no write of a vote file.
    pub fn votes_are_at_rest(&self, now: Monotonic) -> bool {
        let switchover = self.decisions.switchover.as_ref();
        self.decisions.votes.are_at_rest(now)
            && self.decisions.tenure.is_at_rest()
            && self.decisions.succession.is_at_rest()
            && !switchover.is_some_and(Switchover::is_running)
    }

    /// Until when our own server, which is down, may be started as a primary; else why it may not. A lease
    /// that lasts for twice `fence_timeout` more is neither lost nor given up while it starts.
    pub fn gate(&self, now: Monotonic) -> Option<Result<Monotonic, String>> {
        self.decisions.gate(&self.config, now)
    }

    /// How the watchdog device stands while our own server has a lease: how it counts, or why it would not reset
    /// this host in time; `None`: nothing was reported of it.
    pub fn watchdog(&self) -> Option<&Result<String, String>> {
        self.decisions.votes.watchdog.as_ref()
    }

    /// The last switchover that was asked for on this host.
    pub fn switchover(&self) -> Option<&Switchover> {
        self.decisions.switchover.as_ref()
    }

    /// The term in which this daemon was elected to run `failover_command`, where voters elect.
    pub fn elected_term(&self) -> Option<u64> {
        self.decisions.promotion.term()
    }

    /// Is a failover command running that this process has begun.
    pub fn is_promoting(&self) -> bool {
        self.decisions.promotion.is_ours_running()
    }

    /// Is our own server being restarted, so that a new primary is followed.
    pub fn is_restarting(&self) -> bool {
        self.decisions.following.is_restarting()
    }

    /// Are decisions being made: was there a round, a wait included, in the time in which there
    /// must have been one.
    pub fn is_deciding(&self, now: Monotonic) -> bool {
        let longest = self
            .config
            .check_interval
            .saturating_mul(2)
            .saturating_add(check::time_limit(&self.config));
        let last = self
            .last_round()
            .map_or(self.started_at, |round| round.at.mono);
        now.since(last) <= longest
    }

    /// What a later process must know.
    pub fn memory(&self, now: Now) -> Memory {
        self.decisions.memory(&self.config, now)
    }
}
