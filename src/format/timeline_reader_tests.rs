//! Every kind of line, and lines that are none, each with what is said of it.

use super::super::moment::at;
use super::*;
use crate::lookout::Contact;
use crate::lookout::FailoverOutcome;
use crate::testing::mutations;

const HEADER: &str = r#"{"timeline": "t", "config": {"own_db": "s", "remote_conns": {"p": "host=p", "s": "host=s"}}}"#;

/// A header and then this line: how the step that is read begins, or what is wrong.
#[track_caller]
fn check(line: &str, expected: Result<&str, &str>) {
    let read = read(&format!("{HEADER}\n\n{line}\n"));
    let found = read
        .map(|timelines| format!("{:?}", timelines[0].lines[0].step))
        .map_err(|error| error.to_string());
    match expected {
        Ok(begin) => assert!(
            found.as_ref().is_ok_and(|step| step.starts_with(begin)),
            "{line}: {found:?}"
        ),
        Err(reason) => assert_eq!(found, Err(format!("line 3: {reason}")), "{line}"),
    }
}

#[test]
fn reads_every_kind_of_line() {
    check(
        r#"{"t": 1, "node": "p", "report": {"in_recovery": false, "db_time": 1, "lsn": "0/5"}}"#,
        Ok("Event(NodeProbed { node: NodeName(\"p\"), probe: None, outcome: "),
    );
    check(
        r#"{"t": 1, "node": "p", "report": {"in_recovery": true, "db_time": 1, "lsn": null}}"#,
        Ok("Event(NodeProbed { node: NodeName(\"p\"), probe: None, outcome: "),
    );
    check(
        r#"{"t": 1.5, "node": "p", "failure": "not_ready", "fresh": true}"#,
        Ok("Event(NodeProbed { node: NodeName(\"p\"), probe: None, outcome: "),
    );
    check(
        r#"{"t": 1, "node": "p", "failure": "refused", "message": "no"}"#,
        Ok(
            r#"Event(NodeProbed { node: NodeName("p"), probe: None, outcome: Err(Refused { message: "no" }"#,
        ),
    );
    check(
        r#"{"t": 1, "node": "p", "failure": "timed_out", "step": "connecting"}"#,
        Ok(
            r#"Event(NodeProbed { node: NodeName("p"), probe: None, outcome: Err(TimedOut { step: Connecting }"#,
        ),
    );
    check(
        r#"{"t": 1, "observer": "o", "report": {"date": 1, "nodes": {}}}"#,
        Ok("Event(ObserverProbed {"),
    );
    check(
        r#"{"t": 1, "lost": "p"}"#,
        Ok(
            r#"Event(NodeLost { node: NodeName("p"), failure: Unreachable { reason: "connection lost" }"#,
        ),
    );
    check(
        r#"{"t": 1, "lost": "p", "failure": "not_ready"}"#,
        Ok(r#"Event(NodeLost { node: NodeName("p"), failure: NotReady"#),
    );
    check(r#"{"t": 1, "maintenance": true}"#, Ok("Maintenance(true)"));
    check(r#"{"t": 1, "config": {}}"#, Ok("Event(ConfigLoaded("));
    check(r#"{"t": 1, "wall": -5}"#, Ok("Wall("));
    check(
        r#"{"t": 1, "check_requested": true}"#,
        Ok("Event(CheckRequested"),
    );
    check(
        r#"{"t": 1, "command": "failover_command", "exit": 0}"#,
        Ok("Command(Failover, Exited(0))"),
    );
    check(
        r#"{"t": 1, "command": "over_warning_limit_command", "signal": 9}"#,
        Ok("Command(LagWarning, Killed(9))"),
    );
    check(
        r#"{"t": 1, "command": "failover_command", "timed_out": true}"#,
        Ok("Command(Failover, TimedOut)"),
    );
    check(
        r#"{"t": 1, "command": "failover_command", "not_started": "x"}"#,
        Ok(r#"Command(Failover, NotStarted("x"))"#),
    );
    check(
        r#"{"t": 1, "turn": true, "verdict": "hold", "reason": "maintenance"}"#,
        Ok("Turn"),
    );
    check(
        r#"{"t": 1, "follow_prepared": "changed"}"#,
        Ok("Event(FollowPrepared(Changed))"),
    );
    check(
        r#"{"t": 1, "follow_prepared": "failed", "message": "x"}"#,
        Ok(r#"Event(FollowPrepared(Failed("x")))"#),
    );
    check(
        r#"{"t": 1, "former_command_ended": true}"#,
        Ok("Event(PreviousCommand(Ended))"),
    );
    check(
        r#"{"t": 1, "previous_command": "unobservable"}"#,
        Ok("Event(PreviousCommand(Unobservable))"),
    );
    check(r#"{"t": 1, "end": true}"#, Ok("End"));
    check(r#"{"t": 1, "check": {}}"#, Ok("Check("));
    check(
        r#"{"t": 1, "check": {"command_exit": null, "expect": {"primary": "p"}}, "note": "x"}"#,
        Ok("Check("),
    );
}

#[test]
fn refuses_what_is_no_line_and_reports_where() {
    check(
        "[]",
        Err("no JSON object: invalid type: sequence, expected a map at column 0"),
    );
    check(
        r#"{"t": 1,}"#,
        Err("no JSON object: trailing comma at column 9"),
    );
    check(
        r#"{"t": 1"#,
        Err("no JSON object: EOF while parsing an object at column 7"),
    );
    for line in [
        r#"{"lost": "p"}"#,
        r#"{"t": -1, "lost": "p"}"#,
        r#"{"t": 1e300, "lost": "p"}"#,
        r#"{"t": "1", "lost": "p"}"#,
    ] {
        check(line, Err("t: expected seconds, 0 or more"));
    }
    let kinds = "node, observer, lost, maintenance, config, wall, check, check_requested, pause, command, \
                 former_command_ended, previous_command, follow_prepared, turn, end, vote_file, vote_request, vote_answer, vote_saved, host_slept_micros, watchdog, switchover, control_file";
    check(r#"{"t": 1}"#, Err(&format!("expected one of {kinds}")));
    check(
        r#"{"t": 1, "nod": "p"}"#,
        Err(&format!("unknown key \"nod\": expected one of {kinds}")),
    );
    check(
        r#"{"t": 1, "node": "p", "reprot": {}}"#,
        Err("unknown key \"reprot\" in a line of node"),
    );
    check(
        r#"{"t": 1, "node": "p", "lost": "p", "failure": "refused"}"#,
        Err("unknown key \"lost\" in a line of node"),
    );
    check(
        r#"{"t": 1, "node": "p"}"#,
        Err("expected either a report or a failure"),
    );
    check(
        r#"{"t": 1, "node": 5, "failure": "refused"}"#,
        Err("node: expected a name"),
    );
    check(r#"{"t": 1, "lost": null}"#, Err("lost: expected a name"));
    check(
        r#"{"t": 1, "node": "p", "failure": "refused", "fresh": 1}"#,
        Err("fresh: expected true or false"),
    );
    check(
        r#"{"t": 1, "node": "p", "failure": "gone"}"#,
        Err(
            "failure: unknown variant `gone`, expected one of `unreachable`, `timed_out`, `authentication`, `refused`, `not_ready`, `nonsense`",
        ),
    );
    check(
        r#"{"t": 1, "node": "p", "failure": 5}"#,
        Err("failure: invalid type: integer `5`, expected variant identifier"),
    );
    check(
        r#"{"t": 1, "node": "p", "failure": "timed_out", "step": "x"}"#,
        Err(
            "failure: unknown variant `x`, expected one of `resolving`, `connecting`, `logging_in`, `answering`",
        ),
    );
    check(
        r#"{"t": 1, "lost": "p", "message": "x"}"#,
        Err("message and step belong to a failure"),
    );
    check(
        r#"{"t": 1, "maintenance": 1}"#,
        Err("maintenance: expected true or false"),
    );
    check(r#"{"t": 1, "wall": "x"}"#, Err("wall: expected seconds"));
    check(r#"{"t": 1, "turn": false}"#, Err("turn: expected true"));
    check(
        r#"{"t": 1, "config": {"http_port": 0}}"#,
        Err("config: http_port is 0: expected a port number from 1 to 65535"),
    );
    check(
        r#"{"t": 1, "command": "x", "exit": 0}"#,
        Err(
            "command: unknown variant `x`, expected one of `failover_command`, `over_warning_limit_command`, `isolated_primary_command`, `pg_stop_command`, `pg_start_command`, `fence_command`, `unfence_command`, `demote_command`",
        ),
    );
    let one = "command: expected one of exit, signal, timed_out, not_started";
    check(r#"{"t": 1, "command": "failover_command"}"#, Err(one));
    check(
        r#"{"t": 1, "command": "failover_command", "exit": 0, "signal": 9}"#,
        Err(one),
    );
    check(
        r#"{"t": 1, "command": "failover_command", "exit": "0"}"#,
        Err("exit: invalid type: string \"0\", expected i32"),
    );
    check(
        r#"{"t": 1, "node": "p", "report": {"db_time": 1}}"#,
        Err("report: missing field `in_recovery`"),
    );
    check(
        r#"{"t": 1, "node": "p", "report": {"db_time": 1, "in_recovery": false, "lsn": "x"}}"#,
        Err(
            "report: \"x\": no LSN: expected two hexadecimal numbers of up to 8 digits with a slash between, such as 0/5000060",
        ),
    );
    check(
        r#"{"t": 1, "observer": "o", "report": {"date": 1, "nodes": {"p": {"connection": true}}}}"#,
        Err("report: \"p\": no valid fetch_time"),
    );
    check(
        r#"{"t": 1, "follow_prepared": true}"#,
        Err("follow_prepared: invalid type: boolean `true`, expected string or map"),
    );
    check(
        r#"{"t": 1, "check": {"follow": "x"}}"#,
        Err("check: unknown variant `x`, expected one of `changed`, `unchanged`, `failed`"),
    );
    check(
        r#"{"t": 1, "check": {"expct": {}}}"#,
        Err("check: unknown field `expct`, expected one of `command_exit`, `follow`, `expect`"),
    );
}

#[track_caller]
fn check_file(text: &str, expected: Result<usize, &str>) {
    let found = read(text)
        .map(|timelines| timelines.len())
        .map_err(|error| error.to_string());
    assert_eq!(found, expected.map_err(str::to_owned), "{text}");
}

#[test]
fn a_file_begins_with_a_header_and_time_never_goes_back() {
    let (one, two) = (r#"{"t": 1.5, "lost": "p"}"#, r#"{"t": 2, "lost": "p"}"#);
    check_file("", Ok(0));
    check_file(
        &format!("{HEADER}\n{two}\n{HEADER}\n{one}\n{one}\r\n"),
        Ok(2),
    );
    check_file(
        two,
        Err("line 1: expected a header with the key timeline first"),
    );
    check_file(
        &format!("{HEADER}\n{two}\n{one}"),
        Err("line 3: t goes back from 2 to 1.5: expected lines in order of time"),
    );
    check_file(r#"{"timeline": "t"}"#, Err("line 1: config: missing"));
    check_file(
        r#"{"timeline": 5, "config": {}}"#,
        Err("line 1: timeline: expected a name"),
    );
    check_file(
        r#"{"timeline": "t", "epoch": "soon", "config": {}}"#,
        Err("line 1: epoch: expected an ISO timestamp such as 2024-01-01T00:00:00Z"),
    );
    check_file(
        r#"{"timeline": "t", "monotonic": -1, "config": {}}"#,
        Err("line 1: monotonic: expected seconds, 0 or more"),
    );
    check_file(
        r#"{"timeline": "t", "config": {}, "memory": {"primry": "p"}}"#,
        Err("line 1: memory: unknown key \"primry\""),
    );
    check_file(
        r#"{"timeline": "t", "config": {}, "author": "a person", "why": "for people"}"#,
        Ok(1),
    );
}

#[test]
fn the_header_has_clocks_and_memory() {
    let text = r#"{"timeline": "t", "epoch": "2024-01-01T00:00:10Z", "monotonic": 100.5, "config": {},
        "memory": {"primary": "p", "contacts": {"p": {"t": -3.25, "wall": -3.5}, "q": {"t": null, "wall": 1}}, "standbys": ["s"],
        "failover": {"primary": "p", "outcome": "failed", "t": -1, "wall": -1}, "failover_failed": true}}"#;
    let timelines = read(&text.replace('\n', " ")).unwrap();
    let Timeline { start, memory, .. } = &timelines[0];
    assert_eq!(
        (start.mono.since_boot(), start.wall),
        (Duration::from_millis(100_500), at(DEFAULT_EPOCH, 10.0))
    );
    let expected = Contact {
        mono: Some(Monotonic::from_duration(Duration::from_millis(97_250))),
        wall: at(DEFAULT_EPOCH, 6.5),
    };
    assert_eq!(
        (
            memory.primary.as_ref().unwrap().as_str(),
            &memory.contacts["p"]
        ),
        ("p", &expected)
    );
    assert_eq!(
        (memory.contacts["q"].mono, memory.standbys.len()),
        (None, 1)
    );
    let last = memory.failover.as_ref().unwrap();
    assert_eq!(
        (last.outcome, last.mono.unwrap() + Duration::from_secs(1)),
        (FailoverOutcome::Failed, start.mono)
    );
    assert!(memory.failover_failed && !memory.restart_owed);
}

#[test]
fn limits_hold() {
    let header = |bytes: usize| {
        let without = r#"{"timeline": "", "config": {}}"#.len();
        HEADER.replace(
            HEADER,
            &format!(
                r#"{{"timeline": "{}", "config": {{}}}}"#,
                "n".repeat(bytes - without)
            ),
        )
    };
    check_file(&header(MAX_LINE_BYTES), Ok(1));
    check_file(
        &header(MAX_LINE_BYTES + 1),
        Err("line 1: longer than 4194304 bytes"),
    );
    let mut reader = Reader::default();
    reader.line(HEADER.as_bytes()).unwrap();
    reader.bytes = MAX_TIMELINE_BYTES;
    let error = reader.line(br#"{"t": 1, "end": true}"#).unwrap_err();
    assert_eq!(
        error.reason,
        "a timeline of more than 335544320 bytes: cut it"
    );
}

#[test]
fn a_line_that_was_cut_short_is_known_for_that() {
    let line = r#"{"t": 1, "lost": "p"}"#;
    for end in 1..line.len() {
        assert!(
            read(&format!("{HEADER}\n{}", &line[..end]))
                .unwrap_err()
                .is_cut_short,
            "{end}"
        );
    }
    assert!(!read("hello").unwrap_err().is_cut_short);
}

#[test]
fn no_mutation_panics() {
    let text = [
        r#"{"timeline": "t", "config": {}}"#,
        r#"{"t": 5, "node": "s", "report": {"in_recovery": true, "db_time": 5, "receive_lsn": "0/5", "last_replay": 4.5}}"#,
        r#"{"t": 6, "wall": 9e18}"#,
        r#"{"t": 9, "command": "failover_command", "exit": -1}"#,
        r#"{"t": 20, "turn": true}"#,
    ]
    .join("\n");
    mutations(text.as_bytes(), |mutated| {
        let mut reader = Reader::default();
        for line in mutated.split(|byte| *byte == b'\n') {
            let _ = reader.line(line);
        }
        let _ = reader.finish();
    });
}
