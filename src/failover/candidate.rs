//! Who could be promoted, who goes first, and what keeps each of the others from it.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use super::Snapshot;
use crate::cluster::{DaemonState, Lsn, OwnDaemon, Standby, Witness};
use crate::config::{Config, NodeName, Ranking};
use crate::time::{Monotonic, WallTime};

/// A standby that could be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub node: NodeName,
    /// How far ahead it is: the higher of receive and replay position.
    pub position: Lsn,
    /// Its entry of `failover_priorities`.
    pub priority: i64,
}

/// A standby and how it stands in the choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Its name.
    pub node: NodeName,
    /// By whose report its facts are known.
    pub witness: Witness,
    /// How long ago that witness last polled it.
    pub age: Duration,
    /// How far ahead it is: the higher of receive and replay position.
    pub position: Lsn,
    /// Its entry of `failover_priorities`.
    pub priority: i64,
    /// Its replication lag, as last known.
    pub lag: Option<Duration>,
    /// Commit time of the last replayed transaction, by the clock of the primary.
    pub last_replay: Option<WallTime>,
    /// Is it a candidate, and the first of them.
    pub place: Place,
}

/// Where a standby stands in the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The candidate that goes first.
    First,
    /// A candidate, but the first has more WAL.
    FurtherBehind {
        /// How much more, in bytes.
        bytes: u64,
    },
    /// A candidate as far ahead as the first, which has a higher priority.
    LowerPriority,
    /// A candidate equal to the first, but its replay is delayed.
    Delayed,
    /// A candidate equal to the first, which has the higher name.
    LowerName,
    /// A candidate that is passed over: its own daemon shows that it would not promote it.
    StepsAside {
        /// What the daemon shows.
        state: DaemonState,
    },
    /// A candidate that is passed over: its own daemon was there, and is gone.
    DaemonGone {
        /// Since when.
        since: Duration,
    },
    /// No candidate: it is in `never_promote_these_nodes`.
    NeverPromote,
    /// No candidate: its witness did not reach it the last time.
    Disconnected,
    /// No candidate: it was reached, but too long ago.
    StalePoll {
        /// The highest age of a poll.
        limit: Duration,
    },
    /// No candidate: it was last polled before the last evidence of a primary.
    BeforeEvidence {
        /// How old that evidence is.
        evidence: Duration,
    },
    /// No candidate: its system identifier is not ours.
    OtherSystem,
    /// No candidate: it is ahead of the last primary, of another history.
    Diverged {
        /// The position that proved it.
        proof: Lsn,
    },
    /// No candidate: it has not followed the last primary to its timeline.
    OldTimeline {
        /// The standby's.
        timeline: u32,
        /// The last primary's.
        primary: u32,
    },
}

impl Place {
    /// Could the standby be promoted, now or after others.
    pub(super) fn is_candidate(self) -> bool {
        match self {
            Self::First
            | Self::FurtherBehind { .. }
            | Self::LowerPriority
            | Self::Delayed
            | Self::LowerName => true,
            Self::StepsAside { .. }
            | Self::DaemonGone { .. }
            | Self::NeverPromote
            | Self::Disconnected
            | Self::StalePoll { .. }
            | Self::BeforeEvidence { .. }
            | Self::OtherSystem
            | Self::Diverged { .. }
            | Self::OldTimeline { .. } => false,
        }
    }

    /// Would it be one, if its daemon did not step aside.
    pub(super) fn is_passed_over(self) -> bool {
        matches!(self, Self::StepsAside { .. } | Self::DaemonGone { .. })
    }

    /// The place's name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::FurtherBehind { .. } => "further_behind",
            Self::LowerPriority => "lower_priority",
            Self::Delayed => "delayed",
            Self::LowerName => "lower_name",
            Self::StepsAside { .. } => "steps_aside",
            Self::DaemonGone { .. } => "daemon_gone",
            Self::NeverPromote => "never_promote",
            Self::Disconnected => "disconnected",
            Self::StalePoll { .. } => "stale_poll",
            Self::BeforeEvidence { .. } => "before_evidence",
            Self::OtherSystem => "other_system",
            Self::Diverged { .. } => "diverged",
            Self::OldTimeline { .. } => "old_timeline",
        }
    }
}

impl Contender {
    fn new(
        snapshot: &Snapshot<'_>,
        node: &NodeName,
        standby: &Standby,
        evidence: Option<Monotonic>,
    ) -> Self {
        Self {
            node: node.clone(),
            witness: standby.witness.clone(),
            age: snapshot.now.since(standby.at),
            position: position(snapshot.config, standby),
            priority: priority(snapshot.config, node),
            lag: standby.lag,
            last_replay: last_replay(snapshot.config, standby),
            place: snapshot.place_of(node, standby, evidence),
        }
    }

