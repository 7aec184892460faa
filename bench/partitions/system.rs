//! What is tried: a system that keeps one server of a cluster writable, and its settings.

use std::fmt::Display;
use std::fs;

use super::patroni::Patroni;
use super::pglookout::Pglookout;
use crate::harness::Cluster;
use crate::harness::run_dir::processes_in;
use crate::support::Arguments;
use crate::support::meter::figure;

/// A system with its settings, before it is started. `Display` names it with both.
pub trait Setup: Display + Sync {
    /// What this machine lacks, and the command that installs it.
    fn missing(&self) -> Option<String>;
    /// The shortest partition, in seconds, in which everything that it does has happened.
    fn least_hold(&self) -> f64;
    /// The hosts of which a primary has to reach a majority.
    fn voters(&self) -> &[&'static str];
    /// Whether a primary that has lost the majority is to be stopped in any case.
    fn does_fence(&self) -> bool;
    /// Starts it, and the servers; returns once the cluster is whole.
    fn start(&self, cluster: &mut Cluster) -> Box<dyn System>;
}

/// It runs, on the hosts of a cluster.
pub trait System {
    /// Whether this former primary is stopped the way this system does it.
    fn is_fenced(&self, cluster: &Cluster, server: &str) -> bool;
    /// Makes every other server a standby that streams from the primary, in a network that is whole
    /// again, and waits until the cluster is as it was in the beginning. `primary` takes writes; who does
    /// so in the end.
    fn mend(&mut self, cluster: &mut Cluster, primary: &str) -> String;
}

/// The system that `--system` names.
pub fn read(arguments: &Arguments) -> Box<dyn Setup> {
    match arguments.number("system", "pglookout".to_owned()).as_str() {
        "pglookout" => Box::new(Pglookout::read(arguments)),
        "patroni" => Box::new(Patroni::read(arguments)),
        other => panic!("--system {other}: neither pglookout nor patroni"),
    }
}

/// What runs on each of these hosts beside its server: every process, and the memory that it has resident,
/// with what it shares.
pub fn print_footprint(cluster: &Cluster, hosts: &[&str]) {
    for host in hosts {
        let dirs = ["daemon", "etcd"].map(|kind| cluster.dir().join(format!("{host}.{kind}")));
        let dirs = dirs.iter().filter(|dir| dir.exists());
        let pids: Vec<_> = dirs.flat_map(|dir| processes_in(dir)).collect();
        let names = pids.iter().map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let memory = figure(*pid, "status", "VmRSS") / 1024.0;
            format!("{} {memory:.1} MiB", name.trim())
        });
        let names = names.collect::<Vec<_>>().join(", ");
        eprintln!("partitions: beside the server of {host}: {names}");
    }
}
