//! The daemons of a cluster: one beside each server, and an observer, or several.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{Index, IndexMut};
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::cluster::{Cluster, PRIMARY};
use super::daemon::{Daemon, url};
use super::host::server_account;
use super::node::Server;
use super::postgres::{PASSWORD, USER};
use super::wait::{SOON, pause, wait_until};

/// The `max_failover_replication_time_lag` of every daemon, unless a test sets another.
pub(crate) const LIMIT: f64 = 3.0;
/// Their `db_poll_interval` and `replication_state_check_interval`.
pub(crate) const INTERVAL: f64 = 0.5;

/// Daemons by the name of their node; the observer's is `o`.
pub(crate) struct Fleet {
    daemons: BTreeMap<String, Daemon>,
}

impl Fleet {
    /// Starts a daemon beside every server and the observer, and waits until each knows the whole
    /// cluster. `adjust` is given each one's name and configuration before it starts.
    pub(crate) fn start(cluster: &Cluster, adjust: impl Fn(&str, &mut Value)) -> Self {
        let mut fleet = Self::prepare(cluster, adjust);
        fleet.start_all();
        fleet.wait_settled();
        fleet
    }

    /// The same with nothing started yet.
    pub(crate) fn prepare(cluster: &Cluster, adjust: impl Fn(&str, &mut Value)) -> Self {
        let mut daemons = BTreeMap::new();
        let servers = cluster.servers().map(|server| &server.host);
        for host in servers.chain(cluster.observers()) {
            let name = host.name.as_str();
            let mut daemon = Daemon::prepare(host.clone(), cluster.dir(), settings(cluster, name));
            if has_server(&daemon) {
                daemon.config["failover_command"] = promoting_after(cluster, &daemon, "");
            }
            adjust(name, &mut daemon.config);
            daemons.insert(name.to_owned(), daemon);
        }
        Self { daemons }
    }

    pub(crate) fn start_all(&mut self) {
        self.daemons.values_mut().for_each(Daemon::start);
    }

    /// Waits until every daemon that watches this cluster has seen all servers, knows the primary,
    /// and has seen every standby's lag come under the limit from which it warns.
    pub(crate) fn wait_settled(&self) {
        for (name, daemon) in &self.daemons {
            wait_until(
                &format!("the daemon {name} knows the whole cluster"),
                SOON,
                || {
                    let warning = daemon.config["warning_replication_time_lag"].as_f64();
                    let is_fine =
                        |(name, node): (&String, &Value)| name_is_fine(name, node, warning);
                    let are_fine =
                        |nodes: &Value| nodes.as_object().is_some_and(|it| it.iter().all(is_fine));
                    // The state file of a healthy cluster may be as old as a quarter of the limit, and
                    // the original's pages are others.
                    daemon.current_primary().as_deref() == Some(PRIMARY)
                        && (are_fine(&daemon.state_file()["db_nodes"]) || are_fine(&daemon.state()))
                },
            );
        }
    }

    /// Which daemons ran their failover command, in order of time, each as often as it did.
    pub(crate) fn promotions(&self) -> Vec<(&str, f64)> {
        let each = self.daemons.iter().flat_map(|(name, daemon)| {
            daemon
                .promotions()
                .into_iter()
                .map(move |time| (name.as_str(), time))
        });
        let mut all: Vec<_> = each.collect();
        all.sort_by(|one, other| one.1.total_cmp(&other.1));
        all
    }

