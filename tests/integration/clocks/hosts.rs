//! The wall clock of a whole host, server and daemon, is off when the primary dies: the host that
//! has the most WAL is promoted all the same.

use super::wall_clock::WallClock;
use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::LIMIT;
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn the_best_standby_is_promoted_though_its_clock_is_ten_seconds_ahead() {
    check(10);
}

#[test]
fn the_best_standby_is_promoted_though_its_clock_is_ten_seconds_behind() {
    check(-10);
}

fn check(seconds: i64) {
    let Some(mut cluster) = Cluster::prepare(&["s1", "s2"]) else {
        return;
    };
    let Some(clock) = WallClock::in_dir(cluster.dir()) else {
        return;
    };
    cluster["s2"].variables = clock.variables();
    cluster.start_all();
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        config["failover_quorum"] = "majority".into();
    });
    fleet["s2"].variables = clock.variables();
    fleet.start_all();
    fleet.wait_settled();

    clock.step(seconds);
    wait_until("the clock is noticed", SOON, || {
        fleet["s2"].log().contains("clock differs from ours")
    });
    cluster["s1"].stream_from("host=127.0.0.1 port=1");
    cluster.wait_streaming(1);
    cluster[PRIMARY].insert_rows(100);
    cluster.wait_caught_up("s2");
    cluster[PRIMARY].kill_nine_all();
    assert_eq!(cluster.furthest_ahead(&["s1", "s2"]), ["s2"]);
    assert_eq!(fleet.wait_promotion().0, "s2");
    fleet.nobody_promotes_for(LIMIT + 1.0);
    assert_eq!(fleet.promoted(), ["s2"]);
    assert_eq!(cluster.primaries(), ["s2"]);
}
