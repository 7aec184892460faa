//! What others have written about nodes: an observer's `/state.json`, the state file of an earlier
//! process.

use pglookout::cli::explained::text;
use pglookout::cluster::ClusterState;
use pglookout::compat::recalled::Origin;
use pglookout::compat::{observed, recalled, state_file as file};
use pglookout::time::WallTime;
use serde_json::{Map, Value};

use super::on_one_line;

pub(super) fn observer(input: &[u8]) {
    let date = WallTime::from_unix_micros(1_714_480_496_000_000);
    let Ok(report) = observed::read(input, date) else {
        return;
    };
    let entries: Map<String, Value> = report
        .nodes
        .iter()
        .map(|(name, node)| (name.to_string(), observed::entry(node)))
        .collect();
    let written = Value::Object(entries).to_string();
    assert_eq!(
        observed::read(written.as_bytes(), date),
        Ok(report),
        "{written}"
    );
}

pub(super) fn state_file(input: &[u8]) {
    let Ok(recalled) = recalled::read(input, BOOT) else {
        return;
    };
    let _ = recalled.to_string();
    let written = file::render(&ClusterState::default(), &recalled.memory, None, BOOT);
    let again = recalled::read(&written, BOOT).expect("what we write is read");
    assert_eq!(
        (again.memory, again.origin, again.odd),
        (recalled.memory, Origin::ThisBoot, Vec::new())
    );
}

/// The decisions of a daemon, of whatever version, as `pglookout explain` shows them.
pub(super) fn explained(input: &[u8]) {
    let Ok(decisions) = serde_json::from_slice::<Vec<Value>>(input) else {
        return;
    };
    text(
        "reported by x",
        &decisions,
        WallTime::from_unix_micros(1_714_480_496_000_000),
    )
    .lines()
    .for_each(on_one_line);
}

const BOOT: Option<&str> = Some("b");
