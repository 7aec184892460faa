//! The standby that goes first cannot be promoted: another one is, or an alert reports why not.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::put_ahead;
use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::{LIMIT, note_time, script_command};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

/// `s2` goes first in every outage, and `s1` notes when it would be promoted.
struct Trial {
    fleet: Fleet,
    cluster: Cluster,
    promoting: Value,
}

impl Trial {
    fn start() -> Option<Self> {
        let cluster = Cluster::start(&["s1", "s2"])?;
        let mut fleet = Fleet::prepare(&cluster, |_, _| ());
        let s1 = &mut fleet["s1"];
        let promoting = s1.config["failover_command"].clone();
        let note = note_time(&s1.promotions_path());
        s1.config["failover_command"] = script_command(s1, "note", &note);
        fleet.start_all();
        fleet.wait_settled();
        Some(Self {
            cluster,
            fleet,
            promoting,
        })
    }

    /// The primary hangs while `s2` is ahead, until `is_over`, and answers again.
    fn outage(&mut self, what: &str, is_over: impl Fn(&Fleet) -> bool) {
        self.hang();
        wait_until(what, SOON, || is_over(&self.fleet));
        self.wake();
    }

    fn hang(&mut self) {
        put_ahead(&self.cluster, "s2", &["s1"]);
        for name in ["s1", "s2"] {
            let _ = fs::remove_file(self.fleet[name].promotions_path());
        }
        self.cluster[PRIMARY].hang();
    }

    fn wake(&mut self) {
        self.cluster[PRIMARY].wake();
        let conninfo = self.cluster["s1"].conninfo_for_streaming(&self.cluster[PRIMARY].host);
        self.cluster["s1"].stream_from(&conninfo);
        self.cluster.wait_streaming(2);
        for name in ["s1", "s2"] {
            wait_until("the primary is reached", SOON, || {
                self.fleet[name].state()[PRIMARY]["connection"] == true
            });
        }
    }

    fn set_command(&mut self, command: Value) {
        self.fleet["s2"].config["failover_command"] = command;
        self.fleet["s2"].reload();
    }

    /// The command that notes the time, and these lines.
    fn script(&self, lines: &str) -> Value {
        let daemon = &self.fleet["s2"];
        let note = note_time(&daemon.promotions_path());
        script_command(daemon, "broken", &format!("{note}{lines}\n"))
    }
}

fn s1_promotes(fleet: &Fleet) -> bool {
    !fleet["s1"].promotions().is_empty()
}

#[test]
fn another_is_promoted_where_the_one_that_goes_first_steps_aside() {
    let Some(mut trial) = Trial::start() else {
        return;
    };
    let maintenance = trial.fleet["s2"].path("maintenance");
    fs::write(&maintenance, "").unwrap();
    trial.outage("s1 for s2 in maintenance", s1_promotes);
    assert_eq!(trial.fleet["s2"].promotions(), [] as [f64; 0]);
    trial.fleet["s2"].wait_alert("failover_failed", "maintenance");
    fs::remove_file(&maintenance).unwrap();

    let promoting = trial.fleet["s2"].config["failover_command"].clone();
    trial.set_command(json!(""));
    trial.outage("s1 for s2 without a command", s1_promotes);
    trial.set_command(json!("/nowhere/promote"));
    trial.outage("s1 for s2 whose command is missing", s1_promotes);
    assert_eq!(trial.fleet["s2"].promotions(), [] as [f64; 0]);
    let failing = trial.script("exit 3");
    trial.set_command(failing);
    trial.outage("s1 for s2 whose command fails", s1_promotes);
    assert!(!trial.fleet["s2"].promotions().is_empty());
    trial.set_command(promoting);

    // Stopped for an upgrade; and this time s1 is promoted indeed.
    trial.fleet["s1"].config["failover_command"] = trial.promoting.clone();
    trial.fleet["s1"].reload();
    trial.fleet["s2"].stop();
    trial.hang();
    wait_until("s1 for s2 whose daemon is stopped", SOON, || {
        !trial.cluster["s1"].is_in_recovery()
    });
    trial.fleet.nobody_promotes_for(LIMIT);
    assert_eq!(trial.fleet.promoted(), ["s1"]);
}

#[test]
fn a_command_that_hangs_holds_others_up_until_it_is_ended_and_an_alert_reports_it() {
    let Some(mut trial) = Trial::start() else {
        return;
    };
    let hanging = trial.script("exec sleep 600");
    trial.set_command(hanging);
    trial.hang();
    trial.fleet["s1"].wait_alert("failover_stuck", "the preferred candidate is s2");
    assert_eq!(trial.fleet.promoted(), ["s2"]);
    assert!(trial.cluster["s1"].is_in_recovery());
    // An operator ends it.
    let script = trial.fleet["s2"].path("broken");
    wait_until("s1 is promoted instead", SOON, || {
        end_sleepers_beside(&script);
        s1_promotes(&trial.fleet)
    });
    trial.wake();
    wait_until("the alert is removed", SOON, || {
        !trial.fleet["s1"].has_alert("failover_stuck")
    });
}

/// Its own server turns the daemon of `s2` away and shows everybody else that it is gone.
#[test]
fn another_is_promoted_where_a_daemon_cannot_log_in_at_its_own_server() {
    let Some(mut cluster) = Cluster::start_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    put_ahead(&cluster, "s2", &["s1"]);
    let (address, hba) = (
        cluster["s2"].host.address,
        cluster["s2"].data.join("pg_hba.conf"),
    );
    let rules = fs::read_to_string(&hba).unwrap();
    let reject = format!("host all pglookout {address}/32 reject\n{rules}");
    fs::write(&hba, reject).unwrap();
    cluster["s2"].query("SELECT pg_reload_conf()");
    cluster["s2"].disconnect_daemons();
    fleet["s2"].wait_alert("authentication_error", "");
    let gone = "pglookout of s2 has disconnected from its own server";
    wait_until("s1 has noticed", SOON, || {
        fleet["s1"].state_file()["decision"]["figures"]["warnings"]
            .to_string()
            .contains(gone)
    });
    cluster[PRIMARY].kill_nine_all();
    assert_eq!(fleet.wait_promotion().0, "s1");
    fleet.nobody_promotes_for(LIMIT);
    assert_eq!(fleet.promoted(), ["s1"]);
}

/// Ends the processes of a daemon that only sleep.
fn end_sleepers_beside(script: &Path) {
    let dir = script.parent().unwrap();
    for pid in crate::harness::run_dir::processes_in(dir) {
        let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if command.trim() == "sleep" {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}
