//! The databases as they truly are: role, life, write-ahead log. What anybody believes of them is
//! not here.

use super::fault::{Death, Refusal};
use super::network::Network;
use super::{Micros, NodeId};
use crate::cluster::{Identity, Lsn, NodeReport, ProbeFailure, RoleReport};
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
    /// Whom it streams from.
    pub upstream: Option<NodeId>,
    /// Its slot there is gone, and the WAL that it needs.
    pub is_starved: bool,
    /// Its timeline id.
    pub timeline: u32,
    /// How much WAL it has, in bytes: written, or received.
    pub position: u64,
    /// It has streamed since it was started.
    has_received: bool,
    /// How much of it has been replayed.
    pub replayed: u64,
    /// It receives, and replays nothing.
    pub replay_is_paused: bool,
    /// Commit time of the last transaction that it has, by the clock of the primary that wrote it.
    last_commit: i64,
    last_replay: i64,
    /// The term that it held last as a primary: a number that no other promotion has.
    pub term: Option<u32>,
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
            upstream: Some(upstream),
            is_starved: false,
            timeline: 1,
            position,
            has_received: true,
            replayed: position,
            replay_is_paused: false,
            last_commit: commit,
            last_replay: commit,
            term: None,
        }
    }

    /// A primary whose sessions go on, though it may answer nobody new.
    pub fn is_writer(&self) -> bool {
        self.is_primary && matches!(self.condition, Condition::Up | Condition::Hung)
    }

    pub(super) fn reaction(&self) -> Reaction {
        let text = str::to_owned;
        match (self.condition, self.refusal) {
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

    /// Its status; polling a primary writes a heartbeat.
    pub(super) fn report(&mut self, db_time: WallTime) -> NodeReport {
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
            identity: Identity::default(),
            daemons: None,
        }
    }

    /// Begins to start; how it had ended before.
    pub(super) fn start(&mut self) -> Condition {
        let before = std::mem::replace(&mut self.condition, Condition::Starting);
        // A walreceiver that has not streamed yet reports no position.
        self.has_received &= before == Condition::Hung;
        before
    }

    fn receive(&mut self, position: u64, commit: i64) {
        if position >= self.position {
            self.position = position;
            self.last_commit = commit;
            self.has_received = true;
        }
    }

    fn replay(&mut self) {
        if !self.replay_is_paused {
            self.replayed = self.position;
            self.last_replay = self.last_commit;
        }
    }
}

impl Databases {
    pub(super) fn new(count: usize, primary: NodeId, commit: i64) -> Self {
        let mut all = vec![Database::standby_of(primary, 0x0500_0000, commit); count];
        all[primary].is_primary = true;
        all[primary].upstream = None;
        all[primary].term = Some(0);
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
                if database.is_primary && database.condition == Condition::Up {
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
            let is_fed = !network.path(node, upstream).cut && !database.is_starved;
            let streams = source.condition == Condition::Up && is_fed;
            let (position, commit) = (source.position, source.last_commit);
            let database = &mut self.all[node];
            if streams {
                database.receive(position, commit);
            }
            database.replay();
        }
    }

    /// Makes a node the primary, on a timeline and in a term of its own.
    pub(super) fn promote(&mut self, node: NodeId) {
        let timelines = self.all.iter().map(|database| database.timeline);
        let timeline = timelines.max().unwrap_or_default() + 1;
        let term = self.next_term;
        self.next_term += 1;
        let database = &mut self.all[node];
        database.is_primary = true;
        database.upstream = None;
        database.is_starved = false;
        database.timeline = timeline;
        database.term = Some(term);
    }

    /// Makes a node a standby of another one.
    pub(super) fn follow(&mut self, node: NodeId, upstream: NodeId) {
        if node == upstream {
            return;
        }
        let Database {
            timeline, position, ..
        } = self.all[upstream];
        let database = &mut self.all[node];
        database.is_primary = false;
        database.upstream = Some(upstream);
        database.is_starved = false;
        database.timeline = timeline;
        // What the new primary never had is rewound.
        database.position = database.position.min(position);
        database.replayed = database.replayed.min(position);
    }

    /// Settles them as an operator would: one primary, everybody else its standby, nobody paused or
    /// rejecting connections. They are not started.
    pub(super) fn heal(&mut self) {
        let rank = |node: &NodeId| {
            let database = &self.all[*node];
            (database.is_primary, database.timeline, database.position)
        };
        let Some(primary) = (0..self.all.len()).max_by_key(rank) else {
            return;
        };
        for node in 0..self.all.len() {
            let database = &mut self.all[node];
            database.refusal = None;
            database.replay_is_paused = false;
            let follows =
                !database.is_primary && !database.is_starved && database.upstream == Some(primary);
            if !follows {
                self.follow(node, primary);
            }
        }
        if !self.all[primary].is_primary {
            self.promote(primary);
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
