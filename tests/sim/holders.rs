//! Schedules of clusters with leases, written out: what must come of each is known beforehand.

use pglookout::simulation::{
    Death, Fault, FenceCourse, LeaseFault, MOST_GAIN, Micros, SECOND, Sleep,
};

use crate::assumptions::{A3, A3_PAUSE, A4, A4_LIE, A4_SLEPT, A5};
use crate::judge::Judgement;
use crate::three_servers::{self, A, B, C};

/// With a lease of 6 s.
#[track_caller]
fn judged(faults: &[(Micros, Fault)]) -> Judgement {
    let keys = r#""lease_time": 6, "vote_timeout": 0.6, "lease_renew_interval": 0.8, "fence_timeout": 2,
        "fence_command": "fence""#;
    three_servers::judged(keys, faults)
}

/// Who was promoted, and when, in seconds.
fn promoted(judgement: &Judgement) -> Vec<(usize, Micros)> {
    let all = judgement.outcome.promotions.0.iter();
    all.map(|one| (one.host, one.began / SECOND)).collect()
}

#[track_caller]
fn holds_without(judgement: &Judgement, assumption: Option<&'static str>) {
    let broken = judgement.assumptions.broken.keys().copied();
    assert!(broken.eq(assumption), "{:?}", judgement.assumptions);
    let is_found = !judgement.assumptions.by_broken.is_empty();
    assert_eq!(is_found, assumption.is_some() && assumption != Some(A3));
}

#[test]
fn in_calm_the_primary_holds_one_term_and_nothing_is_fenced() {
    let calm = judged(&[]);
    assert!(promoted(&calm).is_empty());
    assert_eq!((calm.leases.held, calm.leases.fences), (1, 0));
    assert!(calm.elections.renewals > 200, "{}", calm.elections.renewals);
    assert_eq!(calm.outcome.writers, 1);
}

/// By its daemon and by its guard, by whichever is there.
#[test]
fn a_primary_without_a_majority_is_fenced_before_another_is_promoted() {
    for fault in [
        Fault::Isolate(A),
        Fault::Daemon(A, false),
        Fault::Stops(A, 60 * SECOND),
    ] {
        let judgement = judged(&[(20, fault)]);
        let [(_, at)] = promoted(&judgement)[..] else {
            panic!("{fault:?}: {:?}", promoted(&judgement));
        };
        assert!((24..45).contains(&at), "{fault:?}: {at}");
        assert_eq!(judgement.leases.stopped, 1, "{fault:?}");
        assert_eq!(judgement.outcome.writers, 1, "{fault:?}");
        holds_without(&judgement, None);
    }
}

/// The voters do not have to wait for its promise.
#[test]
fn a_dead_server_on_a_living_host_is_given_up() {
    for death in [Death::Crash, Death::Hang] {
        let judgement = judged(&[(20, Fault::Dies(A, death))]);
        assert_eq!(promoted(&judgement).len(), 1, "{death:?}");
        assert_eq!(judgement.outcome.writers, 1, "{death:?}");
        assert!(judgement.leases.fences > 0, "{death:?}");
        holds_without(&judgement, None);
    }
}

/// The voters wait for its promise then.
#[test]
fn a_server_that_cannot_be_fenced_is_not_released() {
    let judgement = judged(&[
        (10, Fault::Leases(LeaseFault::Fences(A, FenceCourse::Fails))),
        (20, Fault::Dies(A, Death::Hang)),
    ]);
    let [(_, at)] = promoted(&judgement)[..] else {
        panic!("{:?}", promoted(&judgement));
    };
    assert!(at >= 32, "{at}");
    holds_without(&judgement, Some(A4));
}

#[test]
fn a_short_trouble_ends_no_lease() {
    for faults in [
        [(20, Fault::Restarts(A)), (40, Fault::Restarts(B))],
        [(20, Fault::Isolate(A)), (22, Fault::Mend)],
        [(20, Fault::Stops(A, 2 * SECOND)), (30, Fault::Restarts(C))],
    ] {
        let judgement = judged(&faults);
        assert!(promoted(&judgement).is_empty(), "{faults:?}");
        assert_eq!(judgement.leases.fences, 0, "{faults:?}");
    }
}

/// While nobody else was elected; after that it stays down.
#[test]
fn a_primary_that_boots_comes_back_through_the_gate_or_not_at_all() {
    let soon = judged(&[(20, Fault::Reboots(A))]);
    assert!(promoted(&soon).is_empty(), "{:?} {soon:?}", promoted(&soon));
    assert_eq!(soon.outcome.writers, 1);
    let late = judged(&[
        (20, Fault::Dies(A, Death::HostDown)),
        (60, Fault::Starts(A)),
    ]);
    assert_eq!(promoted(&late).len(), 1);
    assert_eq!(late.outcome.writers, 1);
    holds_without(&late, None);
}

