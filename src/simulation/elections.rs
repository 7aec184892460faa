//! What daemons ask of voters, and what these keep, in the world of a schedule: requests and answers take
//! the paths of the network, may be held up and repeated for minutes, and answers may be lost; writes of
//! vote files take their time, fail, and are cut off by the end of the daemon or of its machine.
//!
//! Who may be elected is the core's. Nothing here knows a rule of that.

use super::fact::Fact;
use super::fault::Fault;
use super::in_flight::{Message, ProcessId, VoteMessage, VoteReply, VoteRequest};
use super::vote_disk::VoteDiskFaults;
use super::vote_exchange::{Reaction, VotesHere};
use super::vote_fault::VoteFault;
use super::world::World;
use super::{HostId, Micros, SECOND, micros, voter_lists};
use crate::config::{ClusterName, VotingCluster};
use crate::lookout::{Effect, Event};
use crate::votes::{Answer, ExchangeId, Kind, Nonce, Request, VoterList};

/// Does what the core of a host wants done with votes. Other effects are none of these.
pub(super) fn carry_out(world: &mut World<'_>, host: HostId, effect: Effect) {
    match effect {
        Effect::SendVote(request) => ask(world, host, request),
        Effect::AnswerVote { id, answer } => answer_vote(world, host, id, answer),
        Effect::SaveVote { id, record, .. } => {
            let by = world.process(host);
            if let Some(votes) = &mut world.hosts[host].votes {
                let number = votes.disk.begin(by, id, record);
                begin_write(world, host, number, world.now);
            }
        }
        _ => {}
    }
}

/// Something that concerns votes arrives.
pub(super) fn deliver(world: &mut World<'_>, message: VoteMessage) {
    match message {
        VoteMessage::Asked(request) => receive(world, request),
        VoteMessage::Answered(reply) => answered(world, &reply),
        VoteMessage::Unanswered(by, voter, number, reason) if world.runs(by) => {
            let is_patient = world.vote_traffic.is_patient();
            let votes = world.hosts[by.host].votes.as_mut();
            let request = votes.and_then(|it| it.client.give_up(voter, number, is_patient));
            if let Some(request) = request {
                report(world, by.host, request, Err(reason.to_owned()));
            }
        }
        VoteMessage::Looks(process) if world.runs(process) => look(world, process),
        VoteMessage::Saved(by, id, done) if world.runs(by) => {
            if let Some((cluster, _)) = own_cluster(world, by.host) {
                let cluster = cluster.clone();
                world.deliver(by.host, Event::VoteSaved { cluster, id, done });
            }
        }
        // Whoever it was for is gone.
        VoteMessage::Unanswered(..) | VoteMessage::Looks(_) | VoteMessage::Saved(..) => {}
        VoteMessage::Renamed(host, number) => renamed(world, host, number),
        VoteMessage::Written(host, number) => written(world, host, number),
    }
}

/// Lets a fault happen.
pub(super) fn apply(world: &mut World<'_>, fault: VoteFault) {
    if let VoteFault::HoldsUp(percent) = fault {
        world.vote_traffic.late = percent;
    }
    if let VoteFault::Edits(host, generation, how) = fault {
        return voter_lists::edit(world, host, generation, how);
    }
    let rng = &mut world.vote_traffic.rng;
    let votes = fault
        .host()
        .and_then(|host| world.hosts[host].votes.as_mut());
    let Some(VotesHere { disk, .. }) = votes else {
        return;
    };
    match fault {
        VoteFault::HoldsUp(_) | VoteFault::Edits(..) => {}
        VoteFault::SlowDisk(_, by) => disk.faults.slow = by,
        VoteFault::DiskFull(_, is_full) => disk.faults.is_full = is_full,
        VoteFault::EndsInWrite(_, done) => disk.faults.ends_in_write = Some(done),
        VoteFault::LosesFile(_) => disk.lose(),
        VoteFault::TearsFile(_) => disk.tear(),
        VoteFault::PutsFileBack(_) => disk.put_back(rng),
    }
}

/// The disk with the vote file of a host works again. What was lost stays lost.
pub(super) fn heal(world: &mut World<'_>, host: HostId) {
    if let Some(votes) = &mut world.hosts[host].votes {
        votes.disk.faults = VoteDiskFaults::default();
    }
}

fn own_cluster<'a>(
    world: &'a World<'_>,
    host: HostId,
) -> Option<(&'a ClusterName, &'a VotingCluster)> {
    world.config(host).voting.as_ref()?.own_cluster()
}

