use std::collections::BTreeMap;

use super::super::scene::{
    LEASES, TIMERS, answer, at, list, name, request, request_of, save, sent, standby, started,
};
use super::super::{ExchangeId, Mandate, Nonce, Record, Refusal, Request, Roll, Standing};
use super::*;

/// The next list: d takes the place of c.
fn next() -> VoterList {
    VoterList {
        generation: 2,
        names: ["a", "b", "d"].map(name).into(),
    }
}

/// The record of a voter that has taken it from its configuration.
fn changed(stage: ListStage) -> Record {
    let former = ["a", "b", "c"].map(|it| (name(it), None));
    Record {
        roll: Roll {
            stage,
            former: (stage < ListStage::Sealed).then(|| former.into()),
            floor: 0,
        },
        ..Record::new(next())
    }
}

fn member(record: Record) -> Member {
    started(("a", TIMERS), record, 1, at(0.0))
}

/// What this voter answers to a request, with what it knows of the list.
fn answer_with(of: &Request, refusal: Option<Refusal>, stage: ListStage, is_free: bool) -> Answer {
    Answer {
        list: next().id(),
        news: Some(Box::new(ListNews {
            stage,
            former: None,
            floor: 0,
        })),
        is_free,
        ..answer(of, refusal, 0)
    }
}

fn answered(member: &mut Member, answer: Answer, seconds: f64) -> Vec<Output> {
    let (of, from) = ((answer.nonce, answer.kind), answer.from.clone());
    let mut out = Vec::new();
    member.answered(&from, of, Ok(answer), &standby(100), at(seconds), &mut out);
    out
}

fn asked(out: &[Output], to: &str) -> Request {
    let all = (0..).map(|nth| request_of(out, nth));
    let mut all = all.take(sent(out).len());
    all.find(|request| request.to == name(to)).unwrap()
}

fn written(member: &mut Member, out: &[Output], seconds: f64) -> Vec<Output> {
    let (id, _) = save(out);
    let mut next = Vec::new();
    member.saved(id, true, &standby(100), at(seconds), &mut next);
    next
}

fn tick(member: &mut Member, seconds: f64) -> Vec<Output> {
    let mut out = Vec::new();
    member.tick(&standby(100), at(seconds), &mut out);
    out
}

/// Whether this record takes a request of that list.
#[track_caller]
fn takes(record: &Record, kind: Kind, of: (&VoterList, &str), expected: Option<Refusal>) {
    let request = Request {
        list: of.0.id(),
        ..request(kind, 1, of.1, 1)
    };
    let refusal = ask(record, request).refusal;
    assert_eq!(refusal, expected);
}

fn ask(record: &Record, request: Request) -> Answer {
    let (mut member, mut out) = (member(record.clone()), Vec::new());
    member.requested(ExchangeId(1), &request, &standby(0), at(30.0), &mut out);
    match out.as_slice() {
        [Output::Answer(_, answer), ..] => answer.clone(),
        _ => {
            let out = written(&mut member, &out, 30.0);
            let [Output::Answer(_, answer), ..] = out.as_slice() else {
                panic!("{out:?}");
            };
            answer.clone()
        }
    }
}

use Refusal::{Joining, List};

#[test]
fn l3_lists_beside_each_other_go_together_until_the_later_one_is_accepted() {
    let [first, taken, accepted, sealed] = [
        Record::new(list()),
        changed(ListStage::Taken),
        changed(ListStage::Accepted),
        changed(ListStage::Sealed),
    ];
    for kind in [Kind::AskVote, Kind::Vote] {
        // Also of a voter that is new there.
        takes(&first, kind, (&next(), "d"), None);
        takes(&taken, kind, (&list(), "c"), None);
        takes(&accepted, kind, (&list(), "c"), Some(List));
        takes(&sealed, kind, (&list(), "b"), Some(List));
        takes(&taken, kind, (&next(), "d"), None);
        // Whoever is in neither, or in another list of the same generation.
        takes(&taken, kind, (&list(), "d"), Some(List));
        takes(&taken, kind, (&next(), "c"), Some(List));
        let other = VoterList {
            generation: 1,
            ..next()
        };
        takes(&taken, kind, (&other, "b"), Some(List));
        let other = VoterList {
            generation: 2,
            ..list()
        };
        takes(&taken, kind, (&other, "b"), Some(List));
        let later = VoterList {
            generation: 3,
            ..next()
        };
        takes(&first, kind, (&later, "b"), Some(List));
        takes(&sealed, kind, (&later, "b"), None);
    }
    // A former voter holds its term on until another is elected.
    takes(&accepted, Kind::Renew, (&next(), "c"), None);
    takes(&accepted, Kind::Renew, (&list(), "c"), Some(List));
    takes(
        &accepted,
        Kind::Release,
        (&list(), "c"),
        Some(Refusal::Term),
    );
}

