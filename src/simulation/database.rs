//! The databases as they truly are: role, life, write-ahead log. What anybody believes of them is
//! not here.

use std::collections::VecDeque;

use super::fault::{Death, Refusal};
use super::network::Network;
use super::setup::Setup;
use super::{HostId, Micros, NodeId};
use crate::cluster::{Identity, Lsn, NodeReport, Presence, ProbeFailure, RoleReport};
use crate::time::WallTime;

/// One database.
#[derive(Clone, Debug)]
pub struct Database {
    /// A primary, or a standby.
    pub is_primary: bool,
    /// Whether it runs.
    pub condition: Condition,
    /// Rejects all connections though it runs.
    pub refusal: Option<Refusal>,
    /// It has no connection left for these hosts, a bit per host.
    pub out_of_slots_for: u32,
    /// Whom it streams from.
    pub upstream: Option<NodeId>,
    /// Whom its recovery settings name, since they were changed under it.
    pub(super) recovery_settings: Option<NodeId>,
    /// Its slot there is gone, and the WAL that it needs.
    pub is_starved: bool,
    /// The history of its WAL: every promotion that it descends from, the last one last.
    pub history: Vec<Fork>,
    /// Its timeline as its control data have it: of what it has replayed.
    control_timeline: u32,
    /// When its processes were started, by its own clock.
    started: i64,
    /// How much WAL it has, in bytes: written, or received.
    pub position: u64,
    /// It has streamed since it was started.
    has_received: bool,
    /// How much of it has been replayed.
    pub replayed: u64,
    /// It receives, and replays nothing.
    pub replay_is_paused: bool,
    /// It replays a transaction so long after its commit, by its own clock, in microseconds.
    pub(super) delay: i64,
    /// Received and to be replayed later: positions, each with its commit time.
    delayed: VecDeque<(u64, i64)>,
    /// It streams from nobody, and gets whole segments from an archive.
    pub is_archive_fed: bool,
    /// Commit time of the last transaction that it has, by the clock of the primary that wrote it.
    last_commit: i64,
    last_replay: i64,
    /// The term that it held last as a primary: a number that no other promotion has.
    pub term: Option<u32>,
    /// Its host stands still.
    pub is_asleep: bool,
    /// It was shut down as a primary, and not started since: where its last checkpoint begins.
    pub(super) shut_down_at: Option<u64>,
}

/// A promotion, where it forked a timeline off another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// A number that no other promotion has.
    pub term: u32,
    /// The timeline that it began: two promotions may begin one of the same number.
    pub timeline: u32,
    /// Where.
    pub at: u64,
}

/// Whether a database runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    Up,
    /// Accepts connections and answers nothing.
    Hung,
    /// Its process is gone; the host refuses connections.
    Crashed,
    /// The whole host is gone: silence.
    HostDown,
    /// "The database system is starting up".
    Starting,
}

/// What a poll of a database comes to.
pub(super) enum Reaction {
    /// It reports its status.
    Reports,
    /// It fails at once.
    Fails(ProbeFailure),
    /// Nothing, until the poll times out.
    Silence,
}

/// All databases of a cluster.
pub(super) struct Databases {
    all: Vec<Database>,
    next_term: u32,
    /// Until when their WAL has been brought forward.
    advanced_to: Micros,
}

impl From<Death> for Condition {
    fn from(death: Death) -> Self {
        match death {
            Death::Crash => Self::Crashed,
            Death::HostDown => Self::HostDown,
            Death::Hang => Self::Hung,
        }
    }
}

impl Database {
    fn standby_of(upstream: NodeId, position: u64, commit: i64) -> Self {
        Self {
            is_primary: false,
            condition: Condition::Up,
            refusal: None,
            out_of_slots_for: 0,
            recovery_settings: None,
            upstream: Some(upstream),
            is_starved: false,
            history: vec![Fork {
                term: 0,
                timeline: 1,
                at: 0,
            }],
            control_timeline: 1,
            started: commit,
            position,
            has_received: true,
            replayed: position,
            replay_is_paused: false,
            delay: 0,
            delayed: VecDeque::new(),
            is_archive_fed: false,
            last_commit: commit,
            last_replay: commit,
            term: None,
            is_asleep: false,
            shut_down_at: None,
        }
    }

