//! Single faults: every split of a cluster's hosts in two and every cut connection between two of
//! them, with and without the primary's death; every single crash; every daemon that cannot promote
//! when the primary dies; a pause of the primary. Of a large cluster as many as there is time for.

use super::fault::{Death, Fault, Step};
use super::plan::{Ending, Plan};
use super::rng::Rng;
use super::setup::Setup;
use super::{Micros, SECOND};
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
        let mut others: Vec<_> = setups.iter().flat_map(without_splits).collect();
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

/// All but splits: those are drawn where they are too many.
fn without_splits(setup: &Setup) -> Vec<Plan> {
    let mut plans = crashes(setup);
    plans.extend(unable_daemons(setup));
    plans.extend(cut_connections(setup));
    plans.push(pause(setup));
    plans
}

fn crashes(setup: &Setup) -> Vec<Plan> {
    let mut plans: Vec<_> = setup
        .standbys()
        .flat_map(|node| DEATHS.map(|death| Fault::Dies(node, death)))
        .map(|death| single(setup, &[death]))
        .collect();
    plans.extend((0..setup.hosts()).map(|host| single(setup, &[Fault::Daemon(host, false)])));
    plans
}

/// The primary dies while one daemon is down, in maintenance, or has no command that works.
fn unable_daemons(setup: &Setup) -> Vec<Plan> {
    let unable = |host| {
        [
            Fault::Daemon(host, false),
            Fault::Maintenance(host, true),
            Fault::Commands(host, None, 0),
            Fault::Commands(host, Some(1), SECOND),
        ]
    };
    let observers = setup.node_count()..setup.hosts();
    let faults = setup.standbys().flat_map(unable);
    let faults = faults.chain(observers.map(|host| Fault::Daemon(host, false)));
    // Long enough for everybody to learn of it.
    let wait = 5 * setup.longest(|config| config.poll_interval);
    let death = Fault::Dies(setup.primary, Death::Crash);
    faults
        .map(|fault| plan(setup, &[(0, fault), (wait, death)]))
        .collect()
}

/// Two hosts cannot connect to each other; everybody else reaches both.
fn cut_connections(setup: &Setup) -> Vec<Plan> {
    let pairs = (0..setup.hosts()).flat_map(|a| (a + 1..setup.hosts()).map(move |b| (a, b)));
    let cuts = pairs.map(|(a, b)| [Fault::Path(a, b, true), Fault::Path(b, a, true)]);
    let dies = Fault::Dies(setup.primary, Death::Crash);
    cuts.flat_map(|[there, back]| {
        [
            single(setup, &[there, back]),
            single(setup, &[there, back, dies]),
        ]
    })
    .collect()
}

/// The primary answers nobody for a while: slow storage, a machine that is moved.
fn pause(setup: &Setup) -> Plan {
    let (hangs, answers) = (
        Fault::Dies(setup.primary, Death::Hang),
        Fault::Starts(setup.primary),
    );
    plan(setup, &[(0, hangs), (PAUSE, answers)])
}

fn splits(setup: &Setup, group: u32) -> [Plan; 2] {
    let split = Fault::Split(group);
    [
        single(setup, &[split]),
        single(setup, &[split, Fault::Dies(setup.primary, Death::HostDown)]),
    ]
}

/// These at once.
fn single(setup: &Setup, faults: &[Fault]) -> Plan {
    let faults: Vec<_> = faults.iter().map(|fault| (0, *fault)).collect();
    plan(setup, &faults)
}

/// These, so long after everybody has come to know everybody.
fn plan(setup: &Setup, faults: &[(Micros, Fault)]) -> Plan {
    let calm = settling_time(setup);
    let step = |(after, fault): &(Micros, Fault)| Step {
        at: calm + after,
        fault: *fault,
    };
    let last = faults.iter().map(|(after, _)| *after).max();
    Plan {
        seed: 1,
        setup: setup.clone(),
        steps: faults.iter().map(step).collect(),
        length: length_of_a_fault(setup) + last.unwrap_or(0),
        ending: Ending::Abrupt,
    }
}

fn settling_time(setup: &Setup) -> Micros {
    3 * setup.longest(|config| config.poll_interval)
        + setup.longest(|config| config.check_interval.max(config.missing_primary_timeout))
        + 2 * SECOND
}

/// Until everybody who may promote has done so.
pub(super) fn length_of_a_fault(setup: &Setup) -> Micros {
    settling_time(setup)
        + setup.longest(|config| config.failover_lag)
        + 8 * setup.longest(|config| config.poll_interval)
        + 4 * setup.longest(|config| config.check_interval)
        + 2 * setup.longest(|config| config.poll_timeout)
        + 5 * SECOND
        + setup.time_to_elect()
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

/// So long may the primary be silent without anybody calling it dead.
const PAUSE: Micros = 5 * SECOND;
const DEATHS: [Death; 3] = [Death::Crash, Death::HostDown, Death::Hang];
/// The splits of more hosts are not listed but drawn.
const ALL_SPLITS: usize = 9;