#[test]
fn messages_of_the_version_before_go_with_a_sealed_list_alone() {
    let of = |list: VoterList| Request {
        list: list.id(),
        news: None,
        ..request(Kind::Vote, 1, "b", 1)
    };
    let refusal = |record: &Record, list| ask(record, of(list)).refusal;
    assert_eq!(refusal(&Record::new(list()), list()), None);
    assert_eq!(refusal(&Record::new(list()), next()), Some(List));
    assert_eq!(refusal(&changed(ListStage::Sealed), next()), None);
    for stage in [ListStage::Taken, ListStage::Accepted] {
        assert_eq!(refusal(&changed(stage), next()), Some(List));
        assert_eq!(refusal(&changed(stage), list()), Some(List));
    }
    // What it grants counts no more than that.
    let (mut a, mut out) = (member(changed(ListStage::Taken)), Vec::new());
    a.stand(&standby(100), at(1.0), &mut out);
    for from in ["b", "c", "d"] {
        let granted = Answer {
            news: None,
            ..answer_with(&asked(&out, from), None, ListStage::Taken, true)
        };
        answered(&mut a, granted, 1.0);
    }
    assert!(matches!(a.standing(at(1.0)), Standing::Refused { .. }));
}

#[test]
fn l1_whoever_is_new_votes_for_nobody_and_asks_nobody() {
    let new = Record::joining(next());
    for kind in Kind::ALL {
        takes(&new, kind, (&next(), "b"), Some(Joining));
        takes(&new, kind, (&list(), "b"), Some(Joining));
    }
    let mut d = started(("d", LEASES), new.clone(), 1, at(0.0));
    assert!(matches!(d.standing(at(0.0)), Standing::NoRecord(_)));
    let mut out = tick(&mut d, 0.0);
    d.stand(&standby(100), at(0.0), &mut out);
    assert_eq!(out, []);
    let answer = ask(&new, request(Kind::AskVote, 1, "b", 1));
    assert!(!answer.is_free && !answer.willing);
    // Of others it learns that its list is accepted, and by whom it elects once that is sealed.
    let mut report = Request {
        list: next().id(),
        ..request(Kind::Vote, 1, "b", 1)
    };
    report.news.as_mut().unwrap().stage = ListStage::Accepted;
    d.requested(ExchangeId(1), &report, &standby(100), at(1.0), &mut out);
    assert_eq!(save(&out).1.roll.stage, ListStage::Accepted);
    assert_eq!(d.roll().stage, ListStage::Joining, "it is not written yet");
    written(&mut d, &out, 1.0);
    assert_eq!(d.roll().stage, ListStage::Accepted);
    assert!(matches!(d.standing(at(1.0)), Standing::NoRecord(_)));
    report.news.as_mut().unwrap().stage = ListStage::Sealed;
    let mut out = Vec::new();
    d.requested(ExchangeId(2), &report, &standby(0), at(1.0), &mut out);
    out.retain(|output| matches!(output, Output::Save(..)));
    written(&mut d, &out, 1.0);
}

#[test]
fn l1_the_configured_list_counts_once_it_is_written() {
    let mut a = member(Record::new(list()));
    tick(&mut a, 0.0);
    let mut out = Vec::new();
    a.configure(next(), &BTreeMap::new(), &mut out);
    // Nobody is known to vote already.
    assert_eq!(out, []);
    let trouble = a.list_trouble().unwrap();
    assert!(trouble.is_waiting());
    let text = trouble.to_string();
    assert!(
        text.contains("known to vote already; b, d do not"),
        "{text}"
    );
    a.check_soon(at(1.0));
    let out = tick(&mut a, 1.0);
    let out = answered(&mut a, answer(&asked(&out, "b"), None, 0), 1.0);
    let (_, record) = save(&out);
    assert_eq!((record.list, record.roll.stage), (next(), ListStage::Taken));
    assert_eq!(*a.list(), list());
    let out = written(&mut a, &out, 1.0);
    assert_eq!(out, [Output::ListMoved]);
    assert_eq!(*a.list(), next());
    assert_eq!(a.list_trouble(), None);
    // The others are told at once, the former voters too.
    let out = tick(&mut a, 1.0);
    let all: String = sent(&out).into_iter().map(|(_, to)| to).collect();
    assert_eq!(all, "bcd");
}

