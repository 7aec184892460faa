//! One schedule from beginning to end: the safety phase, then the liveness phase.

use std::ops::ControlFlow;

use super::apply::{apply, heal, promote_by_hand};
use super::database::{Condition, Database};
use super::fact::Fact;
use super::fault::{Death, Fault};
use super::in_flight::{FencedBy, LeaseMessage, Message, Target};
use super::plan::{Ending, Plan};
use super::promotions::{Promotion, Promotions};
use super::world::{Watcher, World};
use super::{
    HostId, Micros, NodeId, SECOND, elections, failover_command, fencing, following, gate,
    guarding, micros, polling, sleeping, switchovers,
};
use crate::lookout::{CommandOutcome, CommandPurpose, Effect, Event};

/// What a schedule came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The failover commands that were begun.
    pub promotions: Promotions,
    /// How many nodes were written to at the end of the safety phase.
    pub writers: usize,
    /// From the primary's clean death to the beginning of the promotion.
    pub time_to_promotion: Option<Micros>,
}

/// Runs a schedule.
pub fn run(plan: &Plan) -> Outcome {
    Trial::new(plan, None).run(plan)
}

/// Runs a schedule under the eyes of a watcher, who may end it.
pub fn watch(
    plan: &Plan,
    mut watcher: impl FnMut(&World<'_>, Fact<'_>) -> ControlFlow<()>,
) -> Outcome {
    Trial::new(plan, Some(&mut watcher)).run(plan)
}

/// Runs a schedule with a recorder beside the daemons of these hosts, and gives their timelines as
/// a flight recorder would have written them: all that each learned and what it decided, one
/// timeline for each process.
pub fn record(plan: &Plan, hosts: &[HostId]) -> String {
    let mut trial = Trial::new(plan, None);
    for host in hosts {
        let host = &mut trial.world.hosts[*host];
        host.daemon.record(host.clocks.read(0));
    }
    trial.run(plan);
    let world = trial.world;
    let timelines = world.hosts.into_iter().filter_map(|host| {
        let ends = host.daemon.is_alive.then(|| host.clocks.read(world.now));
        Some(host.daemon.recording?.into_text(ends))
    });
    timelines.collect()
}

/// A world on its way through a schedule; the clock jumps from one arrival or deadline to the next.
struct Trial<'w> {
    world: World<'w>,
    /// Turns at one time.
    turns: (Micros, u32),
    /// Until when it matters what each daemon saves.
    saves_until: Vec<Option<Micros>>,
}

impl<'w> Trial<'w> {
    fn new(plan: &Plan, watcher: Option<Watcher<'w>>) -> Self {
        let hosts = 0..plan.setup.hosts();
        Self {
            world: World::new(plan, watcher),
            turns: (0, 0),
            saves_until: hosts.map(|host| plan.saves_matter_until(host)).collect(),
        }
    }

    fn run(&mut self, plan: &Plan) -> Outcome {
        self.run_until(plan.length);
        self.world.note(Fact::FaultsAreOver);
        let writers = self.world.databases().iter();
        let writers = writers.filter(|one| Database::is_writer(one)).count();
        let mut time_to_promotion = None;
        if plan.ending != Ending::Abrupt && !self.world.is_over {
            if plan.ending == Ending::Waited {
                let bound = self.world.setup.time_to_wait();
                self.run_until(plan.length + bound);
                self.world.note(Fact::Waited);
            }
            self.agree();
            if let Ending::CleanDeath(death) = plan.ending {
                time_to_promotion = self.outlive(death);
            }
        }
        Outcome {
            promotions: std::mem::take(&mut self.world.promotions),
            writers,
            time_to_promotion,
        }
    }

    /// Lets time pass until then, or until the run is over.
    fn run_until(&mut self, end: Micros) {
        while !self.world.is_over {
            let turns = self.world.hosts.iter().filter_map(|host| host.next_turn());
            let next = turns.chain(self.world.in_flight.next_at()).min();
            let next = next.unwrap_or(Micros::MAX).max(self.world.now);
            if next > end {
                self.world.now = end;
                return;
            }
            self.turns = match self.turns {
                (at, turns) if at == next => (at, turns + 1),
                _ => (next, 0),
            };
            if self.turns.1 > MOST_TURNS_AT_ONE_TIME {
                self.world.note(Fact::ClockStandsStill);
                self.world.is_over = true;
                return;
            }
            self.world.now = next;
            self.turn();
        }
    }

    fn turn(&mut self) {
        let now = self.world.now;
        while let Some(message) = self.world.in_flight.pop_due(now) {
            self.deliver(message);
        }
        for host in 0..self.world.hosts.len() {
            let due = self.world.hosts[host].next_turn();
            if due.is_some_and(|due| due <= now) {
                self.world.turn(host);
                self.carry_out(host);
            }
        }
    }

