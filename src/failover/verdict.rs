//! What a decision can come to: one closed list of verdicts, causes and blockers, each with the
//! figures that led to it. The sentences that are logged are beside this file.

use std::path::PathBuf;
use std::time::Duration;

use super::{Candidate, Evidence, LagReading, LookAgain, Quorum};
use crate::cluster::{EvidenceKind, PauseMark, Witness};
use crate::config::{NodeName, ObserverName};
use crate::time::Monotonic;
use crate::votes::{Standing, Tally};

/// The outcome of one round.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is to be done, and why.
    pub verdict: Verdict,
    /// What this node's lag came to on the way.
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
    /// The one connected primary is of an older history than what else is known: an operator must
    /// decide.
    OutdatedPrimary {
        /// Which node.
        primary: NodeName,
        /// Who reaches it.
        witness: Witness,
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
    /// This node is the one to be promoted: it shows so, and everybody is polled once more.
    Announce {
        /// Ourselves.
        winner: Candidate,
        /// Why they are polled.
        why: LookAgain,
    },
    /// This node is to be promoted.
    Promote {
        /// Why.
        cause: Cause,
        /// Ourselves.
        winner: Candidate,
        /// The votes.
        quorum: Quorum,
        /// How long ago a primary of ours last lived for certain.
        evidence: Option<Duration>,
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
    /// The same command of a former process may still run, or its server may be about to do what it
    /// was reported.
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
            Self::Wait(Wait::PauseAfterFailover { until }) => Some(*until),
            Self::Hold(blocker) => blocker.until(),
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
            Self::OutdatedPrimary { .. } => "outdated_primary",
            Self::DisconnectIgnored { .. } => "disconnect_ignored",
            Self::WantsFreshFacts { .. } => "wants_fresh_facts",
            Self::LagWarning { .. } => "lag_warning",
            Self::Hold(_) => "hold",
            Self::OtherCandidate { .. } => "other_candidate",
            Self::Announce { .. } => "announce",
            Self::Promote { .. } => "promote",
        }
    }

    /// The reason's name, from a closed list; unlike the figures it does not change from round to
    /// round.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wait(wait) => wait.name(),
            Self::Hold(blocker) => blocker.name(),
            Self::Announce { why, .. } => why.name(),
            Self::WantsFreshFacts { cause } | Self::Promote { cause, .. } => cause.name(),
            other => other.name(),
        }
    }

    /// The nodes and daemons that it is about.
    pub fn subjects(&self) -> Vec<&str> {
        match self {
            // Of those who are waited for one after the other drops out.
            Self::Wait(_) | Self::LagWarning { .. } => Vec::new(),
            Self::Observing { primary } => names(primary).collect(),
            Self::PrimaryItself { own: node }
            | Self::NoStandby { own: node }
            | Self::PrimaryReachable { primary: node, .. }
            | Self::OutdatedPrimary { primary: node, .. }
            | Self::DisconnectIgnored { primary: node } => vec![node.as_str()],
            Self::SeveralPrimaries { primaries } => names(primaries).collect(),
            Self::WantsFreshFacts { cause } => cause.subject().into_iter().collect(),
            Self::Hold(blocker) => blocker.subjects(),
            Self::OtherCandidate { winner, .. } | Self::Announce { winner, .. } => {
                vec![winner.node.as_str()]
            }
            Self::Promote { cause, winner, .. } => {
                let winner = std::iter::once(winner.node.as_str());
                winner.chain(cause.subject()).collect()
            }
        }
    }
}

fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeName>) -> impl Iterator<Item = &'a str> {
    nodes.into_iter().map(NodeName::as_str)
}

impl Wait {
    fn name(&self) -> &'static str {
        match self {
            Self::FirstAnswers { .. } => "first_answers",
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
            Self::Switchover { .. } => "switchover",
            Self::Lag { .. } => "lag",
        }
    }

    fn subject(&self) -> Option<&str> {
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

    fn subjects(&self) -> Vec<&str> {
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

    fn name(&self) -> &'static str {
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

impl EvidenceKind {
    /// The kind's name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Sighted => "sighted",
            Self::Received => "received",
            Self::Remembered => "remembered",
            Self::Started => "started",
        }
    }
}
