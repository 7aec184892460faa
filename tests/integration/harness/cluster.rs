//! A primary, its standbys and the hosts they live on.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::path::Path;

use super::host::Host;
use super::network::Network;
use super::node::Server;
use super::or_skip;
use super::postgres::{Postgres, append};
use super::run_dir::TestDir;
use super::wait::{SOON, wait_until};

/// The name of the primary that a cluster begins with.
pub(crate) const PRIMARY: &str = "p";
/// The name of the host that has no server, or of the first of them: for an observer.
pub(crate) const OBSERVER: &str = "o";

/// Servers by name. Fields are dropped in this order: servers, namespaces, directory.
pub(crate) struct Cluster {
    servers: BTreeMap<String, Server>,
    pub(crate) observer: Host,
    /// More hosts without a server.
    more_observers: Vec<Host>,
    network: Option<Network>,
    dir: TestDir,
    pub(crate) postgres: &'static Postgres,
}

impl Cluster {
    /// A running primary `p` with these standbys streaming from it, each with an address of its own
    /// on loopback. `None`: the test cannot run here, which was printed.
    pub(crate) fn start(standbys: &[&str]) -> Option<Self> {
        let mut cluster = Self::prepare(standbys)?;
        cluster.start_all();
        Some(cluster)
    }

    /// The same in network namespaces, where links can be cut.
    pub(crate) fn start_in_namespaces(standbys: &[&str]) -> Option<Self> {
        let mut cluster = Self::prepare_in_namespaces(standbys)?;
        cluster.start_all();
        Some(cluster)
    }

    /// The same in network namespaces with nothing started yet.
    pub(crate) fn prepare_in_namespaces(standbys: &[&str]) -> Option<Self> {
        Self::prepare_with_observers(standbys, &[])
    }

    /// The same with more hosts for observers beside `o`.
    pub(crate) fn prepare_with_observers(standbys: &[&str], more: &[&str]) -> Option<Self> {
        let postgres = or_skip(Postgres::here())?;
        let names = [&[PRIMARY], standbys, &[OBSERVER], more].concat();
        let network = or_skip(Network::of(&names))?;
        let mut hosts = network.hosts.clone();
        let more_observers = hosts.split_off(hosts.len() - more.len());
        let cluster = Self::on_hosts(postgres, hosts, Some(network));
        Some(Self {
            more_observers,
            ..cluster
        })
    }

    /// The same on loopback with nothing started yet.
    pub(crate) fn prepare(standbys: &[&str]) -> Option<Self> {
        let postgres = or_skip(Postgres::here())?;
        let names = [PRIMARY].iter().chain(standbys).chain(&[OBSERVER]);
        Some(Self::on_hosts(
            postgres,
            names.map(|name| Host::on_loopback(name)).collect(),
            None,
        ))
    }

    fn on_hosts(
        postgres: &'static Postgres,
        mut hosts: Vec<Host>,
        network: Option<Network>,
    ) -> Self {
        let dir = TestDir::new();
        let observer = hosts.pop().expect("the observer's host");
        let primary = hosts.first().expect("the primary's host").clone();
        let mut servers = BTreeMap::new();
        for host in hosts {
            let data = dir.path().join(&host.name);
            let server = Server::new(postgres, host, data);
            let streams_from = Some(&primary).filter(|primary| primary.name != server.host.name);
            server.copy_template(&postgres.template, streams_from);
            servers.insert(server.host.name.clone(), server);
        }
        Self {
            servers,
            observer,
            more_observers: Vec::new(),
            network,
            dir,
            postgres,
        }
    }

    /// Starts all servers and waits until the standbys stream.
    pub(crate) fn start_all(&mut self) {
        for server in self.servers.values_mut() {
            server.start_unready();
        }
        for server in self.servers.values_mut() {
            server.wait_ready();
        }
        self.wait_streaming(self.servers.len() - 1);
    }

    /// Waits until so many standbys stream from the primary.
    pub(crate) fn wait_streaming(&self, count: usize) {
        wait_until("all standbys stream", SOON, || {
            self.streaming_from(PRIMARY).len() == count
        });
    }

    /// The standbys that stream from this server.
    pub(crate) fn streaming_from(&self, primary: &str) -> Vec<String> {
        let streaming =
            "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'";
        let names = self[primary].query(streaming);
        names.lines().map(str::to_owned).collect()
    }

    /// Waits until the standby has received and replayed all that the primary has written.
    pub(crate) fn wait_caught_up(&self, standby: &str) {
        let target = self[PRIMARY].query("SELECT pg_current_wal_lsn()");
        wait_until(&format!("{standby} has caught up"), SOON, || {
            self[standby].query(&format!("SELECT pg_last_wal_replay_lsn() >= '{target}'")) == "t"
        });
    }

    /// A primary that was stopped for a switchover becomes a standby of the new one, and all others
    /// follow that.
    pub(crate) fn rejoin(&mut self, old: &str, new: &str) {
        let primary = self[new].host.clone();
        let server = &mut self[old];
        server.kill_nine_all();
        server.make_standby();
        let conninfo = server.conninfo_for_streaming(&primary);
        let line = format!("primary_conninfo = '{conninfo}'\n");
        append(&server.recovery_settings("postgresql.auto.conf"), &line);
        server.start();
        for (name, other) in &mut self.servers {
            if ![old, new].contains(&name.as_str()) {
                let conninfo = other.conninfo_for_streaming(&primary);
                other.stream_from_anew(&conninfo);
            }
        }
        let count = self.servers.len() - 1;
        wait_until("all stream from the new primary", SOON, || {
            self.streaming_from(new).len() == count
        });
    }

    /// The links between the hosts; there must be some.
    pub(crate) fn network(&self) -> &Network {
        self.network.as_ref().expect("a cluster in namespaces")
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    /// The hosts without a server.
    pub(crate) fn observers(&self) -> impl Iterator<Item = &Host> {
        [&self.observer].into_iter().chain(&self.more_observers)
    }

    /// The host of a server or of an observer.
    pub(crate) fn host(&self, name: &str) -> &Host {
        let of_servers = self.servers.values().map(|server| &server.host);
        let mut hosts = of_servers.chain(self.observers());
        let host = hosts.find(|host| host.name == name);
        host.unwrap_or_else(|| panic!("no host {name}"))
    }

    /// The directory of this test.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Those of these standbys that have the most WAL, in the order given.
    pub(crate) fn furthest_ahead(&self, names: &[&str]) -> Vec<String> {
        let position =
            "SELECT GREATEST(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'";
        let positions: Vec<u64> = names
            .iter()
            .map(|name| self[name].query(position).parse().expect("a position"))
            .collect();
        let highest = positions.iter().max();
        let ahead = names
            .iter()
            .zip(&positions)
            .filter(|(_, position)| Some(*position) == highest);
        ahead.map(|(name, _)| (*name).to_owned()).collect()
    }

    /// The servers that are running and take writes.
    pub(crate) fn primaries(&self) -> Vec<&str> {
        let writable = |server: &&Server| {
            server
                .try_query("SELECT pg_is_in_recovery()")
                .is_ok_and(|answer| answer == "f")
        };
        self.servers
            .values()
            .filter(writable)
            .map(|server| server.host.name.as_str())
            .collect()
    }
}

impl Index<&str> for Cluster {
    type Output = Server;

    fn index(&self, name: &str) -> &Server {
        &self.servers[name]
    }
}

impl IndexMut<&str> for Cluster {
    fn index_mut(&mut self, name: &str) -> &mut Server {
        self.servers
            .get_mut(name)
            .expect("a server of this cluster")
    }
}
