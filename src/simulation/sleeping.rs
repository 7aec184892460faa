//! Hosts on which everything stands still for a while: a suspended one, and a virtual machine that is
//! paused. What arrives meanwhile is lost, or lies there when it goes on. Which of them a schedule has.

use super::fact::Fact;
use super::fault::{Fault, Step};
use super::in_flight::{LeaseMessage, Message};
use super::lease_fault::{LeaseFault, Sleep};
use super::plan::Plan;
use super::rng::Rng;
use super::world::World;
use super::{HostId, Micros, SECOND, guarding, micros};
use crate::lookout::Event;

/// Everything on this host stands still for so long.
pub(super) fn begin(world: &mut World<'_>, host: HostId, time: Micros, sleep: Sleep) {
    if world.is_asleep(host) || world.databases.is_host_down(host) {
        return;
    }
    let until = world.now + time;
    world.stop(host, time);
    world.note(Fact::Sleeps(host, sleep));
    let now = world.now;
    let here = &mut world.hosts[host];
    here.asleep = Some((until, sleep));
    here.clocks.sleep(now, until, sleep == Sleep::Suspended);
    // Its deadlines are at another time.
    here.deadline = now;
    if host < world.setup.nodes.len() {
        world.databases.at(host).is_asleep = true;
    }
    let wakes = LeaseMessage::Wakes(host, until);
    world.send(until, Message::Leases(wakes));
}

/// It goes on: a daemon with leases learns first for how long its clock stood still, if the one of leases did
/// not.
pub(super) fn wake(world: &mut World<'_>, host: HostId, until: Micros) {
    if world.hosts[host].asleep.is_none_or(|(at, _)| at != until) {
        return;
    }
    go_on(world, host);
}

fn go_on(world: &mut World<'_>, host: HostId) {
    let Some((_, sleep)) = world.hosts[host].asleep.take() else {
        return;
    };
    world.advance_databases();
    world.note(Fact::Wakes(host, sleep));
    if host < world.setup.nodes.len() {
        world.databases.at(host).is_asleep = false;
    }
    let slept = world.hosts[host].clocks.take_slept();
    let has_leases = world.core(host).config().fence().is_some();
    if world.is_alive(host) && has_leases && !slept.is_zero() {
        let event = Event::HostSlept(slept);
        world.note(Fact::Event {
            host,
            event: &event,
        });
        world.hosts[host].daemon.add_first(event);
    }
    world.hosts[host].deadline = world.now;
    guarding::reschedule_all(world, host);
}

/// Everything works again: all go on at once.
pub(super) fn heal(world: &mut World<'_>) {
    (0..world.hosts.len()).for_each(|host| wake_early(world, host));
}

fn wake_early(world: &mut World<'_>, host: HostId) {
    if let Some((_, sleep)) = world.hosts[host].asleep {
        let now = world.now;
        world.hosts[host]
            .clocks
            .wake(now, sleep == Sleep::Suspended);
        go_on(world, host);
    }
}

/// Has hosts of this cluster stand still, or leaves it as it is. Drawn apart, so that a schedule without it
/// is what it was before there was any.
pub(super) fn with_sleep(plan: &mut Plan) {
    let mut rng = Rng::new(plan.seed ^ 0x736C_6565_7073);
    let lease = plan.setup.voting().map(|voting| micros(voting.lease));
    let Some(lease) = lease.filter(|_| plan.setup.leases().is_some() && rng.percent(15)) else {
        return;
    };
    plan.length += rng.between(0, 2 * lease);
    for _ in 0..=rng.below(2) {
        let host = match rng.percent(65) {
            true => plan.setup.primary,
            false => rng.below(plan.setup.hosts()),
        };
        let at = rng.between(2 * SECOND, plan.length);
        // Shorter than what a lease bears, or longer than a failover takes.
        let time = match rng.percent(30) {
            true => rng.between(SECOND / 100, lease),
            false => rng.between(lease / 2, lease + 20 * SECOND),
        };
        let sleep = match rng.percent(60) {
            true => Sleep::Suspended,
            false => Sleep::Paused,
        };
        let fault = Fault::Leases(LeaseFault::Sleeps(host, time, sleep));
        plan.steps.push(Step { at, fault });
        let before = at.saturating_sub(rng.between(0, lease));
        let fault = match rng.below(6) {
            // Its guard is alone.
            0 => Fault::Daemon(host, false),
            1 => Fault::Restarts(host),
            2 => Fault::Isolate(host),
            _ => continue,
        };
        plan.steps.push(Step { at: before, fault });
    }
    plan.steps.sort_by_key(|step| step.at);
}
