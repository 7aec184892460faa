//! The world of a schedule: hosts, databases and the network under virtual time, and whoever
//! watches. What everything else in this room works on.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::clocks::true_wall;
use super::database::{Condition, Database, Databases};
use super::fact::Fact;
use super::fault::{Death, Lie};
use super::host::Host;
use super::in_flight::{InFlight, Message, ProcessId, VoteMessage};
use super::network::Network;
use super::plan::Plan;
use super::promotions::Promotions;
use super::rng::Rng;
use super::sessions::{LONGEST_LINGERING, Sessions};
use super::setup::Setup;
use super::switchover_host::Switchovers;
use super::vote_exchange::VoteTraffic;
use super::{HostId, Micros, NodeId, SECOND};
use crate::config::{Config, NodeName, VoterName};
use crate::lookout::{Event, Lookout, PreviousCommand};
use crate::time::Now;

/// Learns every fact of a run; to break ends the run.
pub(super) type Watcher<'w> = &'w mut dyn FnMut(&World<'_>, Fact<'_>) -> ControlFlow<()>;

/// Everything there is.
pub struct World<'w> {
    pub(super) now: Micros,
    pub(super) setup: Setup,
    pub(super) hosts: Vec<Host>,
    pub(super) databases: Databases,
    pub(super) network: Network,
    pub(super) sessions: Sessions,
    pub(super) in_flight: InFlight,
    pub(super) promotions: Promotions,
    pub(super) rng: Rng,
    pub(super) vote_traffic: VoteTraffic,
    pub(super) switchovers: Switchovers,
    /// The last list of voters that was brought to any host.
    pub(super) last_list: u64,
    /// A daemon was killed while its failover command ran.
    pub(super) has_orphans: bool,
    /// The run ends here.
    pub(super) is_over: bool,
    watcher: Option<Watcher<'w>>,
}

/// What is true, for whoever watches.
impl World<'_> {
    /// True time.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// The cluster.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The databases, by node.
    pub fn databases(&self) -> &[Database] {
        self.databases.all()
    }

    /// The paths between hosts.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The failover commands that were begun.
    pub fn promotions(&self) -> &Promotions {
        &self.promotions
    }

    /// The configuration that the daemon of a host has read; its core gets it with its next turn.
    pub fn config(&self, host: HostId) -> &Arc<Config> {
        self.hosts[host].daemon.config()
    }

    /// The configuration that a host is to have: with the last list of voters that was brought to any.
    pub fn proper_config(&self, host: HostId) -> Arc<Config> {
        self.setup.with_list(host, self.last_list)
    }

    /// The last list of voters that was brought to any host.
    pub fn last_list(&self) -> u64 {
        self.last_list
    }

    /// Whose vote file is on a host.
    pub fn voter(&self, host: HostId) -> Option<&VoterName> {
        let votes = self.hosts[host].votes.as_ref();
        votes.map(|votes| votes.disk.voter())
    }

    /// The name that the daemon of a host has for a node.
    pub fn name_on(&self, host: HostId, node: NodeId) -> Option<&NodeName> {
        self.setup.name_in(self.config(host), node)
    }

    /// The name under which the daemon of a host has polled a node: what it has read since counts from
    /// its next turn on.
    pub(super) fn polled_as(&self, host: HostId, node: NodeId) -> Option<&NodeName> {
        self.setup.name_in(self.core(host).config(), node)
    }

    /// Does the configuration of a host have the address of this node, under whatever name.
    pub fn is_addressed(&self, host: HostId, node: NodeId) -> bool {
        let config = self.config(host);
        let info = self
            .name_on(host, node)
            .and_then(|name| config.nodes.get(name));
        info.is_some_and(|info| !info.hosts.is_empty())
    }

    /// The core of a host's daemon; of one that is not alive, as it was last.
    pub fn core(&self, host: HostId) -> &Lookout {
        &self.hosts[host].daemon.core
    }

    /// Does the daemon of this host run, or is it only stopped.
    pub fn is_alive(&self, host: HostId) -> bool {
        self.hosts[host].daemon.is_alive
    }

    /// The clocks of a host, now.
    pub fn clocks(&self, host: HostId) -> Now {
        self.hosts[host].clocks.read(self.now)
    }

    /// How many microseconds the monotonic clock of a host gains in each second.
    pub fn gain(&self, host: HostId) -> i32 {
        self.hosts[host].clocks.gain()
    }

    /// The true time that passes while the monotonic clock of a host counts this.
    pub fn span(&self, host: HostId, counted: Duration) -> Micros {
        self.hosts[host].clocks.span(counted)
    }

    /// What the daemon of a host reports against the truth.
    pub fn lie(&self, host: HostId) -> Option<Lie> {
        self.hosts[host].faults.lie
    }

    /// Does everything on this host stand still.
    pub fn is_asleep(&self, host: HostId) -> bool {
        self.hosts[host].asleep.is_some()
    }

    /// Does the daemon of this host run seldom: for so long of every so long.
    pub fn runs_seldom(&self, host: HostId) -> Option<(Micros, Micros)> {
        let seldom = self.hosts[host].faults.seldom;
        seldom.map(|(_, rhythm)| rhythm)
    }

    /// Does the maintenance file of a host exist.
    pub fn maintenance(&self, host: HostId) -> bool {
        self.hosts[host].faults.maintenance
    }

    /// The primary that the daemon of a host remembers.
    pub fn remembered(&self, host: HostId) -> Option<NodeId> {
        self.setup.node_id(self.core(host).primary()?)
    }

    /// The database that is written to, if there is exactly one.
    pub fn sole_writer(&self) -> Option<NodeId> {
        self.databases.sole_writer()
    }
}

