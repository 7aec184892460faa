//! A planned switchover: the primary is stopped, a standby promoted by hand, and the old primary
//! becomes a standby of it.

use serde_json::json;

use super::{wait_current, wait_promoted};
use crate::harness::cluster::PRIMARY;
use crate::harness::postgres::append;
use crate::harness::{Cluster, Fleet, SOON, wait_until};

const ALL: [&str; 4] = [PRIMARY, "s1", "s2", "o"];

/// As an operator does it by hand, with a cluster of p, s1 and s2.
pub(crate) fn switch_over(cluster: &mut Cluster, from: &str, to: &str) {
    cluster[from].stop_fast();
    cluster[to].query("SELECT pg_promote()");
    wait_promoted(cluster, to);
    let target = cluster[to].host.clone();
    cluster[from].make_standby();
    let line = cluster[from].conninfo_for_streaming(&target);
    let settings = cluster[from].recovery_settings("postgresql.auto.conf");
    append(&settings, &format!("primary_conninfo = '{line}'\n"));
    cluster[from].start();
    let conninfo = cluster["s2"].conninfo_for_streaming(&target);
    cluster["s2"].stream_from(&conninfo);
    let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
    wait_until("both stream from the new primary", SOON, || {
        cluster[to].query(streaming) == "2"
    });
}

#[test]
fn a_planned_switchover_raises_no_alarm() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(20.0);
    });
    let (old, new) = (cluster[PRIMARY].host.clone(), cluster["s1"].host.clone());
    // There and back again: the second time `s1` has been a primary that was replaced.
    for (from, to) in [(&old, &new), (&new, &old)] {
        let (from, to) = (from.name.as_str(), to.name.as_str());
        switch_over(&mut cluster, from, to);
        for name in ALL {
            wait_current(&fleet[name], to);
        }
        fleet.nobody_promotes_for(2.0);
        for name in ALL {
            assert!(!fleet[name].has_alert("multiple_master_warning"), "{name}");
            assert!(!fleet[name].has_alert("diverged_standby"), "{name}");
        }
    }
    assert_eq!(cluster.primaries(), [PRIMARY]);
}
