//! Which of the clusters that vote have leases, with which times, and what befalls these.

use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, Step};
use super::lease_fault::{FenceCourse, LeaseFault};
use super::plan::Plan;
use super::rng::Rng;
use super::scenarios::death;
use super::setup::Setup;
use super::sleeping::with_sleep;
use super::switching::with_switchovers;
use super::{HostId, MOST_GAIN, Micros, SECOND, micros};
use crate::config::{CommandLine, FenceSettings};

/// Gives this cluster leases, or leaves it as it is. Drawn apart, so that a schedule without leases is what
/// it was before there were any. `splits`: as for votes.
pub(super) fn with_leases(plan: &mut Plan, splits: bool) {
    let mut rng = Rng::new(plan.seed ^ 0x6C_65_61_73_65);
    if !plan.setup.elects() || !rng.percent(50) {
        return;
    }
    let times = TIMES[[0, 0, 0, 1, 1, 2, 2, 3][rng.below(8)]];
    let before = plan.setup.longest(|config| config.failover_lag);
    times.set(&mut plan.setup);
    if rng.percent(60) {
        set_rates(plan, &mut rng);
    }
    if rng.percent(40) {
        slow_fences(plan, micros(times.fence), &mut rng);
    }
    if splits {
        return;
    }
    // The primary claims the first term before anything happens, or not.
    if rng.percent(80) {
        for step in plan.steps.iter_mut().filter(|step| step.at > 0) {
            step.at += CLAIM_TIME;
        }
        plan.length += CLAIM_TIME;
    }
    let lease = micros(times.lease);
    plan.length += plan.setup.longest(|config| config.failover_lag) - before;
    plan.length += rng.between(0, 3 * lease / 2);
    for _ in 0..rng.below(5) {
        let at = rng.between(SECOND, plan.length);
        let steps = faults(&plan.setup, (at, lease), &mut rng);
        let ends = plan.length;
        plan.steps.extend(steps.into_iter().map(|(at, fault)| Step {
            at: at.min(ends),
            fault,
        }));
    }
    with_switchovers(plan);
    with_sleep(plan);
}

/// The keys of a lease.
#[derive(Clone, Copy)]
struct Times {
    lease: Duration,
    renew: Duration,
    vote_timeout: Duration,
    fence: Duration,
    /// A server that was fenced is started again, under its renewed lease.
    unfences: bool,
}

impl Times {
    const fn new(lease: u64, renew: u64, vote_timeout: u64, fence: u64) -> Self {
        Self {
            lease: Duration::from_millis(lease),
            renew: Duration::from_millis(renew),
            vote_timeout: Duration::from_millis(vote_timeout),
            fence: Duration::from_millis(fence),
            unfences: false,
        }
    }

    const fn unfencing(self) -> Self {
        Self {
            unfences: true,
            ..self
        }
    }

    /// As a configuration has to be: others are refused.
    fn set(self, setup: &mut Setup) {
        for config in &mut setup.configs {
            let config = Arc::make_mut(config);
            config.failover_lag = config.failover_lag.max(self.fence * 3);
            if let Some(voting) = &mut config.voting {
                (voting.lease, voting.vote_timeout) = (self.lease, self.vote_timeout);
                voting.stagger = voting.stagger.max(self.vote_timeout);
                voting.step_aside = voting.step_aside.max(self.vote_timeout);
                voting.fence = Some(FenceSettings {
                    command: CommandLine {
                        argv: vec!["fence".to_owned()],
                    },
                    timeout: self.fence,
                    renew: self.renew,
                    unfence: self.unfences.then(|| CommandLine {
                        argv: vec!["unfence".to_owned()],
                    }),
                    watchdog: None,
                });
            }
        }
    }
}

/// Each host has a clock of its own; in some schedules one that is wrong by more than leases have room for.
fn set_rates(plan: &mut Plan, rng: &mut Rng) {
    let most = match rng.percent(6) {
        true => 6 * MOST_GAIN,
        false => MOST_GAIN,
    };
    for host in 0..plan.setup.hosts() {
        let wide = rng.between(0, 2 * u64::from(most.unsigned_abs()));
        let gain = i32::try_from(wide).unwrap_or_default() - most;
        // Most of what comes of it does so at the bounds.
        let gain = [gain, most, -most][rng.below(3)];
        let fault = Fault::Leases(LeaseFault::Rate(host, gain));
        plan.steps.push(Step { at: 0, fault });
    }
}

/// Every fence takes nearly as long as it may.
fn slow_fences(plan: &mut Plan, timeout: Micros, rng: &mut Rng) {
    for host in 0..plan.setup.node_count() {
        let takes = FenceCourse::Takes(rng.between(timeout / 2, timeout - 1));
        let fault = Fault::Leases(LeaseFault::Fences(host, takes));
        plan.steps.push(Step { at: 0, fault });
    }
}