    /// The names alone.
    pub(crate) fn promoted(&self) -> Vec<&str> {
        self.promotions()
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    /// Waits until somebody promotes; who, and when.
    pub(crate) fn wait_promotion(&self) -> (&str, f64) {
        wait_until("somebody promotes", SOON, || !self.promoted().is_empty());
        self.promotions()[0]
    }

    /// Watches for `seconds` that nobody promotes who has not done so, and that everybody who runs
    /// decides all the time.
    pub(crate) fn nobody_promotes_for(&mut self, seconds: f64) {
        let before = self.promotions().len();
        let running: Vec<String> = self.running_nodes();
        let mut decisions: BTreeMap<&str, (Option<String>, u32)> = BTreeMap::new();
        let begun = Instant::now();
        while begun.elapsed().as_secs_f64() < seconds {
            assert_eq!(
                self.promotions().len(),
                before,
                "promoted: {:?}",
                self.promotions()
            );
            for name in &running {
                let (last, count) = decisions.entry(name).or_default();
                let now = self[name].decided_at();
                *count += u32::from(*last != now);
                *last = now;
            }
            pause(50);
        }
        let least = (seconds / INTERVAL / 3.0) as u32;
        for (name, (_, count)) in decisions {
            assert!(
                count >= least,
                "{name} decided only {count} times in {seconds} s: this proves nothing"
            );
        }
    }

    fn running_nodes(&mut self) -> Vec<String> {
        let nodes = self
            .daemons
            .iter_mut()
            .filter(|(_, daemon)| has_server(daemon));
        nodes
            .filter_map(|(name, daemon)| daemon.is_running().then(|| name.clone()))
            .collect()
    }

    /// All daemons.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Daemon> {
        self.daemons.values_mut()
    }
}

impl Index<&str> for Fleet {
    type Output = Daemon;

    fn index(&self, name: &str) -> &Daemon {
        &self.daemons[name]
    }
}

impl IndexMut<&str> for Fleet {
    fn index_mut(&mut self, name: &str) -> &mut Daemon {
        self.daemons.get_mut(name).expect("a daemon of this fleet")
    }
}

/// Writes a shell script into the daemon's directory; the command that runs it, for its
/// configuration.
pub(crate) fn script_command(daemon: &Daemon, name: &str, text: &str) -> Value {
    let path = daemon.path(name);
    fs::write(&path, text).expect("a script");
    // By `sh`, not as a program: another test that forks while the file is being written would make
    // it "busy".
    json!(["sh", path])
}

/// A line that notes the time, the first of every failover command.
pub(crate) fn note_time(promotions: &Path) -> String {
    format!("date +%s.%N >> '{}'\n", promotions.display())
}

/// A failover command that notes the time, runs these lines and promotes the daemon's server.
pub(crate) fn promoting_after(cluster: &Cluster, daemon: &Daemon, lines: &str) -> Value {
    let pg_ctl = pg_ctl(cluster, &cluster[&daemon.host.name]);
    let note = note_time(&daemon.promotions_path());
    let script = format!("{note}{lines}\nexec {pg_ctl} promote -w -t 30\n");
    script_command(daemon, "promote", &script)
}

/// `pg_ctl` for this server, as its own account, without what it is to do.
pub(crate) fn pg_ctl(cluster: &Cluster, server: &Server) -> String {
    let account = server_account().map_or(String::new(), |(uid, gid)| {
        format!("setpriv --reuid={uid} --regid={gid} --clear-groups ")
    });
    let program = cluster.postgres.program("pg_ctl");
    format!(
        "{account}'{}' -D '{}'",
        program.display(),
        server.data.display()
    )
}

/// The configuration of one daemon of the cluster.
pub(crate) fn settings(cluster: &Cluster, name: &str) -> Value {
    let nodes = cluster
        .servers()
        .map(|server| (server.host.name.clone(), json!(conninfo(server))));
    let mut config = json!({
        "remote_conns": nodes.collect::<Map<_, _>>(),
        "db_poll_interval": INTERVAL,
        "replication_state_check_interval": INTERVAL,
        "poll_timeout": 1.0,
        "warning_replication_time_lag": 2.0,
        "max_failover_replication_time_lag": LIMIT,
        "missing_master_from_config_timeout": 1,
    });
    if cluster.observers().all(|host| host.name != name) {
        config["own_db"] = json!(name);
        for host in cluster.observers() {
            config["observers"][&host.name] = json!(url(host));
        }
    }
    config
}

/// Whether it is beside a server, and no observer.
pub(crate) fn has_server(daemon: &Daemon) -> bool {
    !daemon.config["own_db"].is_null()
}

/// How the daemons reach a server.
pub(crate) fn conninfo(server: &Server) -> String {
    format!(
        "host={} dbname=postgres user={USER} password={PASSWORD}",
        server.host.address
    )
}

fn name_is_fine(name: &str, node: &Value, warning: Option<f64>) -> bool {
    let lag = node["min_replication_time_lag"].as_f64();
    node["connection"] == true && (name == PRIMARY || (lag.is_some() && lag < warning))
}
