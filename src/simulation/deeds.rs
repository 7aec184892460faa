//! The faults of a schedule, done to the machine; and everything healed again.

use std::sync::Arc;
use std::time::Duration;

use super::database::Condition;
use super::plan::{Death, Deed, Lie};
use super::site::rules;
use super::world::{Coming, World};
use super::{HostId, NodeId, SECOND};
use crate::config::Config;
use crate::lookout::{CommandId, CommandOutcome, Event, PreviousCommand};

impl World {
    /// Does what a step says.
    pub(super) fn happen(&mut self, deed: &Deed) {
        self.settle();
        let now = self.now;
        match *deed {
            Deed::Way(a, b, cut) => self.network.change(a, b, now, |way| way.cut = cut),
            Deed::Isolate(host) => self.split(1 << host),
            Deed::Split(group) => self.split(group),
            Deed::Mend => self
                .network
                .change_all(now, |way| *way = super::network::Way::default()),
            Deed::Slow(a, b, by) => self.network.change(a, b, now, |way| way.delay = by),
            Deed::Lossy(a, b, loss) => self.network.change(a, b, now, |way| way.loss = loss),
            Deed::Dies(node, death) => self.die(node, death),
            Deed::Starts(node) => self.start(node),
            Deed::Refuses(node, refusal) => {
                self.databases[node].refusal = refusal;
                self.databases[node].disturbed = Some(now);
            }
            Deed::Pauses(node, paused) => self.databases[node].replay_is_paused = paused,
            Deed::LosesSlot(node) => self.databases[node].is_starved = true,
            Deed::Follows(node, upstream) => self.follow(node, upstream),
            Deed::Lies(host, lie) => self.lie(host, lie),
            Deed::Configured(host, node, known) => self.configure(host, node, known),
            Deed::Gone(host, node) => {
                let name = self.setup.nodes[node].clone();
                self.reload(host, |config| config.known_gone.extend([name]));
            }
            Deed::Interval(host, interval) => {
                self.reload(host, |config| {
                    config.poll_interval = Duration::from_micros(interval)
                });
            }
            _ => self.happen_to_daemon(deed),
        }
    }

    fn happen_to_daemon(&mut self, deed: &Deed) {
        let now = self.now;
        match *deed {
            Deed::StepsClock(host, by) => {
                self.sites[host].wall_offset += by * 1_000_000;
                self.sites[host].stepped = Some(now);
            }
            Deed::Stops(host, time) => self.stop(host, time),
            Deed::Restarts(host) if self.sites[host].is_alive => self.restart(host, false),
            Deed::Forgets(host) if self.sites[host].is_alive => {
                self.sites[host].saved = None;
                self.record.forget_commands(host);
                self.restart(host, false);
            }
            Deed::Reboots(host) if self.sites[host].is_alive => self.restart(host, true),
            Deed::Daemon(host, true) if !self.sites[host].is_alive && !self.is_down(host) => {
                self.restart(host, false)
            }
            Deed::Daemon(host, alive) => {
                self.orphaned |= self.record.is_promoting(host);
                self.sites[host].is_alive &= alive;
                self.sites[host].disturbed = Some(now);
            }
            Deed::Commands(host, status, takes) => self.sites[host].command = (status, takes),
            Deed::Maintenance(host, exists) => {
                self.sites[host].maintenance = exists;
                self.sites[host].disturbed = Some(now);
            }
            Deed::Check(host) if self.sites[host].is_alive => {
                self.sites[host].tell(Event::CheckRequested)
            }
            Deed::Lost(host, node) => {
                let reached = matches!(self.sites[host].told.nodes[node].attempt, Some((_, true)));
                if self.sites[host].is_alive && reached {
                    self.lost(host, node);
                }
            }
            _ => {}
        }
    }

    fn split(&mut self, group: u32) {
        for a in 0..self.sites.len() {
            for b in 0..self.sites.len() {
                if (group >> a & 1) != (group >> b & 1) {
                    self.network.change(a, b, self.now, |way| way.cut = true);
                }
            }
        }
    }

