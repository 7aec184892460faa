//! Commands that print more than anybody reads.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Trial, sh};
use crate::harness::vitals::{longest_unasked, peak_kib};
use crate::harness::{SOON, wait_until};

/// What is printed, and the exit status by which it is known.
const CASES: [(&str, &str, i32); 5] = [
    (
        "100 MB on each output",
        "yes out | head -c 100000000; yes err | head -c 100000000 >&2",
        41,
    ),
    (
        "200 MB in long lines",
        "yes \"$(printf %02000d 7)\" | head -c 200000000",
        42,
    ),
    (
        "200 MB without an end of line",
        "head -c 200000000 /dev/zero | tr '\\0' x >&2",
        43,
    ),
    ("200 MB of NUL", "head -c 200000000 /dev/zero", 44),
    (
        "200 MB of escapes",
        r#"yes "$(printf '\033[2J\033]0;title\007\r\001\377')" | head -c 200000000"#,
        45,
    ),
];

/// So far apart that each of the cases is one attempt, or hardly more.
fn seldom() -> Value {
    json!({ "replication_state_check_interval": 3.0 })
}

#[test]
fn two_hundred_megabytes_are_read_bounded_and_not_kept() {
    let Some(mut trial) = Trial::start(&seldom()) else {
        return;
    };
    for (name, script, status) in CASES {
        let before = peak_kib(trial.daemon());
        let script = format!("{script}\necho said; exit {status}");
        let tried = trial.attempt(
            &sh(&script),
            &format!("failover_command exited with status {status}"),
            WATCHED,
        );
        let growth = peak_kib(trial.daemon()).saturating_sub(before);
        let lines = tried.log.matches("\tINFO\tfailover_command: ").count();
        println!(
            "{name}: told after {:.1?}, {} attempts, {lines} lines, {} bytes of log, peak memory + {growth} KiB, {:.1?} unasked",
            tried.took,
            tried.attempts,
            tried.log.len(),
            tried.unasked
        );
        assert!(growth < 2 << 10, "memory grew by {growth} KiB");
        assert!(lines <= 2_001 * tried.attempts, "{lines} lines");
        assert!(
            tried.log.len() < MOST_LOG * tried.attempts,
            "{} bytes of log",
            tried.log.len()
        );
        let forged = |character: char| character.is_control() && !matches!(character, '\t' | '\n');
        assert!(
            !tried.log.contains(forged),
            "a control character is in the log"
        );
    }
    // As if nothing were there: the exit status counts.
    let promote = trial.promoting[1].as_str().unwrap().to_owned();
    let flood = sh(&format!(
        "yes out | head -c 100000000; yes err | head -c 100000000 >&2; exec sh '{promote}'"
    ));
    trial.reload(&json!({ "failover_command": flood }));
    trial.wait_promoted();
}

#[test]
fn who_goes_on_printing_for_ever_is_read_and_not_listened_to() {
    let Some(mut trial) = Trial::start(&seldom()) else {
        return;
    };
    let expected = "failover_command exited with status 46";
    // Of the second attempt on nothing is left running, so that there is one.
    let mark = trial.daemon().path("printing").display().to_string();
    let script = format!("[ -e '{mark}' ] || {{ setsid yes endless & }}; touch '{mark}'; exit 46");
    trial.attempt(&sh(&script), expected, Duration::from_millis(500));
    let (before, logged, begun) = (
        peak_kib(trial.daemon()),
        trial.daemon().log().len(),
        Instant::now(),
    );
    let cpu = crate::harness::vitals::cpu_time(trial.daemon());
    let unasked = longest_unasked(trial.daemon(), &["s1"], WATCHED);
    let used = crate::harness::vitals::cpu_time(trial.daemon()) - cpu;
    let (growth, bytes) = (
        peak_kib(trial.daemon()).saturating_sub(before),
        trial.daemon().log().len() - logged,
    );
    println!(
        "watched for {:.1?}: {bytes} bytes of log, peak memory + {growth} KiB, {used:.1?} of CPU time, {unasked:.1?} unasked",
        begun.elapsed()
    );
    assert!(unasked < Duration::from_secs(2) && growth < 1 << 10);
    assert!(used < WATCHED / 2, "it keeps the daemon busy");
    let log = trial.daemon().log();
    assert!(
        log.matches("failover_command: endless").count() <= 2_000,
        "{} bytes of log",
        log.len()
    );
    assert_eq!(
        log.matches("failover_command has exited; its background processes keep its output open")
            .count(),
        1
    );
    assert_eq!(trial.daemon().post_check(), 204);
    trial.promote();
    wait_until("it prints on", SOON, || trial.daemon().post_check() == 204);
}

/// For so long the other nodes are watched meanwhile.
const WATCHED: Duration = Duration::from_secs(3);
/// Of one attempt: 256 KiB of lines, escaped four to one, and their beginnings.
const MOST_LOG: usize = 2 << 20;
