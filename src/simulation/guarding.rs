//! What the guards of a host do in its world: they get orders, wait, and fence.

use super::fencing;
use super::in_flight::{FenceRun, FencedBy, LeaseMessage, Message};
use super::world::World;
use super::{HostId, Micros, SECOND, failover_command};
use crate::time::Monotonic;

/// A daemon says when its guard is to fence; `None`: not at all.
pub(super) fn arm(world: &mut World<'_>, host: HostId, until: Option<Monotonic>) {
    let of = world.process(host).number;
    let until = until.map(|until| world.hosts[host].clocks.of_leases(until));
    let guards = &mut world.hosts[host].leases.guards;
    let Some(until) = until else {
        guards.dismiss(of);
        return take_over_soon(world, host, None);
    };
    let Some((number, is_new)) = guards.order(of, until) else {
        return;
    };
    if is_new {
        take_over_soon(world, host, Some(number));
    }
    wait(world, host, number);
}

/// The file of guards is written: it names this one from then on.
fn take_over_soon(world: &mut World<'_>, host: HostId, named: Option<u64>) {
    let takes = world.vote_traffic.rng.between(500, 30_000);
    let message = LeaseMessage::TakesOver(host, named);
    world.send(world.now + takes, Message::Leases(message));
}

/// The one that the file named before is ended.
pub(super) fn take_over(world: &mut World<'_>, host: HostId, named: Option<u64>) {
    world.hosts[host].leases.guards.name(named);
}

/// Fences if it is time, and comes back when it is.
pub(super) fn wait(world: &mut World<'_>, host: HostId, number: u64) {
    let here = &mut world.hosts[host];
    match here.leases.guards.due(number, &here.clocks, world.now) {
        Err(None) => {}
        Err(Some(at)) => world.send(at, Message::Leases(LeaseMessage::GuardDue(host, number))),
        Ok(of) => {
            failover_command::end_of_host(world, host, of);
            fencing::run(world, host, FencedBy::Guard(number));
        }
    }
}

/// The clocks of a host run at another rate: its deadlines are at another time.
pub(super) fn reschedule_all(world: &mut World<'_>, host: HostId) {
    for number in world.hosts[host].leases.guards.numbers() {
        wait(world, host, number);
    }
}

/// The fence command of a guard has ended. It is run until it has succeeded.
pub(super) fn fenced(world: &mut World<'_>, run: FenceRun, number: u64) {
    let host = run.host;
    let guards = &mut world.hosts[host].leases.guards;
    if run.status == Some(0) {
        guards.end(number);
    } else if guards.runs(number) {
        let again = LeaseMessage::FencesAgain(host, number);
        world.send(world.now + PAUSE, Message::Leases(again));
    }
}

/// The pause after a fence command that has failed is over.
pub(super) fn fence_again(world: &mut World<'_>, host: HostId, number: u64) {
    if world.hosts[host].leases.guards.runs(number) {
        fencing::run(world, host, FencedBy::Guard(number));
    }
}

/// Between two runs of a command that has failed.
const PAUSE: Micros = SECOND;
