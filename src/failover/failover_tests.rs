//! Who decides, on what cause, and what holds the winner back; see `scene`.

use super::scene::{LOST, ONE_OBSERVER, REMOVED, at, check, check_looks_again};
use super::*;

#[test]
fn who_decides() {
    let observer = r#""own_db": """#;
    check(observer, "5 p primary; 5 s1 standby", "6", "observing");
    check(observer, LOST, "300", "observing");
    check(
        observer,
        "5 p primary; 5 s1 primary",
        "6",
        "several_primaries",
    );
    let primary = r#""own_db": "p""#;
    check(primary, LOST, "300 fresh", "primary_itself");
    // One that is a standby now decides like any other.
    check(
        primary,
        "5 p primary; 9 p standby; 299 s1 standby; 299 p standby",
        "300 fresh",
        "other_candidate",
    );
    check("", "5 p primary; 9 s2 unreachable", "10", "no_standby");
    // One of unknown role cannot win.
    check(
        "",
        "5 p primary; 299 p unreachable; 299 s1 standby; 299 s2 unreachable",
        "300 fresh",
        "other_candidate",
    );
}

#[test]
fn a_reachable_primary() {
    let primary = "299 p primary; 299 s2 standby";
    check("", primary, "300", "primary_reachable");
    check("", primary, "300 fresh", "primary_reachable");
    let sighted = format!("{LOST}; 299 o1 at 299: p=up@298");
    check(ONE_OBSERVER, &sighted, "300 fresh", "primary_reachable");
}

#[test]
fn what_an_operator_must_decide() {
    let lag = "5 s2 standby 0/50; 299 s2 standby 0/50 500 timeline=2";
    let two = format!("299 p primary; 299 s1 primary; {lag}");
    let older = format!("299 p primary timeline=1; {lag}");
    for moment in ["300", "300 fresh", "300 warned", "300 fresh warned"] {
        let raised = moment == "300";
        let expected = if raised {
            "lag_warning"
        } else {
            "several_primaries"
        };
        check("", &two, moment, expected);
        let expected = if raised {
            "lag_warning"
        } else {
            "outdated_primary"
        };
        check("", &older, moment, expected);
    }
}

#[test]
fn every_cause_wants_fresh_facts_first() {
    let no_longer = "5 p primary; 299 p standby 0/40; 299 s1 standby; 299 s2 standby";
    let never_seen = "299 p unreachable; 299 s1 standby; 299 s2 standby";
    for (settings, facts, moment, cause) in [
        ("", LOST, "300", "primary_unreachable"),
        ("", no_longer, "300", "primary_no_longer"),
        (REMOVED, LOST, "300", "primary_removed"),
        ("", never_seen, "300 primary=-", "never_seen_primary"),
    ] {
        check(
            settings,
            facts,
            moment,
            &format!("wants_fresh_facts {cause}"),
        );
        let fresh = format!("{moment} fresh");
        check(settings, facts, &fresh, &format!("promote {cause}"));
    }
}

#[test]
fn a_disconnect_may_be_no_cause() {
    let off = r#""failover_on_disconnect": false"#;
    check(off, LOST, "300 fresh", "disconnect_ignored");
    assert!(at(off, LOST, "300", decide).disconnect_ignored);
    // A primary that is none any more, or was removed, is a cause all the same.
    let no_longer = "5 p primary; 299 p standby; 299 s2 standby";
    check(off, no_longer, "300", "wants_fresh_facts primary_no_longer");
    let removed = format!("{REMOVED}, {off}");
    check(&removed, LOST, "300", "wants_fresh_facts primary_removed");
}

#[test]
fn a_change_of_the_nodes_gives_a_missing_primary_time() {
    check(
        "",
        LOST,
        "300 fresh changed@285.5",
        "hold nodes_just_changed",
    );
    check_looks_again(LOST, "300 fresh changed@285.5", Some(300.5));
    check(
        "",
        LOST,
        "300 fresh changed@285",
        "promote primary_unreachable",
    );
    let gone = r#""known_gone_nodes": ["p"]"#;
    let unseen = "299 p unreachable; 299 s1 standby; 299 s2 standby";
    check(
        gone,
        unseen,
        "300 fresh changed@299",
        "promote primary_unreachable",
    );
    // That it is gone is void once it was reached as a primary.
    check(
        gone,
        LOST,
        "300 fresh changed@299",
        "hold nodes_just_changed",
    );
}

#[test]
fn lag_as_a_cause() {
    let off = r#""failover_on_disconnect": false"#;
    let lagging = "5 s2 standby 0/50 1; 299 s2 standby 0/50 130";
    let reached = format!("{lagging}; 299 p primary");
    check("", &reached, "300", "lag_warning");
    check("", &reached, "300 warned", "hold primary_connected");
    let lost = format!("5 p primary; {lagging}; 299 p unreachable");
    check(off, &lost, "300", "lag_warning");
    check(off, &lost, "300 warned", "wants_fresh_facts lag");
    check(off, &lost, "300 warned fresh", "promote lag");
}

