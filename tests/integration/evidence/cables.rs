//! Cables between hosts are cut while everybody lives.

use serde_json::json;

use crate::harness::fleet::LIMIT;
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn an_observer_that_is_asked_on_warnings_only_is_asked_when_the_primary_is_lost() {
    let Some(cluster) = Cluster::start_in_namespaces(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["poll_observers_on_warning_only"] = json!(true);
    });
    cluster.network().cut("p", "s1");
    wait_until("the standby has noticed", SOON, || {
        fleet["s1"].state()["p"]["connection"] == false
    });
    fleet.nobody_promotes_for(2.0 * LIMIT + 1.0);
    assert_eq!(cluster.primaries(), ["p"]);
    // The observer's view alone held it.
    cluster.network().cut("p", "o");
    assert_eq!(fleet.wait_promotion().0, "s1");
}
