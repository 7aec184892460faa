//! The figures behind decisions: who is the primary, what would have to change, what an operator
//! should know; see `scene`.

use super::super::scene::*;
use super::{Figures, PrimaryFigure};
use crate::failover::decide;

fn figures(settings: &str, facts: &str, moment: &str) -> Figures {
    at(settings, facts, moment, |snapshot| {
        Figures::new(snapshot, &decide(snapshot))
    })
}

/// The nodes in the role of the primary, the remembered one marked.
#[track_caller]
fn check_primaries(settings: &str, facts: &str, moment: &str, expected: &str) {
    let figure = |it: &PrimaryFigure| {
        let mark = if it.remembered { "*" } else { "" };
        format!("{}{mark} {}", it.node, it.standing.name())
    };
    let primaries = figures(settings, facts, moment).primaries;
    let found: Vec<_> = primaries.iter().map(figure).collect();
    assert_eq!(found.join(", "), expected, "{settings} {facts} at {moment}");
}

/// What would have to change.
#[track_caller]
fn check_changes(settings: &str, facts: &str, moment: &str, expected: &[&str]) {
    let found = figures(settings, facts, moment).changes;
    assert_eq!(found, expected, "{settings} {facts} at {moment}");
}

/// What an operator should know.
#[track_caller]
fn check_warnings(settings: &str, facts: &str, expected: &[&str]) {
    let found = figures(settings, facts, "300").warnings;
    assert_eq!(found, expected, "{settings} {facts}");
}

#[test]
fn how_primaries_are_known() {
    let remembering = |primary: &str| format!("300 primary={primary}");
    for (settings, facts, primary, expected) in [
        ("", "299 p primary; 299 s2 standby", "p", "p* reached"),
        ("", LOST, "p", "p* lost"),
        ("", LOST, "-", "p lost"),
        ("", "299 s1 standby; 299 s2 standby", "s1", "s1* standby"),
        ("", "299 s2 standby", "old", "old* removed"),
        (
            "",
            "299 p primary; 299 s2 standby",
            "s2",
            "p reached, s2* standby",
        ),
        (
            ONE_OBSERVER,
            "299 o1 at 299: p=up@299; 299 p unreachable; 299 s2 standby",
            "p",
            "p* reached",
        ),
    ] {
        check_primaries(settings, facts, &remembering(primary), expected);
    }
}

