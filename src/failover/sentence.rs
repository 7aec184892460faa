//! The one sentence for each verdict, as it is logged and shown.

use std::fmt;
use std::time::Duration;

use super::{Blocker, Cause, Contender, NoVote, Place, Verdict, Voter, Wait};
use crate::config::{NodeName, ObserverName};

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
            Self::Promote {
                cause,
                winner,
                quorum,
                last_contact,
            } => {
                write!(f, "promoting {winner}: {cause}")?;
                if let Some(age) = last_contact {
                    write!(f, ", last reached {} ago", Seconds(*age))?;
                }
                write!(f, "; {quorum}")
            }
        }
    }
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
            Self::ObserversSinceWarning { observers, .. } => {
                write!(
                    f,
                    "lag exceeds the warning limit: waiting for the next poll of: {}",
                    Names(observers)
                )
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
                since_change,
                patience,
                ..
            } => write!(
                f,
                "remote_conns changed {} ago, a missing primary is waited for {}",
                Seconds(*since_change),
                Seconds(*patience)
            ),
            Self::RoleUnknown {
                nodes,
                waited,
                limit,
                ..
            } => write!(
                f,
                "no primary has been seen yet, and the role of {} is unknown: waited {} of {}",
                Names(nodes),
                Seconds(*waited),
                Seconds(*limit)
            ),
            Self::PrimaryConnected { primary, witness } => {
                write!(f, "primary {primary} is reachable ({witness})")
            }
            Self::PrimaryRefuses { node, failure } => {
                write!(f, "{node} is alive but rejects connections: {failure}")
            }
            Self::WalStillArrives { standby, age, .. } => {
                write!(
                    f,
                    "standby {standby} received WAL {} ago, its sender may be alive",
                    Seconds(*age)
                )
            }
            Self::ContactTooRecent {
                node,
                witness,
                age,
                limit,
                ..
            } => write!(
                f,
                "{node} was last reached as a primary {} ago ({witness}), the limit is {}",
                Seconds(*age),
                Seconds(*limit)
            ),
            Self::NoCandidate => {
                f.write_str("no reachable standby with a recent poll may be promoted")
            }
            Self::Maintenance { file } => write!(f, "maintenance mode: {} exists", file.display()),
            Self::NoQuorum { quorum } => {
                write!(f, "no quorum: {quorum}")
            }
            Self::PromotionRunning => f.write_str("failover_command is running"),
            Self::PreviousCommand { .. } => f.write_str(
                "failover_command of the previous pglookout process may still be running",
            ),
            Self::OwnNodeNotPolledSince => {
                f.write_str("failover_command succeeded, and this node has not been polled since")
            }
            Self::TriedJustNow { .. } => {
                f.write_str("failover_command ended less than a check interval ago")
            }
        }
    }
}

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
            Self::NotSeenSinceRestart => {
                f.write_str("was a standby before the restart, and has not been reached since")
            }
            Self::NoAnswer => f.write_str("no answer"),
            Self::OldAnswer { age, limit } => {
                write!(
                    f,
                    "last answered {} ago, the limit is {}",
                    Seconds(*age),
                    Seconds(*limit)
                )
            }
            Self::ClockSkew { skew } => {
                write!(f, "its clock differs from ours by {}", Seconds(*skew))
            }
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
