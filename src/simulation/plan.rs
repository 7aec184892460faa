//! What a schedule is made of: a cluster, faults in the order of their time, an ending. Prints as
//! text for people.

use std::fmt;

use super::setup::Setup;
use super::{HostId, Micros, NodeId, Refusal, SECOND};

/// A schedule: everything that happens to a cluster. The same one always comes to the same end.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What small chances (delays, losses) are drawn from.
    pub seed: u64,
    /// The cluster.
    pub setup: Setup,
    /// The safety phase: faults by time.
    pub steps: Vec<Step>,
    /// How long the safety phase lasts.
    pub length: Micros,
    /// The liveness phase.
    pub ending: Ending,
}

/// One fault and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// When, from the start.
    pub at: Micros,
    /// What.
    pub deed: Deed,
}

/// What a schedule ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It just ends.
    Abrupt,
    /// Everything is healed, and all must agree.
    Healed,
    /// Everything is healed; then the primary dies, and nothing else happens.
    CleanDeath(Death),
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

/// What an observer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// This node is a primary, reached just now.
    Primary(NodeId),
    /// Every node is a standby, reached just now.
    AllStandbys,
    /// Nobody can be reached.
    AllGone,
    /// It goes on telling what it knew at this moment, under the date of today.
    Frozen,
    /// Its dates are so many seconds off.
    Date(i64),
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deed {
    /// Connections from one host to another are cut, or mended.
    Way(HostId, HostId, bool),
    /// Nobody reaches this host, and it reaches nobody.
    Isolate(HostId),
    /// Hosts are cut off from those of the other group: a bit per host.
    Split(u32),
    /// Every way is whole again.
    Mend,
    /// Exchanges take so much longer.
    Slow(HostId, HostId, Micros),
    /// So many exchanges out of a hundred are lost.
    Lossy(HostId, HostId, u64),
    /// A database dies.
    Dies(NodeId, Death),
    /// A database starts again, as what it was.
    Starts(NodeId),
    /// A database turns everybody away, or no longer.
    Refuses(NodeId, Option<Refusal>),
    /// A standby stops replaying, or goes on.
    Pauses(NodeId, bool),
    /// A standby streams from another node; a former primary is made a standby.
    Follows(NodeId, NodeId),
    /// The replication slot of a standby is dropped: it gets no more WAL until it is made a standby
    /// anew.
    LosesSlot(NodeId),
    /// The wall clock of a host is stepped by so many seconds.
    StepsClock(HostId, i64),
    /// A daemon is killed and started again, with what it has saved.
    Restarts(HostId),
    /// A daemon is stopped for so long, and goes on.
    Stops(HostId, Micros),
    /// A daemon is killed and started again, and what it has saved is lost.
    Forgets(HostId),
    /// A daemon is killed and stays away, or is started again.
    Daemon(HostId, bool),
    /// The machine is booted: daemon and monotonic clock start again.
    Reboots(HostId),
    /// An observer lies, or no longer.
    Lies(HostId, Option<Lie>),
    /// How failover commands of this host end from now on: status (none: it cannot be started) and
    /// time.
    Commands(HostId, Option<i32>, Micros),
    /// The maintenance file of a host appears or goes.
    Maintenance(HostId, bool),
    /// POST /check.
    Check(HostId),
    /// An idle connection of a daemon to a node is closed.
    Lost(HostId, NodeId),
    /// A reload leaves this node out of the configuration of this host, or takes it in again.
    Configured(HostId, NodeId, bool),
    /// A reload declares this node gone, on this host.
    Gone(HostId, NodeId),
    /// A reload changes the poll interval.
    Interval(HostId, Micros),
}

impl Plan {
    /// The schedule, one line per fault.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("cluster: {}", self.setup)];
        for step in &self.steps {
            lines.push(format!(
                "{:8.3} s  {}",
                seconds(step.at),
                self.setup.told(&step.deed)
            ));
        }
        lines.push(format!("{:8.3} s  {}", seconds(self.length), self.ending));
        lines.join("\n")
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abrupt => f.write_str("the schedule ends"),
            Self::Healed => f.write_str("everything is healed"),
            Self::CleanDeath(death) => {
                write!(f, "everything is healed, and later the primary {death}")
            }
        }
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

