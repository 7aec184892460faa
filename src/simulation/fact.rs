//! What a watcher of a run learns: each fact just before it takes effect, so that the world beside
//! it is as it was until then.

use super::fault::Fault;
use super::lease_fault::Sleep;
use super::promotions::Promotion;
use super::{HostId, Micros, NodeId};
use crate::lookout::{Effect, Event, Memory, ProbeId};
use crate::votes::Record;

/// What is about to happen.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// A fault of the schedule.
    Fault(&'a Fault),
    /// A process of a daemon starts. The first ones, at time 0, are not mentioned.
    Started {
        /// Where.
        host: HostId,
        /// What the state file holds, if there is one.
        memory: Option<&'a Memory>,
        /// The machine was booted as well.
        boot: bool,
    },
    /// A daemon is stopped (SIGSTOP) until then.
    Stopped {
        /// Whose daemon.
        host: HostId,
        /// When it goes on.
        until: Micros,
    },
    /// Everything on a host stands still from now on.
    Sleeps(HostId, Sleep),
    /// It goes on.
    Wakes(HostId, Sleep),
    /// A daemon that is stopped goes on early.
    Resumed(HostId),
    /// A core is given an event.
    Event {
        /// Whose core.
        host: HostId,
        /// What it learns.
        event: &'a Event,
    },
    /// What a core wants done is carried out, all of one turn.
    Effects {
        /// Whose core, as it is after the turn.
        host: HostId,
        /// In order.
        effects: &'a [Effect],
    },
    /// A state file is written.
    Saved(HostId),
    /// A vote file has reached the disk, and is there after a power loss as well.
    VoteFileWritten {
        /// Where.
        host: HostId,
        /// What it holds now.
        record: &'a Record,
    },
    /// An observer's daemon has made its report for another daemon, which will get it, or not.
    ReportMade {
        /// Which observer.
        observer: usize,
        /// Whose poll it answers.
        to: HostId,
        /// Which poll.
        probe: ProbeId,
    },
    /// A failover command is begun.
    CommandBegins(&'a Promotion),
    /// A failover command has ended, and promotes its node if it succeeded.
    CommandEnds {
        /// Whose, by its place in the list of promotions.
        promotion: usize,
        /// Its success.
        success: bool,
    },
    /// A fence command begins on this host, whoever runs it.
    FenceBegins(HostId),
    /// It stops the server.
    FenceStops(HostId),
    /// It has ended.
    FenceEnds {
        /// Where.
        host: HostId,
        /// With 0.
        is_done: bool,
    },
    /// A server starts as a primary without the gate.
    StartsWithoutGate(NodeId),
    /// What was left of a failover command that has failed promotes this server.
    PromotesLate(NodeId),
    /// An operator promotes this server, whatever the votes are.
    PromotesByHand(NodeId),
    /// Where leases are in force: everything has worked again for so long that there must be a writer.
    Recovered,
    /// A core asks to be called again and again at one time; the run ends.
    ClockStandsStill,
    /// The safety phase of the schedule is over.
    FaultsAreOver,
    /// Nothing has happened for so long that somebody must have been promoted where that is possible.
    Waited,
    /// Everything is mended and started again, and the databases have one primary.
    Healed,
    /// Everything has been well for so long that everybody should agree.
    AllIsWell,
    /// This primary died at that time of the liveness phase, and nothing else happened since.
    Outlived {
        /// Which node.
        primary: NodeId,
        /// When it died.
        died: Micros,
    },
}
