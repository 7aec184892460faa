//! Changes that are made on one host after the other: `servers`, `maintenance`, a restart of each daemon.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{exits_with, no_daemon_acted};
use crate::failover_steps::{step, steps_in};
use crate::harness::daemon::Daemon;
use crate::harness::host::Account;
use crate::harness::postgres::USER;
use crate::harness::{Cluster, Fleet, SOON, pause, wait_until};

/// A step for the daemon of this host, with the configuration that it has.
fn step_of(cluster: &Cluster, daemon: &Daemon, program: &str, arguments: &[&str]) -> Command {
    let program = cluster.dir().join("failover").join(program);
    let mut command = step(&daemon.host, Account::Own, cluster.postgres, &program);
    command
        .env("PGLOOKOUT", env!("CARGO_BIN_EXE_pglookout"))
        .args(arguments)
        .arg("--config")
        .arg(daemon.config_path());
    command
}

fn servers(cluster: &Cluster, daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = step_of(cluster, daemon, "servers", arguments);
    command.args(["--reload", &format!("kill -HUP {}", daemon.pid())]);
    command
}

fn server_names(daemon: &Daemon) -> Vec<String> {
    let state = daemon.state();
    let nodes = state.as_object().unwrap();
    nodes.keys().cloned().collect()
}

fn files_beside(path: &Path) -> usize {
    fs::read_dir(path.parent().unwrap()).unwrap().count()
}

#[track_caller]
fn no_alert_stands(fleet: &mut Fleet) {
    no_daemon_acted(fleet);
    for daemon in fleet.iter_mut() {
        let alerts = fs::read_dir(daemon.path("alerts")).unwrap();
        assert_eq!(alerts.count(), 0, "{}", daemon.host.name);
    }
}

#[test]
fn a_server_is_added_renamed_and_removed_on_one_host_after_the_other() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    steps_in(cluster.dir());
    let hosts = ["p", "s1", "o"];
    let mut fleet = Fleet::prepare(&cluster, |name, config| {
        if name != "s2" {
            config["remote_conns"].as_object_mut().unwrap().remove("s2");
        }
    });
    for name in hosts {
        fleet[name].start();
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(fleet[name].config_path(), private).unwrap();
        wait_until("the daemon knows the primary", SOON, || {
            fleet[name].current_primary().as_deref() == Some("p")
        });
    }
    let address = cluster["s2"].host.address.to_string();
    let add = ["add", "s2", "--like", "s1", "--host", &address];

    // What is refused changes nothing, and neither does a dry run.
    let path = fleet["s1"].config_path();
    let before = (fs::read(&path).unwrap(), files_beside(&path));
    let refused: [(&[&str], &str); 6] = [
        (&["remove", "p"], "p is the primary"),
        (&["remove", "s1"], "this is the host of s1"),
        (&["rename", "s1", "p"], "there is a server p already"),
        (&["add", "p", "--like", "s1", "--host", "::1"], "already"),
        (
            &["add", "x", "--like", "s1", "--host", "127.0.0.9"],
            "does not answer",
        ),
        (&["rename", "x", "y"], "there is no server x"),
    ];
    for (arguments, reason) in refused {
        let printed = exits_with(1, &mut servers(&cluster, &fleet["s1"], arguments));
        assert!(printed.contains(reason), "{printed}");
    }
    let with_password = ["add", "x", "--connection", "host=x password=hunter2"];
    let printed = exits_with(64, &mut servers(&cluster, &fleet["s1"], &with_password));
    assert!(!printed.contains("hunter2"), "{printed}");
    exits_with(0, servers(&cluster, &fleet["s1"], &add).arg("--dry-run"));
    assert_eq!((fs::read(&path).unwrap(), files_beside(&path)), before);

    for name in hosts {
        let path = fleet[name].config_path();
        let before = fs::metadata(&path).unwrap();
        let printed = exits_with(0, &mut servers(&cluster, &fleet[name], &add));
        let is_last = printed.contains("all daemons that servers show have the same settings");
        assert_eq!(is_last, name == "o", "{printed}");
        assert_eq!(server_names(&fleet[name]), ["p", "s1", "s2"]);
        let after = fs::metadata(&path).unwrap();
        assert_eq!(
            (after.mode(), after.uid(), after.gid()),
            (before.mode(), before.uid(), before.gid())
        );
    }
    assert_eq!(
        files_beside(&path),
        before.1 + 1,
        "the copy of the old file"
    );
    // Once more: the file is as wanted.
    exits_with(0, &mut servers(&cluster, &fleet["s1"], &add));
    assert_eq!(files_beside(&path), before.1 + 1);
    fleet["s2"].start();

    for name in ["s2", "p", "s1", "o"] {
        exits_with(
            0,
            &mut servers(&cluster, &fleet[name], &["rename", "s2", "db2"]),
        );
        assert_eq!(server_names(&fleet[name]), ["db2", "p", "s1"]);
    }
    let config: Value =
        serde_json::from_slice(&fs::read(fleet["s2"].config_path()).unwrap()).unwrap();
    assert_eq!(config["own_db"], "db2");

    let remove = ["remove", "db2"];
    let mut printed = String::new();
    wait_until("the daemon of db2 is seen", SOON, || {
        let output = servers(
            &cluster,
            &fleet["p"],
            &[&remove[..], &["--dry-run"]].concat(),
        )
        .output();
        printed = String::from_utf8(output.unwrap().stderr).unwrap();
        printed.contains("still runs")
    });
    fleet["s2"].stop();
    wait_until("its daemon is gone", SOON, || {
        let mut dry = servers(
            &cluster,
            &fleet["p"],
            &[&remove[..], &["--dry-run"]].concat(),
        );
        dry.output().unwrap().status.success()
    });
    for name in hosts {
        exits_with(0, &mut servers(&cluster, &fleet[name], &remove));
        assert_eq!(server_names(&fleet[name]), ["p", "s1"]);
    }
    no_alert_stands(&mut fleet);
}

