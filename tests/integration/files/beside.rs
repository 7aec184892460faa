//! Many daemons beside one standby, each with a trouble of its own. Their failover command only
//! notes the time, so that each of them comes to the point where it wants to promote.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::fleet::{LIMIT, note_time, script_command, settings};
use crate::harness::host::{Host, give_to_server, server_account};
use crate::harness::vitals::{longest_unasked, peak_kib};
use crate::harness::{Cluster, Daemon, SOON, wait_until};

const STANDBY: &str = "s1";

/// The daemons of one test.
pub(super) struct Beside {
    cluster: Cluster,
    pub(super) daemons: Vec<Daemon>,
}

impl Beside {
    /// A running cluster and a daemon of each name, not started. `None`: the test cannot run here,
    /// which was printed.
    pub(super) fn prepare<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let cluster = Cluster::start(&[STANDBY])?;
        let daemon = |name: &str| {
            let mut daemon = Daemon::prepare(
                Host::on_loopback(name),
                cluster.dir(),
                settings(&cluster, STANDBY),
            );
            daemon.config["observers"] = json!({});
            daemon.config["failover_sleep_time"] = json!(600);
            let script = note_time(&daemon.promotions_path());
            daemon.config["failover_command"] = script_command(&daemon, "promote", &script);
            daemon
        };
        let daemons = names.map(daemon).collect();
        Some(Self { cluster, daemons })
    }

    /// Starts all and waits until each knows the primary and the standby's lag.
    pub(super) fn start(&mut self) {
        self.daemons.iter_mut().for_each(Daemon::start);
        for daemon in &self.daemons {
            wait_until(
                &format!("{} sees the primary", daemon.host.name),
                SOON,
                || {
                    let lag = daemon.state()[STANDBY]["min_replication_time_lag"].as_f64();
                    lag.is_some_and(|lag| lag < 2.0)
                        && decisions(daemon)[0]["verdict"] == "primary_reachable"
                },
            );
        }
    }

    /// Watches for some time, kills the primary, and waits until each has promoted whom nothing
    /// `keeps` from it. Meanwhile all are asked, answer and stay small.
    pub(super) fn watch_and_fail_over(&mut self, keeps: impl Fn(&str) -> bool) {
        let before: Vec<u64> = self.daemons.iter().map(peak_kib).collect();
        let longest = thread::scope(|scope| {
            let watch =
                |daemon| scope.spawn(move || longest_unasked(daemon, &[PRIMARY, STANDBY], WATCH));
            let threads: Vec<_> = self.daemons.iter().map(watch).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("answers"))
                .max()
                .expect("a daemon")
        });
        assert!(
            longest < Duration::from_secs(2),
            "a healthy node was not asked for {longest:?}"
        );
        self.cluster[PRIMARY].kill_nine_all();
        let dead_at = seconds_now();
        let mut slowest: f64 = 0.0;
        for daemon in self
            .daemons
            .iter()
            .filter(|daemon| !keeps(&daemon.host.name))
        {
            wait_until(&format!("{} promotes", daemon.host.name), SOON, || {
                !daemon.promotions().is_empty()
            });
            slowest = slowest.max(daemon.promotions()[0] - dead_at);
        }
        assert!(
            slowest < LIMIT + 3.0,
            "the slowest failover took {slowest:.1} s"
        );
        thread::sleep(Duration::from_secs(1));
        let mut most_growth = 0;
        for (daemon, before) in self.daemons.iter_mut().zip(before) {
            assert!(daemon.is_running(), "{}", daemon.log());
            let expected = usize::from(!keeps(&daemon.host.name));
            assert_eq!(
                daemon.promotions().len(),
                expected,
                "{}: {}",
                daemon.host.name,
                daemon.log()
            );
            most_growth = most_growth.max(peak_kib(daemon) - before);
        }
        let least = self
            .daemons
            .iter()
            .map(|daemon| decisions(daemon).len())
            .min()
            .expect("a daemon");
        println!(
            "{} daemons: nodes asked at least every {longest:.1?}, {least} decisions or more each, failovers after \
             {slowest:.1} s at most, {most_growth} KiB more memory at most",
            self.daemons.len()
        );
        assert!(least > 6, "only {least} decisions");
        assert!(most_growth < 4 << 10, "memory grew by {most_growth} KiB");
    }
}

/// Has this daemon run with the rights of the account that runs PostgreSQL; by root alone.
pub(super) fn run_as_server(daemon: &mut Daemon) {
    let (uid, gid) = server_account().expect("a test that is run by root");
    let prefix = [
        "setpriv",
        &format!("--reuid={uid}"),
        &format!("--regid={gid}"),
        "--clear-groups",
    ];
    daemon.program.splice(0..0, prefix.map(str::to_owned));
    // It notes there when it promotes.
    give_to_server(&daemon.path(""));
}

/// The lines of a daemon's log that complain of what this key names.
pub(super) fn complaints(daemon: &Daemon, key: &str) -> Vec<String> {
    let mark = format!("\tERROR\t{key}: ");
    daemon
        .log()
        .lines()
        .filter(|line| line.contains(&mark))
        .map(str::to_owned)
        .collect()
}

/// The last decisions, the latest first.
fn decisions(daemon: &Daemon) -> Vec<Value> {
    serde_json::from_str(&daemon.get("/decisions.json").expect("an answer").body)
        .expect("decisions")
}

const WATCH: Duration = Duration::from_secs(4);
