//! Switchovers in the world of a schedule: an operator asks for one, the server is shut down and looked at,
//! and whoever is lost meanwhile. How one goes is the core's; nothing here knows a rule of it.

use std::time::Duration;

use super::database::Condition;
use super::fault::{Death, Fault};
use super::in_flight::{Message, ProcessId, SwitchoverMessage};
use super::switchover_fault::{
    DemoteCourse, Loss, LostPart, Moment, NOBODY, SwitchoverFault, SwitchoverOrder,
};
use super::world::World;
use super::{HostId, Micros, NodeId, SECOND};
use crate::lookout::{
    CommandId, CommandOutcome, CommandPurpose, Effect, Event, SwitchoverRequest, SwitchoverState,
};
use crate::votes::{Kind, Nonce};

/// Lets a fault happen.
pub(super) fn apply(world: &mut World<'_>, fault: SwitchoverFault) {
    match fault {
        SwitchoverFault::Asks(order) => ask(world, order),
        SwitchoverFault::Demotes(host, course) => world.hosts[host].switchover.course = course,
        SwitchoverFault::StartFails(host, fails) => {
            world.hosts[host].switchover.start_fails = fails;
        }
        SwitchoverFault::Loses(loss) => world.switchovers.losses.push(loss),
    }
}

/// Commands work, what is under way of them changes nothing any more, and nothing more is lost.
pub(super) fn heal(world: &mut World<'_>) {
    world.switchovers.losses.clear();
    world.switchovers.void = world.switchovers.last;
    for host in &mut world.hosts {
        (host.switchover.course, host.switchover.start_fails) = (DemoteCourse::Works, false);
    }
}

/// Is any switchover under way.
pub(super) fn are_running(world: &World<'_>) -> bool {
    (0..world.hosts.len()).any(|host| {
        let switchover = world.core(host).switchover();
        let is_running = switchover.is_some_and(|it| it.state() == SwitchoverState::Running);
        world.is_alive(host) && is_running
    })
}

fn ask(world: &mut World<'_>, order: SwitchoverOrder) {
    let id = Nonce(world.vote_traffic.random_bits());
    let Some(host) = order.on.or_else(|| world.sole_writer()) else {
        return;
    };
    let to = order.to.map(|node| world.setup.nodes[node].clone());
    let request = SwitchoverRequest {
        id,
        to: to.unwrap_or_else(|| NOBODY.into()),
        dry_run: order.dry_run,
    };
    // One that is stopped finds the file later than anybody waits for it, or soon enough.
    if world.is_alive(host) && world.hosts[host].stopped_until <= world.now {
        world.deliver(host, Event::SwitchoverRequested(request));
    }
}

/// A daemon runs its demote command.
pub(super) fn demote(world: &mut World<'_>, host: HostId, id: CommandId, timeout: Duration) {
    let by = world.process(host);
    let timeout = world.hosts[host].clocks.span(timeout);
    world.switchovers.last += 1;
    let number = world.switchovers.last;
    let here = &mut world.hosts[host];
    here.switchover.demoting = Some((number, by, id));
    let (boots, course) = (here.leases.boots, here.switchover.course);
    let rng = &mut world.vote_traffic.rng;
    let quick = rng.between(10_000, SECOND / 5);
    let usual = rng.between(20_000, (timeout / 2).max(20_001));
    let is_down = matches!(
        world.databases()[host].condition,
        Condition::Crashed | Condition::HostDown
    );
    let (stops, (ends, outcome)) = match course {
        // There is nothing to be stopped.
        _ if is_down => (None, (quick, CommandOutcome::Exited(1))),
        DemoteCourse::Works | DemoteCourse::Kills | DemoteCourse::CutsOff => {
            (Some(usual), (usual, CommandOutcome::Exited(0)))
        }
        DemoteCourse::Fails => (None, (quick, CommandOutcome::Exited(1))),
        DemoteCourse::Lies => (None, (quick, CommandOutcome::Exited(0))),
        DemoteCourse::Hangs => (None, (timeout, CommandOutcome::TimedOut)),
        DemoteCourse::Takes(time) if time < timeout => {
            (Some(time), (time, CommandOutcome::Exited(0)))
        }
        DemoteCourse::Takes(time) => (Some(time), (timeout, CommandOutcome::TimedOut)),
    };
    if let Some(after) = stops {
        let stops = SwitchoverMessage::Stops(host, boots, number);
        send(world, after, stops);
    }
    send(world, ends, SwitchoverMessage::Ends(by, number, outcome));
}

fn send(world: &mut World<'_>, after: Micros, message: SwitchoverMessage) {
    world.send(world.now + after, Message::Switchovers(message));
}

/// A daemon ends its demote command. The server has got the signal that stops it already, or not.
pub(super) fn end_command(world: &mut World<'_>, by: ProcessId, id: CommandId) {
    let demoting = world.hosts[by.host].switchover.demoting;
    let Some((number, ..)) = demoting.filter(|(_, process, it)| (*process, *it) == (by, id)) else {
        return;
    };
    if world.vote_traffic.rng.percent(50) && world.switchovers.last == number {
        world.switchovers.void = number;
    }
    let killed = CommandOutcome::Killed(9);
    send(world, 0, SwitchoverMessage::Ends(by, number, killed));
}

