//! The loop: the only place where the core meets sockets, files and processes. One thread; nothing in
//! a turn waits but the poll at its beginning.
//!
//! One turn: wait for readiness or the earliest deadline, read the clock, let the owners of ready
//! sources consume them, let time limits expire, hand the events to the core, carry out its effects.

mod alerts;
mod children;
mod commands;
mod config_loader;
mod control_file;
mod datagrams;
mod descriptors;
mod effects;
mod file_writes;
mod flight_recorder;
mod guard;
mod health_checks;
mod io;
mod listening;
mod look_once;
mod names;
mod notifier;
mod operator_files;
mod page;
mod pages;
mod peers;
mod readers;
mod recovery;
mod registry;
mod reload;
mod service;
mod shutdown;
mod start;
mod tls_file_set;
mod tls_files;
mod tls_settings;
mod trust;
mod vote_files;
mod vote_server;
mod voting;
mod web;

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use mio::{Events, Poll, Token};

use children::Task;
use commands::PreviousFailover;
pub use config_loader::{LoadError, load as load_config};
use datagrams::{Statsd, Syslog};
use file_writes::FileWrites;
use flight_recorder::FlightRecorder;
use guard::GuardKeeper;
use io::Io;
pub use look_once::{Seen, look_once};
use notifier::Notifier;
use pages::{Beside, Served};
use peers::{NodeConversation, ObserverConversation, Peers, VoterConversation};
use readers::ReadRequest;
pub use recovery::main as recovery_main;
use registry::Owner;
use service::Service;
use shutdown::Shutdown;
pub use start::run;
use vote_files::VoteFiles;
use web::Web;

use crate::config::Config;
use crate::lookout::{Event, Lookout};
use crate::sys::clock::{self, Clock};
use crate::sys::signals::{Signal, Signals};
use crate::time::Monotonic;

struct Daemon {
    poll: Poll,
    io: Io,
    signals: Signals,
    lookout: Lookout,
    nodes: Peers<NodeConversation>,
    observers: Peers<ObserverConversation>,
    voters: Peers<VoterConversation>,
    vote_files: VoteFiles,
    guard: GuardKeeper,
    previous_failover: Option<PreviousFailover>,
    files: FileWrites,
    web: Web,
    /// The limit of this process.
    max_descriptors: u64,
    recorder: FlightRecorder,
    service: Service,
    statsd: Statsd,
    syslog: Syslog,
    clock: Clock,
    config_path: PathBuf,
    boot_id: Option<String>,
    shutdown: Shutdown,
    beside: Beside,
    notifier: Notifier,
    reload: Reload,
}

/// How far a reload has come.
#[derive(Default)]
enum Reload {
    #[default]
    Idle,
    /// A child reads the files. `again`: there was another SIGHUP meanwhile.
    Reading { again: bool },
    /// For the next turn of the core.
    Loaded { config: Box<Config>, again: bool },
}

impl Reload {
    fn is_loaded(&self) -> bool {
        matches!(self, Self::Loaded { .. })
    }
}

impl Daemon {
    fn run(&mut self) -> Result<(), Error> {
        let mut ready = Events::with_capacity(READY_PER_TURN);
        self.service.ready(self.clock.now().mono);
        while self.shutdown != Shutdown::Now {
            self.turn(&mut ready)?;
        }
        self.stop();
        Ok(())
    }

    fn turn(&mut self, ready: &mut Events) -> Result<(), Error> {
        let timeout = self.time_to_wait();
        let planned = clock::monotonic() + timeout;
        match self.poll.poll(ready, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            waited => waited?,
        }
        let now = self.clock.now();
        self.io.now = now;
        self.begin_of_turn();
        self.beside.counts.lateness.add(now.mono.since(planned));
        for token in self.io.registry.take_unfinished() {
            self.dispatch(token);
        }
        for event in ready.iter() {
            self.dispatch(event.token());
            if event.is_read_closed() || event.is_error() {
                // What came before the end was read; now the end.
                self.io.registry.again(event.token());
            }
        }
        self.tick();
        self.take_read_results();
        self.turn_core();
        let is_stopping = self.shutdown != Shutdown::NotRequested;
        let failure = self.web.listening.failure();
        self.service
            .notify(&self.lookout, failure, is_stopping, now);
        let metrics = std::mem::take(&mut self.io.metrics);
        metrics.iter().for_each(|metric| self.statsd.send(metric));
        self.shutdown.advance(&self.lookout, &self.io);
        crate::sys::log::flush();
        Ok(())
    }

