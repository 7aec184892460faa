//! Changes of the list of voters, written out: what must come of each is known beforehand.

use pglookout::config::{self, Environment, VoterName};
use pglookout::simulation::{
    Death, Ending, Fault, HostId, Micros, Plan, SECOND, Setup, Step, VoteFault, VotersOf,
};

use crate::judge::{Judgement, judge};

/// Four servers: a, b and c vote, then d too, then d alone in the place of c.
fn setup() -> Setup {
    let text = r#"{"remote_conns": {"a": "host=a", "b": "host=b", "c": "host=c", "d": "host=d"},
        "failover_command": "promote", "db_poll_interval": 1, "replication_state_check_interval": 2,
        "poll_timeout": 0.4, "own_db": "a", "max_failover_replication_time_lag": 6,
        "warning_replication_time_lag": 3, "missing_master_from_config_timeout": 2, "vote_directory": "/v",
        "election_stagger": 0.6, "step_aside_time": 1, "lease_time": 6, "vote_timeout": 0.6,
        "lease_renew_interval": 0.8, "fence_timeout": 2, "fence_command": "fence",
        "voting": {"main": {"generation": 1, "secret_file": "/s", "voters": {"a": "http://a:15000",
        "b": "http://b:15000", "c": "http://c:15000", "d": "http://d:15000"}}}}"#;
    let config = config::parse(text, &Environment::default());
    let mut setup = Setup::new(&config.unwrap().config, A);
    let list = |names: &str| -> VotersOf {
        let hosts = names.chars().map(|name| (name, "abcd".find(name).unwrap()));
        let voters = hosts.map(|(name, host)| (VoterName::from(name.to_string().as_str()), host));
        voters.collect()
    };
    setup.vote_in(["abc", "abcd", "abd"].map(list).to_vec());
    setup
}

/// What these edits, each of a host and a generation, and faults come to, once all is well again.
#[track_caller]
fn judged(edits: &[(Micros, HostId, u64)], faults: &[(Micros, Fault)]) -> Judgement {
    let edits = edits.iter().map(|(at, host, generation)| {
        let edit = VoteFault::Edits(*host, *generation, (false, false));
        (*at, Fault::Votes(edit))
    });
    let mut faults: Vec<_> = edits.chain(faults.iter().copied()).collect();
    faults.sort_by_key(|(at, _)| *at);
    let steps = faults.into_iter().map(|(at, fault)| Step {
        at: at * SECOND,
        fault,
    });
    let plan = Plan {
        seed: 1,
        setup: setup(),
        steps: steps.collect(),
        length: 120 * SECOND,
        ending: Ending::Healed,
    };
    let judgement = judge(&plan);
    assert_eq!(judgement.violation, None, "{}", plan.text());
    judgement
}

#[test]
fn a_voter_is_added_and_another_removed_in_any_order() {
    for order in [[A, B, C, D], [D, C, B, A], [C, A, D, B]] {
        let mut edits = Vec::new();
        for (place, host) in (0..).zip(order) {
            edits.extend([(10 + 2 * place, host, 2), (60 + 2 * place, host, 3)]);
        }
        let judgement = judged(&edits, &[]);
        let lists = &judgement.elections.lists;
        assert_eq!((lists.completed, lists.agreed), (2, 1), "{order:?}");
        assert!(judgement.outcome.promotions.0.is_empty(), "{order:?}");
        assert_eq!(judgement.leases.fences, 0, "{order:?}");
    }
}

/// Some files have the new list, the one of the new voter among them, and the primary dies.
#[test]
fn one_is_elected_in_the_middle_of_a_change() {
    for edited in [[A, B, D], [A, C, D], [B, C, D]] {
        let edits = edited.map(|host| (20, host, 2));
        let judgement = judged(&edits, &[(24, Fault::Dies(A, Death::HostDown))]);
        assert_eq!(judgement.outcome.promotions.0.len(), 1, "{edited:?}");
        assert_eq!(judgement.elections.lists.agreed, 1, "{edited:?}");
    }
}

/// The next change waits for an operator who looks first.
#[test]
fn no_change_begins_before_the_last_one_is_over() {
    let edits = [(10, A, 2), (11, B, 3), (12, A, 3)];
    let judgement = judged(&edits, &[(9, Fault::Split(1 << A))]);
    assert_eq!(judgement.elections.lists.completed, 1);
}

const A: HostId = 0;
const B: HostId = 1;
const C: HostId = 2;
const D: HostId = 3;
