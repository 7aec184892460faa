use super::super::counted::{Counted, Listed};
use super::super::scene::{TIMERS, answer, at, list, member, name, position, request_of, standby};
use super::super::{Record, Refusal};
use super::*;

fn counted() -> Counted {
    Listed::of(&Record::new(list())).counted().unwrap()
}

fn begin(candidate: &mut Candidate, own_term: u64, seconds: f64) -> (Nonce, u64) {
    let facts = (Some(position(100)), None, Aim::Promote);
    let attempt = candidate.begin(own_term, counted(), facts, &TIMERS, at(seconds));
    (attempt.nonce, attempt.tally.term)
}

#[test]
fn every_attempt_has_a_nonce_of_its_own() {
    let mut candidate = Candidate::new(u128::MAX);
    let (one, _) = begin(&mut candidate, 0, 0.0);
    let (two, _) = begin(&mut candidate, 0, 0.0);
    assert_ne!(one, two);
    assert_ne!(
        begin(&mut Candidate::new(7), 0, 0.0).0,
        begin(&mut Candidate::new(8), 0, 0.0).0
    );
}

#[test]
fn after_four_attempts_that_won_nothing_others_go_first() {
    let mut candidate = Candidate::new(1);
    for lost in 0..4 {
        begin(&mut candidate, 0, 0.0);
        candidate.lose(&TIMERS, at(0.0));
        let until = match candidate.standing(at(0.0)) {
            Standing::Refused { until, .. } if lost < 3 => until,
            Standing::SteppedAside { until } if lost == 3 => until,
            Standing::Free if lost < 3 => at(0.0),
            other => panic!("{lost}: {other:?}"),
        };
        // D, 2 D, 4 D at the most; then half of the time to step aside.
        let longest = [2.0, 4.0, 8.0, 15.0][lost];
        assert!(until <= at(longest), "{lost}");
        assert!(lost < 3 || until == at(15.0));
    }
    assert_eq!(candidate.standing(at(16.0)), Standing::Free);
}

/// Nobody is asked in vain meanwhile, and nobody steps aside because of it.
#[test]
fn the_next_attempt_waits_until_enough_promises_are_over_or_the_term_is_released() {
    let mut member = member("a", Record::new(list()), 1);
    let mut asked = Vec::new();
    member.stand(&standby(100), at(0.0), &mut asked);
    let request = request_of(&asked, 0);
    for (promised, earliest) in [(["a", "b", "c"], 8.0), (["a", "b", "x"], 7.0)] {
        let mut candidate = Candidate::new(1);
        let mut until = at(0.0);
        for _ in 0..5 {
            let (nonce, _) = begin(&mut candidate, 0, 0.0);
            for (voter, wait) in promised.into_iter().zip([7, 9, 8]) {
                let promised = Answer {
                    wait: Some(Duration::from_secs(wait)),
                    ..answer(&request, Some(Refusal::Promised), 1)
                };
                let of = (nonce, Kind::AskVote);
                candidate.answered(&name(voter), of, &Ok(promised));
            }
            candidate.lose(&TIMERS, at(0.0));
            let standing = candidate.standing(at(0.0));
            let Standing::Refused { until: next, .. } = standing else {
                panic!("{standing:?}");
            };
            until = next;
            // A random time more, so that not all ask at once.
            assert!(
                (at(earliest)..=at(earliest + 2.0)).contains(&until),
                "{until:?}"
            );
        }
        candidate.promise_over(&TIMERS, at(1.0));
        let Standing::Refused { until: next, .. } = candidate.standing(at(1.0)) else {
            return;
        };
        assert!(next < until && next <= at(3.0));
    }
}

#[test]
fn after_a_failed_command_others_go_first_longer_each_time() {
    let mut candidate = Candidate::new(1);
    for expected in [30.0, 60.0, 90.0, 120.0, 120.0] {
        candidate.command_failed(&TIMERS, at(0.0));
        assert_eq!(candidate.stepped_aside(at(0.0)), Some(at(expected)));
    }
    candidate.outage_over();
    candidate.command_failed(&TIMERS, at(500.0));
    assert_eq!(candidate.stepped_aside(at(500.0)), Some(at(530.0)));
}

#[test]
fn an_attempt_is_lost_as_soon_as_no_majority_is_left() {
    let mut candidate = Candidate::new(1);
    let (nonce, term) = begin(&mut candidate, 4, 0.0);
    assert_eq!(term, 5);
    let mut none = |voter: &str| {
        let refused = Err("connection refused".to_owned());
        candidate.answered(&name(voter), (nonce, Kind::AskVote), &refused)
    };
    assert_eq!(none("a"), Progress::Open);
    assert_eq!(none("x"), Progress::Open);
    assert_eq!(none("b"), Progress::Lost);
    let sentence = candidate.tally().unwrap().to_string();
    assert_eq!(
        sentence,
        "0 of 3 voters in term 5, 2 are needed; a does not answer: connection refused; b does not answer: connection \
         refused; c has not answered yet"
    );
}
