//! `pglookout switchover`, on real servers with real daemons that have leases: a client that writes all the
//! time loses no acknowledged row, and what speaks against a switchover leaves everything as it was.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::host::Account;
use crate::harness::voting::{allow_switchovers, replays, switchover, votes};
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};
use crate::leases::start_with;
use crate::votes::text;

const SERVERS: [&str; 3] = ["p", "s1", "s2"];

/// Daemons with leases that can stop their servers, and start them again.
fn start(cluster: &Cluster) -> Fleet {
    start_with(cluster, |cluster, daemon| {
        allow_switchovers(cluster, daemon);
        // For a machine that is busy.
        daemon.config["lease_time"] = json!(12);
        daemon.config["fence_timeout"] = json!(3);
        daemon.config["max_failover_replication_time_lag"] = json!(9);
    })
}

/// A client that finds the primary by asking one server after the other, as one with several hosts in its
/// connection string does.
struct Writer<'a> {
    cluster: &'a Cluster,
    stop: AtomicBool,
    /// How many rows were acknowledged.
    count: AtomicU64,
}

/// When each row was acknowledged.
type Acknowledged = BTreeMap<u64, Instant>;

impl<'a> Writer<'a> {
    fn new(cluster: &'a Cluster, primary: &str) -> Self {
        let table = "CREATE TABLE IF NOT EXISTS acknowledged (id bigint PRIMARY KEY)";
        cluster[primary].query(table);
        Self {
            cluster,
            stop: AtomicBool::new(false),
            count: AtomicU64::new(0),
        }
    }

    /// Writes rows until it is stopped, numbered from this.
    fn write(&self, from: u64) -> Acknowledged {
        let (mut written, mut at) = (Acknowledged::new(), 0);
        for id in from.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let sql = format!("INSERT INTO acknowledged VALUES ({id})");
            match self.cluster[SERVERS[at]].try_query(&sql) {
                Ok(_) => {
                    written.insert(id, Instant::now());
                    self.count.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => at = (at + 1) % SERVERS.len(),
            }
        }
        written
    }

    /// What comes of a deed while it writes: the rows, and the longest time without one.
    fn during<T>(&self, from: u64, deed: impl FnOnce() -> T) -> (T, Acknowledged, Duration) {
        self.stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let writing = scope.spawn(|| self.write(from));
            pause(1_000);
            let done = deed();
            // The one that was under way, and one that has begun since.
            let expected = self.count.load(Ordering::Relaxed) + 2;
            let writes_on = || self.count.load(Ordering::Relaxed) >= expected;
            let asked = Instant::now();
            while !writes_on() && asked.elapsed() < SOON {
                pause(50);
            }
            self.stop.store(true, Ordering::Relaxed);
            let written = writing.join().unwrap();
            assert!(writes_on(), "it writes on");
            let times: Vec<_> = written.values().copied().collect();
            let gaps = times.windows(2).map(|pair| pair[1].duration_since(pair[0]));
            (done, written, gaps.max().unwrap_or_default())
        })
    }

    /// Every row that was acknowledged is there.
    #[track_caller]
    fn check(&self, primary: &str, written: &Acknowledged) {
        let found = self.cluster[primary].query("SELECT id FROM acknowledged");
        let found: std::collections::BTreeSet<u64> =
            found.lines().map(|id| id.parse().unwrap()).collect();
        let lost: Vec<_> = written.keys().filter(|id| !found.contains(id)).collect();
        assert!(lost.is_empty(), "lost on {primary}: {lost:?}");
    }
}

#[test]
fn the_primary_goes_to_and_fro_and_no_acknowledged_row_is_lost() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let fleet = start(&cluster);
    let mut all = Acknowledged::new();
    let mut from = 0;
    for (nth, (old, new)) in [("p", "s1"), ("s1", "s2"), ("s2", "p"), ("p", "s1")]
        .into_iter()
        .enumerate()
    {
        let term = nth as u64 + 2;
        wait_until("the new standby would be promoted", SOON, || {
            switchover(&fleet[old], new, &["--dry-run"])
                .status
                .success()
        });
        let writer = Writer::new(&cluster, old);
        let (done, written, longest) = writer.during(from, || switchover(&fleet[old], new, &[]));
        let output = text(&done);
        println!(
            "{old} to {new}: {} rows, the longest pause {:.3} s\n{output}",
            written.len(),
            longest.as_secs_f64()
        );
        assert_eq!(done.status.code(), Some(0), "{output}");
        assert!(
            output.contains(&format!("{new} holds term {term}, and is the primary")),
            "{output}"
        );
        assert!(!cluster[new].is_in_recovery());
        assert!(cluster[old].try_query("SELECT 1").is_err());
        assert!(longest < Duration::from_secs(10), "{longest:?}");
        from = written.keys().last().unwrap() + 1;
        all.extend(written);
        writer.check(new, &all);
        assert_eq!(votes(&fleet[new])["held_term"], term);
        assert!(votes(&fleet[old])["held_term"].is_null());
        let log = fleet[new].log();
        assert!(
            log.contains(&format!("{old} is stopped for a switchover")),
            "{log}"
        );
        cluster.rejoin(old, new);
    }
    assert_eq!(fleet.promoted(), ["s1", "s2", "p", "s1"]);
    replays(&fleet, &SERVERS);
}

