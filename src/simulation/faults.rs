//! Single faults: every split of a cluster's hosts in two with and without the primary's death,
//! every single crash; of a large cluster as many as there is time for.

use super::plan::{Death, Deed, Ending, Plan, Step};
use super::random::Dice;
use super::setup::Setup;
use super::{HostId, Micros, SECOND};
use crate::config::Config;

/// Schedules of one fault each.
pub(super) struct Faults {
    pub(super) plans: Vec<Plan>,
    /// How many there is no time for.
    pub(super) left_out: u64,
}

impl Faults {
    /// With each node as the primary once; at most so many, and those that matter most first.
    pub(super) fn of(config: &Config, seed: u64, most: usize) -> Self {
        let setups: Vec<_> = (0..config.nodes.len())
            .map(|primary| Setup::new(config, primary))
            .collect();
        let mut plans: Vec<_> = setups.iter().flat_map(Setup::essential_faults).collect();
        let mut others: Vec<_> = setups.iter().flat_map(Setup::crashes).collect();
        let hosts = setups.first().map_or(0, Setup::hosts);
        let splits = setups.len() as u64 * 2 * u64::from(half_of(hosts));
        let all = (plans.len() + others.len()) as u64 + splits;
        let mut dice = Dice::new(seed);
        if hosts <= ALL_SPLITS {
            others.extend(
                setups
                    .iter()
                    .flat_map(|setup| (1..=half_of(hosts)).flat_map(|group| setup.splits(group))),
            );
        } else {
            for _ in 0..most / 2 {
                let setup = &setups[dice.below(setups.len())];
                let group = dice.between(1, u64::from(half_of(hosts)));
                others.extend(setup.splits(u32::try_from(group).unwrap_or(1)));
            }
        }
        let room = most.saturating_sub(plans.len());
        if others.len() > room {
            shuffle(&mut others, &mut dice);
            others.truncate(room);
        }
        plans.truncate(most);
        plans.extend(others);
        let left_out = all.saturating_sub(plans.len() as u64);
        Self { plans, left_out }
    }
}

impl Setup {
    /// The primary's death, an even split, the observers cut off together.
    fn essential_faults(&self) -> Vec<Plan> {
        let deaths = DEATHS.map(|death| self.fault(&[Deed::Dies(self.primary, death)]));
        let half = (0..self.hosts() / 2).fold(0, |group, next| {
            group | 1 << ((self.primary + next) % self.hosts())
        });
        let mut plans = deaths.to_vec();
        plans.extend(self.splits(half));
        if self.observers.len() > 1 && self.observer_hosts() != 0 {
            plans.extend(self.splits(self.observer_hosts()));
        }
        plans
    }

    /// The hosts that no database runs on, a bit each.
    pub(super) fn observer_hosts(&self) -> u32 {
        (self.node_count()..self.hosts()).fold(0, |group, host| group | 1 << host)
    }

    fn crashes(&self) -> Vec<Plan> {
        let standbys = (0..self.node_count()).filter(|node| *node != self.primary);
        let mut plans: Vec<_> = standbys
            .flat_map(|node| DEATHS.map(|death| Deed::Dies(node, death)))
            .map(|deed| self.fault(&[deed]))
            .collect();
        plans.extend((0..self.hosts()).map(|host| self.fault(&[Deed::Daemon(host, false)])));
        plans
    }

    fn splits(&self, group: u32) -> [Plan; 2] {
        let split = Deed::Split(group);
        [
            self.fault(&[split]),
            self.fault(&[split, Deed::Dies(self.primary, Death::HostDown)]),
        ]
    }

    /// These at once, when everybody has come to know everybody.
    fn fault(&self, deeds: &[Deed]) -> Plan {
        let at = self.calm();
        let steps = deeds.iter().map(|deed| Step { at, deed: *deed }).collect();
        Plan {
            seed: 1,
            setup: self.clone(),
            steps,
            length: self.length_of_a_fault(),
            ending: Ending::Abrupt,
        }
    }

    fn calm(&self) -> Micros {
        3 * self.longest(|config| config.poll_interval)
            + self.longest(|config| config.check_interval.max(config.missing_primary_timeout))
            + 2 * SECOND
    }

    /// Until everybody who may promote has done so.
    pub(super) fn length_of_a_fault(&self) -> Micros {
        self.calm()
            + self.longest(|config| config.failover_lag)
            + 8 * self.longest(|config| config.poll_interval)
            + 4 * self.longest(|config| config.check_interval)
            + 2 * self.longest(|config| config.poll_timeout)
            + 5 * SECOND
    }

    /// Do more than half of all hosts live and reach each other without the primary after this
    /// fault, and can one of them be promoted.
    pub(super) fn majority_lives(&self, plan: &Plan) -> bool {
        let everybody = 2 * half_of(self.hosts()) + 1;
        let (mut sides, mut dead) = (vec![everybody], false);
        for step in &plan.steps {
            match step.deed {
                Deed::Split(group) => sides = vec![group, everybody & !group],
                Deed::Dies(node, _) => dead |= node == self.primary,
                _ => {}
            }
        }
        sides.iter().any(|side| {
            (dead || side >> self.primary & 1 == 0) && self.is_majority_without_primary(*side)
        })
    }

    fn is_majority_without_primary(&self, side: u32) -> bool {
        let config = self.any_config();
        let living =
            (0..self.hosts()).filter(|host| side >> host & 1 == 1 && *host != self.primary);
        let able = |host: &HostId| {
            self.nodes
                .get(*host)
                .is_some_and(|name| !config.never_promote.contains(name))
        };
        2 * living.clone().count() > self.hosts() && living.into_iter().any(|host| able(&host))
    }
}

/// How many splits in two there are: the last host is always on the other side.
fn half_of(hosts: usize) -> u32 {
    (1_u32 << hosts.saturating_sub(1)) - 1
}

fn shuffle(plans: &mut [Plan], dice: &mut Dice) {
    for at in (1..plans.len()).rev() {
        plans.swap(at, dice.below(at + 1));
    }
}

const DEATHS: [Death; 3] = [Death::Crash, Death::HostDown, Death::Hang];
/// The splits of more hosts are not listed but drawn.
const ALL_SPLITS: usize = 9;
