//! What a decision can come to: one closed list of verdicts, causes and blockers, each with the
//! figures that led to it. The sentences that are logged are beside this file.

use std::path::PathBuf;
use std::time::Duration;

use super::{Candidate, LagReading, Quorum};
use crate::cluster::{ProbeFailure, Witness};
use crate::config::{NodeName, ObserverName};
use crate::time::Monotonic;

/// The outcome of one round.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is to be done, and why.
    pub verdict: Verdict,
    /// What this node's lag said on the way.
    pub lag: LagReading,
    /// A failover was not considered because `failover_on_disconnect` is false, whatever lag said
    /// then.
    pub disconnect_ignored: bool,
}

/// What is to be done, and why.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Not the time to decide yet.
    Wait(Wait),
    /// This node is an observer: it decides nothing.
    Observing {
        /// The one connected primary.
        primary: Option<NodeName>,
    },
    /// This node is the primary: it decides nothing.
    PrimaryItself {
        /// Our own name.
        own: NodeName,
    },
    /// No standby is known: there is nothing to decide.
    NoStandby {
        /// Our own name.
        own: NodeName,
    },
    /// All is well.
    PrimaryReachable {
        /// The primary.
        primary: NodeName,
        /// Who reaches it.
        witness: Witness,
    },
    /// More than one node is a connected primary: an operator must decide.
    SeveralPrimaries {
        /// Who they are.
        primaries: Vec<NodeName>,
    },
    /// The primary is unreachable, and `failover_on_disconnect` is false.
    DisconnectIgnored {
        /// The primary.
        primary: NodeName,
    },
    /// There seems to be cause for a failover; it is decided on facts asked for from now on.
    WantsFreshFacts {
        /// What seems to be the case.
        cause: Cause,
    },
    /// Lag has crossed the warning limit.
    LagWarning {
        /// Our lag.
        lag: Duration,
        /// `warning_replication_time_lag`.
        limit: Duration,
    },
    /// There is cause for a failover, but something forbids it.
    Hold(Blocker),
    /// There is cause for a failover, and another standby is the one to be promoted.
    OtherCandidate {
        /// Which one.
        winner: Candidate,
        /// How we stand, if we are a candidate.
        own: Option<Candidate>,
    },
    /// This node is to be promoted.
    Promote {
        /// Why.
        cause: Cause,
        /// Ourselves.
        winner: Candidate,
        /// The votes.
        quorum: Quorum,
        /// How long ago anybody last reached a primary of ours.
        last_contact: Option<Duration>,
    },
}

/// What a decision waits for before it can be made at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Everybody has to be asked once.
    FirstAnswers {
        /// Nodes that were not polled yet.
        nodes: Vec<NodeName>,
        /// Observers that have neither answered nor failed yet.
        observers: Vec<ObserverName>,
    },
    /// Lag is over the warning limit: the observers have to be asked since then.
    ObserversSinceWarning {
        /// Those who were not.
        observers: Vec<ObserverName>,
        /// When they are no longer waited for.
        until: Monotonic,
    },
    /// `failover_sleep_time` after the failover command.
    PauseAfterFailover {
        /// When it ends.
        until: Monotonic,
    },
    /// Fresh facts were asked for and did not all come in time.
    FreshFactsOverdue,
}

/// What asks for a failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The remembered primary cannot be reached.
    PrimaryUnreachable {
        /// Which node.
        primary: NodeName,
    },
    /// The remembered primary is no longer in `remote_conns`.
    PrimaryRemoved {
        /// Which node.
        primary: NodeName,
    },
    /// The remembered primary is no longer a primary, and there is no other.
    PrimaryNoLonger {
        /// Which node.
        primary: NodeName,
    },
    /// No primary was ever seen.
    NeverSeenPrimary,
    /// Our lag is over the failover limit.
    Lag {
        /// Our lag.
        lag: Duration,
        /// `max_failover_replication_time_lag`.
        limit: Duration,
    },
}

