//! What there is of switchovers in a world, and on a host of it.

use super::HostId;
use super::in_flight::ProcessId;
use super::switchover_fault::{DemoteCourse, Loss};
use crate::lookout::CommandId;

/// What there is of switchovers.
#[derive(Clone, Debug, Default)]
pub(super) struct Switchovers {
    /// What is to be lost yet.
    pub(super) losses: Vec<Loss>,
    /// The holder and the successor of the last one that has stopped a server.
    pub(super) pair: Option<(HostId, Option<HostId>)>,
    /// Shutdowns that are under way and have a number up to this are given up.
    pub(super) void: u64,
    pub(super) last: u64,
}

/// What a switchover has on a host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SwitchoverHere {
    pub(super) course: DemoteCourse,
    pub(super) start_fails: bool,
    /// The demote command that runs: its number, by whom.
    pub(super) demoting: Option<(u64, ProcessId, CommandId)>,
}
