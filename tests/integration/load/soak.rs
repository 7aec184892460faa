//! A day of faults in two minutes: as many polls and decisions as a day has at the default
//! intervals, and more faults than a bad one. `PGLOOKOUT_SOAK_SECONDS=120` is the whole day,
//! `PGLOOKOUT_SOAK_SEED=n` another one.

use std::time::{Duration, Instant};

use super::day::Day;
use crate::harness::vitals::{Holdings, cpu_time, peak_kib};

/// Polls of one node in 24 hours, every five seconds.
const POLLS_OF_A_DAY: u64 = 17_280;
/// In so many seconds.
const WHOLE_DAY: u64 = 120;

#[test]
fn after_a_day_of_faults_the_daemon_holds_what_it_held_before() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let (seconds, seed) = (
        number("PGLOOKOUT_SOAK_SECONDS", 10),
        number("PGLOOKOUT_SOAK_SEED", 1),
    );
    println!("seed {seed}");
    let mut day = Day::begin(seed);
    let before = [day.rest_after(SHORT, 0), day.rest_after(SHORT, 0)];
    let begun = Instant::now();
    let after = day.rest_after(
        Duration::from_secs(seconds),
        POLLS_OF_A_DAY * seconds / WHOLE_DAY,
    );
    println!("{:.1?} of faults, and those before: {day}", begun.elapsed());
    let after = [after, day.rest_after(SHORT, 0)];
    println!(
        "before: {}; {}\nafter:  {}; {}",
        before[0], before[1], after[0], after[1]
    );
    println!(
        "peak memory {} KiB; {:.1?} of CPU time",
        peak_kib(&day.daemon),
        cpu_time(&day.daemon)
    );
    assert!(
        after
            .iter()
            .chain(&before)
            .all(|rest| rest.is_as(&before[0])),
        "{before:?}\n{after:?}"
    );
    // From one rest to the next memory goes up and down by up to 900 KiB, as the allocator gives
    // back what is free when it lies at an end; what has leaked stays.
    let rss = |rests: &[Holdings; 2]| rests.each_ref().map(|rest| rest.rss_kib);
    let (highest, lowest) = (
        rss(&before).into_iter().max().unwrap(),
        rss(&after).into_iter().min().unwrap(),
    );
    assert!(
        lowest < highest + MOST_GROWTH_KIB,
        "from {highest} to {lowest} KiB"
    );
    assert_eq!(day.daemon.post_check(), 204);
}

/// Before the first rests, most kinds of faults have happened and every buffer that is kept is as
/// large as it gets.
const SHORT: Duration = Duration::from_secs(2);
/// Of memory: over the 90,000 polls of a whole day a leak of 12 bytes each would be seen.
const MOST_GROWTH_KIB: u64 = 1 << 10;
