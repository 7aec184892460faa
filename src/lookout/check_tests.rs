//! Checks, live: requested ones, and the wait for fresh facts.

use super::super::world::check;

#[test]
fn a_requested_check_asks_everybody_and_decides_when_all_have_reported() {
    check(
        "",
        "22 s1 standby in 2\n22 check\n26 end",
        "ask, decide",
        "22 ask p
         22 ask s1
         22 ask s2
         24 decide primary_reachable primary_reachable",
    );
}

#[test]
fn requests_that_come_close_together_share_one_poll() {
    check(
        "",
        "22 s1 standby in 2\n22 check\n22.5 check\n23 check\n24.5 check\n25 end",
        "ask p, decide",
        "22 ask p
         24 decide primary_reachable primary_reachable
         24.5 ask p",
    );
}

#[test]
fn requests_without_end_ask_once_a_second() {
    check(
        "",
        "22 check\n22.1 check\n22.3 check\n22.9 check\n23.2 check\n23.4 check\n24.9 end",
        "ask p",
        "22 ask p
         23 ask p
         24 ask p",
    );
}

#[test]
fn a_node_that_does_not_answer_delays_no_decision() {
    // s1 takes longer than a check may; somebody asks for a check all the time. p was last reached
    // at 20.01.
    check(
        "",
        "20.2 s1 silent
         21 check
         22 p unreachable
         26 check
         30 check
         36 check
         41.02 end",
        "decide",
        "26.01 decide wants_fresh_facts primary_unreachable
         41.01 decide wait fresh_facts_overdue",
    );
}

#[test]
fn a_request_that_is_given_up_is_decided_on_what_is_known() {
    check(
        r#""replication_state_check_interval": 40"#,
        "22 s1 silent\n22 check\n38 end",
        "decide",
        "37 decide primary_reachable primary_reachable",
    );
}

#[test]
fn what_is_under_way_counts_as_fresh() {
    // p hangs since 20.2: asked at 25, failed at 30. The loss of its connection at 28 starts a
    // check that waits for that answer, not for one of its own.
    check(
        "",
        "24 p unreachable in 5\n28 p lost\n30.005 end",
        "ask p, decide",
        "25 ask p
         28 decide wants_fresh_facts primary_unreachable
         30 ask p
         30 decide hold answered",
    );
}

#[test]
fn whoever_is_silent_for_the_limit_is_not_waited_for() {
    // The poll of s1 that began at 25 never comes back. Until it has been out for the limit, nothing
    // is decided; then s1 has no vote.
    let script = "22 s1 silent\n22 p unreachable\n90 end";
    let watched = "run, decide promote, decide hold";
    check("", script, watched, "85 decide hold no_quorum");
    // p hangs, and each poll of it takes its time to fail: the last one is not waited for.
    check("", "22 p unreachable in 9\n95 end", "run", "85 run promote");
}

#[test]
fn a_slow_node_that_fails_in_time_is_waited_for() {
    check(
        r#""max_failover_replication_time_lag": 20"#,
        "20.2 p unreachable in 9\n45 end",
        "decide, run",
        "30.01 decide primary_reachable primary_reachable
         34 decide wants_fresh_facts primary_unreachable
         34.01 decide hold answered
         40.01 decide wants_fresh_facts primary_unreachable
         43 decide promote primary_unreachable
         43 run promote",
    );
}

#[test]
fn a_short_time_limit_leaves_a_node_time_to_fail() {
    // Connecting and answering may take 5 s each: p is heard out, whatever
    // missing_master_from_config_timeout says.
    check(
        r#""missing_master_from_config_timeout": 1"#,
        "20.2 p unreachable in 9\n26 p lost\n34.5 end",
        "decide",
        "26 decide wants_fresh_facts primary_unreachable
         34 decide hold answered",
    );
}

#[test]
fn whoever_was_stopped_asks_again_before_it_decides() {
    // p comes back meanwhile. The failure of the poll that was under way comes in on waking, and is
    // no fresh fact.
    check(
        "",
        "20.2 p unreachable in 3
         26 p primary
         26 sleep 70
         100 end",
        "ask p, decide, log node p",
        "25 ask p
         96 log node p: unreachable: as scripted
         96 ask p
         96.01 log node p: answers again
         96.01 decide primary_reachable primary_reachable",
    );
    // It stays away: a decision on fresh facts, and at once.
    check(
        "",
        "20.2 p unreachable in 3
         26 sleep 70
         100 end",
        "decide, run",
        "99 decide wants_fresh_facts primary_unreachable
         99.01 decide promote primary_unreachable
         99.01 run promote",
    );
    // It was never seen before, and while we slept the wait for it has ended.
    check(
        "",
        "0 p unreachable
         0.5 p primary
         0.5 sleep 70.5
         75 end",
        "ask p, decide",
        "0 ask p
         0 decide wait first_answers
         0.01 decide hold nodes_just_changed
         71 ask p
         71.01 decide primary_reachable primary_reachable",
    );
}
