//! Polls: from a daemon to a database or an observer, over the network, and back.

use super::database::Reaction;
use super::fact::Fact;
use super::in_flight::{Message, Poll, Target};
use super::world::World;
use super::{HostId, Micros, NodeId, micros, state_json};
use crate::cluster::{Presence, ProbeFailure, ProbeStep};
use crate::lookout::{Event, ProbeId};

/// A daemon polls.
pub(super) fn begin(world: &mut World<'_>, host: HostId, target: Target) {
    let daemon = &mut world.hosts[host].daemon;
    daemon.begin_poll(target);
    let poll = Poll {
        target,
        deadline: world.now + micros(daemon.core.config().poll_timeout),
        from: world.process(host),
    };
    let to = host_of(world, target);
    if let Target::Node(node, _) = target
        && !world.is_addressed(host, node)
    {
        let reason = "no such host".to_owned();
        return fail(
            world,
            poll,
            world.now + 1_000,
            ProbeFailure::Unreachable { reason },
        );
    }
    let path = world.network.path(host, to);
    let delay = path.delay
        + match host == to {
            true => 1_000,
            false => world.rng.between(1_000, 20_000),
        };
    let is_late = world.now + delay > poll.deadline;
    if path.cut || is_late || (path.loss > 0 && world.rng.percent(path.loss)) {
        return time_out(world, poll);
    }
    // What is reported is as old as it can be on arrival, or as young.
    if world.rng.bits() & 1 == 0 {
        react(world, poll, world.now + delay);
    } else {
        world.send(world.now + delay, Message::Request(poll));
    }
}

/// A poll reaches the host that it asks.
pub(super) fn receive(world: &mut World<'_>, poll: Poll) {
    let to = host_of(world, poll.target);
    match world.network.path(poll.from.host, to).cut {
        true => time_out(world, poll),
        false => react(world, poll, world.now),
    }
}

fn host_of(world: &World<'_>, target: Target) -> HostId {
    match target {
        Target::Node(node, _) => node,
        Target::Observer(observer, _) => world.setup.observers[observer].1,
    }
}

/// What a poll comes to by what is true now; it arrives then.
fn react(world: &mut World<'_>, poll: Poll, at: Micros) {
    match poll.target {
        Target::Node(node, probe) => react_of_node(world, poll, node, probe, at),
        Target::Observer(observer, probe) => react_of_observer(world, poll, observer, probe, at),
    }
}

fn react_of_node(world: &mut World<'_>, poll: Poll, node: NodeId, probe: ProbeId, at: Micros) {
    world.advance_databases();
    match world.databases()[node].reaction(poll.from.host) {
        Reaction::Reports => {
            let db_time = world.hosts[node].clocks.wall(world.now);
            let identity = world.databases()[node].identity(&world.setup);
            let daemons = show_sessions(world, poll.from.host, node);
            let report = world.databases.at(node).report(db_time, identity, daemons);
            world.send(at, Message::NodeReport(poll.from, node, probe, Ok(report)));
        }
        Reaction::Fails(failure) => fail(world, poll, at, failure),
        Reaction::Silence => time_out(world, poll),
    }
}

/// The sessions that a server shows to this daemon, whose own is among them.
fn show_sessions(world: &mut World<'_>, host: HostId, node: NodeId) -> Option<Vec<Presence>> {
    let now = world.now;
    if world.setup.presence.shows_presence(host) {
        let name = &world.hosts[host].daemon.sessions[node];
        world.sessions.used(node, host, name, now);
    }
    let is_shown = world.setup.presence.is_shown(node, host);
    is_shown.then(|| world.sessions.shown(node, now))
}

fn react_of_observer(
    world: &mut World<'_>,
    poll: Poll,
    observer: usize,
    probe: ProbeId,
    at: Micros,
) {
    let host = host_of(world, poll.target);
    if world.is_asleep(host) {
        return time_out(world, poll);
    }
    if !world.is_alive(host) {
        if world.databases.is_host_down(host) {
            return time_out(world, poll);
        }
        let reason = "connection refused".to_owned();
        return fail(world, poll, at, ProbeFailure::Unreachable { reason });
    }
    let resumes = world.hosts[host].stopped_until;
    if resumes > world.now {
        // Its system takes the connection, and it answers when it goes on.
        return match resumes < poll.deadline {
            true => world.send(resumes, Message::Request(poll)),
            false => time_out(world, poll),
        };
    }
    let to = poll.from.host;
    world.note(Fact::ReportMade {
        observer,
        to,
        probe,
    });
    let shows_presence = world.setup.presence.shows_presence(host);
    let report = state_json::report(&world.hosts[host], &world.setup, shows_presence, world.now);
    let message = Message::ObserverReport(poll.from, observer, probe, Ok(report));
    world.send(at, message);
}

fn time_out(world: &mut World<'_>, poll: Poll) {
    let step = ProbeStep::Answering;
    fail(world, poll, poll.deadline, ProbeFailure::TimedOut { step });
}

fn fail(world: &mut World<'_>, poll: Poll, at: Micros, failure: ProbeFailure) {
    let message = match poll.target {
        Target::Node(node, probe) => Message::NodeReport(poll.from, node, probe, Err(failure)),
        Target::Observer(observer, probe) => {
            Message::ObserverReport(poll.from, observer, probe, Err(failure))
        }
    };
    world.send(at, message);
}

/// A poll has ended, with an event for who began it.
pub(super) fn end(world: &mut World<'_>, host: HostId, target: Target, event: Event) {
    let daemon = &mut world.hosts[host].daemon;
    if !daemon.end_poll(target) {
        return;
    }
    if let (Target::Node(node, _), Event::NodeProbed { outcome, .. }) = (target, &event) {
        daemon.connected(node, outcome.is_ok());
        if outcome.is_err() {
            world.leave_session(host, node, false);
        }
    }
    world.deliver(host, event);
}

/// The idle connection of a daemon to a node was closed.
pub(super) fn lose(world: &mut World<'_>, host: HostId, node: NodeId) {
    let Some(name) = world.polled_as(host, node).cloned() else {
        return;
    };
    world.hosts[host].daemon.connected(node, false);
    world.leave_session(host, node, false);
    let reason = "the connection was closed".to_owned();
    let failure = ProbeFailure::Unreachable { reason };
    world.deliver(
        host,
        Event::NodeLost {
            node: name,
            failure,
        },
    );
}
