//! Commands that end and leave something behind that keeps their output open.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::json;

use super::Trial;
use crate::harness::fleet::{note_time, script_command};
use crate::harness::run_dir::processes_in;
use crate::harness::vitals::Holdings;
use crate::harness::{Daemon, SOON, pause, wait_until};

/// More than the daemon reads on.
const RUNS: usize = 40;
/// As many are read on.
const MOST_LEFT_OPEN: usize = 16;

#[test]
fn background_processes_of_commands_delay_nothing_and_hold_a_limited_number_of_descriptors() {
    // What is held is looked at while decisions, and files with them, are written seldom.
    let [often, seldom] =
        [0.1, 3.0].map(|interval| json!({ "replication_state_check_interval": interval }));
    let Some(mut trial) = Trial::start(&seldom) else {
        return;
    };
    let before = at_rest(trial.daemon());
    trial.reload(&often);
    let script = format!(
        "{}setsid sleep 600 &\nexit 5\n",
        note_time(&trial.daemon().promotions_path())
    );
    let command = script_command(trial.daemon(), "leaving", &script);
    let tried = trial.attempt(
        &command,
        "failover_command exited with status 5",
        Duration::from_secs(1),
    );
    wait_until("many runs", 2 * SOON, || {
        trial.daemon().promotions().len() >= RUNS
    });
    // No further ones while there is nothing to promote with.
    trial.attempt(
        &json!(""),
        "failover_command is empty",
        Duration::from_secs(1),
    );
    trial.reload(&seldom);
    let expected = before.descriptors + MOST_LEFT_OPEN;
    let mut during = Holdings::of(trial.daemon());
    wait_until("it holds as many as it may", SOON, || {
        during = Holdings::of(trial.daemon());
        during.descriptors == expected && during.children.is_empty()
    });
    let runs = trial.daemon().promotions().len();
    println!(
        "the first told after {:.1?}; {runs} runs; before: {before}; then: {during}",
        tried.took
    );
    let log = trial.daemon().log();
    assert_eq!(
        log.matches("failover_command has exited; its background processes keep its output open")
            .count(),
        runs
    );
    assert_eq!(
        log.matches("closing the oldest of 17 outputs").count(),
        runs - MOST_LEFT_OPEN
    );

    for sleeper in processes_in(&trial.daemon().path(""))
        .into_iter()
        .filter(|pid| *pid != trial.daemon().pid())
    {
        let _ = kill(sleeper, Signal::SIGKILL);
    }
    wait_until("all is as before", SOON, || {
        Holdings::of(trial.daemon()).is_as(&before)
    });
    trial.promote();
}

/// What it holds between the moments in which a file is written or a name is looked up.
fn at_rest(daemon: &Daemon) -> Holdings {
    let samples = std::iter::repeat_with(|| {
        pause(50);
        Holdings::of(daemon)
    });
    let least = samples.take(20).min_by_key(|held| held.descriptors);
    least.unwrap()
}

#[test]
fn output_after_the_exit_of_a_command_is_logged_to_its_end() {
    let Some(mut trial) = Trial::start(&json!({ "replication_state_check_interval": 3.0 })) else {
        return;
    };
    let command = super::sh("(sleep 0.5; echo late; printf 'without an end') & exit 6");
    trial.attempt(
        &command,
        "failover_command exited with status 6",
        Duration::from_millis(500),
    );
    for words in ["late", "without an end"] {
        let line = format!("failover_command: {words}\n");
        wait_until("the last words are logged", SOON, || {
            trial.daemon().log().contains(&line)
        });
    }
    trial.promote();
}
