//! The one sentence for each verdict, as it is logged and shown.

use std::fmt;
use std::time::Duration;

use super::{Blocker, Cause, Contender, Evidence, LookAgain, NoVote, Place, Verdict, Voter, Wait};
use crate::cluster::EvidenceKind;
use crate::config::{NodeName, ObserverName};
use crate::votes::MAX_DEFERRALS;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(wait) => wait.fmt(f),
            Self::Observing {
                primary: Some(primary),
            } => write!(f, "observing: the primary is {primary}"),
            Self::Observing { primary: None } => f.write_str("observing: no primary is reachable"),
            Self::PrimaryItself { own } => {
                write!(f, "this node, {own}, is the primary")
            }
            Self::NoStandby { own } => {
                write!(f, "no standby is known: {own} has nothing to promote")
            }
            Self::PrimaryReachable { primary, witness } => {
                write!(f, "primary {primary} is reachable ({witness})")
            }
            Self::SeveralPrimaries { primaries } => {
                write!(
                    f,
                    "split brain: multiple primaries ({}); manual intervention required",
                    Names(primaries)
                )
            }
            Self::OutdatedPrimary { primary, witness } => {
                write!(
                    f,
                    "the only reachable primary, {primary} ({witness}), is of an older history than another node; manual intervention required"
                )
            }
            Self::DisconnectIgnored { primary } => {
                write!(
                    f,
                    "no failover: primary {primary} is unreachable, but failover_on_disconnect is false"
                )
            }
            Self::WantsFreshFacts { cause } => write!(f, "re-polling all nodes: {cause}"),
            Self::LagWarning { lag, limit } => {
                write!(
                    f,
                    "lag of {} exceeds the warning limit of {}",
                    Seconds(*lag),
                    Seconds(*limit)
                )
            }
            Self::Hold(blocker) => write!(f, "no failover: {blocker}"),
            Self::OtherCandidate {
                winner,
                own: Some(own),
            } => {
                write!(
                    f,
                    "not promoting: the preferred candidate is {winner}, this node is {own}"
                )
            }
            Self::OtherCandidate { winner, own: None } => {
                write!(
                    f,
                    "not promoting: the preferred candidate is {winner}, this node is not a candidate"
                )
            }
            Self::Announce { .. } | Self::Promote { .. } => fmt_promotion(self, f),
        }
    }
}

fn fmt_promotion(verdict: &Verdict, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Verdict::Announce { winner, why } = verdict {
        write!(
            f,
            "about to promote {winner}, polling all nodes again: {why}"
        )?;
    }
    if let Verdict::Promote {
        cause,
        winner,
        quorum,
        evidence,
    } = verdict
    {
        write!(f, "promoting {winner}: {cause}")?;
        if let Some(age) = evidence {
            write!(f, ", last evidence of a primary {} ago", Seconds(*age))?;
        }
        write!(f, "; {quorum}")?;
    }
    Ok(())
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstAnswers { nodes, observers } => {
                let nodes = nodes.iter().map(NodeName::as_str);
                let names = nodes.chain(observers.iter().map(ObserverName::as_str));
                let names: Vec<&str> = names.collect();
                write!(f, "waiting for the first poll of: {}", Names(&names))
            }
            Self::PauseAfterFailover { .. } => f.write_str("pausing after failover_command"),
            Self::FreshFactsOverdue => {
                f.write_str("no decision: not every node was re-polled in time")
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrimaryUnreachable { primary } => {
                write!(f, "primary {primary} is unreachable")
            }
            Self::PrimaryRemoved { primary } => {
                write!(f, "primary {primary} was removed from remote_conns")
            }
            Self::PrimaryNoLonger { primary } => {
                write!(f, "{primary} is no longer a primary, and there is no other")
            }
            Self::NeverSeenPrimary => f.write_str("no primary has been seen yet"),
            Self::Switchover { from } => {
                write!(
                    f,
                    "{from} is stopped for a switchover, and its term released for this node"
                )
            }
            Self::Lag { lag, limit } => {
                write!(
                    f,
                    "lag of {} exceeds the failover limit of {}",
                    Seconds(*lag),
                    Seconds(*limit)
                )
            }
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodesJustChanged {
                at_start,
                since_change,
                patience,
                ..
            } => write!(
                f,
                "{} {} ago, a missing primary is waited for {}",
                if *at_start {
                    "pglookout started"
                } else {
                    "remote_conns changed"
                },
                Seconds(*since_change),
                Seconds(*patience)
            ),
            Self::PrimaryConnected { primary, witness } => {
                write!(f, "primary {primary} is reachable ({witness})")
            }
            Self::RecentEvidence {
                evidence,
                age,
                limit,
                ..
            } => write!(
                f,
                "{evidence} {} ago, the limit is {}",
                Seconds(*age),
                Seconds(*limit)
            ),
            Self::NoCandidate { unknown } => {
                f.write_str("no reachable standby with a recent poll may be promoted")?;
                match unknown.as_slice() {
                    [] => Ok(()),
                    unknown => write!(f, " (role never reported: {})", Names(unknown)),
                }
            }
            Self::AllStepAside { nodes } => write!(
                f,
                "the daemons of all candidates step aside: {}",
                Names(nodes)
            ),
            Self::OtherPromotes { daemon, witness } => {
                write!(f, "pglookout on {daemon} is promoting it ({witness})")
            }
            Self::OtherAnnounced { daemon, witness } => write!(
                f,
                "pglookout on {daemon} has announced its promotion and goes first ({witness})"
            ),
            Self::Paused { pause } => f.write_str(&pause.sentence()),
            Self::Maintenance { file } => write!(f, "maintenance mode: {} exists", file.display()),
            Self::NoQuorum { quorum } => write!(f, "no quorum: {quorum}"),
            Self::PromotionRunning => f.write_str("failover_command is running"),
            Self::PreviousCommand { .. } => f.write_str(
                "failover_command of the previous pglookout process may still be running",
            ),
            Self::OwnNodeNotPolledSince => f.write_str(NOT_POLLED_SINCE),
            Self::TriedJustNow { .. } => {
                f.write_str("failover_command was tried, and the next attempt is not due yet")
            }
            Self::AskingVotes { .. }
            | Self::VotesRefused { .. }
            | Self::SteppedAside { .. }
            | Self::BoundToTerm(_)
            | Self::NoVoteFile { .. } => fmt_election(self, f),
        }
    }
}