/// A daemon asks a voter; what it asked that one before is given up.
fn ask(world: &mut World<'_>, host: HostId, request: Request) {
    let by = world.process(host);
    let timeout = world.config(host).voting.as_ref();
    let timeout = timeout.map(|voting| micros(voting.vote_timeout));
    let (Some(voter), Some(timeout)) = (world.setup.voter_host(&request.to), timeout) else {
        return;
    };
    let traffic = &mut world.vote_traffic;
    let (number, keeps_former) = (traffic.number(), traffic.is_patient());
    if request.kind == Kind::Vote {
        for reply in traffic.take_kept(by, voter) {
            let soon = traffic.rng.between(1, 2_000);
            let answered = Message::Votes(Box::new(VoteMessage::Answered(reply)));
            world.in_flight.add(world.now + soon, answered);
        }
    }
    if let Some(votes) = &mut world.hosts[host].votes {
        votes.client.ask(voter, number, request, keeps_former);
    }
    let late = VoteMessage::Unanswered(by, voter, number, "timed out");
    send(world, world.now + timeout, late);
    transmit(world, by, voter);
}

fn send(world: &mut World<'_>, at: Micros, message: VoteMessage) {
    world.send(at, Message::Votes(Box::new(message)));
}

/// Sends what a daemon asks a voter now.
fn transmit(world: &mut World<'_>, by: ProcessId, voter: HostId) {
    let votes = world.hosts[by.host].votes.as_ref();
    let Some(message) = votes.and_then(|votes| votes.client.message(by, voter)) else {
        return;
    };
    let Some(delay) = delay(world, by.host, voter) else {
        return;
    };
    let now = world.now;
    let late = VoteRequest {
        is_late: true,
        ..message.clone()
    };
    if let Some(by) = world.vote_traffic.held_up() {
        send(world, now + delay + by, VoteMessage::Asked(late.clone()));
        // Held up alone, or delivered and repeated.
        if world.vote_traffic.rng.percent(50) {
            return;
        }
        let again = world.vote_traffic.lateness();
        send(world, now + delay + again, VoteMessage::Asked(late));
    }
    send(world, now + delay, VoteMessage::Asked(message));
}

/// How long one way between two hosts takes; `None`: it is lost.
fn delay(world: &mut World<'_>, from: HostId, to: HostId) -> Option<Micros> {
    let path = world.network.path(from, to);
    let rng = &mut world.vote_traffic.rng;
    let is_lost = path.cut || (path.loss > 0 && rng.percent(path.loss));
    let delay = path.delay / 2 + rng.between(500, 10_000);
    (!is_lost).then_some(delay)
}

/// A request reaches a voter.
fn receive(world: &mut World<'_>, message: VoteRequest) {
    let (by, to) = (message.by, message.to);
    let is_gone = world.databases.is_host_down(to) || (world.is_asleep(to) && !world.is_alive(to));
    if world.network.path(by.host, to).cut || is_gone {
        return;
    }
    if !world.is_alive(to) {
        let refused = VoteMessage::Unanswered(by, to, message.number, "connection refused");
        if !message.is_late {
            send(world, world.now + 1_000, refused);
        }
        return;
    }
    let Some((_, cluster)) = own_cluster(world, to) else {
        return;
    };
    // Whoever has an address has not always the name that is asked there.
    if message.request.to != cluster.own || message.request.from == cluster.own {
        let refused = VoteMessage::Unanswered(by, to, message.number, "400");
        if !message.is_late {
            send(world, world.now + 1_000, refused);
        }
        return;
    }
    let list = VoterList::from(cluster).id();
    let fresh = Nonce(world.vote_traffic.random_bits());
    let Some(votes) = &mut world.hosts[to].votes else {
        return;
    };
    match votes.server.take(&message, list, fresh) {
        Ok(id) => {
            let request = message.request;
            world.deliver(to, Event::VoteRequested { id, request });
        }
        Err(reply) => send_reply(world, *reply),
    }
}

fn answer_vote(world: &mut World<'_>, host: HostId, id: ExchangeId, answer: Answer) {
    let votes = world.hosts[host].votes.as_mut();
    if let Some(reply) = votes.and_then(|votes| votes.server.answer(id, answer)) {
        send_reply(world, reply);
    }
}

fn send_reply(world: &mut World<'_>, reply: VoteReply) {
    if let Some(delay) = delay(world, reply.to.host, reply.voter) {
        let traffic = &mut world.vote_traffic;
        let held_up = traffic.held_up();
        if held_up.is_some() && traffic.rng.percent(50) {
            return traffic.keep(reply);
        }
        let at = world.now + delay + held_up.unwrap_or_default();
        send(world, at, VoteMessage::Answered(reply));
    }
}