/// One trouble around a lease of this length, from then on.
fn faults(setup: &Setup, (at, lease): (Micros, Micros), rng: &mut Rng) -> Vec<(Micros, Fault)> {
    let primary = match rng.percent(75) {
        true => setup.primary,
        false => rng.below(setup.node_count()),
    };
    let back = at + rng.between(SECOND / 10, 2 * lease);
    match rng.below(15) {
        0 | 1 => vec![(at, Fault::Isolate(primary)), (back, Fault::Mend)],
        12..=14 => alone(setup, primary, (at, lease), rng),
        2 => vec![(at, Fault::Stops(primary, back - at))],
        3 => vec![
            (at, Fault::Daemon(primary, false)),
            (back, Fault::Daemon(primary, true)),
        ],
        4 => vec![(at, Fault::Reboots(primary))],
        5 => vec![
            (at, Fault::Leases(LeaseFault::Ungated(primary, true))),
            (at, starting_again(primary, rng)),
            (back, Fault::Starts(primary)),
        ],
        6 | 7 => {
            // Long enough for another one to be elected.
            let (at, limit) = (at / 2, setup.longest(|config| config.failover_lag));
            let back = at + limit + rng.between(lease, 4 * lease);
            let mut steps = bad_fence(primary, (at, back), rng);
            steps.push(losing(primary, at + rng.between(0, SECOND), rng));
            steps
        }
        8 => vec![
            (at, Fault::Dies(primary, death(rng))),
            (back, Fault::Starts(primary)),
        ],
        9 => one_way(setup, primary, (at, back), rng),
        10 => slow_promotion(setup, primary, (at, back), rng),
        _ => {
            let other = rng.below(setup.hosts());
            vec![
                (at, Fault::Isolate(primary)),
                (at + rng.between(0, lease), Fault::Restarts(other)),
                (back, Fault::Mend),
            ]
        }
    }
}

/// The primary is cut off, and its daemon restarted, stopped or gone: its guard is alone, or the one that
/// its former daemon has left.
fn alone(
    setup: &Setup,
    primary: HostId,
    (at, lease): (Micros, Micros),
    rng: &mut Rng,
) -> Vec<(Micros, Fault)> {
    let limit = setup.longest(|config| config.failover_lag);
    let at = at / 2;
    let cut = at + rng.between(0, lease);
    let mut steps = vec![(cut, Fault::Isolate(primary))];
    // Its last renewals came late, or not.
    if rng.percent(40) {
        let slow = rng.between(SECOND / 10, SECOND);
        let others = (0..setup.hosts()).filter(|host| *host != primary);
        steps.extend(others.map(|other| (at, Fault::Slow(primary, other, slow))));
    }
    let mut ends = at + rng.between(0, lease);
    for _ in 0..=rng.below(2) {
        steps.push(match rng.below(4) {
            0 | 1 => (ends, Fault::Restarts(primary)),
            2 => (ends, Fault::Stops(primary, 2 * limit)),
            _ => (ends, Fault::Daemon(primary, false)),
        });
        ends += rng.between(SECOND / 10, lease);
    }
    steps.push((at + limit + rng.between(lease, 4 * lease), Fault::Mend));
    steps
}

/// What has a server start again.
fn starting_again(node: HostId, rng: &mut Rng) -> Fault {
    match rng.percent(50) {
        true => Fault::Reboots(node),
        false => Fault::Dies(node, death(rng)),
    }
}

/// What has a lease end.
fn losing(primary: HostId, at: Micros, rng: &mut Rng) -> (Micros, Fault) {
    let fault = match rng.below(5) {
        0 => Fault::Daemon(primary, false),
        1 => Fault::Dies(primary, death(rng)),
        _ => Fault::Isolate(primary),
    };
    (at, fault)
}

fn bad_fence(host: HostId, (at, back): (Micros, Micros), rng: &mut Rng) -> Vec<(Micros, Fault)> {
    let course = match rng.below(5) {
        0 => FenceCourse::Fails,
        1 => FenceCourse::Hangs,
        2 => FenceCourse::Lies,
        _ => FenceCourse::Takes(rng.between(SECOND / 2, 8 * SECOND)),
    };
    let fences = |course| Fault::Leases(LeaseFault::Fences(host, course));
    vec![(at, fences(course)), (back, fences(FenceCourse::Works))]
}

/// The primary reaches nobody, or nobody reaches it, or only some.
fn one_way(
    setup: &Setup,
    primary: HostId,
    (at, back): (Micros, Micros),
    rng: &mut Rng,
) -> Vec<(Micros, Fault)> {
    let (from, is_all) = (rng.percent(50), rng.percent(50));
    let others = (0..setup.hosts()).filter(|host| *host != primary);
    let mut steps = Vec::new();
    for other in others {
        if is_all || rng.percent(60) {
            let path = |cut| match from {
                true => Fault::Path(primary, other, cut),
                false => Fault::Path(other, primary, cut),
            };
            steps.extend([(at, path(true)), (back, path(false))]);
        }
    }
    steps
}

/// Whoever is elected promotes slowly, or fails to, and loses its lease or its daemon meanwhile.
fn slow_promotion(
    setup: &Setup,
    primary: HostId,
    (at, back): (Micros, Micros),
    rng: &mut Rng,
) -> Vec<(Micros, Fault)> {
    let mut steps = vec![(at, Fault::Dies(primary, death(rng)))];
    for host in (0..setup.node_count()).filter(|node| *node != primary) {
        let status = [Some(0), Some(0), Some(1)][rng.below(3)];
        let takes = rng.between(SECOND / 10, 9 * SECOND);
        steps.push((at, Fault::Commands(host, status, takes)));
        let limit = setup.longest(|config| config.failover_lag);
        let later = at + limit + rng.between(0, 6 * SECOND);
        steps.push(match rng.below(4) {
            0 => (later, Fault::Isolate(host)),
            1 => (later, Fault::Restarts(host)),
            2 => (later, Fault::Daemon(host, false)),
            _ => (later, Fault::Stops(host, back - at)),
        });
    }
    steps
}

/// A third of the schedules has the shortest; 20 s are the default.
const TIMES: [Times; 4] = [
    Times::new(6_000, 800, 600, 2_000),
    Times::new(4_000, 500, 500, 1_000).unfencing(),
    Times::new(8_000, 1_000, 1_000, 2_000),
    Times::new(20_000, 2_500, 2_000, 5_000).unfencing(),
];
/// Until then the primary has claimed its first term, if nothing keeps it from that.
const CLAIM_TIME: Micros = 4 * SECOND;
