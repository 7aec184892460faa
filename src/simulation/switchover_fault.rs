//! What an operator asks for with `pglookout switchover`, and what can go wrong with that, one thing at a
//! time, and in a line of text for people.

use super::setup::Setup;
use super::units::seconds;
use super::{HostId, Micros, NodeId};

/// What happens to switchovers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SwitchoverFault {
    /// One is asked for.
    Asks(SwitchoverOrder),
    /// So go the demote commands of this host from now on.
    Demotes(HostId, DemoteCourse),
    /// Start commands of this host start nothing and end with 1 from now on, or work again.
    StartFails(HostId, bool),
    /// A daemon of the next switchover that comes so far is lost then.
    Loses(Loss),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchoverOrder {
    /// On which host; `None`: on that of whichever server takes commits alone.
    pub on: Option<HostId>,
    /// Which node is to be the primary; `None`: one that nobody has.
    pub to: Option<NodeId>,
    /// Nothing is to be changed.
    pub dry_run: bool,
}

/// How a demote command goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DemoteCourse {
    /// It shuts the server down, and ends with 0 then.
    #[default]
    Works,
    /// It stops nothing, and ends with 1.
    Fails,
    /// It stops nothing, and does not end.
    Hangs,
    /// The server shuts down so long after it has begun, whether it still runs or not.
    Takes(Micros),
    /// It stops nothing, and ends with 0.
    Lies,
    /// It kills the server, and ends with 0.
    Kills,
    /// It shuts the server down, and no standby gets what that has written last.
    CutsOff,
}

/// The loss of a part of a switchover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How far it has come.
    pub when: Moment,
    /// Of the successor; else of the holder.
    pub is_successor: bool,
    /// What is lost.
    pub what: LostPart,
    /// It comes back after so long.
    pub lasts: Micros,
}

/// How far a switchover has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The demote command is run.
    Demotes,
    /// The control file of a server that was stopped is read.
    Looks,
    /// The term is released for the successor.
    Releases,
    /// The successor asks for votes.
    AsksVotes,
    /// The successor is promoted.
    Promotes,
    /// The server is started again.
    GoesBack,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostPart {
    /// The daemon is killed.
    Daemon,
    /// The host goes down.
    Host,
    /// Nobody reaches the host.
    Network,
    /// The daemon is stopped.
    Time,
}

impl SwitchoverFault {
    /// In a line, with the names of this cluster.
    pub(super) fn text(self, setup: &Setup) -> String {
        let h = |host: HostId| setup.host_name(host);
        match self {
            Self::Asks(SwitchoverOrder { on, to, dry_run }) => {
                let on = on.map_or("the primary", h);
                let to = to.map_or(NOBODY, h);
                let dry_run = if dry_run { ", as a dry run" } else { "" };
                format!("a switchover to {to} is asked for on {on}{dry_run}")
            }
            Self::Demotes(host, course) => format!("demote commands of {} {course:?}", h(host)),
            Self::StartFails(host, true) => format!("start commands of {} fail", h(host)),
            Self::StartFails(host, false) => format!("start commands of {} work again", h(host)),
            Self::Loses(loss) => {
                let whose = match loss.is_successor {
                    true => "successor",
                    false => "holder",
                };
                format!(
                    "the next switchover that {:?} loses the {:?} of its {whose} for {} s",
                    loss.when,
                    loss.what,
                    seconds(loss.lasts)
                )
            }
        }
    }
}

/// A name that no node has.
pub(super) const NOBODY: &str = "nobody";
