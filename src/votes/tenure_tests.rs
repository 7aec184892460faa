use super::super::scene::{
    LEASES, answered, at, list, name, position, renewal, request_of, save, sent, standby, started,
};
use super::super::{ExchangeId, Record, Refusal, Request, Standing};
use super::*;

fn member(record: Record, seconds: f64) -> Member {
    started(("a", LEASES), record, 1, at(seconds))
}

/// Begins an attempt at zero, which is granted until its votes are asked for.
fn asking(a: &mut Member) -> Vec<Output> {
    a.tick(&standby(100), at(0.0), &mut Vec::new());
    let mut out = Vec::new();
    a.stand(&standby(100), at(0.0), &mut out);
    let out = answered(a, &out, 0, None, 0, 0.1);
    saved(a, save(&out).0, 0.2)
}

fn saved(a: &mut Member, id: SaveId, seconds: f64) -> Vec<Output> {
    let mut out = Vec::new();
    a.saved(id, true, &standby(100), at(seconds), &mut out);
    out
}

fn tick(a: &mut Member, seconds: f64) -> Vec<Output> {
    let mut out = Vec::new();
    a.tick(&standby(100), at(seconds), &mut out);
    out
}

/// It holds term 1 with a lease until 16.
fn holder() -> (Member, Record) {
    let mut a = member(Record::new(list()), 0.0);
    let votes = asking(&mut a);
    let out = answered(&mut a, &votes, 0, None, 1, 0.3);
    let (id, record) = save(&out);
    let out = saved(&mut a, id, 0.4);
    assert_eq!(out, [Output::Guard(Some(at(14.0))), Output::Elected(1)]);
    (a, record)
}

/// The lease is lost and the server fenced.
fn fenced() -> Member {
    let (mut a, _) = holder();
    assert_eq!(tick(&mut a, 14.0), [Output::LeaseLost(1)]);
    let mut out = Vec::new();
    a.fenced(at(15.0), &mut out);
    assert_eq!(out, [Output::Guard(None)]);
    a
}

fn stage(a: &Member) -> Option<Stage> {
    a.holder().map(Holder::stage)
}

#[test]
fn c4_a_term_is_written_down_before_anything_is_run_for_it() {
    let mut a = member(Record::new(list()), 0.0);
    let votes = asking(&mut a);
    let out = answered(&mut a, &votes, 0, None, 1, 0.3);
    let [Output::Save(id, record)] = out.as_slice() else {
        panic!("{out:?}");
    };
    assert_eq!((record.term, record.held_term), (1, 1));
    assert_eq!(a.standing(at(0.3)), Standing::Bound(1));
    let out = saved(&mut a, *id, 0.4);
    assert_eq!(out, [Output::Guard(Some(at(14.0))), Output::Elected(1)]);
    assert_eq!(a.standing(at(0.4)), Standing::Holding(1));
}

#[test]
fn c4_the_lease_counts_from_the_first_question_and_a_short_rest_of_it_is_released() {
    let mut a = member(Record::new(list()), 0.0);
    let votes = asking(&mut a);
    a.tick(&standby(100), at(2.1), &mut Vec::new());
    assert_eq!(a.holder().map(Holder::term), None);
    // Fencing takes up to 2 s, and less than a second more is left.
    let mut slow = member(Record::new(list()), 0.0);
    slow.tick(&standby(100), at(0.0), &mut Vec::new());
    let mut out = Vec::new();
    slow.stand(&standby(100), at(0.0), &mut out);
    let out = answered(&mut slow, &out, 0, None, 0, 0.1);
    let late = saved(&mut slow, save(&out).0, 12.9);
    let out = answered(&mut slow, &late, 0, None, 1, 13.1);
    assert_eq!(out.first(), Some(&Output::Lost));
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
    assert_eq!(sent(&votes).len(), 2);
}

#[test]
fn c4_a_term_that_is_written_too_late_is_given_back_unused() {
    let mut a = member(Record::new(list()), 0.0);
    let votes = asking(&mut a);
    let out = answered(&mut a, &votes, 0, None, 1, 0.3);
    let out = saved(&mut a, save(&out).0, 13.5);
    let (id, record) = save(&out);
    assert_eq!((out.len(), record.held_term), (2, 0));
    let out = saved(&mut a, id, 13.6);
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
    assert_eq!(out[2..], [Output::Left(1)]);
    // The same while the write is still under way: one write at a time.
    let mut a = member(Record::new(list()), 0.0);
    let votes = asking(&mut a);
    let out = answered(&mut a, &votes, 0, None, 1, 0.3);
    let first = save(&out).0;
    assert_eq!(tick(&mut a, 14.0), [Output::Guard(None)]);
    assert_eq!(stage(&a), Some(Stage::Leaving));
    let out = saved(&mut a, first, 14.1);
    assert_eq!(save(&out).1.held_term, 0);
}

