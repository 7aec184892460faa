//! Following a new primary: recovery settings that are rewritten, and servers that are restarted.

use super::database::Condition;
use super::fault::Death;
use super::in_flight::Message;
use super::world::World;
use super::{HostId, gate, switchovers};
use crate::config::NodeName;
use crate::lookout::{CommandId, CommandPurpose, Event, FollowOutcome};

/// A daemon has the recovery settings of its server name this primary.
pub(super) fn prepare(world: &mut World<'_>, host: HostId, primary: &NodeName) {
    let Some(primary) = world.setup.node_id(primary) else {
        return;
    };
    let database = world.databases.at(host);
    let named = database.recovery_settings.or(database.upstream);
    let outcome = if database.is_primary {
        FollowOutcome::NotAStandby("there is no standby.signal".to_owned())
    } else if named == Some(primary) {
        FollowOutcome::Unchanged
    } else {
        database.recovery_settings = Some(primary);
        FollowOutcome::Changed
    };
    world.deliver(host, Event::FollowPrepared(outcome));
}

/// A daemon has its server stopped or started.
pub(super) fn run(world: &mut World<'_>, host: HostId, id: CommandId, purpose: CommandPurpose) {
    let is_start = purpose == CommandPurpose::FollowStart;
    let fails = is_start && switchovers::fails_to_start(world, host);
    match purpose {
        CommandPurpose::FollowStop => {
            let is_up = world.databases()[host].condition != Condition::HostDown;
            if is_up {
                world.kill_database(host, Death::Crash);
            }
        }
        CommandPurpose::FollowStart if fails => {}
        CommandPurpose::FollowStart | CommandPurpose::Unfence => gate::start(world, host),
        CommandPurpose::Failover
        | CommandPurpose::LagWarning
        | CommandPurpose::Isolation
        | CommandPurpose::Fence
        | CommandPurpose::Demote => return,
    }
    let ends = world.now + world.rng.between(50_000, 1_000_000);
    world.send(
        ends,
        Message::ServerCommandEnds(world.process(host), id, i32::from(fails)),
    );
}
