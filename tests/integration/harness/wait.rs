//! Waiting for something that will be so, with a deadline that guards against it never being so.

use std::time::{Duration, Instant};

/// Long enough for anything that ought to happen soon, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits until `check` holds; panics, saying what was waited for, when `limit` has passed.
pub(crate) fn wait_until(what: &str, limit: Duration, mut check: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !check() {
        assert!(
            begun.elapsed() < limit,
            "{limit:?} have passed without: {what}"
        );
        pause(20);
    }
}

/// Sleeps.
pub(crate) fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}