#[test]
fn h1_a_round_counts_from_its_beginning_and_only_its_own_answers() {
    let (mut a, _) = holder();
    assert_eq!(tick(&mut a, 3.2), []);
    let one = tick(&mut a, 3.4);
    assert_eq!(sent(&one), [(Kind::Renew, "b"), (Kind::Renew, "c")]);
    let two = tick(&mut a, 6.4);
    // To the round before.
    assert_eq!(answered(&mut a, &one, 0, None, 1, 6.5), []);
    // Not granted.
    assert_eq!(answered(&mut a, &two, 0, Some(Refusal::Term), 1, 6.5), []);
    let out = answered(&mut a, &two, 1, None, 1, 9.0);
    assert_eq!(out, [Output::Guard(Some(at(20.4)))]);
    assert_eq!(a.holder().unwrap().lease(at(9.0)), Some(at(22.4)));
}

#[test]
fn renewals_are_counted_and_how_close_it_was() {
    let (mut a, _) = holder();
    let counts = |a: &Member| (a.counts().renewals.clone(), a.counts().least_left);
    assert_eq!(counts(&a), ([].into(), None));
    tick(&mut a, 3.4);
    // The first one has no majority yet.
    let round = tick(&mut a, 6.4);
    answered(&mut a, &round, 0, None, 1, 9.0);
    let five = Some(Duration::from_secs(5));
    assert_eq!(counts(&a), ([("failed", 1), ("renewed", 1)].into(), five));
    // Fenced at 20.4: a renewal with more left is not the closest one.
    let round = tick(&mut a, 9.4);
    answered(&mut a, &round, 0, Some(Refusal::Term), 1, 9.5);
    answered(&mut a, &round, 1, Some(Refusal::Term), 1, 9.5);
    let round = tick(&mut a, 12.4);
    answered(&mut a, &round, 0, None, 1, 12.5);
    assert_eq!(counts(&a), ([("failed", 2), ("renewed", 2)].into(), five));
    assert_eq!(tick(&mut a, 26.4).last(), Some(&Output::LeaseLost(1)));
    assert_eq!(a.counts().renewals.get("lost"), Some(&1));
}

#[test]
fn h1_our_own_voter_is_renewed_like_the_others() {
    let (mut a, _) = holder();
    tick(&mut a, 3.4);
    let left = a.voter().promised(at(3.4)).unwrap().1;
    assert_eq!(left, Duration::from_millis(16_500));
}

#[test]
fn h2_what_comes_with_the_deadline_renews_nothing() {
    let (mut a, _) = holder();
    let round = tick(&mut a, 12.4);
    let out = answered(&mut a, &round, 0, None, 1, 14.0);
    assert_eq!(out, [Output::LeaseLost(1)]);
    assert_eq!(answered(&mut a, &round, 1, None, 1, 14.0), []);
    assert_eq!(stage(&a), Some(Stage::Fencing { releases: false }));
    assert_eq!(a.standing(at(14.0)), Standing::Bound(1));
    // It renews no more, whatever time it is.
    assert_eq!(tick(&mut a, 29.0), []);
}

/// By a clock that stood still the lease seems to last.
#[test]
fn h2_another_that_renews_a_later_term_ends_the_lease() {
    let (mut a, _) = holder();
    let mut out = Vec::new();
    let mut renewed = |term| {
        let request = Request {
            to: name("a"),
            ..renewal(Kind::Renew, term, "b", 7)
        };
        out.clear();
        a.requested(ExchangeId(1), &request, &standby(100), at(5.0), &mut out);
        (out.contains(&Output::LeaseLost(1)), stage(&a))
    };
    assert_eq!(renewed(1), (false, Some(Stage::Holding)));
    assert_eq!(renewed(2), (true, Some(Stage::Fencing { releases: false })));
}

