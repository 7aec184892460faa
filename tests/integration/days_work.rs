//! What an operator does with the steps `switchover` and `rejoin` of `packaging/failover/`, on real
//! servers, beside running daemons: a planned change of the primary, and an old primary brought back.

mod changes;

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::failover_steps::{step, steps_in};
use crate::harness::fleet::script_command;
use crate::harness::host::{Account, give_to_server};
use crate::harness::node::Server;
use crate::harness::postgres::{Postgres, append};
use crate::harness::run_dir::run;
use crate::harness::{Cluster, Fleet, SOON, or_skip, pause, wait_until};

/// The failover limit of the daemons here, which `switchover` is told.
const LIMIT: f64 = 10.0;

/// Servers whose account can write beside their data, with the settings that pg_rewind needs or
/// without them. `None`: the test cannot run here.
fn cluster_of(standbys: &[&str], settings: &str) -> Option<Cluster> {
    let mut cluster = Cluster::prepare(standbys)?;
    let needed = ["pg_controldata", "pg_rewind", "pg_waldump"];
    let missing = |name: &&str| !cluster.postgres.program(name).exists();
    or_skip(match needed.iter().find(|name| missing(name)) {
        Some(name) => Err(format!("this PostgreSQL has no {name}")),
        None => Ok(()),
    })?;
    for server in cluster.servers() {
        append(&server.data.join("postgresql.conf"), settings);
    }
    give_to_server(cluster.dir());
    cluster.start_all();
    // Whom a step starts writes its log as its own account.
    for server in cluster.servers() {
        give_to_server(&server.log());
    }
    Some(cluster)
}

fn fleet_of(cluster: &Cluster) -> Fleet {
    Fleet::start(cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(LIMIT)
    })
}

/// A libpq string of a superuser.
fn connection(server: &Server) -> String {
    format!("host={} user=postgres dbname=postgres", server.host.address)
}

/// A command for one of PostgreSQL's programs, as a shell of the server's account is given it.
fn shell_command(postgres: &Postgres, program: &str, server: &Server, rest: &str) -> String {
    let program = postgres.program(program);
    format!(
        "'{}' -D '{}' {rest}",
        program.display(),
        server.data.display()
    )
}

fn stop_command(cluster: &Cluster, server: &Server, mode: &str) -> String {
    let rest = format!("stop -w -m {mode} >/dev/null");
    shell_command(cluster.postgres, "pg_ctl", server, &rest)
}

fn start_command(cluster: &Cluster, server: &Server) -> String {
    let (log, address) = (server.log(), server.host.address);
    let rest = format!(
        "start -w -l '{}' -o '-c listen_addresses={address}' >/dev/null",
        log.display()
    );
    shell_command(cluster.postgres, "pg_ctl", server, &rest)
}

/// `switchover` from one server to another, which stops the old one like this.
fn switchover(cluster: &Cluster, from: &str, to: &str, stop: &str) -> Command {
    let (from, to) = (&cluster[from], &cluster[to]);
    let program = cluster.dir().join("failover/switchover");
    let mut command = step(&to.host, Account::Server, cluster.postgres, &program);
    let controldata = shell_command(cluster.postgres, "pg_controldata", from, "");
    command
        .args(["--primary", &connection(from)])
        .args(["--standby", &connection(to)])
        .args(["--stop-primary", stop])
        .args(["--start-primary", &start_command(cluster, from)])
        .args(["--controldata", &controldata])
        .args(["--limit", &LIMIT.to_string()])
        .arg("--data")
        .arg(&to.data);
    command
}

/// `rejoin` of a stopped server as a standby of another.
fn rejoin(cluster: &Cluster, name: &str, primary: &str) -> Command {
    let (server, primary) = (&cluster[name], &cluster[primary]);
    let program = cluster.dir().join("failover/rejoin");
    let mut command = step(&server.host, Account::Server, cluster.postgres, &program);
    command
        .args(["--source", &connection(primary)])
        .args(["--conninfo", &server.conninfo_for_streaming(&primary.host)])
        .args(["--start", &start_command(cluster, server)])
        .args(["--local", &connection(server)])
        .args(["--timeout", "20"])
        .arg("--data")
        .arg(&server.data);
    command
}

/// The command as a line for a shell.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

/// Runs it; what it printed.
#[track_caller]
fn exits_with(status: i32, command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert_eq!(output.status.code(), Some(status), "{printed}");
    printed
}

fn wait_known(fleet: &mut Fleet, primary: &str) {
    for daemon in fleet.iter_mut() {
        wait_until("every daemon knows the primary", SOON, || {
            daemon.current_primary().as_deref() == Some(primary)
        });
    }
}

#[track_caller]
fn no_daemon_acted(fleet: &mut Fleet) {
    assert_eq!(fleet.promoted(), [""; 0]);
    for daemon in fleet.iter_mut() {
        for alert in [
            "multiple_master_warning",
            "failover_has_happened",
            "failover_failed",
            "failover_stuck",
            "diverged_standby",
        ] {
            assert_eq!(daemon.alert(alert), None, "{}", daemon.host.name);
        }
    }
}