    fn deliver(&mut self, message: Message) {
        let world = &mut self.world;
        if let Some(until) = world.waits_until(&message) {
            return world.send(until, message);
        }
        match message {
            Message::Request(poll) => polling::receive(world, poll),
            Message::NodeReport(to, id, probe, outcome) if world.runs(to) => {
                let Some(node) = world.polled_as(to.host, id).cloned() else {
                    return;
                };
                let event = Event::NodeProbed {
                    node,
                    probe: Some(probe),
                    outcome,
                };
                polling::end(world, to.host, Target::Node(id, probe), event);
            }
            Message::ObserverReport(to, id, probe, outcome) if world.runs(to) => {
                let observer = world.setup.observers[id].0.clone();
                let event = Event::ObserverProbed {
                    observer,
                    probe: Some(probe),
                    outcome,
                };
                polling::end(world, to.host, Target::Observer(id, probe), event);
            }
            Message::ConnectionLost(to, node) if world.runs(to) => {
                polling::lose(world, to.host, node);
            }
            Message::ServerCommandEnds(to, id, status) if world.runs(to) => {
                let outcome = CommandOutcome::Exited(status);
                world.deliver(to.host, Event::CommandExited { id, outcome });
            }
            // Whoever it was for is gone.
            Message::NodeReport(..)
            | Message::ObserverReport(..)
            | Message::ConnectionLost(..)
            | Message::ServerCommandEnds(..) => {}
            Message::CommandEnds(command) => failover_command::end(world, command),
            Message::CommandExited(command) => failover_command::exited(world, command),
            Message::Ready(node) => {
                let database = world.databases.at(node);
                if database.condition == Condition::Starting {
                    database.condition = Condition::Up;
                }
            }
            Message::StopsAgain(host, since) => world.stop_again(host, since),
            Message::Votes(message) => elections::deliver(world, *message),
            Message::Leases(message) => deliver_to_leases(world, message),
            Message::Switchovers(message) => switchovers::deliver(world, message),
            Message::Fault(fault) => apply(world, fault),
        }
    }

    fn carry_out(&mut self, host: HostId) {
        let mut effects = self.world.hosts[host].daemon.take_effects();
        self.world.note(Fact::Effects {
            host,
            effects: &effects,
        });
        for effect in effects.drain(..) {
            self.carry_out_one(host, effect);
        }
        self.world.hosts[host].daemon.reuse(effects);
    }

    fn carry_out_one(&mut self, host: HostId, effect: Effect) {
        let world = &mut self.world;
        switchovers::reach(world, host, &effect);
        match effect {
            Effect::ProbeNode {
                node,
                probe,
                session,
            } => {
                if let Some(node) = world.setup.node_id(&node) {
                    world.hosts[host].daemon.sessions[node] = session;
                    polling::begin(world, host, Target::Node(node, probe));
                }
            }
            Effect::ProbeObserver { observer, probe } => {
                if let Some(observer) = world.setup.observer_id(&observer) {
                    polling::begin(world, host, Target::Observer(observer, probe));
                }
            }
            Effect::RunCommand {
                id,
                purpose: CommandPurpose::Failover,
                timeout,
                ..
            } => failover_command::begin(world, host, id, timeout.map(micros)),
            Effect::Save(saved) => {
                let matters_until = self.saves_until[host];
                if matters_until.is_some_and(|until| world.now <= until) {
                    world.note(Fact::Saved(host));
                    world.hosts[host].daemon.saved = Some(saved.memory.clone());
                }
            }
            Effect::RunCommand {
                id,
                purpose: CommandPurpose::Fence,
                ..
            } => {
                let by = world.process(host);
                failover_command::end_of_former(world, by);
                fencing::run(world, host, FencedBy::Daemon(by, id));
            }
            Effect::RunCommand {
                id,
                purpose: CommandPurpose::Demote,
                timeout,
                ..
            } => switchovers::demote(world, host, id, timeout.unwrap_or_default()),
            Effect::ReadControl(_) => switchovers::read_control(world, host),
            Effect::RunCommand { id, purpose, .. } => following::run(world, host, id, purpose),
            Effect::PrepareFollow { primary, .. } => following::prepare(world, host, &primary),
            Effect::SendVote(_) | Effect::AnswerVote { .. } | Effect::SaveVote { .. } => {
                elections::carry_out(world, host, effect);
            }
            Effect::ArmGuard(until) => guarding::arm(world, host, until),
            Effect::EndCommand(id) => {
                let by = world.process(host);
                failover_command::end_one(world, by, id);
                switchovers::end_command(world, by, id);
            }
            // Nothing in this world turns on alerts and log lines.
            Effect::RaiseAlert { .. }
            | Effect::ClearAlert(_)
            | Effect::Measure(_)
            | Effect::Log { .. }
            | Effect::Decided { .. } => {}
        }
    }

