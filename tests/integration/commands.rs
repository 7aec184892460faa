//! Commands that fail, are missing, print too much, never end or leave something behind; what they
//! inherit; and how often one that fails is tried again.

mod hanging;
mod inherited;
mod left;
mod outcomes;
mod output;
mod previous;
mod spacing;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::fleet::{note_time, script_command};
use crate::harness::run_dir::processes_in;
use crate::harness::vitals::longest_unasked;
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

/// One standby whose primary is gone, and which is to be promoted by one command after another.
struct Trial {
    cluster: Cluster,
    fleet: Fleet,
    promoting: Value,
}

/// What came of a command.
struct Tried {
    /// Until the alert was raised.
    took: Duration,
    attempts: usize,
    /// What the daemon has logged meanwhile.
    log: String,
    /// The longest time for which our own node was not asked.
    unasked: Duration,
}

impl Trial {
    /// `settings` are keys of the daemon's configuration.
    fn start(settings: &Value) -> Option<Self> {
        let mut cluster = Cluster::start(&["s1"])?;
        let mut fleet = Fleet::prepare(&cluster, |_, _| ());
        let daemon = &mut fleet["s1"];
        let promoting = daemon.config["failover_command"].clone();
        // Nothing is tried before a test sets a command.
        daemon.config["failover_command"] = json!("");
        fleet.start_all();
        fleet.wait_settled();
        cluster["p"].kill_nine_all();
        fleet["s1"].wait_alert("failover_failed", "");
        let mut trial = Self {
            cluster,
            fleet,
            promoting,
        };
        trial.reload(settings);
        Some(trial)
    }

    fn daemon(&self) -> &Daemon {
        &self.fleet["s1"]
    }

    fn reload(&mut self, settings: &Value) {
        let config = self.fleet["s1"].config.as_object_mut().unwrap();
        config.extend(settings.as_object().unwrap().clone());
        self.fleet["s1"].reload();
    }

    /// Has the command tried until the alert reports `expected`, and watches for `time` whether our
    /// own node is asked.
    fn attempt(&mut self, command: &Value, expected: &str, time: Duration) -> Tried {
        let (begun, logged) = (Instant::now(), self.daemon().log().len());
        // The former command may still be at work, once.
        let least = if self.alert() == expected { 2 } else { 1 };
        self.reload(&json!({ "failover_command": command }));
        let unasked = longest_unasked(self.daemon(), &["s1"], time);
        let line = format!("promotion failed: {expected}\n");
        let attempts = |log: &str| log.matches(&line).count();
        wait_until(&format!("the alert says: {expected}"), SOON, || {
            self.alert() == expected && attempts(&self.daemon().log()[logged..]) >= least
        });
        let (took, log) = (begun.elapsed(), self.daemon().log()[logged..].to_owned());
        let attempts = attempts(&log);
        assert!(
            unasked < Duration::from_secs(2),
            "not asked for {unasked:?}"
        );
        assert!(self.fleet["s1"].is_running());
        Tried {
            took,
            attempts,
            log,
            unasked,
        }
    }

    /// What `failover_failed` reports, without its time.
    fn alert(&self) -> String {
        let text = self.daemon().alert("failover_failed").unwrap_or_default();
        text.trim_end()
            .split_once(' ')
            .map_or("", |(_, reason)| reason)
            .to_owned()
    }

    /// The command that does what it should: all is forgiven.
    fn promote(&mut self) {
        let promoting = self.promoting.clone();
        self.reload(&json!({ "failover_command": promoting }));
        self.wait_promoted();
    }

    fn wait_promoted(&mut self) {
        wait_until("the standby is promoted", SOON, || {
            !self.cluster["s1"].is_in_recovery()
        });
        wait_until("the alert is withdrawn", SOON, || {
            !self.daemon().has_alert("failover_failed")
        });
        self.daemon().wait_alert("failover_has_happened", "");
        self.fleet.nobody_promotes_for(1.0);
    }
}

/// A command that is this script.
fn sh(script: &str) -> Value {
    json!(["sh", "-c", script])
}

/// One standby whose failover command is a script with these lines, at the moment when the primary
/// has been killed.
fn with_failover_script(
    lines: &str,
    adjust: impl Fn(&mut Value),
) -> Option<(Cluster, Fleet, Value)> {
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
    let Some((cluster, mut fleet, promoting)) =
        with_failover_script("echo no such floor >&2; exit 3", |_| ())
    else {
        return;
    };
    wait_until("the command has run three times", SOON, || {
        fleet.promoted().len() >= 3
    });
    fleet["s1"].wait_alert("failover_failed", "");
    let log = fleet["s1"].log();
    assert!(
        log.contains("no such floor"),
        "the command's output is logged"
    );
    assert!(cluster["s1"].is_in_recovery());
    fleet["s1"].config["failover_command"] = promoting;
    fleet["s1"].reload();
    wait_until("the repaired command promotes", SOON, || {
        !cluster["s1"].is_in_recovery()
    });
    wait_until("the alert is withdrawn", SOON, || {
        !fleet["s1"].has_alert("failover_failed")
    });
    fleet.nobody_promotes_for(2.0);
}

#[test]
fn a_missing_command_is_reported_and_costs_nothing_else() {
    let Some((cluster, mut fleet, promoting)) = with_failover_script("", |config| {
        config["failover_command"] = json!("/nonexistent/promote now")
    }) else {
        return;
    };
    fleet["s1"].wait_alert("failover_failed", "");
    assert!(fleet["s1"].log().contains("/nonexistent/promote"));
    fleet.nobody_promotes_for(2.0);
    assert_eq!(fleet["s1"].state()["s1"]["connection"], true);
    fleet["s1"].config["failover_command"] = promoting;
    fleet["s1"].reload();
    wait_until("the repaired command promotes", SOON, || {
        !cluster["s1"].is_in_recovery()
    });
}

#[test]
fn a_hanging_command_runs_once_while_everything_else_goes_on() {
    let Some((_cluster, mut fleet, _)) = with_failover_script("exec sleep 600", |_| ()) else {
        return;
    };
    fleet.wait_promotion();
    let before = fleet["s1"].state()["s1"]["fetch_time"].clone();
    fleet.nobody_promotes_for(crate::harness::fleet::LIMIT);
    assert_ne!(fleet["s1"].state()["s1"]["fetch_time"], before);
    assert_eq!(fleet["s1"].post_check(), 204);
}

#[test]
fn a_hanging_command_is_ended_at_its_time_limit() {
    // The shell stays: what it started must end with it.
    let Some((_cluster, fleet, _)) = with_failover_script("sleep 600; true", |config| {
        config["failover_command_timeout"] = json!(1.0)
    }) else {
        return;
    };
    wait_until("the command has run again", SOON, || {
        fleet.promoted().len() >= 2
    });
    fleet["s1"].wait_alert("failover_failed", "");
    // The daemon and the child that reads its files, the shell of the latest run and its sleep.
    wait_until("nothing is left of earlier runs", SOON, || {
        processes_in(&fleet["s1"].path("")).len() <= 4
    });
}