#[test]
fn ages_and_limits() {
    let found = figures("", LOST, "300 fresh");
    let evidence = found.evidence.unwrap();
    let seconds = |time: std::time::Duration| time.as_secs_f64();
    assert_eq!(
        (seconds(evidence.age), seconds(evidence.limit)),
        (295.0, 120.0)
    );
    assert_eq!(found.look_again_in, None);
    let found = figures(
        "",
        &LOST.replace("5 p primary", "200 p primary"),
        "300 fresh",
    );
    assert_eq!(found.look_again_in.map(seconds), Some(20.0));
    let lag = figures("", "299 p primary; 299 s2 standby 0/50 7", "300").lag;
    let lag = lag.unwrap();
    assert_eq!(lag.lag.map(seconds), Some(7.0));
    assert!(!lag.catching_up);
    assert_eq!(
        (seconds(lag.warning_limit), seconds(lag.failover_limit)),
        (30.0, 120.0)
    );
    let restoring = figures("", "299 p primary; 299 s2 standby -+0/50 7", "300").lag;
    assert!(restoring.unwrap().catching_up);
    assert_eq!(figures(r#""own_db": """#, LOST, "300").lag, None);
}

#[test]
fn what_would_have_to_change() {
    let gone = "if p is gone for good: add it to known_gone_nodes and reload";
    let recent = LOST.replace("5 p primary", "200 p primary");
    let refused = "5 p primary; 299 p refused; 299 s1 standby; 299 s2 standby";
    let ahead = LOST.replace("s1 standby", "s1 standby 0/60");
    let alone = "5 p primary; 299 p unreachable; 6 s1 standby; 299 s1 unreachable; 299 s2 standby";
    let majority = r#""failover_quorum": "majority""#;
    let off = r#""failover_on_disconnect": false"#;
    let never = r#""never_promote_these_nodes": ["s1", "s2"]"#;
    let wants =
        "5 p primary; 299 p unreachable; 299.5 s2 standby shows=s2:wants@0/50@0,s1:wants@0/40@0";
    for (settings, facts, moment, expected) in [
        (
            "",
            "299 p primary; 299 s2 standby",
            "300",
            vec!["only once no poll reaches p as a primary"],
        ),
        (
            "",
            "299 p primary; 299 s1 primary; 299 s2 standby",
            "300",
            vec!["stop all but one of: p, s1"],
        ),
        (
            "",
            "299 p primary",
            "300",
            vec!["a reachable standby is required"],
        ),
        (
            r#""own_db": """#,
            LOST,
            "300",
            vec!["an observer promotes nothing: it has no own_db"],
        ),
        (
            r#""own_db": "p""#,
            LOST,
            "300",
            vec!["p must be a standby: it is the primary"],
        ),
        (
            off,
            LOST,
            "300",
            vec![
                "set failover_on_disconnect to true",
                "only once lag exceeds the failover limit of 120.000 s",
            ],
        ),
        (
            "",
            LOST,
            "300",
            vec!["poll results required: all nodes and observers"],
        ),
        (
            "",
            recent.as_str(),
            "300 fresh",
            vec!["20.000 s must pass", gone],
        ),
        (
            "",
            refused,
            "300 fresh",
            vec![
                "119.000 s must pass",
                "make p accept this daemon's connections: password, pg_hba.conf, connection slots",
                gone,
            ],
        ),
        (
            "",
            ahead.as_str(),
            "300 fresh",
            vec![
                "pglookout on s1 must promote it; if s1 becomes unreachable, the next candidate is promoted",
            ],
        ),
        (
            never,
            LOST,
            "300 fresh",
            vec!["a reachable standby with a recent poll that may be promoted is required"],
        ),
        (
            "",
            LOST,
            "300 fresh maintenance promoting unsettled",
            vec![
                "remove /tmp/pglookout_maintenance_mode_file",
                "failover_command must end",
                "poll results required: s2",
            ],
        ),
        (
            majority,
            alone,
            "300 fresh",
            vec!["1 more vote required from: s1"],
        ),
        ("", LOST, "300 fresh tried@310", vec!["10.000 s must pass"]),
        (
            r#""failover_command": """#,
            LOST,
            "300 fresh",
            vec!["set failover_command: it is empty"],
        ),
        ("", LOST, "300 fresh", vec![]),
        (
            "",
            wants,
            "300 fresh announced@299",
            vec!["pglookout on s1 must withdraw"],
        ),
    ] {
        check_changes(settings, facts, moment, &expected);
    }
}

#[test]
fn what_an_operator_should_know_while_all_is_well() {
    let well = "299 p primary; 299 s1 standby; 299 s2 standby";
    check_warnings("", well, &[]);
    let one = "299 p primary system=A started=1; 299 s1 primary system=A started=1; 299 s2 standby";
    check_warnings(
        "",
        one,
        &["remote_conns: p, s1 are one server under several names"],
    );
    check_warnings(
        "",
        &one.replace("started=1; 299 s2", "started=2; 299 s2"),
        &[],
    );
    let shared = r#""observers": {"o1": "http://o:1", "o2": "http://o:1", "o3": "http://o:2"}"#;
    check_warnings(
        shared,
        well,
        &["observers: o1, o2 have one address: they are one vote"],
    );
    let blind = format!("{well}; 299 o1 at 299: p=untold@299");
    check_warnings(
        ONE_OBSERVER,
        &blind,
        &["observer o1 has never reached the primary p: it has no vote"],
    );
    check_warnings(
        ONE_OBSERVER,
        &format!("{well}; 299 o1 at 299: p=up@299"),
        &[],
    );
    let shows = |at: u32, daemons: &str| format!("{at} s1 standby shows={daemons}");
    let gone = |polls: &[u32]| {
        let polls = polls.iter().map(|at| shows(*at, "-"));
        let polls: Vec<_> = std::iter::once(shows(280, "s1:ok@0"))
            .chain(polls)
            .collect();
        format!("{well}; {}", polls.join("; "))
    };
    check_warnings("", &gone(&[285, 290]), &[]);
    check_warnings(
        "",
        &gone(&[285, 290, 295]),
        &["pglookout of s1 has disconnected from its own server"],
    );
    // While nobody reaches a primary there are other worries.
    check_warnings(
        "",
        &gone(&[285, 290, 295]).replace("299 p primary", "5 p primary; 299 p unreachable"),
        &[],
    );
}
