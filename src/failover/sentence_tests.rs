//! The sentences that are logged, each once; see `scene`.

use super::super::scene::*;
use crate::failover::decide;

#[track_caller]
fn check(settings: &str, facts: &str, moment: &str, sentence: &str) {
    let verdict = at(settings, facts, moment, decide).verdict;
    assert_eq!(verdict.to_string(), sentence, "{facts} at {moment}");
}

#[test]
fn sentences_of_verdicts() {
    let lag = "5 s2 standby 0/50 1; 299 s2 standby 0/50 130; 299 p primary";
    let off = r#""failover_on_disconnect": false"#;
    for (settings, facts, moment, sentence) in [
        (r#""own_db": """#, lag, "300", "observing: the primary is p"),
        (
            r#""own_db": "p""#,
            LOST,
            "300",
            "this node, p, is the primary",
        ),
        (
            "",
            "299 p primary",
            "300",
            "no standby is known: s2 has nothing to promote",
        ),
        (
            "",
            lag,
            "300",
            "lag of 130.000 s exceeds the warning limit of 30.000 s",
        ),
        ("", lag, "300 fresh", "primary p is reachable (own poll)"),
        (
            "",
            LOST,
            "300",
            "re-polling all nodes: primary p is unreachable",
        ),
        (
            off,
            LOST,
            "300",
            "no failover: primary p is unreachable, but failover_on_disconnect is false",
        ),
        (
            r#""failover_priorities": {"s1": 3}"#,
            LOST,
            "300 fresh",
            "not promoting: the preferred candidate is s1 at 0/50 with priority 3, this node is s2 at 0/50",
        ),
        (
            "",
            LOST,
            "300 fresh",
            "promoting s2 at 0/50: primary p is unreachable, last evidence of a primary 295.000 s ago; 2 of 3 votes, 2 required",
        ),
    ] {
        check(settings, facts, moment, sentence);
    }
}

#[test]
fn sentences_of_refusals() {
    let presence = LOST.replace("299 s1 standby", "299 s1 standby shows=s1:promoting@0");
    for (facts, moment, sentence) in [
        (
            LOST,
            "300 fresh changed@290",
            "remote_conns changed 10.000 s ago, a missing primary is waited for 15.000 s",
        ),
        (
            "250 p primary; 299 p unreachable; 299 s2 standby",
            "300 fresh",
            "p last answered (own poll) 50.000 s ago, the limit is 120.000 s",
        ),
        (
            LOST,
            "300 fresh previous=p",
            "p was last known alive by the previous pglookout process 10.000 s ago, the limit is 120.000 s",
        ),
        (
            LOST,
            "300 fresh maintenance",
            "maintenance mode: /tmp/pglookout_maintenance_mode_file exists",
        ),
        (LOST, "300 fresh promoting", "failover_command is running"),
        (
            &presence,
            "300 fresh",
            "pglookout on s1 is promoting it (own poll)",
        ),
    ] {
        check("", facts, moment, &format!("no failover: {sentence}"));
    }
}
