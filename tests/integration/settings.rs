//! Settings of roles and databases that change what statements mean, how long they may take and what they
//! print: our questions depend on none of them.

use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::conninfo;
use crate::harness::postgres::append;
use crate::harness::{Cluster, Daemon, SOON, wait_until};

/// A role has each of these, and nothing else of its own.
const HOSTILE: [(&str, &str); 18] = [
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_deferrable", "on"),
    ("statement_timeout", "15ms"),
    ("lock_timeout", "1ms"),
    ("client_encoding", "LATIN1"),
    ("\"DateStyle\"", "SQL, DMY"),
    ("\"IntervalStyle\"", "iso_8601"),
    ("\"TimeZone\"", "Pacific/Kiritimati"),
    ("extra_float_digits", "-15"),
    ("bytea_output", "escape"),
    ("standard_conforming_strings", "off"),
    ("transform_null_equals", "on"),
    ("search_path", "trap, pg_catalog"),
    ("row_security", "off"),
    ("synchronous_commit", "remote_apply"),
    ("client_min_messages", "debug5"),
    ("quote_all_identifiers", "on"),
];

/// Functions, operators and tables that answer in the place of PostgreSQL's own.
const TRAP: &str = "CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO public;
    CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE sql AS $$SELECT '1999-01-01'::timestamptz$$;
    CREATE FUNCTION trap.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS $$SELECT NOT pg_catalog.pg_is_in_recovery()$$;
    CREATE FUNCTION trap.pg_current_wal_lsn() RETURNS pg_lsn LANGUAGE sql AS $$SELECT '0/1'::pg_lsn$$;
    CREATE FUNCTION trap.concat(text, name, text) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
    CREATE FUNCTION trap.eq(text, text) RETURNS bool LANGUAGE sql AS $$SELECT false$$;
    CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.eq);
    CREATE TABLE trap.pg_replication_slots (x int); CREATE TABLE trap.pg_stat_activity (x int);
    CREATE DOMAIN trap.int8 AS text; CREATE DOMAIN trap.pg_lsn AS text";

#[test]
fn no_setting_of_a_role_or_database_changes_what_we_learn() {
    let Some(mut cluster) = Cluster::prepare(&["s1"]) else {
        return;
    };
    append(
        &cluster[PRIMARY].data.join("postgresql.conf"),
        "wal_level = logical\n",
    );
    cluster.start_all();
    let primary = &cluster[PRIMARY];
    primary.query("SELECT pg_create_logical_replication_slot('slot', 'test_decoding')");
    primary.query(TRAP);
    for (setting, value) in HOSTILE {
        let value = if setting == "search_path" || setting.contains("Style") {
            value.to_owned()
        } else {
            format!("'{value}'")
        };
        primary.query(&format!("ALTER ROLE pglookout SET {setting} = {value}"));
    }
    cluster.wait_caught_up("s1");
    let config = json!({
        "remote_conns": { "p": conninfo(primary), "s1": conninfo(&cluster["s1"]) },
        "db_poll_interval": 0.2,
    });
    let mut daemon = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config);
    daemon.start();
    wait_until("both are known by their roles", SOON, || {
        let state = daemon.state();
        let slots = state["p"]["replication_slots"].as_array();
        state["p"]["pg_is_in_recovery"] == false
            && state["s1"]["pg_is_in_recovery"] == true
            && slots.is_some_and(|slots| slots.len() == 1)
            && !state["s1"]["daemons"].is_null()
    });
    let state = daemon.state();
    for node in ["p", "s1"] {
        assert_eq!(state[node]["connection"], true, "{state}");
        assert!(state[node]["system_identifier"].is_string(), "{state}");
        assert!(state[node]["timeline"].is_number(), "{state}");
        let year = state[node]["db_time"].as_str().unwrap().get(..2);
        assert_eq!(year, Some("20"), "{state}");
    }
    let before = primary.query("SELECT txid_current()");
    wait_until("the heart beats", SOON, || {
        let now: u64 = primary.query("SELECT txid_current()").parse().unwrap();
        now > before.parse::<u64>().unwrap() + 5
    });
    let log = daemon.log();
    let odd = |line: &&str| line.contains("WARN") && line.contains("node ");
    // What only a superuser may read is not a matter of settings.
    let allowed = |line: &&str| line.contains("without state_data");
    let lines: Vec<_> = log
        .lines()
        .filter(odd)
        .filter(|line| !allowed(line))
        .collect();
    assert!(lines.is_empty(), "{lines:#?}");
}

#[test]
fn a_standby_that_lets_nobody_in_is_an_error_for_its_own_daemon_and_named_by_all() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    cluster["s1"].stop_fast();
    append(
        &cluster["s1"].data.join("postgresql.conf"),
        "hot_standby = off\n",
    );
    cluster["s1"].start_unready();
    // Before that it is starting up, as any server, and another reason is logged a minute later.
    wait_until("recovery has begun", SOON * 3, || {
        let refusal = cluster["s1"].try_query("SELECT 1").err();
        refusal.is_some_and(|error| error.to_string().contains("Hot standby mode is disabled"))
    });
    let config = json!({
        "remote_conns": { "p": conninfo(&cluster[PRIMARY]), "s1": conninfo(&cluster["s1"]) },
        "own_db": "s1",
        "failover_command": "true",
        "db_poll_interval": 0.2,
    });
    let mut daemon = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config);
    daemon.start();
    wait_until("its own server's refusal is an error", SOON, || {
        let log = daemon.log();
        log.lines()
            .any(|line| line.contains("\tERROR\tnode s1: ") && line.contains("hot_standby = on"))
    });
    wait_until("the node without a role is named", SOON, || {
        daemon.log().contains("node s1 has never reported its role")
    });
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pglookout"))
        .arg("explain")
        .arg(daemon.config_path())
        .output()
        .unwrap();
    let explained = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        explained.contains("s1 has never reported its role"),
        "{explained}"
    );
}
