//! The faults of a schedule, applied to the world; and everything healed again.

use std::sync::Arc;
use std::time::Duration;

use super::database::{Condition, Database};
use super::fact::Fact;
use super::fault::{Death, Fault, Lie};
use super::lease_fault::{FenceCourse, LeaseFault};
use super::setup::misspelt;
use super::world::World;
use super::{
    HostId, Micros, NodeId, elections, gate, guarding, sleeping, state_json, switchovers,
    voter_lists,
};
use crate::config::{Config, Keywords};
use crate::lookout::Event;

/// Lets a fault happen.
pub(super) fn apply(world: &mut World<'_>, fault: Fault) {
    world.advance_databases();
    world.note(Fact::Fault(&fault));
    let now = world.now;
    let network = &mut world.network;
    match fault {
        Fault::Path(a, b, cut) => network.change(a, b, now, |path| path.cut = cut),
        Fault::Isolate(host) => network.split(1 << host, now),
        Fault::Split(group) => network.split(group, now),
        Fault::Mend => network.mend(now),
        Fault::Slow(a, b, by) => network.change(a, b, now, |path| path.delay = by),
        Fault::Lossy(a, b, loss) => network.change(a, b, now, |path| path.loss = loss),
        Fault::Dies(node, death) => world.kill_database(node, death),
        Fault::Starts(node) => gate::start(world, node),
        Fault::Refuses(node, refusal) => world.databases.at(node).refusal = refusal,
        Fault::OutOfSlots(node, hosts) => world.databases.at(node).out_of_slots_for = hosts,
        Fault::Repoints(node, upstream) => world.databases.repoint(node, upstream),
        Fault::RestartsToPromote(host) => world.hosts[host].faults.restarts_server = true,
        Fault::Pauses(node, paused) => world.databases.at(node).replay_is_paused = paused,
        Fault::Delays(node, delay) => {
            world.databases.at(node).delay = i64::try_from(delay).unwrap_or_default();
        }
        Fault::FedByArchive(node) => world.databases.feed_by_archive(node),
        Fault::LosesSlot(node) => world.databases.at(node).is_starved = true,
        Fault::Follows(node, upstream) => world.databases.follow(node, upstream),
        Fault::StepsClock(host, by) => world.hosts[host].clocks.wall_offset += by * 1_000_000,
        Fault::Stops(host, time) => world.stop(host, time),
        Fault::RunsSeldom(host, rhythm) => world.set_pauses(host, rhythm),
        Fault::Restarts(host) => restart(world, host, false),
        Fault::Reboots(host) => restart(world, host, true),
        Fault::Forgets(host) => forget(world, host),
        Fault::Daemon(host, true) => start_daemon(world, host),
        Fault::Daemon(host, false) => kill_daemon(world, host),
        Fault::Lies(host, lie) => set_lie(world, host, lie),
        Fault::Commands(host, status, takes) => world.hosts[host].faults.command = (status, takes),
        Fault::Maintenance(host, exists) => world.hosts[host].faults.maintenance = exists,
        Fault::SetsPause(host, pauses) => set_pause(world, host, pauses),
        Fault::Check(host) => request_check(world, host),
        Fault::Lost(host, node) => world.close_connection(host, node),
        Fault::Configured(host, node, known) => configure(world, host, node, known),
        Fault::Misspells(host, node, misaddressed) => misspell(world, host, node, misaddressed),
        Fault::Corrects(host, node) => correct(world, host, node),
        Fault::Gone(host, node) => declare_gone(world, host, node),
        Fault::ForgetsGone(host) => reload(world, host, |config| config.known_gone.clear()),
        Fault::Limit(host, limit) => reload(world, host, |config| {
            // A shorter one is refused.
            let least = config.fence().map(|fence| fence.timeout * 3);
            config.failover_lag = Duration::from_micros(limit).max(least.unwrap_or_default());
            config.warning_lag = config.warning_lag.min(config.failover_lag);
        }),
        Fault::Prefers(host, node) => {
            let name = world.setup.nodes[node].clone();
            reload(world, host, |config| {
                config.failover_priorities.insert(name, 2);
            });
        }
        Fault::PollsOnWarning(host) => reload(world, host, |config| {
            config.poll_observers_on_warning_only = true;
        }),
        Fault::Interval(host, interval) => reload(world, host, |config| {
            config.poll_interval = Duration::from_micros(interval);
        }),
        Fault::Votes(fault) => elections::apply(world, fault),
        Fault::Leases(fault) => apply_to_leases(world, fault),
        Fault::Switchovers(fault) => switchovers::apply(world, fault),
    }
}

