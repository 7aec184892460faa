//! What the core is told: one closed list, each variant with who sends it.

use std::fmt;
use std::sync::Arc;

use super::{CommandId, ProbeId};
use crate::cluster::{NodeReport, ObserverReport, ProbeFailure};
use crate::config::{Config, NodeName, ObserverName};

/// A fact from outside. An answer names what it answers by id; one that is no longer wanted is
/// dropped by that id.
#[derive(Clone, Debug)]
pub enum Event {
    /// The configuration was read again and is good (SIGHUP; sent by the loop).
    ConfigLoaded(Arc<Config>),
    /// A poll that [`Effect::ProbeNode`](super::Effect::ProbeNode) asked for has ended (sent by the
    /// prober).
    NodeProbed {
        /// Whom it asked.
        node: NodeName,
        /// Which wish it answers.
        probe: ProbeId,
        /// What it brought home.
        outcome: Result<NodeReport, ProbeFailure>,
    },
    /// An idle connection was closed under us (sent by the prober).
    NodeLost {
        /// Whose connection.
        node: NodeName,
        /// What the system or the server said.
        failure: ProbeFailure,
    },
    /// A fetch that [`Effect::ProbeObserver`](super::Effect::ProbeObserver) asked for has ended
    /// (sent by the prober).
    ObserverProbed {
        /// Whom it asked.
        observer: ObserverName,
        /// Which wish it answers.
        probe: ProbeId,
        /// What it brought home.
        outcome: Result<ObserverReport, ProbeFailure>,
    },
    /// `POST /check` (sent by the web server).
    CheckRequested,
    /// A command that [`Effect::RunCommand`](super::Effect::RunCommand) asked for has ended or
    /// never began (sent by the loop).
    CommandExited {
        /// Which wish it answers.
        id: CommandId,
        /// How it ended.
        outcome: CommandOutcome,
    },
    /// The failover command that a former process has left running
    /// ([`PastFailover::process`](super::PastFailover::process)) runs no more (sent by the loop).
    FormerCommandEnded,
    /// The look at the recovery settings that
    /// [`Effect::PrepareFollow`](super::Effect::PrepareFollow) asked for has ended (sent by the
    /// loop).
    FollowPrepared(FollowOutcome),
    /// [`Lookout::next_deadline`](super::Lookout::next_deadline) has been reached (sent by the
    /// loop). Decisions are made here and nowhere else.
    DeadlineReached {
        /// Does the maintenance file exist.
        maintenance: bool,
    },
}

/// What a look at the recovery settings came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowOutcome {
    /// They name the primary now; the server has to be restarted.
    Changed,
    /// They named it already.
    Unchanged,
    /// They could not be read or written: why.
    Failed(String),
    /// Nobody knows: who looked did not come back. They may have been changed.
    Unknown(String),
    /// The server's files say that it is no standby: what is missing. Nothing was written.
    NotAStandby(String),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// It ended by itself with this exit status.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// It ran longer than its limit and was ended by us.
    TimedOut,
    /// It could not be started: the system's reason.
    NotStarted(String),
}

impl fmt::Display for CommandOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "ended with status {status}"),
            Self::Killed(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("ran longer than its limit and was ended"),
            Self::NotStarted(reason) => write!(f, "could not be started: {reason}"),
        }
    }
}
