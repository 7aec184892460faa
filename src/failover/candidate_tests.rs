//! Who is a candidate and who goes first; see `scene`.

use super::super::scene::*;

/// With these facts of s1, the first of them just before the primary is lost.
fn facts(s1: &str) -> String {
    format!("5 p primary; {s1}; 299 p unreachable; 299 s2 standby")
}

#[test]
fn the_order_of_candidates() {
    check_places("", LOST, "300", "s2 first, s1 lower_name");
    let preferred = r#""failover_priorities": {"s1": 3}"#;
    check_places(preferred, LOST, "300", "s1 first, s2 lower_priority");
    let ahead = facts("299 s1 standby 0/60");
    check_places("", &ahead, "300", "s1 first, s2 further_behind");
    // Priorities count only among equals.
    let preferred = r#""failover_priorities": {"s2": 3}"#;
    check_places(preferred, &ahead, "300", "s1 first, s2 further_behind");
    // The receive position of a standby fed from an archive is behind what it has replayed.
    let archive = "5 p primary; 299 p unreachable; 299 s1 standby 0/60; 299 s2 standby 0/50+0/70";
    check_places("", archive, "300", "s2 first, s1 further_behind");
}

#[test]
fn beside_the_original_candidates_are_ranked_as_it_ranks_them() {
    // The server of s2 was restarted: it receives from the start of a segment.
    let restarted = "5 p primary; 299 p unreachable; 299 s1 standby 0/50; 299 s2 standby 0/40+0/50";
    let priority = r#""failover_priorities": {"s1": 3}"#;
    check_places("", restarted, "300", "s2 first, s1 lower_name");
    let original = format!(r#"{priority}, "failover_ranking": "original""#);
    check_places(&original, restarted, "300", "s1 first, s2 further_behind");
    check_places(&original, LOST, "300", "s2 first, s1 lower_name");
}

#[test]
fn a_delayed_standby_goes_last_among_equals() {
    let lags =
        |s2: &str| format!("5 p primary; 299 p unreachable; 299 s1 standby; 299 s2 standby {s2}");
    check_places("", &lags("0/50 30"), "300", "s2 first, s1 lower_name");
    check_places("", &lags("0/50 30.001"), "300", "s1 first, s2 delayed");
    check_places("", &lags("0/60 100"), "300", "s2 first, s1 further_behind");
    let preferred = r#""failover_priorities": {"s2": 1}"#;
    check_places(
        preferred,
        &lags("0/50 100"),
        "300",
        "s2 first, s1 lower_priority",
    );
    // By what each has replayed, whenever it was polled, and not by clocks of the standbys.
    let polled = |s1: f64| {
        format!("5 p primary; 300 p unreachable; {s1} s1 standby 0/50 1; 299.9 s2 standby 0/50 31")
    };
    check_places("", &polled(299.8), "300", "s2 first, s1 lower_name");
    check_places("", &polled(299.9), "300", "s2 first, s1 lower_name");
    check_places("", &polled(299.95), "300", "s1 first, s2 delayed");
}

#[test]
fn what_keeps_a_standby_from_being_a_candidate() {
    let never = r#""never_promote_these_nodes": ["s1"]"#;
    let ahead = facts("299 s1 standby 0/60");
    check_places(never, &ahead, "300", "s2 first, s1 never_promote");
    let lost = facts("6 s1 standby 0/60; 299 s1 unreachable");
    check_places("", &lost, "300", "s2 first, s1 disconnected");
    let at_limit = facts("280 s1 standby 0/60");
    check_places("", &at_limit, "300", "s1 first, s2 further_behind");
    let stale = facts("279.999 s1 standby 0/60");
    check_places("", &stale, "300", "s2 first, s1 stale_poll");
    let slower = r#""db_poll_interval": 10.001"#;
    check_places(slower, &stale, "300", "s1 first, s2 further_behind");
    let early = "290 s1 standby 0/60; 291 p primary 0/70; 295 p unreachable; 299 s2 standby";
    check_places("", early, "300", "s2 first, s1 before_evidence");
}

#[test]
fn a_standby_of_another_system_is_no_candidate() {
    let system = |s1: &str| {
        format!("5 p primary system=A; 299 p unreachable; 299 s2 standby; 299 s1 standby 0/60{s1}")
    };
    check_places("", &system(" system=B"), "300", "s2 first, s1 other_system");
    check_places(
        "",
        &system(" system=A"),
        "300",
        "s1 first, s2 further_behind",
    );
    check_places("", &system(""), "300", "s1 first, s2 further_behind");
}

#[test]
fn a_diverged_standby_is_no_candidate_until_it_is_rebuilt() {
    let diverged = "4 s1 standby 0/60; 5 p primary 0/50 asked=4; 299 p unreachable; 299 s2 standby";
    let still = format!("{diverged}; 299 s1 standby 0/60");
    check_places("", &still, "300", "s2 first, s1 diverged");
    let rebuilt = format!("{diverged}; 299 s1 standby 0/50");
    check_places("", &rebuilt, "300", "s2 first, s1 lower_name");
}

#[test]
fn a_standby_of_an_older_timeline_is_no_candidate() {
    let of = |last: &str, s1: &str| {
        format!(
            "5 p primary timeline=2; {last} p primary timeline=2; {s1}; 299 p unreachable; \
             299 s2 standby timeline=2; 299 s1 standby 0/60 timeline=1"
        )
    };
    let before = "6 s1 standby 0/60 timeline=1";
    check_places("", &of("125", before), "300", "s2 first, s1 old_timeline");
    // What is lost with a primary that lived shorter than the limit is bounded by that.
    check_places(
        "",
        &of("124.9", before),
        "300",
        "s1 first, s2 further_behind",
    );
    // It received WAL since that primary is known: its control data lag behind.
    let followed = "6 s1 standby 0/58 timeline=1; 10 s1 standby 0/60 timeline=1";
    check_places(
        "",
        &of("125", followed),
        "300",
        "s1 first, s2 further_behind",
    );
    let unknown = of("125", before).replace("0/60 timeline=1", "0/60");
    check_places("", &unknown, "300", "s1 first, s2 further_behind");
}

#[test]
fn a_standby_whose_daemon_would_not_promote_it_is_passed_over() {
    for (state, expected) in [
        ("maintenance", "s2 first, s1 steps_aside"),
        ("no_command", "s2 first, s1 steps_aside"),
        ("never", "s2 first, s1 steps_aside"),
        ("no_quorum", "s2 first, s1 steps_aside"),
        ("failed", "s2 first, s1 steps_aside"),
        ("ok", "s1 first, s2 further_behind"),
        ("wants@0/60", "s1 first, s2 further_behind"),
        ("promoting", "s1 first, s2 further_behind"),
    ] {
        let shown = facts(&format!("299 s1 standby 0/60 shows=s1:{state}@0"));
        check_places("", &shown, "300", expected);
    }
    // Only by its own server.
    let elsewhere = facts("299 s1 standby 0/60; 299 s2 standby shows=s1:failed@0");
    check_places("", &elsewhere, "300", "s1 first, s2 further_behind");
    // We decide for ourselves.
    let own =
        "5 p primary; 299 p unreachable; 299 s1 standby; 299 s2 standby 0/60 shows=s2:failed@0";
    check_places("", own, "300", "s2 first, s1 further_behind");
}

#[test]
fn after_a_failed_attempt_another_goes_first_if_its_daemon_can_promote_it() {
    let facts = |other: &str| {
        format!("5 p primary; 299 p unreachable; 299 s2 standby 0/60; 299 s1 standby 0/50{other}")
    };
    let (first, yields) = ("s2 first, s1 further_behind", "s1 first, s2 steps_aside");
    check_places("", &facts(" shows=s1:ok@0"), "300 failed", yields);
    check_places("", &facts(" shows=s1:ok@0"), "300", first);
    // Nobody else is there, or could.
    check_places("", &facts(""), "300 failed", first);
    check_places("", &facts(" shows=-"), "300 failed", first);
    let aside = facts(" shows=s1:maintenance@0");
    check_places("", &aside, "300 failed", "s2 first, s1 steps_aside");
}

#[test]
fn a_standby_whose_daemon_is_gone_for_three_polls_is_passed_over() {
    let first = "s1 first, s2 further_behind";
    let polls = |state: &str, since: &str, later: &[&str]| {
        let mut all = format!("{since} s1 standby 0/60 shows=s1:{state}@0");
        for at in later {
            all += &format!("; {at} s1 standby 0/60 shows=-");
        }
        facts(&all)
    };
    let gone = polls("ok", "280", &["285", "290", "299"]);
    check_places("", &gone, "300", "s2 first, s1 daemon_gone");
    check_places("", &polls("ok", "280", &["290", "299"]), "300", first);
    // Where sessions are not shown nothing is known of its daemon.
    check_places("", &gone.replace(" shows=-", ""), "300", first);
    // One that was about to promote has ten limits.
    let limit = r#""max_failover_replication_time_lag": 10"#;
    for state in ["wants@0/60", "promoting"] {
        let later = ["285", "290", "299"];
        check_places(limit, &polls(state, "200", &later), "300", first);
        let gone = polls(state, "199.9", &later);
        check_places(limit, &gone, "300", "s2 first, s1 daemon_gone");
    }
}

#[test]
fn nobody_is_promoted_while_all_step_aside() {
    let settings = r#""never_promote_these_nodes": ["s2"]"#;
    let aside = facts("299 s1 standby 0/60 shows=s1:maintenance@0");
    check(settings, &aside, "300 fresh", "hold all_step_aside");
    check(
        "",
        &aside.replace("; 299 s2 standby", "; 299 s2 standby 0/40"),
        "300 fresh",
        "announce announced",
    );
}
