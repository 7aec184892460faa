//! Schedules of clusters that vote, written out: what must come of each is known beforehand.

use std::sync::Arc;

use pglookout::config::{self, Config, Environment, VoterName, Voting};
use pglookout::simulation::{Death, Ending, Fault, Micros, Plan, SECOND, Setup, Step, VoteFault};

use crate::judge::{Judgement, judge};

/// Three servers that elect by votes; a is the primary.
fn setup() -> Setup {
    let text = r#"{"remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c"}, "failover_command": "promote",
        "db_poll_interval": 1, "replication_state_check_interval": 2, "poll_timeout": 0.4, "own_db": "a",
        "max_failover_replication_time_lag": 6, "warning_replication_time_lag": 3,
        "missing_master_from_config_timeout": 2, "vote_directory": "/v", "lease_time": 3, "vote_timeout": 0.5,
        "election_stagger": 0.6, "step_aside_time": 1, "voting": {"main": {"generation": 1, "secret_file": "/s",
        "voters": {"a": "http://a:15000", "b": "http://b:15000", "c": "http://c:15000"}}}}"#;
    let config = config::parse(text, &Environment::default()).unwrap().config;
    let mut setup = Setup::new(&config, A);
    for host in [A, B, C] {
        let name = VoterName::from(setup.host_name(host));
        let config: &mut Config = Arc::make_mut(&mut setup.configs[host]);
        let voting: &mut Voting = config.voting.insert(config_voting(text));
        for cluster in voting.clusters.values_mut() {
            cluster.own = name.clone();
        }
    }
    setup
}

fn config_voting(text: &str) -> Voting {
    let config = config::parse(text, &Environment::default()).unwrap().config;
    config.voting.unwrap()
}

/// What these faults come to after two minutes.
#[track_caller]
fn judged(faults: &[(Micros, Fault)]) -> Judgement {
    let steps = faults.iter().map(|(at, fault)| Step {
        at: *at * SECOND,
        fault: *fault,
    });
    let plan = Plan {
        seed: 1,
        setup: setup(),
        steps: steps.collect(),
        length: 120 * SECOND,
        ending: Ending::Abrupt,
    };
    let judgement = judge(&plan);
    assert_eq!(judgement.violation, None, "{}", plan.text());
    judgement
}

fn promoted(judgement: &Judgement) -> Vec<usize> {
    let all = judgement.outcome.promotions.0.iter();
    all.map(|one| one.host).collect()
}

#[test]
fn one_of_two_standbys_is_elected_and_nobody_votes_in_calm() {
    let calm = judged(&[]);
    assert_eq!((calm.elections.begun, calm.elections.held), (0, 0));
    let judgement = judged(&[(20, Fault::Dies(A, Death::HostDown))]);
    assert_eq!(promoted(&judgement), [C]);
    assert_eq!((judgement.elections.held, judgement.elections.won), (1, 1));
}

#[test]
fn nobody_is_elected_without_a_majority() {
    for lost in [
        Fault::Votes(VoteFault::LosesFile(B)),
        Fault::Votes(VoteFault::TearsFile(B)),
        Fault::Daemon(B, false),
    ] {
        let faults = [
            (10, lost),
            (11, Fault::Restarts(B)),
            (20, Fault::Dies(A, Death::HostDown)),
        ];
        let judgement = judged(&faults);
        assert!(promoted(&judgement).is_empty(), "{lost:?}");
        assert!(judgement.elections.begun > 0, "{lost:?}");
    }
}

/// The new primary dies too: there is another term.
#[test]
fn a_second_outage_has_an_election_of_its_own() {
    let judgement = judged(&[
        (20, Fault::Dies(A, Death::Crash)),
        (40, Fault::Follows(B, C)),
        (60, Fault::Dies(C, Death::Crash)),
    ]);
    assert_eq!(promoted(&judgement), [C, B]);
    assert_eq!(judgement.elections.won, 2);
}

/// Whoever has its vote file put back votes once more in a term that is over. That is no fault of the
/// rules, and is named.
#[test]
fn a_vote_file_that_is_put_back_is_named() {
    let judgement = judged(&[
        (20, Fault::Dies(A, Death::Crash)),
        (60, Fault::Votes(VoteFault::PutsFileBack(B))),
        (61, Fault::Restarts(B)),
    ]);
    assert_eq!(promoted(&judgement), [C]);
    assert_eq!(judgement.assumptions.broken.values().sum::<u64>(), 1);
}

/// Writes fail while the primary dies: nobody is promoted before they succeed.
#[test]
fn nothing_is_promoted_while_no_vote_can_be_written() {
    let full = [A, B, C].map(|host| (10, Fault::Votes(VoteFault::DiskFull(host, true))));
    let mut faults = full.to_vec();
    faults.push((20, Fault::Dies(A, Death::Crash)));
    assert!(promoted(&judged(&faults)).is_empty());
    faults.extend([A, B, C].map(|host| (60, Fault::Votes(VoteFault::DiskFull(host, false)))));
    let judgement = judged(&faults);
    let first = judgement.outcome.promotions.0.first().unwrap();
    assert!(first.began > 60 * SECOND, "{first:?}");
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
