//! The core driven live: events and a clock that jumps from deadline to deadline.

use super::world::{check, run};
use crate::testing::draws;

#[test]
fn what_goes_wrong_and_what_is_not_considered_is_counted() {
    let seen = "measure cluster, measure failover, measure exception";
    check(
        r#""failover_on_disconnect": false"#,
        "20.2 p unreachable\n46 end",
        seen,
        "25.01 measure failover_decision_on_disconnect_not_taken:1|c
         35.01 measure failover_decision_on_disconnect_not_taken:1|c
         45.01 measure failover_decision_on_disconnect_not_taken:1|c",
    );
    check(
        "",
        "20.5 p silent\n50 end",
        seen,
        "40.01 measure cluster_monitor_health_timeout:1|c",
    );
}

#[test]
fn a_kind_of_failure_is_logged_once_a_minute_however_its_text_changes() {
    check(
        "",
        "1 s1 nonsense\n6 s1 more_nonsense\n11 s1 refused\n16 s1 more_nonsense\n66 s1 nonsense\n71 s1 more_nonsense
         76 s1 standby\n81 end",
        "log node",
        "5.01 log node s1: protocol error: as scripted
             15.01 log node s1: rejected by the server: as scripted (1 similar message suppressed)
             65.01 log node s1: protocol error: otherwise (9 similar messages suppressed)
             80.01 log node s1: answers again (1 similar message suppressed)",
    );
    check(
        "",
        "1 s2 refused\n11 s2 standby\n16 end",
        "log node",
        "5.01 log node s2: rejected by the server: as scripted; this daemon's own server does not let it in: this node \
         cannot be promoted
         15.01 log node s2: answers again",
    );
}

#[test]
fn lag_is_measured_at_each_regular_decision() {
    check(
        "",
        "20 s2 standby 0/5000000 lag 7.5\n40 p unreachable\n56 end",
        "measure",
        "20.01 measure pg.replication_lag:7.5|g
         30.01 measure pg.replication_lag:7.5|g
         40.01 measure pg.replication_lag:7.5|g
         50.01 measure pg.replication_lag:7.5|g",
    );
}

#[test]
fn a_dead_primary_is_followed_by_one_promotion() {
    check(
        "",
        "0 p primary\n20.2 p unreachable\n80.105 s2 primary\n200 end",
        "run, raise, clear, log the primary",
        "0.01 log the primary is p
         80.01 run promote
         80.11 raise failover_has_happened
         80.11 clear replication_delay_warning
         80.21 log the primary is now s2 (previously: p)",
    );
}

#[test]
fn the_end_of_the_limit_is_a_deadline_and_no_tick() {
    // p was last reached at 14.01; neither a poll, every 7 s, nor a tick, every 9 s, falls on
    // 74.01.
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
         74.02 decide promote primary_unreachable
         74.02 run promote",
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
         22.01 decide hold answered",
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
    check(
        "",
        &format!("22 reload {without_s1}\n23 s1 lost\n24 end"),
        "log node",
        "",
    );
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

const P_ELSEWHERE: &str =
    r#""remote_conns": {"p": "host=elsewhere", "s1": "host=s1", "s2": "host=s2"}"#;
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
    // Reached at 20.01, gone from the configuration for a moment, and then out of reach: the limit
    // is 60 s.
    check(
        "",
        &format!("21 reload {WITHOUT_P}\n22 p unreachable\n23 reload {WITH_P}\n82 end"),
        "run, decide promote, decide hold remembered",
        "38.01 decide hold remembered
         48.01 decide hold remembered
         58.01 decide hold remembered
         68.01 decide hold remembered
         78.01 decide hold remembered
         80.02 decide promote primary_unreachable
         80.02 run promote",
    );
    // A primary that rejects us lives, last at 40.01.
    check(
        "",
        &format!(
            "22 p refused\n41 p unreachable\n41 reload {WITHOUT_P}\n43 reload {WITH_P}\n102 end"
        ),
        "run",
        "100.02 run promote",
    );
}

