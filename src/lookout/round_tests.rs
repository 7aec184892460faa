//! The figures behind each decision, live. The primary was last reached at 20.01, the limit is 60
//! s.

use super::super::world::check;

/// What is behind the decisions of `script`.
#[track_caller]
fn behind(settings: &str, script: &str, expected: &str) {
    check(
        settings,
        script,
        "decide, primary, place, votes, would",
        expected,
    );
}

#[test]
fn of_a_healthy_cluster() {
    behind(
        "",
        "11 s1 standby 0/4000000\n21 end",
        "20.01 decide primary_reachable primary_reachable
         20.01 primary p reached
         20.01 place s2 first: preferred candidate
         20.01 place s1 further_behind: 16777216 bytes behind the preferred candidate
         20.01 votes 2 of 3 votes, 2 required: s2 s1 -p=never_cast
         20.01 would only once no poll reaches p as a primary",
    );
}

#[test]
fn of_priorities_and_nodes_that_are_never_promoted() {
    behind(
        r#""failover_priorities": {"s1": 1}"#,
        "20 s1 standby\n21 end",
        "20.01 decide primary_reachable primary_reachable
         20.01 primary p reached
         20.01 place s1 first: preferred candidate
         20.01 place s2 lower_priority: same position as the preferred candidate, lower priority 0
         20.01 votes 2 of 3 votes, 2 required: s1 s2 -p=never_cast
         20.01 would only once no poll reaches p as a primary",
    );
    check(
        r#""never_promote_these_nodes": ["s2"]"#,
        "20.005 s1 standby\n21 end",
        "place, votes",
        "20.01 place s1 first: preferred candidate
         20.01 place s2 never_promote: in never_promote_these_nodes
         20.01 votes 1 of 2 votes, 1 required: s1 -p=never_cast",
    );
}

#[test]
fn of_an_outage_with_everything_that_hinders() {
    behind(
        r#""observers": {"o1": "http://o1"}"#,
        "20.2 p unreachable\n20.2 s1 unreachable\n20.2 o1 unreachable\n20.2 maintenance on\n27 end",
        "25.01 decide wants_fresh_facts primary_unreachable
         25.01 primary p lost
         25.01 place s2 first: preferred candidate
         25.01 place s1 disconnected: unreachable
         25.01 votes 1 of 4 votes, 2 required: s2 -s1=disconnected -observer o1=no_answer -p=never_cast
         25.01 would poll results required: all nodes and observers
         25.01 decide hold answered
         25.01 primary p lost
         25.01 place s2 first: preferred candidate
         25.01 place s1 disconnected: unreachable
         25.01 votes 1 of 4 votes, 2 required: s2 -s1=disconnected -observer o1=no_answer -p=never_cast
         25.01 would 55.000 s must pass
         25.01 would if p is gone for good: add it to known_gone_nodes and reload
         25.01 would remove /tmp/pglookout_maintenance_mode_file
         25.01 would 1 more vote required from: s1, observer o1",
    );
}

#[test]
fn of_a_refusal() {
    check(
        "",
        "20.2 p refused\n27 end",
        "decide hold, would",
        "25.01 would poll results required: all nodes and observers
         25.01 decide hold refused
         25.01 would 60.000 s must pass
         25.01 would make p accept this daemon's connections: password, pg_hba.conf, connection slots
         25.01 would if p is gone for good: add it to known_gone_nodes and reload",
    );
}

#[test]
fn of_several_waits_the_longest_counts() {
    check(
        "",
        "16 p unreachable\n16 s1 standby 0/6000000\n21 end",
        "decide hold, would 55",
        "20.01 decide hold received\n20.01 would 55.000 s must pass",
    );
}

#[test]
fn of_first_answers() {
    behind(
        "",
        "0 p silent\n0.5 end",
        "0 decide wait first_answers
         0 votes 0 of 4 votes, 2 required: -p=role_unknown -s1=role_unknown -s2=role_unknown -the primary=never_cast
         0 would poll results required: p, s1, s2
         0.01 decide wait first_answers
         0.01 place s2 first: preferred candidate
         0.01 place s1 lower_name: same position and priority as the preferred candidate, lower name
         0.01 votes 2 of 4 votes, 2 required: s2 s1 -p=role_unknown -the primary=never_cast
         0.01 would poll results required: p",
    );
}

#[test]
fn of_several_primaries() {
    behind(
        "",
        "20.2 s1 primary\n26 end",
        "25.01 decide several_primaries several_primaries
         25.01 primary p reached
         25.01 primary s1 reached
         25.01 place s2 first: preferred candidate
         25.01 votes 1 of 2 votes, 1 required: s2 -p=never_cast
         25.01 would stop all but one of: p, s1",
    );
}

#[test]
fn of_another_candidate_ahead() {
    check(
        "",
        "0 p primary 0/6000000\n0 s1 standby 0/6000000\n15.5 p unreachable\n75.03 end",
        "decide other, would pglookout",
        "75.01 decide other_candidate other_candidate
         75.01 would pglookout on s1 must promote it; if s1 becomes unreachable, the next candidate is promoted",
    );
}
