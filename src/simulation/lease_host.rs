//! What leases have on a host: guards, the course of its fence commands, the gate of its server.

use super::guards::Guards;
use super::in_flight::Command;
use super::lease_fault::FenceCourse;

/// What leases have on a host.
#[derive(Clone, Debug, Default)]
pub(super) struct LeasesHere {
    pub(super) guards: Guards,
    pub(super) course: FenceCourse,
    /// Boots of the machine so far.
    pub(super) boots: u32,
    /// The failover command that was begun last.
    pub(super) command: Option<Command>,
    /// Its server is started without the gate.
    pub(super) is_ungated: bool,
    /// Its server waits at the gate.
    pub(super) is_at_gate: bool,
}

impl LeasesHere {
    /// The machine goes down, or not.
    pub(super) fn end_at(&mut self, boot: bool) {
        if boot {
            self.guards.end_all();
            self.boots += 1;
            self.is_at_gate = false;
        }
    }
}
