//! pglookout as the system that is tried: five voters, and leases unless they are switched off.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::json;

use super::system::{Setup, System};
use super::world::{HOSTS, SERVERS, wait_until};
use crate::harness::host::{Account, give_to_server};
use crate::harness::postgres::append;
use crate::harness::run_dir::{processes_in, run};
use crate::harness::voting::votes;
use crate::harness::{Cluster, Fleet, pause};
use crate::support::Arguments;
use crate::support::leases::Leases;

/// How it is set.
pub struct Pglookout {
    leases: Leases,
    /// The failover limit, in seconds.
    limit: f64,
}

/// A daemon on each of the five hosts.
struct Running {
    fleet: Fleet,
    leases: Leases,
}

impl Pglookout {
    /// `--leases` and `--limit`.
    pub fn read(arguments: &Arguments) -> Self {
        let fast: Leases = "fast".parse().expect("settings of leases");
        let leases = arguments.number("leases", fast);
        Self {
            limit: arguments.number("limit", leases.least_limit()),
            leases,
        }
    }
}

impl fmt::Display for Pglookout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        let (leases, limit) = (&self.leases, self.limit);
        write!(f, "pglookout {version}, {leases}, limit {limit} s")
    }
}

impl Setup for Pglookout {
    fn missing(&self) -> Option<String> {
        None
    }

    fn least_hold(&self) -> f64 {
        2.0 * self.leases.lease().max(self.limit) + 6.0
    }

    fn voters(&self) -> &[&'static str] {
        &HOSTS
    }

    fn does_fence(&self) -> bool {
        self.leases.do_fence()
    }

    fn start(&self, cluster: &mut Cluster) -> Box<dyn System> {
        cluster.start_all();
        let limit = self.limit;
        let mut fleet = Fleet::prepare(cluster, |_, config| {
            let interval = (limit / 5.0).min(1.0);
            config["db_poll_interval"] = json!(interval);
            config["replication_state_check_interval"] = json!(interval);
            config["max_failover_replication_time_lag"] = json!(limit);
            config["warning_replication_time_lag"] = json!(limit / 2.0);
            config["poll_timeout"] = json!(interval);
        });
        self.leases.set_up(cluster, &mut fleet, &HOSTS);
        fleet.start_all();
        let leases = self.leases.clone();
        let running = Running { fleet, leases };
        running.wait_settled(SERVERS[0]);
        Box::new(running)
    }
}

impl System for Running {
    /// No process of this server is left.
    fn is_fenced(&self, cluster: &Cluster, server: &str) -> bool {
        processes_in(&cluster[server].data).is_empty()
    }

    /// Those that cannot follow are made anew by a base backup: pglookout rewinds no server.
    fn mend(&mut self, cluster: &mut Cluster, primary: &str) -> String {
        for name in SERVERS.into_iter().filter(|name| *name != primary) {
            if follows(cluster, name, primary) {
                continue;
            }
            // Or what is started would be fenced as the server of its former term.
            wait_until("its daemon has given up its term", || {
                !self.leases.do_fence() || votes(&self.fleet[name])["held_term"].is_null()
            });
            clone_primary(cluster, name, primary);
        }
        wait_until("both standbys stream", || {
            cluster.streaming_from(primary).len() == SERVERS.len() - 1
        });
        self.wait_settled(primary);
        primary.to_owned()
    }
}

impl Running {
    /// Waits until all daemons reach all servers and know the primary, and a majority renews its lease.
    fn wait_settled(&self, primary: &str) {
        for name in HOSTS {
            wait_until(&format!("{name} knows the whole cluster"), || {
                let state = self.fleet[name].state();
                let is_connected = |node: &&str| state[*node]["connection"] == true;
                SERVERS.iter().all(is_connected)
                    && self.fleet[name].current_primary().as_deref() == Some(primary)
            });
        }
        self.leases.wait_held(&self.fleet[primary]);
    }
}

/// Whether this server is a standby that streams from the primary once it is told to.
fn follows(cluster: &Cluster, name: &str, primary: &str) -> bool {
    let server = &cluster[name];
    let is_standby = server.try_query("SELECT pg_is_in_recovery()");
    if !is_standby.is_ok_and(|answer| answer == "t") {
        return false;
    }
    server.stream_from(&server.conninfo_for_streaming(&cluster[primary].host));
    let begun = Instant::now();
    while begun.elapsed() < FOLLOWING {
        let streaming = cluster.streaming_from(primary);
        if streaming.iter().any(|standby| standby == name) {
            return true;
        }
        pause(100);
    }
    false
}

fn clone_primary(cluster: &mut Cluster, name: &str, primary: &str) {
    let primary = cluster[primary].host.clone();
    let program = cluster.postgres.program("pg_basebackup");
    let server = &mut cluster[name];
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

/// A standby that can follow does so in this time.
const FOLLOWING: Duration = Duration::from_secs(4);
