//! Single faults: every split of a cluster's hosts in two with and without the primary's death,
//! every single crash; of a large cluster as many as there is time for.

use super::fault::{Death, Fault, Step};
use super::plan::{Ending, Plan};
use super::rng::Rng;
use super::setup::Setup;
use super::{HostId, Micros, SECOND};
use crate::config::Config;

/// Schedules of one fault each.
pub(super) struct SingleFaults {
    pub(super) plans: Vec<Plan>,
    /// How many there is no time for.
    pub(super) left_out: u64,
}

impl SingleFaults {
    /// With each node as the primary once; at most so many, and those that matter most first.
    pub(super) fn of(config: &Config, seed: u64, most: usize) -> Self {
        let setups: Vec<_> = (0..config.nodes.len())
            .map(|primary| Setup::new(config, primary))
            .collect();
        let mut plans: Vec<_> = setups.iter().flat_map(essential_faults).collect();
        let mut others: Vec<_> = setups.iter().flat_map(crashes).collect();
        let hosts = setups.first().map_or(0, Setup::hosts);
        let all_splits = setups.len() as u64 * 2 * u64::from(half_of(hosts));
        let all = (plans.len() + others.len()) as u64 + all_splits;
        let mut rng = Rng::new(seed);
        if hosts <= ALL_SPLITS {
            others.extend(
                setups
                    .iter()
                    .flat_map(|setup| (1..=half_of(hosts)).flat_map(|group| splits(setup, group))),
            );
        } else {
            for _ in 0..most / 2 {
                let setup = &setups[rng.below(setups.len())];
                let group = rng.between(1, u64::from(half_of(hosts)));
                others.extend(splits(setup, u32::try_from(group).unwrap_or(1)));
            }
        }
        let room = most.saturating_sub(plans.len());
        if others.len() > room {
            shuffle(&mut others, &mut rng);
            others.truncate(room);
        }
        plans.truncate(most);
        plans.extend(others);
        let left_out = all.saturating_sub(plans.len() as u64);
        Self { plans, left_out }
    }
}

/// The primary's death, an even split, the observers cut off together.
fn essential_faults(setup: &Setup) -> Vec<Plan> {
    let deaths = DEATHS.map(|death| single(setup, &[Fault::Dies(setup.primary, death)]));
    let half = (0..setup.hosts() / 2).fold(0, |group, next| {
        group | 1 << ((setup.primary + next) % setup.hosts())
    });
    let mut plans = deaths.to_vec();
    plans.extend(splits(setup, half));
    if setup.observers.len() > 1 && observer_hosts(setup) != 0 {
        plans.extend(splits(setup, observer_hosts(setup)));
    }
    plans
}

/// The hosts that no database runs on, a bit each.
pub(super) fn observer_hosts(setup: &Setup) -> u32 {
    (setup.node_count()..setup.hosts()).fold(0, |group, host| group | 1 << host)
}

fn crashes(setup: &Setup) -> Vec<Plan> {
    let standbys = (0..setup.node_count()).filter(|node| *node != setup.primary);
    let mut plans: Vec<_> = standbys
        .flat_map(|node| DEATHS.map(|death| Fault::Dies(node, death)))
        .map(|death| single(setup, &[death]))
        .collect();
    plans.extend((0..setup.hosts()).map(|host| single(setup, &[Fault::Daemon(host, false)])));
    plans
}

fn splits(setup: &Setup, group: u32) -> [Plan; 2] {
    let split = Fault::Split(group);
    [
        single(setup, &[split]),
        single(setup, &[split, Fault::Dies(setup.primary, Death::HostDown)]),
    ]
}

/// These at once, when everybody has come to know everybody.
fn single(setup: &Setup, faults: &[Fault]) -> Plan {
    let at = calm(setup);
    let steps = faults
        .iter()
        .map(|fault| Step { at, fault: *fault })
        .collect();
    Plan {
        seed: 1,
        setup: setup.clone(),
        steps,
        length: length_of_a_fault(setup),
        ending: Ending::Abrupt,
    }
}

fn calm(setup: &Setup) -> Micros {
    3 * setup.longest(|config| config.poll_interval)
        + setup.longest(|config| config.check_interval.max(config.missing_primary_timeout))
        + 2 * SECOND
}

/// Until everybody who may promote has done so.
pub(super) fn length_of_a_fault(setup: &Setup) -> Micros {
    calm(setup)
        + setup.longest(|config| config.failover_lag)
        + 8 * setup.longest(|config| config.poll_interval)
        + 4 * setup.longest(|config| config.check_interval)
        + 2 * setup.longest(|config| config.poll_timeout)
        + 5 * SECOND
}

/// Do more than half of all hosts live and reach each other without the primary after this
/// fault, and can one of them be promoted.
pub(super) fn majority_lives(setup: &Setup, plan: &Plan) -> bool {
    let everybody = 2 * half_of(setup.hosts()) + 1;
    let (mut sides, mut dead) = (vec![everybody], false);
    for step in &plan.steps {
        match step.fault {
            Fault::Split(group) => sides = vec![group, everybody & !group],
            Fault::Dies(node, _) => dead |= node == setup.primary,
            _ => {}
        }
    }
    sides.iter().any(|side| {
        (dead || side >> setup.primary & 1 == 0) && is_majority_without_primary(setup, *side)
    })
}

fn is_majority_without_primary(setup: &Setup, side: u32) -> bool {
    let config = setup.any_config();
    let living = (0..setup.hosts()).filter(|host| side >> host & 1 == 1 && *host != setup.primary);
    let able = |host: &HostId| {
        setup
            .nodes
            .get(*host)
            .is_some_and(|name| !config.never_promote.contains(name))
    };
    2 * living.clone().count() > setup.hosts() && living.into_iter().any(|host| able(&host))
}

/// How many splits in two there are: the last host is always on the other side.
fn half_of(hosts: usize) -> u32 {
    (1_u32 << hosts.saturating_sub(1)) - 1
}

fn shuffle(plans: &mut [Plan], rng: &mut Rng) {
    for at in (1..plans.len()).rev() {
        plans.swap(at, rng.below(at + 1));
    }
}

const DEATHS: [Death; 3] = [Death::Crash, Death::HostDown, Death::Hang];
/// The splits of more hosts are not listed but drawn.
const ALL_SPLITS: usize = 9;
