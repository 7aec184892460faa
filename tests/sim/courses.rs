//! Schedules that are written out: what must come of each is known beforehand.

use pglookout::config::{self, Config, Environment};
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

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const MINUTE: Micros = 60 * SECOND;
