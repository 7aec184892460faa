//! The holder of a term: its rounds of renewals, and the lease that they come to (rules C4, H1 and H3).
//! While a lease lasts no other daemon has one. What is run, fenced and written is not known here.

use std::time::Duration;

use super::counted::Counted;
use super::tally::Progress;
use super::{Answer, Kind, Nonce, SaveId, Tally};
use crate::config::VoterName;
use crate::time::Monotonic;

/// The times of the configuration that a lease needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimers {
    /// `fence_timeout`: how long before the end of a lease fencing begins.
    pub fence: Duration,
    /// `lease_renew_interval`: from one round of renewals to the next.
    pub renew: Duration,
}

/// Where a holder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The term was won, and is being written down. Nothing was run for it.
    Entering,
    /// It has a lease.
    Holding,
    /// It has none, and asks whether a majority would renew its term: that binds nobody (rule H3).
    Waiting {
        /// Its server is known to be down: it was fenced.
        is_fenced: bool,
    },
    /// Its server is to be fenced.
    Fencing {
        /// The term is released after that.
        releases: bool,
    },
    /// The record is being cleared; then the term is released (rule H6).
    Leaving,
}

/// The holder of a term.
#[derive(Clone, Debug)]
pub struct Holder {
    term: u64,
    /// The attempt that won it; `None`: our own voter has gone on to a later term.
    mandate: Option<Nonce>,
    stage: Stage,
    /// The server is a primary already: nothing is run for it.
    has_primary: bool,
    until: Option<Monotonic>,
    fence_at: Option<Monotonic>,
    round: Option<Round>,
    round_at: Monotonic,
    save: Option<SaveId>,
    /// For whom the term is released.
    successor: Option<VoterName>,
}

/// One question to every voter. A later round takes its place.
#[derive(Clone, Debug)]
struct Round {
    nonce: Nonce,
    kind: Kind,
    /// The clock before its first byte was sent: from then on the lease counts.
    began: Monotonic,
    tally: Tally,
}

/// What an answer to a round comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Nothing yet.
    Open,
    /// A majority would renew.
    Welcome,
    /// A majority has renewed.
    Renewed,
    /// No majority has.
    Failed,
}

/// A holder at rest, for a recording that begins while a daemon runs. Times are what is left of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderLeft {
    /// Does it have a lease; else its server is to be started, or to be fenced.
    pub is_holding: bool,
    /// Is its server known to be down.
    pub is_fenced: bool,
    /// Of the lease.
    pub until: Option<Duration>,
    /// Until its server is fenced.
    pub fence_in: Option<Duration>,
    /// Until the next round.
    pub round_in: Duration,
}

impl Holder {
    /// Rule C4: the term was won by this attempt, with a lease until then. `has_primary`: the server
    /// is a primary already.
    pub(super) fn won(
        (term, mandate): (u64, Nonce),
        has_primary: bool,
        until: Monotonic,
        timers: &LeaseTimers,
        now: Monotonic,
    ) -> Self {
        Self {
            term,
            mandate: Some(mandate),
            stage: Stage::Entering,
            has_primary,
            until: Some(until),
            fence_at: Some(until.before(timers.fence)),
            round: None,
            round_at: now + timers.renew,
            save: None,
            successor: None,
        }
    }

    /// The holder of the process before us, which has no lease until a majority renews.
    pub(super) fn returned(term: u64, mandate: Option<Nonce>, now: Monotonic) -> Self {
        Self {
            term,
            mandate,
            stage: Stage::Waiting { is_fenced: false },
            has_primary: false,
            until: None,
            fence_at: None,
            round: None,
            round_at: now,
            save: None,
            successor: None,
        }
    }

    /// The term.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Is it a lease now, until when.
    pub fn lease(&self, now: Monotonic) -> Option<Monotonic> {
        self.until.filter(|until| *until > now)
    }

    /// When its server is fenced, unless a majority renews before.
    pub fn fence_at(&self) -> Option<Monotonic> {
        self.fence_at
    }

    /// How long it is until then.
    pub fn fence_in(&self, now: Monotonic) -> Option<Duration> {
        self.fence_at.map(|at| at.since(now))
    }

    pub(super) fn mandate(&self) -> Option<Nonce> {
        self.mandate
    }

    pub(super) fn has_primary(&self) -> bool {
        self.has_primary
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let is_steady = matches!(self.stage, Stage::Holding | Stage::Waiting { .. });
        is_steady && self.round.is_none()
    }

    /// For [`resume`](Self::resume).
    pub(super) fn left(&self, now: Monotonic) -> HolderLeft {
        let left = |at: Monotonic| at.since(now);
        HolderLeft {
            is_holding: self.stage == Stage::Holding,
            is_fenced: self.stage == Stage::Waiting { is_fenced: true },
            until: self.until.map(left),
            fence_in: self.fence_at.map(left),
            round_in: left(self.round_at),
        }
    }

    /// Goes on where another has stood.
    pub(super) fn resume(&mut self, left: &HolderLeft, now: Monotonic) {
        let is_fenced = left.is_fenced;
        self.stage = match left.is_holding {
            true => Stage::Holding,
            false => Stage::Waiting { is_fenced },
        };
        self.until = left.until.map(|left| now + left);
        self.fence_at = left.fence_in.map(|left| now + left);
        self.round_at = now + left.round_in;
    }

    /// The clock of leases has gone on for so long while ours has not.
    pub(super) fn slept(&mut self, time: Duration) {
        for at in [&mut self.until, &mut self.fence_at].into_iter().flatten() {
            *at = at.before(time);
        }
        if let Some(round) = &mut self.round {
            round.began = round.began.before(time);
        }
    }

