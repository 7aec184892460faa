//! The pause of the cluster: set here or shown by others, kept over a restart, ended by an operator
//! or by its time.

use super::world::check;

#[track_caller]
fn runs(script: &str, expected: &str) {
    check("", script, "run, log the cluster, log the pause", expected);
}

/// All is well, and at 20 s the primary is gone.
const LOST: &str = "20 p unreachable\n";

#[test]
fn a_paused_cluster_has_no_failover_until_it_is_resumed() {
    runs(
        &format!("10 pause 1\n{LOST}100 pause 2\n109 end"),
        "10 log the cluster is paused (set on this host): no failover
         100 log the cluster is not paused any more (set on this host)
         100.01 run promote",
    );
}

#[test]
fn a_pause_that_another_daemon_shows_counts_and_is_passed_on() {
    let (paused, resumed) = (
        "s1 standby 0/50 shows s1=ok+1",
        "s1 standby 0/50 shows s1=ok+2",
    );
    let script = format!("10 {paused}\n{LOST}100 {resumed}\n109 end");
    check(
        "",
        &script,
        "run, log the cluster, session s1",
        "10.01 log the cluster is paused (shown by pglookout on s1): no failover
         15 session s1 ok+1
         100.01 log the cluster is not paused any more (shown by pglookout on s1)
         100.1 session s1 wants@0/5000000
         100.11 run promote
         100.2 session s1 promoting+2",
    );
}

#[test]
fn a_pause_ends_by_its_time() {
    runs(
        &format!("10 pause 1.{ONE_MINUTE}\n{LOST}84 end"),
        "10 log the cluster is paused until 2024-01-01T00:01:00Z (set on this host): no failover
         60.01 log the pause of the cluster has ended
         75.01 run promote",
    );
}

#[test]
fn a_pause_outlives_the_process() {
    runs(
        &format!("10 pause 1\n12 restart here\n{LOST}90 pause 2\n99 end"),
        "10 log the cluster is paused (set on this host): no failover
         12 log the cluster is still paused: no failover
         90 log the cluster is not paused any more (set on this host)
         90.01 run promote",
    );
}

#[test]
fn an_older_mark_changes_nothing() {
    let older = "11 pause 1\n12 s1 standby 0/50 shows s1=ok+1\n";
    runs(
        &format!("10 pause 2\n{older}{LOST}84 end"),
        "75.11 run promote",
    );
}

#[test]
fn an_observer_leaves_the_pause_of_a_cluster_to_its_daemons() {
    let script = format!("10 s1 standby 0/50 shows s1=ok+1\n{LOST}110 end");
    check(
        r#""own_db": null"#,
        &script,
        "log the cluster, session s1",
        "",
    );
}

#[test]
fn a_paused_cluster_has_no_restart_to_follow() {
    let settings = r#""autofollow": true, "pg_start_command": "start", "pg_stop_command": "stop",
        "primary_conninfo_template": "user=r", "pg_data_directory": "/data""#;
    let script = format!("9 follow changed\n10 pause 1\n{LOST}20 s1 primary\n50 pause 2\n60 end");
    check(
        settings,
        &script,
        "follow, run",
        "50 follow s1 by user=r host=s1
         50.02 run stop
         50.12 run start",
    );
}

#[test]
fn a_paused_primary_is_not_isolated() {
    let settings =
        r#""own_db": "p", "isolated_primary_command": "fence", "isolated_primary_timeout": 20"#;
    let alone = "20 s1 unreachable\n20 s2 unreachable\n";
    check(
        settings,
        &format!("10 pause 1\n{alone}60 pause 2\n79 end"),
        "run",
        "",
    );
    check(
        settings,
        &format!("10 pause 1\n{alone}60 pause 2\n90 end"),
        "run",
        "80 run fence",
    );
}

/// 2024-01-01T00:01:00Z, 60 s after the beginning, as a mark has it.
const ONE_MINUTE: &str = "gwqg1";
