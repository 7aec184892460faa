//! What is on its way and has not arrived yet, in the order of arrival.

use super::fault::{Death, Fault};
use super::lease_fault::LeaseFault;
use super::vote_fault::VoteFault;
use super::{HostId, Micros, NodeId};
use crate::cluster::{NodeReport, ObserverReport, ProbeFailure};
use crate::lookout::{CommandId, CommandOutcome, ProbeId};
use crate::votes::{Answer, Nonce, Request, SaveId};

/// The process of a daemon. What is for an earlier process is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessId {
    pub(super) host: HostId,
    /// Processes of this host before it.
    pub(super) number: u32,
}

/// A poll that a daemon has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poll {
    pub(super) from: ProcessId,
    pub(super) target: Target,
    /// When it times out.
    pub(super) deadline: Micros,
}

/// Whom a poll asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Node(NodeId, ProbeId),
    Observer(usize, ProbeId),
}

/// A failover command that was begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) by: ProcessId,
    pub(super) id: CommandId,
    /// Exit status; `None`: it cannot be started.
    pub(super) status: Option<i32>,
    /// Its place in the list of promotions.
    pub(super) promotion: usize,
}

/// A request for a vote, as it was sent; the same again, if it is repeated.
#[derive(Clone, Debug)]
pub(super) struct VoteRequest {
    pub(super) by: ProcessId,
    pub(super) to: HostId,
    /// An answer is bound to it.
    pub(super) number: u64,
    pub(super) request: Request,
    /// The one that the voter issued last to this process.
    pub(super) challenge: Option<Nonce>,
    /// Somebody has held it up, or repeats it.
    pub(super) is_late: bool,
}

/// A voter's answer to such a request.
#[derive(Clone, Debug)]
pub(super) struct VoteReply {
    pub(super) to: ProcessId,
    pub(super) voter: HostId,
    /// Of the request.
    pub(super) number: u64,
    pub(super) answer: Answer,
    /// For the next request.
    pub(super) challenge: Option<Nonce>,
}

/// What concerns votes.
pub(super) enum VoteMessage {
    /// A request reaches a voter.
    Asked(VoteRequest),
    /// An answer reaches whoever has asked.
    Answered(VoteReply),
    /// A daemon waits no longer for a voter's answer to this request: why.
    Unanswered(ProcessId, HostId, u64, &'static str),
    /// A daemon looks at its vote file.
    Looks(ProcessId),
    /// The write of this number on this host has put the new file in the place of the old one.
    Renamed(HostId, u64),
    /// It has ended.
    Written(HostId, u64),
    /// A daemon learns that its write has ended; has it happened.
    Saved(ProcessId, SaveId, bool),
}

/// Who runs a fence command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FencedBy {
    Daemon(ProcessId, CommandId),
    /// The guard of this number.
    Guard(u64),
}

impl FencedBy {
    fn daemon(self) -> Option<HostId> {
        match self {
            Self::Daemon(process, _) => Some(process.host),
            Self::Guard(_) => None,
        }
    }
}

/// A fence command that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FenceRun {
    pub(super) host: HostId,
    /// Boots of the machine before: it ends with it.
    pub(super) boots: u32,
    pub(super) by: FencedBy,
    /// Exit status; `None`: it takes too long, and is ended.
    pub(super) status: Option<i32>,
}

/// What concerns leases.
#[derive(Clone, Copy, Debug)]
pub(super) enum LeaseMessage {
    /// The deadline of the guard of this number may have come.
    GuardDue(HostId, u64),
    /// The file of guards names this one, or none.
    TakesOver(HostId, Option<u64>),
    /// A guard runs its fence command once more.
    FencesAgain(HostId, u64),
    /// A fence command stops the server, unless the machine was booted since so many boots.
    FenceStops(HostId, u32),
    /// A fence command ends.
    FenceEnds(FenceRun),
    /// Whoever has run it learns of that.
    FenceExited(FenceRun),
    /// A server waits at the gate; the boots as above.
    GateAsks(NodeId, u32),
    /// What is left of a failover command that has failed promotes the server after all, unless it was
    /// started again since then.
    PromotesLate(NodeId, i64),
    /// A host that stands still until then goes on.
    Wakes(HostId, Micros),
}

