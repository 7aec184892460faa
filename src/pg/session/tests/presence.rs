//! The name of our session, and the sessions that a server shows.

use super::*;
use crate::cluster::{DaemonState, Identity, Presence, ServerFacts};

const OWN: &[Option<&str>] = &[Some("t"), Some(SESSION), Some("5")];

/// Logged in by a server process that has introduced itself.
fn introduced(info: &ConnInfo) -> Bench {
    let mut bench = Bench::start_as(info, Transport::Local);
    assert_eq!(bench.feed(&introduction()), Ok(vec![Progress::LoggedIn]));
    bench
}

fn daemons(progress: &[Progress]) -> Option<&Vec<Presence>> {
    match progress {
        [Progress::Answered(report)] => report.daemons.as_ref(),
        other => panic!("{other:?}"),
    }
}

/// A standby's answers: to the question for its status, what is answered about the name and about sessions,
/// and to the question for its identity.
fn standby_with(rest: &[BytesMut]) -> BytesMut {
    let parts = [
        wire::answer(&[STANDBY]),
        joined(rest),
        wire::answer(&[UNKNOWN]),
    ];
    joined(&parts)
}

#[test]
fn a_session_is_named_and_looked_for_in_one_round_trip() {
    let mut bench = introduced(&login(None));
    bench.ask();
    assert_eq!(bench.queries(), ["status", "name", "sessions", "identity"]);
    let other: &[Option<&str>] = &[Some("f"), Some("pglookout:s2:never:00ab12cd"), Some("9")];
    let progress = bench.feed(&standby_with(&[
        wire::answer(&[&[Some(SESSION)]]),
        wire::answer(&[OWN, other]),
    ]));
    let shown: Vec<_> = daemons(&progress.unwrap())
        .unwrap()
        .iter()
        .map(|daemon| (daemon.daemon.clone(), daemon.state))
        .collect();
    let expected = [("s1", DaemonState::Ok), ("s2", DaemonState::Never)];
    assert_eq!(
        shown,
        expected.map(|(name, state)| (name.to_owned(), state))
    );
    // The same name is not set again.
    bench.ask();
    assert_eq!(bench.queries(), ["status", "sessions", "identity"]);
    let progress = bench.feed(&standby_with(&[wire::answer(&[OWN])]));
    assert_eq!(daemons(&progress.unwrap()).map(Vec::len), Some(1));
}

#[test]
fn what_sets_a_name_goes_before_answers_and_is_not_one() {
    let mut bench = introduced(&login(None));
    bench.ask();
    bench.out.clear();
    let set = wire::message(b'C', b"SET\0");
    let progress = bench.feed(&joined(&[
        set.clone(),
        wire::answer(&[STANDBY]),
        set.clone(),
        set.clone(),
        wire::answer(&[&[Some(SESSION)]]),
        set.clone(),
        set.clone(),
        wire::answer(&[OWN]),
        set.clone(),
        set,
        wire::answer(&[UNKNOWN]),
    ]));
    assert_eq!(daemons(&progress.unwrap()).map(Vec::len), Some(1));
}

#[test]
fn behind_a_pooler_a_session_is_neither_named_again_nor_looked_for() {
    // Another server process, which sets nothing; and one that sets the name, but is not shown.
    for (named, sessions) in [(vec![], vec![]), (vec![&[Some(SESSION)][..]], vec![])] {
        let mut bench = introduced(&login(None));
        bench.ask();
        bench.out.clear();
        let progress = bench.feed(&standby_with(&[
            wire::answer(&named),
            wire::answer(&sessions),
        ]));
        assert_eq!(daemons(&progress.unwrap()), None);
        bench.ask();
        assert_eq!(bench.queries(), ["status", "identity"]);
    }
}