    /// Until the earliest deadline; zero if there is more to do at once.
    fn time_to_wait(&mut self) -> Duration {
        let next = self.tick();
        let is_held = self
            .beside
            .operator_files
            .wait_until(self.io.now.mono)
            .is_some();
        let has_events = !self.io.events.is_empty() && !is_held;
        let has_results = self.io.readers.has_results() || self.io.tls_files.has_news();
        let has_late = !self.io.late_events.is_empty();
        if self.io.registry.has_unfinished() || has_results || has_events || has_late {
            return Duration::ZERO;
        }
        next.map_or(LONGEST_WAIT, |at| {
            at.since(clock::monotonic()).min(LONGEST_WAIT)
        })
    }

    /// Every component with deadlines does what is due. Returns the next deadline of all.
    fn tick(&mut self) -> Option<Monotonic> {
        // Without `..`: a new component does not compile before it has its place here.
        let Self {
            io,
            lookout,
            nodes,
            observers,
            voters,
            vote_files,
            previous_failover,
            files,
            web,
            service,
            statsd,
            syslog,
            shutdown,
            beside,
            guard: _,
            poll: _,
            notifier: _,
            signals: _,
            max_descriptors: _,
            recorder: _,
            clock: _,
            config_path: _,
            boot_id: _,
            reload: _,
        } = self;
        let now = io.now.mono;
        let held = beside.operator_files.wait_until(now);
        let alerts_due = beside.alerts.tick(io);
        let served = Served { lookout, beside };
        let is_deciding = *shutdown == Shutdown::NotRequested && held.is_none();
        let votes_due = vote_files.tick(lookout, files, io);
        let others = [
            votes_due,
            PreviousFailover::tick(previous_failover, io),
            files.tick(io),
            alerts_due,
            web.tick(served, io),
            web.clients.pages.tick(served, io.now),
            statsd.tick(io),
            syslog.tick(io),
            service.next_deadline(now),
            shutdown.deadline(),
            held,
            is_deciding.then(|| lookout.next_deadline()),
            crate::sys::log::next_deadline(now),
        ];
        let others = others.into_iter().flatten().min();
        let peers = [
            nodes.tick(others, io),
            observers.tick(others, io),
            voters.tick(others, io),
        ];
        // The last: the others may have started a child.
        let deadlines = [others, io.tick()].into_iter().chain(peers);
        deadlines.flatten().min()
    }

    /// The owner of a ready source consumes it.
    fn dispatch(&mut self, token: Token) {
        let Some(owner) = self.io.registry.owner(token) else {
            return;
        };
        let io = &mut self.io;
        let served = Served {
            lookout: &self.lookout,
            beside: &self.beside,
        };
        match owner {
            Owner::Signals => self.take_signals(),
            Owner::Child => io.children.ready(token, &mut io.registry, io.now.mono),
            Owner::Reader => io.readers.ready(token, &mut io.registry),
            Owner::Node(node) => self.nodes.ready(&node, io),
            Owner::Observer(observer) => self.observers.ready(&observer, io),
            Owner::Voter(voter) => self.voters.ready(&voter, io),
            Owner::HttpListener => self.web.accept(served, io),
            Owner::HttpClient => self.web.clients.ready(token, served, io),
        }
    }

    fn take_signals(&mut self) {
        let now = self.io.now;
        for signal in self.signals.read() {
            match signal {
                Signal::Reload => self.reload(),
                Signal::Terminate => {
                    self.io.events.push(Event::Stopping);
                    let service = &mut self.service;
                    self.shutdown.signal(&self.lookout, service, now.mono);
                }
                Signal::Quit => {
                    log::error!("SIGQUIT: exiting at once, whatever is under way");
                    self.io.events.push(Event::Stopping);
                    self.shutdown = Shutdown::Now;
                }
                Signal::Ignored(name) => log::info!("ignoring {name}"),
                Signal::ChildExited => self.reap(),
            }
        }
    }

