//! The control file of a server in the world of a schedule: how it was stopped.

use super::database::{Condition, Database, SYSTEM};
use crate::cluster::{ControlData, DatabaseState, Lsn};

impl Database {
    /// It writes its last checkpoint.
    pub(super) fn shut_down(&mut self) {
        if self.is_primary {
            self.shut_down_at = Some(self.position);
            self.position += CHECKPOINT;
        }
    }

    /// What its control file says. `leaves_pid_file`: one that is killed does.
    pub(super) fn control_data(&self, leaves_pid_file: bool) -> ControlData {
        let is_down = matches!(self.condition, Condition::Crashed | Condition::HostDown);
        let stopped = self.shut_down_at.filter(|_| is_down && self.is_primary);
        let state = match (stopped, self.is_primary) {
            (Some(_), _) => DatabaseState::ShutDown,
            (None, true) => DatabaseState::InProduction,
            (None, false) => DatabaseState::InArchiveRecovery,
        };
        ControlData {
            system: SYSTEM.to_owned(),
            state,
            checkpoint: Lsn::from_bytes(stopped.unwrap_or_default()),
            has_pid_file: !is_down || (stopped.is_none() && leaves_pid_file),
        }
    }
}

/// The length of a checkpoint record, in bytes.
const CHECKPOINT: u64 = 120;
