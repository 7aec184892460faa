//! A schedule: a cluster, faults in the order of their time, an ending. Prints as text for people.

use std::fmt;

use super::fault::{Death, Fault, Step};
use super::setup::Setup;
use super::switchover_fault::SwitchoverFault;
use super::units::seconds;
use super::vote_fault::VoteFault;
use super::{HostId, Micros};

/// Everything that happens to a cluster. The same schedule always comes to the same end.
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

/// What a schedule ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It just ends.
    Abrupt,
    /// Nothing more happens for so long that somebody must have been promoted where that is possible.
    Waited,
    /// Everything is healed, and all must agree.
    Healed,
    /// Everything is healed; then the primary dies, and nothing else happens.
    CleanDeath(Death),
}

impl Plan {
    /// The schedule, one line per fault.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("cluster: {}", self.setup)];
        let faults = self.steps.iter();
        lines.extend(faults.map(|step| line(step.at, &step.fault.text(&self.setup))));
        lines.push(line(self.length, &self.ending.to_string()));
        lines.join("\n")
    }

    /// Until when it matters what this daemon saves: afterwards it does not end, or is not started
    /// again. `None`: never.
    pub(super) fn saves_matter_until(&self, host: HostId) -> Option<Micros> {
        let ends = |fault: &Fault| match *fault {
            Fault::Restarts(at)
            | Fault::Reboots(at)
            | Fault::Daemon(at, _)
            | Fault::Starts(at)
            | Fault::Dies(at, Death::HostDown) => at == host,
            _ => false,
        };
        // In a write that is yet to come.
        let ends_later = |step: &Step| match step.fault {
            Fault::Votes(VoteFault::EndsInWrite(at, _)) => at == host,
            Fault::Votes(VoteFault::Edits(at, ..)) => at == host,
            // Whoever it is.
            Fault::Switchovers(SwitchoverFault::Loses(_)) => true,
            _ => false,
        };
        if self.steps.iter().any(ends_later) {
            return Some(Micros::MAX);
        }
        let ends = self.steps.iter().filter(|step| ends(&step.fault));
        ends.map(|step| step.at).max()
    }
}

fn line(at: Micros, text: &str) -> String {
    format!("{:8.3} s  {text}", seconds(at))
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abrupt => f.write_str("the schedule ends"),
            Self::Waited => f.write_str("nothing more happens"),
            Self::Healed => f.write_str("all faults are repaired"),
            Self::CleanDeath(death) => {
                write!(f, "all faults are repaired, and later the primary {death}")
            }
        }
    }
}
