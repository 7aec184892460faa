use super::super::FormerVoters;
use super::*;

fn list(generation: u64, names: &str) -> VoterList {
    VoterList {
        generation,
        names: names.chars().map(|it| name(&it.to_string())).collect(),
    }
}

fn name(name: &str) -> VoterName {
    VoterName::from(name)
}

fn news(stage: ListStage, former: Option<&VoterList>, floor: u64) -> ListNews {
    ListNews {
        stage,
        former: former.map(|list| list.id().fingerprint),
        floor,
    }
}

/// A record of this list, and of the one before.
fn record(stage: ListStage, names: &str, former: &str) -> Record {
    let former: FormerVoters = former
        .chars()
        .map(|it| (name(&it.to_string()), None))
        .collect();
    Record {
        roll: Roll {
            stage,
            former: Some(former).filter(|former| !former.is_empty()),
            floor: 5,
        },
        ..Record::new(list(2, names))
    }
}

/// What becomes of it: the generation, the stage, the former voters and the floor; `None`: nothing.
#[track_caller]
fn check(
    record: &Record,
    reported: Option<(&VoterList, ListNews)>,
    configured: &VoterList,
    expected: Option<(u64, ListStage, &str, u64)>,
) {
    let addresses = [(name("a"), "http://a".parse().unwrap())].into();
    let reported = reported.map(|(list, news)| (list.id(), news));
    let reported = reported.as_ref().map(|(id, news)| (id, news));
    let known = KnownLists {
        configured,
        addresses: &addresses,
        may_take: true,
    };
    let next = record.with_list(reported, &known);
    // What others report does not wait for them.
    let waiting = KnownLists {
        may_take: false,
        ..known
    };
    let waiting = record.with_list(reported, &waiting);
    let is_reported = next
        .as_ref()
        .is_none_or(|next| next.roll.stage != Taken || next.list == record.list);
    assert_eq!(waiting == next, is_reported, "{waiting:?}");
    let shown = next.map(|next| {
        let former = next.roll.former.into_iter().flatten();
        let mut names = String::new();
        for (voter, url) in former {
            let is_known = voter == name("a");
            let is_carried = record.list.generation == next.list.generation;
            assert_eq!(url.is_some(), is_known && !is_carried, "{voter}");
            names += voter.as_str();
        }
        let is_configured = next.list == *configured;
        assert!(is_configured || next.list == record.list);
        (
            next.list.generation,
            next.roll.stage,
            names,
            next.roll.floor,
        )
    });
    let expected = expected.map(|(list, stage, names, floor)| (list, stage, names.into(), floor));
    assert_eq!(shown, expected);
}

use ListStage::{Accepted, Joining, Sealed, Taken};

#[test]
fn l1_the_next_list_is_taken_once_ours_is_sealed() {
    let next = list(3, "abd");
    let sealed = record(Sealed, "abc", "");
    check(&sealed, None, &next, Some((3, Taken, "abc", 5)));
    for stage in [Taken, Accepted] {
        check(&record(stage, "abc", "abx"), None, &next, None);
    }
    // Neither skipped nor taken back, nor changed within a generation.
    for other in [list(4, "abd"), list(1, "abx"), list(2, "abd")] {
        check(&sealed, None, &other, None);
    }
    check(&sealed, None, &sealed.list, None);
}

#[test]
fn l1_a_list_is_skipped_on_the_report_of_a_voter_that_knows_it_to_be_accepted() {
    let (ours, later) = (record(Taken, "abc", "abx"), list(4, "abd"));
    let reported = |stage| Some((&later, news(stage, None, 9)));
    check(&ours, reported(Taken), &later, None);
    check(
        &ours,
        reported(Accepted),
        &later,
        Some((4, Accepted, "", 9)),
    );
    check(&ours, reported(Sealed), &later, Some((4, Sealed, "", 9)));
    // The list that others have, and no other.
    check(&ours, reported(Accepted), &list(4, "abe"), None);
    check(&ours, reported(Accepted), &list(5, "abd"), None);
    check(&ours, reported(Sealed), &ours.list, None);
}

