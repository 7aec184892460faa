//! Failover commands: how they begin, end and are noticed.

use super::database::Condition;
use super::fact::Fact;
use super::in_flight::{Command, Message};
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
    world.send(
        world.now,
        Message::CommandExited(Command { status, ..command }),
    );
}

fn is_up(world: &World<'_>, node: NodeId) -> bool {
    world.databases()[node].condition == Condition::Up
}

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
