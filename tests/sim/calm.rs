//! An hour in which nothing is wrong but the network and the processors: with the short limits of the manual nobody is
//! promoted in it. When the primary crashes after it, a standby is.

use pglookout::config::{self, Environment};
use pglookout::simulation::{Death, Ending, Fault, Micros, Plan, Setup, Step};

use crate::judge::judge;

const MILLISECOND: Micros = 1_000;
const MINUTE: Micros = 60_000 * MILLISECOND;
const HOUR: Micros = 60 * MINUTE;

/// The settings of the manual for this limit, in seconds.
fn setup(limit: f64) -> Setup {
    let interval = (limit / 5.0).min(1.0);
    let text = format!(
        r#"{{"remote_conns": {{"a": "host=a", "b": "host=b", "c": "host=c"}}, "failover_command": "promote",
        "own_db": "a", "max_failover_replication_time_lag": {limit}, "warning_replication_time_lag": {limit},
        "db_poll_interval": {interval}, "replication_state_check_interval": {interval}}}"#
    );
    let config = config::parse(&text, &Environment::default());
    Setup::new(&config.unwrap().config, 0)
}

/// Every exchange takes so much longer and a hundredth of them is lost, by each seed; and every daemon
/// has a processor for a third of the time.
#[track_caller]
fn calm(limit: f64, longer: Micros, seeds: std::ops::Range<u64>) {
    let setup = setup(limit);
    let hosts = 0..setup.hosts();
    let paths = hosts.flat_map(|from| (0..setup.hosts()).map(move |to| (from, to)));
    let mut steps = Vec::new();
    for (from, to) in paths {
        let faults = [Fault::Slow(from, to, longer), Fault::Lossy(from, to, 1)];
        steps.extend(faults.map(|fault| Step { at: 0, fault }));
    }
    for host in 0..setup.hosts() {
        let share = Some((20 * MILLISECOND, 60 * MILLISECOND));
        let fault = Fault::RunsSeldom(host, share);
        steps.push(Step { at: 0, fault });
    }
    let crash = Fault::Dies(0, Death::Crash);
    steps.push(Step {
        at: HOUR,
        fault: crash,
    });
    for seed in seeds {
        let plan = Plan {
            seed,
            setup: setup.clone(),
            steps: steps.clone(),
            length: HOUR + MINUTE,
            ending: Ending::Abrupt,
        };
        let judgement = judge(&plan);
        assert_eq!(judgement.violation, None, "{}", plan.text());
        let promotions = judgement.outcome.promotions.0;
        let at = promotions.iter().map(|it| it.began).collect::<Vec<_>>();
        assert!(at.len() == 1 && at[0] > HOUR, "{at:?}: {}", plan.text());
    }
}

/// `PGLOOKOUT_SIM_HOURS`: of each.
fn hours() -> std::ops::Range<u64> {
    let hours = std::env::var("PGLOOKOUT_SIM_HOURS");
    1..1 + hours.map_or(1, |hours| hours.parse().unwrap())
}

#[test]
fn at_half_a_second_nobody_is_promoted() {
    calm(0.5, 10 * MILLISECOND, hours());
}

#[test]
fn at_a_second_nobody_is_promoted() {
    calm(1.0, 10 * MILLISECOND, hours());
}

#[test]
fn at_two_seconds_and_a_tenth_for_each_answer_nobody_is_promoted() {
    calm(2.0, 100 * MILLISECOND, hours());
}

#[test]
fn at_five_seconds_and_a_tenth_for_each_answer_nobody_is_promoted() {
    calm(5.0, 100 * MILLISECOND, hours());
}
