//! A host: its clocks, the daemon that runs there, and what is wrong with it.

use std::sync::Arc;

use super::clocks::Clocks;
use super::daemon::Daemon;
use super::fault::Lie;
use super::lease_fault::Sleep;
use super::lease_host::LeasesHere;
use super::setup::Setup;
use super::switchover_host::SwitchoverHere;
use super::vote_disk::VoteDisk;
use super::vote_exchange::VotesHere;
use super::{HostId, Micros};
use crate::cluster::ObserverReport;
use crate::config::Config;
use crate::votes::VoterList;

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) clocks: Clocks,
    pub(super) daemon: Daemon,
    /// When the daemon wants its next turn.
    pub(super) deadline: Micros,
    /// Everything here stands still until then, and its clock of leases goes on meanwhile, or not.
    pub(super) asleep: Option<(Micros, Sleep)>,
    /// The daemon is stopped, and gets no turn before this.
    pub(super) stopped_until: Micros,
    pub(super) faults: HostFaults,
    /// Its part in elections, where its cluster votes.
    pub(super) votes: Option<VotesHere>,
    pub(super) leases: LeasesHere,
    pub(super) switchover: SwitchoverHere,
    /// The generation of voters in its configuration file.
    pub(super) list: u64,
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
        let clocks = Clocks::new(host, wall_offset);
        Self {
            daemon: Daemon::new(setup, config, clocks.read(0)),
            clocks,
            deadline: 0,
            asleep: None,
            stopped_until: 0,
            votes: votes(config),
            leases: LeasesHere::default(),
            switchover: SwitchoverHere::default(),
            list: 1,
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
            self.clocks.boot(now);
        }
        self.daemon.restart(boot, self.clocks.read(now));
        (self.deadline, self.stopped_until) = (now, now);
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

/// How long a failover command takes in general.
const COMMAND_TIME: Micros = 100_000;
