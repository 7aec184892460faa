//! When this node (s2) follows, live: the look at its settings, the restart, and what holds either
//! up.

use super::super::world::check;

const ON: &str = r#""autofollow": true, "pg_start_command": "start", "pg_stop_command": "stop",
    "primary_conninfo_template": "user=r", "pg_data_directory": "/data""#;

/// Follows what is done about following, with `settings` on top of those that switch it on.
#[track_caller]
fn follows(settings: &str, script: &str, expected: &str) {
    let comma = if settings.is_empty() { "" } else { ", " };
    check(
        &format!("{ON}{comma}{settings}"),
        script,
        "follow, run, raise cannot",
        expected,
    );
}

/// From 20 s on the primary is s1, and p is gone.
const SWITCHED: &str = "20 p unreachable\n20 s1 primary\n";

#[test]
fn the_first_sight_of_a_primary_is_looked_at() {
    follows(
        "",
        "0 follow unchanged\n40 end",
        "0.01 follow p by user=r host=p",
    );
    follows(
        "",
        "0 follow changed\n40 end",
        "0.01 follow p by user=r host=p
         0.03 run stop
         0.13 run start",
    );
}

#[test]
fn a_new_primary_is_followed_once() {
    follows(
        "",
        &format!("19 follow changed\n{SWITCHED}60 end"),
        "20.01 follow s1 by user=r host=s1
         20.03 run stop
         20.13 run start",
    );
}

#[test]
fn a_primary_that_only_an_observer_reaches_is_followed_once_we_reach_it() {
    follows(
        r#""observers": {"o1": "http://o1"}"#,
        "19 o1 sees s1\n20 p unreachable\n20 s1 unreachable\n50 s1 primary\n70 end",
        "50.01 follow s1 by user=r host=s1
         50.03 run stop
         50.13 run start",
    );
}

#[test]
fn a_reload_looks_again_and_only_while_it_is_on() {
    follows(
        "",
        "21 follow unchanged\n21 reload \"pg_stop_command\": \"halt\"\n35 end",
        "21.01 follow p by user=r host=p",
    );
    follows(
        "",
        &format!("19 reload \"autofollow\": false\n{SWITCHED}60 end"),
        "",
    );
    check("", &format!("19 end\n{SWITCHED}60 end"), "follow", "");
}

#[test]
fn settings_that_cannot_be_looked_at_are_tried_at_each_regular_decision() {
    follows(
        "",
        &format!("19 follow failed\n{SWITCHED}35 follow changed\n60 end"),
        "20.01 follow s1 by user=r host=s1
         30.01 follow s1 by user=r host=s1
         40.01 follow s1 by user=r host=s1
         40.03 run stop
         40.13 run start",
    );
}

#[test]
fn a_look_that_never_came_back_leaves_a_restart_owed() {
    follows(
        "",
        &format!("19 follow unknown\n{SWITCHED}25 follow unchanged\n45 end"),
        "20.01 follow s1 by user=r host=s1
         30.01 follow s1 by user=r host=s1
         30.03 run stop
         30.13 run start",
    );
}

#[test]
fn start_is_run_though_stop_failed_and_both_are_repeated() {
    follows(
        "",
        &format!("19 command 1\n{SWITCHED}25 follow unchanged\n35 command 0\n60 end"),
        "20.01 follow s1 by user=r host=s1
         20.03 run stop
         20.13 run start
         30.01 follow s1 by user=r host=s1
         30.03 run stop
         30.13 run start
         40.01 follow s1 by user=r host=s1
         40.03 run stop
         40.13 run start",
    );
    check(
        ON,
        &format!("19 command 1\n{SWITCHED}25 end"),
        "log pg",
        "20.13 log pg_stop_command exited with status 1
         20.23 log pg_start_command exited with status 1",
    );
}

#[test]
fn news_of_the_own_server_do_not_hurry_the_repetition() {
    // The restart was over at 20.23, and is owed; a decision was due at 21.
    follows(
        "",
        &format!(
            "19 command 1\n{SWITCHED}21 s2 lost\n22 s2 unreachable\n22.5 s2 lost\n23 s2 standby\n36 end"
        ),
        "20.01 follow s1 by user=r host=s1
         20.03 run stop
         20.13 run start
         27.51 follow s1 by user=r host=s1
         27.53 run stop
         27.63 run start",
    );
}