    /// Has its time come: the lease is not renewed any more, whatever comes in.
    pub(super) fn is_overdue(&self, now: Monotonic) -> bool {
        self.has_lease_to_lose() && self.fence_at.is_some_and(|at| at <= now)
    }

    fn has_lease_to_lose(&self) -> bool {
        matches!(
            self.stage,
            Stage::Entering | Stage::Holding | Stage::Waiting { .. }
        )
    }

    /// Is a round due.
    pub(super) fn is_round_due(&self, now: Monotonic) -> bool {
        self.asks() && self.round_at <= now
    }

    fn asks(&self) -> bool {
        let asks = matches!(self.stage, Stage::Holding | Stage::Waiting { .. });
        asks && self.mandate.is_some()
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        let fence = self.fence_at.filter(|_| self.has_lease_to_lose());
        let round = Some(self.round_at).filter(|_| self.asks());
        fence.into_iter().chain(round).min()
    }

    /// A round that asks, or renews. The one before counts for nothing from now on. Says whether that was
    /// one that renews and had no majority yet.
    pub(super) fn begin_round(
        &mut self,
        kind: Kind,
        nonce: Nonce,
        counted: Counted,
        timers: &LeaseTimers,
        now: Monotonic,
    ) -> bool {
        self.round_at = now + timers.renew;
        let before = self.round.replace(Round {
            nonce,
            kind,
            began: now,
            tally: Tally::new(self.term, counted),
        });
        before.is_some_and(|round| round.kind == Kind::Renew)
    }

    /// No round can be counted: its list is another than it knew.
    pub(super) fn put_off_round(&mut self, timers: &LeaseTimers, now: Monotonic) {
        self.round_at = now + timers.renew;
    }

    /// With which kind of round it asks next.
    pub(super) fn next_kind(&self) -> Kind {
        match self.stage {
            Stage::Holding => Kind::Renew,
            _ => Kind::AskRenew,
        }
    }

    /// A voter's answer. One to another round counts for nothing. Rule H1: a majority of answers to
    /// one round renews the lease, counted from when that round began.
    pub(super) fn answered(
        &mut self,
        voter: &VoterName,
        (nonce, kind): (Nonce, Kind),
        outcome: &Result<Answer, String>,
        lease: Duration,
        timers: &LeaseTimers,
        now: Monotonic,
    ) -> Renewal {
        let is_it = |round: &&mut Round| round.nonce == nonce && round.kind == kind;
        let Some(round) = self.round.as_mut().filter(is_it) else {
            return Renewal::Open;
        };
        round.tally.count(voter, outcome);
        let until = round.began + lease;
        match round.tally.progress() {
            Progress::Open => return Renewal::Open,
            Progress::Majority if kind == Kind::AskRenew => return Renewal::Welcome,
            // So late that it would be fenced at once.
            Progress::Majority if until.before(timers.fence) > now => {}
            Progress::Majority | Progress::Lost => {
                self.round = None;
                return Renewal::Failed;
            }
        }
        self.round = None;
        self.stage = Stage::Holding;
        self.until = self.until.max(Some(until));
        self.fence_at = self.until.map(|until| until.before(timers.fence));
        Renewal::Renewed
    }

    /// The term that is to be written down and is not being written yet; 0: none is held any more.
    pub(super) fn unwritten(&self) -> Option<u64> {
        match self.stage {
            _ if self.save.is_some() => None,
            Stage::Entering => Some(self.term),
            Stage::Leaving => Some(0),
            Stage::Holding | Stage::Waiting { .. } | Stage::Fencing { .. } => None,
        }
    }

    pub(super) fn writing(&mut self, id: SaveId) {
        self.save = Some(id);
    }

    /// Was this write ours.
    pub(super) fn written(&mut self, id: SaveId) -> bool {
        self.save.take_if(|ours| *ours == id).is_some()
    }

    /// It is written: from now on a command may be run for it.
    pub(super) fn enter(&mut self) {
        self.stage = Stage::Holding;
    }

    /// Its server is to be fenced. A round that is under way counts for nothing any more.
    pub(super) fn fence(&mut self, releases: bool) {
        self.stage = Stage::Fencing { releases };
        self.round = None;
    }

    /// Its server is known to be down: there is no lease any more.
    pub(super) fn fenced(&mut self, timers: &LeaseTimers, now: Monotonic) {
        self.stage = Stage::Waiting { is_fenced: true };
        (self.until, self.fence_at) = (None, None);
        self.round_at = now + timers.renew;
    }

    /// Its server runs as a primary, and is fenced then unless a majority renews before.
    pub(super) fn has_until(&mut self, fence_at: Monotonic) {
        self.stage = Stage::Waiting { is_fenced: false };
        self.fence_at = Some(fence_at);
    }

    /// A round is due now.
    pub(super) fn expedite(&mut self, now: Monotonic) {
        self.round_at = self.round_at.min(now);
    }

    /// The term is released for this one.
    pub(super) fn leave_to(&mut self, successor: &VoterName) {
        self.successor = Some(successor.clone());
    }

    pub(super) fn successor(&self) -> Option<&VoterName> {
        self.successor.as_ref()
    }

    /// It gives the term back: neither a lease nor a round of it counts any more.
    pub(super) fn leave(&mut self) {
        self.stage = Stage::Leaving;
        self.round = None;
        (self.until, self.fence_at) = (None, None);
        // A write of the term itself may be under way: it is cleared after that.
        self.save = None;
    }
}
