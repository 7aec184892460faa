//! Who has a vote; see `scene`.

use super::super::scene::*;
use super::*;

#[test]
fn the_votes_of_standbys() {
    check_votes("", LOST, "300", "s2, s1 | p never_cast");
    let facts = |s1: &str| format!("5 p primary system=A; {s1}; 299 p unreachable; 299 s2 standby");
    let lost = facts("6 s1 standby; 299 s1 unreachable");
    check_votes("", &lost, "300", "s2 | s1 disconnected, p never_cast");
    check("", &lost, "300 fresh", "hold no_quorum");
    for settings in [
        r#""never_promote_these_nodes": ["s1"]"#,
        r#""known_gone_nodes": ["s1"]"#,
    ] {
        check_votes(settings, &lost, "300", "s2 | p never_cast");
    }
    let foreign = facts("299 s1 standby system=B");
    check_votes("", &foreign, "300", "s2 | p never_cast");
    let stale = facts("279 s1 standby");
    check_votes("", &stale, "300", "s2 | s1 stale_poll, p never_cast");
    let early = "290 s1 standby; 291 p primary; 295 p unreachable; 299 s2 standby";
    check_votes("", early, "300", "s2 | s1 before_evidence, p never_cast");
    // Who may not go first still knows whether the primary lives.
    let diverged = "4 s1 standby 0/60; 5 p primary 0/50 asked=4; 299 p unreachable; 299 s2 standby; 299 s1 standby 0/60";
    check_votes("", diverged, "300", "s2, s1 | p never_cast");
    let aside = facts("299 s1 standby shows=s1:failed@0");
    check_votes("", &aside, "300", "s2, s1 | p never_cast");
}

#[test]
fn a_primary_that_is_a_standby_now_has_a_vote_as_one() {
    let demoted = "5 p primary; 299 p standby; 299 s1 standby; 299 s2 standby";
    check_votes("", demoted, "300", "s2, s1, p | ");
}

#[test]
fn unknown_roles_count_while_the_primary_is_looked_for() {
    let facts = "299 p unreachable; 299 s1 unreachable; 299 s2 standby";
    let unknown = "p role_unknown, s1 role_unknown";
    let primary = |name: &str| format!("s2 | {unknown}, {name} never_cast");
    check_votes("", facts, "300 primary=-", &primary("the primary"));
    check_votes("", facts, "300 primary=x", &primary("x"));
    check_votes("", facts, "300", "s2 | p never_cast");
    let settings = r#""known_gone_nodes": ["p"], "never_promote_these_nodes": ["s1"]"#;
    check_votes(
        settings,
        facts,
        "300 primary=-",
        "s2 | the primary never_cast",
    );
}

#[test]
fn an_observer_has_a_vote_only_with_eyes() {
    let check = |facts: &str, expected: &str| {
        let facts = format!("{LOST}; {facts}");
        let known = if expected.is_empty() {
            ", observer o1"
        } else {
            ""
        };
        let missing = if expected.is_empty() {
            String::new()
        } else {
            format!("observer o1 {expected}, ")
        };
        let expected = format!("s2, s1{known} | {missing}p never_cast");
        check_votes(ONE_OBSERVER, &facts, "300", &expected);
    };
    check("299 o1 at 299: p=lost@298,5", "");
    // Whatever its clock says.
    check("299 o1 at 4000: p=lost@3999,3700", "");
    check("299 o1 at 299: p=untold@298", "never_saw_primary");
    check("299 o1 at 299: s1=up@200", "silent");
    check("6 o1 at 6: p=up@5; 299 o1 at 299:", "silent");
    check("6 o1 at 6: p=up@5; 299 o1 at 299: p=untold@298", "");
    check("299 o1 unreachable", "no_answer");
    check("", "no_answer");
    check("290.001 o1 at 290: p=lost@289,5", "");
    check("290 o1 at 290: p=lost@289,5", "old_answer");
}

#[test]
fn no_observer_has_to_know_a_primary_that_is_not_configured() {
    let facts = "299 s1 standby; 299 s2 standby; 299 o1 at 299:";
    let settings = format!("{REMOVED}, {ONE_OBSERVER}");
    check_votes(
        &settings,
        facts,
        "300",
        "s2, s1, observer o1 | p never_cast",
    );
}

#[test]
fn two_names_of_one_address_are_one_vote() {
    let two = r#""observers": {"o1": "http://o1", "o2": "http://o1"}"#;
    let one = format!("{LOST}; 299 o1 unreachable; 299 o2 at 299: p=lost@298,5");
    check_votes(two, &one, "300", "s2, s1, observer o2 | p never_cast");
    let both = format!("{LOST}; 299 o1 at 299: p=lost@298,5; 299 o2 at 299: p=lost@298,5");
    check_votes(two, &both, "300", "s2, s1, observer o2 | p never_cast");
    check_votes(
        two,
        LOST,
        "300",
        "s2, s1 | observer o1 no_answer, p never_cast",
    );
    let ports = two.replace("http://o1\"}", "http://o1:15001\"}");
    check_votes(
        &ports,
        &both,
        "300",
        "s2, s1, observer o1, observer o2 | p never_cast",
    );
}

#[track_caller]
fn check_met(rule: QuorumRule, known: usize, total: usize, met: bool) {
    let quorum = Quorum { known, total, rule };
    assert_eq!(quorum.is_met(), met, "{quorum}");
    assert_eq!(known >= quorum.needed(), met, "needed: {quorum}");
}

#[test]
fn half_suffices_unless_a_majority_is_asked_for() {
    for (known, total, half, majority) in [
        (0, 1, false, false),
        (1, 1, true, true),
        (1, 2, true, false),
        (1, 3, false, false),
        (2, 3, true, true),
        (2, 4, true, false),
        (3, 4, true, true),
        (2, 5, false, false),
        (3, 5, true, true),
    ] {
        check_met(QuorumRule::Half, known, total, half);
        check_met(QuorumRule::Majority, known, total, majority);
    }
}
