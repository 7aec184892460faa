//! The primary goes: crash, hang, clean stop; and comes back.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::daemon::seconds_now;
use crate::harness::fleet::{INTERVAL, LIMIT};
use crate::harness::{Cluster, Fleet, SOON, pause, wait_until};

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

/// Sessions that an operator ends are no loss of the primary; restarts are.
#[test]
fn an_ended_session_is_no_loss_and_three_restarts_are_an_alert() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |name, config| {
        config["max_failover_replication_time_lag"] = json!(60);
        if name == "s1" {
            config["event_command"] = json!(["sh", "-c", "echo \"$PGLOOKOUT_EVENT\" >> events"]);
        }
    });
    let daemon = &fleet["s1"];
    let events = || fs::read_to_string(daemon.path("events")).unwrap_or_default();
    for times in 1..=4 {
        cluster["p"].disconnect_daemons();
        wait_until("the end of its session is logged", SOON, || {
            daemon.log().matches("node p: unreachable").count()
                + daemon.log().matches("node p: not ready").count()
                >= times
        });
        pause(1_500);
    }
    assert!(!daemon.has_alert("primary_flapping"), "{}", daemon.log());
    assert_eq!(events(), "", "{}", daemon.log());
    for _ in 0..3 {
        cluster["p"].kill_nine_all();
        pause(1_500);
        cluster["p"].start();
        pause(1_500);
    }
    daemon.wait_alert("primary_flapping", "3 times within 600 s");
    wait_until("three losses are events", SOON, || {
        events().matches("primary_lost").count() == 3
    });
    assert!(fleet.promoted().is_empty());
}
