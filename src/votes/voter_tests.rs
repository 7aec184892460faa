use super::super::scene::{at, list, name, position, renewal, request, standby, voter};
use super::super::{Kind, ListId, Nonce};
use super::*;

const ASKED: Asker = Asker::Peer(ExchangeId(1));

/// The answer, and the record that is written before it.
fn ask(
    voter: &mut Voter,
    request: &Request,
    server: &OwnServer,
    seconds: f64,
) -> (Answer, Option<Record>) {
    match voter.take(ASKED, request, server, at(seconds)) {
        Taken::Answer(answer) => (answer, None),
        Taken::Write(id, record) => {
            let (asker, answer) = voter.saved(id, true, server, at(seconds)).unwrap();
            assert_eq!(asker, ASKED);
            (answer, Some(record))
        }
    }
}

#[track_caller]
fn check(
    voter: &mut Voter,
    request: &Request,
    seconds: f64,
    expected: Option<Refusal>,
) -> Option<Duration> {
    let (answer, _) = ask(voter, request, &standby(100), seconds);
    assert_eq!(answer.refusal, expected);
    answer.wait
}

fn fresh() -> Voter {
    voter("c", Record::new(list()))
}

#[test]
fn v1_other_lists_names_and_systems_are_refused() {
    let asked = request(Kind::AskVote, 1, "a", 1);
    check(&mut fresh(), &asked, 0.0, None);
    for id in [
        ListId {
            generation: 3,
            ..asked.list.clone()
        },
        ListId {
            fingerprint: "0".to_owned(),
            ..asked.list.clone()
        },
    ] {
        let other = Request {
            list: id,
            ..asked.clone()
        };
        check(&mut fresh(), &other, 0.0, Some(Refusal::List));
    }
    let stranger = Request {
        from: name("x"),
        ..asked.clone()
    };
    check(&mut fresh(), &stranger, 0.0, Some(Refusal::List));
    let foreign = Request {
        system: Some("8".to_owned()),
        ..asked.clone()
    };
    check(&mut fresh(), &foreign, 0.0, Some(Refusal::System));
    // Whoever cannot tell is no reason against it.
    check(
        &mut fresh(),
        &Request {
            system: None,
            ..asked
        },
        0.0,
        None,
    );
}

#[test]
fn v2_a_term_has_one_vote_and_lower_ones_have_none() {
    let mut voter = fresh();
    check(
        &mut voter,
        &request(Kind::Vote, 0, "a", 1),
        0.0,
        Some(Refusal::Term),
    );
    check(&mut voter, &request(Kind::Vote, 5, "a", 1), 0.0, None);
    for kind in [Kind::AskVote, Kind::Vote] {
        check(&mut voter, &request(kind, 5, "a", 1), 1.0, None);
        check(
            &mut voter,
            &request(kind, 5, "b", 2),
            99.0,
            Some(Refusal::Term),
        );
        check(
            &mut voter,
            &request(kind, 4, "b", 2),
            99.0,
            Some(Refusal::Term),
        );
        // Another attempt of the same name, or of a clone of its host.
        check(
            &mut voter,
            &request(kind, 5, "a", 2),
            99.0,
            Some(Refusal::Term),
        );
        check(
            &mut voter,
            &request(kind, 4, "a", 1),
            99.0,
            Some(Refusal::Term),
        );
    }
}

#[test]
fn v3_a_promise_lasts_for_the_lease_and_one_part_in_32() {
    let mut voter = fresh();
    check(&mut voter, &request(Kind::Vote, 1, "a", 1), 0.0, None);
    let other = request(Kind::Vote, 2, "b", 2);
    let wait = check(&mut voter, &other, 16.4, Some(Refusal::Promised));
    assert_eq!(wait, Some(Duration::from_millis(100)));
    // Not against whom it was given to.
    check(&mut voter, &request(Kind::AskVote, 2, "a", 3), 1.0, None);
    check(&mut voter, &other, 16.5, None);
}

#[test]
fn v3_a_repeated_request_never_shortens_a_promise() {
    let mut voter = fresh();
    let asked = request(Kind::Vote, 1, "a", 1);
    check(&mut voter, &asked, 0.0, None);
    let short = Request {
        lease: Duration::from_secs(3),
        ..asked
    };
    check(&mut voter, &short, 1.0, None);
    check(
        &mut voter,
        &request(Kind::AskVote, 2, "b", 2),
        16.0,
        Some(Refusal::Promised),
    );
}

