//! A wall clock is stepped by an hour, either way, on one host of a healthy cluster: nobody
//! promotes, nobody takes another for the primary, and when the primary dies the failover comes as
//! ever.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::wall_clock::WallClock;
use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::fleet::{INTERVAL, LIMIT};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

/// Whose wall clock is stepped.
#[derive(Clone, Copy, Debug)]
enum Of {
    Server(&'static str),
    Daemon(&'static str),
}

/// What it reports: lag as a standby computes it, from two clocks, and observers that have lost
/// their vote.
#[derive(Debug, PartialEq)]
struct Said {
    lag_warnings: Vec<&'static str>,
    /// The daemons that log an observer's clock, each how often.
    skews: Vec<(&'static str, usize)>,
}

const HOUR: i64 = 3600;
const DAEMONS: [&str; 4] = ["o", "p", "s1", "s2"];

#[test]
fn a_step_of_the_primarys_clock_is_taken_for_lag_and_nothing_else() {
    let lag_warnings = vec!["s1", "s2"];
    check(
        Of::Server("p"),
        [HOUR, -HOUR],
        &Said {
            lag_warnings,
            skews: vec![],
        },
    );
}

#[test]
fn a_step_of_a_standbys_clock_is_taken_for_lag_by_its_own_daemon() {
    check(
        Of::Server("s2"),
        [-HOUR, HOUR],
        &Said {
            lag_warnings: vec!["s2"],
            skews: vec![],
        },
    );
}

#[test]
fn a_step_of_a_daemons_own_clock_costs_its_observer_the_vote() {
    check(
        Of::Daemon("s2"),
        [HOUR, -HOUR],
        &Said {
            lag_warnings: vec![],
            skews: vec![("s2", 1)],
        },
    );
}

#[test]
fn a_step_of_an_observers_clock_costs_it_the_vote() {
    let skews = vec![("p", 1), ("s1", 1), ("s2", 1)];
    check(
        Of::Daemon("o"),
        [-HOUR, HOUR],
        &Said {
            lag_warnings: vec![],
            skews,
        },
    );
}

/// Of primary, standby and observer half must be known, and the standby alone is less.
#[test]
fn an_observer_whose_clock_is_off_has_its_vote() {
    let Some(mut cluster) = Cluster::prepare(&["s1"]) else {
        return;
    };
    let Some(clock) = WallClock::in_dir(cluster.dir()) else {
        return;
    };
    cluster.start_all();
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        config["failover_quorum"] = "majority".into();
    });
    fleet["o"].variables = clock.variables();
    fleet.start_all();
    fleet.wait_settled();
    clock.step(HOUR);
    wait_until("the clock is noticed", SOON, || {
        fleet["s1"].log().contains("clock differs from ours")
    });
    cluster[PRIMARY].kill_nine_all();
    assert_eq!(fleet.wait_promotion().0, "s1");
}

fn check(of: Of, steps: [i64; 2], expected: &Said) {
    let Some(mut cluster) = Cluster::prepare(&["s1", "s2"]) else {
        return;
    };
    let Some(clock) = WallClock::in_dir(cluster.dir()) else {
        return;
    };
    if let Of::Server(name) = of {
        cluster[name].variables = clock.variables();
    }
    cluster.start_all();
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    if let Of::Daemon(name) = of {
        fleet[name].variables = clock.variables();
    }
    fleet.start_all();
    fleet.wait_settled();
    for seconds in steps {
        clock.step(seconds);
        wait_until("the clock is another", SOON, || {
            (ahead_by(of, &cluster, &fleet) - seconds).abs() < 10
        });
        fleet.nobody_promotes_for(WATCH_SECONDS);
        for name in DAEMONS {
            assert_eq!(
                fleet[name].current_primary().as_deref(),
                Some(PRIMARY),
                "{name}"
            );
            assert!(!fleet[name].has_alert("multiple_master_warning"), "{name}");
        }
        assert_eq!(cluster.primaries(), [PRIMARY]);
        println!(
            "{of:?}, {seconds:+} s, {WATCH_SECONDS} s later: {:?}",
            printed(&fleet)
        );
        assert_eq!(printed(&fleet), *expected);
    }
    cluster[PRIMARY].kill_nine_all();
    let dead_at = seconds_now();
    let (who, when) = fleet.wait_promotion();
    let (who, took) = (who.to_owned(), when - dead_at);
    println!("failover to {who} after {took:.2} s");
    assert!(
        took > LIMIT - INTERVAL - 0.2 && took < LIMIT + 3.0,
        "the failover took {took:.2} s"
    );
    wait_until("the promoted server is the primary", SOON, || {
        cluster.primaries() == [who.as_str()]
    });
    fleet.nobody_promotes_for(1.0);
    assert_eq!(fleet.promoted(), [who.as_str()]);
}

/// By how many seconds a wall clock is ahead of ours, as its owner reports the time.
fn ahead_by(of: Of, cluster: &Cluster, fleet: &Fleet) -> i64 {
    let reported = match of {
        Of::Server(name) => cluster[name]
            .query("SELECT extract(epoch FROM now())::bigint")
            .parse()
            .unwrap(),
        Of::Daemon(name) => {
            let date = httpdate::parse_http_date(
                fleet[name]
                    .get("/state.json")
                    .unwrap()
                    .header("Date")
                    .unwrap(),
            );
            date.unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
        }
    };
    let ours: Duration = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    reported - ours.as_secs() as i64
}

fn printed(fleet: &Fleet) -> Said {
    let has_warned = |name: &&str| fleet[*name].has_alert("replication_delay_warning");
    let skews = |name: &str| {
        fleet[name]
            .log()
            .matches("clock differs from ours by 3600 s: check the time")
            .count()
    };
    Said {
        lag_warnings: DAEMONS.into_iter().filter(has_warned).collect(),
        skews: DAEMONS
            .into_iter()
            .map(|name| (name, skews(name)))
            .filter(|(_, count)| *count > 0)
            .collect(),
    }
}

/// After each step.
const WATCH_SECONDS: f64 = 2.0 * LIMIT;
