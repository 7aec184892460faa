//! What an operator is shown: `pglookout status`, `/status.json`, `/metrics`.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::{Account, Host};
use crate::harness::postgres::which;
use crate::harness::run_dir::Ended;
use crate::harness::{Cluster, Daemon, Fleet, SOON, or_skip, wait_until};

fn status(host: &Host, arguments: &[&str]) -> Output {
    let mut command = host.command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
    command.arg("status").args(arguments).output().unwrap()
}

fn url(daemon: &Daemon) -> String {
    format!("http://{}:{HTTP_PORT}", daemon.host.address)
}

/// Exit status and text.
fn shown(daemon: &Daemon) -> (i32, String) {
    let output = status(&daemon.host, &[&url(daemon)]);
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

fn served(daemon: &Daemon) -> Value {
    let answer = daemon.get("/status.json").unwrap();
    serde_json::from_str(&answer.body).unwrap()
}

/// Waits until the daemon's status contains all of these lines, and exits so.
fn wait_shown(daemon: &Daemon, exit: i32, expected: &[&str]) -> String {
    let mut last = String::new();
    let what = format!("{}: exit {exit} and {expected:?}", daemon.host.name);
    wait_until(&what, SOON, || {
        let (found, text) = shown(daemon);
        last = text;
        found == exit && expected.iter().all(|line| last.contains(line))
    });
    last
}

#[test]
fn a_failover_is_shown_from_beginning_to_end() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, config| {
        config["failover_quorum"] = json!("majority");
    });
    let well = [
        "cluster   HEALTHY  primary p on timeline 1, 2 standbys\n",
        "failover  READY    would promote s2; 3 of 4 votes, 3 required; limit 3 s\n",
    ];
    for node in [PRIMARY, "s1", "s2"] {
        let text = wait_shown(&fleet[node], 0, &well);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(!text.contains('\x1b'), "no terminal, no colours: {text}");
        // What a heartbeat has just written is not replayed yet.
        wait_until("the standby has everything", SOON, || {
            let (_, text) = shown(&fleet[node]);
            let standby = text.lines().find(|line| line.starts_with("s2 ")).unwrap();
            let standby: Vec<_> = standby.split_whitespace().collect();
            assert_eq!(standby[9..], [env!("CARGO_PKG_VERSION"), "ok"], "{text}");
            standby[..7] == ["s2", "standby", "1", "0", "B", "0", "ms"]
        });
    }
    wait_shown(&fleet["o"], 0, &["would promote s2; limit 3 s\n"]);
    cluster[PRIMARY].kill_nine_all();
    wait_shown(&fleet["s1"], 2, &["NO PRIMARY", "failover  IN "]);
    let winner = fleet.wait_promotion().0.to_owned();
    assert_eq!(winner, "s2");
    let text = wait_shown(
        &fleet["s2"],
        1,
        &[
            "cluster   DEGRADED  primary s2 on timeline 2",
            "alert failover_has_happened since ",
            "p was the primary before: rewind or rebuild it",
            "s1 does not follow the primary: it is on an older timeline",
        ],
    );
    assert!(text.contains("as seen by s2 (pglookout "), "{text}");
    // An operator ends the alert.
    let s2 = &fleet["s2"];
    let mut ack = s2
        .host
        .command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
    ack.arg("ack").arg(s2.config_path());
    let ack = ack.arg("failover_has_happened").output().unwrap();
    assert!(ack.status.success(), "{ack:?}");
    assert!(!s2.has_alert("failover_has_happened"));
    wait_until("the alert is over", SOON, || {
        served(&fleet["s2"])["alerts"] == json!([])
    });
}