#[test]
fn h3_a_server_that_is_down_asks_before_it_binds_anybody() {
    let mut a = fenced();
    let asked = tick(&mut a, 18.0);
    assert_eq!(sent(&asked), [(Kind::AskRenew, "b"), (Kind::AskRenew, "c")]);
    assert_eq!(a.voter().promised(at(18.0)), None);
    let renewed = answered(&mut a, &asked, 0, None, 1, 18.1);
    assert_eq!(sent(&renewed), [(Kind::Renew, "b"), (Kind::Renew, "c")]);
    assert_eq!(answered(&mut a, &asked, 1, None, 1, 18.1), []);
    let out = answered(&mut a, &renewed, 0, None, 1, 18.2);
    assert_eq!(out, [Output::Guard(Some(at(32.1)))]);
    assert_eq!(a.standing(at(18.2)), Standing::Holding(1));
}

#[test]
fn a_term_that_is_overtaken_is_left_once_its_server_is_down() {
    let mut a = fenced();
    let asked = tick(&mut a, 18.0);
    let out = answered(&mut a, &asked, 0, Some(Refusal::Term), 2, 18.1);
    let (id, record) = save(&out);
    assert_eq!(record.held_term, 0);
    let out = saved(&mut a, id, 18.2);
    assert_eq!(out.last(), Some(&Output::Left(1)));
    assert_eq!(stage(&a), None);
}

#[test]
fn a_server_that_was_fenced_and_is_a_standby_now_holds_nothing() {
    let mut a = fenced();
    let mut out = Vec::new();
    a.standby_runs(&mut out);
    let out = saved(&mut a, save(&out).0, 16.0);
    assert_eq!(out.last(), Some(&Output::Left(1)));
    assert_eq!(a.standing(at(16.0)), Standing::Free);
}

#[test]
fn h6_what_is_given_up_is_fenced_then_cleared_then_released() {
    let (mut a, _) = holder();
    let round = tick(&mut a, 3.4);
    a.command_failed(at(3.5));
    assert_eq!(stage(&a), Some(Stage::Fencing { releases: true }));
    // A round that is under way counts no more.
    assert_eq!(answered(&mut a, &round, 0, None, 1, 3.6), []);
    let mut out = Vec::new();
    a.fenced(at(4.0), &mut out);
    let (id, record) = save(&out);
    assert_eq!((&out[0], record.held_term), (&Output::Guard(None), 0));
    assert_eq!(a.holder().unwrap().lease(at(4.0)), None);
    assert_eq!(answered(&mut a, &round, 1, None, 1, 4.1), []);
    let out = saved(&mut a, id, 4.2);
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
    assert_eq!(request_of(&out, 0).term, 1);
    assert_eq!(out[2..], [Output::Left(1)]);
    assert_eq!(a.voter().promised(at(4.2)), None);
    assert!(matches!(a.standing(at(4.2)), Standing::SteppedAside { .. }));
}

#[test]
fn what_was_won_and_is_not_used_is_given_back_without_a_fence() {
    let (mut a, _) = holder();
    let mut out = Vec::new();
    a.give_back(at(0.5), &mut out);
    let (id, record) = save(&out);
    assert_eq!((out.len(), record.held_term), (2, 0));
    let out = saved(&mut a, id, 0.6);
    assert_eq!(out.last(), Some(&Output::Left(1)));
}

#[test]
fn after_a_restart_it_asks_first_and_is_fenced_unless_a_majority_renews() {
    let (_, record) = holder();
    let mut a = member(record.clone(), 5.0);
    assert_eq!(a.standing(at(5.0)), Standing::Bound(1));
    let asked = tick(&mut a, 5.0);
    assert_eq!(sent(&asked), [(Kind::AskRenew, "b"), (Kind::AskRenew, "c")]);
    a.primary_runs(at(5.0));
    a.primary_runs(at(6.0));
    let deadline = a.holder().unwrap().fence_at();
    assert_eq!(deadline, Some(at(15.0)));
    let out = tick(&mut a, 15.0);
    assert_eq!(out, [Output::LeaseLost(1)]);
    // A majority takes it up again.
    let mut a = member(record, 5.0);
    let asked = tick(&mut a, 5.0);
    a.primary_runs(at(5.0));
    let renewed = answered(&mut a, &asked, 0, None, 1, 5.1);
    let out = answered(&mut a, &renewed, 0, None, 1, 5.2);
    assert_eq!(out, [Output::Guard(Some(at(19.1)))]);
}

