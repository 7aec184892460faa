//! SIGHUP: a broken file changes nothing, a good one takes effect at once.

use serde_json::json;

use crate::harness::fleet::{LIMIT, conninfo};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn a_broken_file_keeps_the_running_configuration() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    for broken in ["{", r#"{"db_poll_interval": "often"}"#] {
        let length = fleet["s1"].log().len();
        fleet["s1"].reload_text(broken);
        wait_until("the error is logged", SOON, || {
            fleet["s1"].log()[length..].contains("ERROR")
        });
    }
    assert!(fleet["s1"].log().contains("db_poll_interval"));
    fleet.nobody_promotes_for(1.0);
    assert_eq!(fleet["s1"].state().as_object().unwrap().len(), 2);
    cluster["p"].kill_nine_all();
    assert_eq!(fleet.wait_promotion().0, "s1");
}

#[test]
fn a_good_file_takes_effect() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    // A limit that this test does not live to see.
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(1000.0)
    });
    let names = |fleet: &Fleet| {
        fleet["s1"]
            .state()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    fleet["s1"].config["remote_conns"]["also_p"] = json!(conninfo(&cluster["p"]));
    fleet["s1"].reload();
    wait_until("the new node is polled", SOON, || {
        fleet["s1"].state()["also_p"]["connection"] == true
    });
    assert_eq!(names(&fleet), ["also_p", "p", "s1"]);
    fleet["s1"].config["remote_conns"]
        .as_object_mut()
        .unwrap()
        .remove("also_p");
    fleet["s1"].reload();
    wait_until("the removed node leaves", SOON, || {
        names(&fleet) == ["p", "s1"]
    });
    cluster["p"].kill_nine_all();
    fleet.nobody_promotes_for(2.0);
    fleet["s1"].config["max_failover_replication_time_lag"] = json!(LIMIT);
    fleet["s1"].reload();
    assert_eq!(fleet.wait_promotion().0, "s1");
}
