//! What stands in front of the start of a server where leases are in force: a standby may start, a
//! primary only while the daemon of its host says so.

use super::database::Condition;
use super::fact::Fact;
use super::fault::Death;
use super::in_flight::{LeaseMessage, Message};
use super::world::World;
use super::{HostId, Micros, NodeId, SECOND};

/// Starts a database, and the daemon beside it if the whole host was down. A primary that has to wait
/// at the gate is down until then.
pub(super) fn start(world: &mut World<'_>, node: NodeId) {
    let before = world.databases()[node].condition;
    let is_fenced = world.setup.leases().is_some();
    if before == Condition::Up || (before == Condition::Starting && is_fenced) {
        return;
    }
    if !holds_back(world, node) {
        world.start_at_once(node);
    } else if before == Condition::Hung {
        world.kill_database(node, Death::Crash);
    } else {
        world.databases.at(node).condition = Condition::Crashed;
    }
    if before == Condition::HostDown {
        world.restart(node, true);
    }
}

/// Does the server of this host have to wait at the gate. If so, it does.
fn holds_back(world: &mut World<'_>, node: NodeId) -> bool {
    if world.setup.leases().is_none() || !world.databases()[node].is_primary {
        return false;
    }
    if world.hosts[node].leases.is_ungated {
        world.note(Fact::StartsWithoutGate(node));
        return false;
    }
    if !std::mem::replace(&mut world.hosts[node].leases.is_at_gate, true) {
        let begins = world.vote_traffic.rng.between(20_000, SECOND / 2);
        ask_later(world, node, begins);
    }
    true
}

fn ask_later(world: &mut World<'_>, node: NodeId, after: Micros) {
    let asks = Message::Leases(LeaseMessage::GateAsks(node, world.hosts[node].leases.boots));
    world.send(world.now + after, asks);
}

/// Asks the daemon whether the server may start, again and again.
pub(super) fn ask(world: &mut World<'_>, node: NodeId, boots: u32) {
    let here = &world.hosts[node].leases;
    if here.boots != boots || !here.is_at_gate {
        return;
    }
    if world.databases()[node].condition != Condition::Crashed {
        world.hosts[node].leases.is_at_gate = false;
    } else if is_open(world, node) {
        world.hosts[node].leases.is_at_gate = false;
        world.start_at_once(node);
    } else {
        ask_later(world, node, PAUSE);
    }
}

fn is_open(world: &World<'_>, node: HostId) -> bool {
    let answers = world.is_alive(node) && world.hosts[node].stopped_until <= world.now;
    let gate = || world.core(node).gate(world.clocks(node).mono);
    !world.databases()[node].is_primary || (answers && matches!(gate(), Some(Ok(_))))
}

/// Between two questions.
const PAUSE: Micros = SECOND / 2;
