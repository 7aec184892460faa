//! Leases, on real servers with real daemons: a primary that loses the majority of the voters is fenced
//! before another is promoted, also where its daemon is gone, and is not started again without a lease.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Instant;

use serde_json::json;

use crate::harness::cluster::{OBSERVER, PRIMARY};
use crate::harness::host::Account;
use crate::harness::voting::{self, votes};
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};
use crate::votes::{prepare, text};

const VOTERS: [&str; 3] = ["p", "s1", "s2"];

/// Daemons that vote and fence, and the primary has its lease.
fn start(cluster: &Cluster) -> Fleet {
    start_with(cluster, |_, _| ())
}

/// The same with more in the configuration of each daemon.
pub(crate) fn start_with(cluster: &Cluster, more: impl Fn(&Cluster, &mut Daemon)) -> Fleet {
    let mut fleet = prepare(cluster, &VOTERS, false);
    let times = json!({"fence_timeout": 1, "lease_renew_interval": 1, "lease_time": 6});
    voting::fence(cluster, &mut fleet, &times);
    for name in VOTERS {
        let daemon = &mut fleet[name];
        more(cluster, daemon);
        daemon.write_config(&daemon.config.to_string());
    }
    // The primary last: it claims the first term of voters that have seen it.
    for name in ["s1", "s2", OBSERVER] {
        fleet[name].start();
    }
    wait_until("the standbys know the primary", SOON, || {
        let knows = |name| fleet[name].current_primary().as_deref() == Some(PRIMARY);
        knows("s1") && knows("s2")
    });
    fleet[PRIMARY].start();
    fleet.wait_settled();
    voting::wait_first_term(&fleet);
    fleet
}

fn gate(cluster: &Cluster, daemon: &Daemon) -> Output {
    let mut command = daemon
        .host
        .command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
    command.arg("gate").arg(daemon.config_path());
    command.arg(&cluster[&daemon.host.name].data);
    command.args(["--wait", "1"]).output().unwrap()
}

#[test]
fn a_primary_without_a_majority_is_fenced_before_another_is_promoted() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = start(&cluster);
    assert!(gate(&cluster, &fleet[PRIMARY]).status.success());
    // A standby may start whatever the votes say.
    let standby = gate(&cluster, &fleet["s1"]);
    assert!(
        text(&standby).contains("it is a standby"),
        "{}",
        text(&standby)
    );
    // Nothing happens for longer than a lease.
    pause(8_000);
    assert!(fleet.promoted().is_empty() && !cluster[PRIMARY].is_in_recovery());
    cluster.network().isolate(PRIMARY);
    wait_until("the primary is fenced", SOON, || {
        let log = fleet[PRIMARY].log();
        log.contains("fence_command exited with status 0")
    });
    assert!(fleet.promoted().is_empty(), "{:?}", fleet.promoted());
    fleet[PRIMARY].wait_alert("lease_lost", "was not renewed in time");
    let (winner, _) = fleet.wait_promotion();
    let winner = winner.to_owned();
    wait_until("the new primary takes writes", SOON, || {
        !cluster[&winner].is_in_recovery()
    });
    wait_until("it holds the next term", SOON, || {
        votes(&fleet[&winner])["lease_left"].as_f64() > Some(0.0)
    });
    let closed = gate(&cluster, &fleet[PRIMARY]);
    assert_eq!(closed.status.code(), Some(1), "{}", text(&closed));
    cluster.network().heal();
    wait_until("the old primary knows that it is one no more", SOON, || {
        votes(&fleet[PRIMARY])["held_term"].is_null()
    });
    let closed = gate(&cluster, &fleet[PRIMARY]);
    assert!(
        text(&closed).contains("this daemon holds no term"),
        "{}",
        text(&closed)
    );
    fleet.nobody_promotes_for(4.0);
    voting::replays(&fleet, &VOTERS);
}

#[test]
fn the_guard_fences_where_the_daemon_is_gone() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = start(&cluster);
    // A daemon that comes back in time goes on.
    fleet[PRIMARY].kill_nine();
    fleet[PRIMARY].start();
    pause(8_000);
    assert_eq!(votes(&fleet[PRIMARY])["held_term"], 1);
    assert!(!cluster[PRIMARY].is_in_recovery());
    fleet[PRIMARY].kill_nine();
    let (winner, _) = fleet.wait_promotion();
    let winner = winner.to_owned();
    wait_until("the new primary takes writes", SOON, || {
        !cluster[&winner].is_in_recovery()
    });
    assert!(cluster[PRIMARY].try_query("SELECT 1").is_err());
}

#[test]
fn a_fenced_primary_is_started_again_when_its_voters_come_back() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = start_with(&cluster, |cluster, daemon| {
        daemon.config["max_failover_replication_time_lag"] = json!(60);
        daemon.config["unfence_command"] = voting::start_command(cluster, daemon);
    });
    cluster[PRIMARY].insert_rows(10);
    for name in ["s1", "s2"] {
        fleet[name].kill_nine();
    }
    wait_until("the primary is fenced", SOON, || {
        let log = fleet[PRIMARY].log();
        log.contains("fence_command exited with status 0")
    });
    assert!(cluster[PRIMARY].try_query("SELECT 1").is_err());
    // Not without a majority.
    pause(4_000);
    assert!(cluster[PRIMARY].try_query("SELECT 1").is_err());
    fleet["s1"].start();
    wait_until("the primary takes writes again", SOON, || {
        let is_standby = cluster[PRIMARY].try_query("SELECT pg_is_in_recovery()");
        is_standby.is_ok_and(|it| it.trim() == "f")
    });
    cluster[PRIMARY].insert_rows(10);
    let log = fleet[PRIMARY].log();
    assert!(
        log.contains("starting the fenced server by unfence_command"),
        "{log}"
    );
    pause(7_000);
    assert_eq!(votes(&fleet[PRIMARY])["held_term"], 1);
    assert!(votes(&fleet[PRIMARY])["lease_left"].as_f64() > Some(0.0));
    assert!(!cluster[PRIMARY].is_in_recovery() && fleet.promoted().is_empty());
    fleet["s2"].start();
    voting::replays(&fleet, &VOTERS);
}

/// Until it is told to stop, the server takes commits: how long that takes must not grow with the
/// processes of the host.
#[test]
fn fence_self_stops_the_server_before_it_looks_for_what_is_left() {
    let Some(cluster) = Cluster::start(&[]) else {
        return;
    };
    let (server, slow) = (&cluster[PRIMARY], cluster.dir().join("slow"));
    let (readlink, program) = (slow.join("readlink"), slow.join("fence-self"));
    fs::create_dir(&slow).unwrap();
    let text = "#!/bin/sh\nsleep 1\nPATH=${PATH#*:} exec readlink \"$@\"\n";
    fs::write(&readlink, text).unwrap();
    fs::set_permissions(&readlink, Permissions::from_mode(0o755)).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/failover/fence-self");
    fs::copy(source, &program).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut fence = server.host.command("bash", Account::Server);
    fence.arg(&program).arg(&server.data);
    fence.env("PATH", format!("{}:{path}", slow.display()));
    let begun = Instant::now();
    let mut running = fence.spawn().unwrap();
    wait_until("the server is down", SOON, || {
        server.try_query("SELECT 1").is_err()
    });
    // It has more processes than seconds in this.
    assert!(begun.elapsed().as_secs() < 4, "{:?}", begun.elapsed());
    assert!(running.wait().unwrap().success());
}
