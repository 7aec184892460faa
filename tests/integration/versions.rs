//! What every supported version of PostgreSQL has to give, to a user without any rights of its own:
//! `tests/run --matrix` runs this on each of them, and some tests of what reads or changes a data directory: following,
//! leases, switchovers, the step that promotes.

use serde_json::{Value, json};

use crate::harness::postgres::append;
use crate::harness::{Cluster, Fleet, SOON, wait_until};
use crate::presence::shown;

/// A decoder that is part of every version.
const MAKE_SLOT: &str = "SELECT pg_create_logical_replication_slot('reports', 'pgoutput')";

fn node(fleet: &Fleet, daemon: &str, node: &str) -> Value {
    fleet[daemon].state()[node].clone()
}

#[test]
fn a_bare_user_sees_roles_positions_and_slots_and_its_polls_are_a_heartbeat() {
    let Some(mut cluster) = Cluster::prepare(&["s1"]) else {
        return;
    };
    append(
        &cluster["p"].data.join("postgresql.conf"),
        "wal_level = logical\n",
    );
    cluster["p"].start();
    cluster["s1"].start();
    cluster.wait_streaming(1);
    cluster["p"].query(MAKE_SLOT);
    let fleet = Fleet::start(&cluster, |_, _| ());

    let primary = node(&fleet, "s1", "p");
    assert_eq!(
        [&primary["connection"], &primary["pg_is_in_recovery"]],
        [&json!(true), &json!(false)]
    );
    assert_eq!(
        primary["replication_slots"][0]["slot_name"], "reports",
        "{primary}"
    );
    assert_eq!(
        primary["replication_slots"][0]["plugin"], "pgoutput",
        "{primary}"
    );

    let standby = node(&fleet, "p", "s1");
    assert_eq!(standby["pg_is_in_recovery"], true);
    let position =
        |lsn: &Value| u64::from_str_radix(&lsn.as_str().unwrap().replace('/', ""), 16).unwrap();
    assert!(
        position(&standby["pg_last_xlog_receive_location"]) > 0,
        "{standby}"
    );
    assert!(
        standby["replication_time_lag"].as_f64().unwrap() < 2.0,
        "{standby}"
    );

    // Nobody else writes: what the standby replays later on was written by the polls.
    let replayed = |standby: &Value| {
        standby["pg_last_xact_replay_timestamp"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = replayed(&standby);
    wait_until("the polls are replayed", SOON, || {
        replayed(&node(&fleet, "p", "s1")) > before
    });
}

#[test]
fn a_bare_user_sees_which_server_it_is_and_which_daemons_are_there() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, _| ());
    for (daemon, of) in [("s1", "p"), ("p", "s1"), ("s1", "s1"), ("o", "p")] {
        wait_until("the servers show the daemons", SOON, || {
            let shown = shown(&fleet[daemon], of);
            shown.len() == 3 && shown.contains("p") && shown.contains("s1")
        });
        let state = node(&fleet, daemon, of);
        let system = "SELECT system_identifier FROM pg_control_system()";
        assert_eq!(
            state["system_identifier"],
            cluster[of].query(system),
            "{state}"
        );
        let started = "SELECT to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')";
        let known = state["postmaster_start_time"].as_str().unwrap();
        assert!(known.starts_with(&cluster[of].query(started)), "{state}");
        assert_eq!(state["timeline"], 1, "{state}");
        let own = state["daemons"].as_array().unwrap().iter();
        let young = own.filter(|daemon| daemon["age"].as_f64().unwrap() < 30.0);
        assert_eq!(young.count(), 3, "{state}");
    }
    cluster["p"].kill_nine_all();
    fleet.wait_promotion();
    wait_until("the new timeline is known", SOON, || {
        node(&fleet, "o", "s1")["timeline"] == 2 && node(&fleet, "s1", "s1")["timeline"] == 2
    });
}

#[test]
fn a_crashed_primary_leads_to_one_promotion_and_writes_continue() {
    one_promotion(|_| ());
}

#[test]
fn a_crashed_primary_leads_to_one_promotion_where_the_control_file_may_not_be_read() {
    one_promotion(|cluster| {
        for function in ["system", "recovery", "checkpoint"] {
            let revoke = format!("REVOKE EXECUTE ON FUNCTION pg_control_{function}() FROM PUBLIC");
            cluster["p"].query(&revoke);
        }
    });
}

fn one_promotion(prepare: impl Fn(&Cluster)) {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    prepare(&cluster);
    let fleet = Fleet::start(&cluster, |_, _| ());
    let rows = cluster["p"].insert_rows(10);
    cluster.wait_caught_up("s1");
    cluster.wait_caught_up("s2");
    cluster["p"].kill_nine_all();
    let winner = fleet.wait_promotion().0.to_owned();
    wait_until("it takes writes", SOON, || {
        !cluster[&winner].is_in_recovery()
    });
    assert_eq!(cluster[&winner].query("SELECT count(*) FROM rows"), rows);
    cluster[&winner].insert_rows(1);
    wait_until("everybody knows", SOON, || {
        ["s1", "s2", "o"]
            .iter()
            .all(|name| fleet[*name].current_primary().as_deref() == Some(winner.as_str()))
    });
    assert_eq!(fleet.promoted(), [winner.as_str()]);
}

#[test]
fn an_account_with_pg_monitor_is_shown_who_streams_from_whom() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let version = cluster["p"].query("SHOW server_version_num");
    let version: u32 = version.parse().unwrap();
    let fleet = Fleet::start(&cluster, |_, _| ());
    let standby = || {
        let answer = fleet["p"].get("/status.json").unwrap();
        let status: Value = serde_json::from_str(&answer.body).unwrap();
        let nodes = status["nodes"].as_array().unwrap().clone();
        nodes.into_iter().find(|node| node["name"] == "s1").unwrap()
    };
    assert_eq!(standby()["upstream"], Value::Null, "without any rights");
    assert_eq!(standby()["can_be_rewound"], version >= 180_000);
    cluster["p"].query("GRANT pg_monitor TO pglookout");
    // PostgreSQL 10 does not tell.
    let expected = if version < 110_000 {
        json!(null)
    } else {
        json!("p")
    };
    wait_until("its upstream is shown", SOON, || {
        let standby = standby();
        let shown = standby["version"].as_str().unwrap_or_default();
        (version / 10_000).to_string() == shown.split('.').next().unwrap()
            && standby["upstream"] == expected
    });
}
