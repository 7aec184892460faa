//! Once the status is there, nothing that comes later takes it back.

use super::*;

/// Each part of a primary's poll over a session with a name of its own, by what it is about.
fn parts() -> [(Topic, BytesMut); 6] {
    let own: &[Option<&str>] = &[Some("t"), Some(SESSION), Some("5")];
    [
        (Topic::Status, wire::answer(&[PRIMARY])),
        (Topic::Name, wire::answer(&[&[Some(SESSION)]])),
        (Topic::Sessions, wire::answer(&[own])),
        (Topic::Identity, wire::answer(&[UNKNOWN])),
        (
            Topic::Heartbeat,
            wire::answer(&[&[Some("off"), Some("725")]]),
        ),
        (Topic::Slots, wire::answer(&[SLOT])),
    ]
}

/// A known primary that is asked for everything, the name included.
fn asked() -> Bench {
    let mut bench = Bench::start(None);
    assert_eq!(bench.feed(&introduction()), Ok(vec![Progress::LoggedIn]));
    bench.ask();
    let whole = joined(&parts().map(|(_, part)| part));
    assert_eq!(bench.feed(&whole).map(|progress| progress.len()), Ok(1));
    bench.out.clear();
    let ask = Ask {
        session: Arc::from("pglookout:s1:promoting:00ab12cd"),
        timeout: Duration::from_secs(6),
        spacing: Duration::from_secs(5),
        below: None,
    };
    bench.session.ask(ask, &mut bench.out);
    let all = [
        "status",
        "name",
        "sessions",
        "identity",
        "heartbeat",
        "slots",
    ];
    assert_eq!(bench.queries(), all);
    bench
}

fn up_to(topic: Topic) -> BytesMut {
    let before = parts().into_iter().filter(|(of, _)| *of < topic);
    joined(&before.map(|(_, part)| part).collect::<Vec<_>>())
}

/// What a session that has failed still reports.
#[track_caller]
fn is_a_contact(bench: &mut Bench, failure: &ProbeFailure, waiting_for: Topic) {
    let (report, topic) = bench
        .session
        .give_up(failure)
        .expect("the status was there");
    let role = &report.role;
    assert!(
        matches!(role, RoleReport::Primary { lsn: Some(_), .. }),
        "{role:?}"
    );
    assert_eq!(topic, waiting_for);
    assert_eq!(bench.session.give_up(failure), None, "it is progress once");
    assert!(!bench.session.is_idle());
}

const LATER: [Topic; 5] = [
    Topic::Name,
    Topic::Sessions,
    Topic::Identity,
    Topic::Heartbeat,
    Topic::Slots,
];

#[test]
fn one_that_is_late_costs_its_own_answer_only() {
    let late = ProbeFailure::TimedOut {
        step: ProbeStep::Answering,
    };
    for topic in LATER {
        let mut bench = asked();
        assert_eq!(bench.feed(&up_to(topic)), Ok(vec![]));
        is_a_contact(&mut bench, &late, topic);
    }
    // The row is enough.
    let mut bench = asked();
    let row = joined(&[wire::description(), wire::row(PRIMARY)]);
    assert_eq!(bench.feed(&row), Ok(vec![]));
    is_a_contact(&mut bench, &late, Topic::Status);
    let mut bench = asked();
    assert_eq!(bench.feed(&wire::description()), Ok(vec![]));
    assert_eq!(bench.session.give_up(&late), None);
}

#[test]
fn one_that_ends_the_session_leaves_the_contact() {
    let fatal = wire::error("FATAL", "57P01", "stop");
    let flood = wire::message(b'N', b"SNOTICE\0\0").repeat(1_001);
    for topic in LATER {
        for last in [
            &fatal[..],
            &flood[..],
            b"?\0\0\0\x04",
            b"D\xff\xff\xff\xff",
            &wire::ready()[..],
        ] {
            let mut bench = asked();
            assert_eq!(bench.feed(&up_to(topic)), Ok(vec![]));
            let failure = bench.feed(last).unwrap_err();
            is_a_contact(&mut bench, &failure, topic);
        }
    }
}

#[test]
fn one_that_fails_is_noted_and_the_session_goes_on() {
    for topic in LATER {
        let mut bench = asked();
        let mut progress = bench.feed(&up_to(topic)).unwrap();
        progress.extend(
            bench
                .feed(&failed("55P03", "canceling statement due to lock timeout"))
                .unwrap(),
        );
        for (_, part) in parts().into_iter().filter(|(of, _)| *of > topic) {
            progress.extend(bench.feed(&part).unwrap());
        }
        if topic == Topic::Slots {
            progress.extend(
                bench
                    .feed(&failed("55P03", "canceling statement due to lock timeout"))
                    .unwrap(),
            );
        }
        let (last, notes) = progress.split_last().unwrap();
        assert!(matches!(last, Progress::Answered(_)), "{topic:?}: {last:?}");
        assert!(!notes.is_empty(), "{topic:?}");
        for note in notes {
            assert!(
                matches!(note, Progress::Warned(text) if text.contains("55P03")),
                "{note:?}"
            );
        }
        assert!(bench.session.is_idle());
    }
}

#[test]
fn a_row_that_makes_no_sense_is_noted_and_the_session_goes_on() {
    for topic in [Topic::Sessions, Topic::Identity, Topic::Slots] {
        let mut bench = asked();
        let mut progress = bench.feed(&up_to(topic)).unwrap();
        progress.extend(
            bench
                .feed(&wire::answer(&[&[Some("?")], &[Some("?")]]))
                .unwrap(),
        );
        for (_, part) in parts().into_iter().filter(|(of, _)| *of > topic) {
            progress.extend(bench.feed(&part).unwrap());
        }
        if topic == Topic::Slots {
            progress.extend(bench.feed(&wire::answer(&[])).unwrap());
        }
        assert_eq!(progress.len(), 2, "{topic:?}: {progress:?}");
        assert!(
            matches!(&progress[0], Progress::Warned(text) if text.contains("a row of 1 columns"))
        );
        assert!(matches!(progress[1], Progress::Answered(_)));
    }
}

#[test]
fn what_is_left_out_is_not_asked_for() {
    let mut bench = Bench::asked();
    assert_eq!(
        bench
            .feed(&joined(&primary()))
            .map(|progress| progress.len()),
        Ok(1)
    );
    bench.out.clear();
    bench.ask_below(Some(Topic::Heartbeat));
    assert_eq!(bench.queries(), ["status", "identity"]);
    let progress = bench.feed(&joined(&[
        wire::answer(&[PRIMARY]),
        wire::answer(&[UNKNOWN]),
    ]));
    assert_eq!(progress, Ok(vec![primary_with(Vec::new())]));
    bench.ask_below(Some(Topic::Status));
    assert_eq!(bench.queries(), ["status"]);
    let progress = bench.feed(&wire::answer(&[PRIMARY]));
    assert_eq!(progress, Ok(vec![primary_with(Vec::new())]));
}
