//! What can go wrong in a schedule, one thing at a time, and in a line of text for people.

use std::fmt;

use super::lease_fault::LeaseFault;
use super::setup::Setup;
use super::switchover_fault::SwitchoverFault;
use super::units::seconds;
use super::vote_fault::VoteFault;
use super::{HostId, Micros, NodeId};

/// One fault and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// From the start of the schedule.
    pub at: Micros,
    /// What happens then.
    pub fault: Fault,
}

/// How a primary dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Its processes end.
    Crash,
    /// The host is gone.
    HostDown,
    /// It accepts connections and answers nothing.
    Hang,
}

/// How a running server rejects connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Rejected credentials.
    Login,
    /// Too many connections.
    Slots,
}

/// What an observer reports against the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// This node is a primary, reached just now.
    Primary(NodeId),
    /// Every node is a standby, reached just now.
    AllStandbys,
    /// Nobody can be reached.
    AllGone,
    /// It goes on reporting what it knew at this moment, under the date of today.
    Frozen,
    /// Its dates are so many seconds off.
    Date(i64),
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Connections from one host to another are cut, or mended.
    Path(HostId, HostId, bool),
    /// Nobody reaches this host, and it reaches nobody.
    Isolate(HostId),
    /// Hosts are cut off from those of the other group: a bit per host.
    Split(u32),
    /// Every path is whole again.
    Mend,
    /// Exchanges take so much longer.
    Slow(HostId, HostId, Micros),
    /// So many exchanges out of a hundred are lost.
    Lossy(HostId, HostId, u64),
    /// A database dies.
    Dies(NodeId, Death),
    /// A database starts again, as what it was; where leases are in force, through the gate.
    Starts(NodeId),
    /// A database rejects all connections, or no longer.
    Refuses(NodeId, Option<Refusal>),
    /// A database has no connection left for these hosts, a bit per host.
    OutOfSlots(NodeId, u32),
    /// A standby stops replaying, or goes on.
    Pauses(NodeId, bool),
    /// A standby replays so long after each commit, or at once.
    Delays(NodeId, Micros),
    /// A standby streams from nobody, and is fed by an archive.
    FedByArchive(NodeId),
    /// A standby streams from another node; an old primary is made a standby.
    Follows(NodeId, NodeId),
    /// A standby is pointed at another node, as a cascade or by mistake, and nothing is rewound.
    Repoints(NodeId, NodeId),
    /// The replication slot of a standby is dropped: it gets no more WAL until it is made a standby
    /// anew.
    LosesSlot(NodeId),
    /// The wall clock of a host is stepped by so many seconds.
    StepsClock(HostId, i64),
    /// A daemon is killed and started again, with what it has saved.
    Restarts(HostId),
    /// A daemon is stopped for so long, and goes on.
    Stops(HostId, Micros),
    /// A daemon runs for so long of every so long from now on, or all the time again.
    RunsSeldom(HostId, Option<(Micros, Micros)>),
    /// A daemon is killed and started again, and what it has saved is lost.
    Forgets(HostId),
    /// A daemon is killed and stays away, or is started again.
    Daemon(HostId, bool),
    /// The machine is booted: daemon and monotonic clock start again, and where leases are in force the
    /// server.
    Reboots(HostId),
    /// An observer lies, or no longer.
    Lies(HostId, Option<Lie>),
    /// How failover commands of this host end from now on: status (none: it cannot be started) and
    /// time.
    Commands(HostId, Option<i32>, Micros),
    /// Failover commands of this host restart its server.
    RestartsToPromote(HostId),
    /// The maintenance file of a host appears or goes.
    Maintenance(HostId, bool),
    /// An operator pauses the cluster, or resumes it, on this host.
    SetsPause(HostId, bool),
    /// POST /check.
    Check(HostId),
    /// An idle connection of a daemon to a node is closed.
    Lost(HostId, NodeId),
    /// A reload leaves this node out of the configuration of this host, or takes it in again.
    Configured(HostId, NodeId, bool),
    /// A reload brings a typing error in the name of this node on this host, and a wrong address
    /// with it or not.
    Misspells(HostId, NodeId, bool),
    /// A reload corrects the name and the address of this node on this host.
    Corrects(HostId, NodeId),
    /// A reload declares this node gone, on this host.
    Gone(HostId, NodeId),
    /// A reload forgets the nodes that are declared gone, on this host.
    ForgetsGone(HostId),
    /// A reload changes the failover limit, on this host alone.
    Limit(HostId, Micros),
    /// A reload prefers this node, on this host alone.
    Prefers(HostId, NodeId),
    /// A reload has observers polled only on a warning, on this host.
    PollsOnWarning(HostId),
    /// A reload changes the poll interval.
    Interval(HostId, Micros),
    /// What concerns votes.
    Votes(VoteFault),
    /// What concerns leases.
    Leases(LeaseFault),
    /// What concerns switchovers.
    Switchovers(SwitchoverFault),
}

