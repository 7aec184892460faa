//! Schedules of clusters that vote, written out: what must come of each is known beforehand.

use pglookout::simulation::{Death, Fault, Micros, SECOND, VoteFault};

use crate::judge::Judgement;
use crate::three_servers::{self, A, B, C};

/// Without leases.
#[track_caller]
fn judged(faults: &[(Micros, Fault)]) -> Judgement {
    three_servers::judged(r#""lease_time": 3, "vote_timeout": 0.5"#, faults)
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
