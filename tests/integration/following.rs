//! Standbys that follow a new primary on real servers: settings rewritten, restarted, streaming
//! from it; and who is never restarted.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::fleet::{LIMIT, script_command};
use crate::harness::host::server_account;
use crate::harness::postgres::append;
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};

/// Who streams, with a password that every layer of quoting wants to change.
const STREAMER: &str = "streamer";
const PASSWORD: &str = r#"it's "a\b" $1 \\'' #"#;

/// A cluster whose standbys stream as somebody else than their daemons will have it.
pub(crate) fn cluster_of(standbys: &[&str]) -> Option<Cluster> {
    let mut cluster = Cluster::prepare(standbys)?;
    let line = format!("host replication {STREAMER} 0.0.0.0/0 scram-sha-256\n");
    cluster
        .servers()
        .for_each(|server| append(&server.data.join("pg_hba.conf"), &line));
    cluster["p"].start();
    let password = PASSWORD.replace('\'', "''");
    cluster["p"].query(&format!(
        "CREATE USER {STREAMER} REPLICATION PASSWORD '{password}'"
    ));
    standbys.iter().for_each(|name| cluster[name].start());
    cluster.wait_streaming(standbys.len());
    Some(cluster)
}

/// Daemons that follow. Each start and stop of a server is a word in its daemon's file `restarts`;
/// `before_stop` is run by every stop. Two servers are restarted as soon as they start, so that
/// time is short only where it has to be.
pub(crate) fn fleet_of(cluster: &Cluster, limit: f64, before_stop: &str) -> Fleet {
    let mut fleet = Fleet::prepare(cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(limit);
        config["poll_timeout"] = json!(3.0);
    });
    for server in cluster.servers() {
        let daemon = &mut fleet[&server.host.name];
        let account = server_account().map_or(String::new(), |(uid, gid)| {
            format!("setpriv --reuid={uid} --regid={gid} --clear-groups ")
        });
        // By a link, as many a mount has it.
        let (data, log) = (daemon.path("data"), server.log());
        symlink(&server.data, &data).unwrap();
        let pg_ctl = format!(
            "exec {account}'{}' -D '{}' -w",
            cluster.postgres.program("pg_ctl").display(),
            data.display()
        );
        let note = format!(">> '{}'", restarts_path(daemon).display());
        let stop = format!("echo stop {note}\n{before_stop}\n{pg_ctl} stop -m fast\n");
        let listen = format!("-c listen_addresses={}", server.host.address);
        let start = format!(
            "echo start {note}\n{pg_ctl} start -l '{}' -o '{listen}'\n",
            log.display()
        );
        daemon.config["pg_stop_command"] = script_command(daemon, "stop", &stop);
        daemon.config["pg_start_command"] = script_command(daemon, "start", &start);
        daemon.config["autofollow"] = json!(true);
        daemon.config["pg_data_directory"] = json!(data);
        daemon.config["primary_conninfo_template"] = json!({
            "host": "192.0.2.1", "user": STREAMER, "password": PASSWORD, "connect_timeout": 2,
            "application_name": server.host.name,
        });
    }
    if server_account().is_some() {
        // The server's own account writes its log.
        cluster
            .servers()
            .for_each(|server| crate::harness::host::give_to_server(&server.log()));
    }
    fleet.start_all();
    fleet
}

fn restarts_path(daemon: &Daemon) -> PathBuf {
    daemon.path("restarts")
}