    pub(super) fn die(&mut self, node: NodeId, death: Death) {
        self.settle();
        let (condition, is_told) = match death {
            Death::Crash => (Condition::Crashed, true),
            Death::HostDown => (Condition::HostDown, false),
            Death::Hang => (Condition::Hung, false),
        };
        self.databases[node].condition = condition;
        self.databases[node].disturbed = Some(self.now);
        if death == Death::HostDown {
            self.sites[node].is_alive = false;
        }
        for host in 0..self.sites.len() {
            let reached = matches!(self.sites[host].told.nodes[node].attempt, Some((_, true)));
            if is_told && self.sites[host].is_alive && reached && !self.network.way(host, node).cut
            {
                self.lost(host, node);
            }
        }
    }

    fn lost(&mut self, host: HostId, node: NodeId) {
        let life = self.sites[host].life;
        let at = self.now + self.dice.between(500, 5_000);
        self.send(at, Coming::Lost { host, life, node });
    }

    fn start(&mut self, node: NodeId) {
        let database = &mut self.databases[node];
        if database.condition == Condition::Up {
            return;
        }
        let was_down = database.condition == Condition::HostDown;
        database.has_received &= database.condition == Condition::Hung;
        database.condition = Condition::Starting;
        database.disturbed = Some(self.now);
        let ready = self.now + self.dice.between(0, SECOND);
        self.send(ready, Coming::Ready(node));
        if was_down {
            self.restart(node, true);
        }
    }

    fn follow(&mut self, node: NodeId, upstream: NodeId) {
        if node == upstream {
            return;
        }
        let timeline = self.databases[upstream].timeline;
        let position = self.databases[upstream].position;
        let database = &mut self.databases[node];
        database.is_primary = false;
        database.upstream = Some(upstream);
        database.is_starved = false;
        database.timeline = timeline;
        // What the new primary never had is rewound.
        database.position = database.position.min(position);
        database.replayed = database.replayed.min(position);
        database.disturbed = Some(self.now);
    }

    fn lie(&mut self, host: HostId, lie: Option<Lie>) {
        let now = self.now;
        let frozen =
            matches!(lie, Some(Lie::Frozen)).then(|| self.sites[host].page(&self.setup, now));
        let site = &mut self.sites[host];
        site.frozen = frozen;
        site.lie = lie;
        site.lied = Some(now);
    }

    fn restart(&mut self, host: HostId, boot: bool) {
        let now = self.now;
        if boot {
            self.sites[host].stepped = Some(now);
            self.record.kill_commands(host);
        }
        self.orphaned |= self.record.is_promoting(host);
        self.forget_signals(host);
        self.sites[host].restart(&self.setup, boot, now);
        // It has ended while no daemon was there.
        if !self.record.is_promoting(host) {
            self.sites[host].tell(Event::PreviousCommand(PreviousCommand::Ended));
        }
    }

    fn configure(&mut self, host: HostId, node: NodeId, known: bool) {
        if node == host || !self.sites[host].is_alive {
            return;
        }
        let name = self.setup.nodes[node].clone();
        let info = self.setup.any_config().nodes.get(&name).cloned();
        let is_known = self.sites[host].rules.configured[node];
        if is_known == known {
            return;
        }
        if !known {
            self.sites[host].told.node_left(node);
            self.sites[host].asked_nodes[node] = None;
        }
        self.reload(host, |config| {
            config.nodes.remove(&name);
            if let Some(info) = info.filter(|_| known) {
                config.nodes.insert(name, info);
            }
        });
    }

    fn reload(&mut self, host: HostId, change: impl FnOnce(&mut Config)) {
        if !self.sites[host].is_alive {
            return;
        }
        let mut config = (**self.sites[host].lookout.config()).clone();
        change(&mut config);
        self.load(host, Arc::new(config));
    }

    fn load(&mut self, host: HostId, config: Arc<Config>) {
        let now = self.now;
        self.sites[host].adopt(rules(&self.setup, host, &config));
        self.sites[host].disturbed = Some(now);
        self.sites[host].tell(Event::ConfigLoaded(config));
    }