    /// Heals everything, after which all must name the same primary in time. Who was about to
    /// promote may still do so, after which an operator has to heal once more.
    fn agree(&mut self) {
        let bound = self.world.setup.time_to_agree();
        for _ in 0..3 {
            let mut promotions = self.wait_for_commands();
            heal(&mut self.world);
            if self.world.setup.leases().is_some() {
                self.recover();
                promotions = self.world.promotions.0.len();
            }
            self.run_until(self.world.now + bound);
            if self.world.is_over {
                return;
            }
            let world = &self.world;
            let settled = world.promotions.0.len() == promotions && !world.promotions.are_running();
            let is_up = |database: &Database| database.condition == Condition::Up;
            let are_up = world.setup.leases().is_none() || world.databases().iter().all(is_up);
            if settled && world.sole_writer().is_some() && are_up {
                break;
            }
        }
        self.world.note(Fact::AllIsWell);
    }

    /// Where leases are in force: everything works again, and there must be a writer in time. The other
    /// servers are made its standbys then.
    fn recover(&mut self) {
        let ends = self.world.now + self.world.setup.time_to_wait();
        let (mut writer, mut since) = (None, self.world.now);
        while self.world.now < ends && !self.world.is_over {
            self.run_until(self.world.now + SECOND);
            let sole = self.world.sole_writer();
            if sole != writer {
                (writer, since) = (sole, self.world.now);
            }
            let is_stable = self.world.now - since >= STABLE_TIME;
            let is_busy =
                self.world.promotions.are_running() || switchovers::are_running(&self.world);
            if writer.is_some() && is_stable && !is_busy {
                break;
            }
        }
        if self.world.is_over {
            return;
        }
        self.world.note(Fact::Recovered);
        promote_by_hand(&mut self.world);
        heal(&mut self.world);
    }

    fn wait_for_commands(&mut self) -> usize {
        for _ in 0..40 {
            if !self.world.promotions.are_running() || self.world.is_over {
                break;
            }
            self.run_until(self.world.now + SECOND);
        }
        self.world.promotions.0.len()
    }

    /// The primary dies a clean death; from then to the beginning of a promotion.
    fn outlive(&mut self, death: Death) -> Option<Micros> {
        let setup = &self.world.setup;
        let calm = setup.longest(|config| config.missing_primary_timeout)
            + 3 * setup.longest(|config| config.poll_interval)
            + self.world.rng.between(0, 3 * SECOND)
            + if self.world.has_orphans {
                ORPHANS_TIME
            } else {
                0
            };
        self.run_until(self.world.now + calm);
        let primary: NodeId = self.world.sole_writer()?;
        if self.world.is_over {
            return None;
        }
        let (before, died) = (self.world.promotions.0.len(), self.world.now);
        apply(&mut self.world, Fault::Dies(primary, death));
        self.run_until(died + self.world.setup.time_to_promotion() + 3 * SECOND);
        self.world.note(Fact::Outlived { primary, died });
        let first: &Promotion = self.world.promotions.0.get(before)?;
        Some(first.began - died)
    }
}

fn deliver_to_leases(world: &mut World<'_>, message: LeaseMessage) {
    match message {
        LeaseMessage::GuardDue(host, number) => guarding::wait(world, host, number),
        LeaseMessage::TakesOver(host, named) => guarding::take_over(world, host, named),
        LeaseMessage::FencesAgain(host, number) => guarding::fence_again(world, host, number),
        LeaseMessage::FenceStops(host, boots) => fencing::stop(world, host, boots),
        LeaseMessage::FenceEnds(run) => fencing::end(world, run),
        LeaseMessage::FenceExited(run) => match run.by {
            FencedBy::Guard(number) => guarding::fenced(world, run, number),
            FencedBy::Daemon(..) => fencing::exited(world, run),
        },
        LeaseMessage::Wakes(host, until) => sleeping::wake(world, host, until),
        LeaseMessage::GateAsks(node, boots) => gate::ask(world, node, boots),
        LeaseMessage::PromotesLate(node, started) => {
            failover_command::promote_late(world, node, started);
        }
    }
}

/// More turns than that without time passing are a loop.
const MOST_TURNS_AT_ONE_TIME: u32 = 60;
/// One that writes for so long goes on writing.
const STABLE_TIME: Micros = 3 * SECOND;
/// So long the next process waits for a failover command of the previous one.
const ORPHANS_TIME: Micros = 30 * SECOND;
