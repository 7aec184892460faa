//! The core driven live: events and a clock that jumps from deadline to deadline.

use super::world::check;

#[test]
fn a_dead_primary_is_followed_by_one_promotion() {
    check(
        "",
        "0 p primary\n20.2 p unreachable\n80.105 s2 primary\n200 end",
        "run, raise, clear, log the primary",
        "0.01 log the primary is p now (before: none)
         80.01 run promote
         80.11 raise failover_has_happened
         80.11 clear replication_delay_warning
         80.12 log the primary is s2 now (before: p)",
    );
}

#[test]
fn the_end_of_the_limit_is_a_deadline_and_no_tick() {
    // p was last reached at 14.01; neither a poll, every 7 s, nor a tick, every 9 s, falls on 74.01.
    check(
        r#""db_poll_interval": 7, "replication_state_check_interval": 9"#,
        "14.02 p unreachable\n74.05 end",
        "decide wants, decide promote, run",
        "21.01 decide wants_fresh_facts primary_unreachable
         30.01 decide wants_fresh_facts primary_unreachable
         39.02 decide wants_fresh_facts primary_unreachable
         48.03 decide wants_fresh_facts primary_unreachable
         57.04 decide wants_fresh_facts primary_unreachable
         66.05 decide wants_fresh_facts primary_unreachable
         74.01 decide wants_fresh_facts primary_unreachable
         74.02 run promote
         74.02 decide promote primary_unreachable",
    );
}

#[test]
fn a_lost_connection_to_the_primary_is_looked_into_at_once() {
    check(
        "",
        "22 p unreachable\n22 p lost\n22.2 end",
        "decide, ask",
        "22 ask p
         22 decide wants_fresh_facts primary_unreachable
         22 ask s1
         22 ask s2
         22.01 decide hold contact_too_recent",
    );
    check(
        "",
        "22 p lost\n22.2 end",
        "decide, ask",
        "22 ask p
         22 decide wants_fresh_facts primary_unreachable
         22 ask s1
         22 ask s2
         22.01 decide primary_reachable primary_reachable",
    );
}

#[test]
fn news_of_a_node_that_has_left_is_no_news() {
    let without_s1 = r#""remote_conns": {"p": "host=p", "s2": "host=s2"}"#;
    check("", &format!("22 reload {without_s1}\n23 s1 lost\n24 end"), "log node", "");
    // Nor is the answer that was under way, when it is back with another address.
    check(
        "",
        &format!(
            "20.2 s1 standby in 3
             25.5 reload {without_s1}
             26 s1 unreachable
             26 reload \"remote_conns\": {{\"p\": \"host=p\", \"s1\": \"host=x\", \"s2\": \"host=s2\"}}
             29 end"
        ),
        "ask s1, log node s1",
        "25 ask s1
         26 ask s1
         26.01 log node s1: unreachable: as scripted",
    );
}

const P_ELSEWHERE: &str = r#""remote_conns": {"p": "host=elsewhere", "s1": "host=s1", "s2": "host=s2"}"#;
const WITHOUT_P: &str = r#""remote_conns": {"s1": "host=s1", "s2": "host=s2"}"#;
const WITH_P: &str = r#""remote_conns": {"p": "host=p", "s1": "host=s1", "s2": "host=s2"}"#;

#[test]
fn a_node_with_another_address_is_asked_there_at_once() {
    // The poll at the old address is never answered: its connection is closed by the reload.
    check(
        "",
        &format!("24 p silent\n26 p primary\n26 reload {P_ELSEWHERE}\n40 end"),
        "ask p, decide",
        "25 ask p
         26 ask p
         26.01 decide primary_reachable primary_reachable
         31 ask p
         36 ask p
         36.01 decide primary_reachable primary_reachable",
    );
    check(
        r#""observers": {"o1": "http://o1"}"#,
        "24 o1 silent\n26 o1 sees p\n26 reload \"observers\": {\"o1\": \"http://elsewhere\"}\n30 end",
        "ask o1",
        "25 ask o1\n26 ask o1",
    );
}

#[test]
fn a_primary_left_out_by_mistake_is_waited_for_like_any_other() {
    // Reached at 20.01, gone from the configuration for a moment, and then out of reach: the limit is 60 s.
    check(
        "",
        &format!("21 reload {WITHOUT_P}\n22 p unreachable\n23 reload {WITH_P}\n82 end"),
        "run, decide promote, decide hold contact",
        "38.01 decide hold contact_too_recent
         48.01 decide hold contact_too_recent
         58.01 decide hold contact_too_recent
         68.01 decide hold contact_too_recent
         78.01 decide hold contact_too_recent
         80.02 run promote
         80.02 decide promote primary_unreachable",
    );
}

#[test]
fn a_removed_primary_is_not_waited_for() {
    check(
        "",
        &format!("21 reload {WITHOUT_P}\n40 end"),
        "run, decide",
        "21.01 decide wants_fresh_facts primary_removed
         21.01 decide hold nodes_just_changed
         31.01 decide wants_fresh_facts primary_removed
         31.01 decide hold nodes_just_changed
         36 decide wants_fresh_facts primary_removed
         36.01 run promote
         36.01 decide promote primary_removed",
    );
}

#[test]
fn fresh_facts_that_show_several_primaries_end_the_round() {
    // Only the regular decision goes on to look at lag, which has grown meanwhile.
    check(
        r#""replication_state_check_interval": 30"#,
        "22 p primary in 0.5
         22 s1 primary in 0.5
         22 s2 standby lag 50
         22 p lost
         23 end",
        "decide, raise",
        "22 decide wants_fresh_facts primary_unreachable
         22.5 raise multiple_master_warning
         22.5 decide several_primaries several_primaries",
    );
}
