//! Courses of events that chance alone hardly ever brings about.

use super::fault::{Death, Fault, Step};
use super::rng::Rng;
use super::setup::Setup;
use super::{Micros, SECOND};

/// One of them now and then.
pub(super) fn scenario(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    match rng.below(40) {
        0 | 1 => late_primary(setup, length, rng),
        2 => first_start(setup, length, rng),
        3 | 4 => returning_primary(setup, length, rng),
        5 | 6 => restarting_winners(setup, length, rng),
        7 => odd_observer(setup, length, rng),
        8 => cascade(setup, length, rng),
        9 => careless_reload(setup, length, rng),
        10 | 11 => slow_standbys(setup, length, rng),
        12 => differing_preferences(setup, length, rng),
        15 | 16 => slow_hosts(setup, length, rng),
        13 | 14 => misspelt_primary(setup, length, rng),
        _ => Vec::new(),
    }
}

/// Daemons and standbys start first, the primary a while later.
fn late_primary(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let starts = rng.between(SECOND, length);
    vec![
        step(0, Fault::Dies(setup.primary, death(rng))),
        step(starts, Fault::Starts(setup.primary)),
    ]
}

/// Everything is down at first, and starts in any order.
fn first_start(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let nodes = 0..setup.node_count();
    let steps = nodes.flat_map(|node| {
        let starts = rng.between(0, length);
        [
            step(0, Fault::Dies(node, death(rng))),
            step(starts, Fault::Starts(node)),
        ]
    });
    steps.collect()
}

/// The primary dies, and comes back when another one may have taken its place, which is lost or not.
fn returning_primary(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let limit = setup.longest(|config| config.failover_lag);
    let back = rng.between(limit, length + 2 * SECOND);
    let mut steps = vec![
        step(SECOND, Fault::Dies(setup.primary, death(rng))),
        step(back, Fault::Starts(setup.primary)),
    ];
    let other = rng.below(setup.node_count());
    match rng.below(3) {
        0 => steps.push(step(back + SECOND, Fault::Dies(other, death(rng)))),
        1 => steps.push(step(
            back,
            Fault::Refuses(setup.primary, Some(super::Refusal::Login)),
        )),
        _ => {}
    }
    steps
}

/// Promotions restart the server, and take a while.
fn restarting_winners(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let nodes = 0..setup.node_count();
    let commands = nodes.flat_map(|node| {
        let takes = rng.between(SECOND / 10, 5 * SECOND);
        [
            step(0, Fault::RestartsToPromote(node)),
            step(0, Fault::Commands(node, Some(0), takes)),
        ]
    });
    let mut steps: Vec<_> = commands.collect();
    let at = rng.between(SECOND, length / 3);
    steps.push(step(at, Fault::Dies(setup.primary, death(rng))));
    steps
}

/// An observer never reaches the primary, or polls more slowly than the limit.
fn odd_observer(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let observers: Vec<_> = setup.observers.iter().map(|(_, host)| *host).collect();
    let Some(observer) = rng.one_of(&observers) else {
        return Vec::new();
    };
    let at = rng.between(SECOND, length / 2);
    let fault = match rng.below(3) {
        0 => Fault::Path(observer, setup.primary, true),
        1 => Fault::Interval(
            observer,
            setup.longest(|config| config.failover_lag) + SECOND,
        ),
        _ => return vec![step(at, Fault::Forgets(observer))],
    };
    vec![step(0, fault)]
}

/// Standbys stream from each other, and catch up from each other when the primary is gone.
fn cascade(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let others: Vec<_> = setup.standbys().collect();
    let pick = |rng: &mut Rng| rng.one_of(&others).unwrap_or_default();
    let (standby, upstream) = (pick(rng), pick(rng));
    let at = rng.between(0, length / 2);
    let cut = rng.between(0, length / 2);
    vec![
        step(cut, Fault::Path(upstream, setup.primary, true)),
        step(at, Fault::Repoints(standby, upstream)),
        step(length / 2, Fault::Path(upstream, setup.primary, false)),
    ]
}

/// Standbys that replay late, or are fed by an archive.
fn slow_standbys(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let limit = setup.longest(|config| config.failover_lag);
    let steps = setup.standbys().filter_map(|node| {
        let at = rng.between(0, length / 3);
        let fault = match rng.below(4) {
            0 | 1 => Fault::Delays(node, rng.between(SECOND / 2, 2 * limit)),
            2 => Fault::FedByArchive(node),
            _ => return None,
        };
        Some(step(at, fault))
    });
    steps.collect()
}

/// Each host prefers another node.
fn differing_preferences(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let hosts = 0..setup.node_count();
    let steps = hosts.map(|host| {
        let preferred = rng.below(setup.node_count());
        step(rng.between(0, length / 3), Fault::Prefers(host, preferred))
    });
    steps.collect()
}

/// One host or several have a typing error in the name of the primary, in its address too or not, and
/// correct it later or never.
fn misspelt_primary(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let misaddressed = rng.percent(40);
    let is_corrected = rng.percent(60);
    let everywhere = rng.percent(40);
    let hosts = (0..setup.hosts()).filter(|host| *host != setup.primary);
    let mut steps = Vec::new();
    for host in hosts {
        if everywhere || rng.percent(50) {
            let at = rng.between(SECOND, length / 2);
            let corrected = at + rng.between(SECOND / 10, length / 2);
            let fault = Fault::Misspells(host, setup.primary, misaddressed);
            steps.push(step(at, fault));
            if is_corrected {
                steps.push(step(corrected, Fault::Corrects(host, setup.primary)));
            }
        }
    }
    steps
}

/// Daemons of one host or several run for 0.3 s of every 3 s, from some time on or all the time.
fn slow_hosts(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let everywhere = rng.percent(20);
    let from = rng.between(0, length / 2);
    let mut steps = Vec::new();
    for host in 0..setup.hosts() {
        if everywhere || rng.percent(40) {
            let at = from + rng.between(0, 3 * SECOND);
            let rhythm = (3 * SECOND / 10, 3 * SECOND);
            steps.push(step(at, Fault::RunsSeldom(host, Some(rhythm))));
            if rng.percent(30) {
                let until = at + rng.between(SECOND, length);
                steps.push(step(until, Fault::RunsSeldom(host, None)));
            }
        }
    }
    steps
}

/// Files that differ from host to host.
fn careless_reload(setup: &Setup, length: Micros, rng: &mut Rng) -> Vec<Step> {
    let limit = setup.longest(|config| config.failover_lag);
    let hosts = 0..setup.hosts();
    let steps = hosts.filter_map(|host| {
        let at = rng.between(0, length);
        let fault = match rng.below(6) {
            0 => Fault::Configured(host, setup.primary, false),
            1 => Fault::Gone(host, setup.primary),
            2 => Fault::ForgetsGone(host),
            3 => Fault::Limit(host, rng.between(limit / 2, limit * 2)),
            4 => Fault::PollsOnWarning(host),
            _ => return None,
        };
        Some(step(at, fault))
    });
    steps.collect()
}

fn step(at: Micros, fault: Fault) -> Step {
    Step { at, fault }
}

pub(super) fn death(rng: &mut Rng) -> Death {
    [Death::Crash, Death::HostDown, Death::Hang][rng.below(3)]
}
