//! Entries as the original and we write them, as they are read back, and what is odd about others.

use serde_json::{Value, json};

use super::super::fixtures::*;
use super::*;
use crate::testing::mutations;

fn read_text(body: &str) -> Result<BTreeMap<NodeName, ObservedNode>, String> {
    read_state_json(body.as_bytes(), wall("2024-01-01T00:00:06Z")).map(|report| report.nodes)
}

fn standby_entry() -> ObservedNode {
    ObservedNode {
        fetch_time: wall("2024-01-01T00:00:05Z"),
        connection: true,
        db_time: Some(wall("2024-01-01T00:00:05.25Z")),
        in_recovery: Some(true),
        receive: lsn("0/5000060"),
        replay: lsn("0/5000060"),
        last_replay: Some(wall("2024-01-01T00:00:04.75Z")),
        identity: crate::cluster::Identity::default(),
        daemons: None,
    }
}

#[test]
fn reads_what_the_original_and_we_write() {
    let original = read_text(&format!(
        r#"{{"p": {PRIMARY}, "s1": {STANDBY}, "x": {NEVER_ANSWERED}}}"#
    ))
    .unwrap();
    assert_eq!(original["s1"], standby_entry());
    assert_eq!(original["p"].in_recovery, Some(false));
    assert_eq!(
        (original["x"].connection, original["x"].in_recovery),
        (false, None)
    );
    let ours = state_json(&nodes(&[
        ("p", primary()),
        ("s1", standby()),
        ("x", never_answered()),
    ]));
    assert_eq!(read_text(std::str::from_utf8(&ours).unwrap()), Ok(original));
    assert_eq!(read_text("{}"), Ok(BTreeMap::new()));
}

#[test]
fn an_entry_is_read_back() {
    let nothing = ObservedNode {
        db_time: None,
        in_recovery: None,
        receive: None,
        ..standby_entry()
    };
    for observed in [standby_entry(), nothing] {
        assert_eq!(
            read_text(&format!(
                r#"{{"s": {}}}"#,
                serde_json::to_string(&Fields::of_observed(&observed)).unwrap()
            ))
            .unwrap()["s"],
            observed
        );
    }
}