/// Asks all, of whom these answer so; returns the stage that is written.
fn found(record: Record, answers: &[(&str, ListStage, bool)]) -> Option<(ListStage, u64)> {
    let mut a = member(record);
    let asked_all = tick(&mut a, 1.0);
    let mut found = None;
    for (from, stage, is_free) in answers {
        let answer = Answer {
            term: 7,
            ..answer_with(
                &asked(&asked_all, from),
                Some(Refusal::Sighted),
                *stage,
                *is_free,
            )
        };
        let out = answered(&mut a, answer, 1.0);
        let saved = out.iter().find_map(|output| match output {
            Output::Save(_, record) => Some((record.roll.stage, record.roll.floor)),
            _ => None,
        });
        found = found.or(saved);
    }
    found
}

#[test]
fn l4_a_list_is_accepted_by_the_former_voters_and_sealed_by_both() {
    use ListStage::{Accepted, Sealed, Taken};
    let taken = || changed(Taken);
    assert_eq!(found(taken(), &[("d", Taken, true)]), None);
    assert_eq!(found(taken(), &[("b", Taken, true)]), Some((Accepted, 0)));
    assert_eq!(found(taken(), &[("c", Taken, true)]), Some((Accepted, 0)));
    // Whoever is bound by a vote of before does not count.
    assert_eq!(found(taken(), &[("b", Taken, false)]), None);
    let known = || changed(Accepted);
    assert_eq!(found(known(), &[("b", Taken, true)]), None);
    assert_eq!(found(known(), &[("c", Accepted, true)]), None);
    assert_eq!(found(known(), &[("d", Accepted, true)]), None);
    assert_eq!(found(known(), &[("b", Accepted, false)]), None);
    // In the terms of those who answered the list before may have elected.
    assert_eq!(found(known(), &[("b", Accepted, true)]), Some((Sealed, 7)));
    let both = [("d", Accepted, true), ("c", Accepted, true)];
    assert_eq!(found(known(), &both), Some((Sealed, 7)));
}

#[test]
fn l4_our_own_voter_counts_once_it_is_bound_to_nobody() {
    let mut record = changed(ListStage::Taken);
    (record.term, record.promise) = (3, LEASES.lease);
    record.voted_for = Some(Mandate {
        candidate: name("c"),
        nonce: Nonce(5),
    });
    let answers = [("b", ListStage::Taken, true)];
    assert_eq!(found(record, &answers), None);
}

#[test]
fn l2_an_attempt_is_counted_by_both_lists_until_ours_is_sealed() {
    let elected = |stage, grants: &[&str]| {
        let (mut a, mut out) = (member(changed(stage)), Vec::new());
        a.stand(&standby(100), at(1.0), &mut out);
        let mut voted = Vec::new();
        for from in grants {
            voted.extend(answered(
                &mut a,
                answer_with(&asked(&out, from), None, stage, true),
                1.0,
            ));
        }
        if sent(&voted).is_empty() && !voted.iter().any(|it| matches!(it, Output::Save(..))) {
            return false;
        }
        let out = written(&mut a, &voted, 1.0);
        let mut won = out.clone();
        for from in grants {
            won.extend(answered(
                &mut a,
                answer_with(&asked(&out, from), None, stage, true),
                1.0,
            ));
        }
        won.contains(&Output::Elected(1))
    };
    assert!(!elected(ListStage::Taken, &["d"]));
    assert!(!elected(ListStage::Taken, &["c"]));
    assert!(elected(ListStage::Taken, &["c", "d"]));
    assert!(elected(ListStage::Accepted, &["b"]));
    assert!(elected(ListStage::Sealed, &["d"]));
}

/// The story of the model in which a round is counted by what is known later.
#[test]
fn l2_a_round_is_counted_by_what_was_known_when_it_began() {
    let (mut a, mut out) = (member(changed(ListStage::Accepted)), Vec::new());
    a.stand(&standby(100), at(1.0), &mut out);
    let report = answer_with(&asked(&out, "d"), None, ListStage::Sealed, true);
    let saved = answered(&mut a, report, 1.0);
    // It is sealed now, and a and d are a majority of it.
    written(&mut a, &saved, 1.0);
    assert_eq!(a.roll().stage, ListStage::Sealed);
    let Standing::Asking(tally) = a.standing(at(1.0)) else {
        panic!("no attempt");
    };
    assert!(
        tally
            .to_string()
            .contains("2 of 4 voters in term 1, 2 are needed, and 2 of the 3 former")
    );
    let granted = answer_with(&asked(&out, "c"), None, ListStage::Accepted, true);
    let out = answered(&mut a, granted, 1.0);
    // And its requests bear the list that it is counted by.
    let own = written(&mut a, &out, 1.0);
    assert_eq!(asked(&own, "b").list, next().id());
}

