//! What a decision can come to: one closed list of verdicts, causes and blockers, each with the
//! figures that led to it. The sentences that are logged are beside this file.

use std::time::Duration;

use super::blocker::{Blocker, Cause, LookAgain, names};
use super::candidate::Candidate;
use super::lag::LagReading;
use super::quorum::Quorum;
use crate::cluster::{EvidenceKind, Witness};
use crate::config::{NodeName, ObserverName};
use crate::time::Monotonic;

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

impl Wait {
    fn name(&self) -> &'static str {
        match self {
            Self::FirstAnswers { .. } => "first_answers",
            Self::PauseAfterFailover { .. } => "pause_after_failover",
            Self::FreshFactsOverdue => "fresh_facts_overdue",
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
