//! Failover commands: how they begin, end and are noticed.

use super::database::Condition;
use super::fact::Fact;
use super::in_flight::{Command, LeaseMessage, Message, ProcessId};
use super::promotions::Promotion;
use super::world::World;
use super::{HostId, Micros, NodeId, SECOND};
use crate::lookout::{CommandId, CommandOutcome, Event, PreviousCommand, Process};

/// A daemon begins to promote its node.
pub(super) fn begin(world: &mut World<'_>, host: HostId, id: CommandId, timeout: Option<Micros>) {
    let replaces = world
        .remembered(host)
        .and_then(|node| Some((node, world.databases()[node].term?)));
    let promotion = Promotion {
        host,
        began: world.now,
        replaces,
        outcome: None,
        is_forgotten: false,
    };
    world.note(Fact::CommandBegins(&promotion));
    // On an observer's host there is nothing to promote.
    if host >= world.setup.nodes.len() {
        return;
    }
    let (status, takes) = match (world.hosts[host].faults.command, timeout) {
        // That it cannot be started is seen at once.
        ((None, _), _) => (None, 0),
        ((_, takes), Some(limit)) if takes > limit => (Some(-1), limit),
        (command, _) => command,
    };
    let command = Command {
        by: world.process(host),
        id,
        status,
        promotion: world.promotions.0.len(),
    };
    world.promotions.0.push(promotion);
    world.hosts[host].leases.command = Some(command);
    if world.hosts[host].faults.restarts_server && is_up(world, host) {
        world.databases.at(host).condition = Condition::Starting;
        world.sessions.end_all(host);
    }
    let process = Some(Process { pid: 1, started: 1 });
    world.deliver(host, Event::CommandStarted { id, process });
    world.send(world.now + takes, Message::CommandEnds(command));
}

/// A command ends, if it still runs: it outlives its daemon, but not its machine.
pub(super) fn end(world: &mut World<'_>, command: Command) {
    if !world.promotions.is_running(command.promotion) {
        return;
    }
    world.advance_databases();
    let (node, mut status) = (command.by.host, command.status);
    let restarts = world.hosts[node].faults.restarts_server
        && world.databases()[node].condition == Condition::Starting;
    if status == Some(0) && !restarts && !is_up(world, node) {
        status = Some(1);
    }
    if restarts {
        let ready = world.now + world.rng.between(0, 2 * SECOND);
        world.send(ready, Message::Ready(node));
    }
    let success = status == Some(0);
    world.note(Fact::CommandEnds {
        promotion: command.promotion,
        success,
    });
    if success && !world.databases()[node].is_primary {
        world.databases.promote(node);
    }
    world.promotions.end(command.promotion, success);
    if !success && status.is_some() {
        leave_pending(world, node);
    }
    world.send(
        world.now,
        Message::CommandExited(Command { status, ..command }),
    );
}

/// A daemon ends its own command.
pub(super) fn end_one(world: &mut World<'_>, by: ProcessId, id: CommandId) {
    let is_it = |command: &Command| command.by == by && command.id == id;
    end_early(world, by.host, is_it);
}

/// A daemon ends what the processes before it have left, if it can look at processes.
pub(super) fn end_of_former(world: &mut World<'_>, by: ProcessId) {
    let observes = World::observes_processes(by);
    let is_it = |command: &Command| observes && command.by.number < by.number;
    end_early(world, by.host, is_it);
}

/// The guard of this process of the daemon ends what that could name.
pub(super) fn end_of_host(world: &mut World<'_>, host: HostId, process: u32) {
    let by = ProcessId {
        host,
        number: process,
    };
    let observes = World::observes_processes(by);
    let is_it = |command: &Command| command.by == by || (observes && command.by.number < process);
    end_early(world, host, is_it);
}

fn end_early(world: &mut World<'_>, host: HostId, is_it: impl Fn(&Command) -> bool) {
    let command = world.hosts[host].leases.command.filter(is_it);
    let Some(command) = command.filter(|it| world.promotions.is_running(it.promotion)) else {
        return;
    };
    world.advance_databases();
    let (promotion, success) = (command.promotion, false);
    world.note(Fact::CommandEnds { promotion, success });
    world.promotions.end(promotion, success);
    leave_pending(world, host);
    let status = Some(KILLED);
    world.send(
        world.now,
        Message::CommandExited(Command { status, ..command }),
    );
}

/// A command that has failed may have left a promotion to the server all the same. Where nothing fences,
/// that is reported as a success that comes late.
fn leave_pending(world: &mut World<'_>, node: NodeId) {
    let Some(started) = world
        .setup
        .leases()
        .map(|_| world.databases()[node].started())
    else {
        return;
    };
    if world.vote_traffic.rng.percent(50) {
        let after = world.vote_traffic.rng.between(1_000, 2 * SECOND);
        let late = LeaseMessage::PromotesLate(node, started);
        world.send(world.now + after, Message::Leases(late));
    }
}

/// A promotion that a failed command has left to the server, which was started then.
pub(super) fn promote_late(world: &mut World<'_>, node: NodeId, started: i64) {
    let database = &world.databases()[node];
    if is_up(world, node) && database.started() == started && !database.is_primary {
        world.advance_databases();
        world.note(Fact::PromotesLate(node));
        world.databases.promote(node);
    }
}

fn is_up(world: &World<'_>, node: NodeId) -> bool {
    world.databases()[node].condition == Condition::Up
}

/// As a process that a signal has ended.
const KILLED: i32 = -9;

/// The daemon learns that a command has ended.
pub(super) fn exited(world: &mut World<'_>, command: Command) {
    let Command { by, id, status, .. } = command;
    if world.runs(by) {
        let outcome = status.map_or(
            CommandOutcome::NotStarted(String::new()),
            CommandOutcome::Exited,
        );
        world.deliver(by.host, Event::CommandExited { id, outcome });
    } else if world.is_alive(by.host) && !world.promotions.is_forgotten(command.promotion) {
        // A later process may know of it.
        world.deliver(by.host, Event::PreviousCommand(PreviousCommand::Ended));
    }
}
