//! A daemon: the real core, what was saved for its next process, and what it has asked for.

use std::sync::Arc;

use super::NodeId;
use super::in_flight::Target;
use super::recording::Recording;
use super::setup::Setup;
use crate::config::Config;
use crate::lookout::{Effect, Event, Lookout, Memory, ProbeId};
use crate::time::{Monotonic, Now};

/// A daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) core: Lookout,
    pub(super) is_alive: bool,
    /// Processes before this one.
    pub(super) process: u32,
    /// What the state file holds.
    pub(super) saved: Option<Memory>,
    /// The polls under way, by node and by observer.
    node_polls: Vec<Option<ProbeId>>,
    observer_polls: Vec<Option<ProbeId>>,
    /// Is a connection to a node open and idle.
    connections: Vec<bool>,
    /// The name of its session on each node, as it last asked for it.
    pub(super) sessions: Vec<Arc<str>>,
    /// The configuration that it has read, which its core gets with its next turn.
    config: Arc<Config>,
    /// What the core gets with its next turn.
    events: Vec<Event>,
    effects: Vec<Effect>,
    /// What reaches the core is written down, if that was asked for.
    pub(super) recording: Option<Recording>,
}

impl Daemon {
    pub(super) fn new(setup: &Setup, config: &Arc<Config>, now: Now) -> Self {
        Self {
            core: Lookout::new(Arc::clone(config), &Memory::default(), now),
            is_alive: true,
            process: 0,
            saved: None,
            node_polls: vec![None; setup.nodes.len()],
            observer_polls: vec![None; setup.observers.len()],
            connections: vec![false; setup.nodes.len()],
            sessions: vec![Arc::from(""); setup.nodes.len()],
            config: Arc::clone(config),
            events: Vec::new(),
            effects: Vec::new(),
            recording: None,
        }
    }

    /// From now on what reaches the core is written down. For the very beginning: it remembers
    /// nothing yet.
    pub(super) fn record(&mut self, now: Now) {
        self.recording = Some(Recording::new(self.core.config(), &Memory::default(), now));
    }

    pub(super) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Its configuration is another one; it reads that when it is started again.
    pub(super) fn edit(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// An event for the core, with its next turn.
    pub(super) fn add(&mut self, event: Event) {
        if let Event::ConfigLoaded(config) = &event {
            self.config = Arc::clone(config);
        }
        self.events.push(event);
    }

    /// The same, before anything else.
    pub(super) fn add_first(&mut self, event: Event) {
        self.events.insert(0, event);
    }

    /// Gives the core a turn if there is something for it, or its time has come; its next deadline.
    pub(super) fn turn(&mut self, maintenance: bool, now: Now) -> Monotonic {
        let events = std::mem::take(&mut self.events);
        if !events.is_empty() || self.core.next_deadline() <= now.mono {
            if let Some(recording) = &mut self.recording {
                recording.recorder.events(&events, &self.core, now);
            }
            let looked = self.core.turn(events, maintenance, now, &mut self.effects);
            if let Some(recording) = self.recording.as_mut().filter(|_| looked) {
                recording.recorder.turn(maintenance, &self.effects, now);
            }
        }
        self.core.next_deadline()
    }

    /// What the core wants done.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        if let Some(recording) = &mut self.recording {
            recording.recorder.note(&self.effects);
        }
        std::mem::take(&mut self.effects)
    }

    /// The list that was taken, empty, to be filled again.
    pub(super) fn reuse(&mut self, effects: Vec<Effect>) {
        self.effects = effects;
    }

    /// A new process, with what the previous one saved. `boot`: the machine was booted as well.
    pub(super) fn restart(&mut self, boot: bool, now: Now) {
        let mut memory = self.saved.clone().unwrap_or_default();
        if boot {
            let contacts = memory.contacts.values_mut();
            contacts.for_each(|contact| contact.mono = None);
            let failover = memory.failover.iter_mut();
            failover.for_each(|last| last.process = None);
        }
        let config = Arc::clone(&self.config);
        let recording = self.recording.take();
        self.recording = recording.map(|recording| recording.restart(&config, &memory, now));
        self.core = Lookout::new(config, &memory, now);
        self.is_alive = true;
        self.process += 1;
        self.node_polls.fill(None);
        self.observer_polls.fill(None);
        self.connections.fill(false);
        self.events.clear();
        self.effects.clear();
    }

    pub(super) fn begin_poll(&mut self, target: Target) {
        match target {
            Target::Node(node, probe) => self.node_polls[node] = Some(probe),
            Target::Observer(observer, probe) => self.observer_polls[observer] = Some(probe),
        }
    }

    /// A poll has ended; is it the one that is under way.
    pub(super) fn end_poll(&mut self, target: Target) -> bool {
        let (poll, probe) = match target {
            Target::Node(node, probe) => (&mut self.node_polls[node], probe),
            Target::Observer(observer, probe) => (&mut self.observer_polls[observer], probe),
        };
        poll.take_if(|wanted| *wanted == probe).is_some()
    }

    pub(super) fn has_connection(&self, node: NodeId) -> bool {
        self.is_alive && self.connections[node]
    }

    pub(super) fn connected(&mut self, node: NodeId, is_connected: bool) {
        self.connections[node] = is_connected;
    }

    /// The prober lets go of a node that has left the configuration.
    pub(super) fn drop_node(&mut self, node: NodeId) {
        self.node_polls[node] = None;
        self.connections[node] = false;
    }
}
