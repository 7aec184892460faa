//! What the core wishes: one closed list, each variant with who acts on it. Carrying one out never
//! calls the core; what comes of it is a later event.

use std::path::PathBuf;
use std::time::Duration;

use super::Metric;
use crate::config::{CommandLine, Keywords, NodeName, ObserverName};
use crate::failover::Verdict;

/// A wish of the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask this node now (the prober); answered by `NodeProbed`.
    ProbeNode {
        /// Whom to ask.
        node: NodeName,
        /// What the answer will be known by.
        probe: ProbeId,
    },
    /// Fetch this observer's `/state.json` now (the prober); answered by `ObserverProbed`.
    ProbeObserver {
        /// Whom to ask.
        observer: ObserverName,
        /// What the answer will be known by.
        probe: ProbeId,
    },
    /// Run this command (the loop); answered by `CommandExited`.
    RunCommand {
        /// What the answer will be known by.
        id: CommandId,
        /// What it is run for.
        purpose: CommandPurpose,
        /// Program and arguments.
        command: CommandLine,
        /// End it after this long.
        timeout: Option<Duration>,
    },
    /// See that the recovery settings of our own server name this primary (the loop); answered by
    /// `FollowPrepared`. There is one such wish at a time.
    PrepareFollow {
        /// Whom to follow.
        primary: NodeName,
        /// What `primary_conninfo` is to say. Holds a password.
        conninfo: Keywords,
        /// Where the settings are.
        data_directory: PathBuf,
    },
    /// Make this alert file (the loop).
    RaiseAlert {
        /// Which one.
        alert: Alert,
        /// Its content: what happened, one line; the time is put in front by who writes it.
        text: String,
    },
    /// Remove this alert file if it is there (the loop).
    ClearAlert(Alert),
    /// Write the state file: a decision was made (the loop).
    SaveState,
    /// Write the state file: what must survive a restart has changed, though no decision was made
    /// (the loop).
    SaveMemory,
    /// Send this measurement (the loop).
    Measure(Metric),
    /// Write this record to the log (the loop).
    Log {
        /// How grave it is.
        level: log::Level,
        /// One sentence.
        text: String,
    },
    /// Write this decision, which is no news, to the debug log (the loop). Not a sentence yet:
    /// hardly ever is there a reader.
    NoNews(Verdict),
}

impl Effect {
    /// Id and argv, if it is the wish to run a command.
    pub fn command(&self) -> Option<(CommandId, &[String])> {
        match self {
            Self::RunCommand { id, command, .. } => Some((*id, &command.argv)),
            _ => None,
        }
    }

    pub(super) fn info(text: String) -> Self {
        Self::Log {
            level: log::Level::Info,
            text,
        }
    }

    pub(super) fn warning(text: String) -> Self {
        Self::Log {
            level: log::Level::Warn,
            text,
        }
    }

    pub(super) fn error(text: String) -> Self {
        Self::Log {
            level: log::Level::Error,
            text,
        }
    }
}

/// Which probe an answer belongs to. A later probe has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// Which command an exit belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What a command is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandPurpose {
    /// `failover_command`: promote this node.
    Failover,
    /// `over_warning_limit_command`: tell somebody that lag is over the warning limit.
    LagWarning,
    /// `pg_stop_command`: stop our own server, whose recovery settings are others now.
    FollowStop,
    /// `pg_start_command`: start it again.
    FollowStart,
}

impl CommandPurpose {
    /// The key of the configuration that holds the command.
    pub fn key(self) -> &'static str {
        match self {
            Self::Failover => "failover_command",
            Self::LagWarning => "over_warning_limit_command",
            Self::FollowStop => "pg_stop_command",
            Self::FollowStart => "pg_start_command",
        }
    }
}

/// The alerts that are files in `alert_file_dir`; their file names are `compat`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alert {
    /// A server rejected our credentials.
    AuthenticationError,
    /// More than one connected primary.
    MultiplePrimaries,
    /// Lag is over the warning limit.
    ReplicationDelay,
    /// The failover command was run.
    FailoverHasHappened,
    /// A promotion was wanted and could not be done.
    FailoverFailed,
    /// There is a primary to follow, and this node is no standby.
    CannotFollow,
}
