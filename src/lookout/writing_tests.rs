//! When a primary counts as one that does not write, live: polled every 5 s, the warning limit is
//! 30 s.

use super::super::world::check;

#[track_caller]
fn alerts(script: &str, expected: &str) {
    let watched = "raise primary_not_writing, clear primary_not_writing";
    check(
        "",
        &format!("1 p primary 0/100\n{script}"),
        watched,
        expected,
    );
}

#[test]
fn a_position_that_stands_still_for_the_warning_limit_is_an_alert_until_it_moves() {
    alerts(
        "20.2 p primary 0/200\n90 p primary 0/201\n115 end",
        "60.01 raise primary_not_writing
         90.01 clear primary_not_writing",
    );
}

#[test]
fn a_position_that_moves_in_time_is_none() {
    alerts(
        "20.2 p primary 0/200\n48 p primary 0/201\n75 p primary 0/202\n100 end",
        "",
    );
}

#[test]
fn a_position_that_never_moved_is_none() {
    check("", "1 p primary\n120 end", "raise primary_not", "");
}

#[test]
fn time_without_an_answer_does_not_count() {
    let outage = "20.2 p primary 0/200\n38 p unreachable\n58 p primary 0/200";
    alerts(&format!("{outage}\n82 p primary 0/201\n110 end"), "");
    alerts(
        &format!("{outage}\n110 end"),
        "90.01 raise primary_not_writing",
    );
}

#[test]
fn the_alert_outlives_a_restart() {
    alerts(
        "20.2 p primary 0/200\n70 restart\n101 p primary 0/201\n130 end",
        "60.01 raise primary_not_writing
         110.01 clear primary_not_writing",
    );
}
