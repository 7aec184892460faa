//! What a voter has promised, and to whom (rules V3 and V10). None of it is on the disk, but for the
//! length of the longest promise: a voter that was restarted keeps all of that.

use std::time::Duration;

use crate::config::VoterName;
use crate::time::Monotonic;

/// Promises, and what came of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    given: Option<Promise>,
    /// Until then a promise of the process before us may last.
    quarantine: Option<Monotonic>,
    /// The term that its holder has released: no renewal of it is taken.
    released: Option<u64>,
    /// For whom a holder has reserved our next vote.
    reserved: Option<Promise>,
}

/// To vote for nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Promise {
    to: VoterName,
    until: Monotonic,
}

/// What is left of it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromisesLeft {
    /// To whom a vote is promised, and for how long still.
    pub given: Option<(VoterName, Duration)>,
    /// For how long a promise of the process before may last.
    pub quarantine: Option<Duration>,
    /// The term that its holder has released.
    pub released: Option<u64>,
    /// For whom the next vote is reserved, and for how long still.
    pub reserved: Option<(VoterName, Duration)>,
}

impl Promises {
    /// Of a voter that was restarted, and may have promised so much.
    pub(super) fn after_restart(longest: Duration, now: Monotonic) -> Self {
        Self {
            quarantine: (!longest.is_zero()).then(|| now + longest),
            ..Self::default()
        }
    }

    /// Goes on where another has stood.
    pub(super) fn resume(left: &PromisesLeft, now: Monotonic) -> Self {
        let promise = |(to, left): &(VoterName, Duration)| Promise {
            to: to.clone(),
            until: now + *left,
        };
        Self {
            given: left.given.as_ref().map(promise),
            quarantine: left.quarantine.map(|left| now + left),
            released: left.released,
            reserved: left.reserved.as_ref().map(promise),
        }
    }

    /// For [`resume`](Self::resume).
    pub(super) fn left(&self, now: Monotonic) -> PromisesLeft {
        let left = |promise: &Promise| Some((promise.to.clone(), left(promise.until, now)?));
        PromisesLeft {
            given: self.given.as_ref().and_then(left),
            quarantine: self.quarantine.and_then(|until| self::left(until, now)),
            released: self.released,
            reserved: self.reserved.as_ref().and_then(left),
        }
    }

    /// To whom the vote is promised, and for how long still. After a restart it may be promised to
    /// `voted_for`.
    pub(super) fn promised<'a>(
        &'a self,
        voted_for: Option<&'a VoterName>,
        now: Monotonic,
    ) -> Option<(&'a VoterName, Duration)> {
        let given = self.given.as_ref().map(|it| (&it.to, it.until));
        let (to, until) = given.or_else(|| voted_for.zip(self.quarantine))?;
        Some((to, left(until, now)?))
    }

    /// Is that a promise of this process.
    pub(super) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// For whom the next vote is reserved, and for how long still.
    pub(super) fn reserved(&self, now: Monotonic) -> Option<(&VoterName, Duration)> {
        let reserved = self.reserved.as_ref()?;
        Some((&reserved.to, left(reserved.until, now)?))
    }

    /// Was this term released by its holder.
    pub(super) fn is_released(&self, term: u64) -> bool {
        self.released == Some(term)
    }

    /// A promise until then, to whoever gets the vote or renews it. One to somebody else is over.
    pub(super) fn give(&mut self, to: &VoterName, until: Monotonic) {
        (self.quarantine, self.reserved, self.released) = (None, None, None);
        self.given = Some(Promise {
            to: to.clone(),
            until,
        });
    }

    /// Rule V10: the holder of this term has released it.
    pub(super) fn release(&mut self, term: u64, successor: Option<&VoterName>, now: Monotonic) {
        let reserve = |to: &VoterName| Promise {
            to: to.clone(),
            until: now + RESERVATION,
        };
        *self = Self {
            released: Some(term),
            reserved: successor.map(reserve),
            ..Self::default()
        };
    }
}

fn left(until: Monotonic, now: Monotonic) -> Option<Duration> {
    (until > now).then(|| until.since(now))
}

/// For so long the next vote is the successor's.
pub(super) const RESERVATION: Duration = Duration::from_secs(10);
