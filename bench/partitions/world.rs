//! The cluster that is cut and mended: three servers and two observers, in network namespaces, and the
//! system that is tried on them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use super::system::{Setup, System, print_footprint};
use crate::harness::{self, Cluster, pause};

/// Five hosts.
pub struct World {
    // Dropped before the servers that it keeps.
    system: Box<dyn System>,
    pub cluster: Cluster,
    pub primary: String,
}

pub const SERVERS: [&str; 3] = ["p", "s1", "s2"];
pub const OBSERVERS: [&str; 2] = ["o", "o2"];
pub const HOSTS: [&str; 5] = ["p", "s1", "s2", "o", "o2"];

impl World {
    /// Everything runs. `None`: it cannot run here, which was printed.
    pub fn start(setup: &dyn Setup) -> Option<Self> {
        let mut cluster = Cluster::prepare_with_observers(&SERVERS[1..], &OBSERVERS[1..])?;
        let system = setup.start(&mut cluster);
        static FIRST: Once = Once::new();
        FIRST.call_once(|| print_footprint(&cluster, &HOSTS));
        Some(Self {
            system,
            cluster,
            primary: SERVERS[0].to_owned(),
        })
    }

    /// The hosts in the order of their roles.
    pub fn by_roles(&self) -> [String; 5] {
        let mut standbys = SERVERS.into_iter().filter(|name| *name != self.primary);
        let mut standby = || standbys.next().expect("two standbys").to_owned();
        let [first, second] = OBSERVERS.map(str::to_owned);
        [self.primary.clone(), standby(), standby(), first, second]
    }

    /// The numbers of the rows that the primary has.
    pub fn rows(&self) -> BTreeSet<u64> {
        rows(&self.cluster, &self.primary)
    }

    /// How often each server was promoted since it was first started, by its own log.
    pub fn promotions(&self) -> [usize; 3] {
        SERVERS.map(|name| {
            let log = fs::read(self.cluster[name].log()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            log.matches("received promote request").count()
        })
    }

    /// Waits, in a network that is whole again, until there is a primary; where there are two, whoever
    /// was promoted last is it.
    pub fn find_primary(&mut self) {
        wait_until("there is a primary", || {
            let timeline = |name: &&str| {
                let timeline = "SELECT pg_walfile_name(pg_current_wal_lsn())";
                self.cluster[*name].try_query(timeline).ok()
            };
            let writable = SERVERS
                .iter()
                .filter(|name| takes_writes(&self.cluster, name));
            let latest = writable.max_by_key(|name| timeline(name));
            self.primary = latest.map_or(String::new(), |name| (*name).to_owned());
            !self.primary.is_empty()
        });
    }

    /// Makes the cluster whole again.
    pub fn mend(&mut self) {
        self.primary = self.system.mend(&mut self.cluster, &self.primary);
    }

    /// A former primary is stopped.
    pub fn is_fenced(&self, server: &str) -> bool {
        self.system.is_fenced(&self.cluster, server)
    }

    /// Copies what the system and the servers have written about themselves.
    pub fn keep_logs(&self, to: &Path) {
        let dir = self.cluster.dir();
        fs::create_dir_all(to).expect("a directory for the logs");
        let copy = "cp -r \"$0\"/*.daemon \"$0\"/*.log \"$1\"/";
        let mut shell = Command::new("sh");
        shell
            .args(["-c", copy])
            .arg(dir)
            .arg(to)
            .stdin(Stdio::null());
        let status = shell.status().expect("sh");
        assert!(status.success(), "{status}: copying {}", dir.display());
    }
}

/// The numbers of the rows that this server has.
pub fn rows(cluster: &Cluster, server: &str) -> BTreeSet<u64> {
    let rows = cluster[server].query("SELECT t FROM rows");
    rows.lines().filter_map(|row| row.parse().ok()).collect()
}

/// The server runs and takes writes.
pub fn takes_writes(cluster: &Cluster, server: &str) -> bool {
    let answer = cluster[server].try_query("SELECT pg_is_in_recovery()");
    answer.is_ok_and(|answer| answer == "f")
}

/// Asks now and then, as a question may cost a process.
pub fn wait_until(what: &str, mut check: impl FnMut() -> bool) {
    harness::wait_until(what, PATIENCE, || {
        let is_so = check();
        pause(if is_so { 0 } else { 100 });
        is_so
    });
}

/// Whatever is waited for happens within this time.
const PATIENCE: Duration = Duration::from_secs(120);
