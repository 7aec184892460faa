//! The loop: the only place where facts and wishes meet the world. One thread; nothing in a turn
//! waits but the poll at its beginning.
//!
//! One turn: wait for readiness or the earliest deadline, read the clock, let the owners of what is
//! ready consume it, let time limits strike, hand the events to the core, carry out its wishes,
//! tidy up.

mod address_book;
mod carry_out;
mod children;
mod commands;
mod files;
mod flight;
mod follow;
mod former;
mod io;
mod journal;
mod keyring;
mod listening;
mod open_pipes;
mod peers;
mod recovery;
mod registry;
mod reload;
mod remote;
mod service;
mod shares;
mod start;
mod statsd;
mod syslog;
mod time_limit;
mod web;

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use mio::{Events, Poll, Token};

use children::Ended;
use files::Files;
use flight::Flight;
use former::Former;
use io::Io;
use journal::Journal;
use peers::{NodeConversation, ObserverConversation, Peers};
pub use recovery::main as recovery_main;
use registry::Owner;
use remote::Remote;
use service::Service;
pub use start::run;
use statsd::Statsd;
use syslog::Syslog;
use web::{Pages, Web};

use crate::compat;
use crate::lookout::{Event, Lookout, Trouble};
use crate::sys::clock::{self, Clock};
use crate::sys::signals::{Signal, Signals};
use crate::time::{Monotonic, Now};

/// A running daemon.
struct Daemon {
    poll: Poll,
    io: Io,
    signals: Signals,
    lookout: Lookout,
    nodes: Peers<NodeConversation>,
    observers: Peers<ObserverConversation>,
    former: Option<Former>,
    files: Files,
    web: Web,
    /// How many the process may have open.
    descriptors: u64,
    /// Where the web server is to listen once the name is found.
    moving_to: Option<Remote>,
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
    /// The maintenance file could not be looked for, and that was said.
    said_of_maintenance: bool,
}

/// How far we are on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    NotYet,
    /// As soon as the failover command has ended, or our own server has been started again. No
    /// decision is made any more.
    AfterCommands,
    /// As soon as the files are written, but not later than this.
    AfterFiles(Monotonic),
    Now,
}

impl Daemon {
    /// Turns until it is told to end.
    fn run(&mut self) -> Result<(), Error> {
        let mut ready = Events::with_capacity(READY_PER_TURN);
        self.service.ready(self.clock.now().mono);
        while self.ending != Ending::Now {
            self.turn(&mut ready)?;
        }
        self.say_goodbye();
        Ok(())
    }

    fn turn(&mut self, ready: &mut Events) -> Result<(), Error> {
        let timeout = self.time_to_wait(clock::monotonic());
        match self.poll.poll(ready, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            waited => waited?,
        }
        let now = self.clock.now();
        self.io.now = now;
        for token in self.io.registry.take_unfinished() {
            self.dispatch(token, now);
        }
        for event in ready.iter() {
            self.dispatch(event.token(), now);
        }
        self.expire(now);
        self.consult(now);
        self.service
            .tend(&self.lookout, self.ending != Ending::NotYet, now);
        let metrics = std::mem::take(&mut self.io.metrics);
        metrics.iter().for_each(|metric| self.statsd.send(metric));
        self.end_in_time(now.mono);
        crate::sys::log::flush();
        Ok(())
    }

    /// Until the earliest deadline; not at all if somebody has more to do.
    fn time_to_wait(&self, now: Monotonic) -> Duration {
        if self.io.registry.has_unfinished() || !self.io.events.is_empty() {
            return Duration::ZERO;
        }
        let lookout = (self.ending == Ending::NotYet).then(|| self.lookout.next_deadline());
        let deadlines = [
            lookout,
            crate::sys::log::next_deadline(now),
            self.nodes.next_deadline(),
            self.observers.next_deadline(),
            self.io.children.next_deadline(),
            self.former.as_ref().map(Former::next_deadline),
            self.files.next_deadline(),
            self.last_moment(),
            self.web.next_deadline(),
            self.service.next_deadline(now),
            self.moving_to.as_ref().and_then(Remote::next_deadline),
            self.statsd.next_deadline(),
            self.syslog.next_deadline(),
        ];
        deadlines
            .into_iter()
            .flatten()
            .min()
            .map_or(LONGEST_WAIT, |at| at.since(now).min(LONGEST_WAIT))
    }

    /// Lets the owner of a token consume its readiness.
    fn dispatch(&mut self, token: Token, now: Now) {
        let Some(owner) = self.io.registry.owner(token) else {
            return;
        };
        match owner {
            Owner::Signals => self.take_signals(now),
            Owner::Child => self.io.child_ready(token),
            Owner::Node(node) => {
                self.nodes.ready(&node, &mut self.io);
            }
            Owner::Observer(observer) => {
                self.observers.ready(&observer, &mut self.io);
            }
            Owner::Listener => self.serve(now, |web, io, pages| web.accept(io, pages)),
            Owner::Client => self.serve(now, |web, io, pages| web.ready(token, io, pages)),
        }
    }