/// Ends every session of the daemons, so that each must log in anew, and waits until all have.
fn log_in_anew(cluster: &Cluster, fleet: &mut Fleet) {
    let servers = ["p", "s1"];
    let before = servers.map(|name| sessions_of(cluster, name));
    servers
        .iter()
        .for_each(|name| cluster[*name].disconnect_daemons());
    let is_polled = |daemon: &Daemon| {
        let state = daemon.state();
        let nodes = state.as_object().unwrap();
        nodes.values().all(|node| node["connection"] == true)
    };
    wait_until("every daemon has logged in anew", SOON, || {
        let now = servers.map(|name| sessions_of(cluster, name));
        let is_new = |(now, before): (&Vec<String>, &Vec<String>)| {
            now.len() == DAEMONS && now.iter().all(|pid| !before.contains(pid))
        };
        now.iter().zip(&before).all(is_new)
    });
    for daemon in fleet.iter_mut() {
        wait_until("the daemon polls everybody", SOON, || is_polled(daemon));
    }
}

/// Of p, s1 and the observer.
const DAEMONS: usize = 3;

/// The server processes of the daemons' sessions.
fn sessions_of(cluster: &Cluster, name: &str) -> Vec<String> {
    let query =
        format!("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE usename = '{USER}'");
    let found = cluster[name].query(&query);
    found.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_password_is_changed_while_sessions_are_lost_between_all_steps() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    steps_in(cluster.dir());
    let mut fleet = Fleet::start(&cluster, |_, _| {});
    let file = cluster.dir().join("new-password");
    let new = "another one, quoted: it's";
    fs::write(&file, format!("{new}\n")).unwrap();
    let file = file.to_str().unwrap();
    let change = |step: &'static str| [step, USER, "--password-file", file];
    let names = ["p", "s1", "o"];

    let mut stranger = servers(
        &cluster,
        &fleet["s1"],
        &["next-password", "nobody", "--password-file", file],
    );
    let printed = exits_with(1, &mut stranger);
    assert!(
        printed.contains("no server is connected to as nobody"),
        "{printed}"
    );
    let mut early = servers(&cluster, &fleet["s1"], &change("password"));
    let printed = exits_with(1, early.args(["--timeout", "1"]));
    assert!(
        printed.contains("the new password is rejected"),
        "{printed}"
    );
    let before = fs::read(fleet["s1"].config_path()).unwrap();
    let mut dry = servers(&cluster, &fleet["s1"], &change("next-password"));
    let printed = exits_with(0, dry.arg("--dry-run"));
    assert!(printed.contains("would run: kill -HUP"), "{printed}");
    assert_eq!(fs::read(fleet["s1"].config_path()).unwrap(), before);

    for name in names {
        let printed = exits_with(
            0,
            &mut servers(&cluster, &fleet[name], &change("next-password")),
        );
        assert!(!printed.contains(new), "{printed}");
        log_in_anew(&cluster, &mut fleet);
    }
    // The primary has the new one, the standby not yet.
    cluster["s1"].pause_replay();
    let quoted = new.replace('\'', "''");
    cluster["p"].query(&format!("ALTER ROLE {USER} PASSWORD '{quoted}'"));
    log_in_anew(&cluster, &mut fleet);
    cluster["s1"].resume_replay();
    cluster.wait_caught_up("s1");
    log_in_anew(&cluster, &mut fleet);
    for name in names {
        let printed = exits_with(0, &mut servers(&cluster, &fleet[name], &change("password")));
        assert!(!printed.contains(new), "{printed}");
        log_in_anew(&cluster, &mut fleet);
        let config: Value =
            serde_json::from_slice(&fs::read(fleet[name].config_path()).unwrap()).unwrap();
        assert_eq!(config.get("next_passwords"), None);
    }
    for daemon in fleet.iter_mut() {
        let log = daemon.log();
        assert!(!log.contains("rejected"), "{log}");
        assert!(!log.contains(new), "{log}");
    }
    // That the primary is lost again and again, here for a moment, is an alert of its own.
    no_daemon_acted(&mut fleet);
    for daemon in fleet.iter_mut() {
        assert_eq!(daemon.alert("authentication_error"), None);
    }
}