#[test]
fn a_field_that_cannot_be_read_was_not_reported() {
    for (field, instead) in [
        (
            r#""pg_is_in_recovery": true"#,
            r#""pg_is_in_recovery": "yes""#,
        ),
        (r#""pg_is_in_recovery": true"#, r#""pg_is_in_recovery": 1"#),
        (
            r#""pg_is_in_recovery": true"#,
            r#""pg_is_in_recovery": {"a": [1, {}]}"#,
        ),
    ] {
        let nodes = read_text(&format!(r#"{{"s": {}}}"#, STANDBY.replace(field, instead))).unwrap();
        assert_eq!(
            nodes["s"],
            ObservedNode {
                in_recovery: None,
                ..standby_entry()
            },
            "{instead}"
        );
    }
    let odd = STANDBY
        .replace("0/5000060", "no/where")
        .replace("2024-01-01T00:00:04.750000Z", "yesterday");
    let nodes = read_text(&format!(r#"{{"s": {odd}}}"#)).unwrap();
    assert_eq!(
        nodes["s"],
        ObservedNode {
            receive: None,
            replay: None,
            last_replay: None,
            ..standby_entry()
        }
    );
}

#[test]
fn keys_of_newer_versions_are_passed_over() {
    let newer = STANDBY.replace(
        r#""connection""#,
        r#""new": {"a": [1.5, null, "x"]}, "more": -1, "connection""#,
    );
    assert_eq!(
        read_text(&format!(r#"{{"s": {newer}}}"#)).unwrap()["s"],
        standby_entry()
    );
}

#[track_caller]
fn refused(body: &str, reason: &str) {
    let error = read_text(body).unwrap_err();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn one_bad_entry_makes_the_whole_answer_bad() {
    refused(
        &format!(r#"{{"p": {PRIMARY}, "s": {{"fetch_time": "2024-01-01T00:00:05Z"}}}}"#),
        "no valid connection",
    );
    refused(
        r#"{"s": {"connection": true}}"#,
        r#""s": no valid fetch_time"#,
    );
    refused(
        r#"{"s": {"connection": true, "fetch_time": 5}}"#,
        "no valid fetch_time",
    );
    refused(
        r#"{"s": {"connection": 1, "fetch_time": "2024-01-01T00:00:05Z"}}"#,
        "no valid connection",
    );
    for entry in [
        "null",
        "1",
        "\"x\"",
        "[]",
        r#"["2024-01-01T00:00:05Z", true]"#,
    ] {
        refused(
            &format!(r#"{{"s": {entry}}}"#),
            "expected an object with the state of a node",
        );
    }
}

#[test]
fn what_is_no_object_is_bad() {
    for body in ["", "{", "null", "[]", "5", "<html>", "{}{}", "{\"a\": NaN}"] {
        refused(body, "bad state of nodes");
    }
}

#[test]
fn limits_hold() {
    let named = |bytes: usize| format!(r#"{{"{}": {STANDBY}}}"#, "n".repeat(bytes));
    assert!(read_text(&named(MAX_NAME_BYTES)).is_ok());
    refused(&named(MAX_NAME_BYTES + 1), "name is longer");
    let counted = |count: usize| {
        let entries: Vec<_> = (0..count)
            .map(|number| format!(r#""n{number}": {NEVER_ANSWERED}"#))
            .collect();
        format!("{{{}}}", entries.join(","))
    };
    assert_eq!(
        read_text(&counted(MAX_NODES)).map(|nodes| nodes.len()),
        Ok(MAX_NODES)
    );
    refused(&counted(MAX_NODES + 1), "more than 10000 nodes");
}

#[test]
fn depth_costs_nothing() {
    for deep in ["[".repeat(200_000), r#"{"a":"#.repeat(200_000)] {
        refused(
            &format!(r#"{{"s": {{"pg_is_in_recovery": {deep}"#),
            "bad state of nodes",
        );
        refused(
            &format!(r#"{{"s": {{"unknown": {deep}"#),
            "bad state of nodes",
        );
        refused(&deep, "bad state of nodes");
    }
}

#[test]
fn neither_mutated_nor_torn_answers_do_harm() {
    let body = format!(r#"{{"p": {PRIMARY}, "s1": {STANDBY}}}"#);
    mutations(body.as_bytes(), |mutated| {
        let _ = read_state_json(mutated, wall("2024-01-01T00:00:06Z"));
    });
    for end in 0..body.len() {
        assert!(
            read_state_json(&body.as_bytes()[..end], wall("2024-01-01T00:00:06Z")).is_err(),
            "cut at {end}"
        );
    }
}

#[track_caller]
fn check(states: &[(&str, NodeState)], expected: &str) {
    let body: Value = serde_json::from_slice(&state_json(&nodes(states))).unwrap();
    assert_eq!(body, serde_json::from_str::<Value>(expected).unwrap());
}

#[test]
fn nodes_look_as_the_original_shows_them() {
    check(&[], "{}");
    check(
        &[("p", primary()), ("s1", standby())],
        &format!(r#"{{"p": {PRIMARY}, "s1": {STANDBY}}}"#),
    );
    check(
        &[("p", never_answered())],
        &format!(r#"{{"p": {NEVER_ANSWERED}}}"#),
    );
}

#[test]
fn a_node_that_was_never_asked_has_no_entry() {
    check(&[("n", NodeState::default())], "{}");
}

#[test]
fn a_lost_node_keeps_what_was_known() {
    let lost = NodeState {
        attempt: Some(attempt(false)),
        ..standby()
    };
    check(
        &[("s", lost)],
        &format!(
            r#"{{"s": {}}}"#,
            STANDBY.replace(r#""connection": true"#, r#""connection": false"#)
        ),
    );
}

#[test]
fn slots_of_a_primary_are_shown() {
    let mut node = primary();
    node.answer.as_mut().unwrap().slots = vec![super::super::fixtures::slot()];
    let body: Value = serde_json::from_slice(&state_json(&nodes(&[("p", node)]))).unwrap();
    assert_eq!(
        body["p"]["replication_slots"],
        serde_json::from_str::<Value>(SLOTS).unwrap()
    );
}

#[test]
fn names_survive_quoting() {
    let name = "Ä世😀 \" \\ \t\n\u{7}\u{7f}\u{2028}";
    let body: Value =
        serde_json::from_slice(&state_json(&nodes(&[(name, never_answered())]))).unwrap();
    assert_eq!(body[name]["connection"], json!(false));
}

#[test]
fn the_layout_is_the_originals() {
    let body = String::from_utf8(state_json(&nodes(&[("p", never_answered())]))).unwrap();
    let expected = "{\n    \"p\": {\n        \"connection\": false,\n        \"fetch_time\": \"2024-01-01T00:00:05Z\"\n    }\n}";
    assert_eq!(body, expected);
    assert_eq!(state_json(&BTreeMap::new()), b"{}");
}
