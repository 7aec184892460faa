//! A host: its clocks, the daemon that runs there, and what is wrong with them.

use std::sync::Arc;
use std::time::Duration;

use super::daemon::Daemon;
use super::fault::Lie;
use super::setup::Setup;
use super::vote_disk::VoteDisk;
use super::vote_exchange::VotesHere;
use super::{HostId, Micros, micros};
use crate::cluster::ObserverReport;
use crate::config::Config;
use crate::time::{Monotonic, Now, WallTime};
use crate::votes::VoterList;

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) clocks: Clocks,
    pub(super) daemon: Daemon,
    /// When the daemon wants its next turn.
    pub(super) deadline: Micros,
    /// The daemon is stopped, and gets no turn before this.
    pub(super) stopped_until: Micros,
    pub(super) faults: HostFaults,
    /// Its part in elections, where its cluster votes.
    pub(super) votes: Option<VotesHere>,
}

/// The clocks of a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// The monotonic clock read this much at that time.
    mono: (Duration, Micros),
    /// How far the wall clock is ahead of the true time, in microseconds.
    pub(super) wall_offset: i64,
}

/// What is odd about a host and its daemon.
#[derive(Debug)]
pub(super) struct HostFaults {
    /// The maintenance file exists.
    pub(super) maintenance: bool,
    /// How failover commands end (`None`: they cannot be started), and after how long.
    pub(super) command: (Option<i32>, Micros),
    /// They restart the server.
    pub(super) restarts_server: bool,
    /// The daemon is stopped again and again: since when, for how long it runs of every how long.
    pub(super) seldom: Option<(Micros, (Micros, Micros))>,
    pub(super) lie: Option<Lie>,
    /// What it goes on reporting, if it does.
    pub(super) frozen: Option<ObserverReport>,
    /// The `Date` of its answers is in whole seconds, as the original's.
    pub(super) whole_seconds: bool,
}

impl Host {
    pub(super) fn new(
        setup: &Setup,
        host: HostId,
        config: &Arc<Config>,
        wall_offset: i64,
        whole_seconds: bool,
    ) -> Self {
        let clocks = Clocks {
            mono: (START + Duration::from_secs(host as u64 * 1000), 0),
            wall_offset,
        };
        Self {
            daemon: Daemon::new(setup, config, clocks.read(0)),
            clocks,
            deadline: 0,
            stopped_until: 0,
            votes: votes(config),
            faults: HostFaults {
                maintenance: false,
                command: (Some(0), COMMAND_TIME),
                restarts_server: false,
                seldom: None,
                lie: None,
                frozen: None,
                whole_seconds,
            },
        }
    }

    /// When its daemon acts next, if it is there.
    pub(super) fn next_turn(&self) -> Option<Micros> {
        let next = self.deadline.max(self.stopped_until);
        self.daemon.is_alive.then_some(next)
    }

    /// Lets the daemon take its turn.
    pub(super) fn turn(&mut self, now: Micros) {
        let deadline = self
            .daemon
            .turn(self.faults.maintenance, self.clocks.read(now));
        self.deadline = self.clocks.time_of(deadline);
    }

    /// Starts the daemon again.
    pub(super) fn restart(&mut self, boot: bool, now: Micros) {
        if boot {
            self.clocks.mono = (AFTER_BOOT, now);
        }
        self.daemon.restart(boot, self.clocks.read(now));
        (self.deadline, self.stopped_until) = (now, now);
    }
}

impl Clocks {
    /// Both clocks at this true time.
    pub(super) fn read(&self, now: Micros) -> Now {
        let mono = self.mono.0 + Duration::from_micros(now - self.mono.1);
        Now {
            mono: Monotonic::from_duration(mono),
            wall: self.wall(now),
        }
    }

    pub(super) fn wall(&self, now: Micros) -> WallTime {
        WallTime::from_unix_micros(true_wall(now).unix_micros() + self.wall_offset)
    }

    /// The true time at which the monotonic clock reads this, or just after it: a deadline may be
    /// finer than the time here.
    fn time_of(&self, deadline: Monotonic) -> Micros {
        let base = Monotonic::from_duration(self.mono.0);
        self.mono.1 + micros(deadline.since(base) + Duration::from_nanos(999))
    }
}

impl HostFaults {
    /// Nothing is odd any more, but for the form of its dates.
    pub(super) fn heal(&mut self) {
        self.maintenance = false;
        self.lie = None;
        self.seldom = None;
        self.restarts_server = false;
        self.command = (Some(0), COMMAND_TIME);
    }
}

/// With a vote file that was made beforehand.
fn votes(config: &Config) -> Option<VotesHere> {
    let (name, cluster) = config.voting.as_ref()?.own_cluster()?;
    let disk = VoteDisk::new(name.clone(), cluster.own.clone(), VoterList::from(cluster));
    Some(VotesHere::new(disk))
}

/// What a wall clock that is right shows.
pub(super) fn true_wall(now: Micros) -> WallTime {
    WallTime::from_unix_micros(EPOCH_MICROS + i64::try_from(now).unwrap_or(i64::MAX))
}

const START: Duration = Duration::from_secs(1_000_000);
const AFTER_BOOT: Duration = Duration::from_secs(60);
/// How long a failover command takes in general.
const COMMAND_TIME: Micros = 100_000;
/// 2024-01-01T00:00:00Z, the true time at the start.
const EPOCH_MICROS: i64 = 1_704_067_200_000_000;
