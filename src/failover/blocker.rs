//! What asks for a failover and what forbids it: two closed lists, each entry with the figures that led
//! to it.

use std::path::PathBuf;
use std::time::Duration;

use super::evidence::Evidence;
use super::quorum::Quorum;
use crate::cluster::{PauseMark, Witness};
use crate::config::{NodeName, ObserverName};
use crate::time::Monotonic;
use crate::votes::{Standing, Tally};

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
    /// The primary was stopped as planned, and has released its term for this node.
    Switchover {
        /// Which node.
        from: NodeName,
    },
    /// Our lag is over the failover limit.
    Lag {
        /// Our lag.
        lag: Duration,
        /// `max_failover_replication_time_lag`.
        limit: Duration,
    },
}

/// What forbids a failover: rules 1 and 4a to 4h of "The decision" in behaviour.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// 1: `remote_conns` has just changed.
    NodesJustChanged {
        /// Nothing has changed since our start.
        at_start: bool,
        /// How long ago.
        since_change: Duration,
        /// `missing_master_from_config_timeout`.
        patience: Duration,
        /// When the wait ends.
        until: Monotonic,
    },
    /// a: somebody reaches a primary.
    PrimaryConnected {
        /// The primary.
        primary: NodeName,
        /// Who reaches it.
        witness: Witness,
    },
    /// b: a primary of ours lived less than the limit ago.
    RecentEvidence {
        /// What proves it.
        evidence: Evidence,
        /// How long ago.
        age: Duration,
        /// How long it has to be ago.
        limit: Duration,
        /// When it is.
        until: Monotonic,
    },
    /// c: no reachable standby with a recent poll may be promoted.
    NoCandidate {
        /// Nodes that have never reported their role, and could be one.
        unknown: Vec<NodeName>,
    },
    /// d: there are candidates, and their daemons all step aside.
    AllStepAside {
        /// Who they are.
        nodes: Vec<NodeName>,
    },
    /// d: another daemon is promoting its node.
    OtherPromotes {
        /// Its name.
        daemon: String,
        /// Where it shows so.
        witness: Witness,
    },
    /// d: another daemon, whose node goes first, has announced that it promotes it.
    OtherAnnounced {
        /// Its name.
        daemon: String,
        /// Where it shows so.
        witness: Witness,
    },
    /// An operator has paused the cluster.
    Paused {
        /// Until when.
        pause: PauseMark,
    },
    /// f: the maintenance file exists.
    Maintenance {
        /// Which file.
        file: PathBuf,
    },
    /// f: no quorum.
    NoQuorum {
        /// The votes.
        quorum: Quorum,
    },
    /// Our failover command is running.
    PromotionRunning,
    /// The same command of a former process may still run, or its server may be about to carry it
    /// out.
    PreviousCommand {
        /// When it is given up.
        until: Monotonic,
    },
    /// g: our failover command ended well, and our own node was not polled since.
    OwnNodeNotPolledSince,
    /// h: our failover command has just ended; whatever news comes, it is not repeated before the
    /// next regular decision.
    TriedJustNow {
        /// When that is due at the latest.
        until: Monotonic,
    },
    /// Where voters elect: they are being asked.
    AskingVotes {
        /// How it stands.
        tally: Tally,
    },
    /// They did not elect this daemon.
    VotesRefused {
        /// Who has granted, and who has not, and why.
        tally: Tally,
        /// How often a standby that is further went first.
        deferrals: u8,
        /// When they may be asked again.
        until: Monotonic,
    },
    /// After a failed command, or several attempts that won nothing, others go first.
    SteppedAside {
        /// Until when.
        until: Monotonic,
    },
    /// This daemon holds a term without a lease: its server is to be fenced, or to be started by it.
    BoundToTerm(u64),
    /// This daemon has no vote file that it can use, and cannot be elected.
    NoVoteFile {
        /// Why.
        reason: String,
    },
}

/// Why everybody is polled once more before this node is promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookAgain {
    /// It has just been announced.
    Announced,
    /// These servers do not show our announcement yet.
    NotShown {
        /// Which servers.
        nodes: Vec<NodeName>,
    },
    /// These observers relay what servers showed before our announcement.
    OldRelay {
        /// Which observers.
        observers: Vec<ObserverName>,
    },
    /// Another daemon that goes after us has not withdrawn its announcement yet.
    OthersAnnounced {
        /// Their names.
        daemons: Vec<String>,
    },
}

impl LookAgain {
    /// Its name, from a closed list.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::NotShown { .. } => "not_shown",
            Self::OldRelay { .. } => "old_relay",
            Self::OthersAnnounced { .. } => "others_announced",
        }
    }
}

