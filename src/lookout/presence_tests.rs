//! What this daemon shows of itself, and what it makes of what others show, live. The primary was
//! last reached at 20.01, the limit is 60 s.

use super::world::check;

/// Every server shows sessions; s1 shows its own daemon's in this state.
#[track_caller]
fn with_sessions(settings: &str, s1: &str, script: &str, watched: &str, expected: &str) {
    let script = format!(
        "19 p primary shows\n19 s1 standby shows s1={s1}\n19 s2 standby shows\n20.2 p unreachable\n{script}"
    );
    check(settings, &script, watched, expected);
}

const LOOKS: &str = "session s, decide announce, decide hold other, decide promote, run";

#[test]
fn who_would_promote_announces_it_looks_and_promotes() {
    with_sessions(
        "",
        "ok",
        "81 s2 primary shows\n100 end",
        LOOKS,
        "80.01 decide announce announced
         80.1 session s1 wants@0/5000000
         80.1 session s2 wants@0/5000000
         80.11 decide promote primary_unreachable
         80.11 run promote
         80.2 session s1 promoting
         80.2 session s2 promoting
         90.3 session s1 primary
         90.3 session s2 primary",
    );
}

#[test]
fn an_answer_that_was_under_way_does_not_show_the_announcement() {
    with_sessions(
        "",
        "ok",
        "60 s1 standby shows s1=ok in 6\n100 end",
        LOOKS,
        "84 decide announce announced
         84 session s2 wants@0/5000000
         90 session s1 wants@0/5000000
         90 decide announce not_shown
         96 decide promote primary_unreachable
         96 run promote
         96 session s2 promoting",
    );
}

#[test]
fn who_sleeps_between_its_announcement_and_its_look_goes_on_where_it_was() {
    // Or a host that runs for a moment every three seconds would announce itself for ever.
    with_sessions(
        "",
        "ok",
        "80.05 sleep 2.7\n84 end",
        LOOKS,
        "80.01 decide announce announced
         82.75 session s1 wants@0/5000000
         82.75 session s2 wants@0/5000000
         82.76 decide promote primary_unreachable
         82.76 run promote
         82.85 session s1 promoting
         82.85 session s2 promoting",
    );
    // After a longer sleep all that it knew is old.
    with_sessions(
        "",
        "ok",
        "80.05 sleep 5.1\n87 end",
        LOOKS,
        "80.01 decide announce announced
         85.15 session s1 wants@0/5000000
         85.15 session s2 wants@0/5000000
         85.16 decide announce announced
         85.26 decide promote primary_unreachable
         85.26 run promote
         85.35 session s1 promoting
         85.35 session s2 promoting",
    );
}

#[test]
fn who_goes_after_another_withdraws() {
    with_sessions(
        "",
        "wants@0/6000000",
        "95 end",
        LOOKS,
        "80.01 decide announce announced
         80.1 session s1 wants@0/5000000
         80.1 session s2 wants@0/5000000
         80.11 decide hold other_announced
         80.2 session s1 ok
         80.2 session s2 ok
         90.12 decide announce announced
         90.21 session s1 wants@0/5000000
         90.21 session s2 wants@0/5000000
         90.22 decide hold other_announced
         90.31 session s1 ok
         90.31 session s2 ok",
    );
}

#[test]
fn who_goes_first_looks_again_until_the_other_has_withdrawn() {
    with_sessions(
        "",
        "wants@0/4000000",
        "82 s1 standby shows s1=ok\n84 end",
        LOOKS,
        "80.01 decide announce announced
         80.1 session s1 wants@0/5000000
         80.1 session s2 wants@0/5000000
         80.11 decide announce others_announced
         80.62 decide announce others_announced
         81.13 decide announce others_announced
         81.64 decide announce others_announced
         82.15 decide promote primary_unreachable
         82.15 run promote
         82.24 session s1 promoting
         82.24 session s2 promoting",
    );
}

#[test]
fn nobody_promotes_beside_another_promotion() {
    with_sessions(
        "",
        "promoting",
        "95 end",
        LOOKS,
        "80.01 decide hold other_promotes
         90.01 decide hold other_promotes",
    );
    // One that its daemon has not used for long holds nobody up.
    with_sessions(
        "",
        "promoting~20",
        "81 end",
        LOOKS,
        "80.01 decide announce announced
         80.1 session s1 wants@0/5000000
         80.1 session s2 wants@0/5000000
         80.11 decide promote primary_unreachable
         80.11 run promote
         80.2 session s1 promoting
         80.2 session s2 promoting",
    );
}

const S1_FIRST: &str = r#""failover_priorities": {"s1": 1}"#;

#[test]
fn a_candidate_whose_daemon_steps_aside_is_passed_over() {
    for state in [
        "maintenance",
        "no_command",
        "never",
        "no_quorum",
        "no_candidate",
        "failed",
    ] {
        with_sessions(S1_FIRST, state, "80.5 end", "run", "80.11 run promote");
    }
    for state in ["ok", "wants@0/5000000", "promoting"] {
        with_sessions(S1_FIRST, state, "120 end", "run", "");
    }
}