    /// A primary whose sessions go on, though it may answer nobody new.
    pub fn is_writer(&self) -> bool {
        let runs = matches!(self.condition, Condition::Up | Condition::Hung);
        self.is_primary && runs && !self.is_asleep
    }

    /// Does it turn away the daemon of this host.
    pub fn refuses(&self, host: HostId) -> bool {
        self.refusal.is_some() || self.out_of_slots_for >> host.min(31) & 1 == 1
    }

    pub(super) fn reaction(&self, host: HostId) -> Reaction {
        let text = str::to_owned;
        if self.is_asleep {
            return Reaction::Silence;
        }
        let out_of_slots = self.refuses(host).then_some(Refusal::Slots);
        match (self.condition, self.refusal.or(out_of_slots)) {
            (Condition::Up, None) => Reaction::Reports,
            (Condition::Hung | Condition::HostDown, _) => Reaction::Silence,
            (Condition::Crashed, _) => Reaction::Fails(ProbeFailure::Unreachable {
                reason: text("connection refused"),
            }),
            (Condition::Starting, _) => Reaction::Fails(ProbeFailure::NotReady {
                message: text("the database system is starting up"),
            }),
            (Condition::Up, Some(Refusal::Login)) => {
                Reaction::Fails(ProbeFailure::AuthenticationRejected {
                    message: text("authentication failed"),
                })
            }
            (Condition::Up, Some(Refusal::Slots)) => Reaction::Fails(ProbeFailure::Refused {
                message: text("sorry, too many clients already"),
            }),
        }
    }

    /// A number that no two starts of it have.
    pub(super) fn started(&self) -> i64 {
        self.started
    }

    /// The number of its timeline.
    pub fn timeline(&self) -> u32 {
        self.history.last().map_or(1, |fork| fork.timeline)
    }

    /// Is all that it has part of what the other one has, or can be, by the same promotions.
    pub fn is_part_of(&self, other: &Self) -> bool {
        let common = self.history.iter().zip(&other.history);
        let common = common.take_while(|(ours, theirs)| ours == theirs).count();
        let next = other.history.get(common);
        common == self.history.len() && next.is_none_or(|fork| self.position <= fork.at)
    }

    /// What it reports of itself.
    pub(super) fn identity(&self, setup: &Setup) -> Identity {
        if !setup.presence.identity {
            return Identity::default();
        }
        let timeline = match self.is_primary {
            true => self.timeline(),
            false => self.control_timeline,
        };
        Identity {
            system: Some(SYSTEM.to_owned()),
            started: Some(WallTime::from_unix_micros(self.started)),
            timeline: Some(timeline),
            ..Identity::default()
        }
    }

    /// Its status; polling a primary writes a heartbeat.
    pub(super) fn report(
        &mut self,
        db_time: WallTime,
        identity: Identity,
        daemons: Option<Vec<Presence>>,
    ) -> NodeReport {
        let role = if self.is_primary {
            self.position += 64;
            self.last_commit = db_time.unix_micros();
            RoleReport::Primary {
                lsn: Some(Lsn::from_bytes(self.position)),
                slots: Vec::new(),
            }
        } else {
            RoleReport::Standby {
                receive: self.has_received.then_some(Lsn::from_bytes(self.position)),
                replay: Some(Lsn::from_bytes(self.replayed)),
                last_replay: Some(WallTime::from_unix_micros(self.last_replay)),
            }
        };
        NodeReport {
            db_time,
            role,
            identity,
            daemons,
        }
    }

