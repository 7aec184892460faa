//! What a schedule counts in: time, hosts and nodes.

use std::time::Duration;

/// Microseconds of true time, from the start of a schedule.
pub type Micros = u64;
/// A host, by number: database nodes first.
pub type HostId = usize;
/// A database node, by number, and so is its host.
pub type NodeId = usize;

/// A second.
pub const SECOND: Micros = 1_000_000;

/// Whole microseconds of a duration.
pub fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for printing; a schedule lasts seconds"
)]
pub(super) fn seconds(micros: Micros) -> f64 {
    micros as f64 / SECOND as f64
}
