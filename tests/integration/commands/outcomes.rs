//! Every way in which a command can fail, and the alert about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Trial, sh};

/// A command, and what the alert must say.
type Case = (&'static str, Value, String);

#[test]
fn each_outcome_of_a_command_is_in_its_alert_and_delays_nothing() {
    let Some(mut trial) = Trial::start(&json!({ "failover_command_timeout": 0.5 })) else {
        return;
    };
    for (name, command, expected) in cases(&trial) {
        let tried = trial.attempt(&command, &expected, Duration::from_millis(800));
        let (attempts, errors) = (tried.attempts, tried.log.matches("\tERROR\t").count());
        let (took, unasked) = (tried.took, tried.unasked);
        println!(
            "{name}: told after {took:.1?}, {attempts} attempts, {unasked:.1?} unasked: {expected}"
        );
        assert!(attempts >= 1, "{}", tried.log);
        // Once for each attempt, the latest of the command before included; nothing else is wrong.
        assert!((attempts..=attempts + 1).contains(&errors), "{}", tried.log);
        if expected.contains("could not be started") || expected.ends_with("is empty") {
            let ran = trial.daemon().alert("failover_has_happened");
            assert!(
                !ran.as_ref().is_some_and(|text| text.contains(&expected)),
                "{ran:?}"
            );
        } else {
            trial
                .daemon()
                .wait_alert("failover_has_happened", &expected);
        }
    }
    trial.promote();
}

#[test]
fn a_command_that_ignores_sigterm_is_ended_by_sigkill() {
    let Some(mut trial) = Trial::start(&json!({ "failover_command_timeout": 0.5 })) else {
        return;
    };
    let expected = "failover_command timed out and was killed";
    let deaf = sh("trap '' TERM; while :; do sleep 0.1; done");
    let tried = trial.attempt(&deaf, expected, Duration::from_secs(5));
    let reported = |signal: &str| {
        tried.log.find(&format!(
            "failover_command exceeded its time limit: sending {signal}"
        ))
    };
    assert!(
        reported("SIGTERM").unwrap() < reported("SIGKILL").unwrap(),
        "{}",
        tried.log
    );
    println!(
        "ended after {:.1?}, {:.1?} unasked",
        tried.took, tried.unasked
    );
    // The limit, and five seconds.
    assert!(
        tried.took > Duration::from_millis(5_500),
        "after {:?}",
        tried.took
    );
    trial.promote();
}

fn cases(trial: &Trial) -> Vec<Case> {
    let path = |name: &str| trial.daemon().path(name);
    let script = path("plain");
    fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let not_started = |name: &'static str, program: String, reason: &str| {
        (
            name,
            json!([program, "now"]),
            format!("failover_command could not be started: {program}: {reason}"),
        )
    };
    let ended =
        |name, script: &str, how: &str| (name, sh(script), format!("failover_command {how}"));
    let (missing, forbidden) = (
        "No such file or directory (os error 2)",
        "Permission denied (os error 13)",
    );
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    vec![
        ("empty", json!(""), "failover_command is empty".to_owned()),
        ("null", Value::Null, "failover_command is empty".to_owned()),
        (
            "no words",
            json!([]),
            "failover_command is empty".to_owned(),
        ),
        not_started("missing", text("nowhere/promote"), missing),
        not_started("not on PATH", "promote-that-nobody-has".to_owned(), missing),
        not_started("not executable", text("plain"), forbidden),
        not_started("a directory", text("alerts"), forbidden),
        not_started(
            "below a file",
            text("plain/promote"),
            "Not a directory (os error 20)",
        ),
        ended("fails", "exit 3", "exited with status 3"),
        ended(
            "what it calls is missing",
            "promote-that-nobody-has",
            "exited with status 127",
        ),
        ended("killed", "kill -KILL $$", "was killed by signal 9"),
        ended("crashed", "kill -SEGV $$", "was killed by signal 11"),
        ended("hangs", "sleep 600; true", "timed out and was killed"),
        ended(
            "hangs and reads",
            "cat; exec sleep 600",
            "timed out and was killed",
        ),
        ended(
            "ends well when told to end",
            "trap 'exit 0' TERM; sleep 600 & wait",
            "timed out and was killed",
        ),
        ended(
            "closes its output",
            "exec >&- 2>&-; exit 4",
            "exited with status 4",
        ),
        ended("stops itself", "kill -STOP $$", "timed out and was killed"),
    ]
}
