//! What the core wants done: one closed list, each variant with who acts on it. Carrying one out
//! never calls the core; what comes of it is a later event.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Memory, Metric, Repeated, Round};
use crate::config::{ClusterName, CommandLine, Keywords, NodeName, ObserverName};
use crate::time::Monotonic;
use crate::votes::{Answer, ExchangeId, Record, Request, SaveId};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask this node now (the prober); answered by `NodeProbed`.
    ProbeNode {
        /// The node to poll.
        node: NodeName,
        /// The answer carries the same.
        probe: ProbeId,
        /// The name that our session on the server is to bear while it is polled (behaviour.md,
        /// "Presence").
        session: Arc<str>,
    },
    /// Fetch this observer's `/state.json` now (the prober); answered by `ObserverProbed`.
    ProbeObserver {
        /// The observer to poll.
        observer: ObserverName,
        /// The answer carries the same.
        probe: ProbeId,
    },
    /// Run this command (the loop); answered by `CommandStarted` and `CommandExited`, or by the
    /// latter alone.
    RunCommand {
        /// The answers carry the same.
        id: CommandId,
        /// What it is run for.
        purpose: CommandPurpose,
        /// Program and arguments.
        command: CommandLine,
        /// End it after this long.
        timeout: Option<Duration>,
    },
    /// See that the recovery settings of our own server name this primary (the loop); answered by
    /// `FollowPrepared`. There is one such request at a time.
    PrepareFollow {
        /// Whom to follow.
        primary: NodeName,
        /// What `primary_conninfo` is to be. Holds a password.
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
    /// Write the state file (the loop): what must survive a restart has changed, another verdict was
    /// reached, a node was lost or found, or the last one has become old. At most one a turn, and the
    /// last effect of it.
    Save(Arc<Saved>),
    /// Ask this voter (the client of the voters); answered by `VoteAnswered`. What was asked of the
    /// same voter before is given up.
    SendVote(Request),
    /// Answer this request for our vote (the web server).
    AnswerVote {
        /// Of `VoteRequested`.
        id: ExchangeId,
        /// The answer.
        answer: Answer,
    },
    /// Write the vote file (the loop); answered by `VoteSaved`, also each time that it fails, until it
    /// has happened.
    SaveVote {
        /// Of which cluster.
        cluster: ClusterName,
        /// The answers carry the same.
        id: SaveId,
        /// Its content.
        record: Record,
    },
    /// Then the guard is to fence our own server, by a clock that goes on while the host is suspended,
    /// whatever has become of this process; `None`: it has nothing to do (the loop).
    ArmGuard(Option<Monotonic>),
    /// Read the control file of the server with this data directory (the loop); answered by
    /// `ControlRead`. There is one such request at a time.
    ReadControl(PathBuf),
    /// End this command and whatever it has started (the loop); answered by `CommandExited`.
    EndCommand(CommandId),
    /// Send this measurement (the loop).
    Measure(Metric),
    /// Write this record to the log (the loop).
    Log {
        /// How grave it is.
        level: log::Level,
        /// One sentence.
        text: String,
    },
    /// A decision was made: write it to the log (the loop, the recorder, replay). Not a sentence
    /// yet: what is no news is for the debug log, which hardly ever has a reader.
    Decided {
        /// The decision with its figures.
        round: Arc<Round>,
        /// The level of its line in the log.
        level: log::Level,
        /// What is to be logged first: how often the decision before was repeated.
        repeated: Option<Repeated>,
    },
}

/// The content of the state file that is the core's, besides the facts about the nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// What a later process must know.
    pub memory: Memory,
    /// The last decision, if one has been made.
    pub round: Option<Arc<Round>>,
}

impl Effect {
    /// Id and argv, if it is a command to run.
    pub fn command(&self) -> Option<(CommandId, &[String])> {
        let Self::RunCommand { id, command, .. } = self else {
            return None;
        };
        Some((*id, &command.argv))
    }

    /// What it is run for, and its id, if it is a command to run.
    pub fn purpose(&self) -> Option<(CommandPurpose, CommandId)> {
        let Self::RunCommand { id, purpose, .. } = self else {
            return None;
        };
        Some((*purpose, *id))
    }

    /// The decision, if it is one.
    pub fn decided(&self) -> Option<&Arc<Round>> {
        let Self::Decided { round, .. } = self else {
            return None;
        };
        Some(round)
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
    /// `over_warning_limit_command`: notify somebody that lag is over the warning limit.
    LagWarning,
    /// `isolated_primary_command`: our own primary is cut off.
    Isolation,
    /// `pg_stop_command`: stop our own server, whose recovery settings are others now.
    FollowStop,
    /// `pg_start_command`: start it again; also where a switchover is given up.
    FollowStart,
    /// `fence_command`: our own server is to take no more commits.
    Fence,
    /// `unfence_command`: start our own server, a primary that was fenced, under its renewed lease.
    Unfence,
    /// `demote_command`: stop our own server, a primary, as planned.
    Demote,
}

impl CommandPurpose {
    /// The key of the configuration that holds the command.
    pub fn key(self) -> &'static str {
        match self {
            Self::Failover => "failover_command",
            Self::LagWarning => "over_warning_limit_command",
            Self::Isolation => "isolated_primary_command",
            Self::FollowStop => "pg_stop_command",
            Self::FollowStart => "pg_start_command",
            Self::Fence => "fence_command",
            Self::Unfence => "unfence_command",
            Self::Demote => "demote_command",
        }
    }
}

/// The alerts that are files in `alert_file_dir`; their file names are `format`'s.
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
    /// No primary for two limits, and this node was not promoted.
    FailoverStuck,
    /// A standby is of another history than the primary.
    DivergedStandby,
    /// The primary comes and goes.
    PrimaryFlapping,
    /// The primary answers, and its WAL does not grow any more.
    PrimaryNotWriting,
    /// This daemon votes for nobody: its vote file cannot be used, or written.
    VoteFileUnusable,
    /// Voters have other lists of voters, or watch other servers.
    VotersDisagree,
    /// The lease of our own primary was not renewed in time: it is fenced.
    LeaseLost,
    /// Our own server is to be fenced, and that has failed.
    FenceFailed,
    /// The watchdog device would not reset this host by the end of a lease.
    WatchdogUnusable,
}

impl Alert {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::AuthenticationError,
        Self::MultiplePrimaries,
        Self::ReplicationDelay,
        Self::FailoverHasHappened,
        Self::FailoverFailed,
        Self::CannotFollow,
        Self::FailoverStuck,
        Self::DivergedStandby,
        Self::PrimaryFlapping,
        Self::PrimaryNotWriting,
        Self::VoteFileUnusable,
        Self::VotersDisagree,
        Self::LeaseLost,
        Self::FenceFailed,
        Self::WatchdogUnusable,
    ];
}