/// Another list is taken while an attempt is under way: that goes on by the list with which it began.
#[test]
fn l2_an_attempt_asks_by_the_list_with_which_it_began() {
    let (mut a, mut out) = (member(Record::new(list())), Vec::new());
    a.configure(next(), &BTreeMap::new(), &mut out);
    a.stand(&standby(100), at(1.0), &mut out);
    let refused = answer(&asked(&out, "b"), Some(Refusal::Sighted), 0);
    let taken = answered(&mut a, refused, 1.0);
    written(&mut a, &taken, 1.0);
    assert_eq!(*a.list(), next());
    let granted = answer(&asked(&out, "c"), None, 0);
    let vote = answered(&mut a, granted, 1.0);
    let out = written(&mut a, &vote, 1.0);
    let request = asked(&out, "c");
    assert_eq!(
        (request.kind, request.list.clone()),
        (Kind::Vote, list().id())
    );
    let won = answered(&mut a, answer(&request, None, 1), 1.0);
    assert!(won.contains(&Output::Elected(1)), "{won:?}");
}

#[test]
fn a_sealed_list_elects_in_later_terms_than_the_floor() {
    let mut record = changed(ListStage::Sealed);
    record.roll.floor = 9;
    let (mut a, mut out) = (member(record), Vec::new());
    a.stand(&standby(100), at(1.0), &mut out);
    let request = asked(&out, "b");
    assert_eq!(
        (request.term, request.news.as_ref().unwrap().floor),
        (10, 9)
    );
    // So does whoever learns of it.
    let mut b = member(changed(ListStage::Accepted));
    let mut out = Vec::new();
    b.requested(ExchangeId(1), &request, &standby(0), at(1.0), &mut out);
    assert_eq!(save(&out).1.roll.floor, 9);
}

#[test]
fn l4_a_grant_of_a_renewal_counts_and_a_question_does_not() {
    let mut record = changed(ListStage::Taken);
    (record.term, record.held_term) = (3, 3);
    record.promise = LEASES.lease * 2;
    record.voted_for = Some(Mandate {
        candidate: name("a"),
        nonce: Nonce(5),
    });
    let mut a = started(("a", LEASES), record, 1, at(0.0));
    let out = tick(&mut a, 0.0);
    let granted = |out: &[Output]| answer_with(&asked(out, "b"), None, ListStage::Taken, false);
    let out = answered(&mut a, granted(&out), 0.0);
    let (kinds, bound) = (sent(&out), &|it: &(Kind, &str)| it.0 == Kind::Renew);
    assert!(kinds.len() == 3 && kinds.iter().all(bound), "{kinds:?}");
    let refused = Answer {
        refusal: Some(Refusal::Term),
        is_free: true,
        ..granted(&out)
    };
    assert_eq!(answered(&mut a, refused, 0.0), []);
    let found = answered(&mut a, granted(&out), 0.0);
    assert_eq!(save(&found).1.roll.stage, ListStage::Accepted);
}

#[test]
fn a_former_voter_is_none_once_the_list_is_sealed() {
    let mut c = started(("c", LEASES), changed(ListStage::Accepted), 1, at(0.0));
    assert!(matches!(c.standing(at(1.0)), Standing::NoRecord(why) if why.contains("no voter")));
    // It is further, and nobody waits for it.
    let mut out = Vec::new();
    let asked = Request {
        list: next().id(),
        ..request(Kind::AskVote, 1, "b", 1)
    };
    c.requested(ExchangeId(1), &asked, &standby(900), at(1.0), &mut out);
    assert!(
        matches!(&out[0], Output::Answer(_, it) if it.refusal.is_none() && !it.willing),
        "{out:?}"
    );
    assert_eq!(sent(&tick(&mut c, 1.0)).len(), 3);
    let mut c = started(("c", LEASES), changed(ListStage::Sealed), 1, at(0.0));
    assert_eq!(tick(&mut c, 1.0), []);
}
