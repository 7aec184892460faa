//! The machine: hosts, databases and the network under virtual time; the clock jumps from one
//! happening to the next.

use super::database::{Condition, Database};
use super::network::Network;
use super::plan::{Plan, Step};
use super::random::Dice;
use super::record::{Record, Violation};
use super::setup::Setup;
use super::site::{Site, moment, wall};
use super::told::Moment;
use super::{HostId, Micros, NodeId, micros};
use crate::cluster::{Lsn, NodeReport, ObserverReport, ProbeFailure, ProbeStep, RoleReport};
use crate::lookout::{CommandId, CommandPurpose, Effect, Event, ProbeId, Process};

/// Everything there is.
pub(super) struct World {
    pub(super) now: Micros,
    pub(super) setup: Setup,
    pub(super) sites: Vec<Site>,
    pub(super) databases: Vec<Database>,
    pub(super) network: Network,
    pub(super) dice: Dice,
    pub(super) reigns: u32,
    pub(super) record: Record,
    /// What is on its way: the last one comes next, and of one moment what was sent first.
    pub(super) coming: Vec<(Micros, Coming)>,
    /// Until when the databases' WAL has been brought forward.
    settled: Micros,
    turns: (Micros, u32),
    /// Until when it matters what each daemon saves.
    saves_until: Vec<Option<Micros>>,
    /// The schedule is one in which nobody may promote a second time.
    pub(super) islands: bool,
    pub(super) longest_check: Micros,
    /// A daemon was killed while its failover command ran.
    pub(super) orphaned: bool,
}

