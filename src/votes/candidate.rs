//! A candidate: one attempt after the other to be elected (rules C2 to C5), and when it may try.

use std::time::Duration;

use super::counted::Counted;
use super::tally::Progress;
use super::{Answer, Kind, LeaseTimers, Nonce, Position, Tally};
use crate::config::VoterName;
use crate::time::Monotonic;

/// The times of the configuration that an election needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// `lease_time`: how long a vote is promised, before the margin for clocks.
    pub lease: Duration,
    /// `vote_timeout`: how long an answer is waited for.
    pub vote_timeout: Duration,
    /// `election_stagger`: the unit of the random time between two attempts.
    pub stagger: Duration,
    /// `step_aside_time`: how long others go first after a failed command.
    pub step_aside: Duration,
    /// Of leases; `None`: there are none, since nothing fences.
    pub hold: Option<LeaseTimers>,
}

/// May this daemon begin an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It has no vote file that it can use: why.
    NoRecord(&'a str),
    /// It may.
    Free,
    /// One is under way.
    Asking(&'a Tally),
    /// The last one was refused; the next may begin then.
    Refused {
        /// How it ended.
        tally: &'a Tally,
        /// When the next may begin.
        until: Monotonic,
        /// How often a standby that is further went first.
        deferrals: u8,
    },
    /// After a failed command, or four attempts in a row that won nothing, others go first.
    SteppedAside {
        /// Until then.
        until: Monotonic,
    },
    /// It holds this term, with a lease: nobody has to be asked.
    Holding(u64),
    /// It holds this term without a lease, or is about to give it back.
    Bound(u64),
}

/// The attempts of this daemon.
#[derive(Clone, Debug)]
pub struct Candidate {
    seed: u128,
    attempts: u64,
    attempt: Option<Attempt>,
    /// The highest term that any voter has reported.
    known_term: u64,
    last: Option<Tally>,
    retry_at: Option<Monotonic>,
    /// The next claim waits until then, whether the primary is reached or not: it is our own.
    claim_at: Option<Monotonic>,
    stepped_aside_until: Option<Monotonic>,
    /// Attempts in a row that won nothing.
    lost: u32,
    /// How often a standby that is further was let go first in this outage.
    deferrals: u8,
    /// Failed commands in this outage.
    failed_commands: u32,
    /// A holder has released its term for us.
    predecessor: Option<Predecessor>,
}

/// Who has released its term for this daemon, which goes first for a while (rule S4).
#[derive(Clone, Debug)]
struct Predecessor {
    name: VoterName,
    until: Monotonic,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// To promote our server.
    Promote,
    /// The same, as the successor of a holder (rule S4).
    Succeed,
    /// To hold the first term with our server, which is the primary already.
    Claim,
}

#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) phase: Phase,
    pub(super) nonce: Nonce,
    pub(super) position: Option<Position>,
    pub(super) system: Option<String>,
    pub(super) tally: Tally,
    pub(super) aim: Aim,
    pub(super) began: Monotonic,
    deadline: Monotonic,
    is_another_further: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `ask_vote` was sent.
    Asking,
    /// Our own vote is being written.
    Writing,
    /// `vote` was sent.
    Voting,
}

impl Candidate {
    /// `seed`: random bits that no other process gets.
    pub fn new(seed: u128) -> Self {
        Self {
            seed,
            attempts: 0,
            attempt: None,
            known_term: 0,
            last: None,
            retry_at: None,
            claim_at: None,
            stepped_aside_until: None,
            lost: 0,
            deferrals: 0,
            failed_commands: 0,
            predecessor: None,
        }
    }