    /// The same as the verdicts name it.
    pub(super) fn candidate(&self) -> Candidate {
        Candidate {
            node: self.node.clone(),
            position: self.position,
            priority: self.priority,
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.node, self.position)?;
        if self.priority != 0 {
            write!(f, " with priority {}", self.priority)?;
        }
        Ok(())
    }
}

impl Snapshot<'_> {
    /// What keeps a standby from being a candidate at all; `First` if nothing does.
    fn place_of(&self, node: &NodeName, standby: &Standby, evidence: Option<Monotonic>) -> Place {
        let limit = MAX_POLL_AGE.max(self.config.poll_interval * 2);
        if self.config.never_promote.contains(node) {
            return Place::NeverPromote;
        }
        if self.is_foreign(standby) {
            return Place::OtherSystem;
        }
        if !standby.connected {
            return Place::Disconnected;
        }
        if self.now.since(standby.at) > limit {
            return Place::StalePoll { limit };
        }
        if let Some(evidence) = evidence.filter(|at| standby.at < *at) {
            let evidence = self.now.since(evidence);
            return Place::BeforeEvidence { evidence };
        }
        self.other_history(node, standby)
            .or_else(|| self.stepping_aside(node))
            .unwrap_or(Place::First)
    }

    fn is_foreign(&self, standby: &Standby) -> bool {
        let ours = self.state.system(self.config.own_db.as_ref());
        let pair = standby.system.as_deref().zip(ours);
        pair.is_some_and(|(theirs, ours)| theirs != ours)
    }

    /// The last primary's answers prove that the standby has WAL which that primary never had, or
    /// lacks what it wrote.
    fn other_history(&self, node: &NodeName, standby: &Standby) -> Option<Place> {
        let history = &self.state.history;
        if let Some(proof) = history.diverged.get(node) {
            return Some(Place::Diverged {
                proof: proof.position,
            });
        }
        let primary = history.last_primary.as_ref()?;
        let (ours, theirs) = (standby.timeline?, primary.timeline?);
        // What is lost with a primary that lived shorter is bounded by the limit.
        let lived = primary.lived() >= self.config.failover_lag;
        let followed = history
            .grew
            .get(node)
            .is_some_and(|at| *at >= primary.since);
        (ours < theirs && lived && !followed).then_some(Place::OldTimeline {
            timeline: ours,
            primary: theirs,
        })
    }

    /// The standby's own server shows that its daemon would not promote it. A daemon that was about
    /// to promote is given longer to come back; one whose server shows no sessions is never passed
    /// over.
    fn stepping_aside(&self, node: &NodeName) -> Option<Place> {
        if self.config.own_db.as_ref() == Some(node) {
            return None;
        }
        let daemon = self.state.nodes.get(node)?.own_daemon?;
        let OwnDaemon { state, at, .. } = daemon;
        let since = self.now.since(at);
        if state.is_promoting() {
            let patience = self.config.failover_lag * 10;
            return (daemon.is_gone() && since > patience).then_some(Place::DaemonGone { since });
        }
        if daemon.is_gone() {
            return Some(Place::DaemonGone { since });
        }
        state.steps_aside().then_some(Place::StepsAside { state })
    }
}

/// All standbys, the candidates before the others. Those stand the best first: furthest ahead, then
/// the highest priority, then without delay, then the highest name, so that every standby comes to
/// the same answer.
pub(super) fn contenders(snapshot: &Snapshot<'_>, evidence: Option<Monotonic>) -> Vec<Contender> {
    let standbys = snapshot.map.standbys.iter();
    let standbys =
        standbys.map(|(node, standby)| Contender::new(snapshot, node, standby, evidence));
    let mut standbys: Vec<_> = standbys.collect();
    yield_after_failure(snapshot, &mut standbys);
    let standbys = standbys.into_iter();
    let (mut contenders, others): (Vec<_>, Vec<_>) =
        standbys.partition(|contender| contender.place.is_candidate());
    let warning = snapshot.config.warning_lag;
    sort(&mut contenders, warning);
    if let Some((first, rest)) = contenders.split_first_mut() {
        for contender in rest {
            contender.place = place_after(first, contender, warning);
        }
    }
    let passed_over = |contender: &Contender| !contender.place.is_passed_over();
    let mut others = others;
    others.sort_by_key(passed_over);
    contenders.extend(others);
    contenders
}

