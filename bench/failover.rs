//! What failing over costs on real clusters: one primary, two standbys and a daemon beside each, on
//! loopback, or for a host that is gone in network namespaces.

use nix::sys::signal::Signal;
use pglookout::time::timestamp;
use serde_json::{Value, json};
use std::time::Instant;

use crate::harness::daemon::{HTTP_PORT, seconds_now};
use crate::harness::{Cluster, Fleet, SOON, pause, wait_until};
use crate::support::blackhole::Blackhole;
use crate::support::leases::Leases;
use crate::support::table::Table;
use crate::support::{self, Arguments};

/// What happens to the primary.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// All its processes are killed: connections are refused.
    Crash,
    /// All its processes are stopped: connections are accepted, and nobody answers.
    Hang,
    /// Its host is cut off: nothing comes back.
    Gone,
}

/// `bench/run failover`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let all = [
        ("crash", Fault::Crash),
        ("hang", Fault::Hang),
        ("gone", Fault::Gone),
    ];
    let is_any = all.iter().any(|(name, _)| arguments.has(name)) || arguments.has("stop");
    let leases = arguments.list::<Leases>("leases", &[]).pop();
    let limits = leases.as_ref().map(|leases| vec![leases.least_limit()]);
    let limits = arguments.list("limits", &limits.unwrap_or_else(|| vec![0.5, 2.0, 5.0]));
    // Whoever may be promoted votes, and these would have to.
    let dead = leases.is_none().then(|| arguments.list("dead", &[0]));
    let dead = dead.unwrap_or_else(|| vec![0]);
    for (name, fault) in all {
        if is_any && !arguments.has(name) {
            continue;
        }
        for &limit in &limits {
            for &dead in &dead {
                let with = leases.as_ref().map(|leases| format!(", {leases}"));
                let with = with.unwrap_or_else(|| format!(", {dead} other hosts dead"));
                let what = format!("{name}, limit {limit} s{with}");
                let runs = (0..arguments.number("runs", 3)).map_while(|run| {
                    eprintln!("failover: {what}, run {}", run + 1);
                    let leases = leases.as_ref();
                    let setting = Setting {
                        limit,
                        dead,
                        leases,
                        run,
                    };
                    fail_over(fault, &setting)
                });
                let runs: Vec<Failover> = runs.collect();
                let each = |of: fn(&Failover) -> f64| runs.iter().map(of).collect();
                // A lease is waited for beyond the limit.
                if leases.is_none() {
                    let reaction = each(|run| run.limit_to_command);
                    let what = format!("{what}: limit has passed -> command");
                    table.row(what, "ms", reaction);
                }
                table.row(
                    format!("{what}: fault -> command"),
                    "s",
                    each(|run| run.to_command),
                );
                table.row(
                    format!("{what}: fault -> first write"),
                    "s",
                    each(|run| run.to_write),
                );
            }
        }
    }
    if (!is_any && leases.is_none()) || arguments.has("stop") {
        stop(arguments.number("runs", 3), table);
    }
}

struct Setting<'a> {
    /// `max_failover_replication_time_lag` and `poll_timeout`, in seconds; polls come five in that
    /// time, but at least one a second.
    limit: f64,
    /// Nodes that were dead before the daemons started.
    dead: usize,
    /// With these the standbys elect by votes, of three voters.
    leases: Option<&'a Leases>,
    /// The fault strikes at another phase of the polls in each run.
    run: u64,
}

/// What one failover took.
struct Failover {
    /// From the moment at which the limit had passed, by the daemon's last sight of the primary, to
    /// the command, in milliseconds.
    limit_to_command: f64,
    /// From the fault to the command, in seconds.
    to_command: f64,
    /// From the fault to the first row in the new primary, in seconds.
    to_write: f64,
}

/// `None`: it cannot run here, which was printed.
fn fail_over(fault: Fault, setting: &Setting<'_>) -> Option<Failover> {
    let standbys = &SERVERS[1..];
    let mut cluster = if fault == Fault::Gone {
        Cluster::start_in_namespaces(standbys)?
    } else {
        Cluster::start(standbys)?
    };
    let hole = Blackhole::open();
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        let interval = (setting.limit / 5.0).min(1.0);
        config["db_poll_interval"] = json!(interval);
        config["replication_state_check_interval"] = json!(interval);
        config["max_failover_replication_time_lag"] = json!(setting.limit);
        config["warning_replication_time_lag"] = json!(setting.limit);
        config["poll_timeout"] = json!(setting.limit);
        config
            .as_object_mut()
            .expect("settings")
            .remove("observers");
        for dead in 0..setting.dead {
            // In a namespace nobody has such an address.
            let network = if fault == Fault::Gone {
                "10.77.7"
            } else {
                "127.99.99"
            };
            let conninfo = format!("host={network}.{} port={} user=x", 100 + dead, hole.port);
            config["remote_conns"][format!("dead{dead}")] = json!(conninfo);
        }
    });
    if let Some(leases) = setting.leases {
        leases.set_up(&cluster, &mut fleet, &SERVERS);
    }
    fleet.start_all();
    for name in SERVERS {
        wait_until("the daemons know the cluster", SOON, || {
            let state = fleet[name].state();
            let is_connected = |node| state[node]["connection"] == true;
            SERVERS.into_iter().all(is_connected)
                && fleet[name].current_primary().as_deref() == Some("p")
        });
    }
    if let Some(leases) = setting.leases {
        leases.wait_held(&fleet[SERVERS[0]]);
    }
    pause(2000 + setting.run * 137 % 1000);
    let began = seconds_now();
    match fault {
        Fault::Crash => cluster["p"].kill_nine_all(),
        Fault::Hang => cluster["p"].hang(),
        Fault::Gone => cluster.network().isolate("p"),
    }
    support::wait_until("somebody promotes", || !fleet.promoted().is_empty());
    let (winner, when) = fleet.wait_promotion();
    wait_until("the new primary takes a write", SOON, || {
        let write = "INSERT INTO rows (t) VALUES ('after')";
        cluster[winner].try_query(write).is_ok()
    });
    let written = seconds_now();
    // The clock of the primary is ours, and it told its time in its last answer.
    let last_seen = time(&fleet[winner].state()["p"]["db_time"]);
    Some(Failover {
        limit_to_command: (when - (last_seen + setting.limit)) * 1e3,
        to_command: when - began,
        to_write: written - began,
    })
}

/// From SIGTERM to the end, beside idle HTTP clients.
fn stop(runs: u64, table: &mut Table) {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| {});
    let mut figures = Vec::new();
    for _ in 0..runs {
        let connect = |_| {
            fleet["s1"]
                .host
                .connect(HTTP_PORT, SOON)
                .expect("a connection")
        };
        let clients: Vec<_> = (0..50).map(connect).collect();
        pause(1000);
        let begun = Instant::now();
        fleet["s1"].signal(Signal::SIGTERM);
        fleet["s1"].wait_exit(SOON);
        figures.push(begun.elapsed().as_secs_f64() * 1e3);
        drop(clients);
        fleet["s1"].start();
    }
    table.row(
        "SIGTERM -> exit, 50 idle HTTP clients (steps of 20 ms)",
        "ms",
        figures,
    );
}

const SERVERS: [&str; 3] = ["p", "s1", "s2"];

/// A timestamp of `/state.json` in seconds since 1970.
fn time(value: &Value) -> f64 {
    let time = value.as_str().and_then(timestamp::parse);
    time.expect("a timestamp").unix_micros() as f64 / 1e6
}
