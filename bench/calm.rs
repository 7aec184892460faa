//! Does anything happen where nothing should: a cluster whose network is slow and loses packets, on
//! hosts whose processors are busy.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Cluster, Fleet, SOON, pause, wait_until};
use crate::support::Arguments;
use crate::support::lossy::Lossy;
use crate::support::table::Table;

/// `bench/run calm`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    for limit in arguments.list("limits", &[0.5, 1.0, 2.0, 5.0]) {
        let Some(seen) = watch(limit, arguments) else {
            return;
        };
        let what = format!("limit {limit} s");
        table.one(format!("{what}: minutes watched"), "", seen.minutes);
        table.one(format!("{what}: promotions"), "", seen.promotions);
        table.one(
            format!("{what}: primary taken for lost, an hour"),
            "",
            seen.losses,
        );
        table.one(
            format!("{what}: lines of failing nodes, an hour"),
            "",
            seen.failures,
        );
    }
}

struct Seen {
    minutes: f64,
    promotions: f64,
    /// How often a daemon found the primary taken for lost, an hour.
    losses: f64,
    /// Lines of the log that tell of a failing node, an hour.
    failures: f64,
}

/// `None`: it cannot run here, which was printed.
fn watch(limit: f64, arguments: &Arguments) -> Option<Seen> {
    let (minutes, hogs) = (
        arguments.number("minutes", 10.0),
        arguments.number("hogs", 2),
    );
    let (delay, loss) = (arguments.number("delay", 50), arguments.number("loss", 1.0));
    let cluster = Cluster::start_in_namespaces(&["s1", "s2"])?;
    let _network = Lossy::join(&cluster.network().hosts, Duration::from_millis(delay), loss);
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        let interval = (limit / 5.0).min(1.0);
        config["db_poll_interval"] = json!(interval);
        config["replication_state_check_interval"] = json!(interval);
        config["max_failover_replication_time_lag"] = json!(limit);
        config["warning_replication_time_lag"] = json!(limit);
        // The defaults follow the limit.
        for key in ["poll_timeout", "observers"] {
            config.as_object_mut().expect("settings").remove(key);
        }
    });
    fleet.start_all();
    for name in ["p", "s1", "s2"] {
        wait_until("the daemons know the primary", SOON, || {
            fleet[name].current_primary().as_deref() == Some("p")
        });
    }
    let _hogs: Vec<Hog> = (0..hogs).map(|_| Hog::start()).collect();
    let began = Instant::now();
    let mut rows = 0;
    while began.elapsed().as_secs_f64() < minutes * 60.0 && fleet.promotions().is_empty() {
        let write = format!("INSERT INTO rows (t) VALUES ('{rows}')");
        let _ = cluster["p"].try_query(&write);
        rows += 1;
        pause(200);
    }
    let watched = began.elapsed().as_secs_f64() / 3600.0;
    let nodes = ["p", "s1", "s2"];
    let lines = |words: &str| {
        let count = |name: &&str| fleet[*name].log().matches(words).count();
        nodes.iter().map(count).sum::<usize>()
    };
    // Each daemon logs it once when it has found the primary, and after each loss again.
    let losses = lines("primary p is reachable").saturating_sub(nodes.len());
    let seen = Seen {
        minutes: watched * 60.0,
        promotions: fleet.promotions().len() as f64,
        losses: losses as f64 / watched,
        failures: lines("WARNING node ") as f64 / watched,
    };
    Some(seen)
}

/// A process that never pauses.
struct Hog(Child);

impl Hog {
    fn start() -> Self {
        let mut shell = Command::new("sh");
        Self(
            shell
                .args(["-c", "while :; do :; done"])
                .spawn()
                .expect("a shell"),
        )
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
