//! etcd, the store that Patroni keeps its leader's lock in: real members, one on each of some hosts.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::world::wait_until;
use crate::harness::Cluster;
use crate::harness::host::{Account, Host};
use crate::harness::postgres::which;
use crate::harness::run_dir::{Ended, run};
use crate::support::page;

/// The members; they end when this is dropped.
pub struct Etcd {
    hosts: Vec<Host>,
    _members: Vec<Ended>,
}

impl Etcd {
    /// A store with a member on each of these hosts, which is ready. Its settings are the defaults, but
    /// for `--pre-vote`, the default from 3.5 on: without it a member that was cut off and comes back ends
    /// the term of the leader.
    pub fn start(cluster: &Cluster, hosts: &[&str]) -> Self {
        let hosts: Vec<Host> = hosts
            .iter()
            .map(|name| cluster.host(name).clone())
            .collect();
        let peers = hosts
            .iter()
            .map(|host| format!("{}={}", host.name, url(host, PEERS)));
        let peers = peers.collect::<Vec<_>>().join(",");
        let start = |host| start(cluster, host, &peers);
        let etcd = Self {
            _members: hosts.iter().map(start).collect(),
            hosts,
        };
        etcd.wait_healthy();
        etcd
    }

    /// Where clients reach it, as Patroni is told.
    pub fn addresses(&self) -> Vec<String> {
        let address = |host: &Host| format!("{}:{CLIENTS}", host.address);
        self.hosts.iter().map(address).collect()
    }

    /// Waits until every member knows a leader and can write.
    pub fn wait_healthy(&self) {
        for host in &self.hosts {
            wait_until(&format!("etcd on {} is healthy", host.name), || {
                page::json(host, CLIENTS, "/health")["health"] == "true"
            });
        }
    }
}

/// The program; `ETCD`, or the one in PATH.
pub fn program() -> Option<PathBuf> {
    std::env::var_os("ETCD")
        .map(PathBuf::from)
        .or_else(|| which("etcd"))
}

/// Such as `3.4.23`.
pub fn version() -> Option<String> {
    let text = run(Command::new(program()?).arg("--version")).ok()?;
    let line = text.lines().next()?;
    Some(line.strip_prefix("etcd Version: ")?.to_owned())
}

fn start(cluster: &Cluster, host: &Host, peers: &str) -> Ended {
    let dir = cluster.dir().join(format!("{}.etcd", host.name));
    fs::create_dir(&dir).expect("a directory for etcd");
    let log = File::create(dir.with_extension("etcd.log")).expect("a log of etcd");
    let mut command = host.command(program().expect("etcd"), Account::Own);
    let (clients, own) = (url(host, CLIENTS), url(host, PEERS));
    command.args(["--name", &host.name, "--logger", "zap"]);
    command.arg("--data-dir").arg(dir.join("data"));
    command.args(["--listen-client-urls", &clients]);
    command.args(["--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &own]);
    command.args(["--initial-advertise-peer-urls", &own]);
    command.args(["--initial-cluster", peers, "--pre-vote"]);
    command.current_dir(dir).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(log);
    Ended(command.spawn().expect("the etcd program"))
}

fn url(host: &Host, port: u16) -> String {
    format!("http://{}:{port}", host.address)
}

/// Where a member answers clients.
const CLIENTS: u16 = 2379;
/// Where it answers other members.
const PEERS: u16 = 2380;
