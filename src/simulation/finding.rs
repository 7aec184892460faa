//! What can be found out about a cluster, in words for operators, each with the schedule that shows
//! it.

use super::fault::{Fault, Step};
use super::plan::Plan;
use super::promotions::Promotion;
use super::trial::run;
use super::units::seconds;
use super::{HostId, Micros};

/// Something that is reachable; problems first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Two standbys are promoted in one outage, by one split or crash.
    TwoPromotions,
    /// A side without a majority promotes while the primary goes on writing on the other.
    MinorityPromotes,
    /// Two hosts cannot connect to each other, and that promotes beside the living primary.
    CutPromotes,
    /// Nobody is promoted in any case.
    NeverPromotes,
    /// More than half of the hosts live and reach each other, and nobody is promoted.
    NobodyPromotes,
    /// The observers are lost together, and nobody is promoted in the dead primary's place.
    ObserversTogether,
    /// One daemon cannot promote, and no other standby is promoted in its place.
    OneDaemonNeeded,
    /// A pause of the primary promotes another one beside it.
    PausePromotes,
    /// Where leases are in force: the primary is stopped though it lives, and nobody is promoted.
    PrimaryStops,
    /// The old primary is cut off and goes on writing: nothing but fencing prevents it.
    OldPrimaryWrites,
    /// Two standbys are promoted in one outage, by several faults one after the other.
    TwoPromotionsInTheEnd,
}

/// A schedule that was run, and the failover commands that were begun in it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What happened.
    pub plan: Plan,
    /// What came of it.
    pub promotions: Vec<Promotion>,
}

impl Finding {
    /// Another configuration would do better. What every cluster is open to is no problem of this
    /// one.
    pub fn is_problem(&self) -> bool {
        !matches!(
            self,
            Self::ObserversTogether
                | Self::OneDaemonNeeded
                | Self::PausePromotes
                | Self::PrimaryStops
                | Self::OldPrimaryWrites
                | Self::TwoPromotionsInTheEnd
        )
    }

    /// A name for a file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TwoPromotions => "two-promotions",
            Self::MinorityPromotes => "minority-promotes",
            Self::CutPromotes => "cut-promotes",
            Self::NeverPromotes => "never-promotes",
            Self::NobodyPromotes => "nobody-promotes",
            Self::ObserversTogether => "observers-lost-together",
            Self::OneDaemonNeeded => "one-daemon-needed",
            Self::PausePromotes => "pause-promotes",
            Self::PrimaryStops => "primary-stops",
            Self::OldPrimaryWrites => "old-primary-writes",
            Self::TwoPromotionsInTheEnd => "two-promotions-after-several-faults",
        }
    }

    /// In a sentence.
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::TwoPromotions => "two primaries: two standbys are promoted in one outage",
            Self::MinorityPromotes => {
                "two primaries: the network splits, and the side without the primary promotes without a majority"
            }
            Self::CutPromotes => {
                "two primaries: two hosts cannot connect to each other, and a standby is promoted beside the primary"
            }
            Self::NeverPromotes => "no failover: no standby is ever promoted",
            Self::NobodyPromotes => {
                "no failover: more than half of the hosts are up and connected, and no standby is promoted"
            }
            Self::ObserversTogether => {
                "no failover where all observers are unreachable together: the primary dies, and no standby is promoted"
            }
            Self::OneDaemonNeeded => {
                "no failover while the daemon of one host is down, in maintenance or without a command that works"
            }
            Self::PausePromotes => {
                "two primaries where the primary answers nobody for 5 s, as slow storage or the move of a virtual machine can make it"
            }
            Self::PrimaryStops => {
                "no primary: the primary has lost the majority of the voters and is fenced, and no standby has one either"
            }
            Self::OldPrimaryWrites => {
                "two primaries where the old primary is only isolated, or hangs: it is not stopped when another is promoted"
            }
            Self::TwoPromotionsInTheEnd => {
                "two primaries after several faults in one outage: one more standby is promoted before all faults are repaired"
            }
        }
    }

    /// What an operator can do about it, where no setting does.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::ObserversTogether => {
                "give every observer a site of its own, and none that of a primary"
            }
            Self::OneDaemonNeeded => {
                "one more standby or observer; until then an alarm on every daemon that does not run or cannot promote"
            }
            Self::PausePromotes => {
                "a max_failover_replication_time_lag above the longest pause of the primary, or fencing"
            }
            Self::PrimaryStops => {
                "an odd number of voters, each on a host and at a site of its own; where most of them are lost the database stops"
            }
            Self::OldPrimaryWrites | Self::TwoPromotionsInTheEnd => {
                "fencing: failover_command must ensure that the old primary is off, and fail if it cannot"
            }
            Self::TwoPromotions
            | Self::MinorityPromotes
            | Self::CutPromotes
            | Self::NeverPromotes
            | Self::NobodyPromotes => {
                "no remedy: none of the tried changes of the configuration helps"
            }
        }
    }
}

