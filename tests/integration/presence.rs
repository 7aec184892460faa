//! What servers show of themselves and of the daemons: identity, the daemons' sessions, and what
//! becomes of a poll whose later statements are locked, refused or never answered.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::fleet::{INTERVAL, conninfo};
use crate::harness::host::{Account, Host, give_to_server};
use crate::harness::messages::{complete, described, error, login, row};
use crate::harness::postgres::{PASSWORD, USER, append, which};
use crate::harness::run_dir::{Ended, TestDir, run};
use crate::harness::scripted::{Scripted, Step};
use crate::harness::{Cluster, Daemon, Fleet, SOON, or_skip, pause, wait_until};

/// The names under which a server shows daemons, as this daemon passes them on.
pub(crate) fn shown(daemon: &Daemon, node: &str) -> BTreeSet<String> {
    let daemons = daemon.state()[node]["daemons"].clone();
    let list = daemons.as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|daemon| daemon["name"].as_str().unwrap().to_owned())
        .collect()
}

fn shows(daemon: &Daemon, node: &str, names: &[&str]) -> bool {
    let shown = shown(daemon, node);
    names.iter().all(|name| shown.contains(*name))
}

/// Lines of a daemon's log with these words.
fn lines(daemon: &Daemon, words: &str) -> Vec<String> {
    let log = daemon.log();
    let lines = log.lines().filter(|line| line.contains(words));
    lines.map(str::to_owned).collect()
}

fn is_fine(daemon: &Daemon, node: &str) -> bool {
    daemon.state()[node]["connection"] == true
}

#[test]
fn without_the_control_file_there_is_no_system_identifier_and_everything_else() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    for function in ["system", "recovery", "checkpoint"] {
        let revoke = format!("REVOKE EXECUTE ON FUNCTION pg_control_{function}() FROM PUBLIC");
        cluster[PRIMARY].query(&revoke);
    }
    cluster.wait_caught_up("s1");
    let fleet = Fleet::start(&cluster, |_, _| ());
    let watched = &fleet["s1"];
    wait_until("both show the daemons", SOON, || {
        shows(watched, PRIMARY, &["p", "s1"]) && shows(watched, "s1", &["p", "s1"])
    });
    let (primary, standby) = (&watched.state()[PRIMARY], &watched.state()["s1"]);
    for node in [primary, standby] {
        assert_eq!(node["system_identifier"], Value::Null, "{node}");
        assert!(node["postmaster_start_time"].is_string(), "{node}");
    }
    assert_eq!(primary["timeline"], 1);
    assert_eq!(standby["timeline"], Value::Null);
    // The heartbeat goes on: nobody else writes.
    let replayed = || watched.state()["s1"]["pg_last_xact_replay_timestamp"].clone();
    let before = replayed();
    wait_until("the polls are replayed", SOON, || replayed() != before);
    for node in [PRIMARY, "s1"] {
        let logged = lines(watched, &format!("node {node}: system_identifier"));
        assert_eq!(logged.len(), 1, "{logged:#?}");
    }
}

#[test]
fn one_daemon_writes_the_heartbeat_for_all() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    wait_until("the primary shows both", SOON, || {
        shows(&fleet["s1"], PRIMARY, &["p", "s1"])
    });
    pause(1000);
    let count = || -> f64 {
        let count = cluster[PRIMARY].query("SELECT txid_current()");
        count.parse().unwrap()
    };
    let (before, begun) = (count(), seconds_now());
    pause(5000);
    let (written, polls) = (count() - before, (seconds_now() - begun) / INTERVAL);
    println!("{written} transactions in the time of {polls:.1} polls by each of three daemons");
    assert!(written > 2.0, "nobody writes: {written}");
    assert!(written < 1.6 * polls, "{written} in {polls:.1} intervals");
    // Its place is taken.
    fleet["p"].kill_nine();
    let replayed = || fleet["s1"].state()["s1"]["pg_last_xact_replay_timestamp"].clone();
    for _ in 0..3 {
        let before = replayed();
        wait_until("the next is replayed", SOON, || replayed() != before);
    }
}

#[test]
fn a_daemon_that_is_killed_is_shown_no_more() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let observer = pglookout::cluster::daemon_name(&host);
    wait_until("the primary shows all", SOON, || {
        shows(&fleet["s1"], PRIMARY, &["p", "s1", &observer])
            && shown(&fleet["s1"], PRIMARY).len() == 3
    });
    fleet["p"].kill_nine();
    wait_until("it is gone from both servers", SOON, || {
        let gone = |node: &str| !shown(&fleet["s1"], node).contains("p");
        gone(PRIMARY) && gone("s1") && shows(&fleet["s1"], PRIMARY, &["s1"])
    });
}