/// The words of the daemon's starts and stops so far.
pub(crate) fn restarts(daemon: &Daemon) -> String {
    fs::read_to_string(restarts_path(daemon))
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[track_caller]
pub(crate) fn wait_followed(cluster: &Cluster, primary: &str, standbys: &[&str]) {
    let query = format!(
        "SELECT string_agg(application_name, ' ' ORDER BY application_name) FROM pg_stat_replication
         WHERE state = 'streaming' AND usename = '{STREAMER}'"
    );
    wait_until(&format!("{standbys:?} stream from {primary}"), SOON, || {
        cluster[primary]
            .try_query(&query)
            .is_ok_and(|names| names == standbys.join(" "))
    });
}

#[test]
fn the_other_standby_follows_the_one_that_was_promoted_and_the_old_primary_is_left_alone() {
    let Some(mut cluster) = cluster_of(&["s1", "s2"]) else {
        return;
    };
    let settings =
        |cluster: &Cluster, name: &str| cluster[name].recovery_settings("postgresql.auto.conf");
    let like = fs::metadata(settings(&cluster, "s1")).unwrap();
    let fleet = fleet_of(&cluster, 2.0 * LIMIT, "");
    // At the first check: postgresql.conf differs from the template.
    wait_followed(&cluster, "p", &["s1", "s2"]);
    fleet.wait_settled();
    assert_eq!(
        [
            restarts(&fleet["p"]),
            restarts(&fleet["s1"]),
            restarts(&fleet["s2"])
        ],
        ["", "stop start", "stop start"]
    );

    cluster["p"].kill_nine_all();
    let winner = fleet.wait_promotion().0.to_owned();
    let other = if winner == "s1" { "s2" } else { "s1" };
    wait_followed(&cluster, &winner, &[other]);
    let rows = cluster[&winner].insert_rows(10);
    wait_until("the rows arrive", SOON, || {
        cluster[other].query("SELECT count(*) FROM rows") == rows
    });
    assert!(cluster[other].is_in_recovery());
    assert_eq!(restarts(&fleet[other]), "stop start stop start");
    assert_eq!(
        restarts(&fleet[&winner]),
        "stop start",
        "the new primary itself is not restarted"
    );

    let found = fs::metadata(settings(&cluster, other)).unwrap();
    assert_eq!(
        (found.mode(), found.uid(), found.gid()),
        (like.mode(), like.uid(), like.gid())
    );
    let conninfo = cluster[other].query("SELECT conninfo FROM pg_stat_wal_receiver");
    assert!(
        conninfo.contains(&format!("host={}", cluster[&winner].host.address)),
        "{conninfo}"
    );
    assert!(
        !fleet[other].log().contains("it's"),
        "the password is in the log"
    );

    // The old primary: its daemon has its word for what it was, and lets it lie.
    fleet["p"].wait_alert("cannot_follow", "");
    cluster["p"].start();
    fleet[other].wait_alert("multiple_master_warning", "");
    fleet["p"].reload();
    pause((LIMIT * 1000.0) as u64);
    assert_eq!(restarts(&fleet["p"]), "");
    assert_eq!(
        restarts(&fleet[other]),
        "stop start stop start",
        "nobody follows one of two primaries anew"
    );
    assert!(!fleet[other].has_alert("cannot_follow"));
}

#[test]
fn a_daemon_that_starts_beside_a_stopped_previous_primary_waits() {
    let Some(mut cluster) = cluster_of(&["s1"]) else {
        return;
    };
    let mut fleet = fleet_of(&cluster, 2.0 * LIMIT, "");
    wait_followed(&cluster, "p", &["s1"]);
    fleet.wait_settled();
    cluster["p"].kill_nine_all();
    fleet["p"].stop();
    fleet.wait_promotion();
    fleet["p"].start();
    wait_until("it knows the new primary", SOON, || {
        fleet["p"].current_primary().as_deref() == Some("s1")
    });
    pause(2000);
    assert_eq!(restarts(&fleet["p"]), "");
    // Made a standby, its role known: it follows like any other. Its history has branched off, so
    // that is all that it can do.
    cluster["p"].make_standby();
    cluster["p"].start();
    wait_until("it is restarted", SOON, || {
        restarts(&fleet["p"]) == "stop start"
    });
}

#[test]
fn a_stop_that_fails_is_repeated_though_the_settings_are_right_by_then() {
    let Some(cluster) = cluster_of(&["s1"]) else {
        return;
    };
    let fleet = fleet_of(
        &cluster,
        60.0,
        "[ -e ../twice ] || { [ -e ../once ] && touch ../twice; touch ../once; exit 7; }",
    );
    wait_followed(&cluster, "p", &["s1"]);
    assert_eq!(restarts(&fleet["s1"]), "stop start stop start stop start");
    assert!(
        fleet["s1"]
            .log()
            .contains("pg_stop_command exited with status 7")
    );
    fleet.wait_settled();
    let mut settled: Value = fleet["s1"].config.clone();
    settled["pg_stop_command"] = json!("false");
    fleet["s1"].reload_text(&settled.to_string());
    pause(2000);
    assert_eq!(
        restarts(&fleet["s1"]),
        "stop start stop start stop start",
        "a reload that changes nothing restarts nothing"
    );
}