impl Cause {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::PrimaryUnreachable { .. } => "primary_unreachable",
            Self::PrimaryRemoved { .. } => "primary_removed",
            Self::PrimaryNoLonger { .. } => "primary_no_longer",
            Self::NeverSeenPrimary => "never_seen_primary",
            Self::Switchover { .. } => "switchover",
            Self::Lag { .. } => "lag",
        }
    }

    pub(super) fn subject(&self) -> Option<&str> {
        match self {
            Self::PrimaryUnreachable { primary }
            | Self::PrimaryRemoved { primary }
            | Self::PrimaryNoLonger { primary }
            | Self::Switchover { from: primary } => Some(primary.as_str()),
            Self::NeverSeenPrimary | Self::Lag { .. } => None,
        }
    }
}

impl Blocker {
    /// What keeps this daemon from asking for votes; `None`: nothing.
    pub(super) fn of_election(standing: Standing<'_>) -> Option<Self> {
        match standing {
            Standing::Free | Standing::Holding(_) => None,
            Standing::Bound(term) => Some(Self::BoundToTerm(term)),
            Standing::NoRecord(reason) => Some(Self::NoVoteFile {
                reason: reason.to_owned(),
            }),
            Standing::Asking(tally) => Some(Self::AskingVotes {
                tally: tally.clone(),
            }),
            Standing::Refused {
                tally,
                until,
                deferrals,
            } => Some(Self::VotesRefused {
                tally: tally.clone(),
                deferrals,
                until,
            }),
            Standing::SteppedAside { until } => Some(Self::SteppedAside { until }),
        }
    }

    pub(super) fn subjects(&self) -> Vec<&str> {
        match self {
            Self::PrimaryConnected { primary, .. } => vec![primary.as_str()],
            Self::RecentEvidence { evidence, .. } => names(&evidence.node).collect(),
            Self::AllStepAside { nodes } => names(nodes).collect(),
            Self::OtherPromotes { daemon, .. } | Self::OtherAnnounced { daemon, .. } => {
                vec![daemon.as_str()]
            }
            Self::NodesJustChanged { .. }
            | Self::NoCandidate { .. }
            | Self::Paused { .. }
            | Self::Maintenance { .. }
            | Self::NoQuorum { .. }
            | Self::PromotionRunning
            | Self::PreviousCommand { .. }
            | Self::OwnNodeNotPolledSince
            | Self::TriedJustNow { .. }
            | Self::AskingVotes { .. }
            | Self::VotesRefused { .. }
            | Self::SteppedAside { .. }
            | Self::BoundToTerm(_)
            | Self::NoVoteFile { .. } => Vec::new(),
        }
    }

    /// When it ends by the mere passing of time.
    pub(super) fn until(&self) -> Option<Monotonic> {
        match self {
            Self::NodesJustChanged { until, .. }
            | Self::RecentEvidence { until, .. }
            | Self::PreviousCommand { until }
            | Self::TriedJustNow { until }
            | Self::VotesRefused { until, .. }
            | Self::SteppedAside { until } => Some(*until),
            _ => None,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::NodesJustChanged { .. } => "nodes_just_changed",
            Self::PrimaryConnected { .. } => "primary_connected",
            Self::RecentEvidence { evidence, .. } => evidence.kind.name(),
            Self::NoCandidate { .. } => "no_candidate",
            Self::AllStepAside { .. } => "all_step_aside",
            Self::OtherPromotes { .. } => "other_promotes",
            Self::OtherAnnounced { .. } => "other_announced",
            Self::Paused { .. } => "paused",
            Self::Maintenance { .. } => "maintenance",
            Self::NoQuorum { .. } => "no_quorum",
            Self::PromotionRunning => "promotion_running",
            Self::PreviousCommand { .. } => "previous_command",
            Self::OwnNodeNotPolledSince => "own_node_not_polled_since",
            Self::TriedJustNow { .. } => "tried_just_now",
            Self::AskingVotes { .. } => "asking_votes",
            Self::VotesRefused { .. } => "votes_refused",
            Self::SteppedAside { .. } => "stepped_aside",
            Self::BoundToTerm(_) => "bound_to_term",
            Self::NoVoteFile { .. } => "vote_file_unusable",
        }
    }
}

pub(super) fn names<'a>(
    nodes: impl IntoIterator<Item = &'a NodeName>,
) -> impl Iterator<Item = &'a str> {
    nodes.into_iter().map(NodeName::as_str)
}