fn apply_to_leases(world: &mut World<'_>, fault: LeaseFault) {
    let now = world.now;
    match fault {
        LeaseFault::Fences(host, course) => world.hosts[host].leases.course = course,
        LeaseFault::Ungated(host, is_ungated) => world.hosts[host].leases.is_ungated = is_ungated,
        LeaseFault::Sleeps(host, time, sleep) => sleeping::begin(world, host, time, sleep),
        LeaseFault::Rate(host, gain) => run_clock_at(world, host, gain, now),
    }
}

fn run_clock_at(world: &mut World<'_>, host: HostId, gain: i32, now: Micros) {
    world.hosts[host].clocks.run_at(gain, now);
    // What was to happen at a time of it happens at another one.
    world.hosts[host].deadline = now;
    guarding::reschedule_all(world, host);
}

fn restart(world: &mut World<'_>, host: HostId, boot: bool) {
    if !world.is_alive(host) {
        return;
    }
    // Where servers are fenced it matters that this one is down meanwhile.
    let takes_server = boot && world.setup.leases().is_some() && host < world.setup.nodes.len();
    if takes_server && world.databases()[host].condition != Condition::Crashed {
        world.kill_database(host, Death::HostDown);
        gate::start(world, host);
    } else {
        world.hosts[host].leases.end_at(boot);
        world.restart(host, boot);
    }
}

fn forget(world: &mut World<'_>, host: HostId) {
    if world.is_alive(host) {
        world.hosts[host].daemon.saved = None;
        world.promotions.forget(host);
        world.restart(host, false);
    }
}

fn start_daemon(world: &mut World<'_>, host: HostId) {
    if !world.is_alive(host) && !world.databases.is_host_down(host) {
        world.restart(host, false);
    } else {
        world.has_orphans |= world.promotions.is_promoting(host);
    }
}

fn kill_daemon(world: &mut World<'_>, host: HostId) {
    world.has_orphans |= world.promotions.is_promoting(host);
    // With a process that was stopped go the signals that it has not seen.
    let until = world.hosts[host].stopped_until;
    if until > world.now {
        world.in_flight.drop_signals(host, until);
    }
    world.hosts[host].daemon.is_alive = false;
    world.leave_sessions(host, false);
}

fn set_lie(world: &mut World<'_>, host: HostId, lie: Option<Lie>) {
    let frozen = matches!(lie, Some(Lie::Frozen));
    let shows_presence = world.setup.presence.shows_presence(host);
    let report = || state_json::report(&world.hosts[host], &world.setup, shows_presence, world.now);
    let frozen = frozen.then(report);
    let faults = &mut world.hosts[host].faults;
    (faults.lie, faults.frozen) = (lie, frozen);
}

fn request_check(world: &mut World<'_>, host: HostId) {
    if world.is_alive(host) {
        world.deliver(host, Event::CheckRequested);
    }
}

/// As `pglookout pause` and `resume` do it; an observer refuses.
fn set_pause(world: &mut World<'_>, host: HostId, pauses: bool) {
    let known = world.core(host).pause();
    let mark = match pauses {
        true => known.paused(None),
        false => known.resumed(),
    };
    if let Ok(mark) = mark
        && world.is_alive(host)
        && host < world.setup.nodes.len()
    {
        world.deliver(host, Event::PauseSet(mark));
    }
}

/// Leaves a node out of a configuration, or takes it in again. Nobody leaves out its own. In this
/// world a server has one name: the right one takes the place of a misspelt one.
fn configure(world: &mut World<'_>, host: HostId, node: NodeId, known: bool) {
    let name = world.setup.nodes[node].clone();
    let is_known = world.config(host).nodes.contains_key(&name);
    if node == host || is_known == known {
        return;
    }
    let info = world.setup.any_config().nodes.get(&name).cloned();
    reload(world, host, |config| {
        config.nodes.remove(&name);
        if let Some(info) = info.filter(|_| known) {
            config.nodes.remove(&misspelt(&name));
            config.nodes.insert(name, info);
        }
    });
}