#[test]
fn v3_a_restarted_voter_keeps_what_it_may_have_promised() {
    let mut before = fresh();
    let (_, record) = ask(
        &mut before,
        &request(Kind::Vote, 1, "a", 1),
        &standby(100),
        0.0,
    );
    let mut voter = voter("c", record.unwrap());
    let other = request(Kind::Vote, 2, "b", 2);
    check(&mut voter, &other, 16.4, Some(Refusal::Quarantine));
    check(&mut voter, &request(Kind::AskVote, 2, "a", 3), 1.0, None);
    check(&mut voter, &other, 16.5, None);
}

#[test]
fn a_longer_promise_is_written_before_it_is_given() {
    let mut voter = fresh();
    let asked = request(Kind::Vote, 1, "a", 1);
    let server = standby(100);
    let (_, record) = ask(&mut voter, &asked, &server, 0.0);
    assert_eq!(record.unwrap().promise, Duration::from_millis(16_500));
    assert_eq!(ask(&mut voter, &asked, &server, 0.0).1, None);
    let longer = Request {
        lease: Duration::from_secs(32),
        ..asked
    };
    let (_, record) = ask(&mut voter, &longer, &server, 0.0);
    assert_eq!(record.unwrap().promise, Duration::from_secs(33));
}

#[test]
fn v3_a_shorter_promise_in_a_later_term_leaves_the_longer_one_alone() {
    let mut first = fresh();
    check(&mut first, &request(Kind::Vote, 1, "a", 1), 0.0, None);
    let short = Request {
        lease: Duration::from_secs(3),
        ..request(Kind::Vote, 2, "a", 2)
    };
    let (_, record) = ask(&mut first, &short, &standby(100), 1.0);
    // Written down as well: what is left of it outlives a restart.
    let record = record.unwrap();
    assert_eq!(record.promise, Duration::from_millis(15_500));
    let other = request(Kind::AskVote, 3, "b", 3);
    check(&mut first, &other, 16.4, Some(Refusal::Promised));
    let mut second = voter("c", record);
    let short = Request { term: 3, ..short };
    check(&mut second, &short, 1.0, None);
    let other = Request { term: 4, ..other };
    check(&mut second, &other, 15.4, Some(Refusal::Promised));
    check(&mut second, &other, 15.5, None);
}

#[test]
fn v4_a_willing_standby_that_is_ahead_is_reason_enough() {
    let asked = request(Kind::AskVote, 1, "a", 1);
    let check = |server: &OwnServer, expected| {
        let (answer, _) = ask(&mut fresh(), &asked, server, 0.0);
        assert_eq!(answer.refusal, expected, "{server:?}");
        assert_eq!(
            (answer.position, answer.willing),
            (server.position, server.willing)
        );
    };
    check(&standby(101), Some(Refusal::Behind));
    check(&standby(100), None);
    check(
        &OwnServer {
            willing: false,
            ..standby(101)
        },
        None,
    );
    check(&OwnServer::default(), None);
    // Its own attempt is not behind what it has received since.
    let own = Request {
        from: name("c"),
        ..asked
    };
    let taken = fresh().take(Asker::Own, &own, &standby(101), at(0.0));
    assert!(matches!(taken, Taken::Answer(answer) if answer.refusal.is_none()));
}

#[test]
fn v5_whoever_reaches_a_primary_grants_nothing() {
    let asked = request(Kind::Vote, 1, "a", 1);
    let sees = |primary| OwnServer {
        sighted: vec![name(primary)],
        ..standby(0)
    };
    let (answer, record) = ask(&mut fresh(), &asked, &sees("p"), 0.0);
    assert_eq!((answer.refusal, record), (Some(Refusal::Sighted), None));
    assert_eq!(ask(&mut fresh(), &asked, &sees("a"), 0.0).0.refusal, None);
}

