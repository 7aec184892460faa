//! What is written down of a run: promotions, and the first thing that must not be.

use std::fmt;

use super::plan::seconds;
use super::referee::Objection;
use super::setup::Setup;
use super::{HostId, Micros, NodeId};

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Every failover command that was begun.
    pub promotions: Vec<Promotion>,
    /// What must not be, and when it was found.
    pub violation: Option<(Micros, Violation)>,
    /// Decisions that were made.
    pub decisions: u64,
}

/// A failover command that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// Whose.
    pub host: HostId,
    /// When.
    pub began: Micros,
    /// The primary that it replaces, and which reign.
    pub replaces: Option<(NodeId, u32)>,
    /// How it ended.
    pub outcome: Option<bool>,
    /// The daemon has lost its memory since: it cannot know of it.
    pub is_forgotten: bool,
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
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

impl Record {
    pub(super) fn fail(&mut self, at: Micros, violation: Violation) {
        self.violation.get_or_insert((at, violation));
    }

    /// Is a failover command of this host running, whichever process began it, that it can know of.
    pub(super) fn is_promoting(&self, host: HostId) -> bool {
        let mut running = self
            .promotions
            .iter()
            .filter(|promotion| promotion.outcome.is_none());
        running.any(|promotion| promotion.host == host && !promotion.is_forgotten)
    }

    /// Has this failover command not ended yet.
    pub(super) fn is_running(&self, index: usize) -> bool {
        self.promotions
            .get(index)
            .is_some_and(|promotion| promotion.outcome.is_none())
    }

    /// Was it begun by a daemon that has lost its memory since.
    pub(super) fn is_forgotten(&self, index: usize) -> bool {
        self.promotions
            .get(index)
            .is_some_and(|promotion| promotion.is_forgotten)
    }

    /// A boot of the machine ends what runs on it.
    pub(super) fn kill_commands(&mut self, host: HostId) {
        let own = self
            .promotions
            .iter_mut()
            .filter(|promotion| promotion.host == host);
        own.for_each(|promotion| promotion.outcome = promotion.outcome.or(Some(false)));
    }

    pub(super) fn forget_commands(&mut self, host: HostId) {
        let own = self
            .promotions
            .iter_mut()
            .filter(|promotion| promotion.host == host);
        own.for_each(|promotion| promotion.is_forgotten = true);
    }

    pub(super) fn promotion_ended(&mut self, index: usize, success: bool) {
        if let Some(promotion) = self.promotions.get_mut(index) {
            promotion.outcome = Some(success);
        }
    }

    /// Pairs of different nodes that both replaced the same primary in the same reign, none of them
    /// in vain.
    pub fn rivals(&self) -> impl Iterator<Item = (Promotion, Promotion)> {
        let real: Vec<_> = self
            .promotions
            .iter()
            .filter(|one| one.outcome != Some(false))
            .copied()
            .collect();
        let later = real.clone();
        real.into_iter().enumerate().flat_map(move |(at, first)| {
            let others: Vec<_> = later
                .iter()
                .skip(at + 1)
                .filter(|other| other.host != first.host && other.replaces == first.replaces)
                .copied()
                .collect();
            others.into_iter().map(move |other| (first, other))
        })
    }
}

impl Violation {
    /// Whose daemons it is about; all that could promote, if it names nobody.
    pub fn hosts(&self, setup: &Setup) -> Vec<HostId> {
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
    pub fn is_like(&self, other: &Self) -> bool {
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
