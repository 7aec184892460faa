//! Polls: what is asked when, what may fail without spoiling the report, and what ends it.

use super::*;

#[test]
fn a_poll_of_a_primary_is_one_round_trip() {
    let mut bench = Bench::asked();
    assert_eq!(
        bench.queries(),
        ["status", "identity", "heartbeat", "slots"]
    );
    assert!(!bench.session.is_idle());
    let progress = bench.feed(&joined(&primary()));
    assert_eq!(
        progress,
        Ok(vec![primary_with(vec![slot(Some("oRwFAQ=="))])])
    );
    assert!(bench.session.is_idle() && bench.out.is_empty());
}

#[test]
fn a_server_is_asked_for_its_status_only_until_it_is_known_to_be_a_primary() {
    let mut bench = Bench::idle();
    for _ in 0..2 {
        bench.ask();
        assert_eq!(bench.queries(), ["status", "identity"]);
        assert_eq!(bench.feed(&wire::answer(&[STANDBY])), Ok(vec![]));
        assert_eq!(bench.feed(&wire::answer(&[UNKNOWN])), Ok(vec![standby()]));
    }
    // Promoted meanwhile: the rest is asked for within the same poll.
    bench.ask();
    bench.out.clear();
    let [status, identity, heartbeat, slots] = primary();
    assert_eq!(bench.feed(&status), Ok(vec![]));
    assert_eq!(bench.queries(), ["heartbeat", "slots"]);
    assert_eq!(
        bench.feed(&joined(&[identity.clone(), heartbeat, slots])),
        Ok(vec![primary_with(vec![slot(Some("oRwFAQ=="))])])
    );
    // And back, behind an address that moves: the questions were on their way.
    bench.ask();
    assert_eq!(
        bench.queries(),
        ["status", "identity", "heartbeat", "slots"]
    );
    let nothing = wire::answer(&[]);
    let progress = bench.feed(&joined(&[
        wire::answer(&[STANDBY]),
        identity,
        wire::answer(&[&[Some("off"), None]]),
        nothing,
    ]));
    assert_eq!(progress, Ok(vec![standby()]));
    bench.ask();
    assert_eq!(bench.queries(), ["status", "identity"]);
}

#[test]
fn an_account_that_may_not_read_files_is_reported_once() {
    let mut bench = Bench::asked();
    bench.out.clear();
    let [status, identity, heartbeat, _] = primary();
    let denied = failed(
        "42501",
        "permission denied for function pg_read_binary_file",
    );
    assert_eq!(
        bench.feed(&joined(&[
            status.clone(),
            identity.clone(),
            heartbeat.clone(),
            denied.clone()
        ])),
        Ok(vec![])
    );
    assert_eq!(bench.queries(), ["slots, plain"]);
    assert_eq!(bench.feed(&denied), Ok(vec![]));
    assert_eq!(bench.queries(), ["slots, unread"]);
    // Without a slot nobody misses it.
    assert_eq!(
        bench.feed(&wire::answer(&[])),
        Ok(vec![primary_with(Vec::new())])
    );
    bench.ask();
    bench.out.clear();
    let note = "replication slots are read without state_data: ERROR 42501: permission denied for function \
                pg_read_binary_file";
    let mut bare = SLOT.to_vec();
    bare[7] = None;
    let unread = wire::answer(&[&bare]);
    let poll = joined(&[
        status.clone(),
        identity.clone(),
        heartbeat.clone(),
        unread.clone(),
    ]);
    assert_eq!(
        bench.feed(&poll),
        Ok(vec![
            Progress::Warned(note.to_owned()),
            primary_with(vec![slot(None)])
        ])
    );

    bench.ask();
    assert_eq!(
        bench.queries(),
        ["status", "identity", "heartbeat", "slots, unread"]
    );
    assert_eq!(
        bench.feed(&joined(&[status, identity, heartbeat, unread])),
        Ok(vec![primary_with(vec![slot(None)])])
    );
}