/// Inserts numbers into the table on whichever of these takes them; those that were acknowledged.
fn write_numbers(cluster: &Cluster, names: &[&str], is_over: &AtomicBool) -> Vec<u32> {
    let mut acknowledged = Vec::new();
    for number in 1.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let statement = format!("INSERT INTO numbers VALUES ({number})");
        let accepts = |name: &&&str| cluster[**name].try_query(&statement).is_ok();
        if names.iter().find(accepts).is_some() {
            acknowledged.push(number);
        }
        pause(10);
    }
    acknowledged
}

#[test]
fn a_switchover_there_and_back_loses_no_row_and_no_daemon_acts() {
    let Some(cluster) = cluster_of(&["s1"], "") else {
        return;
    };
    steps_in(cluster.dir());
    cluster["p"].query("CREATE TABLE numbers (n integer)");
    let mut fleet = fleet_of(&cluster);
    let is_over = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_numbers(&cluster, &["p", "s1"], &is_over));
        for (from, to) in [("p", "s1"), ("s1", "p")] {
            let stop = stop_command(&cluster, &cluster[from], "fast");
            let mut command = switchover(&cluster, from, to, &stop);
            command.args(["--follow", &line(&rejoin(&cluster, from, to))]);

            let mut dry = switchover(&cluster, from, to, &stop);
            let printed = exits_with(0, dry.arg("--dry-run"));
            assert!(printed.contains(&stop), "{printed}");
            assert_eq!(cluster.primaries(), [from]);

            let printed = exits_with(0, &mut command);
            assert!(printed.contains("has not diverged"), "{printed}");
            assert_eq!(cluster.primaries(), [to]);
            assert!(cluster[from].is_in_recovery());
            wait_known(&mut fleet, to);
        }
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    let there = cluster["p"].query("SELECT string_agg(n::text, ' ') FROM numbers");
    let there: Vec<u32> = there.split(' ').map(|n| n.parse().unwrap()).collect();
    let lost = acknowledged.iter().filter(|n| !there.contains(n));
    assert_eq!(lost.count(), 0);
    cluster.wait_caught_up("s1");
    no_daemon_acted(&mut fleet);
}

#[test]
fn a_switchover_that_is_given_up_leaves_primary_and_standby_as_they_were() {
    let Some(cluster) = cluster_of(&["s1", "s2"], "") else {
        return;
    };
    steps_in(cluster.dir());
    let mut fleet = fleet_of(&cluster);
    let fast = stop_command(&cluster, &cluster["p"], "fast");
    let is_as_it_was = || {
        assert_eq!(cluster.primaries(), ["p"]);
        cluster.wait_streaming(2);
        assert!(cluster["s1"].is_in_recovery());
    };

    // Wrong usage, and what can be known beforehand.
    let mut bare = switchover(&cluster, "p", "s1", &fast);
    exits_with(64, bare.args(["--limit", "soon"]));
    let mut with_password = switchover(&cluster, "p", "s1", &fast);
    let printed = exits_with(64, with_password.args(["--other", "password=hunter2"]));
    assert!(!printed.contains("hunter2"), "{printed}");
    exits_with(1, &mut switchover(&cluster, "s1", "p", &fast));
    cluster["s1"].pause_replay();
    let printed = exits_with(1, &mut switchover(&cluster, "p", "s1", &fast));
    assert!(printed.contains("replay is paused"), "{printed}");
    cluster["s1"].resume_replay();
    is_as_it_was();

    // The stop fails.
    exits_with(2, &mut switchover(&cluster, "p", "s1", "exit 7"));
    is_as_it_was();

    // The stop is not clean: the standby may lack something, and the primary is started again.
    let immediate = stop_command(&cluster, &cluster["p"], "immediate");
    let printed = exits_with(2, &mut switchover(&cluster, "p", "s1", &immediate));
    assert!(printed.contains("not shut down cleanly"), "{printed}");
    is_as_it_was();

    // The standby does not replay all of it in time, and the primary is started again.
    let psql = format!("'{}'", cluster.postgres.psql.display());
    let pausing = format!(
        "{psql} -q -d '{}' -c 'SELECT pg_wal_replay_pause()' >/dev/null; {fast}",
        connection(&cluster["s1"])
    );
    let mut command = switchover(&cluster, "p", "s1", &pausing);
    let printed = exits_with(2, command.args(["--limit", "4"]));
    assert!(printed.contains("has not replayed everything"), "{printed}");
    cluster["s1"].resume_replay();
    is_as_it_was();
    no_daemon_acted(&mut fleet);
}

