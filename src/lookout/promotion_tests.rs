//! What the failover command's end does, live. The primary was last reached at 20.01, the limit is
//! 60 s.

use super::super::world::check;

/// What follows the loss of p at 20.2.
#[track_caller]
fn after_the_loss(settings: &str, script: &str, expected: &str) {
    check(
        settings,
        &format!("20.2 p unreachable\n{script}"),
        "run, raise, clear",
        expected,
    );
}

#[test]
fn a_success_that_changes_nothing_is_repeated_at_the_next_regular_decision() {
    // A command that only makes a trigger file: the server looks at it later.
    after_the_loss(
        "",
        "92 end",
        "80.01 run promote
         80.11 raise failover_has_happened
         80.11 clear replication_delay_warning
         90.12 run promote
         90.22 raise failover_has_happened
         90.22 clear replication_delay_warning",
    );
}

#[test]
fn the_third_success_that_changes_nothing_is_a_failure_and_attempts_become_rare() {
    after_the_loss(
        "",
        "275 end",
        "80.01 run promote
         80.11 raise failover_has_happened
         80.11 clear replication_delay_warning
         90.12 run promote
         90.22 raise failover_has_happened
         90.22 clear replication_delay_warning
         100.23 run promote
         100.33 raise failover_has_happened
         100.33 clear replication_delay_warning
         110.34 raise failover_failed
         130.34 run promote
         130.44 raise failover_has_happened
         130.44 clear replication_delay_warning
         140.45 raise failover_failed
         180.45 run promote
         180.55 raise failover_has_happened
         180.55 clear replication_delay_warning
         190.56 raise failover_failed
         270.56 run promote
         270.66 raise failover_has_happened
         270.66 clear replication_delay_warning",
    );
}

#[test]
fn a_poll_of_our_own_node_that_began_before_the_end_settles_nothing() {
    // Asked again at 80.1, the command ends at 80.11, the answer comes at 84.1.
    check(
        "",
        "20.2 p unreachable\n80.05 s2 standby in 4\n80.06 s2 lost\n93 s2 standby\n95 end",
        "run, raise, decide hold own, decide promote",
        "80.01 decide promote primary_unreachable
         80.01 run promote
         80.11 raise failover_has_happened
         84.1 decide hold own_node_not_polled_since",
    );
}

#[test]
fn a_failed_command_is_tried_again_at_the_next_regular_decision() {
    after_the_loss(
        "",
        "20.2 command 3\n85 command 0\n100 end",
        "80.01 run promote
         80.11 raise failover_has_happened
         80.11 raise failover_failed
         90.11 run promote
         90.21 raise failover_has_happened
         90.21 clear replication_delay_warning
         90.21 clear failover_failed",
    );
}

#[test]
fn no_news_and_no_request_make_the_next_attempt_come_sooner() {
    for end in ["command 0", "command 3", "command fails"] {
        let news = "81 check\n82 s1 lost\n84 s1 unreachable\n86 s1 standby\n87 reload \"log_level\": \"ERROR\"\n88 check";
        let script = format!("20.2 p unreachable\n20.2 {end}\n{news}\n95 end");
        check("", &script, "run", "80.01 run promote\n90.12 run promote");
    }
}

#[test]
fn a_command_that_cannot_be_started_makes_no_pause() {
    after_the_loss(
        r#""failover_sleep_time": 30"#,
        "20.2 command fails\n95 end",
        "80.01 run promote
         80.11 raise failover_failed
         90.11 run promote
         90.21 raise failover_failed",
    );
}

#[test]
fn an_empty_command_is_logged_at_every_decision() {
    after_the_loss(
        r#""failover_command": """#,
        "95 end",
        "80.01 raise failover_failed\n90.01 raise failover_failed",
    );
}

#[test]
fn the_pause_ends_to_the_moment_whatever_the_exit_status() {
    for status in ["0", "1"] {
        let script =
            format!("20.2 p unreachable\n20.2 command {status}\n80.1 p unreachable\n94.12 end");
        check(
            r#""failover_sleep_time": 14"#,
            &script,
            "run, decide wait, decide wants",
            "25.01 decide wants_fresh_facts primary_unreachable
             35.01 decide wants_fresh_facts primary_unreachable
             45.01 decide wants_fresh_facts primary_unreachable
             55.01 decide wants_fresh_facts primary_unreachable
             65.01 decide wants_fresh_facts primary_unreachable
             75.01 decide wants_fresh_facts primary_unreachable
             80.01 decide wants_fresh_facts primary_unreachable
             80.01 run promote
             90.11 decide wait pause_after_failover
             94.11 decide wants_fresh_facts primary_unreachable",
        );
    }
}

#[test]
fn no_second_command_while_one_runs() {
    after_the_loss(
        "",
        "20.2 command 0 in 45\n130 end",
        "80.01 run promote
         125.01 raise failover_has_happened
         125.01 clear replication_delay_warning",
    );
    check(
        "",
        "20.2 p unreachable\n20.2 command 0 in 45\n100 end",
        "decide promote, decide hold promotion",
        "80.01 decide promote primary_unreachable
         90.02 decide hold promotion_running",
    );
}

#[test]
fn a_reload_does_not_forget_a_running_command() {
    after_the_loss(
        "",
        "20.2 command 0 in 45\n85 reload \"failover_command\": \"other\"\n110 check\n130 end",
        "80.01 run promote
         125.01 raise failover_has_happened
         125.01 clear replication_delay_warning",
    );
}