impl Case {
    pub(super) fn of(plan: Plan) -> Self {
        let promotions = run(&plan).promotions.0;
        Self { plan, promotions }
    }

    /// Faults and promotions in the order of their time, a line each.
    pub fn lines(&self) -> Vec<String> {
        let setup = &self.plan.setup;
        let mut all: Vec<(Micros, String)> = self
            .plan
            .steps
            .iter()
            .map(|step| (step.at, step.fault.text(setup)))
            .collect();
        let promoted = |one: &Promotion| {
            (
                one.began,
                format!("{} runs failover_command", setup.host_name(one.host)),
            )
        };
        all.extend(self.promotions.iter().map(promoted));
        if self.promotions.is_empty() {
            all.push((self.plan.length, "no standby was promoted".to_owned()));
        }
        all.sort_by_key(|(at, _)| *at);
        let primary = format!(
            "{:>9}    {} is the primary",
            "0.0 s",
            setup.host_name(setup.primary)
        );
        let lines = all
            .into_iter()
            .map(|(at, text)| format!("{:>7.1} s    {text}", seconds(at)));
        std::iter::once(primary).chain(lines).collect()
    }

    /// What happened, in a few words.
    pub fn cause(&self) -> String {
        let faults = self.faults().map(|fault| fault.text(&self.plan.setup));
        faults.collect::<Vec<_>>().join(", ")
    }

    /// When the primary was lost, to somebody at least.
    pub(super) fn lost_at(&self) -> Micros {
        let loses = |step: &&Step| match step.fault {
            Fault::Dies(node, _) => node == self.plan.setup.primary,
            fault => matches!(fault, Fault::Split(_) | Fault::Path(..)),
        };
        let lost = self.plan.steps.iter().find(loses);
        lost.or(self.plan.steps.first()).map_or(0, |step| step.at)
    }

    fn faults(&self) -> impl Iterator<Item = Fault> {
        self.plan.steps.iter().map(|step| step.fault)
    }

    pub(super) fn primary_dies(&self) -> bool {
        let primary = self.plan.setup.primary;
        self.faults()
            .any(|fault| matches!(fault, Fault::Dies(node, _) if node == primary))
    }

    pub(super) fn primary_returns(&self) -> bool {
        let primary = self.plan.setup.primary;
        self.faults()
            .any(|fault| matches!(fault, Fault::Starts(node) if node == primary))
    }

    /// Nothing is wrong but that two hosts cannot connect to each other.
    pub(super) fn cuts_one_connection(&self) -> bool {
        self.faults()
            .all(|fault| matches!(fault, Fault::Path(_, _, true)))
    }

    /// Whose timelines explain it: those who promoted, or everybody who could have.
    pub fn hosts(&self) -> Vec<HostId> {
        let setup = &self.plan.setup;
        let mut hosts: Vec<_> = self.promotions.iter().map(|one| one.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        if hosts.is_empty() {
            setup.standbys().collect()
        } else {
            hosts
        }
    }

    /// The hosts of one side of its first split.
    pub(super) fn split(&self) -> Option<u32> {
        self.faults().find_map(|fault| match fault {
            Fault::Split(group) => Some(group),
            _ => None,
        })
    }
}
