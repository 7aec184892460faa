//! One server under two names.

use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::{LIMIT, conninfo};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn one_server_under_two_names_is_one_primary() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        config["remote_conns"]["also_p"] = json!(conninfo(&cluster[PRIMARY]));
    });
    fleet.start_all();
    let words = "also_p, p are one server under several names";
    for name in ["s1", "s2", "o"] {
        wait_until("both names are known", SOON, || {
            fleet[name].log().contains(words)
        });
    }
    for name in ["s1", "s2"] {
        wait_until("the lag is known", SOON, || {
            fleet[name].state()[name]["min_replication_time_lag"].as_f64() < Some(2.0)
        });
    }
    fleet.nobody_promotes_for(LIMIT + 1.0);
    for name in ["s1", "s2", "o"] {
        assert!(!fleet[name].has_alert("multiple_master_warning"), "{name}");
        assert_eq!(fleet[name].log().matches(words).count(), 1, "{name}");
    }
    cluster[PRIMARY].kill_nine_all();
    let winner = fleet.wait_promotion().0.to_owned();
    fleet.nobody_promotes_for(LIMIT);
    assert_eq!(fleet.promoted(), [winner]);
}
