//! What one probe of a node or an observer brought home: a report, or a failure that says who is to
//! blame.

use std::collections::BTreeMap;
use std::fmt;

use super::{Lsn, Presence};
use crate::config::{NodeName, ObserverName};
use crate::time::WallTime;

/// One answered status query.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeReport {
    /// The server's `now()`.
    pub db_time: WallTime,
    /// What the server says it is, with the facts that only such a server has.
    pub role: RoleReport,
    /// Which server it is.
    pub identity: Identity,
    /// The daemons whose sessions the server shows, ours among them; `None` where it shows none.
    pub daemons: Option<Vec<Presence>>,
}

/// Which server this is, and of which history its data are. What a server does not let us read is
/// `None`, and rules that need it are skipped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// `pg_control_system().system_identifier`: the same for a primary and its standbys.
    pub system: Option<String>,
    /// `pg_postmaster_start_time()`.
    pub started: Option<WallTime>,
    /// The timeline of the server's data.
    pub timeline: Option<u32>,
    /// What is shown of it, and nothing is decided by.
    pub shown: ServerFacts,
}

/// What operators are shown of a server besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `server_version`.
    pub version: Option<String>,
    /// Does `pg_rewind` work with it: `wal_log_hints` or data checksums are on.
    pub can_be_rewound: Option<bool>,
    /// Host and port from which a standby streams, as its server calls them: for accounts with
    /// `pg_monitor`, from PostgreSQL 11 on.
    pub upstream: Option<String>,
}

/// `pg_is_in_recovery()` and what goes with each answer.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleReport {
    /// Not in recovery.
    Primary {
        /// `pg_current_wal_lsn()`.
        lsn: Option<Lsn>,
        /// Logical, non-temporary replication slots.
        slots: Vec<ReplicationSlot>,
    },
    /// In recovery.
    Standby {
        /// `pg_last_wal_receive_lsn()`: null before streaming has begun.
        receive: Option<Lsn>,
        /// `pg_last_wal_replay_lsn()`.
        replay: Option<Lsn>,
        /// `pg_last_xact_replay_timestamp()`: commit time of the last replayed transaction.
        last_replay: Option<WallTime>,
    },
}

/// A logical, non-temporary replication slot of a primary, as `/state.json` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicationSlot {
    /// `slot_name`.
    pub name: String,
    /// `plugin`.
    pub plugin: String,
    /// `slot_type`.
    pub slot_type: String,
    /// `database`.
    pub database: Option<String>,
    /// `catalog_xmin`, as the server prints it.
    pub catalog_xmin: Option<String>,
    /// `restart_lsn`, as the server prints it.
    pub restart_lsn: Option<String>,
    /// `confirmed_flush_lsn`, as the server prints it.
    pub confirmed_flush_lsn: Option<String>,
    /// The slot's state file in base64; `None` where the account may not read it.
    pub state_data: Option<String>,
}

/// One good answer of an observer's `/state.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct ObserverReport {
    /// The observer's wall clock when it answered: its `Date` header, whole seconds.
    pub date: WallTime,
    /// What it says of each node, also of nodes that are none of ours (ignored when merged).
    pub nodes: BTreeMap<NodeName, ObservedNode>,
}

/// By whose report something is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Witness {
    /// Our own poll.
    Ourselves,
    /// An observer's answer.
    Observer(ObserverName),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ourselves => f.write_str("own poll"),
            Self::Observer(observer) => write!(f, "observer {observer}"),
        }
    }
}

/// An observer's entry for one node.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedNode {
    /// When the observer last asked the node, by the observer's wall clock.
    pub fetch_time: WallTime,
    /// Did that attempt succeed.
    pub connection: bool,
    /// The node's clock at its last answer.
    pub db_time: Option<WallTime>,
    /// The role that the node last reported; `None`: never to this observer.
    pub in_recovery: Option<bool>,
    /// Receive position of a standby.
    pub receive: Option<Lsn>,
    /// Replay position of a standby, current position of a primary.
    pub replay: Option<Lsn>,
    /// Commit time of the last replayed transaction.
    pub last_replay: Option<WallTime>,
    /// Which server it is.
    pub identity: Identity,
    /// The daemons whose sessions the node showed at its last answer.
    pub daemons: Option<Vec<Presence>>,
}

/// Why a probe brought nothing home, grouped by who is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// Nobody there: no address, refused or reset connection, no route.
    Unreachable {
        /// The error of the system or the resolver.
        reason: String,
    },
    /// No answer within `poll_timeout`.
    TimedOut {
        /// What was waited for.
        step: ProbeStep,
    },
    /// One side does not accept who the other is: SQLSTATE class 28, a failed SCRAM proof, a
    /// certificate that cannot be verified, a way of logging in that the operator does not allow. A
    /// server lives that may well be the one we mean.
    AuthenticationRejected {
        /// The server's message (with its SQLSTATE), control characters escaped; or what we do not
        /// accept.
        message: String,
    },
    /// A living server that refuses us for another reason: no such database, too many connections,
    /// a failed query, an authentication method that we do not support.
    Refused {
        /// The server's message (with its SQLSTATE), control characters escaped.
        message: String,
    },
    /// "Starting up" or "shutting down" (57P03, 57P01, 57P02): an outage like another.
    NotReady {
        /// The server's message (with its SQLSTATE), control characters escaped.
        message: String,
    },
    /// Something answered, but not as the protocol says.
    ProtocolError {
        /// What was wrong, and what was expected.
        reason: String,
    },
}

impl ProbeFailure {
    /// Was it a living server that turned us away ("refused" is not "dead", behaviour.md
    /// "Polling").
    pub fn is_living_refusal(&self) -> bool {
        matches!(
            self,
            Self::AuthenticationRejected { .. } | Self::Refused { .. }
        )
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { reason } => write!(f, "unreachable: {reason}"),
            Self::TimedOut { step } => write!(f, "timed out while {step}"),
            Self::AuthenticationRejected { message } => {
                write!(f, "authentication rejected: {message}")
            }
            Self::Refused { message } => write!(f, "rejected by the server: {message}"),
            Self::NotReady { message } => write!(f, "not ready: {message}"),
            Self::ProtocolError { reason } => write!(f, "protocol error: {reason}"),
        }
    }
}

/// What a probe was waiting for when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeStep {
    /// Looking up the name.
    Resolving,
    /// The TCP or Unix connection.
    Connecting,
    /// Encryption, authentication, start-up.
    LoggingIn,
    /// The answer to the query or request.
    Answering,
}

impl fmt::Display for ProbeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "looking up the host name",
            Self::Connecting => "connecting",
            Self::LoggingIn => "logging in",
            Self::Answering => "waiting for the answer",
        })
    }
}
