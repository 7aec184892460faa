//! What a daemon reports of its decisions and its memory.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::daemon::HTTP_PORT;
use crate::harness::fleet::LIMIT;
use crate::harness::host::{Account, Host};
use crate::harness::http::request;
use crate::harness::run_dir::TestDir;
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

fn explain(daemon: &Daemon) -> Output {
    let mut command = daemon
        .host
        .command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
    command
        .arg("explain")
        .arg(daemon.config_path())
        .output()
        .unwrap()
}

fn printed(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// `/decisions.json`.
fn decisions(daemon: &Daemon) -> Vec<Value> {
    let answer = daemon.get("/decisions.json").unwrap();
    assert!(
        answer.body.starts_with("[\n    {\n        \""),
        "indented by 4"
    );
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn an_outage_in_maintenance_is_explained_everywhere_alike() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, config| config["observers"] = json!({}));
    let daemon = &fleet["s1"];
    assert!(printed(&explain(daemon)).starts_with("primary p is reachable (own poll)"));
    fs::write(daemon.path("maintenance"), "").unwrap();
    cluster["p"].kill_nine_all();
    let is_held =
        |decision: &Value| decision["verdict"] == "hold" && decision["reason"] == "maintenance";
    wait_until("the limit is over", SOON, || {
        is_held(&daemon.state_file()["decision"])
    });
    let remedy = format!("remove {}", daemon.path("maintenance").display());
    let stored = daemon.state_file()["decision"].clone();
    wait_until("it is served as well", SOON, || {
        decisions(daemon).iter().any(&is_held)
    });
    for decision in decisions(daemon)
        .iter()
        .filter(|decision| is_held(decision))
        .chain([&stored])
    {
        let figures = &decision["figures"];
        assert_eq!(decision["primary"], "p");
        assert_eq!(figures["would_change"], json!([remedy]), "{decision}");
        assert_eq!(figures["primaries"][0]["standing"], "lost");
        assert_eq!(
            (
                &figures["standbys"][0]["name"],
                &figures["standbys"][0]["place"]
            ),
            (&json!("s1"), &json!("first"))
        );
        assert_eq!(
            (&figures["votes"]["voters"], &figures["votes"]["total"]),
            (&json!(["s1"]), &json!(2))
        );
        assert!(
            figures["evidence"]["age"].as_f64() >= Some(LIMIT),
            "{figures}"
        );
    }
    wait_until("it is told", SOON, || {
        printed(&explain(daemon)).contains(&remedy)
    });
    assert!(printed(&explain(daemon)).contains("reported by the daemon at 127."));
    assert!(fleet.promoted().is_empty());
}

#[test]
fn decisions_are_served_newest_first_and_at_most_a_hundred() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, config| {
        config["replication_state_check_interval"] = json!(0.05)
    });
    let daemon = &fleet["s1"];
    wait_until("a hundred decisions", SOON, || {
        decisions(daemon).len() == 100
    });
    let times: Vec<String> = decisions(daemon)
        .iter()
        .map(|decision| decision["at"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "{times:?}");
    let ask = |method, target| request(&daemon.host, HTTP_PORT, method, target).unwrap();
    let head = ask("HEAD", "/decisions.json?x");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(
        ask("POST", "/decisions.json").header("Allow"),
        Some("GET, HEAD")
    );
}

/// A daemon that watches a server that is not there.
fn lonely(dir: &TestDir) -> Daemon {
    let settings = json!({"remote_conns": {"p": "host=127.0.0.1 port=1 user=u"}});
    Daemon::prepare(Host::on_loopback("lonely"), dir.path(), settings)
}

#[test]
fn a_daemon_that_is_down_is_explained_by_its_state_file() {
    let dir = TestDir::new();
    let mut daemon = lonely(&dir);
    daemon.start();
    wait_until("a decision", SOON, || {
        daemon.state_file()["decision"]["verdict"] == "observing"
    });
    daemon.stop();
    let output = explain(&daemon);
    assert!(output.status.success(), "{}", printed(&output));
    let text = printed(&output);
    assert!(
        text.starts_with("observing: no primary is reachable")
            && text.contains("state.json; the daemon at"),
        "{text}"
    );
    fs::remove_file(daemon.path("state.json")).unwrap();
    let output = explain(&daemon);
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(1), &b""[..])
    );
    assert!(
        printed(&output).contains("state.json"),
        "{}",
        printed(&output)
    );
}

#[test]
fn every_kind_of_state_file_is_read_with_one_line_in_the_log() {
    let node =
        r#"{"connection": true, "fetch_time": "2024-01-01T00:00:05Z", "pg_is_in_recovery": false}"#;
    let original = format!(
        r#"{{"db_nodes": {{"p": {node}}}, "observer_nodes": {{}}, "current_master": "p"}}"#
    );
    for (content, line) in [
        (&original[..40], "starting without it: not a state file"),
        ("", "starting without it: not a state file"),
        ("[1, 2]", "starting without it: not a state file"),
        ("{\"p\": {}}", "starting without it: not a state file"),
        (
            original.as_str(),
            "the primary was p; written by the Python pglookout: all waits start again",
        ),
        (&original.replace(node, "5"), "ignored: db_nodes.p"),
    ] {
        let dir = TestDir::new();
        let mut daemon = lonely(&dir);
        fs::write(daemon.path("state.json"), content).unwrap();
        daemon.start();
        let log = daemon.log();
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("state.json"))
            .collect();
        assert!(
            lines.len() == 1 && lines[0].contains(line),
            "{content}: {log}"
        );
        daemon.stop();
    }
}
