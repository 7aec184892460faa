//! Schedules that are written out: what must come of each is known beforehand.

use std::sync::Arc;
use std::time::Duration;

use pglookout::config::{self, Config, Environment, NodeName, QuorumRule};
use pglookout::simulation::{Death, Ending, Fault, Micros, Plan, SECOND, Setup, Step};

use crate::judge::judge;

/// Three servers with these settings more.
fn config(settings: &str) -> Config {
    let text = format!(
        r#"{{"remote_conns": {{"a": "host=a", "b": "host=b", "c": "host=c"}}, "failover_command": "promote",
        "db_poll_interval": 1, "replication_state_check_interval": 2, "poll_timeout": 0.4,
        "max_failover_replication_time_lag": 6, "warning_replication_time_lag": 3,
        "missing_master_from_config_timeout": 2{settings}}}"#
    );
    config::parse(&text, &Environment::default())
        .unwrap()
        .config
}

/// Host and time of each promotion of a schedule in which nothing happens that must not.
fn promotions(setup: &Setup, faults: &[(Micros, Fault)], length: Micros) -> Vec<(usize, Micros)> {
    let steps = faults.iter().map(|(at, fault)| Step {
        at: *at,
        fault: *fault,
    });
    let plan = Plan {
        seed: 1,
        setup: setup.clone(),
        steps: steps.collect(),
        length,
        ending: Ending::Abrupt,
    };
    let judgement = judge(&plan);
    assert_eq!(judgement.violation, None, "{}", plan.text());
    let all = judgement.outcome.promotions.0.iter();
    all.map(|one| (one.host, one.began)).collect()
}

/// A typing error in the name of the primary promotes nobody beside it, on one host or on all.
#[test]
fn a_misspelt_primary_goes_on_living() {
    let setup = Setup::new(&config(""), A);
    for hosts in [vec![B], vec![C], vec![B, C]] {
        let misspelt = hosts
            .iter()
            .map(|host| (5 * SECOND, Fault::Misspells(*host, A, false)));
        let mut faults: Vec<_> = misspelt.collect();
        assert_eq!(promotions(&setup, &faults, MINUTE), [], "{hosts:?}");
        // And when it dies, one of the others is promoted.
        faults.push((MINUTE, Fault::Dies(A, Death::Crash)));
        let promoted = promotions(&setup, &faults, 2 * MINUTE);
        let [(C, at)] = promoted[..] else {
            panic!("{hosts:?}: {promoted:?}");
        };
        assert!(
            at > MINUTE + 4 * SECOND && at < MINUTE + setup.time_to_promotion(),
            "{at}"
        );
    }
}

/// With a wrong address as well it goes on living in what its standbys receive; where they receive
/// nothing it is looked for as long as a primary that is lost.
#[test]
fn a_misspelt_primary_at_a_wrong_address_is_looked_for_until_the_limit() {
    let setup = Setup::new(&config(""), A);
    let misspelt = [B, C].map(|host| (10 * SECOND, Fault::Misspells(host, A, true)));
    assert_eq!(promotions(&setup, &misspelt, MINUTE), []);
    let starved = [B, C].map(|node| (9 * SECOND, Fault::LosesSlot(node)));
    let unseen = [starved, misspelt].concat();
    let promoted = promotions(&setup, &unseen, MINUTE);
    let [(C, at)] = promoted[..] else {
        panic!("{promoted:?}");
    };
    assert!(
        at >= 16 * SECOND && at < 10 * SECOND + setup.time_to_promotion(),
        "{at}"
    );
    let corrected = [B, C].map(|host| (15 * SECOND, Fault::Corrects(host, A)));
    let corrected = [&unseen[..], &corrected[..]].concat();
    assert_eq!(promotions(&setup, &corrected, MINUTE), []);
}

/// This cluster with settings of their own on some hosts.
fn with(mut setup: Setup, hosts: &[usize], change: impl Fn(&mut Config)) -> Setup {
    for host in hosts {
        change(Arc::make_mut(&mut setup.configs[*host]));
    }
    setup
}