impl Setup {
    pub(super) fn told(&self, deed: &Deed) -> String {
        let h = |host: &HostId| self.host_name(*host);
        match deed {
            Deed::Way(a, b, true) => format!("connections from {} to {} are cut", h(a), h(b)),
            Deed::Way(a, b, false) => format!("connections from {} to {} work again", h(a), h(b)),
            Deed::Isolate(a) => format!("{} is cut off from everybody", h(a)),
            Deed::Split(group) => {
                let side = |wanted: bool| {
                    let inside =
                        (0..self.hosts()).filter(|host| (group >> host & 1 == 1) == wanted);
                    inside
                        .map(|host| self.host_name(host).to_owned())
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                format!("the network splits: {} | {}", side(true), side(false))
            }
            Deed::Mend => "the network is whole again".to_owned(),
            Deed::Slow(a, b, by) => format!("{} to {} takes {} s longer", h(a), h(b), seconds(*by)),
            Deed::Lossy(a, b, loss) => {
                format!("{} to {} loses {loss} % of all exchanges", h(a), h(b))
            }
            Deed::Dies(node, death) => format!("{} {death}", h(node)),
            Deed::Starts(node) => format!("{} starts again as what it was", h(node)),
            Deed::Refuses(node, Some(refusal)) => format!("{} {refusal}", h(node)),
            Deed::Refuses(node, None) => format!("{} takes connections again", h(node)),
            Deed::Pauses(node, true) => format!("{} stops replaying", h(node)),
            Deed::Pauses(node, false) => format!("{} replays again", h(node)),
            Deed::Follows(node, upstream) => {
                format!("{} is made a standby of {}", h(node), h(upstream))
            }
            Deed::LosesSlot(node) => format!("{} loses its replication slot", h(node)),
            Deed::StepsClock(host, by) => format!("the clock of {} is stepped by {by} s", h(host)),
            Deed::Restarts(host) => {
                format!("the daemon of {} is killed and started again", h(host))
            }
            Deed::Stops(host, time) => format!(
                "the daemon of {} is stopped for {} s",
                h(host),
                seconds(*time)
            ),
            Deed::Forgets(host) => {
                format!(
                    "the daemon of {} is killed and started again without its state file",
                    h(host)
                )
            }
            Deed::Daemon(host, true) => format!("the daemon of {} starts again", h(host)),
            Deed::Daemon(host, false) => {
                format!("the daemon of {} is killed and stays away", h(host))
            }
            Deed::Reboots(host) => {
                format!("the machine of {} is booted anew under its daemon", h(host))
            }
            Deed::Lies(host, lie) => self.told_lie(*host, *lie),
            Deed::Commands(host, Some(status), takes) => {
                format!(
                    "failover commands of {} end with {status} after {} s",
                    h(host),
                    seconds(*takes)
                )
            }
            Deed::Commands(host, None, _) => {
                format!("failover commands of {} cannot be started", h(host))
            }
            Deed::Maintenance(host, true) => format!("the maintenance file of {} appears", h(host)),
            Deed::Maintenance(host, false) => format!("the maintenance file of {} goes", h(host)),
            Deed::Check(host) => format!("{} is asked for a check", h(host)),
            Deed::Lost(host, node) => {
                format!("{} loses its idle connection to {}", h(host), h(node))
            }
            Deed::Configured(host, node, false) => {
                format!("{} is reloaded without {}", h(host), h(node))
            }
            Deed::Configured(host, node, true) => {
                format!("{} is reloaded with {} again", h(host), h(node))
            }
            Deed::Gone(host, node) => {
                format!("{} is told that {} is gone for good", h(host), h(node))
            }
            Deed::Interval(host, interval) => {
                format!("{} is told to poll every {} s", h(host), seconds(*interval))
            }
        }
    }

    fn told_lie(&self, host: HostId, lie: Option<Lie>) -> String {
        let name = self.host_name(host);
        match lie {
            None => format!("{name} tells the truth again"),
            Some(Lie::Primary(node)) => {
                format!("{name} lies: {} is a primary", self.host_name(node))
            }
            Some(Lie::AllStandbys) => format!("{name} lies: everybody is a standby"),
            Some(Lie::AllGone) => format!("{name} lies: nobody can be reached"),
            Some(Lie::Frozen) => format!("{name} goes on telling what it knows now"),
            Some(Lie::Date(by)) => format!("{name} dates its answers {by} s off"),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for printing; a schedule lasts seconds"
)]
pub(super) fn seconds(micros: Micros) -> f64 {
    micros as f64 / SECOND as f64
}