#[test]
fn v6_asking_changes_nothing_and_nothing_is_granted_before_it_is_written() {
    let (mut voter, server) = (fresh(), standby(100));
    check(&mut voter, &request(Kind::AskVote, 9, "a", 1), 0.0, None);
    assert_eq!(*voter.record(), Record::new(list()));
    let asked = request(Kind::Vote, 9, "a", 1);
    let Taken::Write(id, record) = voter.take(ASKED, &asked, &server, at(0.0)) else {
        panic!("granted unwritten");
    };
    assert!(record.is_for(9, &name("a"), Nonce(1)));
    for kind in [Kind::AskVote, Kind::Vote, Kind::Release] {
        check(
            &mut voter,
            &request(kind, 9, "a", 1),
            0.0,
            Some(Refusal::Busy),
        );
    }
    let (_, answer) = voter.saved(id, true, &server, at(7.0)).unwrap();
    assert_eq!(
        (answer.refusal, answer.term, answer.voted_for),
        (None, 9, Some(name("a")))
    );
    // From when it was written.
    check(
        &mut voter,
        &request(Kind::AskVote, 10, "b", 2),
        23.4,
        Some(Refusal::Promised),
    );
    check(&mut voter, &request(Kind::AskVote, 10, "b", 2), 23.5, None);
}

#[test]
fn a_write_that_failed_may_have_happened() {
    let (mut voter, server) = (fresh(), standby(100));
    let asked = request(Kind::Vote, 1, "a", 1);
    let Taken::Write(id, _) = voter.take(ASKED, &asked, &server, at(0.0)) else {
        panic!("granted unwritten");
    };
    let (_, answer) = voter.saved(id, false, &server, at(1.0)).unwrap();
    assert_eq!(answer.refusal, Some(Refusal::Busy));
    check(
        &mut voter,
        &request(Kind::Vote, 2, "b", 2),
        2.0,
        Some(Refusal::Busy),
    );
    // It is repeated until it succeeds; nobody waits for it any more.
    assert_eq!(voter.saved(id, false, &server, at(3.0)), None);
    assert_eq!(voter.saved(id, true, &server, at(4.0)), None);
    check(
        &mut voter,
        &request(Kind::Vote, 1, "b", 2),
        5.0,
        Some(Refusal::Term),
    );
    check(&mut voter, &asked, 5.0, None);
    check(
        &mut voter,
        &request(Kind::Vote, 2, "b", 2),
        6.0,
        Some(Refusal::Promised),
    );
}

#[test]
fn v10_a_release_by_the_attempt_that_has_the_vote_ends_the_promise() {
    let mut voter = fresh();
    check(&mut voter, &request(Kind::Vote, 3, "a", 1), 0.0, None);
    for other in [
        request(Kind::Release, 3, "a", 2),
        request(Kind::Release, 2, "a", 1),
        request(Kind::Release, 3, "b", 1),
    ] {
        check(&mut voter, &other, 1.0, Some(Refusal::Term));
        check(
            &mut voter,
            &request(Kind::AskVote, 4, "b", 2),
            1.0,
            Some(Refusal::Promised),
        );
    }
    check(&mut voter, &request(Kind::Release, 3, "a", 1), 1.0, None);
    check(&mut voter, &request(Kind::AskVote, 4, "b", 2), 1.0, None);
    // The term stays used.
    check(
        &mut voter,
        &request(Kind::Vote, 3, "b", 2),
        1.0,
        Some(Refusal::Term),
    );
}

#[test]
fn v7_what_was_won_is_renewed_and_binds_for_the_lease_again() {
    let mut voter = fresh();
    check(&mut voter, &request(Kind::Vote, 3, "a", 1), 0.0, None);
    let renew = renewal(Kind::Renew, 3, "a", 1);
    let other = request(Kind::AskVote, 4, "b", 2);
    check(&mut voter, &renew, 10.0, None);
    check(&mut voter, &other, 26.4, Some(Refusal::Promised));
    check(&mut voter, &other, 26.5, None);
    // Also after the promise has run out, and never to a shorter one.
    check(&mut voter, &renew, 30.0, None);
    let short = Request {
        lease: Duration::from_secs(3),
        ..renew.clone()
    };
    check(&mut voter, &short, 31.0, None);
    check(&mut voter, &other, 46.4, Some(Refusal::Promised));
    // Another attempt of the same name has not won it.
    let clone = renewal(Kind::Renew, 3, "a", 2);
    check(&mut voter, &clone, 31.0, Some(Refusal::Term));
}