    /// May an attempt begin.
    pub fn standing(&self, now: Monotonic) -> Standing<'_> {
        if let Some(attempt) = &self.attempt {
            return Standing::Asking(&attempt.tally);
        }
        if let Some(until) = self.stepped_aside(now) {
            return Standing::SteppedAside { until };
        }
        let until = self.retry_at.filter(|until| *until > now);
        match (until, &self.last) {
            (Some(until), Some(tally)) => Standing::Refused {
                tally,
                until,
                deferrals: self.deferrals,
            },
            _ => Standing::Free,
        }
    }

    /// May a claim begin, for all that became of the last one.
    pub(super) fn may_claim(&self, now: Monotonic) -> bool {
        self.claim_at.is_none_or(|at| at <= now)
    }

    /// Until when others go first.
    pub fn stepped_aside(&self, now: Monotonic) -> Option<Monotonic> {
        self.stepped_aside_until.filter(|until| *until > now)
    }

    /// How the last attempt stands, or has ended.
    pub fn tally(&self) -> Option<&Tally> {
        let running = self.attempt.as_ref().map(|attempt| &attempt.tally);
        running.or(self.last.as_ref())
    }

    /// The holder that has released its term for this daemon, while the next votes are reserved.
    pub fn predecessor(&self, now: Monotonic) -> Option<&VoterName> {
        let predecessor = self.predecessor.as_ref();
        let lasts = predecessor.filter(|predecessor| predecessor.until > now);
        lasts.map(|predecessor| &predecessor.name)
    }

    /// Rule S4: this holder has released its term for us, and we need not wait for anybody.
    pub(super) fn succeeds(&mut self, holder: &VoterName, until: Monotonic) {
        self.retry_at = None;
        self.predecessor = Some(Predecessor {
            name: holder.clone(),
            until,
        });
    }

    pub(super) fn known_term(&self) -> u64 {
        self.known_term
    }

    /// A voter has reported this term.
    pub(super) fn learn(&mut self, term: u64) {
        self.known_term = self.known_term.max(term);
    }

    pub(super) fn resume(&mut self, known_term: u64) {
        self.known_term = known_term;
    }

    pub(super) fn is_at_rest(&self, now: Monotonic) -> bool {
        self.standing(now) == Standing::Free
            && self.predecessor(now).is_none()
            && (self.lost, self.deferrals, self.failed_commands) == (0, 0, 0)
    }

    /// The seed with which a later one goes on as this one would.
    pub fn seed(&self) -> u128 {
        self.seed.wrapping_add(u128::from(self.attempts))
    }

    /// One that was never used.
    pub(super) fn next_nonce(&mut self) -> Nonce {
        self.attempts = self.attempts.wrapping_add(1);
        Nonce(self.seed())
    }

    pub(super) fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// Rule C2. `own_term`: of our own voter, or the floor of its list if that is higher.
    pub(super) fn begin(
        &mut self,
        own_term: u64,
        counted: Counted,
        (position, system, aim): (Option<Position>, Option<String>, Aim),
        timers: &Timers,
        now: Monotonic,
    ) -> &Attempt {
        let nonce = self.next_nonce();
        let term = own_term.max(self.known_term).saturating_add(1);
        self.attempt.insert(Attempt {
            phase: Phase::Asking,
            nonce,
            position,
            system,
            tally: Tally::new(term, counted),
            aim,
            began: now,
            deadline: now + timers.vote_timeout,
            is_another_further: false,
        })
    }

    /// A voter's answer, or why there is none. One to another attempt, or to another kind of request,
    /// counts for nothing (rule C4).
    pub(super) fn answered(
        &mut self,
        voter: &VoterName,
        (nonce, kind): (Nonce, Kind),
        outcome: &Result<Answer, String>,
    ) -> Progress {
        let Some(attempt) = self.attempt.as_mut() else {
            return Progress::Open;
        };
        if nonce != attempt.nonce || Some(kind) != attempt.phase.asks() {
            return Progress::Open;
        }
        attempt.count(voter, outcome);
        attempt.tally.progress()
    }

    /// The next phase of the attempt begins: nobody has granted in it yet.
    pub(super) fn enter(&mut self, phase: Phase, timers: &Timers, now: Monotonic) {
        let Some(attempt) = self.attempt.as_mut() else {
            return;
        };
        attempt.phase = phase;
        attempt.deadline = match phase {
            // A win that comes later than its votes are promised is none.
            Phase::Writing => attempt.began + timers.lease,
            Phase::Asking | Phase::Voting => {
                (now + timers.vote_timeout).min(attempt.began + timers.lease)
            }
        };
        if phase == Phase::Voting {
            attempt.tally.begin_anew();
        }
    }

    /// Is another standby to go first: one that is further has refused, and was not let go first twice
    /// in this outage.
    pub(super) fn is_to_defer(&self) -> bool {
        let is_further =
            |attempt: &Attempt| attempt.is_another_further && attempt.aim != Aim::Succeed;
        self.attempt.as_ref().is_some_and(is_further) && self.deferrals < MAX_DEFERRALS
    }

    /// Another goes first.
    pub(super) fn defer(&mut self, timers: &Timers, now: Monotonic) {
        self.deferrals = self.deferrals.saturating_add(1);
        self.last = self.attempt.take().map(|attempt| attempt.tally);
        self.retry_at = Some(now + timers.stagger + self.below(timers.stagger));
    }

    /// Rule C5: the attempt is over, the next begins after a random time.
    pub(super) fn lose(&mut self, timers: &Timers, now: Monotonic) -> Option<Attempt> {
        let attempt = self.attempt.take()?;
        self.last = Some(attempt.tally.clone());
        let wait = attempt.tally.wait().min(timers.lease);
        match attempt.aim {
            Aim::Promote => {}
            // There is nobody to let go first.
            Aim::Claim => {
                self.claim_at = Some(now + wait + self.below(timers.stagger));
                return Some(attempt);
            }
            // Rule S4: nobody else asks meanwhile.
            Aim::Succeed => {
                self.retry_at = Some(attempt.began + timers.vote_timeout);
                return Some(attempt);
            }
        }
        if !wait.is_zero() {
            // Until then nothing can be won, which is no reason to step aside.
            self.retry_at = Some(now + wait + self.below(timers.stagger));
            return Some(attempt);
        }
        let doublings = self.lost.min(MAX_DOUBLINGS);
        self.lost = self.lost.saturating_add(1);
        self.retry_at = Some(now + self.below(timers.stagger.saturating_mul(1 << doublings)));
        if self.lost >= MAX_LOST {
            self.lost = 0;
            self.stepped_aside_until = Some(now + timers.step_aside / 2);
        }
        Some(attempt)
    }

    /// The clock of leases has gone on for so long while ours has not.
    pub(super) fn slept(&mut self, time: Duration) {
        if let Some(attempt) = &mut self.attempt {
            attempt.began = attempt.began.before(time);
            attempt.deadline = attempt.deadline.before(time);
        }
    }

    /// A holder has released its term: nothing is promised to it any more.
    pub(super) fn promise_over(&mut self, timers: &Timers, now: Monotonic) {
        let soon = now + self.below(timers.stagger);
        self.retry_at = self.retry_at.map(|at| at.min(soon));
        self.claim_at = self.claim_at.map(|at| at.min(soon));
    }

    /// A promotion is not wanted any more; nothing is held against us.
    pub(super) fn abandon(&mut self) -> Option<Attempt> {
        self.attempt.take_if(|attempt| attempt.aim == Aim::Promote)
    }

    /// Another holds this term or a later one: the attempt is void.
    pub(super) fn overtaken(&mut self) -> Option<Attempt> {
        self.predecessor = None;
        self.attempt.take()
    }

    /// Elected. The attempt is used up: it elects once.
    pub(super) fn win(&mut self) -> Option<Attempt> {
        self.lost = 0;
        self.retry_at = None;
        self.attempt.take()
    }

    /// What was won came to nothing: others go first, longer each time.
    pub(super) fn command_failed(&mut self, timers: &Timers, now: Monotonic) {
        self.failed_commands = self.failed_commands.saturating_add(1).min(MAX_FAILED);
        let time = timers.step_aside.saturating_mul(self.failed_commands);
        self.stepped_aside_until = Some(now + time);
    }

    /// A primary is there again.
    pub(super) fn outage_over(&mut self) {
        (self.lost, self.deferrals, self.failed_commands) = (0, 0, 0);
        (self.last, self.retry_at) = (None, None);
    }

    pub(super) fn is_overdue(&self, now: Monotonic) -> bool {
        self.attempt.as_ref().is_some_and(|it| it.deadline <= now)
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.attempt.as_ref().map(|attempt| attempt.deadline)
    }

    /// A time up to this: another for every attempt.
    fn below(&self, limit: Duration) -> Duration {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let [low, high] = [self.seed(), self.seed() >> 64].map(|part| part & u128::from(u64::MAX));
        let seed = u64::try_from(low ^ high).unwrap_or_default();
        Duration::from_millis(fastrand::Rng::with_seed(seed).u64(..=millis))
    }
}

