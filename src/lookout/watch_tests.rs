//! The alerts of diverged standbys and of a primary that comes and goes, live: everything is polled every 5 s.

use super::super::world::check;

#[test]
fn each_further_diverged_standby_is_named() {
    // A standby is ahead of an answer of the primary that was asked for later.
    check(
        "",
        "0 p primary 0/500
         0 s1 standby 0/400
         0 s2 standby 0/400
         11 s1 standby 0/900
         31 s2 standby 0/800
         51 s1 standby 0/10
         51 s2 standby 0/10
         80 end",
        "raise diverged_standby, clear diverged_standby, log of another history",
        "20.01 log of another history than the primary, rebuild it or run pg_rewind: s1
         20.01 raise diverged_standby
         40.01 log of another history than the primary, rebuild it or run pg_rewind: s1, s2
         40.01 raise diverged_standby
         60.01 clear diverged_standby",
    );
}

const LOSSES: &str = "raise primary_flapping, clear primary_flapping";

#[test]
fn a_primary_that_is_lost_three_times_within_ten_limits() {
    check(
        "",
        "22 p lost\n22 p unreachable\n40 p primary\n61 p unreachable\n80 p primary\n101 p unreachable\n120 p primary\n800 end",
        LOSSES,
        "102.01 raise primary_flapping
         702.01 clear primary_flapping",
    );
}

#[test]
fn sessions_that_are_ended_are_no_losses() {
    check(
        "",
        "22 p lost\n32 p lost\n42 p lost\n52 p lost\n62 p lost\n80 end",
        LOSSES,
        "",
    );
}
