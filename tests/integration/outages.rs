//! The primary goes: crash, hang, clean stop; and comes back.

use nix::sys::signal::Signal;

use crate::harness::daemon::seconds_now;
use crate::harness::fleet::{INTERVAL, LIMIT};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

/// The one promotion that an outage which began at `since` must lead to: not before the limit, and
/// soon after it.
fn one_promotion(cluster: &Cluster, fleet: &mut Fleet, since: f64, poll_timeout: f64) -> String {
    let (winner, when) = fleet.wait_promotion();
    let (winner, after) = (winner.to_owned(), when - since);
    assert!(
        after > LIMIT - INTERVAL - 0.2,
        "{winner} promoted {after:.2} s after the outage, before the limit"
    );
    assert!(
        after < LIMIT + poll_timeout + 3.0,
        "{winner} promoted {after:.2} s after the outage, long after the limit"
    );
    let ahead = cluster.furthest_ahead(&["s1", "s2"]);
    assert!(
        ahead.contains(&winner),
        "{winner} promoted, ahead: {ahead:?}"
    );
    wait_until("the new primary takes writes", SOON, || {
        !cluster[&winner].is_in_recovery()
    });
    fleet[&winner].wait_alert("failover_has_happened", "");
    wait_until("the observer knows the new primary", SOON, || {
        fleet["o"].current_primary().as_ref() == Some(&winner)
    });
    assert_eq!(fleet.promoted(), [winner.as_str()]);
    winner
}

#[test]
fn promotes_after_kill_nine() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    assert_eq!(cluster["p"].insert_rows(100), "100");
    cluster.wait_caught_up("s1");
    cluster.wait_caught_up("s2");
    let killed = seconds_now();
    cluster["p"].kill_nine_all();
    let winner = one_promotion(&cluster, &mut fleet, killed, 0.0);
    assert_eq!(cluster[&winner].insert_rows(1), "101");
    fleet.nobody_promotes_for(LIMIT + 1.0);
}

#[test]
fn promotes_after_a_hang_and_warns_when_the_hung_primary_wakes() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    let hung = seconds_now();
    cluster["p"].hang();
    one_promotion(&cluster, &mut fleet, hung, 1.0);
    cluster["p"].wake();
    fleet["o"].wait_alert("multiple_master_warning", "");
    fleet.nobody_promotes_for(LIMIT + 1.0);
}

#[test]
fn holds_while_the_primary_restarts_and_promotes_when_it_stays_away() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    cluster["p"].stop_fast();
    fleet.nobody_promotes_for(LIMIT / 2.0);
    cluster["p"].start();
    fleet.nobody_promotes_for(LIMIT + 1.0);
    let stopped = seconds_now();
    cluster["p"].stop_fast();
    one_promotion(&cluster, &mut fleet, stopped, 0.0);
}

#[test]
fn warns_and_promotes_no_second_time_when_the_old_primary_returns() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    let killed = seconds_now();
    cluster["p"].kill_nine_all();
    let winner = one_promotion(&cluster, &mut fleet, killed, 0.0);
    assert!(!fleet["o"].has_alert("multiple_master_warning"));
    cluster["p"].start();
    assert_eq!(cluster.primaries(), ["p", winner.as_str()]);
    for name in ["s1", "s2", "o"] {
        wait_until("two primaries are noticed", SOON, || {
            let alert = fleet[name]
                .alert("multiple_master_warning")
                .unwrap_or_default();
            ["p", &winner].iter().all(|primary| alert.contains(primary))
        });
    }
    fleet.nobody_promotes_for(LIMIT + 1.0);
    for daemon in fleet.iter_mut() {
        daemon.signal(Signal::SIGTERM);
        daemon.wait_exit(SOON);
    }
}
