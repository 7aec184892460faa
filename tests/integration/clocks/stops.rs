//! Processes are stopped for a while and continued, as a host is that is frozen or moved: no wait
//! goes on as if nothing had been, and no decision to promote is made on what was known before.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::fleet::LIMIT;
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};

#[test]
fn daemons_that_were_stopped_promote_nothing_beside_a_healthy_primary() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    for stopped in [&["s2"][..], &["o", "p", "s1", "s2"]] {
        let before = Memory::of(&fleet["s2"]);
        stop(&fleet, stopped, 10_000, || ());
        wait_until("it asks again", SOON, || {
            before.has_asked_again(&fleet["s2"])
        });
        fleet.nobody_promotes_for(2.0);
        let verdicts = before.verdicts_since(&fleet["s2"]);
        println!(
            "{stopped:?} stopped for 10 s: s2 decided then {:?}",
            &verdicts[..3]
        );
        // Where nobody wrote for 10 s, the first fresh answer of a standby is lag, beside a
        // connected primary.
        let harmless = ["primary_reachable", "lag_warning", "hold"];
        assert!(
            verdicts
                .iter()
                .all(|verdict| harmless.contains(&verdict.as_str())),
            "{verdicts:?}"
        );
        assert_eq!(fleet["s2"].current_primary().as_deref(), Some(PRIMARY));
    }
}

#[test]
fn a_daemon_that_runs_for_a_moment_every_three_seconds_promotes() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, _| ());
    cluster[PRIMARY].kill_nine_all();
    let killed_at = seconds_now();
    while fleet.promoted().is_empty() {
        stop(&fleet, &["s1"], 2_600, || ());
        pause(400);
        let passed = seconds_now() - killed_at;
        assert!(passed < 60.0, "nobody promoted for {passed:.0} s");
    }
    wait_until("the promoted server is the primary", SOON, || {
        cluster.primaries() == ["s1"]
    });
}

#[test]
fn a_primary_that_dies_while_daemons_are_stopped_is_asked_for_again_and_replaced_once() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    let before = ["s1", "s2"].map(|name| Memory::of(&fleet[name]));
    stop(&fleet, &["s1", "s2", "o"], 10_000, || {
        cluster[PRIMARY].kill_nine_all()
    });
    let woken_at = seconds_now();
    let (who, when) = fleet.wait_promotion();
    let (who, took) = (who.to_owned(), when - woken_at);
    let at = usize::from(who == "s2");
    wait_until("the decision is told", SOON, || {
        before[at]
            .verdicts_since(&fleet[&who])
            .contains(&"promote".to_owned())
    });
    let verdicts = before[at].verdicts_since(&fleet[&who]);
    println!(
        "the primary died while all were stopped for 10 s: {who} promoted {took:.2} s after it was woken: {verdicts:?}"
    );
    let promoted = verdicts
        .iter()
        .position(|verdict| verdict == "promote")
        .unwrap();
    assert!(
        verdicts[..promoted].contains(&"wants_fresh_facts".to_owned()),
        "{verdicts:?}"
    );
    assert!(
        took < LIMIT + 3.0,
        "promoted {took:.2} s after it was woken"
    );
    wait_until("the promoted server is the primary", SOON, || {
        cluster.primaries() == [who.as_str()]
    });
    fleet.nobody_promotes_for(LIMIT + 1.0);
    assert_eq!(fleet.promoted(), [who.as_str()]);
}

/// It is awake for as long as an announcement and a look at it take, not for a poll interval of
/// anybody else.
#[test]
fn a_host_that_stands_still_most_of_the_time_promotes_all_the_same() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["observers"] = serde_json::json!({});
    });
    cluster[PRIMARY].kill_nine_all();
    let mut turns = 0;
    while fleet.promoted().is_empty() {
        stop(&fleet, &["s1"], 2_700, || ());
        pause(1_200);
        turns += 1;
        assert!(turns < 20, "nobody promotes");
    }
    println!("promoted after {turns} turns of 1.2 s");
    fleet.nobody_promotes_for(1.0);
    assert_eq!(fleet.promoted(), ["s1"]);
}

#[test]
fn a_poll_that_was_under_way_when_all_were_stopped_is_no_fresh_fact() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    cluster[PRIMARY].hang();
    // By then polls hang in a login: one that is ended by the primary's own waking would be a good
    // answer.
    pause(1_700);
    stop(&fleet, &["o", "p", "s1", "s2"], 5_000, || {
        cluster[PRIMARY].wake()
    });
    fleet.nobody_promotes_for(LIMIT + 1.0);
    assert_eq!(cluster.primaries(), [PRIMARY]);
    println!("the primary hung for 1.7 s and all daemons were stopped for 5 s: nobody promoted");
}

#[test]
fn a_primary_that_is_frozen_for_two_seconds_stays() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    for _ in 0..2 {
        cluster[PRIMARY].hang();
        fleet.nobody_promotes_for(2.0);
        cluster[PRIMARY].wake();
        fleet.nobody_promotes_for(LIMIT);
    }
    for name in ["o", "p", "s1", "s2"] {
        assert_eq!(
            fleet[name].current_primary().as_deref(),
            Some(PRIMARY),
            "{name}"
        );
        assert!(!fleet[name].has_alert("multiple_master_warning"), "{name}");
    }
    println!(
        "the primary was frozen for 2 s twice: {:?} promoted",
        fleet.promoted()
    );
}

/// Stops these daemons for so long, and does something meanwhile.
fn stop(fleet: &Fleet, names: &[&str], milliseconds: u64, meanwhile: impl FnOnce()) {
    names
        .iter()
        .for_each(|name| fleet[name].signal(Signal::SIGSTOP));
    meanwhile();
    pause(milliseconds);
    names
        .iter()
        .for_each(|name| fleet[name].signal(Signal::SIGCONT));
}

/// The last decision that a daemon had made, and when it had asked the primary.
struct Memory {
    decided_at: String,
    asked_at: String,
}

impl Memory {
    fn of(daemon: &Daemon) -> Self {
        let decided_at = decisions(daemon)[0].0.clone();
        Self {
            decided_at,
            asked_at: asked_at(daemon),
        }
    }

    fn has_asked_again(&self, daemon: &Daemon) -> bool {
        asked_at(daemon) > self.asked_at
    }

    /// Its later verdicts, in order.
    fn verdicts_since(&self, daemon: &Daemon) -> Vec<String> {
        let later = decisions(daemon)
            .into_iter()
            .filter(|(at, _)| *at > self.decided_at);
        let mut verdicts: Vec<String> = later.map(|(_, verdict)| verdict).collect();
        verdicts.reverse();
        verdicts
    }
}

/// Time and verdict of each decision, the latest first.
fn decisions(daemon: &Daemon) -> Vec<(String, String)> {
    let page: Vec<Value> =
        serde_json::from_str(&daemon.get("/decisions.json").unwrap().body).unwrap();
    let words = |decision: &Value, key: &str| decision[key].as_str().unwrap().to_owned();
    page.iter()
        .map(|decision| (words(decision, "at"), words(decision, "verdict")))
        .collect()
}

fn asked_at(daemon: &Daemon) -> String {
    daemon.state()[PRIMARY]["fetch_time"]
        .as_str()
        .unwrap()
        .to_owned()
}
