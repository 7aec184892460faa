//! Servers of other histories: a standby that has more of what is void, and a former primary that
//! comes back.

use serde_json::json;

use super::{NOWHERE, other_than, put_ahead, wait_current, wait_promoted};
use crate::following::{cluster_of, fleet_of, restarts, wait_followed};
use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::{LIMIT, promoting_after};
use crate::harness::{Cluster, Fleet, SOON, pause, wait_until};

/// `s2` alone has the last rows of the primary when `s1` is promoted, which `s3` follows.
#[test]
fn a_standby_of_an_older_timeline_is_not_promoted_for_its_higher_lsn() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2", "s3"]) else {
        return;
    };
    put_ahead(&cluster, "s2", &["s3", "s1"]);
    cluster[PRIMARY].kill_nine_all();
    cluster["s2"].stream_from(NOWHERE);
    cluster["s1"].query("SELECT pg_promote()");
    wait_promoted(&cluster, "s1");
    let conninfo = cluster["s3"].conninfo_for_streaming(&cluster["s1"].host);
    cluster["s3"].stream_from(&conninfo);
    let mut fleet = Fleet::prepare(&cluster, |name, config| {
        config["failover_priorities"] = json!({"s2": 100});
        // As after a roll-out: the host of the dead one is out of service.
        if name != PRIMARY {
            config["remote_conns"]
                .as_object_mut()
                .unwrap()
                .remove(PRIMARY);
        }
    });
    for name in ["s1", "s2", "s3", "o"] {
        fleet[name].start();
    }
    for name in ["s1", "s2", "s3", "o"] {
        wait_current(&fleet[name], "s1");
    }
    fleet["s3"].wait_alert("diverged_standby", "s2");
    wait_until("s3 has caught up", SOON, || {
        fleet["s3"].state()["s3"]["min_replication_time_lag"].as_f64() < Some(2.0)
    });
    fleet.nobody_promotes_for(LIMIT + 1.0);

    cluster["s1"].kill_nine_all();
    assert_eq!(cluster.furthest_ahead(&["s2", "s3"]), ["s2"]);
    assert_eq!(fleet.wait_promotion().0, "s3");
    fleet.nobody_promotes_for(LIMIT + 1.0);
    assert_eq!(fleet.promoted(), ["s3"]);
}

/// The life of a primary that was replaced: it comes back as a primary, it refuses logins, and it
/// comes back once more in the middle of the next promotion.
#[test]
fn a_primary_that_was_replaced_returns_and_decides_nothing() {
    let Some(mut cluster) = cluster_of(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = fleet_of(&cluster, 2.0 * LIMIT, "");
    wait_followed(&cluster, PRIMARY, &["s1", "s2"]);
    fleet.wait_settled();
    cluster[PRIMARY].kill_nine_all();
    let winner = fleet.wait_promotion().0.to_owned();
    let other = other_than(&winner);
    wait_followed(&cluster, &winner, &[other]);
    let settled = restarts(&fleet[other]);

    // By an operator's mistake, while the real one misses polls.
    cluster[PRIMARY].start();
    fleet[other].wait_alert("multiple_master_warning", "");
    cluster[&winner].hang();
    wait_until("the primary is missed", SOON, || {
        fleet[other].state()[&winner]["connection"] == false
    });
    pause(1_000);
    cluster[&winner].wake();
    wait_until("the primary is back", SOON, || {
        fleet[other].state()[&winner]["connection"] == true
    });
    for name in [other, &winner, "o"] {
        wait_current(&fleet[name], &winner);
        let log = fleet[name].log();
        let taken_over = log.matches("the primary is now p").count();
        assert_eq!(taken_over, 0, "{log}");
    }
    assert_eq!(restarts(&fleet[other]), settled, "{other} was restarted");

    // Rebuilt, and its daemons' account forgotten.
    cluster[PRIMARY].stop_fast();
    let hba = cluster[PRIMARY].data.join("pg_hba.conf");
    let open = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("host all pglookout all reject\n{open}")).unwrap();
    cluster[PRIMARY].start();
    fleet[other].wait_alert("authentication_error", "");

    // It refuses while the next failover is due, and answers as a primary in the middle of it.
    fleet[other].config["failover_command"] = promoting_after(&cluster, &fleet[other], "sleep 4");
    fleet[other].reload();
    fleet.nobody_promotes_for(1.0);
    cluster[&winner].kill_nine_all();
    wait_until("the other one promotes", SOON, || {
        fleet.promoted() == [winner.as_str(), other]
    });
    std::fs::write(&hba, open).unwrap();
    cluster[PRIMARY].query("SELECT pg_reload_conf()");
    wait_until("the old one is reached", SOON, || {
        fleet[other].state()[PRIMARY]["connection"] == true
    });
    wait_promoted(&cluster, other);
    fleet.nobody_promotes_for(1.0);
    cluster[PRIMARY].stop_fast();
    wait_current(&fleet[other], other);
    assert_eq!(restarts(&fleet[other]), settled, "{other} was restarted");
    assert_eq!(fleet.promoted(), [winner.as_str(), other]);
}