/// What is on its way.
pub(super) enum Coming {
    /// A question arrives at a node or an observer.
    Question {
        from: HostId,
        life: u32,
        asked: Asked,
        until: Micros,
    },
    /// A node's answer arrives.
    Answer {
        to: HostId,
        life: u32,
        node: NodeId,
        probe: ProbeId,
        outcome: Result<NodeReport, ProbeFailure>,
    },
    /// An observer's answer arrives, with the contacts that it truly had.
    Page {
        to: HostId,
        life: u32,
        observer: usize,
        probe: ProbeId,
        outcome: Result<ObserverReport, ProbeFailure>,
        honest: Vec<Option<Moment>>,
    },
    /// A failover command ends.
    CommandEnds {
        host: HostId,
        life: u32,
        id: CommandId,
        status: Option<i32>,
        replaces: usize,
    },
    /// A daemon is told that its failover command has ended.
    Exited {
        host: HostId,
        life: u32,
        id: CommandId,
        status: Option<i32>,
        promotion: usize,
    },
    /// An idle connection was closed.
    Lost {
        host: HostId,
        life: u32,
        node: NodeId,
    },
    /// A database is done with starting.
    Ready(NodeId),
    /// The next fault of the schedule.
    Step(Step),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Node(NodeId, ProbeId),
    Observer(usize, ProbeId),
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let setup = plan.setup.clone();
        let mut dice = Dice::new(plan.seed ^ 0x5EED);
        let sites = setup.configs.iter().enumerate().map(|(host, config)| {
            let offset = if dice.percent(70) {
                0
            } else {
                moment(dice.between(0, 8_000_000)) - 4_000_000
            };
            let whole = dice.percent(50);
            Site::new(&setup, host, config, offset, whole)
        });
        let sites: Vec<_> = sites.collect();
        let mut databases: Vec<_> = (0..setup.node_count())
            .map(|_| Database::standby_of(setup.primary, 0x0500_0000, wall(0, 0).unix_micros()))
            .collect();
        databases[setup.primary].is_primary = true;
        databases[setup.primary].upstream = None;
        databases[setup.primary].reign = Some(0);
        let mut world = Self {
            now: 0,
            network: Network::new(setup.hosts()),
            saves_until: (0..setup.hosts())
                .map(|host| plan.saves_matter_until(host))
                .collect(),
            record: Record::default(),
            setup,
            sites,
            databases,
            dice,
            reigns: 1,
            coming: Vec::new(),
            settled: 0,
            turns: (0, 0),
            islands: false,
            longest_check: 0,
            orphaned: false,
        };
        for step in &plan.steps {
            world.send(step.at, Coming::Step(*step));
        }
        world
    }

    /// What lies there for daemons that are stopped.
    pub(super) fn take_those_for_sleepers(&mut self) -> Vec<Coming> {
        let waits: Vec<bool> = self
            .coming
            .iter()
            .map(|(_, coming)| self.waits_until(coming).is_some())
            .collect();
        let mut waits = waits.into_iter();
        let all = std::mem::take(&mut self.coming).into_iter();
        let (lying, coming): (Vec<_>, Vec<_>) = all.partition(|_| waits.next() == Some(true));
        self.coming = coming;
        lying.into_iter().rev().map(|(_, coming)| coming).collect()
    }

    pub(super) fn send(&mut self, at: Micros, coming: Coming) {
        let at = at.max(self.now);
        let place = self.coming.partition_point(|(later, _)| *later > at);
        self.coming.insert(place, (at, coming));
    }

    /// Lets time pass, happening by happening, until then or until something is wrong.
    pub(super) fn run_until(&mut self, end: Micros) {
        while self.record.violation.is_none() {
            let deadline = self
                .sites
                .iter()
                .filter(|site| site.is_alive)
                .map(Site::next_turn)
                .min();
            let arrival = self.coming.last().map(|(at, _)| *at);
            let next = deadline
                .into_iter()
                .chain(arrival)
                .min()
                .unwrap_or(Micros::MAX)
                .max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.turns = if self.turns.0 == next {
                (next, self.turns.1 + 1)
            } else {
                (next, 0)
            };
            if self.turns.1 > MOST_TURNS_AT_ONE_TIME {
                self.record.fail(next, Violation::ClockStandsStill);
                return;
            }
            self.now = next;
            self.turn();
        }
    }

    fn turn(&mut self) {
        while self.coming.last().is_some_and(|(at, _)| *at <= self.now) {
            let arrival = self.coming.pop();
            arrival
                .into_iter()
                .for_each(|(_, coming)| self.arrive(coming));
        }
        for host in 0..self.sites.len() {
            if self.sites[host].is_alive && self.sites[host].next_turn() <= self.now {
                let now = self.now;
                self.sites[host].take_turn(now);
                self.carry_out(host);
            }
        }
    }

    fn arrive(&mut self, coming: Coming) {
        if let Some(until) = self.waits_until(&coming) {
            return self.send(until, coming);
        }
        match coming {
            Coming::Question {
                from,
                life,
                asked,
                until,
            } => self.question(from, life, asked, until),
            Coming::Answer {
                to,
                life,
                node,
                probe,
                outcome,
            } => {
                if self.is_awaited(to, life) && self.sites[to].asked_nodes[node] == Some(probe) {
                    self.node_answers(to, node, probe, outcome);
                }
            }
            Coming::Page {
                to,
                life,
                observer,
                probe,
                outcome,
                honest,
            } => {
                if self.is_awaited(to, life)
                    && self.sites[to].asked_observers[observer] == Some(probe)
                {
                    self.observer_answers(to, observer, probe, outcome, honest);
                }
            }
            Coming::CommandEnds {
                host,
                life,
                id,
                status,
                replaces,
            } => {
                // It outlives its daemon, but not its machine.
                if self.record.is_running(replaces) {
                    self.command_ends(host, life, id, status, replaces);
                }
            }
            Coming::Exited {
                host,
                life,
                id,
                status,
                promotion,
            } => {
                self.command_exited(host, life, id, status, promotion);
            }
            Coming::Lost { host, life, node } => {
                if self.is_awaited(host, life) {
                    self.lose(host, node);
                }
            }
            Coming::Ready(node) => {
                if self.databases[node].condition == Condition::Starting {
                    self.databases[node].condition = Condition::Up;
                }
            }
            Coming::Step(step) => self.happen(&step.deed),
        }
    }

    pub(super) fn is_awaited(&self, host: HostId, life: u32) -> bool {
        self.sites[host].is_alive && self.sites[host].life == life
    }

    fn node_answers(
        &mut self,
        to: HostId,
        node: NodeId,
        probe: ProbeId,
        outcome: Result<NodeReport, ProbeFailure>,
    ) {
        let (now, name) = (self.now, self.setup.nodes[node].clone());
        let site = &mut self.sites[to];
        site.asked_nodes[node] = None;
        site.told.nodes[node].asked = Some(moment(site.asked_at[node]));
        if node == to && site.succeeded.is_some_and(|at| at <= site.asked_at[node]) {
            site.succeeded = None;
        }
        match &outcome {
            Ok(report) => site.note_report(node, report, now),
            Err(failure) => {
                let refused = matches!(
                    failure,
                    ProbeFailure::Refused { .. } | ProbeFailure::AuthenticationRejected { .. }
                );
                let remembered = site.lookout.primary() == Some(&name);
                site.told
                    .node_failed(node, moment(now), refused, remembered);
            }
        }
        site.tell(Event::NodeProbed {
            node: name,
            probe: Some(probe),
            outcome,
        });
    }

    fn observer_answers(
        &mut self,
        to: HostId,
        observer: usize,
        probe: ProbeId,
        outcome: Result<ObserverReport, ProbeFailure>,
        honest: Vec<Option<Moment>>,
    ) {
        let now = self.now;
        let site = &mut self.sites[to];
        site.asked_observers[observer] = None;
        match &outcome {
            Ok(report) => site.note_observer(&self.setup, observer, report, now),
            Err(_) => site.told.observer_failed(observer, moment(now)),
        }
        for (known, told) in site.told.honest_contacts.iter_mut().zip(honest) {
            *known = told.max(*known);
        }
        let name = self.setup.observers[observer].0.clone();
        site.tell(Event::ObserverProbed {
            observer: name,
            probe: Some(probe),
            outcome,
        });
    }

    fn lose(&mut self, host: HostId, node: NodeId) {
        let (now, name) = (self.now, self.setup.nodes[node].clone());
        let site = &mut self.sites[host];
        if !site.rules.configured[node] {
            return;
        }
        site.told.node_failed(node, moment(now), false, false);
        self.network.change(host, node, now, |_| {});
        let failure = ProbeFailure::Unreachable {
            reason: "the connection was closed".to_owned(),
        };
        site.tell(Event::NodeLost {
            node: name,
            failure,
        });
    }

    fn carry_out(&mut self, host: HostId) {
        let mut effects = self.sites[host].take_effects();
        let (mut decides, mut save) = (false, None);
        for effect in effects.drain(..) {
            match effect {
                Effect::ProbeNode { node, probe } => {
                    let Some(node) = self.setup.node_id(&node) else {
                        continue;
                    };
                    self.sites[host].asked_nodes[node] = Some(probe);
                    self.sites[host].asked_at[node] = self.now;
                    self.ask(host, node, Asked::Node(node, probe));
                }
                Effect::ProbeObserver { observer, probe } => {
                    let Some(observer) = self.setup.observer_id(&observer) else {
                        continue;
                    };
                    self.sites[host].asked_observers[observer] = Some(probe);
                    self.ask(
                        host,
                        self.setup.observers[observer].1,
                        Asked::Observer(observer, probe),
                    );
                }
                Effect::RunCommand {
                    id,
                    purpose: CommandPurpose::Failover,
                    timeout,
                    ..
                } => {
                    let process = Some(Process { pid: 1, started: 1 });
                    self.sites[host].tell(Event::CommandStarted { id, process });
                    self.promote(host, id, timeout.map(micros));
                }
                Effect::Decided { .. } => decides = true,
                Effect::Save(saved) => save = Some(saved.memory),
                // Nothing in this world turns on alerts, log lines, other commands or recovery
                // settings.
                Effect::RunCommand { .. }
                | Effect::PrepareFollow { .. }
                | Effect::RaiseAlert { .. }
                | Effect::ClearAlert(_)
                | Effect::Measure(_)
                | Effect::Log { .. } => {}
            }
        }
        self.sites[host].effects = effects;
        if decides {
            self.decided(host);
        }
        let is_kept = self.saves_until[host].is_some_and(|until| self.now <= until);
        if let Some(memory) = save.filter(|_| is_kept) {
            self.sites[host].save(memory);
        }
    }

    fn ask(&mut self, from: HostId, to: HostId, asked: Asked) {
        let life = self.sites[from].life;
        let until = self.now + micros(self.sites[from].lookout.config().poll_timeout);
        let way = self.network.way(from, to);
        let delay = way.delay
            + if from == to {
                1_000
            } else {
                self.dice.between(1_000, 20_000)
            };
        if way.cut || self.now + delay > until || (way.loss > 0 && self.dice.percent(way.loss)) {
            self.fail(from, life, asked, until, time_out());
            return;
        }
        // The answer is as old as it can be, or as young.
        if self.dice.bits() & 1 == 0 {
            self.answer(from, life, asked, self.now + delay, until);
            return;
        }
        self.send(
            self.now + delay,
            Coming::Question {
                from,
                life,
                asked,
                until,
            },
        );
    }

    fn question(&mut self, from: HostId, life: u32, asked: Asked, until: Micros) {
        let to = match asked {
            Asked::Node(node, _) => node,
            Asked::Observer(observer, _) => self.setup.observers[observer].1,
        };
        if self.network.way(from, to).cut {
            self.fail(from, life, asked, until, time_out());
            return;
        }
        self.answer(from, life, asked, self.now, until);
    }

    /// What is told now, and arrives then.
    fn answer(&mut self, from: HostId, life: u32, asked: Asked, at: Micros, until: Micros) {
        match asked {
            Asked::Node(node, probe) => {
                self.settle();
                match self.databases[node].failure() {
                    None => {
                        let outcome = Ok(self.status(node));
                        self.send(
                            at,
                            Coming::Answer {
                                to: from,
                                life,
                                node,
                                probe,
                                outcome,
                            },
                        );
                    }
                    Some(Some(failure)) => self.fail(from, life, asked, at, failure),
                    Some(None) => self.fail(from, life, asked, until, time_out()),
                }
            }
            Asked::Observer(observer, probe) => {
                let host = self.setup.observers[observer].1;
                let site = &self.sites[host];
                if !site.is_alive {
                    let down = self
                        .databases
                        .get(host)
                        .is_some_and(|db| db.condition == Condition::HostDown);
                    let unreachable = ProbeFailure::Unreachable {
                        reason: "connection refused".to_owned(),
                    };
                    let (at, failure) = if down {
                        (until, time_out())
                    } else {
                        (at, unreachable)
                    };
                    self.fail(from, life, asked, at, failure);
                    return;
                }
                if site.stopped_until > self.now {
                    // It is asked, but answers when it goes on.
                    let wakes = site.stopped_until;
                    match wakes < until {
                        true => self.send(
                            wakes,
                            Coming::Question {
                                from,
                                life,
                                asked,
                                until,
                            },
                        ),
                        false => self.fail(from, life, asked, until, time_out()),
                    }
                    return;
                }
                let outcome = Ok(site.page(&self.setup, self.now));
                let honest = self.honest_contacts(host);
                self.send(
                    at,
                    Coming::Page {
                        to: from,
                        life,
                        observer,
                        probe,
                        outcome,
                        honest,
                    },
                );
            }
        }
    }

    fn fail(&mut self, to: HostId, life: u32, asked: Asked, at: Micros, failure: ProbeFailure) {
        let coming = match asked {
            Asked::Node(node, probe) => Coming::Answer {
                to,
                life,
                node,
                probe,
                outcome: Err(failure),
            },
            Asked::Observer(observer, probe) => Coming::Page {
                to,
                life,
                observer,
                probe,
                outcome: Err(failure),
                honest: Vec::new(),
            },
        };
        self.send(at, coming);
    }

    /// When this host truly reached a primary that it reaches still, if it tells the truth by a
    /// clock that was not stepped since.
    fn honest_contacts(&self, host: HostId) -> Vec<Option<Moment>> {
        let site = &self.sites[host];
        if site.lie.is_some() {
            return Vec::new();
        }
        let contact = |node: &super::told::NodeTold| {
            // Of one that has become a standby its page does not tell any more.
            let is_primary = node.answer.is_some_and(|answer| answer.is_primary);
            let contact = node
                .contact
                .filter(|_| is_primary && matches!(node.attempt, Some((_, true))))?;
            site.stepped
                .is_none_or(|stepped| moment(stepped) < contact)
                .then_some(contact)
        };
        site.told.nodes.iter().map(contact).collect()
    }

    /// A database's status; asking a primary beats its heart.
    fn status(&mut self, node: NodeId) -> NodeReport {
        let db_time = wall(self.now, self.sites[node].wall_offset);
        let database = &mut self.databases[node];
        let role = if database.is_primary {
            database.position += 64;
            database.last_commit = db_time.unix_micros();
            RoleReport::Primary {
                lsn: Some(Lsn::from_bytes(database.position)),
                slots: Vec::new(),
            }
        } else {
            RoleReport::Standby {
                receive: database
                    .has_received
                    .then_some(Lsn::from_bytes(database.position)),
                replay: Some(Lsn::from_bytes(database.replayed)),
                last_replay: Some(crate::time::WallTime::from_unix_micros(
                    database.last_replay,
                )),
            }
        };
        NodeReport { db_time, role }
    }

    /// Brings all WAL forward to now: what is written, what streams, what is replayed.
    pub(super) fn settle(&mut self) {
        let passed = self.now - self.settled;
        self.settled = self.now;
        if self.setup.is_busy && passed > 0 {
            for node in 0..self.databases.len() {
                let commit = wall(self.now, self.sites[node].wall_offset).unix_micros();
                let database = &mut self.databases[node];
                if database.is_primary && database.condition == Condition::Up {
                    database.position += passed / 1_000;
                    database.last_commit = commit;
                }
            }
        }
        for node in 0..self.databases.len() {
            let Some(upstream) = self.databases[node].upstream else {
                continue;
            };
            let source = &self.databases[upstream];
            let is_fed = !self.network.way(node, upstream).cut && !self.databases[node].is_starved;
            let streams = source.condition == Condition::Up && is_fed;
            let (position, commit) = (source.position, source.last_commit);
            let database = &mut self.databases[node];
            if database.condition != Condition::Up || database.is_primary {
                continue;
            }
            if streams && position >= database.position {
                database.position = position;
                database.last_commit = commit;
                database.has_received = true;
            }
            if !database.replay_is_paused {
                database.replayed = database.position;
                database.last_replay = database.last_commit;
            }
        }
    }
}

fn time_out() -> ProbeFailure {
    ProbeFailure::TimedOut {
        step: ProbeStep::Answering,
    }
}

/// More turns than that without time passing are a loop.
const MOST_TURNS_AT_ONE_TIME: u32 = 60;
