//! Daemons that start while something is wrong.

use serde_json::json;

use crate::harness::daemon::seconds_now;
use crate::harness::fleet::{INTERVAL, LIMIT};
use crate::harness::{Cluster, Fleet, SOON, pause, wait_until};

/// Everything but the primary is up, and the daemons have just been started with this limit; when
/// that was.
fn cold_start_without_the_primary(limit: f64) -> Option<(Cluster, Fleet, f64)> {
    let mut cluster = Cluster::prepare(&["s1", "s2"])?;
    cluster["s1"].start();
    cluster["s2"].start();
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(limit)
    });
    let started = seconds_now();
    fleet.start_all();
    Some((cluster, fleet, started))
}

/// Under daemons with this limit the primary has just been killed; when that was.
fn primary_killed(limit: f64) -> Option<(Cluster, Fleet, f64)> {
    let mut cluster = Cluster::start(&["s1", "s2"])?;
    let fleet = Fleet::start(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(limit)
    });
    let killed = seconds_now();
    cluster["p"].kill_nine_all();
    Some((cluster, fleet, killed))
}

/// One promotion, when the limit after the crash is over.
#[track_caller]
fn promotes_once(fleet: &mut Fleet, killed: f64, limit: f64) {
    let (_, when) = fleet.wait_promotion();
    let after = when - killed;
    assert!(
        after > limit - INTERVAL - 0.2,
        "promoted {after:.2} s after the crash, before the limit"
    );
    assert!(
        after < limit + 2.5,
        "promoted {after:.2} s after the crash, long after the limit"
    );
    fleet.nobody_promotes_for(2.0);
    assert_eq!(fleet.promoted().len(), 1);
}

#[test]
fn a_cold_start_waits_for_a_primary_that_is_five_seconds_late() {
    let Some((mut cluster, mut fleet, _)) = cold_start_without_the_primary(8.0) else {
        return;
    };
    fleet.nobody_promotes_for(5.0);
    cluster["p"].start();
    fleet.wait_settled();
    fleet.nobody_promotes_for(5.0);
    assert_eq!(fleet["s1"].current_primary().as_deref(), Some("p"));
}

#[test]
fn a_cold_start_promotes_when_no_primary_ever_comes() {
    let Some((_cluster, mut fleet, started)) = cold_start_without_the_primary(5.0) else {
        return;
    };
    let (_, when) = fleet.wait_promotion();
    assert!(
        when - started > 4.5,
        "promoted {:.2} s after the start",
        when - started
    );
    fleet.nobody_promotes_for(2.0);
    assert_eq!(fleet.promoted().len(), 1);
}

#[test]
fn a_daemon_restarted_during_an_outage_keeps_the_wait_and_promotes() {
    const LONGER: f64 = 2.0 * LIMIT;
    let Some((_cluster, mut fleet, killed)) = primary_killed(LONGER) else {
        return;
    };
    // Late enough that one that forgot when it saw the primary last would promote too late.
    pause(3000);
    // One ends as systemd would have it, one as a crash would.
    fleet["s1"].stop();
    fleet["s2"].kill_nine();
    fleet["s1"].start();
    fleet["s2"].start();
    promotes_once(&mut fleet, killed, LONGER);
}

#[test]
fn a_daemon_restarted_while_its_primary_is_unreachable_remembers_it() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(1000.0)
    });
    cluster["p"].kill_nine_all();
    fleet["s1"].stop();
    fleet["s1"].start();
    fleet.nobody_promotes_for(LIMIT);
    assert_eq!(fleet["s1"].current_primary().as_deref(), Some("p"));
    cluster["p"].start();
    wait_until("the primary is seen again", SOON, || {
        fleet["s1"].state()["p"]["connection"] == true
    });
}

#[test]
fn all_daemons_killed_in_mid_outage_promote_once_and_not_before_the_limit() {
    const LONGER: f64 = 3.0 * LIMIT;
    let Some((_cluster, mut fleet, killed)) = primary_killed(LONGER) else {
        return;
    };
    for name in ["p", "s1", "s2"] {
        wait_until("the outage is in the state file", SOON, || {
            fleet[name].state_file()["memory"]["contacts"]["p"]["monotonic"].is_f64()
        });
    }
    pause(2000);
    for name in ["p", "s1", "s2"] {
        fleet[name].kill_nine();
    }
    pause(500);
    for name in ["p", "s1", "s2"] {
        fleet[name].start();
    }
    promotes_once(&mut fleet, killed, LONGER);
}
