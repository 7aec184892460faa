//! The flight recorder and `pglookout replay`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::fleet::LIMIT;
use crate::harness::postgres::PASSWORD;
use crate::harness::run_dir::TestDir;
use crate::harness::{Cluster, Fleet};

fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pglookout"))
        .arg("replay")
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The JSON lines of a text.
fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// When, what verdict, and why: of each decision that a recording or a replay reports.
fn decisions(text: &str) -> Vec<(f64, String, String)> {
    let decided = |line: &Value| {
        let word = |key: &str| line.get(key).and_then(Value::as_str).map(str::to_owned);
        Some((line["t"].as_f64()?, word("verdict")?, word("reason")?))
    };
    json_lines(text).iter().filter_map(decided).collect()
}

/// A log without the times.
fn sentences(log: &str) -> Vec<&str> {
    log.lines()
        .filter_map(|line| line.rsplit('\t').next())
        .collect()
}

#[test]
fn a_recorded_failover_is_replayed_to_the_same_decisions() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let record = |name: &str| cluster.dir().join(format!("{name}.jsonl"));
    let mut fleet = Fleet::start(&cluster, |name, config| {
        config["flight_recorder"] = json!(record(name));
        config["log_level"] = json!("DEBUG");
    });
    let records = ["s1", "s2", "o"].map(|name| (name, record(name)));
    fleet["s2"].post_check();
    cluster["p"].kill_nine_all();
    let winner = fleet.wait_promotion().0.to_owned();
    fleet[&winner].wait_alert("failover_has_happened", "");
    // One that goes on with its file in the middle of all this.
    fleet["o"].stop();
    fleet["o"].start();
    fleet.nobody_promotes_for(1.0);
    fleet.iter_mut().for_each(|daemon| daemon.stop());
    for (name, record) in records {
        let log = fleet[name].log();
        check_replay(&record, &log, name == winner);
    }
}

fn check_replay(record: &Path, log: &str, promoted: bool) {
    let recorded = fs::read_to_string(record).unwrap();
    assert!(!recorded.contains(PASSWORD) && recorded.contains("hidden-1"));
    let path = record.to_str().unwrap();
    let replayed = stdout(&replay(&[path]));
    let (live, again) = (decisions(&recorded), decisions(&replayed));
    assert!(live.len() > 10, "{recorded}");
    assert_eq!(live, again);
    let verified = stdout(&replay(&["--verify", path]));
    assert!(
        verified.ends_with(&format!(" {} checks, 0 differ\n", live.len())),
        "{verified}"
    );
    let promotions: Vec<_> = json_lines(&replayed)
        .into_iter()
        .filter(|line| line["verdict"] == "promote")
        .collect();
    assert_eq!(promotions.len(), usize::from(promoted));
    let story = stdout(&replay(&["--text", path]));
    for promotion in &promotions {
        assert_eq!(
            promotion["commands"].as_array().map(Vec::len),
            Some(1),
            "{promotion}"
        );
        let t = format!("{:.6}  promoting ", promotion["t"].as_f64().unwrap());
        assert!(story.contains(&t), "{t}: {story}");
        assert!(
            story.contains(": primary p is unreachable, last evidence of a primary "),
            "{story}"
        );
    }
    // Every figure of every sentence is the one that was logged.
    let logged = sentences(log);
    for line in story
        .lines()
        .filter(|line| line.contains("promoting ") || line.contains("no failover"))
    {
        let sentence = line
            .split_once("  ")
            .map_or(line, |(_, rest)| rest.trim_start());
        let sentence = sentence.split_once("  ").map_or(sentence, |(_, rest)| rest);
        assert!(logged.contains(&sentence), "not in the log: {sentence}");
    }
}

#[test]
fn other_settings_are_tried_on_a_recording() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let record = cluster.dir().join("record.jsonl");
    let fleet = Fleet::start(&cluster, |name, config| {
        if name == "s1" {
            config["flight_recorder"] = json!(record);
        }
    });
    cluster["p"].kill_nine_all();
    fleet.wait_promotion();
    let (path, other) = (record.to_str().unwrap(), cluster.dir().join("other.json"));
    let verdicts = |limit: f64| {
        let mut config = fleet["s1"].config.clone();
        config["max_failover_replication_time_lag"] = json!(limit);
        fs::write(&other, config.to_string()).unwrap();
        let reported = json_lines(&stdout(&replay(&[
            "--config",
            other.to_str().unwrap(),
            path,
        ])));
        reported
            .into_iter()
            .find(|line| line["verdict"] == "promote")
            .map(|line| line["t"].as_f64().unwrap())
    };
    let live = json_lines(&fs::read_to_string(&record).unwrap());
    let live = live
        .iter()
        .find(|line| line["verdict"] == "promote")
        .and_then(|line| line["t"].as_f64())
        .unwrap();
    assert_eq!(verdicts(1000.0), None);
    let sooner = live - verdicts(LIMIT / 2.0).unwrap();
    assert!((0.5..LIMIT).contains(&sooner), "{sooner} s sooner");
}

