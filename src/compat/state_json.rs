//! The body of `/state.json`: the node states and nothing else at the top level, because
//! half-upgraded fleets read it.

use std::collections::BTreeMap;

use super::node_json::{NodeJson, indented};
use crate::cluster::NodeState;
use crate::config::NodeName;

/// The node states as our own polls left them. A node whose first poll has not ended has no entry:
/// every reader takes `fetch_time` and `connection` for granted.
pub fn render(nodes: &BTreeMap<NodeName, NodeState>) -> Vec<u8> {
    indented(&entries(nodes))
}

pub(super) fn entries(nodes: &BTreeMap<NodeName, NodeState>) -> BTreeMap<&str, NodeJson<'_>> {
    nodes
        .iter()
        .filter_map(|(name, node)| Some((name.as_str(), NodeJson::of_node(node)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::*;
    use super::*;

    #[track_caller]
    fn check(states: &[(&str, NodeState)], expected: &str) {
        let body: Value = serde_json::from_slice(&render(&nodes(states))).unwrap();
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
        node.answer.as_mut().unwrap().slots = vec![slot()];
        let body: Value = serde_json::from_slice(&render(&nodes(&[("p", node)]))).unwrap();
        assert_eq!(
            body["p"]["replication_slots"],
            serde_json::from_str::<Value>(SLOTS).unwrap()
        );
    }

    #[test]
    fn names_survive_quoting() {
        let name = "Ä世😀 \" \\ \t\n\u{7}\u{7f}\u{2028}";
        let body: Value =
            serde_json::from_slice(&render(&nodes(&[(name, never_answered())]))).unwrap();
        assert_eq!(body[name]["connection"], json!(false));
    }

    #[test]
    fn the_layout_is_the_originals() {
        let body = String::from_utf8(render(&nodes(&[("p", never_answered())]))).unwrap();
        let expected = "{\n    \"p\": {\n        \"connection\": false,\n        \"fetch_time\": \"2024-01-01T00:00:05Z\"\n    }\n}";
        assert_eq!(body, expected);
        assert_eq!(render(&BTreeMap::new()), b"{}");
    }
}
