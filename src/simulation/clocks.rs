//! The clocks of a host: a monotonic one, which may run faster or slower than true time, and stands still
//! while the host is suspended; the one of leases, which does not, unless the machine is paused from
//! outside; and that of the wall.

use std::time::Duration;

use super::{HostId, Micros, SECOND, micros};
use crate::time::{Monotonic, Now, WallTime};

/// The clocks of a host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clocks {
    /// The monotonic clock read this much at that time.
    mono: (Duration, Micros),
    /// It gains so many microseconds in each second since then.
    gain: i32,
    /// By so much the clock of leases is ahead of the monotonic one.
    slept: Duration,
    /// So much of that since it was last taken.
    untaken: Duration,
    /// How far the wall clock is ahead of the true time, in microseconds.
    pub(super) wall_offset: i64,
}

impl Clocks {
    pub(super) fn new(host: HostId, wall_offset: i64) -> Self {
        Self {
            mono: (START + Duration::from_secs(host as u64 * 1000), 0),
            gain: 0,
            slept: Duration::ZERO,
            untaken: Duration::ZERO,
            wall_offset,
        }
    }

    /// The machine is booted.
    pub(super) fn boot(&mut self, now: Micros) {
        (self.mono, self.slept) = ((AFTER_BOOT, now), Duration::ZERO);
        self.untaken = Duration::ZERO;
    }

    /// Both clocks at this true time.
    pub(super) fn read(&self, now: Micros) -> Now {
        let passed = now.saturating_sub(self.mono.1);
        let mono = self.mono.0 + Duration::from_micros(passed * self.rate() / SECOND);
        Now {
            mono: Monotonic::from_duration(mono),
            wall: self.wall(now),
        }
    }

    pub(super) fn wall(&self, now: Micros) -> WallTime {
        WallTime::from_unix_micros(true_wall(now).unix_micros() + self.wall_offset)
    }

    /// The true time at which the monotonic clock reads this, or just after it: a deadline may be
    /// finer than the time here.
    pub(super) fn time_of(&self, deadline: Monotonic) -> Micros {
        let base = Monotonic::from_duration(self.mono.0);
        self.mono.1 + self.span(deadline.since(base))
    }

    /// The true time that passes while the monotonic clock counts this, or a little more.
    pub(super) fn span(&self, counted: Duration) -> Micros {
        // Its readings are whole microseconds, and may be compared with what is finer.
        let whole = micros(counted + Duration::from_nanos(999));
        whole.saturating_mul(SECOND).div_ceil(self.rate())
    }

    /// From now on it gains so many microseconds in each second.
    pub(super) fn run_at(&mut self, gain: i32, now: Micros) {
        let mono = self
            .read(now)
            .mono
            .since(Monotonic::from_duration(Duration::ZERO));
        (self.mono, self.gain) = ((mono, now), gain);
    }

    /// The monotonic clock stands still until then. `is_counted`: the one of leases does not.
    pub(super) fn sleep(&mut self, now: Micros, until: Micros, is_counted: bool) {
        let mono = self.read(now).mono.since_boot();
        let counted = Duration::from_micros((until - now) * self.rate() / SECOND);
        let slept = if is_counted { counted } else { Duration::ZERO };
        (self.mono, self.slept) = ((mono, until), self.slept + slept);
        self.untaken += slept;
    }

    /// It goes on earlier than that.
    pub(super) fn wake(&mut self, now: Micros, is_counted: bool) {
        let early = self.mono.1.saturating_sub(now);
        if is_counted {
            let counted = Duration::from_micros(early * self.rate() / SECOND);
            self.slept = self.slept.saturating_sub(counted);
            self.untaken = self.untaken.saturating_sub(counted);
        }
        self.mono.1 -= early;
    }

    /// For how long the monotonic clock stood still since that was last taken, while the one of leases did
    /// not.
    pub(super) fn take_slept(&mut self) -> Duration {
        std::mem::take(&mut self.untaken)
    }

    /// This time of the monotonic clock by that of leases.
    pub(super) fn of_leases(&self, mono: Monotonic) -> Monotonic {
        mono + self.slept
    }

    /// The true time at which the clock of leases reads this, or just after it.
    pub(super) fn time_of_leases(&self, deadline: Monotonic) -> Micros {
        self.time_of(deadline.before(self.slept))
    }

    pub(super) fn gain(&self) -> i32 {
        self.gain
    }

    /// What it counts in a second, in microseconds.
    fn rate(&self) -> u64 {
        SECOND.saturating_add_signed(self.gain.into()).max(1)
    }
}

/// What a wall clock that is right shows.
pub(super) fn true_wall(now: Micros) -> WallTime {
    WallTime::from_unix_micros(EPOCH_MICROS + i64::try_from(now).unwrap_or(i64::MAX))
}

const START: Duration = Duration::from_secs(1_000_000);
const AFTER_BOOT: Duration = Duration::from_secs(60);
/// 2024-01-01T00:00:00Z, the true time at the start.
const EPOCH_MICROS: i64 = 1_704_067_200_000_000;

#[cfg(test)]
#[path = "clocks_tests.rs"]
mod tests;
