//! The cluster that is cut and mended: three servers and two observers with a daemon each, in network
//! namespaces.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::host::{Account, give_to_server};
use crate::harness::postgres::append;
use crate::harness::run_dir::{processes_in, run};
use crate::harness::voting::votes;
use crate::harness::{self, Cluster, Fleet, pause};
use crate::support::leases::Leases;

/// Five hosts.
pub struct World {
    pub fleet: Fleet,
    pub cluster: Cluster,
    leases: Leases,
    pub primary: String,
}

const SERVERS: [&str; 3] = ["p", "s1", "s2"];
const OBSERVERS: [&str; 2] = ["o", "o2"];
const HOSTS: [&str; 5] = ["p", "s1", "s2", "o", "o2"];

impl World {
    /// Everything runs, and the primary has its lease. `None`: it cannot run here, which was printed.
    pub fn start(leases: &Leases, limit: f64) -> Option<Self> {
        let mut cluster = Cluster::prepare_with_observers(&SERVERS[1..], &OBSERVERS[1..])?;
        cluster.start_all();
        let mut fleet = Fleet::prepare(&cluster, |_, config| {
            let interval = (limit / 5.0).min(1.0);
            config["db_poll_interval"] = json!(interval);
            config["replication_state_check_interval"] = json!(interval);
            config["max_failover_replication_time_lag"] = json!(limit);
            config["warning_replication_time_lag"] = json!(limit / 2.0);
            config["poll_timeout"] = json!(interval);
        });
        leases.set_up(&cluster, &mut fleet, &HOSTS);
        fleet.start_all();
        let world = Self {
            fleet,
            cluster,
            leases: leases.clone(),
            primary: SERVERS[0].to_owned(),
        };
        world.wait_settled();
        Some(world)
    }

    /// The hosts in the order of their roles.
    pub fn by_roles(&self) -> [String; 5] {
        let mut standbys = SERVERS.into_iter().filter(|name| *name != self.primary);
        let mut standby = || standbys.next().expect("two standbys").to_owned();
        let [first, second] = OBSERVERS.map(str::to_owned);
        [self.primary.clone(), standby(), standby(), first, second]
    }

    /// The server runs and takes writes.
    pub fn takes_writes(&self, server: &str) -> bool {
        let answer = self.cluster[server].try_query("SELECT pg_is_in_recovery()");
        answer.is_ok_and(|answer| answer == "f")
    }

    /// The numbers of the rows that the primary has.
    pub fn rows(&self) -> BTreeSet<u64> {
        let rows = self.cluster[&self.primary].query("SELECT t FROM rows");
        rows.lines().filter_map(|row| row.parse().ok()).collect()
    }

    /// Waits, in a network that is whole again, until there is a primary; where there are two, whoever
    /// was promoted last is it.
    pub fn find_primary(&mut self) {
        wait_until("there is a primary", || {
            let timeline = |name: &&str| {
                let timeline = "SELECT pg_walfile_name(pg_current_wal_lsn())";
                self.cluster[*name].try_query(timeline).ok()
            };
            let writable = SERVERS.iter().filter(|name| self.takes_writes(name));
            let latest = writable.max_by_key(|name| timeline(name));
            self.primary = latest.map_or(String::new(), |name| (*name).to_owned());
            !self.primary.is_empty()
        });
    }

    /// Makes every other server a standby of the primary that streams, those that cannot follow it by a
    /// base backup, and waits until all daemons have seen it.
    pub fn mend(&mut self) {
        let primary = self.primary.clone();
        for name in SERVERS.into_iter().filter(|name| *name != primary) {
            if self.follows(name) {
                continue;
            }
            // Or what is started would be fenced as the server of its former term.
            wait_until("its daemon has given up its term", || {
                !self.leases.do_fence() || votes(&self.fleet[name])["held_term"].is_null()
            });
            self.clone_primary(name);
        }
        wait_until("both standbys stream", || {
            self.cluster.streaming_from(&primary).len() == SERVERS.len() - 1
        });
        self.wait_settled();
    }

    /// Whether this server is a standby that streams from the primary once it is told to.
    fn follows(&self, name: &str) -> bool {
        let server = &self.cluster[name];
        let is_standby = server.try_query("SELECT pg_is_in_recovery()");
        if !is_standby.is_ok_and(|answer| answer == "t") {
            return false;
        }
        let primary = &self.cluster[&self.primary].host;
        server.stream_from(&server.conninfo_for_streaming(primary));
        let begun = Instant::now();
        while begun.elapsed() < FOLLOWING {
            let streaming = self.cluster.streaming_from(&self.primary);
            if streaming.iter().any(|standby| standby == name) {
                return true;
            }
            pause(100);
        }
        false
    }

    fn clone_primary(&mut self, name: &str) {
        let primary = self.cluster[&self.primary].host.clone();
        let program = self.cluster.postgres.program("pg_basebackup");
        let server = &mut self.cluster[name];
        server.kill_nine_all();
        fs::remove_dir_all(&server.data)
            .and_then(|()| fs::create_dir(&server.data))
            .and_then(|()| fs::set_permissions(&server.data, fs::Permissions::from_mode(0o700)))
            .expect("an empty data directory");
        give_to_server(&server.data);
        let mut backup = server.host.command(program, Account::Server);
        backup.args(["-h", &primary.address.to_string(), "-U", "postgres"]);
        backup.args(["-c", "fast", "-X", "stream", "-D"]);
        run(backup.arg(&server.data)).expect("a base backup");
        server.make_standby();
        // The last line of a name counts, and ALTER SYSTEM's before all of them.
        let conninfo = server.conninfo_for_streaming(&primary);
        append(
            &server.data.join("postgresql.auto.conf"),
            &format!("cluster_name = '{name}'\nprimary_conninfo = '{conninfo}'\n"),
        );
        server.start();
    }

    /// Waits until all daemons reach all servers and know the primary, and a majority renews its lease.
    fn wait_settled(&self) {
        for name in HOSTS {
            wait_until(&format!("{name} knows the whole cluster"), || {
                let state = self.fleet[name].state();
                let is_connected = |node: &&str| state[*node]["connection"] == true;
                SERVERS.iter().all(is_connected)
                    && self.fleet[name].current_primary().as_deref() == Some(&self.primary)
            });
        }
        self.leases.wait_held(&self.fleet[&self.primary]);
    }

    /// No process of this server is left.
    pub fn is_down(&self, server: &str) -> bool {
        processes_in(&self.cluster[server].data).is_empty()
    }

    /// Copies what daemons and servers have written about themselves.
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

/// A standby that can follow does so in this time.
const FOLLOWING: Duration = Duration::from_secs(4);

/// Asks now and then, as a question may cost a process.
fn wait_until(what: &str, mut check: impl FnMut() -> bool) {
    harness::wait_until(what, Duration::from_secs(60), || {
        let is_so = check();
        pause(if is_so { 0 } else { 100 });
        is_so
    });
}