/// After a failed attempt of ours, other daemons pass us over: while one of them can promote its
/// node, an announcement of ours would only hold it up.
fn yield_after_failure(snapshot: &Snapshot<'_>, contenders: &mut [Contender]) {
    let own = |contender: &Contender| snapshot.config.own_db.as_ref() == Some(&contender.node);
    let shows = |contender: &Contender| {
        let node = snapshot.state.nodes.get(&contender.node);
        node.is_some_and(|node| node.own_daemon.is_some())
    };
    let mut others = contenders.iter().filter(|contender| !own(contender));
    let can_yield = others.any(|other| other.place.is_candidate() && shows(other));
    if !snapshot.has_failed || !can_yield {
        return;
    }
    let ours = contenders.iter_mut().filter(|contender| own(contender));
    for contender in ours.filter(|contender| contender.place.is_candidate()) {
        contender.place = Place::StepsAside {
            state: DaemonState::Failed,
        };
    }
}

/// Among those equally far ahead, whoever has replayed much less than the others has a delayed
/// replay.
fn sort(contenders: &mut [Contender], warning: Duration) {
    let latest = contenders.iter().filter_map(|it| it.last_replay).max();
    let delayed = |it: &Contender| is_delayed(it.last_replay, latest, warning);
    contenders.sort_by(|a, b| {
        let key = |it: &Contender| (it.position, it.priority, Reverse(delayed(it)));
        (key(b), &b.node).cmp(&(key(a), &a.node))
    });
}

/// The difference of two lags, as the primary's clock has it. Lags themselves contain each server's
/// own clock and the time of its poll, by which two daemons could come to different answers.
fn is_delayed(last_replay: Option<WallTime>, latest: Option<WallTime>, warning: Duration) -> bool {
    last_replay
        .zip(latest)
        .is_some_and(|(last_replay, latest)| latest.since(last_replay) > warning)
}

fn place_after(first: &Contender, contender: &Contender, warning: Duration) -> Place {
    let (ahead, behind) = (first.position.bytes(), contender.position.bytes());
    match ahead.saturating_sub(behind) {
        0 if contender.priority != first.priority => Place::LowerPriority,
        0 if is_delayed(contender.last_replay, first.last_replay, warning) => Place::Delayed,
        0 => Place::LowerName,
        bytes => Place::FurtherBehind { bytes },
    }
}

/// Would this standby go before our own node by its last facts, if it were reached.
pub(super) fn would_go_first(snapshot: &Snapshot<'_>, node: &NodeName) -> bool {
    let config = snapshot.config;
    let Some(own) = config.own_db.as_ref().filter(|own| *own != node) else {
        return false;
    };
    let standby = |node: &NodeName| snapshot.map.standbys.get(node);
    let (Some(theirs), Some(ours)) = (standby(node), standby(own)) else {
        return false;
    };
    if config.never_promote.contains(node)
        || snapshot.is_foreign(theirs)
        || snapshot.other_history(node, theirs).is_some()
    {
        return false;
    }
    let latest = last_replay(config, theirs).max(last_replay(config, ours));
    let rank = |node: &NodeName, standby: &Standby| {
        let replayed = last_replay(config, standby);
        (
            position(config, standby),
            priority(config, node),
            Reverse(is_delayed(replayed, latest, config.warning_lag)),
            node.clone(),
        )
    };
    config.never_promote.contains(own) || rank(node, theirs) > rank(own, ours)
}

/// How far ahead a standby counts.
fn position(config: &Config, standby: &Standby) -> Lsn {
    match config.ranking {
        Ranking::Furthest => standby.position(),
        Ranking::Original => standby.receive.or(standby.replay).unwrap_or_default(),
    }
}

/// The original knows no priorities.
pub(super) fn priority(config: &Config, node: &NodeName) -> i64 {
    let listed = config.failover_priorities.get(node).copied();
    match config.ranking {
        Ranking::Furthest => listed.unwrap_or_default(),
        Ranking::Original => 0,
    }
}

/// The original gives way to nobody because of a delay.
fn last_replay(config: &Config, standby: &Standby) -> Option<WallTime> {
    match config.ranking {
        Ranking::Furthest => standby.last_replay,
        Ranking::Original => None,
    }
}

/// A candidate's poll is at most this old, or two poll intervals if that is longer.
const MAX_POLL_AGE: Duration = Duration::from_secs(20);

#[cfg(test)]
#[path = "candidate_tests.rs"]
mod tests;