#[test]
fn slots_that_cannot_be_read_do_not_spoil_the_poll() {
    let mut bench = Bench::asked();
    let [status, identity, heartbeat, slots] = primary();
    let gone = failed("58P01", "could not open file");
    let broken = failed("XX000", "no");
    let progress = bench.feed(&joined(&[
        status.clone(),
        identity.clone(),
        heartbeat.clone(),
        gone,
        broken,
    ]));
    let notes: Vec<String> = progress
        .unwrap()
        .iter()
        .map(|progress| match progress {
            Progress::Warned(note) => note.clone(),
            other => format!("{}", *other == primary_with(Vec::new())),
        })
        .collect();
    assert_eq!(
        notes,
        [
            "state_data could not be read in this poll: ERROR 58P01: could not open file",
            "replication slots could not be read: ERROR XX000: no",
            "true"
        ]
    );
    // A passing error is not remembered.
    bench.out.clear();
    bench.ask();
    assert_eq!(
        bench.queries(),
        ["status", "identity", "heartbeat", "slots"]
    );
    assert_eq!(
        bench
            .feed(&joined(&[status, identity, heartbeat, slots]))
            .map(|progress| progress.len()),
        Ok(1)
    );
}

#[test]
fn a_failed_heartbeat_is_reported_and_the_position_counts() {
    let mut bench = Bench::asked();
    let [status, identity, heartbeat, slots] = primary();
    let whole = Ok(vec![primary_with(vec![slot(Some("oRwFAQ=="))])]);
    let failing = joined(&[
        status.clone(),
        identity.clone(),
        failed("54000", "database is not accepting commands"),
        slots.clone(),
    ]);
    for _ in 0..2 {
        let progress = bench.feed(&failing).unwrap();
        let note = "the heartbeat failed: ERROR 54000: database is not accepting commands";
        assert_eq!(progress[0], Progress::Warned(note.to_owned()));
        assert_eq!(progress.len(), 2);
        bench.ask();
    }
    assert_eq!(
        bench.feed(&joined(&[status, identity, heartbeat, slots])),
        whole
    );
}

#[track_caller]
fn poll_fails(stream: &[BytesMut], expected: &str) {
    let failure = Bench::asked().feed(&joined(stream)).unwrap_err();
    assert_eq!(failure.to_string(), expected);
}

#[test]
fn failures_of_a_poll_name_who_is_to_blame() {
    let text = "rejected by the server: ERROR 57014: canceling statement due to statement timeout";
    poll_fails(
        &[failed(
            "57014",
            "canceling statement due to statement timeout",
        )],
        text,
    );
    let stopping = wire::error("FATAL", "57P01", "stop");
    poll_fails(&[stopping], "not ready: FATAL 57P01: stop");
    poll_fails(
        &[wire::answer(&[])],
        "protocol error: no status row, expected one",
    );
    poll_fails(
        &[wire::answer(&[PRIMARY, PRIMARY])],
        "protocol error: more than one status row",
    );
    poll_fails(
        &[wire::row(PRIMARY)],
        "protocol error: an unexpected message in an answer (Awaited)",
    );
    let unfinished = [wire::description(), wire::row(PRIMARY), wire::ready()];
    poll_fails(
        &unfinished,
        "protocol error: an unexpected message in an answer (Rows)",
    );
    let open = [
        wire::description(),
        wire::row(PRIMARY),
        wire::message(b'C', b"x\0"),
        wire::message(b'Z', b"T"),
    ];
    poll_fails(
        &open,
        "protocol error: a transaction is open after a query of ours, none was begun",
    );
}

#[test]
fn slots_have_a_limit() {
    let [status, identity, heartbeat, _] = primary();
    let up_to_slots = joined(&[status, identity, heartbeat]);
    let mut bench = Bench::asked();
    bench.out.clear();
    let progress = bench.feed(&joined(&[
        up_to_slots.clone(),
        wire::answer(&vec![SLOT; 10_002]),
    ]));
    let note = "replication slots could not be read: rejected by the server: pglookout does not accept the answer: \
                more than 10000 replication slots";
    assert_eq!(progress, Ok(vec![Progress::Warned(note.to_owned())]));
    assert_eq!(bench.queries(), ["slots, unread"]);
    let progress = bench.feed(&failed("42501", "no")).unwrap();
    assert_eq!(progress.last(), Some(&primary_with(Vec::new())));

    let progress = Bench::asked().feed(&joined(&[up_to_slots, wire::answer(&vec![SLOT; 10_000])]));
    assert_eq!(progress.map(|progress| progress.len()), Ok(1));
}
