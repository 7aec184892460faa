//! A fleet that is half the Python original, half ours, on one cluster. What can be had of the
//! original is 1.4.0; its HTTP and its files are those of 2.x, and it asks servers by the names
//! that functions had before PostgreSQL 10, so they are made.

use std::fs::File;
use std::process::Command;

use serde_json::json;

use crate::harness::cluster::OBSERVER;
use crate::harness::daemon::HTTP_PORT;
use crate::harness::fleet::LIMIT;
use crate::harness::host::Host;
use crate::harness::{Cluster, Daemon, Fleet, SOON, or_skip, pause, wait_until};

/// The second observer, beside `o`.
const SECOND: &str = "n";
const EVERYBODY: [&str; 4] = ["p", "s1", "s2", OBSERVER];

const OLD_NAMES: &str = "
CREATE FUNCTION pg_last_xlog_receive_location() RETURNS pg_lsn LANGUAGE sql AS 'SELECT pg_last_wal_receive_lsn()';
CREATE FUNCTION pg_last_xlog_replay_location() RETURNS pg_lsn LANGUAGE sql AS 'SELECT pg_last_wal_replay_lsn()';
CREATE FUNCTION pg_current_xlog_location() RETURNS pg_lsn LANGUAGE sql AS 'SELECT pg_current_wal_lsn()';
";

/// A fleet with a further observer, `n`.
struct Mixed {
    second: Daemon,
    fleet: Fleet,
    cluster: Cluster,
    original: String,
}

impl Mixed {
    /// `old`: whose daemons are the original.
    fn start(old: &[&str]) -> Option<Self> {
        let original = or_skip(original())?;
        let cluster = Cluster::start(&["s1", "s2"])?;
        cluster["p"].query(OLD_NAMES);
        let second = Host::on_loopback(SECOND);
        let fleet = Fleet::prepare(&cluster, |name, config| {
            // Longer than a check that the original makes on facts from before its own promotion.
            config["failover_sleep_time"] = json!(2.0);
            if name != OBSERVER {
                config["observers"][SECOND] =
                    json!(format!("http://{}:{HTTP_PORT}", second.address));
                // An array means nothing to the original.
                let command = config["failover_command"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|word| word.as_str().unwrap());
                config["failover_command"] = json!(command.collect::<Vec<_>>().join(" "));
            }
        });
        let second = Daemon::prepare(second, cluster.dir(), fleet[OBSERVER].config.clone());
        let mut mixed = Self {
            second,
            fleet,
            cluster,
            original,
        };
        for name in EVERYBODY.iter().filter(|name| old.contains(name)) {
            make_old(&mut mixed.fleet[name], &mixed.original);
        }
        if old.contains(&SECOND) {
            make_old(&mut mixed.second, &mixed.original);
        }
        mixed.fleet.iter_mut().for_each(start);
        start(&mut mixed.second);
        mixed.fleet.wait_settled();
        Some(mixed)
    }

    /// All daemons, by their state files.
    fn primaries(&self) -> Vec<Option<String>> {
        let of_fleet = EVERYBODY
            .iter()
            .map(|name| self.fleet[name].current_primary());
        of_fleet.chain([self.second.current_primary()]).collect()
    }

    /// What both programs print for one daemon's state file, each followed by how it ended.
    fn reported(&self, daemon: &Daemon) -> [String; 2] {
        let mut ours = Command::new(env!("CARGO_BIN_EXE_pglookout_current_master"));
        let mut theirs = Command::new("python3");
        theirs
            .args(["-m", "pglookout.current_master"])
            .env("PYTHONPATH", &self.original);
        [&mut ours, &mut theirs].map(|command| {
            let output = command.arg(daemon.config_path()).output().unwrap();
            format!(
                "{}{:?}",
                String::from_utf8_lossy(&output.stdout),
                output.status.code()
            )
        })
    }

