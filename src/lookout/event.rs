//! What happens to the core: one closed list, each variant with who sends it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{CommandId, Look, ProbeId, Process};
use crate::cluster::{ControlData, NodeReport, ObserverReport, PauseMark, ProbeFailure};
use crate::config::{ClusterName, Config, NodeName, ObserverName, VoterName};
use crate::votes::{Answer, ExchangeId, Kind, Nonce, Record, Request, Resumed, SaveId};

/// A fact from outside. An answer names what it answers by id; one that is no longer wanted is
/// dropped by that id.
#[derive(Clone, Debug)]
pub enum Event {
    /// The configuration was read again and is good (SIGHUP; sent by the loop).
    ConfigLoaded(Arc<Config>),
    /// A poll that [`Effect::ProbeNode`](super::Effect::ProbeNode) asked for has ended (sent by the
    /// prober).
    NodeProbed {
        /// The node that was polled.
        node: NodeName,
        /// The request that this answers. `None`: whichever is under way, and news where none is
        /// (sent by replay: a timeline written by hand requests nothing).
        probe: Option<ProbeId>,
        /// The report, or the reason why there is none.
        outcome: Result<NodeReport, ProbeFailure>,
    },
    /// An idle connection was closed by the other side (sent by the prober).
    NodeLost {
        /// The node that was connected.
        node: NodeName,
        /// The error of the system or the server.
        failure: ProbeFailure,
    },
    /// A fetch that [`Effect::ProbeObserver`](super::Effect::ProbeObserver) asked for has ended
    /// (sent by the prober).
    ObserverProbed {
        /// The observer that was polled.
        observer: ObserverName,
        /// As in [`Event::NodeProbed`].
        probe: Option<ProbeId>,
        /// The report, or the reason why there is none.
        outcome: Result<ObserverReport, ProbeFailure>,
    },
    /// `POST /check` (sent by the web server).
    CheckRequested,
    /// An operator has paused or resumed the cluster on this host (sent by the loop). Marks that are
    /// not newer than what is known change nothing.
    PauseSet(PauseMark),
    /// A command that [`Effect::RunCommand`](super::Effect::RunCommand) asked for has been started
    /// (sent by the loop).
    CommandStarted {
        /// The request that this answers.
        id: CommandId,
        /// The process that runs it, where it can be distinguished from every other.
        process: Option<Process>,
    },
    /// A command that [`Effect::RunCommand`](super::Effect::RunCommand) asked for has ended or
    /// never began (sent by the loop).
    CommandExited {
        /// The request that this answers.
        id: CommandId,
        /// How it ended.
        outcome: CommandOutcome,
    },
    /// News of the failover command that the previous process of this daemon left running
    /// ([`PastFailover::process`](super::PastFailover::process); sent by the loop).
    PreviousCommand(PreviousCommand),
    /// The look at the recovery settings that
    /// [`Effect::PrepareFollow`](super::Effect::PrepareFollow) asked for has ended (sent by the
    /// loop).
    FollowPrepared(FollowOutcome),
    /// A vote file was read, at the start or because a configuration names another one (sent by the
    /// loop).
    VoteFileRead {
        /// Of which cluster.
        cluster: ClusterName,
        /// Its content, or why it cannot be used.
        found: Result<Record, String>,
        /// Random bits.
        seed: u128,
        /// Where a daemon stood when a recording of it began (sent by replay).
        resumed: Option<Box<Resumed>>,
    },
    /// Another daemon asks for our vote. It has proved that it knows the secret, and that the request
    /// is new (sent by the web server); answered by
    /// [`Effect::AnswerVote`](super::Effect::AnswerVote).
    VoteRequested {
        /// The answer carries the same.
        id: ExchangeId,
        /// What it asks for.
        request: Request,
    },
    /// A request that [`Effect::SendVote`](super::Effect::SendVote) asked for has ended (sent by the
    /// client of the voters).
    VoteAnswered {
        /// Of which cluster.
        cluster: ClusterName,
        /// Who was asked.
        voter: VoterName,
        /// Which attempt it was for, and what was asked.
        of: (Nonce, Kind),
        /// The answer, or why there is none.
        outcome: Result<Answer, String>,
    },
    /// A write that [`Effect::SaveVote`](super::Effect::SaveVote) asked for has come back. One that has
    /// failed is repeated (sent by the loop).
    VoteSaved {
        /// Of which cluster.
        cluster: ClusterName,
        /// The request that this answers.
        id: SaveId,
        /// It has happened.
        done: bool,
    },
    /// This host was suspended for so long since the turn before: the clock of leases has gone on, ours has
    /// not (sent by the loop, before anything else of its turn, where there are leases).
    HostSlept(Duration),
    /// How the watchdog device stands: how it counts, or why it would not reset this host by the end of a lease
    /// (sent by the loop, from the guard).
    WatchdogSeen(Result<String, String>),
    /// An operator asks for a switchover on this host (sent by the loop). One that is known already
    /// changes nothing.
    SwitchoverRequested(SwitchoverRequest),
    /// The control file that [`Effect::ReadControl`](super::Effect::ReadControl) asked for was read, or
    /// why not (sent by the loop).
    ControlRead(Result<ControlData, String>),
    /// This process is about to end (SIGTERM; sent by the loop): from now on nothing is decided, and
    /// only the ends of commands still count.
    Stopping,
    /// A timeline gives a turn (sent by replay to a core
    /// [with given turns](super::Lookout::with_given_turns), and by nobody else).
    Turn(GivenTurn),
}

/// What `pglookout switchover` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchoverRequest {
    /// No other request has it.
    pub id: Nonce,
    /// Which node is to be the primary.
    pub to: NodeName,
    /// Rule S1 is looked at, and nothing is changed.
    pub dry_run: bool,
}

/// What a given turn is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenTurn {
    /// Whatever is due by now, as in a live daemon.
    Deadlines,
    /// A decision, whatever is due. A regular one may repeat what was tried before.
    Decision(Look),
    /// The facts that the last decision wanted do not come in time.
    FreshFactsOverdue,
}

/// What is known of a command that the previous process of this daemon left running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviousCommand {
    /// It runs no more; nobody was there to see how it ended.
    Ended,
    /// Processes cannot be seen here, so its end cannot be either.
    Unobservable,
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
    /// By its files the server is no standby: what is missing. Nothing was written.
    NotAStandby(String),
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// It ended by itself with this exit status.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// It timed out and was killed by us.
    TimedOut,
    /// It could not be started: the system's reason.
    NotStarted(String),
}

impl fmt::Display for CommandOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Killed(signal) => write!(f, "was killed by signal {signal}"),
            Self::TimedOut => f.write_str("timed out and was killed"),
            Self::NotStarted(reason) => write!(f, "could not be started: {reason}"),
        }
    }
}
