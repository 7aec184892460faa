//! Which of the clusters with leases are switched over, and what befalls these switchovers.

use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, Step};
use super::lease_fault::LeaseFault;
use super::plan::Plan;
use super::rng::Rng;
use super::scenarios::death;
use super::setup::Setup;
use super::switchover_fault::{
    DemoteCourse, Loss, LostPart, Moment, SwitchoverFault, SwitchoverOrder,
};
use super::vote_fault::VoteFault;
use super::{HostId, Micros, NodeId, SECOND, micros};
use crate::config::{CommandLine, DemoteSettings};

/// Has switchovers asked for in this cluster, or leaves it as it is. Drawn apart, so that a schedule without
/// them is what it was before there were any.
pub(super) fn with_switchovers(plan: &mut Plan) {
    let mut rng = Rng::new(plan.seed ^ 0x7377_6974_6368);
    if plan.setup.leases().is_none() || !rng.percent(40) {
        return;
    }
    let timeout = Duration::from_millis([2_000, 4_000, 8_000][rng.below(3)]);
    // Now and then less than a busy primary writes between two polls.
    let max_lag = if rng.percent(10) { 1_500 } else { 16 << 20 };
    plan.setup.demote_by(timeout, max_lag);
    // In most what is asked for is possible.
    if rng.percent(60) {
        plan.steps.retain(|step| is_lasting(&step.fault));
    }
    plan.length += rng.between(5 * SECOND, 20 * SECOND);
    for _ in 0..=rng.below(3) {
        let at = rng.between(EARLIEST, plan.length);
        switch_over(plan, at, micros(timeout), &mut rng);
    }
    let ends = plan.length;
    plan.steps.retain(|step| step.at <= ends);
    plan.steps.sort_by_key(|step| step.at);
}

/// Is it no more than what all clocks and fence commands are like.
pub(super) fn is_lasting(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Leases(LeaseFault::Rate(..) | LeaseFault::Fences(..))
    )
}

impl Setup {
    /// Every server can be shut down and started by its daemon.
    fn demote_by(&mut self, timeout: Duration, max_lag: u64) {
        let command = |name: &str| CommandLine {
            argv: vec![name.to_owned()],
        };
        for config in &mut self.configs {
            if let Some(voting) = &mut Arc::make_mut(config).voting {
                voting.demotion = Some(DemoteSettings {
                    command: command("demote"),
                    timeout,
                    max_lag,
                    data_directory: "/data".into(),
                    start_command: command("start"),
                });
            }
        }
    }
}

/// One switchover, and its troubles.
fn switch_over(plan: &mut Plan, at: Micros, timeout: Micros, rng: &mut Rng) {
    let setup = &plan.setup;
    let node = |rng: &mut Rng| rng.below(setup.node_count());
    let holder = match rng.percent(75) {
        true => setup.primary,
        false => node(rng),
    };
    let mut to = node(rng);
    if to == holder && rng.percent(90) {
        to = (to + 1) % setup.node_count();
    }
    let order = SwitchoverOrder {
        on: rng.percent(15).then(|| rng.below(setup.hosts())),
        to: (!rng.percent(4)).then_some(to),
        dry_run: rng.percent(6),
    };
    let asks = |order| Fault::Switchovers(SwitchoverFault::Asks(order));
    let mut steps = vec![(at, asks(order))];
    for _ in 0..[0, 1, 1, 1, 2][rng.below(5)] {
        steps.extend(trouble(setup, (holder, to), (at, timeout), rng));
    }
    if rng.percent(15) {
        let later = at + rng.between(0, 4 * SECOND);
        let to = Some(node(rng));
        steps.push((later, asks(SwitchoverOrder { to, ..order })));
    }
    // The old primary is made a standby of the new one, too early or not.
    if rng.percent(50) {
        let back = at + rng.between(SECOND, 15 * SECOND);
        steps.push((back, Fault::Follows(holder, to)));
        steps.push((back, Fault::Starts(holder)));
    }
    let steps = steps.into_iter().map(|(at, fault)| Step { at, fault });
    plan.steps.extend(steps);
}

type Steps = Vec<(Micros, Fault)>;

