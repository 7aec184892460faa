//! The alert of diverged standbys, live: everything is polled every 5 s.

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
