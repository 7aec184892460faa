//! Moments of a timeline: seconds from its start or its epoch, to the microsecond.

use std::time::Duration;

use crate::time::{Monotonic, WallTime};

/// Wall-clock values are seconds from the epoch.
pub(super) fn at(epoch: WallTime, seconds: f64) -> WallTime {
    WallTime::from_unix_micros(epoch.unix_micros().saturating_add(micros(seconds)))
}

/// Seconds from the epoch, to the microsecond.
pub fn since(epoch: WallTime, time: WallTime) -> f64 {
    seconds(time.unix_micros().saturating_sub(epoch.unix_micros()))
}

/// Microseconds as seconds: exact for 142 years, as a float has 53 bits and half a microsecond is
/// rounded away.
#[expect(
    clippy::cast_precision_loss,
    reason = "beyond 142 years a microsecond may be lost"
)]
pub(super) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Seconds as microseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float saturates, and a second is far from the edge"
)]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

/// `t`, or `None` if it is no time from a start.
pub(super) fn time(seconds: f64) -> Option<Duration> {
    let is_time = (0.0..=LONGEST_SECONDS).contains(&seconds);
    is_time.then(|| Duration::from_micros(u64::try_from(micros(seconds)).unwrap_or(0)))
}

/// A moment before (negative) or after the start.
pub(super) fn moment(start: Monotonic, seconds: f64) -> Monotonic {
    let micros = micros(seconds);
    let by = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 {
        start.before(by)
    } else {
        start + by
    }
}

pub(super) fn micros_of(at: Monotonic) -> i64 {
    i64::try_from(at.since_boot().as_micros()).unwrap_or(i64::MAX)
}

/// Thirty years.
const LONGEST_SECONDS: f64 = 1e9;
