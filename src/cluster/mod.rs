//! What is known of the cluster: what one probe brought home, facts per node and observer, and how
//! they are merged into one view. No sockets, no clock, no decision.

mod control;
mod history;
mod lsn;
mod map;
mod merge;
mod observed;
mod pause;
mod presence;
mod report;
#[cfg(test)]
pub(crate) mod scenario;
mod serving;
mod state;

pub use control::{ControlData, DatabaseState};
pub use history::{Divergence, History, LastPrimary, Received, Role};
pub use lsn::{Lsn, ParseLsnError};
pub use map::{NodeMap, Reached, Standby};
pub use merge::Context;
pub use observed::{MAX_CLOCK_SKEW, clock_skew};
pub use pause::PauseMark;
pub use presence::{DaemonState, Presence, SESSION_PREFIX, daemon_name, fingerprint};
pub use report::{
    Identity, NodeReport, ObservedNode, ObserverReport, ProbeFailure, ProbeStep, ReplicationSlot,
    RoleReport, ServerFacts, Witness,
};
pub use serving::{Serving, Unfit};
pub use state::{
    Attempt, ClusterState, EvidenceKind, NodeAnswer, NodeState, ObserverState, OwnDaemon,
    PrimaryContact, Sighting,
};