#[test]
fn one_asks_from_anywhere_with_or_without_a_configuration() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| config["observers"] = json!({}));
    let address = fleet["s1"].host.address.to_string();
    let path = fleet["s1"].config_path().display().to_string();
    let (o, s1) = (&fleet["o"].host, &fleet["s1"].host);
    for (host, arguments) in [
        (o, vec!["--from", &address]),
        (o, vec![path.as_str(), "--from", &address]),
        (s1, vec![path.as_str()]),
    ] {
        let output = status(host, &arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("as seen by s1"), "{arguments:?}: {text}");
    }
    let output = status(s1, &[&url(&fleet["s1"]), "--json"]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["daemon"], "s1");
    assert_eq!(value["nodes"][0]["name"], "p");
    let whole = value.to_string();
    assert!(!whole.contains("password"), "{whole}");
    // Nobody is there, and nothing is known of where its state file would be.
    let nobody = status(o, &["http://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(3));
    // Without its daemon a node is shown by its state file.
    fleet["s1"].stop();
    let output = status(&fleet["s1"].host, &[&path]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("the primary was p; pglookout does not run"),
        "{text}"
    );
    assert!(text.contains("from the state file "), "{text}");
}

#[test]
fn a_node_in_maintenance_and_a_missing_daemon_are_shown_everywhere() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    fs::write(fleet["s2"].path("maintenance"), "").unwrap();
    for node in [PRIMARY, "s1", "s2"] {
        wait_shown(
            &fleet[node],
            1,
            &[
                "failover  READY     would promote s1",
                "!! maintenance: pglookout on s2 does not promote it",
            ],
        );
    }
    fleet["s1"].kill_nine();
    let text = wait_shown(&fleet["s2"], 2, &["failover  BLOCKED", "gone"]);
    assert!(text.contains("pglookout of s1 was not asked"), "{text}");
}

/// Each picture is drawn over the one before, and leaves the terminal as it was.
#[test]
fn a_watched_status_is_drawn_again_and_again() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, config| config["observers"] = json!({}));
    let host = &fleet["s1"].host;
    let mut command = host.command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
    command.args(["status", "--watch", &url(&fleet["s1"])]);
    let mut watch = Ended(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut output = watch.0.stdout.take().unwrap();
    let mut seen = String::new();
    while seen.matches("\x1b[1;1Hcluster ").count() < 3 {
        let mut part = [0; 4096];
        let count = std::io::Read::read(&mut output, &mut part).unwrap();
        assert!(count > 0, "it ended: {seen}");
        seen += &String::from_utf8_lossy(&part[..count]);
    }
    assert_eq!(seen.matches("\x1b[2J").count(), 1, "cleared once: {seen}");
    assert!(!seen.contains('\n'), "nothing scrolls: {seen}");
    let (off, on) = (
        seen.matches("\x1b[?7l").count(),
        seen.matches("\x1b[?7h").count(),
    );
    assert!(off - on <= 1, "{seen}");
}

/// Prometheus's own judgement.
#[test]
fn metrics_are_what_prometheus_expects() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, _| ());
    wait_shown(&fleet["s1"], 0, &["failover  READY"]);
    let answer = fleet["s1"].get("/metrics").unwrap();
    let media_type = answer.header("Content-Type").unwrap().to_owned();
    assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        r#"pglookout_node_primary{node="p"} 1"#,
        r#"pglookout_node_standby{node="s1"} 1"#,
        "pglookout_can_failover 1",
        r#"pglookout_observer_up{observer="o"} 1"#,
    ] {
        assert!(
            answer.body.lines().any(|it| it == line),
            "{line}: {}",
            answer.body
        );
    }
    let promtool = which("promtool").ok_or_else(|| "there is no promtool here".to_owned());
    let Some(promtool) = or_skip(promtool) else {
        return;
    };
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped());
    check.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    let mut input = check.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, answer.body.as_bytes()).unwrap();
    drop(input);
    let output = check.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaints}");
    assert_eq!(complaints, "");
}

/// In a real browser: it shows what is so, nothing of it is refused by the policy that comes with it,
/// and it asks nobody else.
#[test]
fn the_page_shows_the_cluster_in_a_browser() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, _| ());
    let answer = fleet["s1"].get("/").unwrap();
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    let found = which("python3").zip(which("chromium"));
    let found = found.ok_or_else(|| "there are no python3 and chromium here".to_owned());
    let Some((python, chromium)) = or_skip(found) else {
        return;
    };
    wait_shown(&fleet["s1"], 0, &["HEALTHY"]);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/integration/page/check_page.py"
    );
    let host = &fleet["s1"].host;
    let mut check = host.command(python, Account::Own);
    check
        .arg(script)
        .arg(url(&fleet["s1"]))
        .arg(chromium)
        .arg("30");
    let output = check.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{complaints}");
    assert!(text.contains("HEALTHY"), "{text}");
    assert!(text.contains("s1"), "{text}");
}

