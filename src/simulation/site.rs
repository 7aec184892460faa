//! A daemon on its host: the real core, the host's clocks, what was saved for the next process, and
//! beside it what the daemon was told.

use std::sync::Arc;

use super::plan::Lie;
use super::referee::{Rules, Standing};
use super::setup::Setup;
use super::tape::Tape;
use super::told::{Answer, Entry, Moment, Told};
use super::{HostId, Micros, NodeId, micros};
use crate::cluster::{NodeReport, ObservedNode, ObserverReport, RoleReport};
use crate::config::{Config, QuorumRule};
use crate::lookout::{Effect, Event, Lookout, Memory, PreviousCommand, ProbeId};
use crate::time::{Monotonic, Now, WallTime};

/// A daemon.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) lookout: Lookout,
    pub(super) is_alive: bool,
    /// Which process it is; answers for a former one are lost.
    pub(super) life: u32,
    /// The monotonic clock read this much at that time.
    mono_base: (std::time::Duration, Micros),
    pub(super) wall_offset: i64,
    pub(super) stepped: Option<Micros>,
    pub(super) saved: Option<Saved>,
    pub(super) told: Told,
    pub(super) rules: Rules,
    /// Nodes that this process has had in its configuration: of others it hears nothing.
    heard: Vec<bool>,
    /// The probes under way, by node and by observer.
    pub(super) asked_nodes: Vec<Option<ProbeId>>,
    pub(super) asked_observers: Vec<Option<ProbeId>>,
    pub(super) maintenance: bool,
    /// How its failover commands end, and after how long.
    pub(super) command: (Option<i32>, Micros),
    /// When the command last succeeded, until its own node has answered a poll that began later.
    pub(super) succeeded: Option<Micros>,
    /// When the last poll of each node began.
    pub(super) asked_at: Vec<Micros>,
    /// It is stopped, and gets no turn before this.
    pub(super) stopped_until: Micros,
    /// When it last woke so late that it noticed.
    pub(super) woke: Option<Moment>,
    pub(super) lie: Option<Lie>,
    pub(super) frozen: Option<ObserverReport>,
    pub(super) lied: Option<Micros>,
    /// Its `Date` is in whole seconds, as the original's.
    pub(super) whole_seconds: bool,
    pub(super) last_decision: Micros,
    /// Its next deadline, in true time.
    pub(super) deadline: Micros,
    /// What the core gets at its next turn.
    inbox: Vec<Event>,
    pub(super) effects: Vec<Effect>,
    /// What reaches the core is written down, if that was asked for.
    pub(super) tape: Option<Tape>,
    /// When it was restarted, reloaded or tampered with last.
    pub(super) disturbed: Option<Micros>,
}

/// What the next process is given, and what the former one had been told by then.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub(super) memory: Memory,
    contacts: Vec<Option<Moment>>,
    standbys: Vec<bool>,
}

impl Site {
    pub(super) fn new(
        setup: &Setup,
        host: HostId,
        config: &Arc<Config>,
        wall_offset: i64,
        whole_seconds: bool,
    ) -> Self {
        let mono_base = (
            START + std::time::Duration::from_secs(host as u64 * 1000),
            0,
        );
        let now = Now {
            mono: Monotonic::from_duration(mono_base.0),
            wall: wall(0, wall_offset),
        };
        let rules = rules(setup, host, config);
        Self {
            lookout: Lookout::new(Arc::clone(config), &Memory::default(), now),
            is_alive: true,
            life: 0,
            mono_base,
            wall_offset,
            stepped: None,
            saved: None,
            told: Told::nothing(setup.node_count(), setup.observers.len()),
            heard: rules.configured.clone(),
            rules,
            asked_nodes: vec![None; setup.node_count()],
            asked_observers: vec![None; setup.observers.len()],
            maintenance: false,
            command: (Some(0), 100_000),
            succeeded: None,
            asked_at: vec![0; setup.node_count()],
            stopped_until: 0,
            woke: None,
            lie: None,
            frozen: None,
            lied: None,
            whole_seconds,
            last_decision: 0,
            deadline: 0,
            inbox: Vec::new(),
            effects: Vec::new(),
            tape: None,
            disturbed: None,
        }
    }

    /// When it acts next.
    pub(super) fn next_turn(&self) -> Micros {
        self.deadline.max(self.stopped_until)
    }

    /// Both clocks of its host.
    pub(super) fn now(&self, now: Micros) -> Now {
        let mono = self.mono_base.0 + std::time::Duration::from_micros(now - self.mono_base.1);
        Now {
            mono: Monotonic::from_duration(mono),
            wall: wall(now, self.wall_offset),
        }
    }