#[test]
fn a_standby_in_maintenance_is_passed_over_until_it_is_put_back() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    steps_in(cluster.dir());
    let fleet = Fleet::start(&cluster, |_, _| {});
    let maintenance =
        |name: &str, arguments: &[&str]| step_of(&cluster, &fleet[name], "maintenance", arguments);
    let printed = exits_with(1, &mut maintenance("p", &["begin"]));
    assert!(printed.contains("p is the primary"), "{printed}");
    exits_with(1, &mut maintenance("o", &["begin"]));
    exits_with(64, &mut maintenance("s2", &["begin", "--start", "true"]));
    let mark = fleet["s2"].path("maintenance");
    exits_with(0, &mut maintenance("s2", &["begin", "--dry-run"]));
    assert!(!mark.exists());

    let printed = exits_with(0, &mut maintenance("s2", &["begin"]));
    assert!(printed.contains("left are: s1"), "{printed}");
    assert!(!printed.contains("not asked"), "{printed}");
    assert!(mark.exists());
    // The only other one cannot go as well.
    let printed = exits_with(1, &mut maintenance("s1", &["begin"]));
    assert!(printed.contains("no other standby"), "{printed}");
    exits_with(0, &mut maintenance("s2", &["end"]));
    assert!(!mark.exists());

    let stopped = cluster.dir().join("stopped");
    let stop = format!("touch '{}'", stopped.display());
    exits_with(0, &mut maintenance("s2", &["begin", "--stop", &stop]));
    assert!(stopped.exists());
    cluster["p"].kill_nine_all();
    assert_eq!(fleet.wait_promotion().0, "s1");
}

#[test]
fn daemons_that_are_restarted_one_after_the_other_raise_nothing() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| {});
    for name in ["s2", "s1", "o", "p"] {
        fleet[name].stop();
        fleet[name].start();
        wait_until("it reaches all servers", SOON, || {
            let state = fleet[name].state();
            let nodes = state.as_object().unwrap();
            nodes.len() == 3 && nodes.values().all(|node| node["connection"] == true)
        });
        pause(2000);
        for daemon in fleet.iter_mut() {
            assert_eq!(daemon.current_primary().as_deref(), Some("p"));
        }
    }
    no_alert_stands(&mut fleet);
}
