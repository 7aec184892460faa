//! Timelines, as a user hands them to `pglookout replay`.

use pglookout::format::{Reader, Step};
use pglookout::replay::{decisions, verify};

/// Reads the lines, and replays what could be read if it says itself when something was decided:
/// others may ask for years.
pub(super) fn timeline(input: &[u8]) {
    let mut reader = Reader::default();
    for line in input.split(|byte| *byte == b'\n') {
        let _ = reader.line(line).map_err(|error| error.to_string());
    }
    let Some(timeline) = reader.finish() else {
        return;
    };
    assert!(
        timeline.lines.is_sorted_by_key(|line| line.t),
        "time goes back"
    );
    let has_turns = timeline
        .lines
        .iter()
        .any(|line| matches!(line.step, Step::Turn(_)));
    if !timeline.is_scripted() && !has_turns {
        return;
    }
    let replayed = || {
        let outcomes = decisions(&timeline).expect("no time passes between its lines");
        outcomes
            .into_iter()
            .map(|outcome| outcome.sentence)
            .collect::<Vec<_>>()
    };
    assert_eq!(replayed(), replayed(), "two replays differ");
    let _ = verify(std::slice::from_ref(&timeline), &mut Default::default());
}