    /// An event for the core, at its next turn, which is now.
    pub(super) fn tell(&mut self, event: Event) {
        self.inbox.push(event);
        self.deadline = 0;
    }

    /// Gives the core a turn if there is something for it, or its time has come.
    pub(super) fn take_turn(&mut self, now: Micros) {
        let at = self.now(now);
        let events = std::mem::take(&mut self.inbox);
        if !events.is_empty() || self.lookout.next_deadline() <= at.mono {
            let (maintenance, effects) = (self.maintenance, &mut self.effects);
            if let Some(tape) = &mut self.tape {
                tape.events(&events, &self.lookout, at);
            }
            let looked = self.lookout.turn(events, maintenance, at, effects);
            if let Some(tape) = self.tape.as_mut().filter(|_| looked) {
                tape.turn(maintenance, effects, at);
            }
        }
        let base = Monotonic::from_duration(self.mono_base.0);
        let deadline = self.lookout.next_deadline();
        // Not before it: a deadline may be finer than the time here.
        self.deadline =
            self.mono_base.1 + micros(deadline.since(base) + std::time::Duration::from_nanos(999));
    }

    /// What the core wishes, to be carried out.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        if let Some(tape) = &mut self.tape {
            tape.note(&self.effects);
        }
        std::mem::take(&mut self.effects)
    }

    /// A configuration is loaded.
    pub(super) fn adopt(&mut self, rules: Rules) {
        self.heard
            .iter_mut()
            .zip(&rules.configured)
            .for_each(|(heard, configured)| *heard |= configured);
        self.rules = rules;
    }

    pub(super) fn save(&mut self, memory: Memory) {
        let contacts = (0..self.told.nodes.len())
            .map(|node| self.told.last_contact(node))
            .collect();
        self.saved = Some(Saved {
            memory,
            contacts,
            standbys: self.told.standbys(),
        });
    }

    /// A new process, with what the former one saved. `boot`: the machine was booted as well.
    pub(super) fn restart(&mut self, setup: &Setup, boot: bool, now: Micros) {
        if boot {
            self.mono_base = (std::time::Duration::from_secs(60), now);
        }
        let mut told = Told::nothing(setup.node_count(), setup.observers.len());
        let mut memory = Memory::default();
        if let Some(saved) = &self.saved {
            memory = saved.memory.clone();
            told.previous_contacts.clone_from(&saved.contacts);
            told.previous_standbys.clone_from(&saved.standbys);
        }
        if boot {
            memory
                .contacts
                .values_mut()
                .for_each(|contact| contact.mono = None);
        }
        if boot {
            memory
                .failover
                .iter_mut()
                .for_each(|last| last.process = None);
        }
        self.lookout = Lookout::new(Arc::clone(self.lookout.config()), &memory, self.now(now));
        self.tape = self
            .tape
            .take()
            .map(|tape| tape.restart(self.lookout.config(), &memory, self.now(now)));
        self.told = told;
        self.heard.clone_from(&self.rules.configured);
        self.is_alive = true;
        self.life += 1;
        self.succeeded = None;
        (self.stopped_until, self.woke) = (now, None);
        self.asked_nodes.fill(None);
        self.asked_observers.fill(None);
        self.inbox.clear();
        self.effects.clear();
        self.last_decision = now;
        self.deadline = now;
        self.disturbed = Some(now);
        // Every other process cannot look at those of its host.
        if self.life % 2 == 0 {
            self.tell(Event::PreviousCommand(PreviousCommand::Unobservable));
        }
    }

    /// `is_running`: of its failover commands, also those of former processes.
    pub(super) fn standing(&self, setup: &Setup, is_running: bool, now: Micros) -> Standing {
        Standing {
            remembered: self
                .lookout
                .primary()
                .and_then(|primary| setup.node_id(primary)),
            maintenance: self.maintenance,
            is_running,
            is_unsettled: self.succeeded.is_some(),
            woke: self.woke,
            now: moment(now),
        }
    }

    /// Writes down what a node told.
    pub(super) fn note_report(&mut self, node: NodeId, report: &NodeReport, now: Micros) {
        let (is_primary, receive, replay) = match &report.role {
            RoleReport::Primary { lsn, .. } => (true, None, *lsn),
            RoleReport::Standby {
                receive, replay, ..
            } => (false, *receive, *replay),
        };
        let (receive, replay) = (
            receive.map(crate::cluster::Lsn::bytes),
            replay.map(crate::cluster::Lsn::bytes),
        );
        self.told.node_answered(
            node,
            Answer {
                at: moment(now),
                is_primary,
                receive,
                replay,
            },
        );
    }

    /// Writes down what an observer told.
    pub(super) fn note_observer(
        &mut self,
        setup: &Setup,
        observer: usize,
        report: &ObserverReport,
        now: Micros,
    ) {
        let age = |at: WallTime| (report.date.unix_micros() - at.unix_micros()).max(0);
        let entry = |observed: &ObservedNode| Entry {
            at: moment(now) - age(observed.fetch_time),
            connected: observed.connection,
            is_primary: observed.in_recovery.map(|in_recovery| !in_recovery),
            db_time: observed
                .db_time
                .map(|db_time| (moment(now) - age(db_time), db_time.unix_micros())),
            receive: observed.receive.map(crate::cluster::Lsn::bytes),
            replay: observed.replay.map(crate::cluster::Lsn::bytes),
        };
        let nodes = setup
            .nodes
            .iter()
            .zip(&self.heard)
            .map(|(node, known)| known.then_some(node));
        let entries = nodes
            .map(|node| node.and_then(|node| report.nodes.get(node)).map(entry))
            .collect();
        let skew = report
            .date
            .unix_micros()
            .abs_diff(self.now(now).wall.unix_micros());
        self.told
            .observer_answered(observer, moment(now), skew > 5_000_000, entries);
    }

    /// The state as its `/state.json` shows it, lies included.
    pub(super) fn page(&self, setup: &Setup, now: Micros) -> ObserverReport {
        let mut date = self.now(now).wall;
        if self.whole_seconds {
            date = WallTime::from_unix_micros(date.unix_micros().div_euclid(1_000_000) * 1_000_000);
        }
        if let (Some(Lie::Frozen), Some(frozen)) = (self.lie, &self.frozen) {
            return ObserverReport {
                date,
                nodes: frozen.nodes.clone(),
            };
        }
        let mut report = ObserverReport {
            date,
            nodes: std::collections::BTreeMap::new(),
        };
        for (name, node) in &self.lookout.state().nodes {
            let Some(attempt) = node.attempt else {
                continue;
            };
            let answer = node.answer.as_ref();
            let observed = ObservedNode {
                fetch_time: attempt.fetch_time,
                connection: attempt.connected,
                db_time: answer.map(|answer| answer.db_time),
                in_recovery: answer.map(|answer| answer.in_recovery),
                receive: answer.and_then(|answer| answer.receive),
                replay: answer.and_then(|answer| answer.replay),
                last_replay: answer.and_then(|answer| answer.last_replay),
            };
            report.nodes.insert(name.clone(), observed);
        }
        if let Some(lie) = self.lie {
            bend(&mut report, lie, setup);
        }
        report
    }
}

