//! Evidence of life by its kinds, suspects and limits; see `scene`.

use super::super::scene::*;

const OTHERS: &str = "299 s1 standby; 299 s2 standby";

#[test]
fn answered_and_refused() {
    check_evidence("", LOST, "300", "answered p own poll 5");
    for (failure, expected) in [
        ("refused", "refused p own poll 299"),
        ("authentication", "refused p own poll 299"),
        ("not_ready", "answered p own poll 5"),
        ("timed_out", "answered p own poll 5"),
        ("nonsense", "answered p own poll 5"),
    ] {
        let facts = format!("5 p primary; 299 p {failure}; {OTHERS}");
        check_evidence("", &facts, "300", expected);
    }
    // Whatever that node is now.
    let demoted = format!("250 p primary; 260 p standby 0/40; {OTHERS}");
    check_evidence("", &demoted, "300", "answered p own poll 250");
}

#[test]
fn what_an_observer_repeats_of_a_node_that_it_has_lost_is_old() {
    // s1 was promoted after that, and rejects us now.
    let promoted = "5 p primary; 280 p unreachable; 290 s1 primary";
    let repeated = "298 o1 at 298: s1=gone@298,0/50,280; 299 s1 authentication; 299 s2 standby";
    let facts = format!("{promoted}; {repeated}");
    let moment = "300 primary=s1";
    check_evidence(ONE_OBSERVER, &facts, moment, "refused s1 own poll 299");
}

#[test]
fn a_node_of_unknown_role_is_a_suspect_while_the_primary_is_unknown() {
    let refusing = format!("299 p authentication; {OTHERS}");
    check_evidence("", &refusing, "300 primary=-", "refused p own poll 299");
    let renamed = r#""remote_conns": {"q": "host=q", "s1": "host=s1", "s2": "host=s2"}"#;
    let refusing = format!("299 q refused; {OTHERS}");
    check_evidence(renamed, &refusing, "300", "refused q own poll 299");
    // With a primary that is configured it is none.
    let other = "5 p primary; 299 p unreachable; 299 s1 refused; 299 s2 standby";
    check_evidence("", other, "300", "answered p own poll 5");
}

#[test]
fn sighted_by_an_observer() {
    let lost = format!("{LOST}; 299 o1 at 299: p=lost@298,200");
    check_evidence(ONE_OBSERVER, &lost, "300", "sighted p observer o1 200");
    let old = format!("{LOST}; 280 o1 at 280: p=up@279; 299 o1 unreachable");
    check_evidence(ONE_OBSERVER, &old, "300", "sighted p observer o1 279");
    // Of our own node we know best ourselves.
    let own = format!("{LOST}; 299 o1 at 299: s2=up@298");
    check_evidence(ONE_OBSERVER, &own, "300", "answered p own poll 5");
}

