//! Fence commands: how they go, what they stop, and who learns of their end.

use super::database::Condition;
use super::fact::Fact;
use super::fault::Death;
use super::in_flight::{FenceRun, FencedBy, LeaseMessage, Message};
use super::lease_fault::FenceCourse;
use super::world::World;
use super::{HostId, Micros, SECOND};
use crate::lookout::{CommandOutcome, Event};

/// Runs the fence command of a host. It outlives whoever runs it.
pub(super) fn run(world: &mut World<'_>, host: HostId, by: FencedBy) {
    let Some(fence) = world.config(host).fence() else {
        return;
    };
    let here = &world.hosts[host];
    let timeout = here.clocks.span(fence.timeout);
    let (course, boots) = (here.leases.course, here.leases.boots);
    world.note(Fact::FenceBegins(host));
    let rng = &mut world.vote_traffic.rng;
    let quick = rng.between(10_000, SECOND / 5);
    let usual = rng.between(20_000, (timeout / 2).max(20_001));
    let (stops, (ends, status)) = match course {
        FenceCourse::Works => (Some(usual), (usual, Some(0))),
        FenceCourse::Fails => (None, (quick, Some(1))),
        FenceCourse::Lies => (None, (quick, Some(0))),
        FenceCourse::Hangs => (None, (timeout, None)),
        FenceCourse::Takes(time) if time < timeout => (Some(time), (time, Some(0))),
        FenceCourse::Takes(time) => (Some(time), (timeout, None)),
    };
    if let Some(after) = stops {
        send(world, after, LeaseMessage::FenceStops(host, boots));
    }
    let run = FenceRun {
        host,
        boots,
        by,
        status,
    };
    send(world, ends, LeaseMessage::FenceEnds(run));
}

fn send(world: &mut World<'_>, after: Micros, message: LeaseMessage) {
    world.send(world.now + after, Message::Leases(message));
}

/// The server of a host is stopped by a fence command, whatever it is.
pub(super) fn stop(world: &mut World<'_>, host: HostId, boots: u32) {
    if world.hosts[host].leases.boots != boots {
        return;
    }
    world.advance_databases();
    world.note(Fact::FenceStops(host));
    match world.databases()[host].condition {
        Condition::Up | Condition::Hung | Condition::Starting => {
            world.kill_database(host, Death::Crash);
        }
        Condition::Crashed | Condition::HostDown => {}
    }
}

/// A fence command ends, and whoever has run it learns of that.
pub(super) fn end(world: &mut World<'_>, run: FenceRun) {
    let host = run.host;
    if world.hosts[host].leases.boots != run.boots {
        return;
    }
    let is_done = run.status == Some(0);
    world.note(Fact::FenceEnds { host, is_done });
    send(world, 0, LeaseMessage::FenceExited(run));
}

/// A daemon learns that its fence command has ended.
pub(super) fn exited(world: &mut World<'_>, run: FenceRun) {
    let FencedBy::Daemon(process, id) = run.by else {
        return;
    };
    if world.runs(process) {
        let outcome = run
            .status
            .map_or(CommandOutcome::TimedOut, CommandOutcome::Exited);
        world.deliver(run.host, Event::CommandExited { id, outcome });
    }
}