/// A daemon reads the control file of its server.
pub(super) fn read_control(world: &mut World<'_>, host: HostId) {
    let takes = world.vote_traffic.rng.between(500, 30_000);
    let read = SwitchoverMessage::ControlRead(world.process(host));
    send(world, takes, read);
}

/// Something that concerns switchovers arrives.
pub(super) fn deliver(world: &mut World<'_>, message: SwitchoverMessage) {
    match message {
        SwitchoverMessage::Stops(host, boots, number) => stop(world, host, boots, number),
        SwitchoverMessage::Ends(by, number, outcome) => {
            let demoting = &mut world.hosts[by.host].switchover.demoting;
            let ended = demoting.take_if(|(running, ..)| *running == number);
            if let Some((_, _, id)) = ended.filter(|_| world.runs(by)) {
                world.deliver(by.host, Event::CommandExited { id, outcome });
            }
        }
        SwitchoverMessage::ControlRead(by) if world.runs(by) => {
            world.advance_databases();
            let leaves_pid_file = world.vote_traffic.rng.percent(50);
            let database = world.databases().get(by.host);
            let data = database.map(|it| it.control_data(leaves_pid_file));
            // An observer has none.
            let data = data.ok_or_else(|| "no such file".to_owned());
            world.deliver(by.host, Event::ControlRead(data));
        }
        // Whoever it was for is gone.
        SwitchoverMessage::ControlRead(_) => {}
    }
}

/// A server is stopped by a demote command, unless its machine was booted since.
fn stop(world: &mut World<'_>, host: HostId, boots: u32, number: u64) {
    let is_void = number <= world.switchovers.void;
    let is_up = world.databases()[host].condition == Condition::Up;
    if world.hosts[host].leases.boots != boots || is_void || !is_up {
        return;
    }
    world.advance_databases();
    match world.hosts[host].switchover.course {
        DemoteCourse::Kills => {}
        DemoteCourse::CutsOff => world.databases.at(host).shut_down(),
        _ => {
            // It waits until its standbys have what it has written last.
            world.databases.at(host).shut_down();
            world.advance_databases();
        }
    }
    world.kill_database(host, Death::Crash);
}

/// A core wants this done: whoever is to be lost then is.
pub(super) fn reach(world: &mut World<'_>, host: HostId, effect: &Effect) {
    let Some(when) = moment(world, host, effect) else {
        return;
    };
    if when == Moment::Demotes {
        let request = world.core(host).switchover().map(|it| it.request().clone());
        let successor = request.and_then(|request| world.setup.node_id(&request.to));
        world.switchovers.pair = Some((host, successor));
    }
    let losses = &mut world.switchovers.losses;
    let Some(place) = losses.iter().position(|loss| loss.when == when) else {
        return;
    };
    let loss = losses.swap_remove(place);
    let pair = world.switchovers.pair;
    let whose = pair.and_then(|(holder, successor)| match loss.is_successor {
        true => successor,
        false => Some(holder),
    });
    if let Some(host) = whose {
        lose(world, host, loss);
    }
}

fn moment(world: &World<'_>, host: HostId, effect: &Effect) -> Option<Moment> {
    let (holder, successor) = world.switchovers.pair.unzip();
    let is_successor = successor.flatten() == Some(host);
    match effect {
        Effect::RunCommand { purpose, .. } => match purpose {
            CommandPurpose::Demote => Some(Moment::Demotes),
            CommandPurpose::Failover if is_successor => Some(Moment::Promotes),
            CommandPurpose::FollowStart if holder == Some(host) => Some(Moment::GoesBack),
            _ => None,
        },
        Effect::ReadControl(_) if holder == Some(host) => Some(Moment::Looks),
        Effect::SendVote(request) => match request.kind {
            Kind::Release if request.successor.is_some() => Some(Moment::Releases),
            Kind::Vote | Kind::AskVote if is_successor => Some(Moment::AsksVotes),
            _ => None,
        },
        _ => None,
    }
}

fn lose(world: &mut World<'_>, host: HostId, loss: Loss) {
    let (gone, back) = match loss.what {
        LostPart::Daemon => (Fault::Daemon(host, false), Some(Fault::Daemon(host, true))),
        LostPart::Host => (
            Fault::Dies(host, Death::HostDown),
            Some(Fault::Starts(host)),
        ),
        LostPart::Network => (Fault::Isolate(host), Some(Fault::Mend)),
        LostPart::Time => (Fault::Stops(host, loss.lasts), None),
    };
    // Before anything else of what this turn has begun, or a little later.
    let after = match world.vote_traffic.rng.percent(50) {
        true => 0,
        false => world.vote_traffic.rng.between(1, 200_000),
    };
    world.send(world.now + after, Message::Fault(gone));
    if let Some(back) = back {
        world.send(world.now + after + loss.lasts, Message::Fault(back));
    }
}

/// A start command of a node begins: does it start nothing.
pub(super) fn fails_to_start(world: &World<'_>, node: NodeId) -> bool {
    world.hosts[node].switchover.start_fails
}