const HEADER: &str =
    r#"{"timeline": "t", "config": {"own_db": "s", "remote_conns": {"p": "", "s": ""}}}"#;
const FACTS: &str = r#"{"t": 5, "node": "p", "report": {"in_recovery": false, "db_time": 5}}
{"t": 5, "node": "s", "report": {"in_recovery": true, "db_time": 5, "receive_lsn": "0/5", "last_replay": 5}}"#;

/// Runs `pglookout replay` with `options` on a file of these lines: its stdout, stderr,
/// and ends with. The file's name is `FILE` in both.
#[track_caller]
fn check(options: &[&str], lines: &str, expected: (&str, &str, i32)) {
    let dir = TestDir::new();
    let file = dir.path().join("file");
    fs::write(&file, lines).unwrap();
    let path = file.to_str().unwrap();
    let output = replay(&[options, &[path]].concat());
    let (out, err) = (stdout(&output), stderr(&output).replace(path, "FILE"));
    assert_eq!(
        (out.trim_end(), err.trim_end(), output.status.code()),
        (expected.0, expected.1, Some(expected.2))
    );
}

#[test]
fn expectations_are_verified() {
    let with = |expect: &str| {
        format!("{HEADER}\n{FACTS}\n{{\"t\": 5, \"check\": {{\"expect\": {expect}}}}}\n")
    };
    check(
        &["--verify"],
        &with(r#"{"primary": "p"}"#),
        ("1 timelines, 1 checks, 0 differ", "", 0),
    );
    check(
        &["--verify"],
        &with(r#"{"primary": "q", "standbys": []}"#),
        (
            "t t=5 primary: expected \"q\", decided \"p\"\nt t=5 standbys: expected [], decided [\"s\"]\n1 timelines, 1 checks, 1 differ",
            "",
            1,
        ),
    );
    check(
        &["--text"],
        &with("{}"),
        (
            "t\n      5.000000  the primary is p\n      5.000000  primary p is reachable (own poll)",
            "",
            0,
        ),
    );
}

#[test]
fn what_is_no_timeline_is_named_with_its_line() {
    check(
        &[],
        "",
        (
            "",
            "FILE:1: no timeline: expected a header with the key timeline",
            2,
        ),
    );
    check(
        &[],
        "hello",
        ("", "FILE:1: no JSON object: expected value at column 1", 2),
    );
    check(
        &[],
        &format!("{HEADER}\n\n{{\"t\": 1, \"lsot\": \"p\"}}\n"),
        (
            "",
            "FILE:3: unknown key \"lsot\": expected one of node, observer, lost, maintenance, config, wall, check, check_requested, pause, command, former_command_ended, previous_command, follow_prepared, turn, end, vote_file, vote_request, vote_answer, vote_saved, host_slept_micros, watchdog, switchover, control_file",
            2,
        ),
    );
    check(
        &["--verify"],
        &format!("{HEADER}\n{}", "x".repeat(5 << 20)),
        ("", "FILE:2: longer than 4194304 bytes", 2),
    );
    // A line that is being written is no mistake.
    check(
        &["--verify"],
        &format!("{HEADER}\n{{\"t\": 1, \"no"),
        (
            "1 timelines, 0 checks, 0 differ",
            "FILE:2: unfinished, left out",
            0,
        ),
    );
    for (file, expected) in [
        ("/nonexistent/file", "No such file"),
        ("/", "directory"),
        ("-", "/dev/stdin"),
    ] {
        let output = replay(&[file]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains(expected) && stderr(&output).lines().count() == 1,
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_recorder_that_cannot_write_costs_nothing_but_the_record() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, config| {
        config["flight_recorder"] = json!("/dev/full")
    });
    cluster["p"].kill_nine_all();
    fleet.wait_promotion();
    let log = fleet["s1"].log();
    assert_eq!(
        log.matches("flight_recorder: cannot record to /dev/full: not a regular file")
            .count(),
        1,
        "{log}"
    );
}
