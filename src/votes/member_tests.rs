use super::super::Refusal;
use super::super::scene::{
    TIMERS, answer, answered, at, list, member, name, request_of, save, sent, standby,
};
use super::*;

/// The others were just asked whether they answer at all.
fn fresh() -> Member {
    let mut a = member("a", Record::new(list()), 1);
    let mut out = Vec::new();
    a.tick(&standby(100), at(0.0), &mut out);
    assert_eq!(sent(&out), [(Kind::AskVote, "b"), (Kind::AskVote, "c")]);
    a
}

#[test]
fn asking_whether_others_answer_elects_nobody() {
    let mut a = fresh();
    let mut out = Vec::new();
    a.tick(&standby(100), at(29.9), &mut out);
    assert_eq!(out, []);
    a.tick(&standby(100), at(30.0), &mut out);
    let asked = std::mem::take(&mut out);
    for nth in [0, 1] {
        assert_eq!(answered(&mut a, &asked, nth, None, 0, 30.1), []);
    }
    assert_eq!(a.peers().len(), 2);
    assert_eq!(a.standing(at(30.1)), Standing::Free);
}

fn stand(member: &mut Member, seconds: f64) -> Vec<Output> {
    let mut out = Vec::new();
    member.stand(&standby(100), at(seconds), &mut out);
    out
}

fn saved(member: &mut Member, id: SaveId, is_done: bool, seconds: f64) -> Vec<Output> {
    let mut out = Vec::new();
    member.saved(id, is_done, &standby(100), at(seconds), &mut out);
    out
}

#[test]
fn an_election_asks_writes_votes_and_is_won_once() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    assert_eq!(sent(&asked), [(Kind::AskVote, "b"), (Kind::AskVote, "c")]);
    let out = answered(&mut a, &asked, 0, None, 0, 0.1);
    let (id, record) = save(&out);
    // C3: nobody is asked for a vote before our own is written.
    assert_eq!((record.term, sent(&out).len()), (1, 0));
    let voted = saved(&mut a, id, true, 0.2);
    assert_eq!(sent(&voted), [(Kind::Vote, "b"), (Kind::Vote, "c")]);
    // C4: an answer to the first question is no vote.
    assert_eq!(answered(&mut a, &asked, 1, None, 0, 0.3), []);
    assert_eq!(
        answered(&mut a, &voted, 1, None, 1, 0.3),
        [Output::Elected(1)]
    );
    assert_eq!(answered(&mut a, &voted, 0, None, 1, 0.3), []);
    assert_eq!(a.counts().attempts, [("won", 1)].into());
}

#[test]
fn what_comes_of_attempts_and_requests_is_counted() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    answered(&mut a, &asked, 0, Some(Refusal::Sighted), 0, 0.1);
    answered(&mut a, &asked, 1, Some(Refusal::Promised), 0, 0.1);
    let counts = a.counts();
    assert_eq!(counts.attempts, [("lost", 1)].into());
    assert_eq!(counts.not_granted, [("promised", 1), ("sighted", 1)].into());
    stand(&mut a, 20.0);
    a.abandon(at(20.1), &mut Vec::new());
    let request = Request {
        from: name("b"),
        to: name("a"),
        kind: Kind::Vote,
        nonce: Nonce(99),
        mandate: Nonce(99),
        ..request_of(&asked, 0)
    };
    let mut out = Vec::new();
    a.requested(ExchangeId(5), &request, &standby(100), at(21.0), &mut out);
    // Not before the vote is written.
    assert_eq!(a.counts().requests, [].into());
    saved(&mut a, save(&out).0, true, 21.1);
    let late = Request {
        nonce: Nonce(98),
        mandate: Nonce(98),
        ..request
    };
    a.requested(ExchangeId(6), &late, &standby(100), at(21.2), &mut out);
    let counts = a.counts();
    assert_eq!(counts.attempts, [("abandoned", 1), ("lost", 1)].into());
    assert_eq!(counts.requests, [("granted", 1), ("term", 1)].into());
}

#[test]
fn c2_the_next_term_is_above_every_one_that_was_reported() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    answered(&mut a, &asked, 0, Some(Refusal::Term), 41, 0.1);
    let out = answered(&mut a, &asked, 1, Some(Refusal::Term), 7, 0.1);
    assert_eq!(out, [Output::Lost]);
    stand(&mut a, 20.0);
    assert_eq!(a.candidate().tally().unwrap().term, 42);
}

#[test]
fn c2_a_standby_that_is_further_goes_first_twice() {
    let mut a = fresh();
    let mut now = 0.0;
    for deferral in 0..3 {
        let asked = stand(&mut a, now);
        let mut further = answer(&request_of(&asked, 0), Some(Refusal::Behind), 0);
        further.position = standby(101).position;
        let (mut out, of) = (Vec::new(), (further.nonce, Kind::AskVote));
        a.answered(
            &name("b"),
            of,
            Ok(further),
            &standby(100),
            at(now),
            &mut out,
        );
        assert_eq!(out, []);
        let out = answered(&mut a, &asked, 1, None, 0, now);
        if deferral < 2 {
            assert_eq!(out, [Output::Lost]);
            assert!(
                matches!(a.standing(at(now)), Standing::Refused { until, .. } if until >= at(now + 2.0))
            );
            now += 4.0;
        } else {
            save(&out);
        }
    }
}