/// What an `event_command` is told of a failover, and that a slow one delays nothing.
#[test]
fn a_failover_is_passed_to_a_command_and_remembered() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |name, config| {
        if name == "s2" {
            let text = "cat >> events; echo >> events; echo \"$PGLOOKOUT_EVENT\" >> names; sleep 1";
            config["event_command"] = json!(["sh", "-c", text]);
        }
    });
    let daemon = &fleet["s2"];
    let read = |name: &str| fs::read_to_string(daemon.path(name)).unwrap_or_default();
    cluster[PRIMARY].kill_nine_all();
    assert_eq!(fleet.wait_promotion().0, "s2");
    wait_until("the change of the primary was told", SOON, || {
        read("names").contains("primary_changed")
    });
    let names = read("names");
    let steps = [
        "primary_lost",
        "failover_started",
        "failover_done",
        "primary_changed",
    ];
    let found = names.lines().filter(|name| steps.contains(name));
    assert_eq!(found.collect::<Vec<_>>(), steps, "{names}");
    let events = read("events");
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let events: Vec<Value> = events.collect();
    let changed = events.iter().find(|it| it["event"] == "primary_changed");
    let changed = changed.unwrap();
    assert_eq!(
        (&changed["old_primary"], &changed["primary"]),
        (&json!("p"), &json!("s2"))
    );
    assert_eq!(changed["severity"], "warning");
    assert_eq!(changed["timeline"], 2);

    let url = url(daemon);
    let history = || {
        let mut command = daemon
            .host
            .command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
        let output = command.args(["history", &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = history();
    assert!(text.contains("  p     s2  2   "), "{text}");
    assert!(
        text.contains("promoted by pglookout: primary_unreachable"),
        "{text}"
    );
    let mut fleet = fleet;
    fleet["s2"].kill_nine();
    fleet["s2"].start();
    let daemon = &fleet["s2"];
    wait_until("it is remembered over a restart", SOON, || {
        served(daemon)["changes"][0]["to"] == "s2"
    });
}

fn check(daemon: &Daemon, arguments: &[&str]) -> (i32, String) {
    let mut command = daemon
        .host
        .command(env!("CARGO_BIN_EXE_pglookout"), Account::Own);
    command.arg("check").arg(daemon.config_path());
    let output = command.args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

/// With and without running daemons, and what is wrong with servers, commands and other files.
#[test]
fn a_check_finds_what_would_stop_a_failover() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    cluster[PRIMARY].query("GRANT pg_monitor TO pglookout");
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["failover_quorum"] = json!("majority");
    });
    let s1 = &fleet["s1"];
    let (exit, text) = check(s1, &["--live"]);
    for part in [
        "login",
        "p ",
        "primary",
        "s1 streams from p timeline 1",
        "daemons",
        "o",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // initdb has made neither data checksums nor wal_log_hints.
    assert!(text.contains("pg_rewind will not work"), "{text}");
    assert_eq!(exit, 1, "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("WARNING: "), "{last}");
    assert!(last.contains(" | lag_bytes="), "{last}");
    assert_eq!(fleet.promoted(), [""; 0], "a look changes nothing");

    let config = fs::read_to_string(s1.config_path()).unwrap();
    let mut wrong: Value = serde_json::from_str(&config).unwrap();
    wrong["max_failover_replication_timelag"] = json!(10);
    wrong["db_poll_interval"] = json!(0.75);
    wrong["remote_conns"]["s2"] = json!("host=127.0.0.1 port=1 user=u");
    wrong["failover_command"] = json!("/nonexistent/promote");
    s1.write_config(&wrong.to_string());
    let (exit, text) = check(s1, &["--live", "--json"]);
    assert_eq!(exit, 2, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let failed = report["findings"].as_array().unwrap().iter();
    let failed: Vec<_> = failed.filter(|it| it["grade"] == "fail").collect();
    let mentions = |words: &str| {
        let mut texts = failed.iter().map(|it| it["text"].as_str().unwrap());
        assert!(
            texts.any(|text| text.contains(words)),
            "{words}: {failed:?}"
        );
    };
    mentions("max_failover_replication_timelag: unknown key, ignored (did you mean");
    mentions("/nonexistent/promote");
    mentions("s2: unreachable: ");
    let warned = text.contains("other nodes, limits, intervals, quorum or priorities");
    assert!(warned, "{text}");
    s1.write_config(&config);
    fleet["s1"].kill_nine();
}
