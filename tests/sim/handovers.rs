//! Switchovers, written out: what must come of each is known beforehand.

use pglookout::simulation::{
    DemoteCourse, Fault, Loss, LostPart, Micros, Moment, NodeId, SECOND, SwitchoverFault,
    SwitchoverOrder,
};

use crate::judge::Judgement;
use crate::three_servers::{self, A, B, C};

/// With a lease of 6 s, and 4 s for a shutdown.
#[track_caller]
fn judged(faults: &[(Micros, SwitchoverFault)], others: &[(Micros, Fault)]) -> Judgement {
    let keys = r#""lease_time": 6, "vote_timeout": 0.6, "lease_renew_interval": 0.8, "fence_timeout": 2,
        "fence_command": "fence", "demote_command": "demote", "demote_timeout": 4,
        "pg_start_command": "start""#;
    let faults = faults.iter().map(|(at, it)| (*at, Fault::Switchovers(*it)));
    let faults: Vec<_> = faults.chain(others.iter().copied()).collect();
    three_servers::judged(keys, &faults)
}

fn asks(to: Option<NodeId>, dry_run: bool) -> SwitchoverFault {
    SwitchoverFault::Asks(SwitchoverOrder {
        on: None,
        to,
        dry_run,
    })
}

/// Who was promoted, and when, in seconds.
fn promoted(judgement: &Judgement) -> Vec<(usize, Micros)> {
    let all = judgement.outcome.promotions.0.iter();
    all.map(|one| (one.host, one.began / SECOND)).collect()
}

fn ends(judgement: &Judgement) -> Vec<(&'static str, u64)> {
    let ends = judgement.switchovers.by_end.iter();
    ends.map(|(name, count)| (*name, *count)).collect()
}

#[test]
fn the_successor_is_promoted_at_once_and_nothing_is_fenced() {
    for to in [B, C] {
        let judgement = judged(&[(20, asks(Some(to), false))], &[]);
        let [(promoted, at)] = promoted(&judgement)[..] else {
            panic!("{:?}", promoted(&judgement));
        };
        assert!(promoted == to && (20..26).contains(&at), "{promoted} {at}");
        assert_eq!(ends(&judgement), [("done", 1)]);
        assert_eq!(judgement.outcome.writers, 1);
        assert_eq!(judgement.leases.fences, 0);
    }
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    for (order, others, end) in [
        (asks(Some(B), true), vec![], "possible"),
        (asks(None, false), vec![], "refused"),
        (asks(Some(A), false), vec![], "refused"),
        (
            asks(Some(B), false),
            vec![(18, Fault::Daemon(B, false))],
            "refused",
        ),
        (
            asks(Some(B), false),
            vec![(10, Fault::Path(B, A, true))],
            "refused",
        ),
        (
            asks(Some(B), false),
            vec![(18, Fault::SetsPause(C, true))],
            "refused",
        ),
    ] {
        let judgement = judged(&[(20, order)], &others);
        assert_eq!(ends(&judgement), [(end, 1)], "{order:?} {others:?}");
        assert!(promoted(&judgement).is_empty(), "{order:?} {others:?}");
        assert_eq!(judgement.outcome.writers, 1, "{order:?} {others:?}");
    }
}

/// Whatever has become of the server, it is the primary again.
#[test]
fn one_that_is_given_up_leaves_the_old_primary() {
    for course in [
        DemoteCourse::Fails,
        DemoteCourse::Hangs,
        DemoteCourse::Lies,
        DemoteCourse::Kills,
        DemoteCourse::CutsOff,
    ] {
        let demotes = SwitchoverFault::Demotes(A, course);
        let judgement = judged(&[(10, demotes), (20, asks(Some(B), false))], &[]);
        assert_eq!(ends(&judgement), [("aborted", 1)], "{course:?}");
        assert!(promoted(&judgement).is_empty(), "{course:?}");
        assert_eq!(judgement.outcome.writers, 1, "{course:?}");
        assert_eq!(judgement.leases.fences, 0, "{course:?}");
    }
}

/// There is a writer in the end, whoever is lost, and when.
#[test]
fn a_switchover_bears_the_loss_of_either() {
    for when in [
        Moment::Demotes,
        Moment::Looks,
        Moment::Releases,
        Moment::AsksVotes,
        Moment::Promotes,
    ] {
        for is_successor in [false, true] {
            for what in [LostPart::Daemon, LostPart::Network] {
                let loss = SwitchoverFault::Loses(Loss {
                    when,
                    is_successor,
                    what,
                    lasts: 15 * SECOND,
                });
                let judgement = judged(&[(19, loss), (20, asks(Some(B), false))], &[]);
                let case = format!("{when:?} {is_successor} {what:?}");
                assert_eq!(judgement.outcome.writers, 1, "{case}");
            }
        }
    }
}

/// It is given up to those who can be elected.
#[test]
fn a_server_that_does_not_start_again_is_given_up() {
    let judgement = judged(
        &[
            (10, SwitchoverFault::Demotes(A, DemoteCourse::Kills)),
            (10, SwitchoverFault::StartFails(A, true)),
            (20, asks(Some(B), false)),
        ],
        &[],
    );
    assert_eq!(promoted(&judgement).len(), 1);
    assert_eq!(ends(&judgement), [("failed", 1)]);
    assert_eq!(judgement.outcome.writers, 1);
}

/// Nobody else can be elected either: whoever has asked for it is told.
#[test]
fn a_successor_is_not_awaited_for_ever() {
    let loss = SwitchoverFault::Loses(Loss {
        when: Moment::AsksVotes,
        is_successor: true,
        what: LostPart::Daemon,
        lasts: 90 * SECOND,
    });
    let gone = [(18, Fault::Daemon(C, false))];
    let judgement = judged(&[(19, loss), (20, asks(Some(B), false))], &gone);
    assert_eq!(ends(&judgement), [("failed", 1)]);
}
