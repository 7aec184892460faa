//! What the loss of the primary comes to, or would come to if it were lost now: who is promoted and
//! when, and what keeps everybody from it. For operators; nothing is decided by it.

use std::time::Duration;

use super::candidate::{self, Candidate, Contender, Place};
use super::{Blocker, Snapshot, Votes, quorum};
use crate::cluster::DaemonState;

/// The next failover, as far as this daemon knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Prospect {
    /// What is in its way, or that nothing is.
    pub outlook: Outlook,
    /// Who would be promoted.
    pub candidate: Option<Candidate>,
    /// Who would be known to vote, if everybody were polled again now.
    pub votes: Votes,
    /// Every known standby as it would stand then, the best first.
    pub standbys: Vec<Contender>,
}

/// What is in the way of a failover.
#[derive(Clone, Debug, PartialEq)]
pub enum Outlook {
    /// A primary is reached, and its loss would end in a promotion.
    Ready,
    /// No primary is reached, and nothing but time is in the way.
    Countdown {
        /// At least so much; nothing: it is due.
        left: Duration,
    },
    /// A daemon is promoting its node.
    Running {
        /// Whose: its name, as in presence.
        daemon: String,
    },
    /// A loss of the primary is no reason: `failover_on_disconnect` is false.
    Off,
    /// Something else is in the way.
    Blocked {
        /// What, one sentence each.
        reasons: Vec<String>,
    },
}

impl Snapshot<'_> {
    /// `own`: what this daemon shows of itself.
    pub fn prospect(&self, own: DaemonState) -> Prospect {
        // Everybody is polled again before a decision: nothing is too old for it yet.
        let mut standbys = candidate::contenders(self, None);
        self.step_aside(&mut standbys, own);
        let votes = quorum::count(self, &standbys);
        let first = standbys.iter_mut().find(|it| it.place.is_candidate());
        let candidate = first.map(|first| {
            first.place = Place::First;
            first.candidate()
        });
        Prospect {
            outlook: self.outlook(candidate.as_ref(), &standbys, &votes),
            candidate,
            votes,
            standbys,
        }
    }

    /// The others pass our node over, as we do theirs.
    fn step_aside(&self, standbys: &mut [Contender], state: DaemonState) {
        let own = self.config.own_db.as_ref();
        let candidates = standbys.iter_mut().filter(|it| it.place.is_candidate());
        let mut ours = candidates.filter(|it| own == Some(&it.node) && state.steps_aside());
        if let Some(ours) = ours.next() {
            ours.place = Place::StepsAside { state };
        }
    }

    fn outlook(
        &self,
        candidate: Option<&Candidate>,
        standbys: &[Contender],
        votes: &Votes,
    ) -> Outlook {
        if self.promoting {
            let daemon = self.own_daemon().unwrap_or_default();
            return Outlook::Running { daemon };
        }
        if let Some(Blocker::OtherPromotes { daemon, .. }) = self.other_promotes() {
            return Outlook::Running { daemon };
        }
        let reasons = self.obstacles(candidate, standbys, votes);
        if !reasons.is_empty() {
            return Outlook::Blocked { reasons };
        }
        if !self.config.failover_on_disconnect {
            return Outlook::Off;
        }
        if !self.map.connected_primaries.is_empty() {
            return Outlook::Ready;
        }
        let waits = self.signs_of_life().filter_map(|it| it.until());
        let until = waits.chain(self.time_to_appear_until()).max();
        let left = until.map_or(Duration::ZERO, |at| at.since(self.now));
        Outlook::Countdown { left }
    }

    /// Whatever is in the way besides time.
    fn obstacles(
        &self,
        candidate: Option<&Candidate>,
        standbys: &[Contender],
        votes: &Votes,
    ) -> Vec<String> {
        if let Some(verdict) = self.for_an_operator() {
            return vec![verdict.to_string()];
        }
        if candidate.is_none() {
            let blocker = self.no_candidate(standbys);
            return blocker.iter().map(ToString::to_string).collect();
        }
        // An observer counts others, but does not know whose vote it is itself.
        let quorum = votes.quorum();
        let lacks_quorum = self.config.own_db.is_some() && !quorum.is_met();
        let blocker = lacks_quorum.then(|| Blocker::NoQuorum { quorum }.to_string());
        blocker.into_iter().collect()
    }
}