    /// Begins to start; how it had ended before.
    pub(super) fn start(&mut self, wall: WallTime) -> Condition {
        self.started = wall.unix_micros();
        self.shut_down_at = None;
        if let Some(upstream) = self.recovery_settings.take().filter(|_| !self.is_primary) {
            self.upstream = Some(upstream);
            self.is_starved = false;
        }
        let before = std::mem::replace(&mut self.condition, Condition::Starting);
        // A walreceiver that has not streamed yet reports no position.
        self.has_received &= before == Condition::Hung;
        before
    }

    /// How much of it the other one has as well.
    fn common_position(&self, other: &Self) -> u64 {
        let pairs = self.history.iter().zip(&other.history);
        let common = pairs.take_while(|(ours, theirs)| ours == theirs).count();
        let ends = |database: &Self| database.history.get(common).map(|fork| fork.at);
        let ends = [ends(self), ends(other)].into_iter().flatten();
        ends.chain([self.position, other.position])
            .min()
            .unwrap_or_default()
    }

    fn receive(&mut self, position: u64, commit: i64) {
        if position >= self.position {
            self.position = position;
            self.last_commit = commit;
            self.has_received = !self.is_archive_fed;
        }
    }

    fn replay(&mut self, wall: WallTime) {
        let received = (self.position, self.last_commit);
        if self.delayed.back() != Some(&received) {
            self.delayed.push_back(received);
        }
        let due = wall.unix_micros() - self.delay;
        let is_due = |commit: i64| self.delay == 0 || commit <= due;
        while let Some((position, commit)) = self.delayed.front().copied() {
            if self.replay_is_paused || !is_due(commit) {
                return;
            }
            self.delayed.pop_front();
            (self.replayed, self.last_replay) = (position, commit);
        }
        self.control_timeline = self.timeline();
    }

    /// What it has of its upstream's WAL, if that is reached: all of it, or what is archived.
    fn feeds(&self, upstream: &Self, is_cut: bool) -> Option<u64> {
        let is_fed = self.is_archive_fed || (!is_cut && !self.is_starved);
        let are_awake = !self.is_asleep && !upstream.is_asleep;
        let is_fed = is_fed && are_awake && upstream.condition == Condition::Up;
        let feeds = is_fed && self.is_part_of(upstream);
        let archived = upstream.position / SEGMENT * SEGMENT;
        if self.is_archive_fed {
            return Some(archived).filter(|archived| feeds && *archived > self.position);
        }
        feeds.then_some(upstream.position)
    }
}

impl Databases {
    pub(super) fn new(count: usize, primary: NodeId, commit: i64) -> Self {
        let mut all = vec![Database::standby_of(primary, 0x0500_0000, commit); count];
        all[primary].is_primary = true;
        all[primary].upstream = None;
        all[primary].term = Some(0);
        for (started, database) in (0..).zip(&mut all) {
            database.started += started;
        }
        Self {
            all,
            next_term: 1,
            advanced_to: 0,
        }
    }

    pub(super) fn all(&self) -> &[Database] {
        &self.all
    }

    pub(super) fn at(&mut self, node: NodeId) -> &mut Database {
        &mut self.all[node]
    }

    /// Brings all WAL forward to now: what a busy primary writes, what streams, what is replayed.
    pub(super) fn advance(
        &mut self,
        now: Micros,
        is_busy: bool,
        network: &Network,
        wall: impl Fn(NodeId) -> WallTime,
    ) {
        let passed = now - std::mem::replace(&mut self.advanced_to, now);
        if is_busy && passed > 0 {
            for (node, database) in self.all.iter_mut().enumerate() {
                if database.is_writer() && database.condition == Condition::Up {
                    database.position += passed / 1_000;
                    database.last_commit = wall(node).unix_micros();
                }
            }
        }
        for node in 0..self.all.len() {
            let database = &self.all[node];
            let Some(upstream) = database.upstream else {
                continue;
            };
            if database.condition != Condition::Up || database.is_primary {
                continue;
            }
            let source = &self.all[upstream];
            let position = database.feeds(source, network.path(node, upstream).cut);
            let commit = source.last_commit;
            let differs = position.is_some() && database.history != source.history;
            let history = differs.then(|| source.history.clone());
            let database = &mut self.all[node];
            if let Some(position) = position {
                database.receive(position, commit);
                database.history = history.unwrap_or(std::mem::take(&mut database.history));
            }
            database.replay(wall(node));
        }
    }

