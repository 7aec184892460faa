//! Time as values: the two clocks a decision may look at, and nothing that reads them.
//!
//! Whatever guards behaviour is measured on [`Monotonic`]; [`WallTime`] is for printing and for
//! reading other machines' timestamps. [`Now`] is read once per turn by `sys::clock` and passed
//! down as an argument.

pub mod timestamp;

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on this machine's monotonic clock: time since boot, never stepped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The point `since_boot` after the clock's own zero.
    pub const fn from_duration(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// Seconds since the clock's own zero, as the original prints `replication_start_time`.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Time since the clock's own zero.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// How long `earlier` is ago; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `by` earlier, not before the clock's zero.
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

/// A point on some machine's wall clock: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// The point `micros` microseconds after the Unix epoch.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// How long `earlier` is ago; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The distance to `other`, whichever of the two comes first.
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_micros(self.0.abs_diff(other.0))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for WallTime {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

/// Both clocks, read together at the beginning of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What limits, ages and deadlines are measured by.
    pub mono: Monotonic,
    /// What is printed, and what other machines' timestamps are compared with.
    pub wall: WallTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_ahead_is_no_time_ago() {
        let early = Monotonic::from_duration(Duration::from_secs(3));
        let late = early + Duration::from_secs(4);
        assert_eq!(late.since(early), Duration::from_secs(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(
            early.before(Duration::from_secs(9)).since_boot(),
            Duration::ZERO
        );
    }

    #[test]
    fn wall_times_never_overflow() {
        let end = WallTime::from_unix_micros(i64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(WallTime::from_unix_micros(5).since(end), Duration::ZERO);
        assert_eq!(
            end.distance(WallTime::from_unix_micros(i64::MIN)),
            Duration::from_micros(u64::MAX)
        );
    }
}