#[test]
fn c3_without_our_own_vote_nobody_is_asked() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    // Meanwhile our voter gives its vote of this term to b.
    let request = Request {
        from: name("b"),
        to: name("a"),
        kind: Kind::Vote,
        nonce: Nonce(99),
        mandate: Nonce(99),
        ..request_of(&asked, 0)
    };
    let mut out = Vec::new();
    a.requested(ExchangeId(5), &request, &standby(100), at(0.1), &mut out);
    saved(&mut a, save(&out).0, true, 0.2);
    let out = answered(&mut a, &asked, 1, None, 0, 0.3);
    assert_eq!(out, [Output::Lost]);
}

#[test]
fn c3_a_failed_write_loses_the_attempt_and_its_term() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    let out = answered(&mut a, &asked, 0, None, 0, 0.1);
    let (id, _) = save(&out);
    let out = saved(&mut a, id, false, 0.2);
    assert_eq!(out.first(), Some(&Output::Lost));
    assert!(sent(&out).iter().all(|(kind, _)| *kind == Kind::Release));
    saved(&mut a, id, true, 1.0);
    stand(&mut a, 20.0);
    assert_eq!(a.candidate().tally().unwrap().term, 2);
}

#[test]
fn c5_a_lost_attempt_is_released_but_not_one_that_was_only_asked_about() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    let mut out = Vec::new();
    a.tick(&standby(100), at(1.9), &mut out);
    assert_eq!(out, []);
    a.tick(&standby(100), at(2.0), &mut out);
    assert_eq!(out, [Output::Lost]);
    // Late answers are to no attempt.
    assert_eq!(answered(&mut a, &asked, 0, None, 0, 2.1), []);
    let asked = stand(&mut a, 20.0);
    let out = answered(&mut a, &asked, 0, None, 0, 20.1);
    let voted = saved(&mut a, save(&out).0, true, 20.2);
    assert!(a.voter().promised(at(20.2)).is_some());
    let mut out = Vec::new();
    a.tick(&standby(100), at(22.2), &mut out);
    assert_eq!(out.first(), Some(&Output::Lost));
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
    assert_eq!(a.voter().promised(at(22.2)), None);
    assert_eq!(answered(&mut a, &voted, 0, None, 1, 22.3), []);
}

#[test]
fn what_was_won_is_not_released() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    let out = answered(&mut a, &asked, 0, None, 0, 0.1);
    let voted = saved(&mut a, save(&out).0, true, 0.2);
    answered(&mut a, &voted, 0, None, 1, 0.3);
    let mut out = Vec::new();
    a.abandon(at(0.4), &mut out);
    a.command_failed(at(0.4));
    assert_eq!(out, []);
    assert!(a.voter().promised(at(0.4)).is_some());
    assert!(matches!(a.standing(at(0.4)), Standing::SteppedAside { .. }));
    // Nor when a later attempt is lost before it has our vote.
    let asked = stand(&mut a, 40.0);
    answered(&mut a, &asked, 0, Some(Refusal::Sighted), 1, 40.0);
    let out = answered(&mut a, &asked, 1, Some(Refusal::Sighted), 1, 40.0);
    assert_eq!(out, [Output::Lost]);
}

#[test]
fn a_majority_that_comes_after_its_time_elects_nobody() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    let out = answered(&mut a, &asked, 0, None, 0, 0.1);
    let (id, _) = save(&out);
    // The disk hangs for nearly as long as the votes would be promised.
    let voted = saved(&mut a, id, true, 15.0);
    assert_eq!(sent(&voted).len(), 2);
    let late = TIMERS.lease.as_secs_f64();
    let out = answered(&mut a, &voted, 0, None, 1, late);
    assert_eq!(out.first(), Some(&Output::Lost));
}

#[test]
fn a_promotion_that_is_not_wanted_any_more_is_released() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    let out = answered(&mut a, &asked, 0, None, 0, 0.1);
    saved(&mut a, save(&out).0, true, 0.2);
    let mut out = Vec::new();
    a.abandon(at(0.3), &mut out);
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
    assert_eq!(a.standing(at(0.3)), Standing::Free);
}

#[test]
fn c5_what_was_won_and_is_not_used_is_released() {
    let mut a = fresh();
    let mut out = Vec::new();
    // Another's vote is not ours to give back.
    a.give_back(at(0.0), &mut out);
    assert_eq!(out, []);
    let asked = stand(&mut a, 0.0);
    let out = answered(&mut a, &asked, 0, None, 0, 0.1);
    let voted = saved(&mut a, save(&out).0, true, 0.2);
    answered(&mut a, &voted, 0, None, 1, 0.3);
    let mut out = Vec::new();
    a.give_back(at(29.9), &mut out);
    let request = request_of(&out, 0);
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
    assert_eq!(
        (request.term, request.nonce),
        (1, request_of(&voted, 0).nonce)
    );
    assert_eq!(a.voter().promised(at(29.9)), None);
    // The question whether they answer waits until that has arrived.
    let mut out = Vec::new();
    a.tick(&standby(100), at(30.0), &mut out);
    assert_eq!(out, []);
    a.tick(&standby(100), at(31.9), &mut out);
    assert_eq!(sent(&out), [(Kind::AskVote, "b"), (Kind::AskVote, "c")]);
}

#[test]
fn c5_a_vote_that_is_written_after_its_attempt_is_not_kept() {
    let mut a = fresh();
    let asked = stand(&mut a, 0.0);
    let out = answered(&mut a, &asked, 0, None, 0, 0.1);
    let (id, _) = save(&out);
    a.abandon(at(0.2), &mut Vec::new());
    assert_eq!(saved(&mut a, id, true, 5.0), []);
    assert_eq!(a.voter().promised(at(5.0)), None);
}