    /// Lets the web server do something with pages at hand.
    fn serve(&mut self, now: Now, act: impl FnOnce(&mut Web, &mut Io, &mut Pages<'_>)) {
        let (page, lookout, journal) = (&mut self.page, &self.lookout, &mut self.journal);
        let mut render = || {
            page.get_or_insert_with(|| compat::state_json::render(&lookout.state().nodes).into())
                .clone()
        };
        let mut decisions = || journal.page(lookout.rounds(), now.mono);
        let mut check = false;
        let mut pages = Pages {
            state: &mut render,
            decisions: &mut decisions,
            check: &mut check,
        };
        act(&mut self.web, &mut self.io, &mut pages);
        if check {
            self.io.events.push(Event::CheckRequested);
        }
    }

    fn take_signals(&mut self, now: Now) {
        for signal in self.signals.read() {
            match signal {
                Signal::Reload => self.reload(now),
                Signal::Terminate => self.terminate(now.mono),
                Signal::ChildExited => self.reap(),
            }
        }
    }

    fn reap(&mut self) {
        let now = self.io.now.mono;
        let mut found_names = false;
        for ended in self.io.children.reap(&mut self.io.registry, now) {
            match ended {
                Ended::Command { id, outcome } => {
                    self.io.events.push(Event::CommandExited { id, outcome });
                }
                Ended::LookUp { name, answer } => {
                    self.io.addresses.finished(&name, answer, now);
                    found_names = true;
                }
                Ended::RecoverySettings(outcome) => {
                    self.io.events.push(Event::FollowPrepared(outcome));
                }
                Ended::Write { path, outcome } => self.files.ended(&path, outcome, &mut self.io),
            }
        }
        if found_names {
            self.nodes.names_found(&mut self.io);
            self.observers.names_found(&mut self.io);
        }
    }

    /// SIGTERM or SIGINT: at once, unless this node is being promoted, or restarted: between stop
    /// and start it would stay down. The second time at once in any case.
    fn terminate(&mut self, now: Monotonic) {
        self.io.events.push(Event::Stopping);
        self.ending = match self.ending {
            Ending::NotYet if self.is_needed() => {
                log::warn!(
                    "told to end: waiting for the command that runs; a second signal ends at once"
                );
                self.service.stopping("waiting for the command that runs");
                Ending::AfterCommands
            }
            Ending::NotYet => {
                self.service.stopping("ending");
                Ending::AfterFiles(now + FILES_TIME)
            }
            _ => {
                self.service.stopping("ending");
                Ending::Now
            }
        };
    }

    /// Is there a command whose end must not be missed.
    fn is_needed(&self) -> bool {
        self.lookout.is_promoting() || self.lookout.is_restarting()
    }

    fn expire(&mut self, now: Now) {
        self.io.children.expire(&mut self.io.registry, now.mono);
        self.former = self
            .former
            .take()
            .and_then(|former| former.look(&mut self.io.events, now.mono));
        self.files.expire(&mut self.io);
        self.move_on();
        self.statsd.tend(&mut self.io);
        self.syslog.tend(&mut self.io);
        self.nodes.expire(&mut self.io);
        self.observers.expire(&mut self.io);
        if self
            .web
            .next_deadline()
            .is_some_and(|deadline| deadline <= now.mono)
        {
            self.serve(now, |web, io, pages| web.expire(io, pages));
        }
    }

    /// Hands the events to the core, which then does what is due, and carries out what it wants
    /// done.
    fn consult(&mut self, now: Now) {
        let events = std::mem::take(&mut self.io.events);
        if events.is_empty() && self.lookout.next_deadline() > now.mono {
            return;
        }
        if !events.is_empty() {
            self.page = None;
        }
        let maintenance = self.is_in_maintenance();
        let effects = self
            .flight
            .turn(&mut self.lookout, events, maintenance, now);
        self.carry_out(effects, now);
        // After the effects: no disk holds them up.
        self.flight.write(&self.lookout, now);
    }

    /// One step further on the way out, when nothing is left that this one waits for.
    fn end_in_time(&mut self, now: Monotonic) {
        if self.ending == Ending::AfterCommands && !self.is_needed() {
            self.ending = Ending::AfterFiles(now + FILES_TIME);
        }
        if self
            .last_moment()
            .is_some_and(|last| last <= now || !self.io.children.is_writing())
        {
            self.ending = Ending::Now;
        }
    }

    fn last_moment(&self) -> Option<Monotonic> {
        match self.ending {
            Ending::AfterFiles(last) => Some(last),
            Ending::NotYet | Ending::AfterCommands | Ending::Now => None,
        }
    }

    fn is_in_maintenance(&mut self) -> bool {
        match crate::sys::files::exists(&self.lookout.config().maintenance_mode_file) {
            Ok(exists) => {
                self.said_of_maintenance = false;
                exists
            }
            Err(error) => {
                if !std::mem::replace(&mut self.said_of_maintenance, true) {
                    log::error!("maintenance_mode_file: {error}; taken for present");
                    self.io.trouble(Trouble::File, "maintenance_mode_file");
                }
                true
            }
        }
    }

    fn say_goodbye(&mut self) {
        let now = self.clock.now();
        self.flight.end(&self.lookout, now);
        self.io.children.leave();
        self.nodes.hang_up(&mut self.io);
        log::info!("ended");
        crate::sys::log::flush();
    }
}

/// Events that one poll may bring; the rest comes with the next.
const READY_PER_TURN: usize = 1024;
/// When nothing at all is to be done, look around all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// On the way out, for the files: a child that is not done by then goes on alone.
const FILES_TIME: Duration = Duration::from_millis(500);