impl<'w> World<'w> {
    pub(super) fn new(plan: &Plan, watcher: Option<Watcher<'w>>) -> Self {
        let setup = plan.setup.clone();
        let mut rng = Rng::new(plan.seed ^ 0x5EED);
        let hosts = setup.configs.iter().enumerate().map(|(host, config)| {
            let offset = match rng.percent(70) {
                true => 0,
                false => i64::try_from(rng.between(0, 8_000_000)).unwrap_or(0) - 4_000_000,
            };
            Host::new(&setup, host, config, offset, rng.percent(50))
        });
        let hosts: Vec<_> = hosts.collect();
        let commit = true_wall(0).unix_micros();
        let mut in_flight = InFlight::default();
        for step in &plan.steps {
            in_flight.add(step.at, Message::Fault(step.fault));
        }
        let mut world = Self {
            now: 0,
            databases: Databases::new(setup.nodes.len(), setup.primary, commit),
            sessions: Sessions::new(setup.nodes.len()),
            network: Network::new(setup.hosts()),
            promotions: Promotions::default(),
            setup,
            hosts,
            in_flight,
            rng,
            vote_traffic: VoteTraffic::new(plan.seed),
            switchovers: Switchovers::default(),
            last_list: 1,
            has_orphans: false,
            is_over: false,
            watcher,
        };
        (0..world.hosts.len()).for_each(|host| world.look_at_votes(host));
        world
    }

    /// A new process of a daemon reads its vote file, if its cluster votes.
    fn look_at_votes(&mut self, host: HostId) {
        if self.hosts[host].votes.is_some() {
            let takes = self.vote_traffic.rng.between(1_000, 30_000);
            let looks = VoteMessage::Looks(self.process(host));
            self.send(self.now + takes, Message::Votes(Box::new(looks)));
        }
    }

    /// Lets the watcher know.
    pub(super) fn note(&mut self, fact: Fact<'_>) {
        // Taken out meanwhile, so that it can look at the world.
        if let Some(watcher) = self.watcher.take() {
            self.is_over |= watcher(self, fact).is_break();
            self.watcher = Some(watcher);
        }
    }

    pub(super) fn send(&mut self, at: Micros, message: Message) {
        self.in_flight.add(at.max(self.now), message);
    }

    /// Gives an event to the core of a host, which takes its turn in this moment.
    pub(super) fn deliver(&mut self, host: HostId, event: Event) {
        self.note(Fact::Event {
            host,
            event: &event,
        });
        let host = &mut self.hosts[host];
        host.daemon.add(event);
        host.deadline = 0;
    }

    /// The process that runs on a host, or did last.
    pub(super) fn process(&self, host: HostId) -> ProcessId {
        ProcessId {
            host,
            number: self.hosts[host].daemon.process,
        }
    }