#[test]
fn the_sessions_of_a_host_that_is_cut_off_end_within_seconds() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(100.0);
    });
    wait_until("the primary shows both", SOON, || {
        shows(&fleet["p"], PRIMARY, &["p", "s1"])
    });
    cluster.network().isolate("s1");
    let sessions = || {
        cluster[PRIMARY].query(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pglookout:s1:%'",
        )
    };
    assert_ne!(sessions(), "0", "nobody has told the server");
    wait_until("the server has noticed", SOON, || sessions() == "0");
    assert!(shows(&fleet["p"], PRIMARY, &["p"]));
}

#[test]
fn a_session_that_the_operator_has_named_keeps_its_name() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |name, config| {
        if name == "s1" {
            let info = config["remote_conns"][PRIMARY].as_str().unwrap().to_owned();
            config["remote_conns"][PRIMARY] = json!(format!("{info} application_name=watch"));
        }
    });
    wait_until("the primary shows the other one", SOON, || {
        shows(&fleet["p"], PRIMARY, &["p"]) && shows(&fleet["s1"], "s1", &["s1", "p"])
    });
    assert_eq!(fleet["s1"].state()[PRIMARY]["daemons"], Value::Null);
    assert!(!shown(&fleet["p"], PRIMARY).contains("s1"));
    let named = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watch'";
    assert_eq!(cluster[PRIMARY].query(named), "1");
}

/// Settings of the daemons' account that would make questions fail that do not choose their own, and
/// functions in the place of those that they mean.
const UNFRIENDLY: &str = "CREATE SCHEMA unfriendly;
    CREATE FUNCTION unfriendly.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
    CREATE FUNCTION unfriendly.int4eq(int, int) RETURNS bool LANGUAGE sql AS 'SELECT false';
    CREATE OPERATOR unfriendly.= (LEFTARG = int, RIGHTARG = int, PROCEDURE = unfriendly.int4eq);
    GRANT USAGE ON SCHEMA unfriendly TO PUBLIC;
    ALTER ROLE pglookout SET search_path = unfriendly, pg_catalog;
    ALTER ROLE pglookout SET default_transaction_isolation = 'serializable';
    ALTER ROLE pglookout SET default_transaction_read_only = on;
    ALTER ROLE pglookout SET default_transaction_deferrable = on;
    ALTER ROLE pglookout SET DateStyle = 'German, DMY';
    ALTER ROLE pglookout SET TimeZone = 'Pacific/Chatham';
    ALTER ROLE pglookout SET IntervalStyle = 'iso_8601';
    ALTER ROLE pglookout SET standard_conforming_strings = off;
    ALTER ROLE pglookout SET backslash_quote = off;
    ALTER ROLE pglookout SET bytea_output = 'escape';
    ALTER ROLE pglookout SET extra_float_digits = -15;
    ALTER ROLE pglookout SET client_encoding = 'EUC_JP';
    ALTER ROLE pglookout SET application_name = 'theirs';
    ALTER ROLE pglookout SET tcp_keepalives_idle = 7200";

#[test]
fn questions_depend_on_no_setting_of_the_role() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    cluster[PRIMARY].query(UNFRIENDLY);
    cluster.wait_caught_up("s1");
    let fleet = Fleet::start(&cluster, |_, _| ());
    let watched = &fleet["s1"];
    for node in [PRIMARY, "s1"] {
        wait_until("both show all", SOON, || shows(watched, node, &["p", "s1"]));
        let state = &watched.state()[node];
        assert!(state["system_identifier"].is_string(), "{state}");
        assert_eq!(state["timeline"], 1, "{state}");
    }
    let warned = lines(watched, "daemon\tWARNING\tnode ");
    assert!(warned.is_empty(), "{warned:#?}");
}

