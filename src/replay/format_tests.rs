//! Timelines that are none, each with what is said of it.

use super::*;

const HEADER: &str = r#"{"timeline": "t", "config": {"own_db": "s", "remote_conns": {"p": "host=p", "s": "host=s"}}}"#;

/// A header and then this line.
#[track_caller]
fn check(line: &str, expected: Result<&str, &str>) {
    let read = read(&format!("{HEADER}\n\n{line}\n"));
    let found = read.map(|timelines| format!("{:?}", timelines[0].lines[0].step)).map_err(|error| error.to_string());
    match expected {
        Ok(begin) => assert!(found.as_ref().is_ok_and(|step| step.starts_with(begin)), "{line}: {found:?}"),
        Err(reason) => assert_eq!(found, Err(format!("line 3: {reason}")), "{line}"),
    }
}

#[test]
fn reads_every_kind_of_line() {
    check(r#"{"t": 1, "node": "p", "report": {"in_recovery": false, "db_time": 1, "lsn": "0/5"}}"#, Ok("Node("));
    check(r#"{"t": 1, "node": "p", "report": {"in_recovery": true, "db_time": 1}}"#, Ok("Node("));
    check(r#"{"t": 1.5, "node": "p", "failure": "not_ready", "fresh": true}"#, Ok("Node("));
    check(r#"{"t": 1, "observer": "o", "report": {"date": 1, "nodes": {}}}"#, Ok("Observer("));
    check(r#"{"t": 1, "lost": "p"}"#, Ok("Lost("));
    check(r#"{"t": 1, "maintenance": true}"#, Ok("Maintenance(true)"));
    check(r#"{"t": 1, "config": {}}"#, Ok("Config("));
    check(r#"{"t": 1, "wall": -5}"#, Ok("Wall("));
    check(r#"{"t": 1, "check": {}}"#, Ok("Check("));
    check(r#"{"t": 1, "check": {"command_exit": null, "expect": {"primary": "p"}}, "note": "x"}"#, Ok("Check("));
}

#[test]
fn refuses_what_is_no_line_and_says_where() {
    check("[]", Err("no JSON object: invalid type: sequence, expected a map at line 1 column 0"));
    check(r#"{"node": "p"}"#, Err("t: expected seconds, 0 or more"));
    check(r#"{"t": -1, "lost": "p"}"#, Err("t: expected seconds, 0 or more"));
    check(r#"{"t": 1e300, "lost": "p"}"#, Err("t: expected seconds, 0 or more"));
    check(r#"{"t": 1}"#, Err("expected node, observer, lost, maintenance, config, wall or check"));
    check(r#"{"t": 1, "node": "p"}"#, Err("expected either a report or a failure"));
    check(
        r#"{"t": 1, "node": "p", "failure": "gone"}"#,
        Err("failure \"gone\": expected unreachable, timed_out, authentication, refused, not_ready or nonsense"),
    );
    check(r#"{"t": 1, "maintenance": 1}"#, Err("maintenance: expected true or false"));
    check(r#"{"t": 1, "node": "p", "report": {"db_time": 1}}"#, Err("report: missing field `in_recovery`"));
}

#[test]
fn a_file_begins_with_a_header_and_time_never_goes_back() {
    let line = r#"{"t": 2, "lost": "p"}"#;
    for (text, expected) in [
        (line.to_owned(), "line 1: expected a header with the key timeline first"),
        (format!("{HEADER}\n{line}\n{}", r#"{"t": 1.9, "lost": "p"}"#), "line 3: t goes back"),
        (r#"{"timeline": "t"}"#.to_owned(), "line 1: config: missing"),
        (r#"{"timeline": 5, "config": {}}"#.to_owned(), "line 1: timeline: expected a name"),
        (r#"{"timeline": "t", "epoch": "soon", "config": {}}"#.to_owned(), "line 1: epoch: expected an ISO timestamp"),
    ] {
        assert_eq!(read(&text).map(|_| ()).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
    }
    let two = read(&format!("{HEADER}\n{line}\n{HEADER}\n{}", r#"{"t": 1, "lost": "p"}"#)).unwrap();
    assert_eq!(two.iter().map(|timeline| timeline.lines.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(read("").map(|timelines| timelines.len()), Ok(0));
}
