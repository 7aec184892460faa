//! An observer's `/state.json` read into facts. Whether they are believed is decided elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use serde_json::{Value, json};

use super::node_entry::NodeEntry;
use crate::cluster::{Lsn, ObservedNode, ObserverReport};
use crate::config::NodeName;
use crate::time::WallTime;
use crate::time::timestamp;

/// Reads the body of an observer's answer; `date` is its `Date` header. One entry without a valid
/// `fetch_time` or `connection` makes the whole answer bad. Any other field that cannot be read
/// counts as one that was not told: such an entry is no vote for a role.
pub fn read(body: &[u8], date: WallTime) -> Result<ObserverReport, String> {
    let Entries(nodes) =
        serde_json::from_slice(body).map_err(|error| format!("bad state of nodes: {error}"))?;
    Ok(ObserverReport { date, nodes })
}

/// What an observer said of one node, as it would be read again.
pub fn entry(observed: &ObservedNode) -> Value {
    let location = |lsn: Option<Lsn>| lsn.map(|lsn| lsn.to_string());
    json!({
        "fetch_time": timestamp::format(observed.fetch_time),
        "connection": observed.connection,
        "db_time": observed.db_time.map(timestamp::format),
        "pg_is_in_recovery": observed.in_recovery,
        "pg_last_xlog_receive_location": location(observed.receive),
        "pg_last_xlog_replay_location": location(observed.replay),
        "pg_last_xact_replay_timestamp": observed.last_replay.map(timestamp::format),
    })
}

struct Entries(BTreeMap<NodeName, ObservedNode>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of nodes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut nodes = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name.len() > MAX_NAME_BYTES {
                return Err(A::Error::custom(format!(
                    "a node's name is longer than {MAX_NAME_BYTES} bytes"
                )));
            }
            if nodes.len() >= MAX_NODES {
                return Err(A::Error::custom(format!("more than {MAX_NODES} nodes")));
            }
            let node = observed(&map.next_value()?)
                .map_err(|reason| A::Error::custom(format!("{name:?}: {reason}")))?;
            nodes.insert(NodeName::from(name.as_str()), node);
        }
        Ok(Entries(nodes))
    }
}

fn observed(entry: &NodeEntry) -> Result<ObservedNode, &'static str> {
    Ok(ObservedNode {
        fetch_time: entry.fetch_time.ok_or("no valid fetch_time")?,
        connection: entry.connection.ok_or("no valid connection")?,
        db_time: entry.db_time,
        in_recovery: entry.in_recovery,
        receive: entry.receive,
        replay: entry.replay,
        last_replay: entry.last_replay,
    })
}

/// Entries in one answer.
const MAX_NODES: usize = 10_000;
/// Bytes of one node's name.
const MAX_NAME_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::super::state_json;
    use super::*;
    use crate::testing::mutations;

    fn read_text(body: &str) -> Result<BTreeMap<NodeName, ObservedNode>, String> {
        read(body.as_bytes(), wall("2024-01-01T00:00:06Z")).map(|report| report.nodes)
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
        let ours = state_json::render(&nodes(&[
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
                read_text(&format!(r#"{{"s": {}}}"#, entry(&observed))).unwrap()["s"],
                observed
            );
        }
    }

    #[test]
    fn a_field_that_cannot_be_read_was_not_told() {
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
            let nodes =
                read_text(&format!(r#"{{"s": {}}}"#, STANDBY.replace(field, instead))).unwrap();
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
            let _ = read(mutated, wall("2024-01-01T00:00:06Z"));
        });
        for end in 0..body.len() {
            assert!(
                read(&body.as_bytes()[..end], wall("2024-01-01T00:00:06Z")).is_err(),
                "cut at {end}"
            );
        }
    }
}