#[test]
fn a_lock_in_the_way_of_a_later_statement_costs_neither_contact_nor_session() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    let sessions = || {
        cluster[PRIMARY].query(
            "SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_get_activity(NULL)
            WHERE application_name LIKE 'pglookout:%'",
        )
    };
    wait_until("all are there", SOON, || {
        shown(&fleet["s1"], PRIMARY).len() == 3
    });
    let before = sessions();
    // What shows slots looks databases up, and so does whoever logs in.
    let mut lock = Command::new(&cluster.postgres.psql);
    lock.args(["-X", "-q", "-U", "postgres", "-d", "postgres", "-c"])
        .arg(
            "BEGIN; LOCK TABLE pg_catalog.pg_database IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6)",
        )
        .arg("-h")
        .arg(cluster[PRIMARY].host.address.to_string())
        .stdout(Stdio::null());
    let mut lock = Ended(lock.spawn().unwrap());
    wait_until("the slots are locked", SOON, || {
        !lines(&fleet["s1"], "55P03").is_empty()
    });
    while lock.0.try_wait().unwrap().is_none() {
        let state = fleet["s1"].state();
        assert_eq!(state[PRIMARY]["connection"], true, "{}", fleet["s1"].log());
        assert!(shows(&fleet["s1"], PRIMARY, &["s1"]), "{state}");
        pause(100);
    }
    assert_eq!(sessions(), before, "{}", fleet["s1"].log());
    fleet.nobody_promotes_for(1.0);
}

const STATUS: &[Option<&str>] = &[
    Some("1714486462789012"),
    Some("f"),
    None,
    None,
    None,
    Some("0/5000060"),
];

const STANDBY: &[Option<&str>] = &[
    Some("1714486462789012"),
    Some("t"),
    None,
    Some("0/5000060"),
    Some("0/5000060"),
    None,
];
/// Those of the servers below that answer the status of every poll, and nothing else.
const STAYING: [&str; 2] = ["silent", "row-only"];

#[test]
fn a_status_stands_whatever_comes_after_it() {
    let dir = TestDir::new();
    let mut daemon = Daemon::prepare(Host::on_loopback("o"), dir.path(), json!({}));
    let whole = [described(), row(STATUS), complete()].concat();
    let standby = [described(), row(STANDBY), complete()].concat();
    let nothing = [described(), row(&[None; 6]), complete()].concat();
    let heartbeat = [described(), row(&[Some("off"), Some("1")]), complete()].concat();
    let slot = [&[Some("s"), Some("p"), Some("logical")][..], &[None; 5]].concat();
    let slots = [described(), row(&slot).repeat(100_000), complete()].concat();
    let later: [(&str, Vec<u8>, Step, &str); 5] = [
        (
            "slots",
            [&whole[..], &nothing, &heartbeat, &slots].concat(),
            Step::Hang,
            "timed out while waiting",
        ),
        (
            "silent",
            standby.clone(),
            Step::Hang,
            "timed out while waiting",
        ),
        (
            "row-only",
            standby[..standby.len() - complete().len()].to_vec(),
            Step::Hang,
            "timed out while waiting",
        ),
        (
            "stopped",
            [&whole[..], &error("FATAL", "57P01", "stop")].concat(),
            Step::Hang,
            "57P01: stop",
        ),
        (
            "garbled",
            [&whole[..], b"?\0\0\0\x04"].concat(),
            Step::Hang,
            "unknown message tag",
        ),
    ];
    daemon.config["poll_timeout"] = json!(1.5);
    daemon.config["db_poll_interval"] = json!(0.25);
    let servers: Vec<_> = later
        .iter()
        .map(|(name, bytes, end, _)| {
            let answers = [Step::Receive, Step::SendBytes(bytes.clone())].into_iter();
            let polls = if STAYING.contains(name) { 1_000 } else { 1 };
            let answers = answers.cycle().take(2 * polls).chain([end.clone()]);
            let login = [Step::Receive, Step::SendBytes(login())];
            let script = login.into_iter().chain(answers).collect();
            let server = Scripted::start(name, 5432, script);
            let info = format!("host={} user=u sslmode=disable", server.host.address);
            daemon.config["remote_conns"][*name] = json!(info);
            server
        })
        .collect();
    daemon.start();
    for (name, ..) in &later {
        wait_until(&format!("{name} is a contact"), SOON, || {
            is_fine(&daemon, name)
        });
    }
    // What the others send in the end belongs to no question any more.
    for _ in 0..60 {
        for name in STAYING {
            assert!(is_fine(&daemon, name), "{name}: {}", daemon.log());
        }
        pause(100);
    }
    let logged = lines(&daemon, "node slots: replication slots could not be read");
    assert!(
        logged.len() == 1 && logged[0].contains("more than 10000"),
        "{logged:#?}"
    );
    for ((name, _, _, words), server) in later.iter().zip(&servers) {
        assert!(server.connections() > 1, "{name}");
        let logged = lines(&daemon, &format!("node {name}: poll answered in part"));
        assert!(
            logged.len() == 1 && logged[0].contains(words),
            "{name}: {logged:#?}"
        );
    }
}

