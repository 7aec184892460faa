//! The simulator: the real core of every daemon of a cluster in a world of its own making, under
//! virtual time, from a seed. Databases, network, clocks and operators misbehave as a schedule says.
//! It judges nothing: whoever watches a run learns every fact of it ([`Fact`]) and sees what is true
//! ([`World`]). The tests' referee does.
//!
//! Used by the tests, and by `pglookout simulate` on an operator's own configuration. No clock,
//! socket or file.

#![allow(
    clippy::indexing_slicing,
    reason = "hosts, nodes and observers are numbered by this room itself"
)]

mod apply;
mod clocks;
mod control_file;
mod daemon;
mod database;
mod elections;
mod fact;
mod failover_command;
mod fault;
mod fencing;
mod finding;
mod following;
mod gate;
mod generate;
mod guarding;
mod guards;
mod host;
mod in_flight;
mod lease_fault;
mod lease_host;
mod leases;
mod network;
mod plan;
mod polling;
mod promotions;
mod recording;
mod remedy;
mod rng;
mod scenarios;
mod sessions;
mod setup;
mod shape;
mod shrink;
mod single_faults;
mod sleeping;
mod state_json;
mod survey;
mod survivors;
mod switching;
mod switchover_fault;
mod switchover_host;
mod switchovers;
mod trial;
mod units;
mod vote_disk;
mod vote_exchange;
mod vote_fault;
mod voter_lists;
mod voting;
mod world;

pub use apply::MOST_GAIN;
pub use database::{Condition, Database, Fork};
pub use fact::Fact;
pub use fault::{Death, Fault, Lie, Refusal, Step};
pub use finding::{Case, Finding};
pub use generate::Generator;
pub use lease_fault::{FenceCourse, LeaseFault, Sleep};
pub use network::{Network, Path};
pub use plan::{Ending, Plan};
pub use promotions::{Promotion, Promotions};
pub use rng::Rng;
pub use setup::{PresenceSetup, Setup, VotersOf};
pub use shrink::shrink;
pub use survey::{Survey, survey};
pub use switchover_fault::{
    DemoteCourse, Loss, LostPart, Moment, SwitchoverFault, SwitchoverOrder,
};
pub use trial::{Outcome, record, run, watch};
pub use units::{HostId, Micros, NodeId, SECOND, micros};
pub use vote_fault::VoteFault;
pub use world::World;
