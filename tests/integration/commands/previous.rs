//! A failover command that outlives its daemon: the next one waits for its end, and for nothing
//! else.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::with_failover_script;
use crate::harness::run_dir::processes_in;
use crate::harness::{Cluster, Fleet, SOON, wait_until};

/// The daemon is killed while its failover command runs, which is a script with these lines; here
/// it would start again. Also what promotes.
fn left_running(lines: &str, adjust: impl Fn(&mut Value)) -> Option<(Cluster, Fleet, Value)> {
    let (cluster, mut fleet, promoting) = with_failover_script(lines, adjust)?;
    fleet.wait_promotion();
    wait_until("its process is remembered", SOON, || {
        process(&fleet).is_some()
    });
    fleet["s1"].kill_nine();
    Some((cluster, fleet, promoting))
}

/// The process of the command by the state file.
fn process(fleet: &Fleet) -> Option<Pid> {
    let pid = fleet["s1"].state_file()["memory"]["failover"]["process"]["pid"].as_i64()?;
    Some(Pid::from_raw(i32::try_from(pid).unwrap()))
}

#[test]
fn one_that_runs_is_not_run_a_second_time_however_long_it_takes() {
    // Longer than it would be given if nothing were known of it.
    const TAKES: Duration = Duration::from_secs(35);
    let lines = format!("sleep {}", TAKES.as_secs());
    let Some((cluster, mut fleet, promoting)) = left_running(&lines, |_| ()) else {
        return;
    };
    fleet["s1"].config["failover_command"] = promoting;
    fleet["s1"].start();
    let begun = std::time::Instant::now();
    wait_until("it is said that it runs", SOON, || {
        fleet["s1"].log().contains("is still running (pid")
    });
    wait_until("nothing else is run", 2 * TAKES, || {
        fleet["s1"].log().contains("exit status unknown")
    });
    let waited = begun.elapsed();
    let log = fleet["s1"].log();
    let meanwhile = log.split("exit status unknown").next().unwrap();
    assert_eq!(
        meanwhile.matches("failover_command started (pid").count(),
        1,
        "{log}"
    );
    wait_until("the next one promotes", SOON, || {
        !cluster["s1"].is_in_recovery()
    });
    println!(
        "waited {waited:.1?} for the command of a former process, then promoted {:.1?} later",
        begun.elapsed() - waited
    );
    assert!(waited > TAKES - Duration::from_secs(3), "{waited:?}");
    fleet["s1"].wait_alert("failover_has_happened", "exited with status 0");
    fleet.nobody_promotes_for(1.0);
}

#[test]
fn one_that_has_ended_is_not_waited_for() {
    let Some((cluster, mut fleet, promoting)) = left_running("exec sleep 600", |_| ()) else {
        return;
    };
    killpg(process(&fleet).unwrap(), Signal::SIGKILL).unwrap();
    fleet["s1"].config["failover_command"] = promoting;
    fleet["s1"].start();
    wait_until("the next one promotes", SOON, || {
        !cluster["s1"].is_in_recovery()
    });
    assert!(fleet["s1"].log().contains(
        "failover_command of the previous pglookout process has ended, exit status unknown"
    ));
    fleet.nobody_promotes_for(1.0);
}

#[test]
fn one_that_has_promoted_meanwhile_is_not_repeated() {
    let Some((cluster, mut fleet, promoting)) = left_running("sleep 3", |_| ()) else {
        return;
    };
    let argv: Vec<String> = serde_json::from_value(promoting).unwrap();
    // As if the script went on to its promotion.
    #[expect(clippy::disallowed_methods, reason = "what the script would do")]
    let promoted = std::process::Command::new(&argv[0])
        .args(&argv[1..])
        .status()
        .unwrap();
    assert!(promoted.success());
    let before = fleet.promoted().len();
    fleet["s1"].start();
    wait_until("its end is seen", SOON, || {
        fleet["s1"].log().contains("exit status unknown")
    });
    wait_until("it is the primary", SOON, || {
        fleet["s1"].current_primary().as_deref() == Some("s1")
    });
    assert!(!cluster["s1"].is_in_recovery());
    fleet.nobody_promotes_for(3.0);
    assert_eq!(fleet.promoted().len(), before);
}

#[test]
fn one_that_runs_for_too_long_is_ended_by_the_next_process() {
    let lines = "sleep 600; true";
    let limited = |config: &mut Value| config["failover_command_timeout"] = json!(4.0);
    let Some((cluster, mut fleet, promoting)) = left_running(lines, limited) else {
        return;
    };
    fleet["s1"].config["failover_command"] = promoting;
    fleet["s1"].start();
    wait_until("the next one promotes", SOON, || {
        !cluster["s1"].is_in_recovery()
    });
    let log = fleet["s1"].log();
    assert!(
        log.contains(
            "failover_command of the previous pglookout process exceeded its time limit: sending SIGTERM"
        ),
        "{log}"
    );
    wait_until("the shell and its sleep are gone", SOON, || {
        let left = processes_in(&fleet["s1"].path(""));
        let name = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/comm"));
        let names = left.iter().map(|pid| name(pid).unwrap_or_default());
        names.into_iter().all(|name| name.starts_with("pglookout"))
    });
}