    /// Can it look at the processes of its host: every other one cannot.
    pub(super) fn observes_processes(process: ProcessId) -> bool {
        !process.number.is_multiple_of(2)
    }

    /// Does this process still run.
    pub(super) fn runs(&self, process: ProcessId) -> bool {
        self.is_alive(process.host) && self.process(process.host) == process
    }

    /// When a message will be looked at, if its addressee is stopped.
    pub(super) fn waits_until(&self, message: &Message) -> Option<Micros> {
        let asleep = |host: HostId| self.hosts[host].asleep.map(|(until, _)| until);
        let awake = message.place().and_then(asleep);
        let addressee = message.addressee().map(|host| &self.hosts[host]);
        let stopped = addressee.filter(|host| host.daemon.is_alive);
        let stopped = stopped.map(|host| host.stopped_until);
        let until = awake.max(stopped)?;
        (until > self.now).then_some(until)
    }

    /// Brings all WAL forward to now.
    pub(super) fn advance_databases(&mut self) {
        let (now, hosts) = (self.now, &self.hosts);
        self.databases
            .advance(now, self.setup.is_busy, &self.network, |node| {
                hosts[node].clocks.wall(now)
            });
    }

    /// Starts the daemon of a host anew.
    pub(super) fn restart(&mut self, host: HostId, boot: bool) {
        let memory = self.hosts[host].daemon.saved.take();
        self.note(Fact::Started {
            host,
            memory: memory.as_ref(),
            boot,
        });
        self.hosts[host].daemon.saved = memory;
        self.leave_sessions(host, boot);
        if boot {
            self.end_sleep(host);
            self.promotions.kill(host);
        }
        self.has_orphans |= self.promotions.is_promoting(host);
        // A process that is stopped ends, and with it the signals that it has not taken.
        let until = self.hosts[host].stopped_until;
        if until > self.now {
            self.in_flight.drop_signals(host, until);
        }
        self.hosts[host].restart(boot, self.now);
        if let Some(votes) = &mut self.hosts[host].votes {
            votes.restart(boot, &mut self.vote_traffic.rng);
        }
        self.look_at_votes(host);
        if !Self::observes_processes(self.process(host)) {
            self.deliver(host, Event::PreviousCommand(PreviousCommand::Unobservable));
        }
        // It has ended while no daemon was there.
        if !self.promotions.is_promoting(host) {
            self.deliver(host, Event::PreviousCommand(PreviousCommand::Ended));
        }
    }

    /// Gives the daemon of a host another configuration, with its next turn.
    pub(super) fn load(&mut self, host: HostId, config: Arc<Config>) {
        self.deliver(host, Event::ConfigLoaded(config));
    }

    /// Lets the daemon of a host take its turn. With another configuration its prober lets go of the
    /// nodes that are not as before; of several in one turn the core takes the last.
    pub(super) fn turn(&mut self, host: HostId) {
        let before = Arc::clone(self.core(host).config());
        self.hosts[host].turn(self.now);
        let after = Arc::clone(self.core(host).config());
        if Arc::ptr_eq(&before, &after) {
            return;
        }
        for node in 0..self.setup.nodes.len() {
            let name = self.setup.name_in(&after, node);
            if name.is_none() || name != self.setup.name_in(&before, node) {
                self.hosts[host].daemon.drop_node(node);
                self.leave_session(host, node, false);
            }
        }
    }

    /// Stops the daemon of a host (SIGSTOP, a frozen virtual machine): the world goes on without
    /// it, and what arrives meanwhile lies there when it goes on.
    pub(super) fn stop(&mut self, host: HostId, time: Micros) {
        let until = self.now + time;
        let before = self.hosts[host].stopped_until;
        if self.is_alive(host) && before < until {
            self.note(Fact::Stopped { host, until });
            if before > self.now {
                self.in_flight.put_off_signals(host, before, until);
            }
            self.hosts[host].stopped_until = until;
        }
    }

