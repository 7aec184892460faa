//! `pglookout simulate` as an operator runs it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::run_dir::TestDir;
use crate::harness::{SOON, wait_until};

/// A cluster of so many servers and observers.
fn cluster(nodes: usize, observers: usize) -> Value {
    let named = |kind: &str, count: usize, value: &dyn Fn(usize) -> String| -> Value {
        (1..=count)
            .map(|at| (format!("{kind}{at}"), json!(value(at))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    json!({
        "own_db": "pg1",
        "remote_conns": named("pg", nodes, &|at| format!("host=10.0.0.{at} password=xyzzy")),
        "observers": named("obs", observers, &|at| format!("http://10.0.1.{at}:15000")),
        "failover_command": ["promote", "--now"],
    })
}

fn write(dir: &TestDir, text: &str) -> PathBuf {
    let path = dir.path().join("config.json");
    fs::write(&path, text).unwrap();
    path
}

fn simulate(config: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pglookout"));
    command.arg("simulate").arg(config).args(options);
    command
}

/// Stdout, stderr and exit status.
fn outcome(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code(),
    )
}

#[test]
fn exit_codes_distinguish_problems_from_clusters_that_cannot_be_simulated() {
    let dir = TestDir::new();
    let check = |text: &str, expected: &str, code: i32| {
        let (out, err, found) = outcome(
            &simulate(&write(&dir, text), &["--schedules", "20"])
                .output()
                .unwrap(),
        );
        assert_eq!(found, Some(code), "{out}{err}");
        assert!(
            format!("{out}{err}").contains(expected),
            "{expected}: {out}{err}"
        );
        assert_eq!(out.is_empty(), code == 2);
        assert_eq!(err.is_empty(), code != 2);
    };
    check(&cluster(3, 0).to_string(), "no problem found", 0);
    check(&cluster(2, 0).to_string(), "PROBLEM: two primaries", 1);
    check("{", "not JSON", 2);
    check("{}", "remote_conns names no database server", 2);
    check(r#"{"http_port": "many"}"#, "http_port", 2);
    check(&cluster(30, 1).to_string(), "at most 30", 2);
    let (_, err, code) = outcome(
        &simulate(Path::new("/nonexistent/c.json"), &[])
            .output()
            .unwrap(),
    );
    assert!(
        code == Some(2) && err.contains("/nonexistent/c.json") && err.lines().count() == 1,
        "{err}"
    );
}

#[test]
fn the_same_seed_prints_the_same_report() {
    let dir = TestDir::new();
    let config = write(&dir, &cluster(4, 0).to_string());
    let run = |seed: &str| {
        outcome(
            &simulate(&config, &["--schedules", "100", "--seed", seed])
                .output()
                .unwrap(),
        )
    };
    assert_eq!(run("7"), run("7"));
    assert_ne!(run("7"), run("8"));
}

#[test]
fn findings_are_explained_by_timelines() {
    let dir = TestDir::new();
    let config = write(&dir, &cluster(4, 0).to_string());
    let folder = dir.path().join("timelines");
    let output = simulate(
        &config,
        &["--schedules", "0", "--timelines", folder.to_str().unwrap()],
    )
    .output()
    .unwrap();
    let (out, err, code) = outcome(&output);
    assert_eq!(code, Some(1), "{err}");
    let files: Vec<_> = out
        .lines()
        .filter_map(|line| line.strip_prefix("  why: pglookout replay --text "))
        .collect();
    let found = |line: &&str| line.starts_with("PROBLEM: ") || line.starts_with("RISK: ");
    let findings = out.lines().filter(found).count();
    assert!(findings > 1 && files.len() == findings, "{out}");
    for file in files {
        assert!(!fs::read_to_string(file).unwrap().contains("xyzzy"));
        let replay = |option: &str| {
            outcome(
                &Command::new(env!("CARGO_BIN_EXE_pglookout"))
                    .args(["replay", option, file])
                    .output()
                    .unwrap(),
            )
        };
        let (verified, _, code) = replay("--verify");
        assert!(
            verified.ends_with(" checks, 0 differ\n") && code == Some(0),
            "{verified}"
        );
        let (story, ..) = replay("--text");
        assert!(
            story.contains("  promoting pg") && story.contains("  command: promote --now"),
            "{story}"
        );
    }
}

#[test]
fn progress_is_for_terminals() {
    let dir = TestDir::new();
    let config = write(&dir, &cluster(3, 0).to_string());
    let (_, err, _) = outcome(&simulate(&config, &[]).output().unwrap());
    assert_eq!(err, "");
    let line = format!(
        "{} simulate {}",
        env!("CARGO_BIN_EXE_pglookout"),
        config.display()
    );
    let Ok(output) = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::null())
        .output()
    else {
        println!("no script(1) here");
        return;
    };
    let (out, ..) = outcome(&output);
    assert!(
        out.contains(" % of ") && out.contains("no problem found"),
        "{out}"
    );
}

#[test]
fn a_closed_pipe_is_no_panic_and_an_interrupt_ends_it() {
    let dir = TestDir::new();
    let mut child = simulate(&write(&dir, &cluster(3, 0).to_string()), &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let (_, err, code) = outcome(&child.wait_with_output().unwrap());
    assert_eq!((err.as_str(), code), ("", Some(1)));
    // Whoever started the tests in the background may ignore the signal, and so would the child.
    let mut child = Command::new("env")
        .args([
            "--default-signal=INT",
            env!("CARGO_BIN_EXE_pglookout"),
            "simulate",
        ])
        .arg(write(&dir, &cluster(20, 0).to_string()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    wait_until("it has ended", SOON, || {
        let ended = child.try_wait().unwrap().is_some();
        // Again, as the first may come before the signal counts.
        ended || kill(pid, Signal::SIGINT).is_err()
    });
    assert_eq!(child.wait().unwrap().signal(), Some(2));
}
