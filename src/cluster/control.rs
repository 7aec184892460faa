//! What the control file of a server, `global/pg_control`, says of it while it is down.

use std::fmt;

use super::Lsn;

/// The content of the control file, as far as a switchover looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlData {
    /// The system identifier.
    pub system: String,
    /// Whether, and how, the server was stopped.
    pub state: DatabaseState,
    /// Where the last checkpoint record begins: of a server that was shut down nothing follows it.
    pub checkpoint: Lsn,
    /// There is a `postmaster.pid`: a server runs, or was killed.
    pub has_pid_file: bool,
}

/// `DBState` of PostgreSQL, by the words of `pg_controldata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseState {
    /// Is being started.
    StartingUp,
    /// Was stopped as a primary: all that it has written is behind its last checkpoint.
    ShutDown,
    /// Was stopped as a standby.
    ShutDownInRecovery,
    /// Is being stopped.
    ShuttingDown,
    /// Recovers from a crash.
    InCrashRecovery,
    /// Is a standby, or was killed as one.
    InArchiveRecovery,
    /// Is a primary, or was killed as one.
    InProduction,
}

impl DatabaseState {
    /// All of them, each at its number in the file.
    pub const ALL: [Self; 7] = [
        Self::StartingUp,
        Self::ShutDown,
        Self::ShutDownInRecovery,
        Self::ShuttingDown,
        Self::InCrashRecovery,
        Self::InArchiveRecovery,
        Self::InProduction,
    ];

    /// Its name, from a closed list.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartingUp => "starting up",
            Self::ShutDown => "shut down",
            Self::ShutDownInRecovery => "shut down in recovery",
            Self::ShuttingDown => "shutting down",
            Self::InCrashRecovery => "in crash recovery",
            Self::InArchiveRecovery => "in archive recovery",
            Self::InProduction => "in production",
        }
    }
}

impl fmt::Display for DatabaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