impl Phase {
    /// To which kind of request an answer counts.
    fn asks(self) -> Option<Kind> {
        match self {
            Self::Asking => Some(Kind::AskVote),
            Self::Writing => None,
            Self::Voting => Some(Kind::Vote),
        }
    }
}

impl Attempt {
    fn count(&mut self, voter: &VoterName, outcome: &Result<Answer, String>) {
        if !self.tally.is_missing(voter) {
            return;
        }
        if let Ok(answer) = outcome {
            let is_ahead = |theirs: &Position| theirs.is_ahead_of(self.position.as_ref());
            let is_further = answer.position.as_ref().is_some_and(is_ahead);
            let is_refused = answer.refusal.is_some();
            self.is_another_further |= is_refused && answer.willing && is_further;
        }
        self.tally.count(voter, outcome);
    }
}

/// A standby that is further goes first so often in an outage.
pub const MAX_DEFERRALS: u8 = 2;
/// The random time between attempts is doubled so often.
const MAX_DOUBLINGS: u32 = 3;
/// After so many attempts in a row that won nothing others go first.
const MAX_LOST: u32 = 4;
/// The time for which others go first grows so often with failed commands.
const MAX_FAILED: u32 = 4;

#[cfg(test)]
#[path = "candidate_tests.rs"]
mod tests;
