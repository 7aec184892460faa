//! What must come of it: the healthy are asked on time, memory stays flat, the failover comes as
//! ever, the log reports once what is wrong with whom.

use std::time::Duration;

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::vitals::{longest_unasked, peak_kib};
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

/// The daemon that is looked at; its server is promoted or the other standby's.
pub(super) const WATCHED: &str = "s1";
const REAL: [&str; 3] = ["p", "s1", "s2"];

/// Every daemon sees the primary and its standbys, and knows how far they are.
pub(super) fn wait_for_the_real(fleet: &Fleet) {
    for daemon in ["s1", "s2", "o"] {
        wait_until(&format!("{daemon} knows the real nodes"), SOON, || {
            let state = fleet[daemon].state();
            let is_fine = |node: &&str| {
                state[node]["connection"] == true
                    && (*node == PRIMARY
                        || state[node]["min_replication_time_lag"]
                            .as_f64()
                            .is_some_and(|lag| lag < 2.0))
            };
            REAL.iter().all(is_fine) && fleet[daemon].current_primary().as_deref() == Some(PRIMARY)
        });
    }
}

/// Watches for some time, and then a failover. Meanwhile memory may grow by so much above what it
/// was at its highest.
pub(super) fn watch_and_fail_over(cluster: &mut Cluster, fleet: &mut Fleet, most_growth_kib: u64) {
    let before = peak_kib(&fleet[WATCHED]);
    let longest = longest_unasked(&fleet[WATCHED], &REAL, Duration::from_secs(6));
    assert!(
        longest < Duration::from_secs(2),
        "a healthy node was not asked for {longest:?}"
    );
    cluster[PRIMARY].kill_nine_all();
    let dead_at = seconds_now();
    let (who, when) = fleet.wait_promotion();
    let (who, took) = (who.to_owned(), when - dead_at);
    assert!(took < MOST_SECONDS, "the failover took {took:.1} s");
    wait_until("the promoted server is the primary", SOON, || {
        cluster.primaries() == [who.as_str()]
    });
    fleet.nobody_promotes_for(2.0);
    let after = peak_kib(&fleet[WATCHED]);
    println!(
        "healthy nodes asked at least every {longest:.1?}; failover after {took:.1} s; peak memory {before} KiB, then {after} KiB"
    );
    assert!(
        after < before + most_growth_kib,
        "memory grew from {before} to {after} KiB"
    );
    for daemon in fleet.iter_mut() {
        assert!(daemon.is_running(), "{}", daemon.log());
    }
}

/// The lines of a daemon's log about this peer (`node x`, `observer y`), without their time.
pub(super) fn lines_about(daemon: &Daemon, peer: &str) -> Vec<String> {
    let mark = format!("{peer}: ");
    daemon
        .log()
        .lines()
        .filter_map(|line| Some(line[line.find(&mark)?..].to_owned()))
        .collect()
}

/// Of memory: the buffers of one who floods us, and some.
pub(super) const LITTLE_KIB: u64 = 4 << 10;
/// The limit of three seconds, twice the time for a silent server, and the intervals.
const MOST_SECONDS: f64 = 7.0;