#[test]
fn the_reading_of_lag() {
    use LagChange::{Cleared, None as Same, Raised};
    for (facts, moment, expected) in [
        (
            "5 s2 standby 0/50 29.999999",
            "6",
            (Some(29.999_999), Same, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 30",
            "6",
            (Some(30.0), Raised, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 130",
            "6",
            (Some(130.0), Raised, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 119",
            "6 warned",
            (Some(119.0), Same, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 120",
            "6 warned",
            (Some(120.0), Same, true),
        ),
        (
            "5 s2 standby 0/50 0",
            "6 warned",
            (Some(0.0), Cleared, false),
        ),
        // Fresh facts decide on the failover only.
        (
            "5 s2 standby 0/50 0",
            "6 warned fresh",
            (Some(0.0), Same, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 130",
            "6 fresh",
            (Some(130.0), Same, false),
        ),
        ("5 s2 standby 0/50 -", "6 warned", (None, Same, false)),
        // Restoring, then catching up, but not for longer than 300 s after streaming began.
        ("5 s2 standby - 500", "900 warned", (None, Same, false)),
        ("5 s2 standby 0/50 500", "305 warned", (None, Same, false)),
        (
            "5 s2 standby 0/50 500",
            "305.000001 warned",
            (Some(500.0), Same, true),
        ),
        (
            "5 s2 standby 0/50 30; 6 s2 standby 0/50 500",
            "7",
            (None, Same, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby - 500",
            "7",
            (None, Same, false),
        ),
    ] {
        let facts = format!("5 p primary; {facts}");
        let found = at("", &facts, moment, decide).lag;
        let lag = found.lag.map(|lag| lag.as_secs_f64());
        let found = (lag, found.change, found.over_failover_limit);
        assert_eq!(found, expected, "{facts} at {moment}");
    }
}

#[test]
fn time_without_a_primary_stands_in_for_unknown_lag() {
    let unknown = "5 p primary; 5 s2 standby 0/50 -; 399 s2 standby 0/50 -";
    let off = r#""failover_on_disconnect": false"#;
    let reading = |facts: &str, moment: &str| at(off, facts, moment, decide).lag;
    let lost = reading(&format!("{unknown}; 399 p unreachable"), "400");
    assert_eq!(lost.lag, Some(std::time::Duration::from_secs(395)));
    assert!(!lost.is_measured && lost.change == LagChange::Raised);
    assert_eq!(
        reading(&format!("{unknown}; 399 p primary"), "400").lag,
        None
    );
    // While no primary was ever known lag is not looked at.
    let never_seen = reading(
        "5 s2 standby 0/50 1; 99 s2 standby 0/50 130",
        "100 primary=-",
    );
    assert_eq!(never_seen.change, LagChange::None);
    let warned = "5 s2 standby 0/50 1; 99 s2 standby 0/50 130";
    assert!(!reading(warned, "100 primary=- warned").over_failover_limit);
}

#[test]
fn what_holds_the_winner_back_in_its_order() {
    let alone = "5 p primary; 299 p unreachable; 5 s1 standby; 299 s1 unreachable; 299 s2 standby";
    let all = "300 fresh maintenance promoting held@301 unsettled tried@301";
    check("", alone, all, "hold maintenance");
    check("", alone, "300 fresh promoting unsettled", "hold no_quorum");
    for (moment, reason) in [
        (
            "300 fresh promoting held@301 unsettled",
            "promotion_running",
        ),
        ("300 fresh held@301 unsettled", "previous_command"),
        ("300 fresh unsettled tried@301", "own_node_not_polled_since"),
        ("300 fresh tried@301", "tried_just_now"),
    ] {
        check("", LOST, moment, &format!("hold {reason}"));
    }
    check_looks_again(LOST, "300 fresh held@301", Some(301.0));
    check_looks_again(LOST, "300 fresh held@300", None);
    check_looks_again(LOST, "300 fresh tried@301", Some(301.0));
    check_looks_again(LOST, "300 fresh tried@300", None);
    // Whoever does not go first gets no further.
    let ahead = "5 p primary; 299 p unreachable; 299 s1 standby 0/60; 299 s2 standby";
    check("", ahead, all, "other_candidate");
    let nobody = r#""never_promote_these_nodes": ["s1", "s2"]"#;
    check(nobody, LOST, all, "hold no_candidate");
}

#[test]
fn every_wait_has_a_name() {
    let until = crate::cluster::scenario::mono(9.0);
    let first = Wait::FirstAnswers {
        nodes: vec!["p".into()],
        observers: vec!["o1".into()],
    };
    for (wait, name, again) in [
        (first, "first_answers", None),
        (
            Wait::PauseAfterFailover { until },
            "pause_after_failover",
            Some(until),
        ),
        (Wait::FreshFactsOverdue, "fresh_facts_overdue", None),
    ] {
        let verdict = Verdict::Wait(wait);
        assert_eq!((verdict.name(), verdict.reason()), ("wait", name));
        assert_eq!(verdict.look_again_at(), again);
    }
}

/// Rule S4.
#[test]
fn a_successor_waits_for_no_limit_and_asks_nobody_who_is_further() {
    let alive = "299 p primary; 299 s1 standby 0/60; 299 s2 standby";
    check("", alive, "300", "primary_reachable");
    check("", alive, "300 predecessor=p", "promote switchover");
    check("", alive, "300 predecessor=s1", "hold primary_connected");
    for (moment, reason) in [
        ("paused maintenance promoting", "paused"),
        ("maintenance promoting", "maintenance"),
        ("promoting", "promotion_running"),
        ("unsettled", "own_node_not_polled_since"),
    ] {
        let moment = format!("300 predecessor=p {moment}");
        check("", alive, &moment, &format!("hold {reason}"));
    }
    let forbids = |moment: &str| {
        at("", alive, moment, |snapshot| snapshot.forbids_elected())
            .map(|blocker| blocker.to_string())
    };
    assert_eq!(forbids("300 predecessor=p"), None);
    assert!(forbids("300").unwrap().contains("primary p is reachable"));
}