#[test]
fn v7_a_renewal_is_not_written_but_a_longer_promise_is() {
    let (mut voter, server) = (fresh(), standby(100));
    ask(&mut voter, &request(Kind::Vote, 3, "a", 1), &server, 0.0);
    let renew = renewal(Kind::Renew, 3, "a", 1);
    assert_eq!(ask(&mut voter, &renew, &server, 5.0).1, None);
    let longer = Request {
        lease: Duration::from_secs(32),
        ..renew
    };
    let (_, record) = ask(&mut voter, &longer, &server, 6.0);
    assert_eq!(record.unwrap().promise, Duration::from_secs(33));
}

#[test]
fn v8_a_later_term_is_taken_over_whatever_is_promised() {
    let (mut voter, server) = (fresh(), standby(100));
    check(&mut voter, &request(Kind::Vote, 3, "a", 1), 0.0, None);
    let (answer, record) = ask(&mut voter, &renewal(Kind::Renew, 4, "b", 2), &server, 1.0);
    let record = record.unwrap();
    assert!(record.is_for(4, &name("b"), Nonce(2)));
    assert_eq!((answer.refusal, answer.term), (None, 4));
    assert_eq!(voter.promised(at(1.0)).unwrap().0, &name("b"));
    // The promise to a is over, and so is its term.
    let late = renewal(Kind::Renew, 3, "a", 1);
    check(&mut voter, &late, 2.0, Some(Refusal::Term));
    let late = request(Kind::Release, 3, "a", 1);
    check(&mut voter, &late, 2.0, Some(Refusal::Term));
    assert_eq!(voter.promised(at(2.0)).unwrap().0, &name("b"));
    // Its server is not asked, since nobody is promoted by it.
    let sees = OwnServer {
        sighted: vec![name("p")],
        ..standby(999)
    };
    let (answer, _) = ask(&mut voter, &renewal(Kind::Renew, 5, "a", 3), &sees, 3.0);
    assert_eq!(answer.refusal, None);
}

/// The votes of term 3 were split: ours was b's, and a won.
#[test]
fn v8_who_has_voted_for_a_loser_renews_the_winner() {
    let (mut voter, server) = (fresh(), standby(100));
    check(&mut voter, &request(Kind::Vote, 3, "b", 2), 0.0, None);
    let ask_renew = renewal(Kind::AskRenew, 3, "a", 1);
    check(&mut voter, &ask_renew, 1.0, Some(Refusal::Promised));
    check(&mut voter, &request(Kind::Release, 3, "b", 2), 1.0, None);
    check(&mut voter, &ask_renew, 1.0, None);
    let renew = renewal(Kind::Renew, 3, "a", 1);
    let (answer, record) = ask(&mut voter, &renew, &server, 2.0);
    assert_eq!(answer.refusal, None);
    assert!(record.unwrap().is_for(3, &name("a"), Nonce(1)));
    assert_eq!(voter.promised(at(2.0)).unwrap().0, &name("a"));
    // As if it had voted for it, until it is released.
    check(&mut voter, &renew, 3.0, None);
    let late = request(Kind::Vote, 3, "b", 2);
    check(&mut voter, &late, 3.0, Some(Refusal::Term));
    check(&mut voter, &request(Kind::Release, 3, "a", 1), 4.0, None);
    check(&mut voter, &renew, 4.0, Some(Refusal::Term));
}

/// Two in one term: a vote file was put back somewhere.
#[test]
fn v8_a_holder_renews_no_other_of_its_term() {
    let mut voter = fresh();
    check(&mut voter, &request(Kind::Vote, 3, "c", 1), 0.0, None);
    let (id, _) = voter.hold(3).unwrap();
    voter.saved(id, true, &standby(100), at(0.0));
    for kind in [Kind::AskRenew, Kind::Renew] {
        let other = renewal(kind, 3, "a", 2);
        check(&mut voter, &other, 1.0, Some(Refusal::Term));
    }
}

#[test]
fn v9_asking_for_a_renewal_promises_nothing() {
    let mut voter = fresh();
    check(&mut voter, &request(Kind::Vote, 3, "a", 1), 0.0, None);
    let asked = renewal(Kind::AskRenew, 3, "a", 1);
    check(&mut voter, &asked, 10.0, None);
    check(&mut voter, &request(Kind::AskVote, 4, "b", 2), 16.5, None);
    // Refused while another is promised, also in a later term.
    let mut voter = fresh();
    check(&mut voter, &request(Kind::Vote, 4, "b", 2), 0.0, None);
    check(&mut voter, &asked, 1.0, Some(Refusal::Term));
    let later = renewal(Kind::AskRenew, 5, "a", 3);
    check(&mut voter, &later, 1.0, Some(Refusal::Promised));
    check(&mut voter, &later, 16.5, None);
    assert_eq!(voter.record().term, 4);
}

