//! A daemon that is restarted in mid-outage promotes neither early nor never, and runs no command
//! twice. The primary was last reached at 20.01, the limit is 60 s.

use super::world::check;

/// What follows the loss of p at 20.2.
#[track_caller]
fn after_the_loss(settings: &str, script: &str, expected: &str) {
    check(
        settings,
        &format!("20.2 p unreachable\n{script}"),
        "run, raise, clear failover",
        expected,
    );
}

const ONE_PROMOTION: &str = "80.01 run promote\n80.11 raise failover_has_happened";

#[test]
fn restarts_at_any_moment_neither_hurry_nor_delay_the_promotion() {
    for restarts in ["40 restart", "40 restart\n60 restart"] {
        after_the_loss(
            "",
            &format!("{restarts}\n80.105 s2 primary\n300 end"),
            ONE_PROMOTION,
        );
    }
    // Polled in another beat, so that the facts are asked for anew when the limit is over.
    for restarts in [
        "25.02 restart",
        "26 restart\n26.001 restart\n26.3 restart\n64 restart",
    ] {
        after_the_loss(
            "",
            &format!("{restarts}\n80.115 s2 primary\n300 end"),
            "80.02 run promote\n80.12 raise failover_has_happened",
        );
    }
    // The former process had not noticed anything: it might have reached p until its end.
    after_the_loss(
        "",
        "21 restart\n81.105 s2 primary\n300 end",
        "81.01 run promote\n81.11 raise failover_has_happened",
    );
    // Nodes have just changed for a new process: it waits the 15 s of
    // `missing_master_from_config_timeout`.
    after_the_loss(
        "",
        "79.9 restart\n95 s2 primary\n300 end",
        "94.91 run promote\n95.01 raise failover_has_happened",
    );
}

#[test]
fn a_boot_of_the_machine_begins_the_wait_anew() {
    after_the_loss(
        "",
        "50 restart elsewhere\n110.1 s2 primary\n300 end",
        "110.01 run promote\n110.11 raise failover_has_happened",
    );
}

/// Both standbys are on the timeline before that of p, and received nothing while p was known.
#[test]
fn a_boot_of_the_machine_does_not_shorten_the_life_of_a_primary() {
    for (lost, end, expected) in [("40.2", 101, "100.01 run promote"), ("80.2", 300, "")] {
        check(
            "",
            &format!(
                "0 p primary timeline 2\n0 s1 standby 0/50 timeline 1\n0 s2 standby 0/50 timeline 1\n\
                 30 restart elsewhere\n{lost} p unreachable\n{end} end"
            ),
            "run",
            expected,
        );
    }
}

#[test]
fn after_a_success_nothing_is_run_before_our_own_node_was_asked() {
    // The server takes a while to become the primary, and to answer at all.
    after_the_loss(
        "",
        "80.105 s2 unreachable\n80.2 restart\n85 s2 primary\n85 s2 lost\n300 end",
        "80.01 run promote
         80.11 raise failover_has_happened
         80.21 raise replication_delay_warning
         80.21 run warn",
    );
    // It is still a standby: not sooner than the former process would have asked again.
    after_the_loss("", "80.2 restart\n90.05 s2 primary\n300 end", ONE_PROMOTION);
}

#[test]
fn a_pause_after_the_command_survives_the_restart() {
    check(
        r#""failover_sleep_time": 40, "failover_command": "other""#,
        "20.2 p unreachable\n20.2 command 1\n85 restart\n122 end",
        "run, decide wait",
        "80.01 run other
         85 decide wait pause_after_failover
         85.01 decide wait pause_after_failover
         95.01 decide wait pause_after_failover
         105.01 decide wait pause_after_failover
         115.01 decide wait pause_after_failover
         120.12 run other",
    );
}

#[test]
fn a_command_that_may_still_run_is_given_its_time() {
    after_the_loss(
        "",
        "20.2 command 0 in 45\n85 restart\n109 s2 primary\n300 end",
        "80.01 run promote",
    );
    // It died with the daemon: 30 s after its beginning another is run.
    check(
        "",
        "20.2 p unreachable\n20.2 command 0 in 45\n85 restart\n112 end",
        "run",
        "80.01 run promote\n110.01 run promote",
    );
    check(
        r#""failover_command_timeout": 20"#,
        "20.2 p unreachable\n20.2 command 0 in 19\n85 restart\n101 end",
        "run",
        "80.01 run promote\n100.01 run promote",
    );
    // After a boot of the machine it runs no more, but the contact counts as just now.
    check(
        "",
        "20.2 p unreachable\n20.2 command 0 in 45\n85 restart elsewhere\n150 end",
        "run",
        "80.01 run promote\n145.01 run promote",
    );
}