#[test]
fn what_forbids_it_is_reported_and_nothing_is_changed() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let fleet = start(&cluster);
    let unchanged = |cluster: &Cluster, fleet: &Fleet| {
        assert!(!cluster[PRIMARY].is_in_recovery() && cluster["s1"].is_in_recovery());
        assert_eq!(votes(&fleet[PRIMARY])["held_term"], 1);
        assert!(fleet.promoted().is_empty());
    };
    let check = |cluster: &Cluster, to: &str, more: &[&str], status: i32, sentence: &str| {
        let done = switchover(&fleet[PRIMARY], to, more);
        let output = text(&done);
        assert_eq!(done.status.code(), Some(status), "{output}");
        assert!(output.contains(sentence), "{sentence}: {output}");
        unchanged(cluster, &fleet);
        output
    };
    wait_ready(&fleet);
    let output = check(
        &cluster,
        "s1",
        &["--dry-run"],
        0,
        "a dry run: nothing was changed",
    );
    for name in [
        "lease: ok",
        "majority: ok",
        "control file: ok",
        "willing: ok",
        "streaming: ok",
        "lag: ok",
    ] {
        assert!(output.contains(name), "{name}: {output}");
    }
    check(&cluster, "x", &[], 1, "x is not in remote_conns");
    check(&cluster, "p", &[], 1, "p is this node");
    // Not by its host, and not without a lease.
    let done = switchover(&fleet["s1"], "s2", &[]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done));
    assert!(
        text(&done).contains("this daemon holds no term"),
        "{}",
        text(&done)
    );
    // The daemon of s1 would not promote it.
    let file = fleet["s1"].path("maintenance");
    assert_eq!(fleet["s1"].config["maintenance_mode_file"], json!(file));
    std::fs::write(&file, "").unwrap();
    wait_until("s1 is in maintenance", SOON, || {
        !switchover(&fleet[PRIMARY], "s1", &["--dry-run"])
            .status
            .success()
    });
    check(&cluster, "s1", &[], 1, "would not promote its server");
    std::fs::remove_file(&file).unwrap();
    // It does not stream any more, and is far behind.
    cluster["s1"].stream_from_anew("");
    wait_until("s1 streams no more", SOON, || {
        cluster["s1"].query("SELECT count(*) FROM pg_stat_wal_receiver") == "0"
    });
    cluster[PRIMARY].insert_rows(10);
    check(
        &cluster,
        "s1",
        &[],
        1,
        "streaming: NOT MET: s1 has received",
    );
    let conninfo = cluster["s1"].conninfo_for_streaming(&cluster.host(PRIMARY).clone());
    cluster["s1"].stream_from_anew(&conninfo);
    cluster["s1"].pause_replay();
    cluster[PRIMARY].insert_rows(200_000);
    check(
        &cluster,
        "s1",
        &[],
        1,
        "the limit is switchover_max_lag, 16777216",
    );
    cluster["s1"].resume_replay();
    // Nobody asks over HTTP, and an old request is none.
    let request = fleet[PRIMARY].path("state.json.switchover");
    assert!(!request.exists());
    let old = json!({"id": "0".repeat(32), "to": "s1", "dry_run": false, "boot": "another", "at_micros": 1});
    std::fs::write(&request, old.to_string()).unwrap();
    wait_until("it is found, and ignored", SOON, || {
        fleet[PRIMARY]
            .log()
            .contains("it is older than 15 s; it is ignored")
    });
    unchanged(&cluster, &fleet);
    cluster[PRIMARY].kill_nine_all();
    replays(&fleet, &SERVERS);
}

/// A switchover to s1 would be begun.
fn wait_ready(fleet: &Fleet) {
    wait_until("s1 would be promoted", SOON, || {
        switchover(&fleet[PRIMARY], "s1", &["--dry-run"])
            .status
            .success()
    });
}