#[test]
fn l1_whoever_has_the_next_list_knew_ours_to_be_sealed() {
    let (taken, next) = (record(Taken, "abc", "abx"), list(3, "abd"));
    let of_ours = || news(Taken, Some(&taken.list), 9);
    check(
        &taken,
        Some((&next, of_ours())),
        &taken.list,
        Some((2, Sealed, "", 9)),
    );
    check(
        &taken,
        Some((&next, of_ours())),
        &next,
        Some((3, Taken, "abc", 9)),
    );
    // Another list of our generation was sealed, and ours comes to nothing.
    let other = || news(Taken, Some(&list(2, "aby")), 9);
    check(&taken, Some((&next, other())), &next, None);
    let accepted = || news(Accepted, Some(&list(2, "aby")), 9);
    check(
        &taken,
        Some((&next, accepted())),
        &next,
        Some((3, Accepted, "", 9)),
    );
    // It takes the place of ours where nobody has accepted ours.
    let same = list(2, "aby");
    let reported = |stage| Some((&same, news(stage, None, 9)));
    check(&taken, reported(Taken), &same, None);
    check(&taken, reported(Accepted), &taken.list, None);
    check(
        &taken,
        reported(Accepted),
        &same,
        Some((2, Accepted, "abx", 9)),
    );
    check(&taken, reported(Sealed), &same, Some((2, Sealed, "", 9)));
    check(
        &record(Accepted, "abc", "abx"),
        reported(Accepted),
        &same,
        None,
    );
    // That ours is the one before is known where it was accepted.
    let known = record(Accepted, "abc", "abx");
    let report = || news(Accepted, None, 9);
    check(
        &known,
        Some((&next, report())),
        &next,
        Some((3, Accepted, "abc", 9)),
    );
    check(
        &taken,
        Some((&next, report())),
        &next,
        Some((3, Accepted, "", 9)),
    );
    check(
        &known,
        Some((&next, news(Sealed, None, 9))),
        &next,
        Some((3, Sealed, "", 9)),
    );
}

#[test]
fn l4_both_are_learnt_from_others_with_the_same_list() {
    let taken = record(Taken, "abc", "abx");
    let (ours, other) = (taken.list.clone(), list(2, "abd"));
    let reported = |of, stage, floor| Some((of, news(stage, None, floor)));
    let known = Some((2, Accepted, "abx", 5));
    check(&taken, reported(&ours, Accepted, 3), &ours, known);
    check(
        &taken,
        reported(&ours, Sealed, 9),
        &ours,
        Some((2, Sealed, "", 9)),
    );
    check(&taken, reported(&ours, Taken, 9), &ours, None);
    check(&taken, reported(&other, Sealed, 9), &ours, None);
    let accepted = record(Accepted, "abc", "abx");
    check(&accepted, reported(&ours, Accepted, 9), &ours, None);
    check(&accepted, reported(&ours, Taken, 9), &ours, None);
}

#[test]
fn l1_whoever_is_new_follows_the_configuration_and_votes_once_its_list_is_accepted() {
    let mut new = Record::joining(list(2, "abc"));
    check(&new, None, &list(2, "abd"), Some((2, Joining, "", 0)));
    check(&new, None, &list(3, "abd"), Some((3, Joining, "", 0)));
    let ours = new.list.clone();
    for stage in [Joining, Taken] {
        check(&new, Some((&ours, news(stage, None, 1))), &ours, None);
    }
    check(
        &new,
        Some((&ours, news(Accepted, None, 4))),
        &ours,
        Some((2, Accepted, "", 4)),
    );
    // By then the others may have gone on.
    new.roll.stage = Accepted;
    check(&new, None, &list(3, "abd"), None);
}

#[test]
fn what_keeps_a_list_from_being_taken_is_reported() {
    let of = |stage, configured: &VoterList| {
        let trouble = record(stage, "abc", "").trouble_with(configured);
        trouble.map(|it| (it.is_waiting(), it.to_string()))
    };
    let reported = |configured: VoterList| of(Accepted, &configured).unwrap();
    assert_eq!(of(Accepted, &list(2, "abc")), None);
    let (is_waiting, text) = reported(list(3, "abd"));
    assert!(is_waiting && text.contains("waits until list 2 is known to be sealed"));
    for (configured, expected) in [
        (list(4, "abd"), "expected generation 3, or a voter"),
        (list(1, "abc"), "never taken back"),
        (
            list(2, "abd"),
            "and a, b, c count: other voters need generation 3",
        ),
    ] {
        let (is_waiting, text) = reported(configured);
        assert!(!is_waiting && text.contains(expected), "{text}");
    }
}