#[test]
fn a_command_that_is_seen_to_run_is_waited_for_and_no_longer() {
    // Longer than the 30 s, over two restarts. It has done its work.
    after_the_loss(
        "",
        "20.2 command 0 in 45\n85 restart watching\n100 restart watching\n124 s2 primary\n300 end",
        "80.01 run promote\n125.01 raise failover_has_happened",
    );
    // It has not: the next one is run when our own node was asked, at the next regular decision.
    check(
        "",
        "20.2 p unreachable\n20.2 command 0 in 45\n85 restart watching\n142 end",
        "run, raise",
        "80.01 run promote
         125.01 raise failover_has_happened
         135.02 run promote",
    );
    // It had ended before: nobody waits for it.
    check(
        "",
        "20.2 p unreachable\n20.2 command 0 in 45\n85 restart gone\n105 end",
        "run, raise",
        "80.01 run promote
         85 raise failover_has_happened
         100.01 run promote",
    );
    // A success is no run that is watched.
    after_the_loss(
        "",
        "80.2 restart gone\n90.05 s2 primary\n300 end",
        ONE_PROMOTION,
    );
}

#[test]
fn while_a_previous_command_may_be_at_work_everything_but_a_promotion_goes_on() {
    // s1 is promoted by its own daemon meanwhile: that is seen at once, not when 30 s are over.
    check(
        "",
        "20.2 p unreachable\n20.2 command 0 in 45\n85 restart\n101 s1 primary\n109 end",
        "run, log the primary is, decide hold previous",
        "80.01 run promote
         100.01 decide hold previous_command
         105.01 log the primary is now s1 (previously: p)",
    );
}

#[test]
fn a_later_success_removes_the_alert_of_a_former_process() {
    after_the_loss(
        "",
        "20.2 command 3\n82 restart\n82 command 0\n97.3 s2 primary\n300 end",
        "80.01 run promote
         80.11 raise failover_has_happened
         80.11 raise failover_failed
         97.01 run promote
         97.11 raise failover_has_happened
         97.11 clear failover_failed",
    );
}

#[test]
fn a_standby_that_is_cut_off_and_restarted_counts_those_it_knew() {
    // It reaches nobody but itself: one of three votes.
    check(
        "",
        "20.2 p unreachable\n20.2 s1 unreachable\n40 restart\n89 end",
        "run, decide hold no_quorum",
        "80.01 decide hold no_quorum",
    );
    check(
        "",
        "20.2 p unreachable\n20.2 s1 unreachable\n40 restart\n90 restart\n300 end",
        "run",
        "",
    );
    // Nor does it forget one that was left out of the configuration by mistake, with or without a
    // restart meanwhile.
    let (without, with) = (
        r#""p": "host=p", "s2": "host=s2""#,
        r#""p": "host=p", "s1": "host=s1", "s2": "host=s2""#,
    );
    for meanwhile in ["", "42 restart\n", "42 restart elsewhere\n"] {
        let left_out = format!(
            "20.2 p unreachable\n20.2 s1 unreachable\n40 reload \"remote_conns\": {{{without}}}\n{meanwhile}\
             45 reload \"remote_conns\": {{{with}}}\n300 end"
        );
        check("", &left_out, "run", "");
    }
}

#[test]
fn the_process_of_a_running_command_is_saved_and_no_longer_than_it_runs() {
    check(
        "",
        "20 command 0 in 3\n20.2 p unreachable\n90 end",
        "run, save process, raise",
        "80.01 run promote
         80.01 save process
         83.01 raise failover_has_happened",
    );
}

#[test]
fn a_state_file_that_is_older_than_the_limit_proves_nothing() {
    // The primary may have lived all the time: the wait begins anew with the process.
    check(
        "",
        "20.2 p unreachable\n21 restart after 70\n155 end",
        "run",
        "151.01 run promote",
    );
    // A younger one is evidence.
    check(
        "",
        "20.2 p unreachable\n30 restart after 30\n85 end",
        "run",
        "80.01 run promote",
    );
}

#[test]
fn a_candidate_that_went_first_and_is_lost_is_waited_for_over_a_restart() {
    // s1 may be restarting its server in the middle of its promotion.
    let first = r#""failover_priorities": {"s1": 1}"#;
    for restart in ["", "92 restart\n"] {
        let script = format!("20.2 p unreachable\n82 s1 unreachable\n{restart}200 end");
        check(first, &script, "run", "");
    }
}