#[test]
fn what_breaks_an_assumption_is_named() {
    let ungated = judged(&[
        (10, Fault::Leases(LeaseFault::Ungated(A, true))),
        (20, Fault::Dies(A, Death::HostDown)),
        (60, Fault::Starts(A)),
    ]);
    holds_without(&ungated, Some(A5));
    let fences = |course| {
        let course = Fault::Leases(LeaseFault::Fences(A, course));
        judged(&[(10, course), (20, Fault::Isolate(A))])
    };
    holds_without(&fences(FenceCourse::Fails), Some(A4));
    holds_without(&fences(FenceCourse::Hangs), Some(A4));
    holds_without(&fences(FenceCourse::Takes(30 * SECOND)), Some(A4));
    holds_without(&fences(FenceCourse::Takes(3 * SECOND / 2)), None);
    let lies = fences(FenceCourse::Lies);
    assert!(lies.assumptions.broken.contains_key(A4_LIE));
    assert!(!lies.assumptions.by_broken.is_empty());
}

#[test]
fn clocks_may_be_wrong_by_what_leases_have_room_for() {
    let rates = |gain: i32| {
        judged(&[
            (0, Fault::Leases(LeaseFault::Rate(A, -gain))),
            (20, Fault::Isolate(A)),
        ])
    };
    let within = rates(MOST_GAIN);
    assert_eq!(promoted(&within).len(), 1);
    holds_without(&within, None);
    holds_without(&rates(MOST_GAIN + 1), Some(A3));
}

/// A host that stands still for less than its lease bears is not noticed. For longer, another one is
/// promoted; when the host goes on, its server does so until it is fenced: at once where the clock of
/// leases has counted that time, when the lease is over by its own clock else. That is named.
#[test]
fn what_a_host_that_stood_still_may_do_is_named() {
    let sleeps = |seconds: Micros, sleep| {
        let sleeps = LeaseFault::Sleeps(A, seconds * SECOND, sleep);
        judged(&[(20, Fault::Leases(sleeps))])
    };
    for sleep in [Sleep::Suspended, Sleep::Paused] {
        let short = sleeps(2, sleep);
        assert!(promoted(&short).is_empty(), "{sleep:?}");
        assert_eq!(short.leases.fences, 0, "{sleep:?}");
        assert!(short.assumptions.by_broken.is_empty(), "{sleep:?}");
        let long = sleeps(40, sleep);
        assert_eq!(promoted(&long).len(), 1, "{sleep:?}");
        assert_eq!(long.outcome.writers, 1, "{sleep:?}");
        assert_eq!(long.leases.stopped, 1, "{sleep:?}");
        let name = match sleep {
            Sleep::Suspended => A4_SLEPT,
            Sleep::Paused => A3_PAUSE,
        };
        let found = format!("TwoWriters ({name})");
        assert!(
            long.assumptions.by_broken.keys().eq([&found]),
            "{:?}",
            long.assumptions
        );
    }
}

/// By the clock of leases its lease is over, whatever the other one says, and nobody tells it of a later
/// term: what its guard has fenced does not come back through the gate.
#[test]
fn after_a_suspension_the_gate_is_closed_to_a_host_that_reaches_nobody() {
    let keys = r#""lease_time": 20, "vote_timeout": 0.6, "lease_renew_interval": 0.8, "fence_timeout": 1,
        "fence_command": "fence""#;
    let sleeps = LeaseFault::Sleeps(A, 40 * SECOND, Sleep::Suspended);
    let faults = [
        (19, Fault::Isolate(A)),
        (20, Fault::Leases(sleeps)),
        (62, Fault::Starts(A)),
    ];
    let judgement = three_servers::judged(keys, &faults);
    assert_eq!(promoted(&judgement).len(), 1);
    assert_eq!(judgement.leases.stopped, 1);
    assert_eq!(judgement.outcome.writers, 1);
}

/// Its guard is alone, and fences by the clock of leases as soon as its host goes on.
#[test]
fn a_guard_counts_the_time_of_a_suspension() {
    let sleeps = LeaseFault::Sleeps(A, 40 * SECOND, Sleep::Suspended);
    let faults = [(19, Fault::Daemon(A, false)), (20, Fault::Leases(sleeps))];
    let judgement = judged(&faults);
    assert_eq!(promoted(&judgement).len(), 1);
    assert_eq!(judgement.leases.stopped, 1);
    assert_eq!(judgement.outcome.writers, 1);
}