#[test]
fn a_session_that_the_operator_has_named_keeps_its_name() {
    for name in ["watch", ""] {
        let mut info = login(None);
        info.application_name = Some(name.to_owned());
        let mut bench = introduced(&info);
        bench.ask();
        assert_eq!(bench.queries(), ["status", "identity"], "{name:?}");
        assert_eq!(bench.feed(&standby_with(&[])), Ok(vec![standby()]));
    }
}

#[test]
fn a_name_that_cannot_be_set_is_tried_again() {
    let mut bench = introduced(&login(None));
    for _ in 0..2 {
        bench.ask();
        assert_eq!(bench.queries(), ["status", "name", "sessions", "identity"]);
        let progress = bench.feed(&standby_with(&[failed("XX000", "no"), wire::answer(&[])]));
        let note = "the session could not be named: ERROR XX000: no";
        assert_eq!(
            progress,
            Ok(vec![Progress::Warned(note.to_owned()), standby()])
        );
    }
}

#[test]
fn an_identity_comes_with_the_report() {
    let mut bench = Bench::idle();
    bench.ask();
    let row = [
        Some("7301"),
        Some("12"),
        None,
        Some("3"),
        Some("2"),
        None,
        Some("15.4"),
        Some("0"),
        Some("10.0.0.1:5432"),
    ];
    let progress = bench.feed(&joined(&[wire::answer(&[STANDBY]), wire::answer(&[&row])]));
    let expected = Identity {
        system: Some("7301".to_owned()),
        started: Some(WallTime::from_unix_micros(12)),
        timeline: Some(3),
        shown: ServerFacts {
            version: Some("15.4".to_owned()),
            can_be_rewound: Some(false),
            upstream: Some("10.0.0.1:5432".to_owned()),
        },
    };
    match progress.as_deref() {
        Ok([Progress::Answered(report)]) => assert_eq!(report.identity, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_account_that_may_not_read_the_control_file_is_reported_once() {
    let mut bench = Bench::idle();
    bench.ask();
    bench.out.clear();
    let denied = failed("42501", "permission denied for function pg_control_system");
    let note = "system_identifier and timeline are not known: ERROR 42501: permission denied for function \
                pg_control_system";
    assert_eq!(
        bench.feed(&joined(&[wire::answer(&[STANDBY]), denied])),
        Ok(vec![Progress::Warned(note.to_owned())])
    );
    assert_eq!(bench.queries(), ["identity, bare"]);
    assert_eq!(bench.feed(&wire::answer(&[UNKNOWN])), Ok(vec![standby()]));
    bench.ask();
    assert_eq!(bench.queries(), ["status", "identity, bare"]);
}

#[test]
fn the_first_daemon_by_name_writes_the_heartbeat_for_the_others() {
    // We are s1 and poll every 5 s; ages are in microseconds.
    for (other, age, is_ours) in [
        ("pglookout:p:primary:00ab12cd", "4999999", false),
        ("pglookout:p:maintenance:00ab12cd", "0", false),
        ("pglookout:p:primary:00ab12cd", "5000000", true),
        ("pglookout:s2:ok:00ab12cd", "0", true),
        ("pglookout:o:observer:00ab12cd", "0", true),
        ("psql", "0", true),
    ] {
        let mut bench = introduced(&login(None));
        bench.ask();
        let shown: &[Option<&str>] = &[Some("f"), Some(other), Some(age)];
        let parts = [
            wire::answer(&[PRIMARY]),
            wire::answer(&[&[Some(SESSION)]]),
            wire::answer(&[OWN, shown]),
            wire::answer(&[UNKNOWN]),
            wire::answer(&[&[Some("off"), Some("725")]]),
            wire::answer(&[]),
        ];
        let progress = bench.feed(&joined(&parts));
        assert!(daemons(&progress.unwrap()).is_some(), "{other}");
        bench.out.clear();
        bench.ask();
        let heartbeat = bench.queries().contains(&"heartbeat");
        assert_eq!(heartbeat, is_ours, "{other}, {age} microseconds ago");
    }
}