#[test]
fn a_failover_that_is_stuck_is_reported_once_until_a_primary_is_reached() {
    with_sessions(
        S1_FIRST,
        "ok",
        "300 p primary shows\n320 end",
        "raise failover_stuck, clear failover_stuck, log no primary",
        "150.01 log no primary for 125.000 s, and this node was not promoted: not promoting: the preferred candidate is s1 at 0/5000000 with priority 1, this node is s2 at 0/5000000; what would end it: pglookout on s1 must promote it; if s1 becomes unreachable, the next candidate is promoted
         150.01 raise failover_stuck
         300.01 clear failover_stuck",
    );
    // Over a restart too.
    with_sessions(
        S1_FIRST,
        "ok",
        "200 restart\n300 p primary shows\n320 end",
        "raise failover_stuck, clear failover_stuck",
        "150.01 raise failover_stuck
         300.01 clear failover_stuck",
    );
}

#[test]
fn each_state_is_shown() {
    let shown = "session s2, raise failover_failed";
    let outage = "20.2 p unreachable\n";
    let on = "19 p primary shows\n19 s1 standby shows\n19 s2 standby shows\n";
    for (settings, script, expected) in [
        (
            "",
            "maintenance on\n40 maintenance off\n60 end",
            "0 session s2 maintenance
         40 session s2 ok",
        ),
        (
            r#""failover_command": """#,
            "p primary\n40 end",
            "0 session s2 no_command",
        ),
        (
            r#""never_promote_these_nodes": ["s2"]"#,
            "p primary\n40 end",
            "0 session s2 never",
        ),
        (
            r#""own_db": """#,
            "p primary\n40 end",
            "0 session s2 observer",
        ),
    ] {
        check(settings, &format!("0 {script}"), "session s2", expected);
    }
    check(
        "",
        &format!("{on}{outage}20.2 s1 unreachable\n120 end"),
        shown,
        "80.01 raise failover_failed\n85 session s2 no_quorum",
    );
    check(
        "",
        &format!("{on}{outage}30 maintenance on\n120 end"),
        shown,
        "30 session s2 maintenance\n80.01 raise failover_failed",
    );
    // Nobody is shown who could go first after the failure.
    check(
        "",
        &format!("{on}{outage}30 command 3\n92 end"),
        shown,
        "80.1 session s2 wants@0/5000000
         80.2 session s2 promoting
         80.21 raise failover_failed
         85.2 session s2 failed
         90.3 session s2 wants@0/5000000
         90.4 session s2 promoting
         90.41 raise failover_failed",
    );
    check(
        "",
        &format!("{on}{outage}80.1 s2 primary shows\n90 end"),
        shown,
        "80.1 session s2 wants@0/5000000\n85.1 session s2 primary",
    );
}

#[test]
fn a_node_that_is_no_candidate_by_its_own_facts_shows_so() {
    // Others may not know why, and would wait for it.
    let script = "0 p primary system a\n0 s1 standby 0/50 system a\n0 s2 standby 0/50 system b\n\
        20 p unreachable\n100 p primary system a\n115 end";
    check(
        "",
        script,
        "session s1",
        "0 session s1 ok
         80 session s1 no_candidate
         105 session s1 ok",
    );
}

#[test]
fn an_observer_relays_what_a_server_shows() {
    // s1 is reached by the observer only.
    let observer = r#""observers": {"o1": "http://o1"}"#;
    for (shows, expected) in [("promoting", ""), ("ok", "80.11 run promote")] {
        let script = format!(
            "19 o1 sees p s1=standby\n20.2 p unreachable\n20.2 s1 unreachable\n20.2 o1 sees p=lost s1=standby,s1={shows}\n90 end"
        );
        check(observer, &script, "run", expected);
    }
}

#[test]
fn known_gone_nodes_that_name_a_living_primary_are_void_until_the_next_reload() {
    let gone = r#""known_gone_nodes": ["p"]"#;
    check(
        gone,
        "0 p primary\n20.2 p unreachable\n81 end",
        "run, log p is in known",
        "0.01 log p is in known_gone_nodes and is reached as a primary: its entry is ignored until the next reload
         80.01 run promote",
    );
    check(
        gone,
        "0 p primary\n20.2 p unreachable\n30 reload \"db_poll_interval\": 5\n35 end",
        "run",
        "30.01 run promote",
    );
}

#[test]
fn whoever_failed_leaves_it_to_another_also_where_the_command_could_not_be_started() {
    for end in ["command 3", "command fails"] {
        with_sessions(
            "",
            "ok",
            &format!("20.3 {end}\n100 end"),
            LOOKS,
            "80.01 decide announce announced
             80.1 session s1 wants@0/5000000
             80.1 session s2 wants@0/5000000
             80.11 decide promote primary_unreachable
             80.11 run promote
             80.2 session s1 promoting
             80.2 session s2 promoting
             85.2 session s1 failed
             85.2 session s2 failed",
        );
    }
}