    /// The primary is killed: one daemon promotes, once, and all agree on who is the primary now.
    fn survive(mut self, winner: &str) {
        wait_until("everybody knows the primary", SOON, || {
            self.primaries() == vec![Some("p".to_owned()); 5]
        });
        for (name, seen_by) in [("s1", "s2"), ("s2", "s1")] {
            for observer in [OBSERVER, SECOND] {
                wait_until(
                    &format!("{name} has read what {observer} says of {seen_by}"),
                    SOON,
                    || {
                        let printed = &self.fleet[name].state_file()["observer_nodes"][observer];
                        printed["connection"] == true
                            && printed[seen_by]["pg_is_in_recovery"] == true
                    },
                );
            }
        }
        self.cluster["p"].kill_nine_all();
        assert_eq!(self.fleet.wait_promotion().0, winner);
        let expected = vec![Some(winner.to_owned()); 5];
        wait_until("everybody agrees", SOON, || self.primaries() == expected);
        pause((2.0 * LIMIT * 1000.0) as u64);
        assert_eq!(self.fleet.promoted(), [winner]);
        assert_eq!(
            (self.primaries(), self.cluster.primaries()),
            (expected, vec![winner])
        );
        for name in EVERYBODY {
            let reported = self.reported(&self.fleet[name]);
            assert_eq!(
                reported,
                [format!("{winner}\nSome(0)"), format!("{winner}\nSome(0)")],
                "{name}"
            );
        }
    }
}

#[test]
fn a_mixed_fleet_promotes_once_when_ours_is_next() {
    let Some(mixed) = Mixed::start(&["s1", OBSERVER]) else {
        return;
    };
    mixed.survive("s2");
}

#[test]
fn a_mixed_fleet_promotes_once_when_the_original_is_next() {
    let Some(mixed) = Mixed::start(&["p", "s2", SECOND]) else {
        return;
    };
    mixed.survive("s2");
}

#[test]
fn one_takes_the_place_and_the_state_file_of_the_other() {
    let Some(mut mixed) = Mixed::start(&["s1"]) else {
        return;
    };
    for standby in ["s1", "s2"] {
        std::fs::write(mixed.fleet[standby].path("maintenance"), "").unwrap();
    }
    let known = |mixed: &Mixed| mixed.fleet["s1"].state_file();
    let of_original = known(&mixed);
    assert!(
        of_original.get("memory").is_none(),
        "the original wrote this: {of_original}"
    );

    mixed.fleet["s1"].kill_nine();
    // What only the file can tell: nobody reaches it any more.
    mixed.cluster["p"].kill_nine_all();
    mixed.fleet["s1"].program = mixed.fleet["s2"].program.clone();
    mixed.fleet["s1"].variables.clear();
    mixed.fleet["s1"].start();
    wait_until("ours remembers the primary", SOON, || {
        let state = known(&mixed);
        state.get("memory").is_some() && state["current_master"] == "p"
    });

    mixed.fleet["s1"].kill_nine();
    let original = mixed.original.clone();
    make_old(&mut mixed.fleet["s1"], &original);
    start(&mut mixed.fleet["s1"]);
    wait_until("the original writes it again", SOON, || {
        let state = known(&mixed);
        state.get("memory").is_none() && state["db_nodes"]["s2"]["connection"] == true
    });
}

fn make_old(daemon: &mut Daemon, original: &str) {
    daemon.program = ["python3", "-m", "pglookout"].map(str::to_owned).to_vec();
    let variables = [
        ("PYTHONPATH", original),
        ("TZ", "UTC"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    daemon.variables = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
}

/// The original answers in HTTP/1.0, which the harness does not take for an answer; its state file
/// reports that it runs.
fn start(daemon: &mut Daemon) {
    if daemon.variables.is_empty() {
        return daemon.start();
    }
    let log = File::options()
        .create(true)
        .append(true)
        .open(daemon.log_path())
        .unwrap();
    daemon.start_with_stderr(log.into());
}

fn original() -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fetch-original");
    let output = Command::new(script)
        .output()
        .map_err(|error| format!("{script}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr)
        .lines()
        .last()
        .unwrap_or_default()
        .to_owned())
}
