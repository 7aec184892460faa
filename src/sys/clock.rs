//! The only reader of the clocks. The loop reads them once per turn and passes [`Now`] down.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::time::{Monotonic, Now, WallTime};

/// Both clocks, read together.
pub fn now() -> Now {
    Now { mono: monotonic(), wall: wall() }
}

/// What identifies this boot of this machine: monotonic times from another boot mean nothing here.
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

fn monotonic() -> Monotonic {
    // The clock has no way to fail: it exists on every Linux and takes no argument from outside.
    let since_boot = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    Monotonic::from_duration(since_boot)
}

#[expect(clippy::disallowed_methods, reason = "this is the one reader of the wall clock")]
pub(super) fn wall() -> WallTime {
    let micros = |distance: Duration| i64::try_from(distance.as_micros()).unwrap_or(i64::MAX);
    WallTime::from_unix_micros(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_forwards_and_knows_the_century() {
        let first = now();
        let second = now();
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
