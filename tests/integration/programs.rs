//! The command lines and exit codes of both programs.

use std::fs::{self, File};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::harness::run_dir::TestDir;

fn pglookout(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pglookout"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_missing_configuration_is_named_in_one_line_and_ends_with_one() {
    let output = pglookout(&["/nonexistent/pglookout.json"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("/nonexistent/pglookout.json") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn a_broken_configuration_at_the_start_ends_with_one() {
    let dir = TestDir::new();
    let config = dir.path().join("config.json");
    for (text, expected) in [
        ("{", "config.json"),
        (r#"{"http_port": "many"}"#, "http_port"),
    ] {
        fs::write(&config, text).unwrap();
        let output = pglookout(&[config.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
}

#[test]
fn all_errors_of_a_configuration_are_printed_at_once() {
    let dir = TestDir::new();
    let config = dir.path().join("config.json");
    let check = |text: &str| {
        fs::write(&config, text).unwrap();
        pglookout(&["--check-config", config.to_str().unwrap()])
    };
    assert_eq!(
        check(r#"{"remote_conns": {"p": "host=127.0.0.1"}}"#)
            .status
            .code(),
        Some(0)
    );
    let output = check(r#"{"http_port": "many", "db_poll_interval": "often"}"#);
    let text = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("http_port") && text.contains("db_poll_interval"),
        "{text}"
    );
}

#[test]
fn version_and_help_end_well() {
    let version = pglookout(&["--version"]);
    assert!(version.status.success());
    // The number alone, as the original prints it.
    let expected = format!("{}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
    let current = Command::new(env!("CARGO_BIN_EXE_pglookout_current_master"))
        .arg("--version")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&current.stdout), expected);
    assert!(pglookout(&["--help"]).status.success());
}

/// What `pglookout_current_master` prints and ends with, for a state file of this age.
fn current_master(state: Option<&str>, age: Duration) -> (String, Option<i32>) {
    let dir = TestDir::new();
    let (config, path) = (
        dir.path().join("config.json"),
        dir.path().join("state.json"),
    );
    fs::write(
        &config,
        serde_json::json!({ "json_state_file_path": path }).to_string(),
    )
    .unwrap();
    if let Some(text) = state {
        fs::write(&path, text).unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::now() - age)
            .unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_pglookout_current_master"))
        .arg(&config)
        .output()
        .unwrap();
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        output.status.code(),
    )
}

#[test]
fn current_master_prints_the_primary_of_a_fresh_state_file_only() {
    const STATE: &str = r#"{"db_nodes": {}, "observer_nodes": {}, "current_master": "p"}"#;
    let (fresh, stale) = (Duration::from_secs(30), Duration::from_secs(90));
    assert_eq!(
        current_master(Some(STATE), fresh),
        ("p\n".to_owned(), Some(0))
    );
    for (state, age) in [
        (Some(STATE), stale),
        (None, fresh),
        (Some("{"), fresh),
        (
            Some(r#"{"db_nodes": {}, "observer_nodes": {}, "current_master": null}"#),
            fresh,
        ),
    ] {
        assert_eq!(
            current_master(state, age),
            (String::new(), Some(255)),
            "{state:?}, {age:?}"
        );
    }
    let missing = Command::new(env!("CARGO_BIN_EXE_pglookout_current_master"))
        .arg("/nonexistent.json")
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    let dir = TestDir::new();
    let broken = dir.path().join("config.json");
    fs::write(&broken, "{").unwrap();
    let broken = Command::new(env!("CARGO_BIN_EXE_pglookout_current_master"))
        .arg(&broken)
        .output()
        .unwrap();
    assert_eq!(
        (broken.status.code(), broken.stdout.len()),
        (Some(255), 0),
        "{}",
        stderr(&broken)
    );
}
