//! The simulator: the real core of every daemon of a cluster in a world of its own making, under
//! virtual time, from a seed. Databases, network, clocks and people misbehave as a schedule says;
//! whatever must never be is checked beside the core, on the ground of what is true and of what
//! each daemon was told.
//!
//! Used by the tests, and by `pglookout simulate` on an operator's own configuration. No clock,
//! socket or file.

#![allow(
    clippy::indexing_slicing,
    reason = "hosts, nodes and observers are numbered by this room itself"
)]

mod database;
mod deeds;
mod faults;
mod finding;
mod generate;
mod judge;
mod network;
mod plan;
mod random;
mod record;
pub mod referee;
mod remedy;
mod setup;
mod shape;
mod shrink;
mod site;
mod sleep;
mod survey;
mod tape;
pub mod told;
mod trial;
mod world;

use std::time::Duration;

pub use database::Refusal;
pub use finding::{Case, Finding};
pub use generate::Generator;
pub use plan::{Death, Deed, Ending, Lie, Plan, Step};
pub use random::Dice;
pub use record::{Promotion, Record, Violation};
pub use setup::Setup;
pub use shrink::shrink;
pub use survey::{Survey, survey};
pub use trial::{Outcome, record, run};

/// Microseconds of true time, from the start of a schedule.
pub type Micros = u64;
/// A host, by number: database nodes first.
pub type HostId = usize;
/// A database node, by number, and so is its host.
pub type NodeId = usize;

/// A second.
pub const SECOND: Micros = 1_000_000;

fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