#[test]
fn behind_a_pooler_nothing_is_left_in_its_sessions() {
    let Some(program) =
        or_skip(which("pgbouncer").ok_or_else(|| "there is no pgbouncer here".to_owned()))
    else {
        return;
    };
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let (dir, host) = (cluster.dir().to_owned(), cluster.observer.clone());
    give_to_server(&dir);
    let (ini, users) = (dir.join("pgbouncer.ini"), dir.join("users"));
    fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n")).unwrap();
    let text = format!(
        "[databases]\n* = host={}\n[pgbouncer]\nlisten_addr = {}\nlisten_port = 6432\nunix_socket_dir =\n\
         auth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 2\n",
        cluster[PRIMARY].host.address,
        host.address,
        users.display()
    );
    fs::write(&ini, text).unwrap();
    let mut pgbouncer = host.command(program, Account::Server);
    pgbouncer.arg("-q").arg(&ini).current_dir(&dir);
    pgbouncer.stdin(Stdio::null()).stderr(Stdio::null());
    let _pgbouncer = Ended(pgbouncer.spawn().unwrap());
    let target = format!(
        "host={} port=6432 dbname=postgres user={USER}",
        host.address
    );
    let psql = &cluster.postgres.psql;
    let ask =
        |sql: &str| run(Command::new(psql).args(["-X", "-A", "-t", "-d", &target, "-c", sql]));
    wait_until("pgbouncer answers", SOON, || ask("SELECT 1").is_ok());

    let config = json!({
        "remote_conns": { "p": target.clone(), "s1": conninfo(&cluster["s1"]) },
        "db_poll_interval": 0.2,
    });
    let mut daemon = Daemon::prepare(host.clone(), &dir, config);
    daemon.start();
    wait_until("both are known", SOON, || {
        is_fine(&daemon, "p") && !shown(&daemon, "s1").is_empty()
    });
    for _ in 0..20 {
        assert!(is_fine(&daemon, "p"), "{}", daemon.log());
        assert_eq!(daemon.state()["p"]["daemons"], Value::Null);
        let named =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pglookout:%'";
        assert_eq!(cluster[PRIMARY].query(named), "0");
        pause(100);
    }
    assert!(daemon.state()["p"]["system_identifier"].is_string());
    for (setting, ours) in [
        ("tcp_keepalives_count", "3"),
        ("lock_timeout", "833ms"),
        ("synchronous_commit", "off"),
    ] {
        assert_ne!(ask(&format!("SHOW {setting}")).unwrap(), ours, "{setting}");
    }
    // What the pooler writes about a server that is lost is an outage, and no sign of life.
    cluster[PRIMARY].kill_nine_all();
    wait_until("the loss is known", SOON, || !is_fine(&daemon, "p"));
    pause(1000);
    let written = lines(&daemon, "node p: ");
    let is_refusal = |line: &&String| line.contains("rejected");
    assert_eq!(written.iter().find(is_refusal), None, "{written:#?}");
    assert!(
        written.iter().any(|line| line.contains("not ready: ")),
        "{written:#?}"
    );
}

#[test]
fn names_that_are_not_utf_8_are_shown() {
    let Some(mut cluster) = Cluster::prepare(&[]) else {
        return;
    };
    let settings = cluster[PRIMARY].data.join("postgresql.conf");
    append(&settings, "wal_level = logical\n");
    cluster[PRIMARY].start();
    cluster[PRIMARY].query("CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII'");
    let script = cluster.dir().join("script.sql");
    let text = b"CREATE DATABASE \"gr\xf6\xdfer\" TEMPLATE template0 ENCODING 'SQL_ASCII';\n\\c \"gr\xf6\xdfer\"\n\
        SELECT pg_create_logical_replication_slot('reports', 'pgoutput');\n";
    fs::write(&script, text).unwrap();
    let mut psql = Command::new(&cluster.postgres.psql);
    psql.args([
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-U",
        "postgres",
        "-d",
        "plain",
        "-f",
    ])
    .arg(&script)
    .arg("-h")
    .arg(cluster[PRIMARY].host.address.to_string())
    .env("PGCLIENTENCODING", "SQL_ASCII");
    run(&mut psql).unwrap();
    let info = conninfo(&cluster[PRIMARY]).replace("dbname=postgres", "dbname=plain");
    let config = json!({ "remote_conns": { "p": info }, "db_poll_interval": 0.2 });
    let mut daemon = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config);
    daemon.start();
    wait_until("the slot is shown", SOON, || {
        daemon.state()["p"]["replication_slots"][0]["database"] == "gr\u{FFFD}\u{FFFD}er"
    });
}