#[test]
fn c7_after_a_restart_beside_a_standby_it_is_fenced_and_released() {
    let (_, record) = holder();
    let mut a = member(record, 5.0);
    a.give_up();
    let mut out = Vec::new();
    a.fenced(at(6.0), &mut out);
    let out = saved(&mut a, save(&out).0, 6.1);
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
}

#[test]
fn a_term_that_our_own_voter_has_left_is_not_renewed() {
    let (_, mut record) = holder();
    record.term = 2;
    let mut a = member(record, 5.0);
    assert_eq!(tick(&mut a, 5.0), []);
    assert_eq!(stage(&a), Some(Stage::Waiting { is_fenced: false }));
}

#[test]
fn where_nothing_fences_nothing_is_held() {
    let (mut a, record) = holder();
    let without = super::super::Timers {
        hold: None,
        ..LEASES
    };
    a.adopt(without, at(1.0));
    assert_eq!((stage(&a), a.standing(at(1.0))), (None, Standing::Free));
    let mut a = started(("a", without), record, 1, at(5.0));
    assert_eq!(stage(&a), None);
    a.adopt(LEASES, at(5.0));
    assert_eq!(stage(&a), Some(Stage::Waiting { is_fenced: false }));
}

#[test]
fn a_primary_wins_the_next_term_and_nothing_is_run_for_it() {
    let mut a = member(Record::new(list()), 0.0);
    tick(&mut a, 0.0);
    let primary = OwnServer {
        position: None,
        willing: false,
        fences: None,
        ..standby(0)
    };
    let mut out = Vec::new();
    a.claim(Some(position(500)), &primary, at(0.0), &mut out);
    assert_eq!(request_of(&out, 0).position, Some(position(500)));
    // It is no promotion that somebody may not want any more.
    a.abandon(at(0.0), &mut Vec::new());
    let out = answered(&mut a, &out, 0, None, 0, 0.1);
    let votes = saved(&mut a, save(&out).0, 0.2);
    let out = answered(&mut a, &votes, 0, None, 1, 0.3);
    let out = saved(&mut a, save(&out).0, 0.4);
    assert_eq!(out, [Output::Guard(Some(at(14.0))), Output::Claimed(1)]);
    // Nobody is let go first, however often it was refused.
    let mut again = member(Record::new(list()), 0.0);
    for nth in 0..6 {
        let now = 10.0 * f64::from(nth);
        let mut out = Vec::new();
        again.claim(Some(position(500)), &primary, at(now), &mut out);
        assert_eq!(sent(&out).len(), 2, "{nth}");
        for voter in [0, 1] {
            answered(&mut again, &out, voter, Some(Refusal::List), 0, now);
        }
    }
    // One that somebody has promoted by hand wins the next one; where nothing fences nobody claims.
    let (_, mut record) = holder();
    record.held_term = 0;
    let mut later = member(record, 0.0);
    let mut out = Vec::new();
    later.claim(Some(position(500)), &primary, at(20.0), &mut out);
    assert_eq!(request_of(&out, 0).term, 2);
    let mut without = super::super::scene::member("a", Record::new(list()), 1);
    out.clear();
    without.claim(Some(position(500)), &primary, at(0.0), &mut out);
    assert_eq!(out, []);
}

/// It is reached all the time, which is no reason to ask again at once.
#[test]
fn a_claim_that_is_refused_waits() {
    let mut a = member(Record::new(list()), 0.0);
    let mut claims = |now| {
        a.outage_over();
        let mut out = Vec::new();
        a.claim(Some(position(500)), &standby(0), at(now), &mut out);
        for voter in 0..out.len() {
            answered(&mut a, &out, voter, Some(Refusal::List), 0, now);
        }
        out.len()
    };
    // `election_stagger` is 2 s at the most.
    let begun = (0..1_000)
        .filter(|nth| claims(f64::from(*nth) * 0.01) > 0)
        .count();
    assert!((5..100).contains(&begun), "{begun}");
}