#[test]
fn a_restart_that_takes_its_time_holds_nothing_up() {
    follows(
        "",
        &format!("19 command 0 in 30\n{SWITCHED}55 end"),
        "20.01 follow s1 by user=r host=s1
         20.03 run stop
         50.03 run start",
    );
    // Another change meanwhile is followed afterwards, by a reload's commands.
    follows(
        "",
        &format!(
            "19 command 0 in 10\n{SWITCHED}25 s1 unreachable\n25 p primary\n26 reload \"pg_start_command\": \"go\"\n75 end"
        ),
        "20.01 follow s1 by user=r host=s1
         20.03 run stop
         30.03 run start
         46.01 follow s1 by user=r host=s1
         46.03 run stop
         56.03 run go",
    );
}

#[test]
fn no_primary_that_was_is_started_beside_the_new_one() {
    // It was the primary, died, and has been told of the new one.
    follows(
        "",
        "20 p unreachable\n20 s2 primary\n30 s2 unreachable\n40 s1 primary\n60 s2 primary\n80 end",
        "40.01 raise cannot_follow",
    );
}

#[test]
fn a_former_primary_that_was_made_a_standby_follows() {
    follows(
        "",
        "20 p unreachable\n20 s2 primary\n30 s2 unreachable\n40 s1 primary\n60 s2 standby\n80 end",
        "40.01 raise cannot_follow
         60.01 follow s1 by user=r host=s1
         60.03 run stop
         60.13 run start",
    );
}

#[test]
fn files_that_name_no_standby_are_refused_once() {
    follows(
        "",
        &format!("19 follow nostandby\n{SWITCHED}45 end"),
        "20.01 follow s1 by user=r host=s1
         20.03 raise cannot_follow
         30.01 follow s1 by user=r host=s1
         40.01 follow s1 by user=r host=s1",
    );
}

#[test]
fn a_node_that_has_not_reported_its_role_waits() {
    follows(
        "",
        "0 s2 unreachable\n0 follow unchanged\n12 s2 standby\n30 end",
        "15.01 follow p by user=r host=p",
    );
}

#[test]
fn a_primary_that_was_lost_meanwhile_is_not_followed_before_it_is_back() {
    follows(
        "",
        "0 s2 unreachable\n0 follow unchanged\n8 p unreachable\n8.5 s2 standby\n30 p primary\n50 end",
        "30.01 follow p by user=r host=p",
    );
}

#[test]
fn nothing_is_prepared_while_this_node_is_being_promoted() {
    // The failover command takes 20 s; meanwhile a reload asks for a look.
    follows(
        "",
        "20.2 p unreachable\n20.2 command 1 in 20\n85 reload \"poll_timeout\": 4\n99 end",
        "80.01 run promote",
    );
}

#[test]
fn a_promotion_that_began_during_the_look_goes_first() {
    follows(
        "\"replication_state_check_interval\": 40",
        "0 follow failed\n20.2 p unreachable\n79.9 follow changed in 3\n79.9 command 0 in 5\n
         80 s1 standby\n83.5 s2 primary\n99 end",
        "0.01 follow p by user=r host=p
         25.01 follow p by user=r host=p
         65.01 follow p by user=r host=p
         80.01 follow p by user=r host=p
         80.01 run promote",
    );
}

#[test]
fn a_restart_of_the_daemon_looks_again() {
    follows(
        "",
        "21 follow unchanged\n21 restart\n35 end",
        "21.01 follow p by user=r host=p",
    );
}

#[test]
fn a_restart_that_a_former_process_owes_is_made() {
    // Ended during the look, between stop and start, and afterwards.
    let script = |ended| {
        format!("19 command 0 in 3\n{SWITCHED}{ended} follow unchanged\n{ended} restart\n34 end")
    };
    follows(
        "",
        &script("20.02"),
        "20.01 follow s1 by user=r host=s1
         20.03 follow s1 by user=r host=s1
         20.05 run stop
         23.05 run start",
    );
    follows(
        "",
        &script("21"),
        "20.01 follow s1 by user=r host=s1
         20.03 run stop
         21.01 follow s1 by user=r host=s1
         21.03 run stop
         24.03 run start",
    );
    follows(
        "",
        &script("27"),
        "20.01 follow s1 by user=r host=s1
         20.03 run stop
         23.03 run start
         27.01 follow s1 by user=r host=s1",
    );
}

#[test]
fn a_primary_without_a_host_is_an_error_that_is_logged_once() {
    check(
        &format!(r#"{ON}, "remote_conns": {{"p": "port=1", "s1": "host=s1", "s2": "host=s2"}}"#),
        "0 p primary\n45 end",
        "follow, log cannot follow",
        "0.01 log cannot follow the new primary yet: remote_conns.p names no host",
    );
}
