//! Who is promoted, when somebody is.

use serde_json::json;

use crate::harness::fleet::LIMIT;
use crate::harness::{Cluster, Fleet, pause};

#[test]
fn promotes_the_one_that_is_furthest_ahead() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["failover_priorities"] = json!({"s2": 10})
    });
    cluster["s2"].stream_from("host=127.0.0.1 port=1");
    cluster.wait_streaming(1);
    cluster["p"].insert_rows(1000);
    cluster.wait_caught_up("s1");
    cluster["p"].kill_nine_all();
    assert_eq!(cluster.furthest_ahead(&["s1", "s2"]), ["s1"]);
    assert_eq!(fleet.wait_promotion().0, "s1");
    fleet.nobody_promotes_for(LIMIT);
}

#[test]
fn promotes_by_priority_among_those_equally_far_ahead() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["failover_priorities"] = json!({"s1": 10, "s2": 9})
    });
    cluster["p"].kill_nine_all();
    // A beat of the daemons may have reached only one of them; then that one is right.
    let ahead = cluster.furthest_ahead(&["s1", "s2"]);
    assert_eq!(fleet.wait_promotion().0, ahead[0]);
    fleet.nobody_promotes_for(LIMIT);
}

#[test]
fn never_promotes_the_excluded_one() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["never_promote_these_nodes"] = json!(["s2"])
    });
    cluster["s1"].stream_from("host=127.0.0.1 port=1");
    cluster.wait_streaming(1);
    cluster["p"].insert_rows(1000);
    cluster.wait_caught_up("s2");
    cluster["p"].kill_nine_all();
    assert_eq!(cluster.furthest_ahead(&["s1", "s2"]), ["s2"]);
    assert_eq!(fleet.wait_promotion().0, "s1");
    fleet.nobody_promotes_for(LIMIT);
}

#[test]
fn promotes_nothing_when_every_standby_is_excluded() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["never_promote_these_nodes"] = json!(["s1"])
    });
    cluster["p"].kill_nine_all();
    fleet.nobody_promotes_for(LIMIT + 2.0);
    fleet["s1"].config["never_promote_these_nodes"] = json!([]);
    fleet["s1"].reload();
    assert_eq!(fleet.wait_promotion().0, "s1");
    pause(500);
    assert_eq!(fleet.promoted(), ["s1"]);
}