    fn reap(&mut self) {
        let now = self.io.now.mono;
        let mut found_names = false;
        for (task, exit) in self.io.children.reap(&mut self.io.registry, now) {
            match task {
                Task::Command { id, .. } => {
                    let outcome = commands::outcome(exit);
                    self.io.events.push(Event::CommandExited { id, outcome });
                }
                Task::Notification => {
                    let config = self.lookout.config();
                    self.notifier.finished(exit, config, &mut self.io);
                }
                Task::LookUp(name) => {
                    names::finished(&name, &exit, &mut self.io);
                    found_names = true;
                }
                Task::RecoverySettings => {
                    let outcome = recovery::outcome(&exit);
                    self.io.events.push(Event::FollowPrepared(outcome));
                }
            }
        }
        self.io.readers.reap();
        let previous = self.previous_failover.as_ref();
        let files = (&mut self.files, previous.map(PreviousFailover::process));
        self.guard.reap(self.lookout.config(), files, &mut self.io);
        for (path, outcome) in self.io.children.reap_writers() {
            if outcome.is_ok() {
                self.beside.alerts.written(&path);
            }
            self.vote_files
                .written(&path, outcome.is_ok(), &mut self.io);
            self.files.finished(&path, outcome, &mut self.io);
        }
        self.io.reap_orphans();
        if found_names {
            self.nodes.names_found(&mut self.io);
            self.observers.names_found(&mut self.io);
            self.voters.names_found(&mut self.io);
        }
    }

    fn take_read_results(&mut self) {
        for (request, result) in self.io.readers.take_results() {
            let io = &mut self.io;
            match request {
                ReadRequest::Configuration => self.configuration_read(result),
                request @ ReadRequest::OperatorFiles { .. } => {
                    self.beside.operator_files.finished(&request, result, io);
                }
                ReadRequest::Alerts(path) => {
                    if self.beside.alerts.finished(&path, result, io) {
                        self.web.clients.pages.facts_changed();
                    }
                }
                ReadRequest::VoteFile(cluster) => {
                    let config = self.lookout.config();
                    self.vote_files.finished(cluster, result, config, io);
                }
                ReadRequest::ControlFile(_) => control_file::finished(result, io),
                ReadRequest::TlsFiles(files) => io.tls_files.finished(&files, result, io.now),
            }
        }
        if self.io.tls_files.take_news() {
            self.nodes.files_read(&mut self.io);
            self.observers.files_read(&mut self.io);
            self.voters.files_read(&mut self.io);
        }
    }

    /// Hands the events to the core, which does what is due, and carries out its effects.
    fn turn_core(&mut self) {
        let now = self.io.now;
        let has_events = !self.io.events.is_empty() || self.reload.is_loaded();
        if !has_events && self.lookout.next_deadline() > now.mono {
            return;
        }
        if !self.beside.operator_files.is_ready(&mut self.io) {
            return;
        }
        let replaced = self.push_loaded_configuration();
        let events = std::mem::take(&mut self.io.events);
        if !events.is_empty() {
            self.web.clients.pages.facts_changed();
        }
        let counts = &mut self.beside.counts;
        events
            .iter()
            .for_each(|event| counts.event(event, now.mono));
        let maintenance = self.beside.operator_files.is_in_maintenance();
        let effects = self
            .recorder
            .turn(&mut self.lookout, events, maintenance, now);
        if let Some(old) = replaced {
            self.adopt(&old);
        }
        let counts = &mut self.beside.counts;
        effects
            .iter()
            .for_each(|effect| counts.effect(effect, now.mono));
        let is_shown = self.carry_out(effects);
        let is_due = is_shown || self.notifier.is_owed;
        if is_due && self.lookout.config().event_command.is_some() {
            self.notify(now);
        }
        // After the effects: a slow disk does not delay them.
        self.recorder.write(&self.lookout, now);
    }

    fn stop(&mut self) {
        let now = self.clock.now();
        self.recorder.end(&self.lookout, now);
        self.io.children.leave();
        self.nodes.hang_up(&mut self.io);
        log::info!("stopped");
        crate::sys::log::flush();
    }
}

/// The rest comes with the next poll.
const READY_PER_TURN: usize = 1024;
/// Without any deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