    pub(super) fn command_ends(
        &mut self,
        host: HostId,
        life: u32,
        id: CommandId,
        status: Option<i32>,
        replaces: usize,
    ) {
        self.settle();
        let mut status = status;
        if status == Some(0) && self.databases[host].condition != Condition::Up {
            status = Some(1);
        }
        if status == Some(0) && !self.databases[host].is_primary {
            self.enthrone(host);
        }
        self.record.promotion_ended(replaces, status == Some(0));
        self.send(
            self.now,
            Coming::Exited {
                host,
                life,
                id,
                status,
                promotion: replaces,
            },
        );
    }

    pub(super) fn command_exited(
        &mut self,
        host: HostId,
        life: u32,
        id: CommandId,
        status: Option<i32>,
        promotion: usize,
    ) {
        let (now, is_awaited) = (self.now, self.is_awaited(host, life));
        let site = &mut self.sites[host];
        if !is_awaited {
            // A later process may know of it.
            if site.is_alive && !self.record.is_forgotten(promotion) {
                site.tell(Event::PreviousCommand(PreviousCommand::Ended));
            }
            return;
        }
        if status == Some(0) {
            site.succeeded = Some(now);
        }
        let outcome = status.map_or(
            CommandOutcome::NotStarted(String::new()),
            CommandOutcome::Exited,
        );
        site.tell(Event::CommandExited { id, outcome });
    }

    /// A database becomes the primary, on a timeline and in a reign of its own.
    pub(super) fn enthrone(&mut self, node: NodeId) {
        let timeline = self
            .databases
            .iter()
            .map(|database| database.timeline)
            .max()
            .unwrap_or_default()
            + 1;
        let reign = self.reigns;
        self.reigns += 1;
        let database = &mut self.databases[node];
        database.is_primary = true;
        database.upstream = None;
        database.is_starved = false;
        database.timeline = timeline;
        database.reign = Some(reign);
    }

    /// Everything works again, as a person would leave it: one primary, everybody else its standby.
    pub(super) fn heal(&mut self) {
        self.settle();
        let now = self.now;
        self.network
            .change_all(now, |way| *way = super::network::Way::default());
        // Who was cut off a moment ago may promote while another one's command still runs.
        self.islands = false;
        let standing = |node: &NodeId| {
            let database = &self.databases[*node];
            (database.is_primary, database.timeline, database.position)
        };
        let Some(primary) = (0..self.databases.len()).max_by_key(standing) else {
            return;
        };
        for node in 0..self.databases.len() {
            let database = &mut self.databases[node];
            database.refusal = None;
            database.replay_is_paused = false;
            let follows =
                !database.is_primary && !database.is_starved && database.upstream == Some(primary);
            if node != primary && !follows {
                self.follow(node, primary);
            }
            self.start(node);
        }
        if !self.databases[primary].is_primary {
            self.enthrone(primary);
        }
        self.wake_all();
        for host in 0..self.sites.len() {
            self.heal_daemon(host);
        }
    }

    fn heal_daemon(&mut self, host: HostId) {
        let now = self.now;
        let config = Arc::clone(&self.setup.configs[host]);
        let site = &mut self.sites[host];
        site.maintenance = false;
        site.lie = None;
        site.lied = Some(now);
        site.command = (Some(0), 100_000);
        if site.wall_offset.abs() > 1_000_000 {
            site.wall_offset = 0;
            site.stepped = Some(now);
        }
        if !self.sites[host].is_alive {
            self.restart(host, false);
        }
        if **self.sites[host].lookout.config() != *config {
            self.load(host, config);
        }
    }

    /// The one that is written to, if there is exactly one.
    pub(super) fn sole_writer(&self) -> Option<NodeId> {
        let mut writers =
            (0..self.databases.len()).filter(|node| self.databases[*node].is_writer());
        writers.next().filter(|_| writers.next().is_none())
    }

    fn is_down(&self, host: HostId) -> bool {
        self.databases
            .get(host)
            .is_some_and(|database| database.condition == Condition::HostDown)
    }
}