/// What concerns switchovers.
#[derive(Clone, Debug)]
pub(super) enum SwitchoverMessage {
    /// The demote command of this number shuts the server down, unless the machine was booted since so
    /// many boots.
    Stops(HostId, u32, u64),
    /// It ends like this, and whoever has run it learns of that.
    Ends(ProcessId, u64, CommandOutcome),
    /// A daemon has read the control file of its server.
    ControlRead(ProcessId),
}

/// What arrives.
pub(super) enum Message {
    /// A poll reaches whom it asks.
    Request(Poll),
    /// A poll of a node ends.
    NodeReport(ProcessId, NodeId, ProbeId, Result<NodeReport, ProbeFailure>),
    /// A poll of an observer ends.
    ObserverReport(
        ProcessId,
        usize,
        ProbeId,
        Result<ObserverReport, ProbeFailure>,
    ),
    /// A failover command ends.
    CommandEnds(Command),
    /// A daemon learns that its failover command has ended.
    CommandExited(Command),
    /// A command that stops or starts a server ends, with this status.
    ServerCommandEnds(ProcessId, CommandId, i32),
    /// An idle connection to a node was closed.
    ConnectionLost(ProcessId, NodeId),
    /// A database has started.
    Ready(NodeId),
    /// A daemon that runs seldom since then is stopped again.
    StopsAgain(HostId, Micros),
    /// What concerns votes.
    Votes(Box<VoteMessage>),
    /// What concerns leases.
    Leases(LeaseMessage),
    /// What concerns switchovers.
    Switchovers(SwitchoverMessage),
    /// The next fault of the schedule.
    Fault(Fault),
}

/// Everything that is on its way.
#[derive(Default)]
pub(super) struct InFlight {
    /// The last one arrives next, and of one moment what was sent first.
    messages: Vec<(Micros, Message)>,
}

impl Message {
    /// The daemon that has to look at it. While its process is stopped, it waits.
    pub(super) fn addressee(&self) -> Option<HostId> {
        match self {
            Self::NodeReport(process, ..)
            | Self::ObserverReport(process, ..)
            | Self::ConnectionLost(process, _)
            | Self::ServerCommandEnds(process, ..)
            | Self::CommandExited(Command { by: process, .. }) => Some(process.host),
            Self::Votes(message) => message.addressee(),
            Self::Leases(LeaseMessage::FenceExited(run)) => run.by.daemon(),
            Self::Switchovers(
                SwitchoverMessage::Ends(process, ..) | SwitchoverMessage::ControlRead(process),
            ) => Some(process.host),
            Self::Fault(fault) => signalled(fault),
            Self::Leases(_)
            | Self::Switchovers(SwitchoverMessage::Stops(..))
            | Self::Request(_)
            | Self::CommandEnds(_)
            | Self::Ready(_)
            | Self::StopsAgain(..) => None,
        }
    }

    /// The host on which it happens, whoever has to look at it. While that stands still, it waits.
    pub(super) fn place(&self) -> Option<HostId> {
        match self {
            Self::CommandEnds(Command { by, .. }) => Some(by.host),
            Self::Ready(host)
            | Self::StopsAgain(host, _)
            | Self::Switchovers(SwitchoverMessage::Stops(host, ..)) => Some(*host),
            Self::Leases(message) => message.place(),
            Self::Votes(message) => match **message {
                VoteMessage::Renamed(host, _) | VoteMessage::Written(host, _) => Some(host),
                _ => None,
            },
            Self::Fault(fault) => process_fault(fault),
            Self::NodeReport(..)
            | Self::ObserverReport(..)
            | Self::ConnectionLost(..)
            | Self::ServerCommandEnds(..)
            | Self::CommandExited(_)
            | Self::Switchovers(_)
            | Self::Request(_) => None,
        }
    }

    fn is_signal_to(&self, host: HostId) -> bool {
        matches!(self, Self::Fault(fault) if signalled(fault) == Some(host))
    }
}