/// What befalls a switchover that was asked for then.
fn trouble(
    setup: &Setup,
    (holder, to): (NodeId, NodeId),
    (at, timeout): (Micros, Micros),
    rng: &mut Rng,
) -> Steps {
    let soon = at + rng.between(0, 4 * SECOND);
    let back = soon + rng.between(SECOND / 10, 12 * SECOND);
    let demotes = |course| Fault::Switchovers(SwitchoverFault::Demotes(holder, course));
    let either = if rng.percent(50) { holder } else { to };
    match rng.below(12) {
        0 | 1 => {
            let before = at.saturating_sub(SECOND);
            vec![
                (before, demotes(course(timeout, rng))),
                (back, demotes(DemoteCourse::Works)),
            ]
        }
        2..=4 => vec![(
            at.saturating_sub(1),
            Fault::Switchovers(SwitchoverFault::Loses(loss(rng))),
        )],
        5 => {
            let before = at.saturating_sub(rng.between(0, 8 * SECOND));
            lagging(to, holder, (before, back), rng)
        }
        6 => {
            let dies = (at + 2 * SECOND).saturating_sub(rng.between(0, 4 * SECOND));
            vec![
                (dies, Fault::Dies(to, death(rng))),
                (back, Fault::Starts(to)),
            ]
        }
        7 => {
            let split = u32::try_from(rng.between(1, 1 << setup.hosts())).unwrap_or(1);
            let fault = match rng.percent(60) {
                true => Fault::Isolate(either),
                false => Fault::Split(split),
            };
            vec![(soon, fault), (back, Fault::Mend)]
        }
        8 => reloads(setup, either, to, soon, rng),
        9 => process(rng.below(setup.hosts()), either, (soon, back), rng),
        10 => {
            let fails = |fails| Fault::Switchovers(SwitchoverFault::StartFails(holder, fails));
            // It goes back then.
            vec![
                (at, fails(true)),
                (at, demotes(course(timeout, rng))),
                (back, fails(false)),
            ]
        }
        _ => disk(holder, (soon, back), rng),
    }
}

fn course(timeout: Micros, rng: &mut Rng) -> DemoteCourse {
    match rng.below(8) {
        0 => DemoteCourse::Fails,
        1 => DemoteCourse::Hangs,
        2 => DemoteCourse::Lies,
        3 => DemoteCourse::Kills,
        4 => DemoteCourse::CutsOff,
        _ => DemoteCourse::Takes(rng.between(SECOND / 10, 2 * timeout)),
    }
}

fn loss(rng: &mut Rng) -> Loss {
    let moments = [
        Moment::Demotes,
        Moment::Looks,
        Moment::Releases,
        Moment::AsksVotes,
        Moment::Promotes,
        Moment::GoesBack,
    ];
    let parts = [
        LostPart::Daemon,
        LostPart::Daemon,
        LostPart::Host,
        LostPart::Network,
        LostPart::Time,
    ];
    Loss {
        when: moments[rng.below(6)],
        is_successor: rng.percent(40),
        what: parts[rng.below(5)],
        lasts: rng.between(SECOND / 10, 20 * SECOND),
    }
}

fn lagging(to: NodeId, holder: NodeId, (at, back): (Micros, Micros), rng: &mut Rng) -> Steps {
    let (fault, ends) = match rng.below(4) {
        0 => (Fault::Pauses(to, true), Fault::Pauses(to, false)),
        1 => (Fault::LosesSlot(to), Fault::Follows(to, holder)),
        2 => (
            Fault::Delays(to, rng.between(SECOND / 10, 15 * SECOND)),
            Fault::Delays(to, 0),
        ),
        _ => (
            Fault::Path(to, holder, true),
            Fault::Path(to, holder, false),
        ),
    };
    vec![(at, fault), (back, ends)]
}

fn reloads(setup: &Setup, host: HostId, to: NodeId, at: Micros, rng: &mut Rng) -> Steps {
    let reload = match rng.below(4) {
        0 => Fault::Interval(host, rng.between(1, 4) * SECOND),
        1 => Fault::Configured(host, to, false),
        2 => Fault::Limit(host, rng.between(3, 12) * SECOND),
        _ => Fault::SetsPause(rng.below(setup.node_count()), true),
    };
    vec![(at, reload)]
}

fn process(any: HostId, either: HostId, (at, back): (Micros, Micros), rng: &mut Rng) -> Steps {
    match rng.below(5) {
        0 => vec![(at, Fault::Restarts(either))],
        1 => vec![(at, Fault::Restarts(any))],
        2 => vec![(at, Fault::Stops(either, back - at))],
        3 => vec![(at, Fault::Reboots(either))],
        _ => vec![
            (at, Fault::Daemon(either, false)),
            (back, Fault::Daemon(either, true)),
        ],
    }
}

fn disk(holder: HostId, (at, back): (Micros, Micros), rng: &mut Rng) -> Steps {
    let votes = Fault::Votes;
    match rng.below(3) {
        0 => vec![
            (at, votes(VoteFault::DiskFull(holder, true))),
            (back, votes(VoteFault::DiskFull(holder, false))),
        ],
        1 => {
            let slow = rng.between(SECOND / 10, 8 * SECOND);
            vec![
                (at, votes(VoteFault::SlowDisk(holder, slow))),
                (back, votes(VoteFault::SlowDisk(holder, 0))),
            ]
        }
        _ => vec![(at, votes(VoteFault::EndsInWrite(holder, rng.percent(70))))],
    }
}

/// Before that the primary has hardly claimed its first term.
const EARLIEST: Micros = 4 * SECOND;
