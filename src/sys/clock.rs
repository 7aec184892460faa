//! The only reader of the clocks. The loop reads them once per turn and passes [`Now`] down.
//!
//! Readings are whole microseconds, so that one that was written down can be read back as it was.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::time::{Monotonic, Now, WallTime};

/// Both clocks, read together. The wall clock is read off the monotonic one, and set anew when the
/// two have drifted apart or it was stepped: a recording need not hold both times of every turn.
#[derive(Debug)]
pub struct Clock {
    start: Now,
}

impl Clock {
    /// Reads the clocks for the first time.
    pub fn start() -> Self {
        Self { start: read() }
    }

    /// Reads the clocks.
    pub fn now(&mut self) -> Now {
        self.reading(read())
    }

    fn reading(&mut self, read: Now) -> Now {
        let expected = self.start.wall + read.mono.since(self.start.mono);
        if expected.distance(read.wall) > MAX_DRIFT {
            self.start = read;
            return read;
        }
        Now {
            mono: read.mono,
            wall: expected,
        }
    }
}

fn read() -> Now {
    Now {
        mono: monotonic(),
        wall: wall(),
    }
}

/// What identifies this boot of this machine: monotonic times from another boot mean nothing here.
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// How long the host was suspended since its boot: the monotonic clock does not count that.
pub fn suspended() -> Duration {
    since_boot().saturating_sub(monotonic().since_boot())
}

/// Time since the boot, in which the time counts for which the host was suspended.
pub(super) fn since_boot() -> Duration {
    // As with the monotonic clock.
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map(Duration::from)
        .unwrap_or_default()
}

/// The monotonic clock alone.
pub fn monotonic() -> Monotonic {
    // The clock has no way to fail: it exists on every Linux and takes no argument from outside.
    let since_boot = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .unwrap_or_default();
    let micros = u64::try_from(since_boot.as_micros()).unwrap_or(u64::MAX);
    Monotonic::from_duration(Duration::from_micros(micros))
}

/// The wall clock alone.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the wall clock"
)]
pub fn wall() -> WallTime {
    let micros = |distance: Duration| i64::try_from(distance.as_micros()).unwrap_or(i64::MAX);
    WallTime::from_unix_micros(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}

/// So far may the wall clock be from where the monotonic one says that it should be.
const MAX_DRIFT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_goes_with_the_monotonic_clock_until_it_is_set() {
        let mono = |millis| Monotonic::from_duration(Duration::from_millis(millis));
        let wall = |millis: i64| WallTime::from_unix_micros(millis * 1_000);
        let mut clock = Clock {
            start: Now {
                mono: mono(1_000),
                wall: wall(50_000),
            },
        };
        for (at, read, expected) in [
            (1_000, 50_000, 50_000),
            (2_000, 51_009, 51_000),
            (3_000, 51_990, 52_000),
            (4_000, 53_011, 53_011),
            (5_000, 54_001, 54_011),
            (6_000, 10, 10),
            (7_000, 1_010, 1_010),
        ] {
            let now = clock.reading(Now {
                mono: mono(at),
                wall: wall(read),
            });
            assert_eq!(
                now,
                Now {
                    mono: mono(at),
                    wall: wall(expected)
                },
                "at {at}"
            );
        }
    }

    #[test]
    fn runs_forwards_and_knows_the_century() {
        let mut clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert_eq!(first.mono.since_boot().subsec_nanos() % 1_000, 0);
        assert!(second.mono >= first.mono);
        assert!(first.mono.since_boot() > Duration::ZERO);
        assert!(first.wall > WallTime::from_unix_micros(1_600_000_000_000_000));
    }

    #[test]
    fn a_boot_has_one_name() {
        assert_eq!(boot_id(), boot_id());
        assert!(boot_id().is_some_and(|id| !id.contains('\n')));
    }
}