#[test]
fn a_primary_under_another_name_is_waited_for_like_any_other() {
    // It was last reached as a primary under the wrong name, and was made a standby then. The wait
    // counts from the correction: others may have reached it under the right name.
    let misspelt = r#""remote_conns": {"q": "host=p", "s1": "host=s1", "s2": "host=s2"}"#;
    check(
        "",
        &format!(
            "21 reload {misspelt}\n21 q primary\n30.5 q standby\n31 reload {WITH_P}\n31 p standby\n99 end"
        ),
        "decide promote, decide hold",
        "31.01 decide hold nodes_just_changed
         41.01 decide hold nodes_just_changed
         46.01 decide hold remembered
         56.01 decide hold remembered
         66.01 decide hold remembered
         76.01 decide hold remembered
         86.01 decide hold remembered
         91.01 decide promote primary_no_longer",
    );
}

#[test]
fn a_removed_primary_is_not_waited_for() {
    check(
        "",
        &format!("21 reload {WITHOUT_P}\n40 end"),
        "run, decide",
        "21.01 decide hold nodes_just_changed
         31.01 decide hold nodes_just_changed
         36 decide wants_fresh_facts primary_removed
         36.01 decide promote primary_removed
         36.01 run promote",
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

#[test]
fn a_primary_that_was_never_seen_is_waited_for_from_the_start() {
    // p may be the primary: nobody knows its role until the limit of 60 s is over.
    check(
        "",
        "0 p unreachable\n62 end",
        "run, decide",
        "0 decide wait first_answers
         0.01 decide hold nodes_just_changed
         10.01 decide hold nodes_just_changed
         15 decide wants_fresh_facts never_seen_primary
         15.01 decide hold started
         25.01 decide wants_fresh_facts never_seen_primary
         25.01 decide hold started
         35.01 decide wants_fresh_facts never_seen_primary
         35.01 decide hold started
         45.01 decide wants_fresh_facts never_seen_primary
         45.01 decide hold started
         55.01 decide wants_fresh_facts never_seen_primary
         55.01 decide hold started
         60 decide wants_fresh_facts never_seen_primary
         60.01 decide promote never_seen_primary
         60.01 run promote",
    );
    check("", "0 p refused\n300 end", "run", "");
    check("", "0 p not_ready\n62 end", "run", "60.01 run promote");
    check(
        "",
        "0 p unreachable\n0 s1 unreachable\n52 s1 standby\n52 p primary\n90 end",
        "run, log the primary",
        "55.01 log the primary is p",
    );
}

#[test]
fn a_change_of_nodes_begins_the_wait_for_an_unknown_one_anew() {
    check(
        "",
        &format!("0 p unreachable\n30 reload {P_ELSEWHERE}\n95 end"),
        "run",
        "90.01 run promote",
    );
    check(
        "",
        "0 p unreachable\n30 reload \"db_poll_interval\": 4\n65 end",
        "run",
        "60.01 run promote",
    );
}

#[test]
fn the_primary_and_its_last_contact_survive_a_restart() {
    check(
        "",
        "20.2 p unreachable\n40 restart\n85 end",
        "run, decide promote",
        "80.01 decide promote primary_unreachable\n80.01 run promote",
    );
    check(
        "",
        "20.2 p unreachable\n40 restart elsewhere\n105 end",
        "run, decide promote",
        "100.01 decide promote primary_unreachable\n100.01 run promote",
    );
    // Twice: the second process knows of the contact by the memory of the first alone.
    check(
        "",
        "20.2 p unreachable\n30 restart\n40 restart\n85 end",
        "run",
        "80.01 run promote",
    );
}

#[test]
fn a_restart_beside_the_dead_primary_is_no_cold_start() {
    // All that is reached are standbys, and the remembered primary is out of reach.
    check(
        "",
        "20.2 p unreachable\n70 restart\n90 end",
        "decide wait, decide hold nodes, decide promote",
        "70 decide wait first_answers
         70.01 decide hold nodes_just_changed
         80.01 decide hold nodes_just_changed
         85.01 decide promote primary_unreachable",
    );
}

const WARNED_OBSERVERS: &str =
    r#""poll_observers_on_warning_only": true, "observers": {"o1": "http://o1"}"#;

#[test]
fn observers_are_asked_while_lag_is_over_the_warning_limit_or_no_primary_is_reached() {
    check(
        WARNED_OBSERVERS,
        "2 o1 sees p\n22 s2 standby lag 40\n42 s2 standby\n62 p unreachable\n71 end",
        "ask o1, raise, clear, run",
        "30.01 raise replication_delay_warning
         30.01 run warn
         30.01 ask o1
         35.01 ask o1
         40.01 ask o1
         45.01 ask o1
         50.01 ask o1
         50.02 clear replication_delay_warning
         65.01 ask o1
         70.01 ask o1",
    );
}

#[test]
fn everything_ends_where_it_began_for_the_same_events() {
    let script = "20.2 p unreachable in 3\n21 s1 lost\n30 check\n35 o1 sees p\n47 restart\n50 s2 standby 0/6000000 lag 90\n90 o1 unreachable\n200 end";
    let settings = r#""observers": {"o1": "http://o1"}, "failover_sleep_time": 7"#;
    let first = run(settings, script);
    assert!(first.contains("run promote"), "{first}");
    assert_eq!(first, run(settings, script));
}

/// What may happen at any time, and does at random ones.
const HAPPENINGS: &[&str] = &[
    "p primary",
    "p primary in 3",
    "p unreachable",
    "p unreachable in 4",
    "p refused",
    "p not_ready",
    "p lost",
    "p standby",
    "s1 standby",
    "s1 standby in 4",
    "s1 standby 0/6000000",
    "s1 unreachable",
    "s1 unreachable in 9",
    "s1 lost",
    "s2 standby",
    "s2 standby lag 40",
    "s2 standby lag 300",
    "s2 unreachable",
    "s2 lost",
    "o1 sees p",
    "o1 sees p s1=standby",
    "o1 sees s1=standby",
    "o1 sees p=lost s1=standby",
    "p primary shows",
    "s1 standby shows s1=ok",
    "s1 standby shows s1=maintenance",
    "s1 standby shows s1=promoting",
    "s2 standby shows",
    "o1 unreachable",
    "o1 unreachable in 4",
    "check",
    "check",
    "maintenance on",
    "maintenance off",
    "restart",
    "restart elsewhere",
    "command 0",
    "command 1",
    "command fails",
    "command 0 in 7",
    "reload \"db_poll_interval\": 2",
    "reload \"db_poll_interval\": 5",
    "reload \"replication_state_check_interval\": 3",
    "reload \"remote_conns\": {\"p\": \"host=p\", \"s1\": \"host=elsewhere\", \"s2\": \"host=s2\"}",
    "reload \"remote_conns\": {\"p\": \"host=elsewhere\", \"s1\": \"host=s1\", \"s2\": \"host=s2\"}",
    "reload \"poll_observers_on_warning_only\": true",
    "reload \"poll_observers_on_warning_only\": false",
];
/// And then the primary is gone for good, and all others are well.
const IN_THE_END: &[&str] = &[
    "p unreachable",
    "s1 standby",
    "s2 standby",
    "o1 sees p=lost",
    "command 0",
    "maintenance off",
    "reload \"poll_observers_on_warning_only\": false",
];

#[test]
fn whatever_happened_before_a_primary_gone_for_good_is_followed_by_a_promotion_and_no_other() {
    let mut draw = draws(0x2545_F491_4F6C_DD1D);
    for round in 0..100 {
        let (mut t, mut script) = (0, String::new());
        for _ in 0..40 {
            t += draw(20_000);
            let happening = HAPPENINGS[draw(HAPPENINGS.len())];
            script += &format!("{}.{:03} {happening}\n", t / 1000, t % 1000);
        }
        let end = t / 1000 + 1;
        IN_THE_END
            .iter()
            .for_each(|happening| script += &format!("{end} {happening}\n"));
        script += &format!("{} end\n", end + 300);
        let settings = r#""observers": {"o1": "http://o1"}"#;
        let transcript = run(settings, &script);
        let after = |line: &str| {
            line.split(' ').next().unwrap().parse::<f64>().unwrap()
                > f64::from(u32::try_from(end).unwrap())
        };
        let promoted = transcript
            .lines()
            .any(|line| line.ends_with("run promote") && after(line));
        assert!(promoted, "round {round}\n{script}\n{transcript}");
    }
}
