//! Observers that know nothing have no vote.

use std::fs;

use serde_json::{Value, json};

use crate::harness::cluster::{OBSERVER, PRIMARY};
use crate::harness::fleet::LIMIT;
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

/// Why the observer has no vote for a daemon.
fn no_vote(daemon: &Daemon) -> String {
    let figures = &daemon.state_file()["decision"]["figures"]["votes"];
    let voters = figures["missing"].as_array().cloned().unwrap_or_default();
    let of_observer = |voter: &&Value| voter.to_string().contains(OBSERVER);
    let voter = voters.iter().find(of_observer);
    voter.map_or_else(|| figures.to_string(), Value::to_string)
}

fn majority(_: &str, config: &mut Value) {
    config["failover_quorum"] = json!("majority");
}

#[test]
fn an_observer_that_never_reached_the_primary_has_no_vote() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, majority);
    fleet[OBSERVER].config["remote_conns"][PRIMARY] =
        json!("host=127.255.255.254 user=pglookout connect_timeout=1");
    fleet.start_all();
    let words = "observer o has never reached the primary p: it has no vote";
    wait_until("its blindness is noticed", SOON, || {
        fleet["s1"].log().contains(words)
    });
    wait_until("the lag is known", SOON, || {
        fleet["s1"].state()["s1"]["min_replication_time_lag"].is_number()
    });
    cluster[PRIMARY].kill_nine_all();
    fleet.nobody_promotes_for(2.0 * LIMIT);
    fleet["s1"].wait_alert("failover_stuck", "no quorum: 1 of 3 votes, 2 required");
    let why = no_vote(&fleet["s1"]);
    assert!(why.contains("never"), "{why}");
    cluster[PRIMARY].start();
    wait_until("the alert is removed", SOON, || {
        !fleet["s1"].has_alert("failover_stuck")
    });
    fleet.nobody_promotes_for(1.0);
}

#[test]
fn an_observer_that_has_just_restarted_has_no_vote_before_it_has_tried_the_primary() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, majority);
    fleet[OBSERVER].config["poll_timeout"] = json!(60.0);
    fleet[OBSERVER].config["max_failover_replication_time_lag"] = json!(300.0);
    fleet.start_all();
    fleet.wait_settled();
    cluster.network().isolate(PRIMARY);
    fleet[OBSERVER].kill_nine();
    fs::remove_file(fleet[OBSERVER].path("state.json")).unwrap();
    // Its first attempt at the primary lasts for a minute.
    fleet[OBSERVER].start();
    fleet.nobody_promotes_for(2.0 * LIMIT);
    let (state, why) = (fleet[OBSERVER].state(), no_vote(&fleet["s1"]));
    assert_eq!(state.get(PRIMARY), None, "{state}");
    assert!(why.contains(PRIMARY), "{why}");

    fleet[OBSERVER].stop();
    fleet[OBSERVER].config["poll_timeout"] = json!(1.0);
    fleet[OBSERVER].start();
    assert_eq!(fleet.wait_promotion().0, "s1");
    fleet.nobody_promotes_for(1.0);
}
