//! The loop: the only place where facts and wishes meet the world. One thread; nothing in a turn
//! waits but the poll at its beginning.
//!
//! One turn: wait for readiness or the earliest deadline, read the clock, let the owners of what is
//! ready consume it, let time limits strike, hand the events to the core, carry out its wishes,
//! tidy up.

mod address_book;
mod children;
mod commands;
mod config_loader;
mod datagrams;
mod ending;
mod files;
mod flight;
mod follow;
mod io;
mod journal;
mod keyring;
mod listening;
mod maintenance;
mod peers;
mod readers;
mod recovery;
mod registry;
mod reload;
mod remote;
mod service;
mod shares;
mod start;
mod time_limit;
mod tls_files;
mod web;

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use mio::{Events, Poll, Token};

use children::Task;
use commands::PreviousFailover;
pub use config_loader::{LoadError, load as load_config};
use datagrams::{Statsd, Syslog};
use ending::Ending;
use files::Files;
use flight::Flight;
use io::Io;
use journal::Journal;
use maintenance::Maintenance;
use peers::{NodeConversation, ObserverConversation, Peers};
use readers::Question;
pub use recovery::main as recovery_main;
use registry::Owner;
use reload::Reload;
use service::Service;
pub use start::run;
use web::{Content, Web};

use crate::format;
use crate::lookout::{Alert, Effect, Event, Lookout, Saved};
use crate::sys::clock::{self, Clock};
use crate::sys::forked::FileOp;
use crate::sys::signals::{Signal, Signals};
use crate::sys::text::escape_controls;
use crate::time::{Monotonic, timestamp};

/// A running daemon.
struct Daemon {
    poll: Poll,
    io: Io,
    signals: Signals,
    lookout: Lookout,
    nodes: Peers<NodeConversation>,
    observers: Peers<ObserverConversation>,
    previous_failover: Option<PreviousFailover>,
    files: Files,
    web: Web,
    /// How many the process may have open.
    descriptors: u64,
    flight: Flight,
    service: Service,
    statsd: Statsd,
    syslog: Syslog,
    clock: Clock,
    config_path: PathBuf,
    boot_id: Option<String>,
    /// `/state.json` as last rendered; `None` once the facts have changed.
    page: Option<Bytes>,
    journal: Journal,
    ending: Ending,
    maintenance: Maintenance,
    reload: Reload,
}

impl Daemon {
    /// Turns until it is told to end.
    fn run(&mut self) -> Result<(), Error> {
        let mut ready = Events::with_capacity(READY_PER_TURN);
        self.service.ready(self.clock.now().mono);
        while self.ending != Ending::Now {
            self.turn(&mut ready)?;
        }
        self.log_stop();
        Ok(())
    }

    fn turn(&mut self, ready: &mut Events) -> Result<(), Error> {
        let timeout = self.time_to_wait();
        match self.poll.poll(ready, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            waited => waited?,
        }
        let now = self.clock.now();
        self.io.now = now;
        for token in self.io.registry.take_unfinished() {
            self.dispatch(token);
        }
        for event in ready.iter() {
            self.dispatch(event.token());
        }
        self.tick();
        self.take_answers();
        self.consult();
        let is_ending = self.ending != Ending::NotYet;
        self.service.tend(&self.lookout, is_ending, now);
        let metrics = std::mem::take(&mut self.io.metrics);
        metrics.iter().for_each(|metric| self.statsd.send(metric));
        self.ending.advance(&self.lookout, &self.io);
        crate::sys::log::flush();
        Ok(())
    }

    /// Until the earliest deadline; not at all if somebody has more to do.
    fn time_to_wait(&mut self) -> Duration {
        let next = self.tick();
        let is_held = self.maintenance.held_until(self.io.now.mono).is_some();
        let has_events = !self.io.events.is_empty() && !is_held;
        if self.io.registry.has_unfinished() || self.io.has_answers() || has_events {
            return Duration::ZERO;
        }
        next.map_or(LONGEST_WAIT, |at| {
            at.since(clock::monotonic()).min(LONGEST_WAIT)
        })
    }

