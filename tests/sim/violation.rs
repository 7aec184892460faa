//! What must never be, as the judge finds it.

use std::fmt;

use pglookout::simulation::{HostId, Micros, NodeId, SECOND, Setup};

use crate::rules::Objection;

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A promotion in spite of all this.
    Forbidden(HostId, Vec<Objection>),
    /// An observer ran the failover command.
    ObserverPromotes(HostId),
    /// A daemon names another candidate than its facts do.
    OtherCandidate(HostId, Option<NodeId>),
    /// Two standbys replaced one primary, and both reached this observer all the time.
    TwoBesideAnObserver(HostId, HostId, usize),
    /// Two standbys replaced one primary, though a majority was asked for.
    TwoInOneOutage(HostId, HostId),
    /// No decision for so long.
    EndlessWait(HostId, Micros),
    /// The core asks to be called again and again at one time.
    ClockStandsStill,
    /// Everything was healed, and this daemon names another primary, or none.
    NoAgreement(HostId, Option<NodeId>),
    /// The primary died, and so many promotions were begun instead of so many.
    Promotions(usize, usize),
    /// The primary died, and the promotion came so late: when, and what was allowed.
    Late(Micros, Micros),
}

impl Violation {
    /// Whose daemons it is about; all that could promote, if it names nobody.
    pub(crate) fn hosts(&self, setup: &Setup) -> Vec<HostId> {
        match self {
            Self::Forbidden(host, _)
            | Self::ObserverPromotes(host)
            | Self::OtherCandidate(host, _)
            | Self::EndlessWait(host, _)
            | Self::NoAgreement(host, _) => vec![*host],
            Self::TwoBesideAnObserver(a, b, observer) => vec![*a, *b, setup.observers[*observer].1],
            Self::TwoInOneOutage(a, b) => vec![*a, *b],
            Self::ClockStandsStill | Self::Promotions(..) | Self::Late(..) => {
                (0..setup.node_count()).collect()
            }
        }
    }

    /// Is it of the same kind: what a shrunken schedule must still show.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let kind = |objection: &Objection| std::mem::discriminant(objection);
        match (self, other) {
            (Self::Forbidden(_, ours), Self::Forbidden(_, theirs)) => ours
                .iter()
                .map(kind)
                .any(|ours| theirs.iter().map(kind).any(|theirs| ours == theirs)),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(host, objections) => {
                write!(f, "host {host} promotes in spite of")?;
                objections
                    .iter()
                    .try_for_each(|objection| write!(f, " {objection}"))
            }
            Self::ObserverPromotes(host) => write!(
                f,
                "host {host} is an observer, and runs the failover command"
            ),
            Self::OtherCandidate(host, first) => {
                write!(
                    f,
                    "host {host} names another candidate than its facts do ({first:?})"
                )
            }
            Self::TwoBesideAnObserver(a, b, observer) => {
                write!(
                    f,
                    "hosts {a} and {b} both replace one primary, and both reach observer {observer}"
                )
            }
            Self::TwoInOneOutage(a, b) => write!(
                f,
                "hosts {a} and {b} both replace one primary in one outage"
            ),
            Self::EndlessWait(host, time) => write!(
                f,
                "host {host} has decided nothing for {} s",
                seconds(*time)
            ),
            Self::ClockStandsStill => {
                f.write_str("the core asks to be called at the same time again and again")
            }
            Self::NoAgreement(host, primary) => {
                write!(
                    f,
                    "all is healed, and host {host} remembers {primary:?} as the primary"
                )
            }
            Self::Promotions(found, wanted) => {
                write!(
                    f,
                    "the primary died: {found} promotions were begun instead of {wanted}"
                )
            }
            Self::Late(at, allowed) => {
                write!(
                    f,
                    "the primary died: promoted after {} s, allowed {} s",
                    seconds(*at),
                    seconds(*allowed)
                )
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for printing; a schedule lasts seconds"
)]
fn seconds(micros: Micros) -> f64 {
    micros as f64 / SECOND as f64
}
