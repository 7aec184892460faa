//! The one sentence for each verdict, as it is logged and shown.

use std::fmt;
use std::time::Duration;

use super::{Cause, Contender, Hindrance, NoVote, Place, Verdict, Voter, Wait};
use crate::config::{NodeName, ObserverName};

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(wait) => write!(f, "no decision yet: {wait}"),
            Self::Observing {
                primary: Some(primary),
            } => write!(f, "observing: the primary is {primary}"),
            Self::Observing { primary: None } => f.write_str("observing: nobody reaches a primary"),
            Self::PrimaryItself { own } => {
                write!(f, "nothing to decide: {own}, this node, is the primary")
            }
            Self::NoStandby { own } => write!(f, "nothing to decide: no standby is known to {own}"),
            Self::PrimaryReachable { primary, witness } => {
                write!(
                    f,
                    "no failover: the primary {primary} is reachable by {witness}"
                )
            }
            Self::SeveralPrimaries { primaries } => {
                write!(
                    f,
                    "no failover: several primaries at once: {}; a person must look",
                    Names(primaries)
                )
            }
            Self::DisconnectIgnored { primary } => {
                write!(
                    f,
                    "no failover: {primary} is unreachable, but failover_on_disconnect is false"
                )
            }
            Self::WantsFreshFacts { cause } => write!(f, "asking everybody again: {cause}"),
            Self::LagWarning { lag, limit } => {
                write!(
                    f,
                    "lag of {} is over the warning limit of {}",
                    Seconds(*lag),
                    Seconds(*limit)
                )
            }
            Self::Hold(hindrance) => write!(f, "no failover: {hindrance}"),
            Self::AnotherIsBetter {
                winner,
                own: Some(own),
            } => {
                write!(f, "no failover here: {winner} goes first, we are {own}")
            }
            Self::AnotherIsBetter { winner, own: None } => {
                write!(
                    f,
                    "no failover here: {winner} goes first, we are no candidate"
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
                f.write_str("not asked once yet:")?;
                let nodes = nodes.iter().map(NodeName::as_str);
                nodes
                    .chain(observers.iter().map(ObserverName::as_str))
                    .try_for_each(|name| write!(f, " {name}"))
            }
            Self::ObserversSinceWarning { observers, .. } => {
                write!(
                    f,
                    "lag is over the warning limit, and not asked since: {}",
                    Names(observers)
                )
            }
            Self::PauseAfterFailover { .. } => f.write_str("pausing after the failover command"),
            Self::FreshFactsOverdue => f.write_str("fresh facts did not all come in time"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrimaryUnreachable { primary } => {
                write!(f, "nobody reaches the primary {primary}")
            }
            Self::PrimaryRemoved { primary } => write!(
                f,
                "the primary {primary} was removed from the configuration"
            ),
            Self::PrimaryNoLonger { primary } => {
                write!(f, "{primary} is no primary any more, and there is no other")
            }
            Self::NeverSeenPrimary => f.write_str("no primary was ever seen"),
            Self::Lag { lag, limit } => {
                write!(
                    f,
                    "our lag of {} is over the failover limit of {}",
                    Seconds(*lag),
                    Seconds(*limit)
                )
            }
        }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodesJustChanged {
                since_change,
                patience,
                ..
            } => write!(
                f,
                "the configured nodes changed {} ago, a vanished primary is given {}",
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
                "no primary was ever seen and {} may be it: waited {} of {}",
                Names(nodes),
                Seconds(*waited),
                Seconds(*limit)
            ),
            Self::PrimaryConnected { primary, witness } => {
                write!(f, "{primary} is a primary, reached by {witness}")
            }
            Self::PrimaryRefuses { node, failure } => {
                write!(f, "{node} lives, it only turns us away: {failure}")
            }
            Self::WalStillArrives { standby, age, .. } => {
                write!(
                    f,
                    "{standby} was seen to receive more WAL {} ago: whoever sends it lives",
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
                "{node} was last reached as a primary {} ago by {witness}, the limit is {}",
                Seconds(*age),
                Seconds(*limit)
            ),
            Self::NoCandidate => {
                f.write_str("no connected standby with a fresh poll may be promoted")
            }
            Self::Maintenance { file } => write!(f, "maintenance: {} exists", file.display()),
            Self::TooLittleKnown { quorum } => {
                write!(f, "too little of the cluster is known: {quorum}")
            }
            Self::PromotionRunning => f.write_str("the failover command is running"),
            Self::FormerCommand { .. } => f.write_str(
                "the failover command that was begun before the restart may still be at work",
            ),
            Self::OwnNodeNotPolledSince => f.write_str(
                "the failover command ended well, and our own node was not polled since",
            ),
            Self::TriedJustNow { .. } => {
                f.write_str("the failover command was tried less than a check interval ago")
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
            Self::Disconnected => f.write_str("not reached"),
            Self::StalePoll { age, limit } => {
                write!(
                    f,
                    "last asked {} ago, the limit is {}",
                    Seconds(*age),
                    Seconds(*limit)
                )
            }
            Self::Untold => {
                f.write_str("was a standby before the restart, and has told nothing since")
            }
            Self::NoAnswer => f.write_str("does not answer"),
            Self::OldAnswer { age, limit } => {
                write!(
                    f,
                    "last answered {} ago, the limit is {}",
                    Seconds(*age),
                    Seconds(*limit)
                )
            }
            Self::ClockSkew { skew } => write!(f, "its clock is {} away from ours", Seconds(*skew)),
            Self::NeverCast => f.write_str("the primary's vote, which nobody can cast"),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::First => f.write_str("goes first"),
            Place::FurtherBehind { bytes } => write!(f, "{bytes} bytes behind the first"),
            Place::LowerPriority => write!(
                f,
                "as far ahead as the first, with the lower priority {}",
                self.priority
            ),
            Place::LowerName => f.write_str("equal to the first, with the lower name"),
            Place::NeverPromote => f.write_str("in never_promote_these_nodes"),
            Place::Disconnected => f.write_str("not reached"),
            Place::StalePoll { limit } => {
                write!(
                    f,
                    "last asked {} ago, the limit is {}",
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