/// What forbids a failover: rules 1 and 3a to 3g of "The decision" in behaviour.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// 1: `remote_conns` has just changed.
    NodesJustChanged {
        /// How long ago.
        since_change: Duration,
        /// `missing_master_from_config_timeout`.
        patience: Duration,
        /// When the wait ends.
        until: Monotonic,
    },
    /// 1: no primary has been seen yet, and some node that did not tell its role may be it.
    RoleUnknown {
        /// Which nodes.
        nodes: Vec<NodeName>,
        /// Since the start or the last change of nodes.
        waited: Duration,
        /// `max_failover_replication_time_lag`.
        limit: Duration,
        /// When the wait ends.
        until: Monotonic,
    },
    /// 3a: somebody reaches a primary.
    PrimaryConnected {
        /// The primary.
        primary: NodeName,
        /// Who reaches it.
        witness: Witness,
    },
    /// 3b: the primary lives, it only turns us away.
    PrimaryRefuses {
        /// Which node.
        node: NodeName,
        /// What it said.
        failure: ProbeFailure,
    },
    /// 3c: a standby received more WAL just now, so its sender lives.
    WalStillArrives {
        /// Which standby.
        standby: NodeName,
        /// How long ago we learnt it.
        age: Duration,
        /// When this veto ends.
        until: Monotonic,
    },
    /// 3d: somebody reached a primary of ours less than the limit ago.
    ContactTooRecent {
        /// Which node.
        node: NodeName,
        /// Who reached it.
        witness: Witness,
        /// How long ago.
        age: Duration,
        /// `max_failover_replication_time_lag`.
        limit: Duration,
        /// When the limit is over.
        until: Monotonic,
    },
    /// 3e: no reachable standby with a recent poll may be promoted.
    NoCandidate,
    /// 3f: the maintenance file exists.
    Maintenance {
        /// Which file.
        file: PathBuf,
    },
    /// 3f: no quorum.
    NoQuorum {
        /// The votes.
        quorum: Quorum,
    },
    /// Our failover command is running.
    PromotionRunning,
    /// The same command of a former process may still run, or its server may be about to do what it
    /// was told.
    PreviousCommand {
        /// When it is given up.
        until: Monotonic,
    },
    /// 3g: our failover command ended well, and our own node was not polled since.
    OwnNodeNotPolledSince,
    /// 3h: our failover command has just ended; whatever news comes, it is not repeated before the
    /// next regular decision.
    TriedJustNow {
        /// When that is due at the latest.
        until: Monotonic,
    },
}

impl Decision {
    /// A decision that never looked at lag.
    pub fn without_lag(verdict: Verdict) -> Self {
        Self {
            verdict,
            lag: LagReading::default(),
            disconnect_ignored: false,
        }
    }
}

impl Verdict {
    /// When it would come out differently by the mere passing of time.
    pub fn look_again_at(&self) -> Option<Monotonic> {
        match self {
            Self::Wait(
                Wait::ObserversSinceWarning { until, .. } | Wait::PauseAfterFailover { until },
            )
            | Self::Hold(
                Blocker::NodesJustChanged { until, .. }
                | Blocker::RoleUnknown { until, .. }
                | Blocker::WalStillArrives { until, .. }
                | Blocker::ContactTooRecent { until, .. }
                | Blocker::PreviousCommand { until }
                | Blocker::TriedJustNow { until },
            ) => Some(*until),
            _ => None,
        }
    }

    /// The verdict's name, from a closed list: for logs, metrics and replay.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::Observing { .. } => "observing",
            Self::PrimaryItself { .. } => "primary_itself",
            Self::NoStandby { .. } => "no_standby",
            Self::PrimaryReachable { .. } => "primary_reachable",
            Self::SeveralPrimaries { .. } => "several_primaries",
            Self::DisconnectIgnored { .. } => "disconnect_ignored",
            Self::WantsFreshFacts { .. } => "wants_fresh_facts",
            Self::LagWarning { .. } => "lag_warning",
            Self::Hold(_) => "hold",
            Self::OtherCandidate { .. } => "other_candidate",
            Self::Promote { .. } => "promote",
        }
    }

    /// The reason's name, from a closed list; unlike the figures it does not change from round to
    /// round.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wait(wait) => wait.name(),
            Self::Hold(blocker) => blocker.name(),
            Self::WantsFreshFacts { cause } | Self::Promote { cause, .. } => cause.name(),
            other => other.name(),
        }
    }
}

impl Wait {
    fn name(&self) -> &'static str {
        match self {
            Self::FirstAnswers { .. } => "first_answers",
            Self::ObserversSinceWarning { .. } => "observers_since_warning",
            Self::PauseAfterFailover { .. } => "pause_after_failover",
            Self::FreshFactsOverdue => "fresh_facts_overdue",
        }
    }
}

impl Cause {
    fn name(&self) -> &'static str {
        match self {
            Self::PrimaryUnreachable { .. } => "primary_unreachable",
            Self::PrimaryRemoved { .. } => "primary_removed",
            Self::PrimaryNoLonger { .. } => "primary_no_longer",
            Self::NeverSeenPrimary => "never_seen_primary",
            Self::Lag { .. } => "lag",
        }
    }
}

impl Blocker {
    fn name(&self) -> &'static str {
        match self {
            Self::NodesJustChanged { .. } => "nodes_just_changed",
            Self::RoleUnknown { .. } => "role_unknown",
            Self::PrimaryConnected { .. } => "primary_connected",
            Self::PrimaryRefuses { .. } => "primary_refuses",
            Self::WalStillArrives { .. } => "wal_still_arrives",
            Self::ContactTooRecent { .. } => "contact_too_recent",
            Self::NoCandidate => "no_candidate",
            Self::Maintenance { .. } => "maintenance",
            Self::NoQuorum { .. } => "no_quorum",
            Self::PromotionRunning => "promotion_running",
            Self::PreviousCommand { .. } => "previous_command",
            Self::OwnNodeNotPolledSince => "own_node_not_polled_since",
            Self::TriedJustNow { .. } => "tried_just_now",
        }
    }
}