    /// From now on the daemon of a host is stopped again and again, as on a machine that is starved of
    /// processor time, or no longer.
    pub(super) fn set_pauses(&mut self, host: HostId, rhythm: Option<(Micros, Micros)>) {
        let since = self.now;
        self.hosts[host].faults.seldom = rhythm.map(|rhythm| (since, rhythm));
        self.stop_again(host, since);
    }

    /// Stops a daemon that runs seldom since then, if it still does.
    pub(super) fn stop_again(&mut self, host: HostId, since: Micros) {
        let seldom = self.hosts[host].faults.seldom;
        if let Some((_, (runs, every))) = seldom.filter(|(from, _)| *from == since) {
            self.stop(host, every.saturating_sub(runs));
            self.send(self.now + every, Message::StopsAgain(host, since));
        }
    }

    /// All that are stopped go on at once.
    pub(super) fn resume_all(&mut self) {
        let mut in_flight = std::mem::take(&mut self.in_flight);
        let waiting = in_flight.take_waiting(|message| self.waits_until(message).is_some());
        self.in_flight = in_flight;
        for host in 0..self.hosts.len() {
            if self.hosts[host].stopped_until > self.now {
                self.note(Fact::Resumed(host));
                self.hosts[host].stopped_until = self.now;
            }
        }
        let faults = |message: &Message| matches!(message, Message::Fault(_));
        for message in waiting.into_iter().filter(|message| !faults(message)) {
            self.send(self.now, message);
        }
    }

    /// The machine goes down, whether everything on it stood still or not.
    fn end_sleep(&mut self, host: HostId) {
        if self.hosts[host].asleep.take().is_some() && host < self.setup.nodes.len() {
            self.databases.at(host).is_asleep = false;
        }
    }

    pub(super) fn kill_database(&mut self, node: NodeId, death: Death) {
        let before = self.databases()[node].condition;
        let is_down = matches!(before, Condition::Crashed | Condition::HostDown);
        // Where servers are fenced it matters that one that is down takes no sessions again.
        if is_down && death != Death::HostDown && self.setup.leases().is_some() {
            return;
        }
        self.databases.at(node).condition = Condition::from(death);
        if death != Death::Hang {
            self.sessions.end_all(node);
        }
        match death {
            // Whoever has a connection notices at once.
            Death::Crash => {
                for host in 0..self.hosts.len() {
                    if !self.network.path(host, node).cut {
                        self.close_connection(host, node);
                    }
                }
            }
            Death::HostDown => {
                self.end_sleep(node);
                self.hosts[node].daemon.is_alive = false;
                self.hosts[node].leases.end_at(true);
                if let Some(votes) = &mut self.hosts[node].votes {
                    votes.disk.power_loss(&mut self.vote_traffic.rng);
                }
                self.leave_sessions(node, true);
            }
            Death::Hang => {}
        }
    }

    /// Starts a database.
    pub(super) fn start_at_once(&mut self, node: NodeId) {
        // No two servers are started in the same microsecond.
        let at = self.now + Micros::try_from(node).unwrap_or_default();
        let wall = self.hosts[node].clocks.wall(at);
        self.databases.at(node).start(wall);
        self.sessions.end_all(node);
        let ready = self.now + self.rng.between(0, SECOND);
        self.send(ready, Message::Ready(node));
    }

    /// A daemon closes its connections, or ends without a chance to.
    pub(super) fn leave_sessions(&mut self, host: HostId, silently: bool) {
        for node in 0..self.setup.nodes.len() {
            self.leave_session(host, node, silently);
        }
    }

    /// A daemon closes its connection to a server, which does not notice at once if nothing gets
    /// through.
    pub(super) fn leave_session(&mut self, host: HostId, node: NodeId, silently: bool) {
        let is_lost = silently || self.network.path(host, node).cut;
        let notices = match is_lost {
            true => self.rng.between(SECOND, LONGEST_LINGERING),
            false => self.rng.between(500, 20_000),
        };
        self.sessions.left(node, host, self.now + notices);
    }

    /// Closes the idle connection of a host's daemon to a node, if there is one.
    pub(super) fn close_connection(&mut self, host: HostId, node: NodeId) {
        if self.hosts[host].daemon.has_connection(node) {
            let at = self.now + self.rng.between(500, 5_000);
            self.send(at, Message::ConnectionLost(self.process(host), node));
        }
    }
}