#[test]
fn v8_a_renewal_of_a_later_term_ends_our_own_attempt() {
    let mut a = member(Record::new(list()), 0.0);
    asking(&mut a);
    let renewal = super::super::Request {
        to: name("a"),
        ..renewal(Kind::Renew, 2, "b", 9)
    };
    let mut out = Vec::new();
    a.requested(ExchangeId(5), &renewal, &standby(100), at(0.5), &mut out);
    let (id, record) = save(&out);
    assert_eq!(record.term, 2);
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
    assert_eq!(request_of(&out, 0).term, 1);
    assert_eq!(a.standing(at(0.5)), Standing::Free);
    let out = saved(&mut a, id, 0.6);
    assert!(matches!(&out[..], [Output::Answer(ExchangeId(5), it)] if it.refusal.is_none()));
    assert_eq!(a.voter().promised(at(0.6)).unwrap().0, &name("b"));
}

#[test]
fn another_goes_on_where_a_holder_is_at_rest() {
    let (mut a, record) = holder();
    let round = tick(&mut a, 3.4);
    assert!(!a.is_at_rest(at(3.4)));
    answered(&mut a, &round, 0, None, 1, 3.5);
    answered(&mut a, &round, 1, None, 1, 3.5);
    assert!(a.is_at_rest(at(4.0)));
    let seed = a.candidate().seed();
    let mut other = started(("a", LEASES), record, seed, at(4.0));
    other.resume(&a.resumed(at(4.0)), at(4.0));
    let [one, two] = [&mut a, &mut other].map(|it| tick(it, 6.4));
    assert_eq!(sent(&one), [(Kind::Renew, "b"), (Kind::Renew, "c")]);
    assert_eq!(one, two);
    let [one, two] = [&mut a, &mut other].map(|it| tick(it, 17.4));
    assert_eq!((&one, one.len()), (&two, 1));
}

#[test]
fn s3_a_planned_release_names_its_successor_and_is_written_first() {
    let (mut a, _) = holder();
    let mut out = Vec::new();
    assert!(a.hand_over(&name("b"), at(1.0), &mut out));
    let (id, record) = save(&out);
    assert_eq!((&out[0], record.held_term), (&Output::Guard(None), 0));
    assert_eq!(a.holder().unwrap().lease(at(1.0)), None);
    let out = saved(&mut a, id, 1.1);
    assert_eq!(sent(&out), [(Kind::Release, "b"), (Kind::Release, "c")]);
    let successors = [0, 1].map(|nth| request_of(&out, nth).successor);
    assert_eq!(successors, [Some(name("b")), Some(name("b"))]);
    assert_eq!(out[2..], [Output::Left(1)]);
    // Our own voter keeps to it too.
    let asked = super::super::Request {
        to: name("a"),
        ..super::super::scene::request(Kind::AskVote, 2, "c", 9)
    };
    let mut out = Vec::new();
    a.requested(ExchangeId(5), &asked, &standby(100), at(1.2), &mut out);
    assert!(matches!(&out[..], [Output::Answer(_, it)] if it.refusal == Some(Refusal::Reserved)));
}

#[test]
fn s3_without_a_lease_nothing_is_handed_over() {
    let mut a = fenced();
    let mut out = Vec::new();
    assert!(!a.hand_over(&name("b"), at(15.0), &mut out));
    let (mut a, _) = holder();
    assert!(!a.hand_over(&name("b"), at(16.0), &mut out));
    a.give_up();
    assert!(!a.hand_over(&name("b"), at(1.0), &mut out));
    assert_eq!(out, []);
}

#[test]
fn s1_a_round_may_be_asked_for() {
    let (mut a, _) = holder();
    assert_eq!(tick(&mut a, 1.0), []);
    a.renew_now(at(1.0));
    let out = tick(&mut a, 1.0);
    assert_eq!(sent(&out), [(Kind::Renew, "b"), (Kind::Renew, "c")]);
}

/// c has voted for b in term 1, which is released for a.
fn successor() -> Member {
    let mut a = member(Record::new(list()), 0.0);
    tick(&mut a, 0.0);
    let renewal = super::super::Request {
        to: name("a"),
        ..renewal(Kind::Renew, 1, "b", 9)
    };
    let mut out = Vec::new();
    a.requested(ExchangeId(1), &renewal, &standby(100), at(0.5), &mut out);
    let id = save(&out).0;
    saved(&mut a, id, 0.6);
    let release = super::super::Request {
        kind: Kind::Release,
        successor: Some(name("a")),
        ..renewal
    };
    let mut out = Vec::new();
    a.requested(ExchangeId(2), &release, &standby(100), at(1.0), &mut out);
    assert_eq!(out[0], Output::Reserved(name("b")));
    a
}