impl Fault {
    /// In a line, with the names of this cluster.
    pub(super) fn text(&self, setup: &Setup) -> String {
        let h = |host: HostId| setup.host_name(host);
        match *self {
            Self::Path(a, b, true) => format!("connections from {} to {} are cut", h(a), h(b)),
            Self::Path(a, b, false) => format!("connections from {} to {} work again", h(a), h(b)),
            Self::Isolate(a) => format!("{} is isolated", h(a)),
            Self::Split(group) => split_text(setup, group),
            Self::Mend => "the network is restored".to_owned(),
            Self::Slow(..) | Self::Lossy(..) => self.path_text(setup),
            Self::Dies(node, death) => format!("{} {death}", h(node)),
            Self::Starts(node) => format!("{} starts again as what it was", h(node)),
            Self::Refuses(node, refusal) => {
                let text = refusal.map(|refusal| refusal.to_string());
                let text = text.as_deref().unwrap_or("takes connections again");
                format!("{} {text}", h(node))
            }
            Self::OutOfSlots(node, hosts) => {
                format!(
                    "{} has no connection left for {}",
                    h(node),
                    names(setup, hosts)
                )
            }
            Self::Repoints(node, to) => format!("{} is pointed at {}", h(node), h(to)),
            Self::RestartsToPromote(host) => {
                format!("failover commands of {} restart the server", h(host))
            }
            Self::Pauses(node, _) | Self::Delays(node, _) | Self::FedByArchive(node) => {
                format!("{} {}", h(node), self.replay_text())
            }
            Self::Follows(node, to) => format!("{} is made a standby of {}", h(node), h(to)),
            Self::LosesSlot(node) => format!("{} loses its replication slot", h(node)),
            Self::StepsClock(host, by) => format!("the clock of {} is stepped by {by} s", h(host)),
            Self::Restarts(host)
            | Self::Stops(host, _)
            | Self::RunsSeldom(host, _)
            | Self::Forgets(host)
            | Self::Daemon(host, _) => {
                format!("the daemon of {} {}", h(host), self.process_text())
            }
            Self::Reboots(host) => {
                format!("the machine of {} is booted anew under its daemon", h(host))
            }
            Self::Lies(host, lie) => lie_text(setup, host, lie),
            Self::Commands(host, status, takes) => {
                let end = status.map_or("cannot be started".to_owned(), |status| {
                    format!("end with {status} after {} s", seconds(takes))
                });
                format!("failover commands of {} {end}", h(host))
            }
            Self::Maintenance(host, exists) => maintenance_text(h(host), exists),
            Self::SetsPause(host, pauses) => format!("{} on {}", paused(pauses), h(host)),
            Self::Check(host) => format!("{} is asked for a check", h(host)),
            Self::Lost(host, node) => {
                format!("{} loses its idle connection to {}", h(host), h(node))
            }
            Self::Configured(host, ..)
            | Self::Misspells(host, ..)
            | Self::Corrects(host, _)
            | Self::Gone(host, _)
            | Self::ForgetsGone(host)
            | Self::Limit(host, _)
            | Self::Prefers(host, _)
            | Self::PollsOnWarning(host)
            | Self::Interval(host, _) => {
                format!("{} {}", h(host), self.reload_text(setup))
            }
            Self::Votes(_) | Self::Leases(_) | Self::Switchovers(_) => self.vote_text(setup),
        }
    }

    fn vote_text(&self, setup: &Setup) -> String {
        match *self {
            Self::Votes(fault) => fault.text(setup),
            Self::Leases(fault) => fault.text(setup),
            Self::Switchovers(fault) => fault.text(setup),
            _ => String::new(),
        }
    }