/// An answer reaches whoever has asked.
fn answered(world: &mut World<'_>, reply: &VoteReply) {
    let by = reply.to;
    if !world.runs(by) || world.network.path(by.host, reply.voter).cut {
        return;
    }
    let number = world.vote_traffic.number();
    let Some(votes) = &mut world.hosts[by.host].votes else {
        return;
    };
    match votes.client.answered(reply, number) {
        Reaction::Take(learnt) => report(world, by.host, learnt.0, learnt.1),
        Reaction::AskAgain => transmit(world, by, reply.voter),
        Reaction::Drop => {}
    }
}

/// The core learns what has become of a request.
fn report(world: &mut World<'_>, host: HostId, request: Request, outcome: Result<Answer, String>) {
    let event = Event::VoteAnswered {
        cluster: request.cluster,
        voter: request.to,
        of: (request.nonce, request.kind),
        outcome,
    };
    world.deliver(host, event);
}

/// A daemon looks at its vote file, and again later if it cannot be used.
fn look(world: &mut World<'_>, process: ProcessId) {
    let seed = world.vote_traffic.random_bits();
    let Some((cluster, _)) = own_cluster(world, process.host) else {
        return;
    };
    let cluster = cluster.clone();
    let Some(votes) = &mut world.hosts[process.host].votes else {
        return;
    };
    let found = votes.disk.read();
    if found.is_err() {
        send(world, world.now + LOOK_AGAIN, VoteMessage::Looks(process));
    }
    let record = found.clone().ok();
    let event = Event::VoteFileRead {
        cluster,
        found,
        seed,
        resumed: None,
    };
    world.deliver(process.host, event);
    if let Some(record) = &record {
        world.note(Fact::VoteFileWritten {
            host: process.host,
            record,
        });
    }
}

/// A write begins then: some time later the new file takes the place of the old one, and after that it has
/// reached the disk.
fn begin_write(world: &mut World<'_>, host: HostId, number: u64, begins: Micros) {
    let rng = &mut world.vote_traffic.rng;
    let (renames, syncs) = (rng.between(500, 10_000), rng.between(500, 20_000));
    let Some(votes) = &world.hosts[host].votes else {
        return;
    };
    let slow = votes.disk.faults.slow;
    let renamed = begins + renames + slow / 2;
    send(world, renamed, VoteMessage::Renamed(host, number));
    let written = renamed + syncs + slow / 2;
    send(world, written, VoteMessage::Written(host, number));
}

fn renamed(world: &mut World<'_>, host: HostId, number: u64) {
    let rng = &mut world.vote_traffic.rng;
    let Some(VotesHere { disk, .. }) = &mut world.hosts[host].votes else {
        return;
    };
    if disk.write(number).is_none() {
        return;
    }
    disk.mark(false);
    // A write that fails has happened all the same, now and then.
    let is_left_out = disk.faults.is_full && rng.percent(70);
    if !is_left_out && disk.faults.ends_in_write != Some(false) {
        disk.rename();
    }
}

/// A write has ended, and its daemon learns of it, or ends in this very moment.
fn written(world: &mut World<'_>, host: HostId, number: u64) {
    let now = world.now;
    let again = now + world.vote_traffic.rng.between(SECOND / 20, 3 * SECOND);
    let Some(VotesHere { disk, .. }) = &mut world.hosts[host].votes else {
        return;
    };
    let Some(write) = disk.write(number).cloned() else {
        return;
    };
    let ends = disk.faults.ends_in_write.take();
    let done = !disk.faults.is_full && ends != Some(false);
    match done || ends.is_some() {
        true => drop(disk.end(done)),
        false => disk.mark(true),
    }
    if done {
        let record = &write.record;
        world.note(Fact::VoteFileWritten { host, record });
    }
    if ends.is_some() && world.runs(write.by) {
        world.send(now, Message::Fault(Fault::Daemon(host, false)));
        world.send(again, Message::Fault(Fault::Daemon(host, true)));
        return;
    }
    if !done && world.runs(write.by) {
        // Unless its daemon ends before.
        begin_write(world, host, number, now + WRITE_AGAIN);
    }
    send(world, now, VoteMessage::Saved(write.by, write.id, done));
}

/// Between two looks at a file that cannot be used.
const LOOK_AGAIN: Micros = 5 * SECOND;
/// After a write that has failed.
const WRITE_AGAIN: Micros = 5 * SECOND;