#[test]
fn s4_what_a_successor_has_not_won_it_releases_for_itself_and_asks_again() {
    let mut a = successor();
    assert_eq!(a.candidate().predecessor(at(10.9)), Some(&name("b")));
    assert_eq!(a.candidate().predecessor(at(11.0)), None);
    assert!(!a.is_at_rest(at(1.0)));
    for nth in 0..5 {
        let now = 1.0 + 2.0 * f64::from(nth);
        let mut out = Vec::new();
        a.stand(&standby(50), at(now), &mut out);
        assert_eq!(sent(&out).len(), 2, "{nth}");
        // It is no attempt that somebody may not want any more, and nobody goes first.
        a.abandon(at(now), &mut Vec::new());
        let behind = answered(&mut a, &out, 0, Some(Refusal::Behind), 1, now + 0.1);
        assert_eq!(behind, []);
        let out = answered(&mut a, &out, 1, None, 1, now + 0.1);
        let votes = saved(&mut a, save(&out).0, now + 0.2);
        answered(&mut a, &votes, 0, Some(Refusal::Busy), 1, now + 0.3);
        let out = answered(&mut a, &votes, 1, Some(Refusal::Busy), 1, now + 0.3);
        let released = request_of(&out, 0);
        assert_eq!(released.kind, Kind::Release);
        assert_eq!(released.successor, Some(name("a")));
        let until = at(now + 2.0);
        assert!(
            matches!(a.standing(at(now + 1.9)), Standing::Refused { until: it, .. } if it == until)
        );
        assert_eq!(a.standing(until), Standing::Free);
    }
}

#[test]
fn s4_an_ordinary_attempt_reserves_nothing() {
    let mut a = successor();
    let mut out = Vec::new();
    a.stand(&standby(100), at(11.0), &mut out);
    let out = answered(&mut a, &out, 0, None, 1, 11.1);
    let votes = saved(&mut a, save(&out).0, 11.2);
    answered(&mut a, &votes, 0, Some(Refusal::Busy), 1, 11.3);
    let out = answered(&mut a, &votes, 1, Some(Refusal::Busy), 1, 11.3);
    assert_eq!(request_of(&out, 1).successor, None);
}

#[test]
fn s3_a_release_is_repeated_to_who_has_not_taken_it() {
    let handed = || {
        let (mut a, _) = holder();
        let mut out = Vec::new();
        a.hand_over(&name("b"), at(1.0), &mut out);
        let out = saved(&mut a, save(&out).0, 1.0);
        (a, out)
    };
    let (mut a, released) = handed();
    answered(&mut a, &released, 1, None, 1, 1.1);
    let request = request_of(&released, 0);
    let lost = Err("timed out".to_owned());
    let (of, server) = ((request.nonce, request.kind), standby(100));
    a.answered(&name("b"), of, lost, &server, at(1.2), &mut Vec::new());
    assert_eq!(tick(&mut a, 2.9), []);
    assert!(a.next_deadline() <= at(3.0) && !a.is_at_rest(at(2.9)));
    let again = tick(&mut a, 3.0);
    assert_eq!(sent(&again), [(Kind::Release, "b")]);
    assert_eq!(request_of(&again, 0), request);
    answered(&mut a, &again, 0, Some(Refusal::Busy), 1, 3.1);
    let again = tick(&mut a, 5.0);
    answered(&mut a, &again, 0, None, 1, 5.1);
    assert_eq!(tick(&mut a, 7.0), []);
    assert!(a.is_at_rest(at(7.0)));
    // While the next votes are reserved, and nobody has been elected.
    let (mut a, _) = handed();
    let again: Vec<_> = [3.0, 5.0, 7.0, 9.0, 11.0, 13.0]
        .iter()
        .map(|seconds| sent(&tick(&mut a, *seconds)).len())
        .collect();
    assert_eq!(again, [2, 2, 2, 2, 0, 0]);
    let (mut a, _) = handed();
    let elected = super::super::Request {
        to: name("a"),
        ..renewal(Kind::Renew, 2, "b", 9)
    };
    a.requested(
        ExchangeId(5),
        &elected,
        &standby(100),
        at(2.0),
        &mut Vec::new(),
    );
    assert_eq!(sent(&tick(&mut a, 3.0)), []);
}
