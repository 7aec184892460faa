//! What must survive a restart of the daemon: carried in the state file, read once at start.

use std::collections::BTreeMap;

use crate::config::NodeName;
use crate::time::{Monotonic, WallTime};

/// The part of the core that outlives a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// `current_master`: the remembered primary.
    pub primary: Option<NodeName>,
    /// When each node was last reached as a primary, by anyone.
    pub contacts: BTreeMap<NodeName, Contact>,
}

/// The last contact with a primary, on the clocks a later process can compare with its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// By the machine's monotonic clock, with the boot it belongs to; `None` if that is not known (a state file of the
    /// original, another boot).
    pub mono: Option<Monotonic>,
    /// By the wall clock of the process that wrote it.
    pub wall: WallTime,
}