#[test]
fn an_old_primary_that_diverged_is_rewound_and_its_daemon_leaves_its_settings_alone() {
    let Some(mut cluster) = cluster_of(&["s1"], "wal_log_hints = on\n") else {
        return;
    };
    steps_in(cluster.dir());
    let mut fleet = Fleet::prepare(&cluster, |name, config| {
        config["max_failover_replication_time_lag"] = json!(2.0 * LIMIT);
        if name == "p" {
            config["autofollow"] = json!(true);
            config["pg_data_directory"] = json!(cluster["p"].data);
            config["primary_conninfo_template"] =
                json!({"user": "postgres", "application_name": "p", "connect_timeout": 2});
        }
    });
    let restarted = fleet["p"].path("restarted");
    let note = format!("touch '{}'\n", restarted.display());
    for key in ["pg_stop_command", "pg_start_command"] {
        fleet["p"].config[key] = script_command(&fleet["p"], key, &note);
    }
    fleet.start_all();
    fleet.wait_settled();

    // Rows that the standby never gets.
    let rows = cluster["p"].insert_rows(10);
    cluster.wait_caught_up("s1");
    cluster["s1"].stop_fast();
    cluster["p"].insert_rows(1000);
    exits_with(1, &mut rejoin(&cluster, "p", "s1"));
    cluster["p"].kill_nine_all();
    cluster["s1"].start();
    cluster["s1"].query("SELECT pg_promote()");
    wait_known(&mut fleet, "s1");

    let control = || {
        run(Command::new(cluster.postgres.program("pg_controldata"))
            .arg("-D")
            .arg(&cluster["p"].data))
        .unwrap()
    };
    let before = control();
    let printed = exits_with(0, rejoin(&cluster, "p", "s1").arg("--dry-run"));
    assert!(printed.contains("pg_rewind"), "{printed}");
    assert_eq!(control(), before);
    assert!(!cluster["p"].data.join("standby.signal").exists());

    let printed = exits_with(0, &mut rejoin(&cluster, "p", "s1"));
    assert!(printed.contains("has diverged"), "{printed}");
    assert!(cluster["p"].is_in_recovery());
    cluster["s1"].insert_rows(1);
    let expected = (rows.parse::<u32>().unwrap() + 1).to_string();
    wait_until("the new primary's rows arrive", SOON, || {
        cluster["p"].query("SELECT count(*) FROM rows") == expected
    });
    // pg_rewind copies the new primary's settings; this server has its own again.
    assert_eq!(cluster["p"].query("SHOW cluster_name"), "p");

    // Its daemon has looked at the settings, and has nothing to change.
    fleet["p"].reload();
    pause(2000);
    assert!(!restarted.exists(), "{}", fleet["p"].log());
    assert_eq!(fleet.promoted(), [""; 0]);
}

#[test]
fn who_cannot_be_rewound_is_left_alone_until_a_base_backup_is_asked_for() {
    let Some(mut cluster) = cluster_of(&["s1"], "wal_log_hints = off\n") else {
        return;
    };
    steps_in(cluster.dir());
    cluster["s1"].stop_fast();
    cluster["p"].insert_rows(1000);
    cluster["p"].stop_fast();
    cluster["s1"].start();
    cluster["s1"].query("SELECT pg_promote()");
    cluster["s1"].insert_rows(1);

    // Another server than was meant; somebody else's account; no way to log in.
    let stranger = cluster.dir().join("stranger");
    let mut initdb = cluster["p"]
        .host
        .command(cluster.postgres.program("initdb"), Account::Server);
    run(initdb.args(["-N", "-U", "postgres", "-D"]).arg(&stranger)).unwrap();
    let mut of_stranger = rejoin(&cluster, "p", "s1");
    let printed = exits_with(1, of_stranger.arg("--data").arg(&stranger));
    assert!(printed.contains("of another system"), "{printed}");
    let mut as_guest = rejoin(&cluster, "p", "s1");
    let conninfo = format!("host={} user=guest", cluster["s1"].host.address);
    let printed = exits_with(1, as_guest.args(["--conninfo", &conninfo]));
    assert!(printed.contains("could not stream"), "{printed}");

    let has_checksums = cluster["s1"].query("SHOW data_checksums") == "on";
    if has_checksums {
        return;
    }
    let printed = exits_with(1, &mut rejoin(&cluster, "p", "s1"));
    assert!(printed.contains("neither wal_log_hints"), "{printed}");
    let mut files = fs::read_dir(cluster.dir()).unwrap();
    assert!(!files.any(|file| file.unwrap().file_name() == "p.old"));

    exits_with(0, rejoin(&cluster, "p", "s1").arg("--base-backup"));
    assert!(cluster["p"].is_in_recovery());
    let rows = cluster["s1"].query("SELECT count(*) FROM rows");
    wait_until("the new primary's rows are there", SOON, || {
        cluster["p"].query("SELECT count(*) FROM rows") == rows
    });
    assert_eq!(cluster["p"].query("SHOW cluster_name"), "p");
    assert!(cluster.dir().join("p.old/PG_VERSION").exists());
}