/// Of two standbys on one side of an even split, the one promotes whose own quorum is met: whoever
/// would go first, but asks for a majority, steps aside.
#[test]
fn each_daemon_keeps_its_own_quorum() {
    let mut config = config("");
    let another = config.nodes[&NodeName::from("a")].clone();
    config.nodes.insert(NodeName::from("d"), another);
    let setup = Setup::new(&config, A);
    let majority = |config: &mut Config| config.quorum = QuorumRule::Majority;
    let split = [(10 * SECOND, Fault::Split(1 << A | 1 << B))];
    let end = 10 * SECOND + setup.time_to_wait();
    for (strict, promoted) in [
        (vec![], vec![D]),
        (vec![D], vec![C]),
        (vec![C], vec![D]),
        (vec![C, D], vec![]),
    ] {
        let setup = with(setup.clone(), &strict, majority);
        let hosts = promotions(&setup, &split, end).into_iter();
        let hosts: Vec<_> = hosts.map(|(host, _)| host).collect();
        assert_eq!(hosts, promoted, "{strict:?}");
    }
}

/// Who goes first is promoted after its own limit, and whose limit is shorter waits for it.
#[test]
fn each_daemon_keeps_its_own_limit() {
    let setup = Setup::new(&config(""), A);
    let death = [(20 * SECOND, Fault::Dies(A, Death::Crash))];
    for (patient, limit) in [(B, 6), (C, 12)] {
        let setup = with(setup.clone(), &[patient], |config| {
            config.failover_lag = Duration::from_secs(12);
        });
        let promoted = promotions(&setup, &death, MINUTE);
        let [(C, at)] = promoted[..] else {
            panic!("{patient}: {promoted:?}");
        };
        let after = at - 20 * SECOND;
        assert!(
            after > (limit - 2) * SECOND && after < (limit + 6) * SECOND,
            "{patient}: {after}"
        );
    }
}

/// Two daemons of which each rules the other one out do not both promote.
#[test]
fn of_two_that_rule_each_other_out_one_promotes() {
    let mut setup = Setup::new(&config(""), A);
    for (host, other) in [(B, C), (C, B)] {
        let other = setup.nodes[other].clone();
        setup = with(setup, &[host], |config| {
            config.never_promote.insert(other.clone());
        });
    }
    let death = [(20 * SECOND, Fault::Dies(A, Death::Crash))];
    let promoted = promotions(&setup, &death, MINUTE);
    assert_eq!(promoted.len(), 1, "{promoted:?}");
}

/// Two daemons of which each prefers its own node do not wait for each other for ever.
#[test]
fn of_two_that_each_prefer_themselves_one_promotes() {
    let mut setup = Setup::new(&config(""), A);
    for host in [B, C] {
        let own = setup.nodes[host].clone();
        setup = with(setup, &[host], |config| {
            config.failover_priorities.insert(own.clone(), 10);
        });
    }
    // Whoever announces itself first is promoted: they must do so at the same time.
    for moment in (0..100).map(|step| 20 * SECOND + step * SECOND / 20) {
        let death = [(moment, Fault::Dies(A, Death::HostDown))];
        let promoted = promotions(&setup, &death, MINUTE);
        assert_eq!(promoted.len(), 1, "{moment}: {promoted:?}");
    }
}

/// A standby that alone may be promoted has a daemon that runs 0.3 s of every 3 s: it is promoted all
/// the same, within the usual time and three seconds for each of its steps.
#[test]
fn a_slow_host_promotes_the_only_candidate() {
    let setup = Setup::new(&config(r#", "never_promote_these_nodes": ["b"]"#), A);
    let rhythm = (3 * SECOND / 10, 3 * SECOND);
    let bound = setup.time_to_promotion() + 6 * rhythm.1;
    for begins in (0..30).map(|tenth| 10 * SECOND + tenth * SECOND / 10) {
        for death in [Death::Crash, Death::HostDown, Death::Hang] {
            let faults = [
                (begins, Fault::RunsSeldom(C, Some(rhythm))),
                (20 * SECOND, Fault::Dies(A, death)),
            ];
            let promoted = promotions(&setup, &faults, MINUTE);
            let [(C, at)] = promoted[..] else {
                panic!("{begins} {death}: {promoted:?}");
            };
            assert!(
                at > 24 * SECOND && at < 20 * SECOND + bound,
                "{begins} {death}: {at}"
            );
        }
    }
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;
const MINUTE: Micros = 60 * SECOND;
