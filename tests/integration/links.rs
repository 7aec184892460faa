//! Links between hosts are cut; every server lives on. Hosts are network namespaces.

use serde_json::json;

use crate::harness::fleet::{LIMIT, pg_ctl, script_command};
use crate::harness::{Cluster, Fleet, SOON, pause, wait_until};

/// Longer than any wait of the daemons.
const LONG: f64 = 2.0 * LIMIT + 1.0;

fn is_connected(fleet: &Fleet, daemon: &str, node: &str) -> bool {
    fleet[daemon].state()[node]["connection"] == true
}

#[test]
fn an_isolated_standby_does_not_promote() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    cluster.network().isolate("s2");
    wait_until("the standby has noticed", SOON, || {
        !is_connected(&fleet, "s2", "p")
    });
    fleet.nobody_promotes_for(LONG);
    assert!(!is_connected(&fleet, "s2", "s1") && is_connected(&fleet, "s1", "p"));
    cluster.network().heal();
    wait_until("the standby sees the primary again", SOON, || {
        is_connected(&fleet, "s2", "p")
    });
    fleet.nobody_promotes_for(1.0);
}

#[test]
fn a_standby_holds_while_the_observer_sees_the_primary() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    cluster.network().cut("p", "s1");
    wait_until("the standby has noticed", SOON, || {
        !is_connected(&fleet, "s1", "p")
    });
    fleet.nobody_promotes_for(LONG);
    assert!(is_connected(&fleet, "o", "p"));
    // It was the observer's word alone that held it: two of three see no primary from here on.
    cluster.network().cut("p", "o");
    assert_eq!(fleet.wait_promotion().0, "s1");
}

#[test]
fn one_of_two_standbys_that_lost_each_other_promotes_after_a_crash() {
    let Some(mut cluster) = Cluster::start_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    cluster.network().cut("s1", "s2");
    wait_until("they lost each other", SOON, || {
        !is_connected(&fleet, "s1", "s2") && !is_connected(&fleet, "s2", "s1")
    });
    pause(1000);
    cluster["p"].kill_nine_all();
    let ahead = cluster.furthest_ahead(&["s2", "s1"]);
    assert_eq!(fleet.wait_promotion().0, ahead[0]);
    fleet.nobody_promotes_for(LONG);
    assert_eq!(fleet.promoted().len(), 1);
    assert_eq!(cluster.primaries().len(), 1);
}

#[test]
fn promotes_when_the_primary_host_is_cut_off() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    cluster.network().isolate("p");
    fleet.wait_promotion();
    fleet.nobody_promotes_for(LIMIT);
    // What was isolated and lives comes back as a second primary.
    cluster.network().heal();
    fleet["o"].wait_alert("multiple_master_warning", "");
    assert_eq!(fleet.promoted().len(), 1);
}

/// The primary's own daemon stops it before the others promote; so there is one when they meet again.
#[test]
fn an_isolated_primary_is_stopped_by_its_own_daemon() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    let stop = format!(
        "exec {} stop -m immediate\n",
        pg_ctl(&cluster, &cluster["p"])
    );
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        config["failover_quorum"] = json!("majority");
        config["max_failover_replication_time_lag"] = json!(2.0 * LIMIT);
    });
    let daemon = &mut fleet["p"];
    let command = script_command(daemon, "stop", &stop);
    daemon.config["isolated_primary_command"] = command;
    fleet.start_all();
    fleet.wait_settled();
    // One who is missing is not enough for the others.
    cluster.network().cut("p", "s1");
    fleet.nobody_promotes_for(LONG);
    assert!(
        !fleet["p"].log().contains("isolated"),
        "{}",
        fleet["p"].log()
    );
    cluster.network().isolate("p");
    fleet.wait_promotion();
    let log = fleet["p"].log();
    assert!(
        log.contains("isolated_primary_command exited with status 0"),
        "{log}"
    );
    cluster.network().heal();
    fleet.nobody_promotes_for(LIMIT);
    assert_eq!(cluster.primaries().len(), 1);
    assert!(!fleet["o"].has_alert("multiple_master_warning"));
}

#[test]
fn a_standby_that_is_cut_off_and_restarted_counts_those_it_knew() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| config["observers"] = json!({}));
    cluster.network().isolate("s2");
    wait_until("the standby has noticed", SOON, || {
        !is_connected(&fleet, "s2", "p") && !is_connected(&fleet, "s2", "s1")
    });
    for _ in 0..2 {
        fleet["s2"].kill_nine();
        fleet["s2"].start();
        fleet.nobody_promotes_for(LIMIT + 2.0);
    }
    let votes = &fleet["s2"].state_file()["decision"]["figures"]["votes"];
    assert_eq!(
        (&votes["known"], &votes["required"], &votes["total"]),
        (&json!(1), &json!(2), &json!(3)),
        "{votes}"
    );
    assert!(
        fleet["s2"]
            .log()
            .contains("no quorum: 1 of 3 votes, 2 required")
    );
}