fn bend(report: &mut ObserverReport, lie: Lie, setup: &Setup) {
    let date = report.date;
    match lie {
        Lie::Primary(node) => {
            let entry = report.nodes.get_mut(&setup.nodes[node]);
            entry.into_iter().for_each(|entry| {
                (entry.connection, entry.in_recovery, entry.fetch_time) = (true, Some(false), date);
            });
        }
        Lie::AllStandbys => report.nodes.values_mut().for_each(|entry| {
            (entry.connection, entry.in_recovery, entry.fetch_time) = (true, Some(true), date);
        }),
        Lie::AllGone => report
            .nodes
            .values_mut()
            .for_each(|entry| entry.connection = false),
        Lie::Frozen => {}
        Lie::Date(by) => {
            report.date = WallTime::from_unix_micros(date.unix_micros() + by * 1_000_000)
        }
    }
}

pub(super) fn rules(setup: &Setup, host: HostId, config: &Config) -> Rules {
    let of_nodes =
        |test: &dyn Fn(&crate::config::NodeName) -> bool| setup.nodes.iter().map(test).collect();
    Rules {
        own: host,
        poll: micros(config.poll_interval),
        limit: micros(config.failover_lag),
        majority: config.quorum == QuorumRule::Majority,
        configured: of_nodes(&|node| config.nodes.contains_key(node)),
        observers: setup
            .observers
            .iter()
            .map(|(name, _)| config.observers.contains_key(name))
            .collect(),
        gone: of_nodes(&|node| config.known_gone.contains(node)),
        never: of_nodes(&|node| config.never_promote.contains(node)),
        priorities: setup
            .nodes
            .iter()
            .map(|node| {
                config
                    .failover_priorities
                    .get(node)
                    .copied()
                    .unwrap_or_default()
            })
            .collect(),
    }
}

pub(super) fn wall(now: Micros, offset: i64) -> WallTime {
    WallTime::from_unix_micros(EPOCH_MICROS + moment(now) + offset)
}

pub(super) fn moment(now: Micros) -> Moment {
    i64::try_from(now).unwrap_or(i64::MAX)
}

const START: std::time::Duration = std::time::Duration::from_secs(1_000_000);
/// 2024-01-01T00:00:00Z.
const EPOCH_MICROS: i64 = 1_704_067_200_000_000;