#[test]
fn v10_a_term_that_was_released_is_renewed_no_more() {
    let mut voter = fresh();
    check(&mut voter, &request(Kind::Vote, 3, "a", 1), 0.0, None);
    check(&mut voter, &request(Kind::Release, 3, "a", 1), 1.0, None);
    for kind in [Kind::AskRenew, Kind::Renew] {
        check(
            &mut voter,
            &renewal(kind, 3, "a", 1),
            1.0,
            Some(Refusal::Term),
        );
    }
    check(&mut voter, &request(Kind::AskVote, 4, "b", 2), 1.0, None);
}

#[test]
fn v10_the_next_vote_is_the_successors_for_a_while() {
    let mut voter = fresh();
    check(&mut voter, &request(Kind::Vote, 3, "a", 1), 0.0, None);
    let handed = Request {
        successor: Some(name("b")),
        ..request(Kind::Release, 3, "a", 1)
    };
    check(&mut voter, &handed, 1.0, None);
    let other = request(Kind::AskVote, 4, "a", 5);
    let wait = check(&mut voter, &other, 10.0, Some(Refusal::Reserved));
    assert_eq!(wait, Some(Duration::from_secs(1)));
    check(&mut voter, &other, 11.0, None);
    // A primary in sight is what the successor takes over from, and nobody is further (V4 and V5 are not
    // asked).
    check(&mut voter, &handed, 20.0, None);
    let sees = OwnServer {
        sighted: vec![name("a")],
        ..standby(101)
    };
    let successor = request(Kind::AskVote, 4, "b", 6);
    assert_eq!(ask(&mut voter, &successor, &sees, 29.9).0.refusal, None);
    let late = ask(&mut voter, &successor, &sees, 30.0).0.refusal;
    assert_eq!(late, Some(Refusal::Behind));
}

#[test]
fn a_primary_that_is_reached_is_behind_nobody_but_a_later_timeline() {
    let sees = OwnServer {
        sighted: vec![name("a")],
        ..standby(101)
    };
    let refusal = |asked: &Request, sees: &OwnServer| ask(&mut fresh(), asked, sees, 0.0).0.refusal;
    let asked = request(Kind::Vote, 1, "a", 1);
    assert_eq!(refusal(&asked, &sees), None);
    let unseen = OwnServer {
        sighted: Vec::new(),
        ..sees.clone()
    };
    assert_eq!(refusal(&asked, &unseen), Some(Refusal::Behind));
    let later = OwnServer {
        position: Some(Position {
            timeline: Some(2),
            ..position(99)
        }),
        ..sees.clone()
    };
    assert_eq!(refusal(&asked, &later), Some(Refusal::Behind));
    let other = request(Kind::Vote, 1, "b", 1);
    assert_eq!(refusal(&other, &sees), Some(Refusal::Behind));
    let two = OwnServer {
        sighted: vec![name("a"), name("b")],
        ..standby(0)
    };
    assert_eq!(refusal(&asked, &two), Some(Refusal::Sighted));
}

#[test]
fn the_held_term_is_written_and_stays_through_other_votes() {
    let (mut voter, server) = (fresh(), standby(100));
    ask(&mut voter, &request(Kind::Vote, 3, "a", 1), &server, 0.0);
    let (id, record) = voter.hold(3).unwrap();
    assert_eq!((record.held_term, record.term), (3, 3));
    // One write at a time.
    assert_eq!(voter.hold(0), None);
    let renew = renewal(Kind::Renew, 3, "a", 1);
    check(&mut voter, &renew, 0.5, Some(Refusal::Busy));
    assert_eq!(voter.saved(id, true, &server, at(1.0)), None);
    let (_, record) = ask(&mut voter, &renewal(Kind::Renew, 4, "b", 2), &server, 1.0);
    assert_eq!(record.unwrap().held_term, 3);
    assert_eq!(voter.hold(0).unwrap().1.held_term, 0);
}