    /// Everybody for whom time passes does what is due. Gives the next deadline of all.
    fn tick(&mut self) -> Option<Monotonic> {
        // Without `..`: whoever is new does not compile before it has its place here.
        let Self {
            io,
            lookout,
            nodes,
            observers,
            previous_failover,
            files,
            web,
            service,
            statsd,
            syslog,
            ending,
            page,
            journal,
            maintenance,
            poll: _,
            signals: _,
            descriptors: _,
            flight: _,
            clock: _,
            config_path: _,
            boot_id: _,
            reload: _,
        } = self;
        let now = io.now.mono;
        let held = maintenance.held_until(now);
        let mut content = Content {
            lookout,
            state: page,
            journal,
        };
        let deadlines = [
            PreviousFailover::tick(previous_failover, io),
            files.tick(io),
            web.tick(&mut content, io),
            statsd.tick(io),
            syslog.tick(io),
            nodes.tick(io),
            observers.tick(io),
            service.next_deadline(now),
            ending.last_moment(),
            held,
            (*ending == Ending::NotYet && held.is_none()).then(|| lookout.next_deadline()),
            crate::sys::log::next_deadline(now),
            // The last: the others may have started a child.
            io.tick(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Lets the owner of a token consume its readiness.
    fn dispatch(&mut self, token: Token) {
        let Some(owner) = self.io.registry.owner(token) else {
            return;
        };
        match owner {
            Owner::Signals => self.take_signals(),
            Owner::Child => self.io.child_ready(token),
            Owner::Reader => self.io.readers.ready(token, &mut self.io.registry),
            Owner::Node(node) => self.nodes.ready(&node, &mut self.io),
            Owner::Observer(observer) => self.observers.ready(&observer, &mut self.io),
            Owner::Listener => {
                let (web, mut content, io) = self.web();
                web.accept(&mut content, io);
            }
            Owner::Client => {
                let (web, mut content, io) = self.web();
                web.ready(token, &mut content, io);
            }
        }
    }

    fn web(&mut self) -> (&mut Web, Content<'_>, &mut Io) {
        let content = Content {
            lookout: &self.lookout,
            state: &mut self.page,
            journal: &mut self.journal,
        };
        (&mut self.web, content, &mut self.io)
    }

    fn take_signals(&mut self) {
        let now = self.io.now;
        for signal in self.signals.read() {
            match signal {
                Signal::Reload => self.reload(),
                Signal::Terminate => {
                    self.io.events.push(Event::Stopping);
                    self.ending
                        .signal(&self.lookout, &mut self.service, now.mono);
                }
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
                Task::LookUp(name) => {
                    address_book::finished(&name, &exit, &mut self.io);
                    found_names = true;
                }
                Task::RecoverySettings => {
                    let outcome = follow::outcome(&exit);
                    self.io.events.push(Event::FollowPrepared(outcome));
                }
            }
        }
        self.io.readers.reap();
        for (path, outcome) in self.io.children.reap_writers() {
            self.files.ended(&path, outcome, &mut self.io);
        }
        if found_names {
            self.nodes.names_found(&mut self.io);
            self.observers.names_found(&mut self.io);
        }
    }

    /// What children have read goes to whoever asked.
    fn take_answers(&mut self) {
        for (question, answer) in self.io.readers.take_answers() {
            match question {
                Question::Configuration => self.configuration_read(answer),
                Question::Maintenance(path) => {
                    self.maintenance.answered(&path, answer, &mut self.io);
                }
                Question::TlsFiles(wanted) => tls_files::answered(&wanted, answer, &mut self.io),
            }
        }
        if self.io.tls_files.take_news() {
            self.nodes.files_read(&mut self.io);
            self.observers.files_read(&mut self.io);
        }
    }

    /// Hands the events to the core, which then does what is due, and carries out what it wants
    /// done.
    fn consult(&mut self) {
        let now = self.io.now;
        let has_events = !self.io.events.is_empty() || self.reload.is_loaded();
        if !has_events && self.lookout.next_deadline() > now.mono {
            return;
        }
        if !self.maintenance.is_settled(&mut self.io) {
            return;
        }
        let replaced = self.hand_over_configuration();
        let events = std::mem::take(&mut self.io.events);
        if !events.is_empty() {
            self.page = None;
        }
        let maintenance = self.maintenance.is_present();
        let effects = self
            .flight
            .turn(&mut self.lookout, events, maintenance, now);
        if let Some(old) = replaced {
            self.adopt(&old);
        }
        self.carry_out(effects);
        // After the effects: no disk holds them up.
        self.flight.write(&self.lookout, now);
    }

    /// One match, in order. Nothing here calls the core; what comes of an effect is a later event.
    fn carry_out(&mut self, effects: Vec<Effect>) {
        let now = self.io.now;
        for effect in effects {
            match effect {
                Effect::ProbeNode { node, probe, .. } => {
                    self.nodes
                        .probe(&node, probe, self.lookout.config(), &mut self.io);
                }
                Effect::ProbeObserver { observer, probe } => {
                    self.observers
                        .probe(&observer, probe, self.lookout.config(), &mut self.io);
                }
                Effect::RunCommand {
                    id,
                    purpose,
                    command,
                    timeout,
                } => {
                    commands::start(id, purpose, &command, timeout, &mut self.io);
                }
                Effect::PrepareFollow {
                    primary,
                    conninfo,
                    data_directory,
                } => {
                    follow::prepare(&primary, &conninfo, data_directory, &mut self.io);
                }
                Effect::RaiseAlert { alert, text } => {
                    let line = format!(
                        "{} {}\n",
                        timestamp::format_millis(now.wall),
                        escape_controls(&text)
                    );
                    self.request_alert(alert, FileOp::Replace(line.into()));
                }
                Effect::ClearAlert(alert) => self.request_alert(alert, FileOp::Remove),
                Effect::Save(saved) => self.save(&saved),
                Effect::Measure(metric) => self.statsd.send(&metric),
                Effect::Log { level, text } => log::log!(target: "lookout", level, "{text}"),
                Effect::Decided {
                    round,
                    level,
                    repeated,
                } => {
                    self.journal.tidy(now.mono);
                    if let Some(repeated) = repeated {
                        log::info!(target: "lookout", "{repeated}");
                    }
                    log::log!(target: "lookout", level, "{}", round.decision.verdict);
                }
            }
        }
    }

    fn request_alert(&mut self, alert: Alert, deed: FileOp) {
        let directory = &self.lookout.config().alert_dir;
        let path = directory.join(format::alert_file(alert));
        self.files
            .request("alert_file_dir", path, deed, &mut self.io);
    }

    fn save(&mut self, saved: &Saved) {
        let content = format::state_file(
            self.lookout.state(),
            &saved.memory,
            saved.round.as_deref(),
            self.boot_id.as_deref(),
        );
        let path = self.lookout.config().state_file.clone();
        let (key, deed) = ("json_state_file_path", FileOp::Replace(content));
        self.files.request(key, path, deed, &mut self.io);
    }

    fn log_stop(&mut self) {
        let now = self.clock.now();
        self.flight.end(&self.lookout, now);
        self.io.children.leave();
        self.nodes.hang_up(&mut self.io);
        log::info!("stopped");
        crate::sys::log::flush();
    }
}

/// Events that one poll may bring; the rest comes with the next.
const READY_PER_TURN: usize = 1024;
/// When nothing at all is to be done, look around all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
