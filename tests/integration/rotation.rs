//! Files that the daemon keeps open, under a real logrotate in both of its ways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::harness::host::Host;
use crate::harness::postgres::which;
use crate::harness::run_dir::{TestDir, run};
use crate::harness::{Daemon, SOON, or_skip, wait_until};

/// Rotates `file` once, in this way.
fn rotate(logrotate: &Path, dir: &TestDir, file: &Path, way: &str) {
    let config = dir.path().join("logrotate.conf");
    fs::write(
        &config,
        format!(
            "{} {{\n    rotate 5\n    missingok\n    {way}\n}}\n",
            file.display()
        ),
    )
    .unwrap();
    let mut command = Command::new(logrotate);
    run(command
        .arg("--force")
        .arg("--state")
        .arg(dir.path().join("logrotate.state"))
        .arg(config))
    .expect("logrotate");
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn replay(file: &Path) -> String {
    let mut command = Host::on_loopback("replay").command(
        env!("CARGO_BIN_EXE_pglookout"),
        crate::harness::host::Account::Own,
    );
    run(command.arg("replay").arg(file)).expect("a timeline")
}

#[test]
fn logrotate_takes_neither_records_nor_log_lines_away() {
    let Some(logrotate) = or_skip(which("logrotate").ok_or("there is no logrotate".to_owned()))
    else {
        return;
    };
    for way in ["create", "nocreate", "copytruncate"] {
        let dir = TestDir::new();
        let record = dir.path().join("record.jsonl");
        let config = json!({"replication_state_check_interval": 0.1, "flight_recorder": record,
            "remote_conns": {"p": "host=127.0.0.1 port=1"}, "db_poll_interval": 0.1});
        let mut daemon = Daemon::prepare(Host::on_loopback("o"), dir.path(), config);
        daemon.start();
        let rotated = |number: usize| PathBuf::from(format!("{}.{number}", record.display()));
        for count in 1..=3 {
            let before = lines(&record).len();
            wait_until("something is recorded", SOON, || {
                lines(&record).len() > before + 3
            });
            rotate(&logrotate, &dir, &record, way);
            wait_until("it goes on, with a beginning of its own", SOON, || {
                let begun = lines(&record);
                begun.len() > 3 && begun[0].starts_with("{\"timeline\":")
            });
            assert!(rotated(count).exists(), "{way}: {count}");
            // Each of them is a timeline.
            replay(&record);
            assert!(!replay(&rotated(1)).is_empty());
        }
        assert!(
            fs::read(&record).unwrap().iter().all(|byte| *byte != 0),
            "{way}: a hole"
        );
        // stderr is a file that somebody else opened for appending: what is copied and emptied goes
        // on at its beginning.
        if way == "copytruncate" {
            let log = daemon.log_path();
            rotate(&logrotate, &dir, &log, way);
            daemon.reload();
            wait_until("the log goes on", SOON, || {
                fs::read(&log).is_ok_and(|text| text.starts_with(b"20"))
            });
        }
    }
}