/// Writes the name of a node with a typing error, and leaves its address out or not. Nobody
/// misspells its own.
fn misspell(world: &mut World<'_>, host: HostId, node: NodeId, misaddressed: bool) {
    let name = world.setup.nodes[node].clone();
    let known = world.config(host).nodes.get(&name).cloned();
    // Where daemons vote, a node that is no voter is refused.
    let votes = world.config(host).voting.is_some();
    if let Some(mut info) = known.filter(|_| node != host && !votes) {
        if misaddressed {
            // Also as it is recorded: another address is no mere change of name.
            let info = Arc::make_mut(&mut info);
            info.address = Keywords::default();
            info.hosts.clear();
        }
        reload(world, host, |config| {
            config.nodes.remove(&name);
            config.nodes.insert(misspelt(&name), info);
        });
    }
}

fn correct(world: &mut World<'_>, host: HostId, node: NodeId) {
    let name = world.setup.nodes[node].clone();
    let wrong = misspelt(&name);
    if world.config(host).nodes.contains_key(&wrong) {
        let info = world.setup.any_config().nodes.get(&name).cloned();
        reload(world, host, |config| {
            config.nodes.remove(&wrong);
            config.nodes.extend(info.map(|info| (name, info)));
        });
    }
}

fn declare_gone(world: &mut World<'_>, host: HostId, node: NodeId) {
    let name = world.setup.nodes[node].clone();
    reload(world, host, |config| config.known_gone.extend([name]));
}

fn reload(world: &mut World<'_>, host: HostId, change: impl FnOnce(&mut Config)) {
    if world.is_alive(host) {
        let mut config = (**world.config(host)).clone();
        change(&mut config);
        world.load(host, Arc::new(config));
    }
}

/// Everything works again, as an operator would leave it: one primary, everybody else its standby.
pub(super) fn heal(world: &mut World<'_>) {
    world.advance_databases();
    world.note(Fact::Healed);
    world.network.mend(world.now);
    world.vote_traffic.late = 0;
    switchovers::heal(world);
    for host in 0..world.hosts.len() {
        heal_leases(world, host);
    }
    let has_leases = world.setup.leases().is_some();
    let newest = world.databases.newest();
    let primary = world.sole_writer().filter(|_| has_leases);
    world.databases.heal(primary.unwrap_or(newest));
    // Where leases are in force only a majority of voters promotes.
    if !has_leases && !world.databases()[newest].is_primary {
        world.databases.promote(newest);
    }
    for node in 0..world.setup.nodes.len() {
        gate::start(world, node);
    }
    world.resume_all();
    sleeping::heal(world);
    voter_lists::heal(world);
    for host in 0..world.hosts.len() {
        heal_host(world, host);
    }
}

/// Where leases are in force nobody writes, though everything works: an operator has the last word.
pub(super) fn promote_by_hand(world: &mut World<'_>) {
    if world.databases().iter().any(Database::is_writer) {
        return;
    }
    world.advance_databases();
    let node = world.databases.newest();
    world.note(Fact::PromotesByHand(node));
    world.databases.heal(node);
    if !world.databases()[node].is_primary {
        world.databases.promote(node);
    }
    if world.databases()[node].condition != Condition::Up {
        world.start_at_once(node);
    }
}

/// Fence commands work, servers are started through the gate, and clocks that are not wrong by more than
/// leases have room for are left alone.
fn heal_leases(world: &mut World<'_>, host: HostId) {
    let here = &mut world.hosts[host];
    (here.leases.course, here.leases.is_ungated) = (FenceCourse::Works, false);
    if here.clocks.gain().abs() > MOST_GAIN {
        let now = world.now;
        run_clock_at(world, host, 0, now);
    }
}

fn heal_host(world: &mut World<'_>, host: HostId) {
    let config = world.proper_config(host);
    elections::heal(world, host);
    let healed = &mut world.hosts[host];
    healed.faults.heal();
    if healed.clocks.wall_offset.abs() > MOST_SKEW {
        healed.clocks.wall_offset = 0;
    }
    if !world.is_alive(host) {
        world.restart(host, false);
    }
    if **world.config(host) != *config {
        world.load(host, config);
    }
}

/// A clock that gains or loses no more is what leases have room for, in microseconds a second.
pub const MOST_GAIN: i32 = 15_000;
/// Wall clocks that are no farther off are left alone, in microseconds.
pub(super) const MOST_SKEW: i64 = 1_000_000;
