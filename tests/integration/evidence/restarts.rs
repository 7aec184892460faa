//! What the previous process of a daemon has raised.

use serde_json::json;

use crate::harness::fleet::LIMIT;
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn the_lag_alert_of_the_previous_process_is_removed_when_lag_is_back() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(300.0);
    });
    cluster["s1"].pause_replay();
    fleet["s1"].wait_alert("replication_delay_warning", "");
    fleet["s1"].kill_nine();
    fleet["s1"].start();
    fleet.nobody_promotes_for(LIMIT);
    assert!(fleet["s1"].has_alert("replication_delay_warning"));
    fleet["s1"].stop();
    cluster["s1"].resume_replay();
    cluster.wait_caught_up("s1");
    assert!(fleet["s1"].has_alert("replication_delay_warning"));
    fleet["s1"].start();
    wait_until("the alert is removed", SOON, || {
        !fleet["s1"].has_alert("replication_delay_warning")
    });
}
