//! What people tell it: maintenance, paused replay, a primary that is gone for good.

use std::fs;

use serde_json::json;

use crate::harness::fleet::{LIMIT, note_time, script_command};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn holds_during_maintenance_and_promotes_when_it_ends() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    fs::write(fleet["s1"].path("maintenance"), "").unwrap();
    cluster["p"].kill_nine_all();
    fleet.nobody_promotes_for(LIMIT + 2.0);
    fs::remove_file(fleet["s1"].path("maintenance")).unwrap();
    assert_eq!(fleet.wait_promotion().0, "s1");
}

#[test]
fn warns_of_paused_replay_and_does_not_promote() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let warned = fleet["s1"].path("warned");
    fleet["s1"].config["over_warning_limit_command"] =
        script_command(&fleet["s1"], "warn", &note_time(&warned));
    fleet.start_all();
    fleet.wait_settled();
    assert!(!fleet["s1"].has_alert("replication_delay_warning"));
    cluster["s1"].pause_replay();
    fleet["s1"].wait_alert("replication_delay_warning", "");
    fleet.nobody_promotes_for(LIMIT + 2.0);
    assert!(fleet["s1"].state()["s1"]["replication_time_lag"].as_f64() > Some(LIMIT));
    assert_eq!(fs::read_to_string(&warned).unwrap().lines().count(), 1);
    cluster["s1"].resume_replay();
    wait_until("the warning is withdrawn", SOON, || {
        !fleet["s1"].has_alert("replication_delay_warning")
    });
}

#[test]
fn promotes_without_the_wait_when_the_failed_primary_is_known_to_be_gone() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    // A limit that this test does not live to see.
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(1000.0)
    });
    cluster["p"].kill_nine_all();
    fleet.nobody_promotes_for(2.0);
    fleet["s1"].config["known_gone_nodes"] = json!(["p"]);
    fleet["s1"].reload();
    assert_eq!(fleet.wait_promotion().0, "s1");
}

#[test]
fn promotes_by_its_lag_where_a_mere_disconnect_is_not_enough() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["failover_on_disconnect"] = json!(false)
    });
    cluster["p"].kill_nine_all();
    fleet.nobody_promotes_for(LIMIT / 2.0);
    assert_eq!(fleet.wait_promotion().0, "s1");
    fleet.nobody_promotes_for(1.0);
}