    fn path_text(&self, setup: &Setup) -> String {
        let h = |host: HostId| setup.host_name(host);
        match *self {
            Self::Slow(a, b, by) => format!("{} to {} takes {} s longer", h(a), h(b), seconds(by)),
            Self::Lossy(a, b, loss) => {
                format!("{} to {} loses {loss} % of all exchanges", h(a), h(b))
            }
            _ => String::new(),
        }
    }

    fn reload_text(&self, setup: &Setup) -> String {
        let h = |host: HostId| setup.host_name(host);
        match *self {
            Self::Configured(_, node, false) => format!("is reloaded without {}", h(node)),
            Self::Configured(_, node, true) => format!("is reloaded with {} again", h(node)),
            Self::Misspells(_, node, false) => {
                format!("is reloaded with a typing error in the name of {}", h(node))
            }
            Self::Misspells(_, node, true) => {
                format!("is reloaded with a wrong name and address for {}", h(node))
            }
            Self::Corrects(_, node) => format!("is reloaded with {} corrected", h(node)),
            Self::Gone(_, node) => format!("gets {} in known_gone_nodes", h(node)),
            Self::ForgetsGone(_) => "is reloaded with no known_gone_nodes".to_owned(),
            Self::Limit(_, limit) => format!("is reloaded with a limit of {} s", seconds(limit)),
            Self::Prefers(_, node) => format!("is reloaded with a priority for {}", h(node)),
            Self::PollsOnWarning(_) => "is reloaded with poll_observers_on_warning_only".to_owned(),
            Self::Interval(_, time) => format!("polls every {} s", seconds(time)),
            _ => String::new(),
        }
    }

    fn replay_text(&self) -> String {
        match *self {
            Self::Pauses(_, true) => "stops replaying".to_owned(),
            Self::Delays(_, delay) => format!("replays {} s after each commit", seconds(delay)),
            Self::FedByArchive(_) => "streams from nobody and is fed by an archive".to_owned(),
            _ => "replays again".to_owned(),
        }
    }

    fn process_text(&self) -> String {
        match self {
            Self::Stops(_, time) => format!("is stopped for {} s", seconds(*time)),
            Self::RunsSeldom(_, Some((runs, every))) => {
                format!("runs {} s of every {} s", seconds(*runs), seconds(*every))
            }
            Self::RunsSeldom(_, None) => "runs all the time again".to_owned(),
            Self::Daemon(_, true) => "is started again".to_owned(),
            Self::Daemon(_, false) => "is killed and stays away".to_owned(),
            Self::Forgets(_) => "is killed and started again without its state file".to_owned(),
            _ => "is killed and started again".to_owned(),
        }
    }
}

/// Are these hosts on two sides of a split, one of which is this group.
pub(super) fn are_apart(group: u32, one: HostId, other: HostId) -> bool {
    group >> one & 1 != group >> other & 1
}

/// The hosts of this group, a bit per host.
fn names(setup: &Setup, group: u32) -> String {
    let inside = (0..setup.hosts()).filter(|host| group >> host & 1 == 1);
    let names: Vec<_> = inside.map(|host| setup.host_name(host)).collect();
    names.join(" ")
}

fn maintenance_text(host: &str, exists: bool) -> String {
    let what = if exists { "appears" } else { "goes" };
    format!("the maintenance file of {host} {what}")
}

fn paused(pauses: bool) -> &'static str {
    match pauses {
        true => "the cluster is paused",
        false => "the cluster is resumed",
    }
}

fn split_text(setup: &Setup, group: u32) -> String {
    let (one, other) = (names(setup, group), names(setup, !group));
    format!("the network splits: {one} | {other}")
}

fn lie_text(setup: &Setup, host: HostId, lie: Option<Lie>) -> String {
    let name = setup.host_name(host);
    match lie {
        None => format!("{name} answers truthfully again"),
        Some(Lie::Primary(node)) => format!("{name} lies: {} is a primary", setup.host_name(node)),
        Some(Lie::AllStandbys) => format!("{name} lies: all servers are standbys"),
        Some(Lie::AllGone) => format!("{name} lies: no server is reachable"),
        Some(Lie::Frozen) => format!("{name} repeats its present answer"),
        Some(Lie::Date(by)) => format!("{name} dates its answers {by} s off"),
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "crashes",
            Self::HostDown => "goes down with its host",
            Self::Hang => "hangs",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "rejects our login",
            Self::Slots => "is out of connections",
        })
    }
}
