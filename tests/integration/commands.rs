//! Failover commands that fail, are missing, or never end.

use serde_json::{Value, json};

use crate::harness::fleet::{LIMIT, note_time, script_command};
use crate::harness::run_dir::processes_in;
use crate::harness::{Cluster, Fleet, SOON, wait_until};

/// One standby whose failover command is a script with these lines, at the moment when the primary has been killed.
fn with_failover_script(lines: &str, adjust: impl Fn(&mut Value)) -> Option<(Cluster, Fleet, Value)> {
    let mut cluster = Cluster::start(&["s1"])?;
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let daemon = &mut fleet["s1"];
    let promoting = daemon.config["failover_command"].clone();
    let script = format!("{}{lines}\n", note_time(&daemon.promotions_path()));
    daemon.config["failover_command"] = script_command(daemon, "failover", &script);
    adjust(&mut daemon.config);
    fleet.start_all();
    fleet.wait_settled();
    cluster["p"].kill_nine_all();
    Some((cluster, fleet, promoting))
}

#[test]
fn a_failing_command_is_reported_and_tried_again() {
    let Some((cluster, mut fleet, promoting)) = with_failover_script("echo no such floor >&2; exit 3", |_| ()) else {
        return;
    };
    wait_until("the command has run three times", SOON, || fleet.promoted().len() >= 3);
    assert!(fleet["s1"].has_alert("failover_failed"));
    let log = fleet["s1"].log();
    assert!(log.contains("no such floor"), "the command's output is logged");
    assert!(cluster["s1"].is_in_recovery());
    fleet["s1"].config["failover_command"] = promoting;
    fleet["s1"].reload();
    wait_until("the repaired command promotes", SOON, || !cluster["s1"].is_in_recovery());
    wait_until("the alert is withdrawn", SOON, || !fleet["s1"].has_alert("failover_failed"));
    fleet.nobody_promotes_for(2.0);
}

#[test]
fn a_missing_command_is_reported_and_costs_nothing_else() {
    let Some((cluster, mut fleet, promoting)) =
        with_failover_script("", |config| config["failover_command"] = json!("/nonexistent/promote now"))
    else {
        return;
    };
    wait_until("the failure is reported", SOON, || fleet["s1"].has_alert("failover_failed"));
    assert!(fleet["s1"].log().contains("/nonexistent/promote"));
    fleet.nobody_promotes_for(2.0);
    assert_eq!(fleet["s1"].state()["s1"]["connection"], true);
    fleet["s1"].config["failover_command"] = promoting;
    fleet["s1"].reload();
    wait_until("the repaired command promotes", SOON, || !cluster["s1"].is_in_recovery());
}

#[test]
fn a_hanging_command_runs_once_while_everything_else_goes_on() {
    let Some((_cluster, mut fleet, _)) = with_failover_script("exec sleep 600", |_| ()) else { return };
    fleet.wait_promotion();
    let before = fleet["s1"].state()["s1"]["fetch_time"].clone();
    fleet.nobody_promotes_for(LIMIT);
    assert_ne!(fleet["s1"].state()["s1"]["fetch_time"], before);
    assert_eq!(fleet["s1"].post_check(), 204);
}

#[test]
fn a_hanging_command_is_ended_at_its_time_limit() {
    // The shell stays: what it started must end with it.
    let Some((_cluster, fleet, _)) =
        with_failover_script("sleep 600; true", |config| config["failover_command_timeout"] = json!(1.0))
    else {
        return;
    };
    wait_until("the command has run again", SOON, || fleet.promoted().len() >= 2);
    assert!(fleet["s1"].has_alert("failover_failed"));
    // The daemon, the shell of the latest run and its sleep.
    wait_until("nothing is left of earlier runs", SOON, || processes_in(&fleet["s1"].path("")).len() <= 3);
}
