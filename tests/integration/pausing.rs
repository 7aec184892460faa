//! `pglookout pause` and `pglookout resume`: a cluster without a failover, as all its daemons come to
//! know, on real servers.

use std::fs;
use std::process::Output;

use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::host::Account;
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

fn run(daemon: &Daemon, subcommand: &str, arguments: &[&str]) -> Output {
    let host = &daemon.host;
    let mut command = host.command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
    command.arg(subcommand).arg(daemon.config_path());
    command.args(arguments).output().unwrap()
}

/// Exit status, and both outputs.
#[track_caller]
fn ends(output: Output, exit: i32, expected: &[&str]) {
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{text}");
    for line in expected {
        assert!(text.contains(line), "{line} in:\n{text}");
    }
}

#[test]
fn a_paused_cluster_is_left_alone_until_it_is_resumed_on_another_host() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["failover_quorum"] = json!("majority");
    });
    ends(
        run(&fleet["s1"], "resume", &[]),
        0,
        &["the cluster is not paused\n"],
    );
    let reason = ["--for", "1d", "--reason", "a \"switch\" is replaced"];
    let paused = run(&fleet["s1"], "pause", &reason);
    ends(
        paused,
        0,
        &[": no failover\n", "known to pglookout on: p, s1, s2\n"],
    );
    wait_until("it is explained while all is well", SOON, || {
        let explained = run(&fleet["s2"], "explain", &[]);
        String::from_utf8_lossy(&explained.stdout)
            .contains("pause\n    the cluster is paused until ")
    });
    // Who did not run when it was set learns it from the others' sessions, and remembers it.
    fleet.iter_mut().for_each(Daemon::kill_nine);
    fleet.start_all();
    cluster[PRIMARY].kill_nine_all();
    fleet.nobody_promotes_for(9.0);
    for (node, shown) in [("s1", ": a \"switch\" is replaced"), ("s2", "until 2")] {
        let (log, state) = (fleet[node].log(), fleet[node].get("/status.json").unwrap());
        assert!(log.contains("the cluster is paused until "), "{log}");
        assert!(
            log.contains("the cluster is still paused: no failover"),
            "{log}"
        );
        let status = run(&fleet[node], "status", &[]);
        ends(
            status,
            2,
            &["failover  PAUSED", "the cluster is paused until ", shown],
        );
        assert!(state.body.contains(r#""state":"paused""#), "{}", state.body);
        let metrics = fleet[node].get("/metrics").unwrap().body;
        assert!(
            metrics.contains("pglookout_failover_state{state=\"paused\"} 1"),
            "{metrics}"
        );
        let explained = run(&fleet[node], "explain", &[]);
        ends(
            explained,
            0,
            &["the cluster is paused until ", "pglookout resume"],
        );
    }
    // An observer sees it, and has none of its own.
    wait_until("the observer shows it", SOON, || {
        let status = fleet["o"].get("/status.json").unwrap().body;
        status.contains(r#""state":"paused""#)
    });
    ends(
        run(&fleet["o"], "pause", &[]),
        1,
        &["pause a cluster on one of its database hosts"],
    );
    // The daemon beside the dead primary is told as well.
    let resumed = run(&fleet["s2"], "resume", &[]);
    ends(
        resumed,
        0,
        &[
            "the cluster is not paused any more\n",
            "known to pglookout on: p, s1, s2\n",
        ],
    );
    fleet.wait_promotion();
}

#[test]
fn a_pause_file_that_makes_no_sense_is_named_and_ignored() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, config| config["observers"] = json!({}));
    let s1 = &fleet["s1"];
    let path = s1.config["json_state_file_path"].as_str().unwrap();
    fs::write(format!("{path}.pause"), "paused").unwrap();
    wait_until("it is logged", SOON, || s1.log().contains("pause file: "));
    assert!(s1.log().contains("it is ignored"), "{}", s1.log());
    cluster[PRIMARY].kill_nine_all();
    fleet.wait_promotion();
}
