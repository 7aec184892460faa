//! What can go wrong with leases, one thing at a time, and in a line of text for people.

use super::setup::Setup;
use super::units::seconds;
use super::{HostId, Micros};

/// What happens to what leases stand on: fence commands, the gate, clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeaseFault {
    /// So go the fence commands of this host from now on, whoever runs them.
    Fences(HostId, FenceCourse),
    /// The server of this host is started without the gate from now on, or through it again.
    Ungated(HostId, bool),
    /// The monotonic clock of this host gains so many microseconds in each second.
    Rate(HostId, i32),
    /// Everything on this host stands still for so long, and goes on then: it is suspended, and its clock
    /// of leases counts that, or a virtual machine that is paused from outside, and no clock does.
    Sleeps(HostId, Micros, Sleep),
}

/// Which clocks count the time in which a host stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// The one of leases does.
    Suspended,
    /// None of it.
    Paused,
}

/// How a fence command goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FenceCourse {
    /// It stops the server, and ends with 0 then.
    #[default]
    Works,
    /// It stops nothing, and ends with 1.
    Fails,
    /// It stops nothing, and does not end.
    Hangs,
    /// The server stops so long after it has begun, whether it still runs or not.
    Takes(Micros),
    /// It stops nothing, and ends with 0.
    Lies,
}

impl LeaseFault {
    /// In a line, with the names of this cluster.
    pub(super) fn text(self, setup: &Setup) -> String {
        let h = |host: HostId| setup.host_name(host);
        match self {
            Self::Fences(host, course) => {
                let how = match course {
                    FenceCourse::Works => "work again".to_owned(),
                    FenceCourse::Fails => "fail".to_owned(),
                    FenceCourse::Hangs => "hang".to_owned(),
                    FenceCourse::Takes(time) => format!("take {} s", seconds(time)),
                    FenceCourse::Lies => "end with 0 and stop nothing".to_owned(),
                };
                format!("fence commands of {} {how}", h(host))
            }
            Self::Ungated(host, true) => format!("{} is started without the gate", h(host)),
            Self::Ungated(host, false) => format!("{} is started through the gate again", h(host)),
            Self::Sleeps(host, time, Sleep::Suspended) => {
                format!("the host {} is suspended for {} s", h(host), seconds(time))
            }
            Self::Sleeps(host, time, Sleep::Paused) => {
                format!("the machine {} is paused for {} s", h(host), seconds(time))
            }
            Self::Rate(host, gain) => {
                format!(
                    "the clock of {} gains {gain} microseconds a second",
                    h(host)
                )
            }
        }
    }
}
