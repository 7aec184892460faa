//! Three servers that elect by votes, for schedules that are written out; a is the primary.

use pglookout::config::{self, Environment};
use pglookout::simulation::{Ending, Fault, Micros, Plan, SECOND, Setup, Step};

use crate::judge::{Judgement, judge};

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
pub(crate) const C: usize = 2;

/// What these faults, each so many seconds after the start, come to after two minutes. `keys`: of the
/// configuration, besides those that all have.
#[track_caller]
pub(crate) fn judged(keys: &str, faults: &[(Micros, Fault)]) -> Judgement {
    let steps = faults.iter().map(|(at, fault)| Step {
        at: *at * SECOND,
        fault: *fault,
    });
    let plan = Plan {
        seed: 1,
        setup: setup(keys),
        steps: steps.collect(),
        length: 120 * SECOND,
        ending: Ending::Abrupt,
    };
    let judgement = judge(&plan);
    assert_eq!(judgement.violation, None, "{}", plan.text());
    judgement
}

fn setup(keys: &str) -> Setup {
    let text = format!(
        r#"{{"remote_conns": {{"a": "host=a", "b": "host=b", "c": "host=c"}}, "failover_command": "promote",
        "db_poll_interval": 1, "replication_state_check_interval": 2, "poll_timeout": 0.4, "own_db": "a",
        "max_failover_replication_time_lag": 6, "warning_replication_time_lag": 3, {keys},
        "missing_master_from_config_timeout": 2, "vote_directory": "/v", "election_stagger": 0.6,
        "step_aside_time": 1, "voting": {{"main": {{"generation": 1, "secret_file": "/s",
        "voters": {{"a": "http://a:15000", "b": "http://b:15000", "c": "http://c:15000"}}}}}}}}"#
    );
    let config = config::parse(&text, &Environment::default());
    Setup::new(&config.unwrap().config, A)
}