impl LeaseMessage {
    fn place(&self) -> Option<HostId> {
        match self {
            Self::GuardDue(host, _)
            | Self::TakesOver(host, _)
            | Self::FencesAgain(host, _)
            | Self::FenceStops(host, _)
            | Self::GateAsks(host, _)
            | Self::PromotesLate(host, _) => Some(*host),
            Self::FenceEnds(run) | Self::FenceExited(run) => Some(run.host),
            Self::Wakes(..) => None,
        }
    }
}

impl VoteMessage {
    fn addressee(&self) -> Option<HostId> {
        match self {
            Self::Asked(request) => Some(request.to),
            Self::Answered(reply) => Some(reply.to.host),
            Self::Unanswered(process, ..) | Self::Looks(process) | Self::Saved(process, ..) => {
                Some(process.host)
            }
            // Another process writes.
            Self::Renamed(..) | Self::Written(..) => None,
        }
    }
}

/// The host whose processes have to run for this to happen, or whose clock.
fn process_fault(fault: &Fault) -> Option<HostId> {
    match *fault {
        Fault::Restarts(host)
        | Fault::Forgets(host)
        | Fault::Daemon(host, _)
        | Fault::Stops(host, _)
        | Fault::RunsSeldom(host, _)
        | Fault::Starts(host)
        | Fault::Dies(host, Death::Crash | Death::Hang)
        | Fault::Follows(host, _)
        | Fault::Repoints(host, _)
        | Fault::StepsClock(host, _)
        | Fault::Leases(LeaseFault::Rate(host, _) | LeaseFault::Sleeps(host, ..)) => Some(host),
        _ => None,
    }
}

/// The daemon that has to act for this to happen: on a signal, or on a request.
fn signalled(fault: &Fault) -> Option<HostId> {
    match *fault {
        Fault::Check(host)
        | Fault::SetsPause(host, _)
        | Fault::Configured(host, ..)
        | Fault::Misspells(host, ..)
        | Fault::Corrects(host, _)
        | Fault::Gone(host, _)
        | Fault::ForgetsGone(host)
        | Fault::Limit(host, _)
        | Fault::Prefers(host, _)
        | Fault::PollsOnWarning(host)
        | Fault::Interval(host, _)
        | Fault::Votes(VoteFault::Edits(host, ..)) => Some(host),
        _ => None,
    }
}

impl InFlight {
    pub(super) fn add(&mut self, at: Micros, message: Message) {
        let place = self.messages.partition_point(|(later, _)| *later > at);
        self.messages.insert(place, (at, message));
    }

    pub(super) fn next_at(&self) -> Option<Micros> {
        self.messages.last().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Micros) -> Option<Message> {
        let is_due = self.next_at().is_some_and(|at| at <= now);
        let (_, message) = is_due.then(|| self.messages.pop()).flatten()?;
        Some(message)
    }

    /// Takes out what waits for daemons that are stopped, by this test, the earliest first.
    pub(super) fn take_waiting(&mut self, waits: impl Fn(&Message) -> bool) -> Vec<Message> {
        let all = std::mem::take(&mut self.messages).into_iter();
        let (waiting, rest): (Vec<_>, Vec<_>) = all.partition(|(_, message)| waits(message));
        self.messages = rest;
        waiting
            .into_iter()
            .rev()
            .map(|(_, message)| message)
            .collect()
    }

    /// The signals that wait for this daemon until then wait for longer.
    pub(super) fn put_off_signals(&mut self, host: HostId, from: Micros, until: Micros) {
        let all = std::mem::take(&mut self.messages).into_iter();
        let waits = |(at, message): &(Micros, Message)| *at == from && message.is_signal_to(host);
        let (waiting, rest): (Vec<_>, Vec<_>) = all.partition(waits);
        self.messages = rest;
        for (_, message) in waiting.into_iter().rev() {
            self.add(until, message);
        }
    }

    /// Drops the signals that wait for this daemon until then.
    pub(super) fn drop_signals(&mut self, host: HostId, until: Micros) {
        self.messages
            .retain(|(at, message)| *at != until || !message.is_signal_to(host));
    }
}
