//! When the state file is written, live: a decision every second, the limit is 60 s.

use super::super::world::check;

#[track_caller]
fn saves(script: &str, expected: &str) {
    check(
        r#""replication_state_check_interval": 1, "failover_sleep_time": 0"#,
        script,
        "save",
        expected,
    );
}

#[test]
fn in_calm_the_file_is_written_four_times_in_the_limit() {
    saves(
        "1 maintenance off\n60 end",
        "15.01 save\n30.01 save\n45.01 save",
    );
}

#[test]
fn in_calm_the_file_is_never_older_than_thirty_seconds() {
    saves(
        "0 reload \"max_failover_replication_time_lag\": 600\n100 end",
        "0 save\n0.01 save\n30.01 save\n60.01 save\n90.01 save",
    );
}

#[test]
fn a_node_that_is_lost_or_found_is_written_at_once() {
    saves(
        "22 s1 unreachable\n31 s1 standby 0/50\n40 end",
        "25.01 save\n35.01 save",
    );
}

#[test]
fn a_primary_that_is_lost_is_written_at_once() {
    saves("18 p unreachable\n20.5 end", "20.01 save\n20.01 save");
}

#[test]
fn the_end_and_a_new_configuration_write_at_once() {
    saves("21 reload\n22.5 stop", "21.01 save\n22.5 save");
}