    /// Makes a node the primary, on a timeline and in a term of its own.
    pub(super) fn promote(&mut self, node: NodeId) {
        let term = self.next_term;
        self.next_term += 1;
        let database = &mut self.all[node];
        database.is_primary = true;
        database.upstream = None;
        database.is_starved = false;
        database.delayed.clear();
        database.history.push(Fork {
            term,
            timeline: database.timeline() + 1,
            at: database.position,
        });
        database.term = Some(term);
    }

    /// Lets a standby stream no more: it restores from an archive.
    pub(super) fn feed_by_archive(&mut self, node: NodeId) {
        let database = &mut self.all[node];
        database.is_archive_fed = !database.is_primary;
        database.has_received &= database.is_primary;
    }

    /// Points a standby at another node.
    pub(super) fn repoint(&mut self, node: NodeId, upstream: NodeId) {
        let database = &mut self.all[node];
        if node != upstream && !database.is_primary {
            database.upstream = Some(upstream);
        }
    }

    /// Makes a node a standby of another one.
    pub(super) fn follow(&mut self, node: NodeId, upstream: NodeId) {
        if node == upstream {
            return;
        }
        let source = self.all[upstream].clone();
        let database = &mut self.all[node];
        database.is_primary = false;
        database.upstream = Some(upstream);
        database.is_starved = false;
        let is_part = database.is_part_of(&source);
        // What the new primary never had is rewound.
        if !is_part {
            database.position = database.common_position(&source);
            database.replayed = database.replayed.min(database.position);
            database.delayed.clear();
            database.history = source.history;
        }
    }

    /// The newest primary; without one, the standby that is further.
    pub(super) fn newest(&self) -> NodeId {
        let rank = |node: &NodeId| {
            let database = &self.all[*node];
            (
                database.is_primary,
                database.history.last().map(|fork| fork.term),
                database.position,
            )
        };
        (0..self.all.len()).max_by_key(rank).unwrap_or_default()
    }

    /// Settles them as an operator would: everybody else is a standby of this one, nobody paused or
    /// rejecting connections. They are not started.
    pub(super) fn heal(&mut self, primary: NodeId) {
        for node in 0..self.all.len() {
            let is_part = self.all[node].is_part_of(&self.all[primary]);
            let database = &mut self.all[node];
            database.refusal = None;
            database.out_of_slots_for = 0;
            database.recovery_settings = None;
            database.replay_is_paused = false;
            (database.delay, database.is_archive_fed) = (0, false);
            let follows = !database.is_primary
                && is_part
                && !database.is_starved
                && database.upstream == Some(primary);
            if !follows {
                self.follow(node, primary);
            }
        }
    }

    /// The one that is written to, if there is exactly one.
    pub(super) fn sole_writer(&self) -> Option<NodeId> {
        let mut writers = (0..self.all.len()).filter(|node| self.all[*node].is_writer());
        writers.next().filter(|_| writers.next().is_none())
    }

    /// Is this host down; one without a database never is.
    pub(super) fn is_host_down(&self, host: usize) -> bool {
        let database = self.all.get(host);
        database.is_some_and(|database| database.condition == Condition::HostDown)
    }
}

/// The system identifier of the cluster.
pub(super) const SYSTEM: &str = "7300000000000000001";
/// How much WAL is archived at once, in bytes.
const SEGMENT: u64 = 1 << 10;

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