#[test]
fn what_fails_on_the_way_leads_back() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = start(&cluster);
    wait_ready(&fleet);
    let demote = fleet[PRIMARY].config["demote_command"].clone();
    // The command fails before it has done anything.
    set_demote(&mut fleet, json!(["sh", "-c", "exit 3"]));
    let done = switchover(&fleet[PRIMARY], "s1", &[]);
    let output = text(&done);
    assert_eq!(done.status.code(), Some(2), "{output}");
    assert!(
        output.contains("demote_command exited with status 3; this server is the primary, under term 1 as before"),
        "{output}"
    );
    assert!(!cluster[PRIMARY].is_in_recovery());
    // It stops the server, and fails all the same.
    let script = demote[2].as_str().unwrap().replace("exec ", "");
    set_demote(&mut fleet, json!(["sh", "-c", format!("{script}; exit 4")]));
    let done = switchover(&fleet[PRIMARY], "s1", &[]);
    let output = text(&done);
    assert_eq!(done.status.code(), Some(2), "{output}");
    for sentence in [
        "going back: demote_command exited with status 4",
        "starting the server again by pg_start_command",
        "this server is the primary, under term 1 as before",
    ] {
        assert!(output.contains(sentence), "{sentence}: {output}");
    }
    assert!(!cluster[PRIMARY].is_in_recovery());
    assert_eq!(votes(&fleet[PRIMARY])["held_term"], 1);
    assert!(fleet.promoted().is_empty());
    fleet.nobody_promotes_for(4.0);
    replays(&fleet, &SERVERS);
    cluster[PRIMARY].kill_nine_all();
}

/// Another `demote_command` beside the primary, from now on.
fn set_demote(fleet: &mut Fleet, command: serde_json::Value) {
    let daemon = &mut fleet[PRIMARY];
    let before = daemon.log().matches("demote_command was").count();
    let before = before + daemon.log().matches("demote_command is").count();
    daemon.config["demote_command"] = command;
    daemon.write_config(&daemon.config.to_string());
    daemon.reload();
    wait_until("the command is another", SOON, || {
        let log = daemon.log();
        log.matches("demote_command was").count() + log.matches("demote_command is").count()
            > before
    });
}

#[test]
fn a_daemon_that_is_restarted_on_the_way_goes_on() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = start(&cluster);
    wait_ready(&fleet);
    let demote = fleet[PRIMARY].config["demote_command"].clone();
    let script = demote[2].as_str().unwrap().to_owned();
    fleet[PRIMARY].config["demote_timeout"] = json!(7);
    set_demote(
        &mut fleet,
        json!(["sh", "-c", format!("sleep 4; {script}")]),
    );
    // What is killed takes its command along, which prints to it. The server runs still.
    let output = during_switchover(&mut fleet, 2, Daemon::kill_nine);
    assert!(
        output.contains("this server is the primary, under term 1 as before"),
        "{output}"
    );
    assert!(!cluster[PRIMARY].is_in_recovery());
    // The command survives a daemon that is stopped, and stops the server after that has come back.
    let output = during_switchover(&mut fleet, 0, Daemon::stop);
    for sentence in [
        "the server is shut down",
        "s1 holds term 2, and is the primary",
    ] {
        assert!(output.contains(sentence), "{sentence}: {output}");
    }
    assert_eq!(fleet.promoted(), ["s1"]);
    assert!(!cluster["s1"].is_in_recovery());
    assert!(fleet[PRIMARY].state_file()["memory"]["switchover"].is_null());
    replays(&fleet, &SERVERS);
}

/// The daemon of the primary is ended like this while its command runs, and started again; what the operator
/// is told.
fn during_switchover(fleet: &mut Fleet, status: i32, end: impl Fn(&mut Daemon)) -> String {
    let daemon = &fleet[PRIMARY];
    let program = env!("CARGO_BIN_EXE_pglookout");
    let mut asking = daemon.host.command(program, Account::Own);
    asking.arg("switchover").arg(daemon.config_path());
    asking.args(["--to", "s1"]).stdout(Stdio::piped());
    let asked = asking.spawn().unwrap();
    wait_until("the server is being stopped", SOON, || {
        fleet[PRIMARY].state_file()["memory"]["switchover"]["to"] == "s1"
    });
    end(&mut fleet[PRIMARY]);
    fleet[PRIMARY].start();
    let done = asked.wait_with_output().unwrap();
    let output = text(&done);
    assert_eq!(done.status.code(), Some(status), "{output}");
    for sentence in [
        "this daemon was restarted on the way",
        "the lease of term 1 is renewed: looking at the server",
    ] {
        assert!(output.contains(sentence), "{sentence}: {output}");
    }
    output
}