fn fmt_election(blocker: &Blocker, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match blocker {
        Blocker::AskingVotes { tally } => write!(f, "asking for votes: {tally}"),
        Blocker::VotesRefused {
            tally, deferrals, ..
        } => {
            write!(f, "not elected: {tally}")?;
            match deferrals {
                0 => Ok(()),
                count => write!(
                    f,
                    " ({count} of {MAX_DEFERRALS} times another standby goes first)"
                ),
            }
        }
        Blocker::NoVoteFile { reason } => write!(f, "this daemon cannot be elected: {reason}"),
        Blocker::BoundToTerm(term) => write!(
            f,
            "this daemon still holds term {term}, and its server is to be fenced before it gives that back"
        ),
        _ => f.write_str("others go first after attempts that failed"),
    }
}

const NOT_POLLED_SINCE: &str =
    "failover_command succeeded, and this node has not been polled since";

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standby(node) | Self::Primary(Some(node)) => node.fmt(f),
            Self::Observer(observer) => write!(f, "observer {observer}"),
            Self::Primary(None) => f.write_str("the primary"),
        }
    }
}

impl fmt::Display for NoVote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("unreachable"),
            Self::StalePoll { age, limit } => {
                write!(
                    f,
                    "last polled {} ago, the limit is {}",
                    Seconds(*age),
                    Seconds(*limit)
                )
            }
            Self::BeforeEvidence => {
                f.write_str("last polled before the last evidence of a primary")
            }
            Self::RoleUnknown => f.write_str("never reported a role"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::OldAnswer { age, limit } => {
                write!(
                    f,
                    "last answered {} ago, the limit is {}",
                    Seconds(*age),
                    Seconds(*limit)
                )
            }
            Self::Silent { node } => write!(f, "does not report on {node}"),
            Self::NeverSawPrimary => f.write_str("has never reached the primary"),
            Self::NeverCast => f.write_str("the primary has no vote in a failover"),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::First => f.write_str("preferred candidate"),
            Place::FurtherBehind { bytes } => {
                write!(f, "{bytes} bytes behind the preferred candidate")
            }
            Place::LowerPriority => write!(
                f,
                "same position as the preferred candidate, lower priority {}",
                self.priority
            ),
            Place::Delayed => {
                f.write_str("same position as the preferred candidate, delayed replay")
            }
            Place::StepsAside { state } => {
                write!(f, "passed over: pglookout on it shows {state}")
            }
            Place::DaemonGone { since } => write!(
                f,
                "passed over: pglookout on it was last seen {} ago",
                Seconds(since)
            ),
            Place::BeforeEvidence { evidence } => write!(
                f,
                "last polled {} ago, before the last evidence of a primary {} ago",
                Seconds(self.age),
                Seconds(evidence)
            ),
            Place::OtherSystem => f.write_str("another system identifier: not of this cluster"),
            Place::Diverged { proof } => write!(
                f,
                "diverged: it was at {proof} while the last primary was behind that"
            ),
            Place::OldTimeline { timeline, primary } => write!(
                f,
                "on timeline {timeline}, the last primary was on timeline {primary}"
            ),
            Place::LowerName => {
                f.write_str("same position and priority as the preferred candidate, lower name")
            }
            Place::NeverPromote => f.write_str("in never_promote_these_nodes"),
            Place::Disconnected => f.write_str("unreachable"),
            Place::StalePoll { limit } => {
                write!(
                    f,
                    "last polled {} ago, the limit is {}",
                    Seconds(self.age),
                    Seconds(limit)
                )
            }
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_ref().map_or("", NodeName::as_str);
        let witness = &self.witness;
        match self.kind {
            EvidenceKind::Answered => write!(f, "{node} last answered ({witness})"),
            EvidenceKind::Refused => {
                write!(f, "{node} is alive, it last rejected a connection ({witness})")
            }
            EvidenceKind::Sighted => write!(f, "{node} was last reached as a primary by {witness}"),
            EvidenceKind::Received => write!(
                f,
                "standby {node} received WAL that only a primary can have sent ({witness})"
            ),
            EvidenceKind::Remembered => write!(
                f,
                "{node} was last known alive by the previous pglookout process"
            ),
            EvidenceKind::Started => f.write_str(
                "whether there is a primary is unknown since the start or the last change of remote_conns",
            ),
        }
    }
}

impl fmt::Display for LookAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announced => f.write_str("the promotion is announced"),
            Self::NotShown { nodes } => {
                write!(f, "the announcement is not visible yet on {}", Names(nodes))
            }
            Self::OldRelay { observers } => {
                write!(f, "waiting for a later report of {}", Names(observers))
            }
            Self::OthersAnnounced { daemons } => write!(
                f,
                "waiting for {} to withdraw a promotion that goes after this one",
                Names(daemons)
            ),
        }
    }
}

/// Names with commas between.
pub(super) struct Names<'a, T>(pub(super) &'a [T]);

impl<T: fmt::Display> fmt::Display for Names<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A duration as operators read it: seconds, to the millisecond.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
#[path = "sentence_tests.rs"]
mod tests;
