//! What others have written about nodes: an observer's `/state.json`, the state file of an earlier
//! process.

use pglookout::cli::explained::text;
use pglookout::cluster::ClusterState;
use pglookout::format::{Decision, Observed, Origin, StateFile, read_state_json};
use pglookout::time::WallTime;

use super::on_one_line;

pub(super) fn observer(input: &[u8]) {
    let date = WallTime::from_unix_micros(1_714_480_496_000_000);
    let Ok(report) = read_state_json(input, date) else {
        return;
    };
    let written = serde_json::to_string(&Observed(report.nodes.clone())).expect("JSON");
    assert_eq!(
        read_state_json(written.as_bytes(), date),
        Ok(report),
        "{written}"
    );
}

pub(super) fn state_file(input: &[u8]) {
    let Ok(recalled) = StateFile::read(input).and_then(|file| file.recall(BOOT)) else {
        return;
    };
    let _ = recalled.to_string();
    let written =
        pglookout::format::state_file(&ClusterState::default(), &recalled.memory, None, BOOT, None);
    let again = StateFile::read(&written)
        .and_then(|file| file.recall(BOOT))
        .expect("what we write is read");
    assert_eq!(
        (again.memory, again.origin, again.odd),
        (recalled.memory, Origin::ThisBoot, Vec::new())
    );
}

/// The decisions of a daemon, of whatever version, as `pglookout explain` shows them.
pub(super) fn explained(input: &[u8]) {
    let Ok(decisions) = serde_json::from_slice::<Vec<Decision>>(input) else {
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