#[test]
fn received_wal() {
    let wal =
        "5 p primary; 295 s1 standby 0/60; 299 s1 standby 0/70; 299 s2 standby; 299 p unreachable";
    check_evidence("", wal, "300", "received s1 own poll 295");
    // Ended by the remembered primary being gone for good, by nothing else.
    let wal = wal.strip_prefix("5 p primary; ").unwrap();
    check_evidence(r#""known_gone_nodes": ["p"]"#, wal, "300", "");
    let other = r#""known_gone_nodes": ["s1"]"#;
    check_evidence(other, wal, "300", "received s1 own poll 295");
}

#[test]
fn remembered_from_the_previous_process() {
    check_evidence("", LOST, "300 previous=p", "remembered p own poll 290");
    check_evidence("", LOST, "300 previous=x", "answered p own poll 5");
    check_evidence(REMOVED, LOST, "300 previous=p", "");
}

#[test]
fn started_without_knowledge() {
    let unseen = format!("299 p unreachable; {OTHERS}");
    let seconds = |at: u32| format!("started - own poll {at}");
    check_evidence("", &unseen, "300 primary=-", &seconds(0));
    check_evidence("", &unseen, "300 primary=- changed@250", &seconds(250));
    // The remembered one is not configured: as long as a role is unknown.
    check_evidence("", &unseen, "300 primary=x changed@250", &seconds(250));
    check_evidence(REMOVED, OTHERS, "300 changed@250", "");
    // The state file is old.
    check_evidence("", &unseen, "300 old_memory started@200", &seconds(200));
    check_evidence("", &unseen, "300 started@200", "");
    let gone = r#""known_gone_nodes": ["p"]"#;
    check_evidence(gone, &unseen, "300 old_memory started@200", "");
}

#[test]
fn a_superseded_or_gone_node_is_no_suspect() {
    let superseded = "5 p primary; 9 p unreachable; 9 s1 primary; 299 p refused; \
                      299 s1 unreachable; 299 s2 standby";
    check_evidence("", superseded, "300 primary=s1", "answered s1 own poll 9");
    let gone = r#""known_gone_nodes": ["p"]"#;
    check_evidence(gone, &format!("299 p refused; {OTHERS}"), "300", "");
    // Until it is reached as a primary.
    let reached = format!("5 p primary; 299 p refused; {OTHERS}");
    check_evidence(gone, &reached, "300", "refused p own poll 299");
}

#[test]
fn who_went_first_and_is_lost_may_be_promoting() {
    let facts = |s1: &str| format!("5 p primary; 299 p unreachable; 299 s2 standby; {s1}");
    let lost = facts("250 s1 standby 0/40; 299 s1 unreachable");
    check_evidence("", &lost, "300 first=s1", "answered s1 own poll 250");
    check_evidence("", &lost, "300", "answered p own poll 5");
    let refused = facts("250 s1 standby 0/40; 280 s1 refused; 299 s1 unreachable");
    check_evidence("", &refused, "300 first=s1", "refused s1 own poll 280");
    let reached = facts("250 s1 standby 0/40; 299 s1 standby 0/40");
    check_evidence("", &reached, "300 first=s1", "answered p own poll 5");
    let ourselves = facts("250 s1 standby 0/40; 299 s2 unreachable");
    check_evidence("", &ourselves, "300 first=s2", "answered p own poll 5");
}

#[test]
fn a_standby_that_would_go_first_and_refuses_may_be_the_new_primary() {
    let facts = |s1: &str| format!("5 p primary; {s1}; 299 p unreachable; 299 s2 standby");
    let none = "answered p own poll 5";
    let ahead = facts("5 s1 standby 0/60; 299 s1 refused");
    check_evidence("", &ahead, "300", "refused s1 own poll 299");
    check_evidence("", &facts("5 s1 standby 0/40; 299 s1 refused"), "300", none);
    check_evidence(
        "",
        &facts("5 s1 standby 0/60; 299 s1 timed_out"),
        "300",
        none,
    );
    // It has to have been a standby when the primary still lived.
    check_evidence("", &facts("4 s1 standby 0/60; 299 s1 refused"), "300", none);
    for settings in [
        r#""never_promote_these_nodes": ["s1"]"#,
        r#""known_gone_nodes": ["s1"]"#,
    ] {
        check_evidence(settings, &ahead, "300", none);
    }
    let preferred = r#""failover_priorities": {"s1": 1}"#;
    let equal = facts("5 s1 standby 0/50; 299 s1 refused");
    check_evidence(preferred, &equal, "300", "refused s1 own poll 299");
    check_evidence("", &equal, "300", none);
}

#[test]
fn the_limit() {
    let facts = "5 p primary; 120 p unreachable; 120 s1 standby; 120 s2 standby";
    check("", facts, "124.999 fresh", "hold answered");
    check_looks_again(facts, "124.999 fresh", Some(125.0));
    check("", facts, "125 fresh", "promote primary_unreachable");
    for (kind, facts, moment) in [
        (
            "refused",
            "5 p primary; 120 p refused; 120 s2 standby",
            "125 fresh",
        ),
        (
            "received",
            "120 s2 standby 0/60; 124 s2 standby 0/70; 5 p unreachable",
            "125 fresh",
        ),
        (
            "remembered",
            "289 s2 standby; 289 p unreachable",
            "300 fresh previous=p",
        ),
        (
            "started",
            "99 s2 standby; 99 p unreachable",
            "100 fresh primary=-",
        ),
    ] {
        check("", facts, moment, &format!("hold {kind}"));
    }
    let sighted = "120 p unreachable; 120 s2 standby; 120 o1 at 120: p=lost@119,100";
    check(ONE_OBSERVER, sighted, "125 fresh", "hold sighted");
}

#[test]
fn the_limit_for_a_primary_that_was_taken_out() {
    let wal = "285 s1 standby 0/60; 289 s1 standby 0/70; 289 s2 standby 0/80";
    check(REMOVED, wal, "299.999 fresh", "hold received");
    check(REMOVED, wal, "300 fresh", "promote primary_removed");
    // As long as a role is unknown the primary may live under another name.
    check(
        "",
        &format!("{wal}; 299 p unreachable"),
        "300 fresh primary=x",
        "hold received",
    );
}
