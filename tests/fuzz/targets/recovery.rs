//! PostgreSQL's recovery settings, which may be in any encoding and any state.

use pglookout::config::Keywords;
use pglookout::format::recovery::{layout, rewrite};
use pglookout::time::WallTime;

/// The file as it is found, and what is left of it.
pub(super) fn settings(input: &[u8]) {
    let _ = layout(input);
    let conninfo = Keywords::parse("host=h user=r password='a\\'\\\\ b'").expect("a conninfo");
    let at = WallTime::from_unix_micros(0);
    let Some(new) = rewrite(input, &conninfo, "n\n", at) else {
        return;
    };
    assert_eq!(
        rewrite(&new, &conninfo, "n", at),
        None,
        "what was written is not what was wanted"
    );
    let lines = |text: &'static str| text.as_bytes();
    let is_ours = |line: &&[u8]| {
        line.windows(lines("primary_conninfo").len())
            .any(|part| part.eq_ignore_ascii_case(lines("primary_conninfo")))
    };
    let others = |text: &[u8]| {
        text.split(|byte| *byte == b'\n')
            .filter(|line| !is_ours(line))
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (before, after): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (others(input), others(&new));
    let before = before.strip_suffix(&[Vec::new()]).unwrap_or(&before);
    assert!(
        after.starts_with(before),
        "a line that is not ours was changed"
    );
}
