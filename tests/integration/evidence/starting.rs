//! Everything is started at once after a power cut, and the primary's server is the last.

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::postgres::Postgres;
use crate::harness::{Cluster, Fleet, or_skip, pause};

/// The limit of these daemons, in milliseconds.
const LIMIT: u64 = 6_000;
/// Clusters that are started side by side.
const CLUSTERS: u64 = 3;
/// How often each is started.
const STARTS: usize = 2;

#[test]
fn a_primary_that_starts_five_seconds_after_its_standbys_is_not_replaced() {
    if or_skip(Postgres::here()).is_none() {
        return;
    }
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = u64::from(seed.subsec_nanos());
    println!("seed {seed}");
    std::thread::scope(|scope| {
        for number in 0..CLUSTERS {
            scope.spawn(move || start_again_and_again(Random(seed + 1_000_003 * number)));
        }
    });
}

fn start_again_and_again(mut random: Random) {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(LIMIT / 1000)
    });
    let mut counted = 0;
    for _ in 0..3 * STARTS {
        stop_servers(&mut cluster);
        counted += usize::from(start_in_disorder(&mut cluster, &mut fleet, &mut random));
        for daemon in fleet.iter_mut() {
            daemon.stop();
            let _ = fs::remove_file(daemon.path("state.json"));
        }
        if counted == STARTS {
            return;
        }
    }
    panic!("this machine started no server in time, {counted} of {STARTS} starts count");
}

fn stop_servers(cluster: &mut Cluster) {
    for name in [PRIMARY, "s1", "s2"] {
        cluster[name].stop_fast();
    }
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Server(&'static str),
    Daemon(&'static str),
}

/// Starts all with an empty memory, the primary's server about five seconds after the rest. False:
/// the machine was so slow that the limit was over before the primary ran, which proves nothing.
fn start_in_disorder(cluster: &mut Cluster, fleet: &mut Fleet, random: &mut Random) -> bool {
    let standbys = ["s1", "s2"].map(Start::Server);
    let daemons = [PRIMARY, "s1", "s2", "o"].map(Start::Daemon);
    let mut order: Vec<(u64, Start)> = standbys
        .into_iter()
        .chain(daemons)
        .map(|start| (random.below(900), start))
        .collect();
    order.push((4_800 + random.below(600), Start::Server(PRIMARY)));
    order.sort_by_key(|(after, _)| *after);
    println!("{order:?}");
    let begun = Instant::now();
    for (after, start) in order {
        let wait = Duration::from_millis(after).saturating_sub(begun.elapsed());
        pause(wait.as_millis() as u64);
        match start {
            Start::Server(name) => cluster[name].start_unready(),
            Start::Daemon(name) => fleet[name].start(),
        }
    }
    for name in [PRIMARY, "s1", "s2"] {
        cluster[name].wait_ready();
    }
    if begun.elapsed() > Duration::from_millis(LIMIT - 300) {
        return false;
    }
    fleet.wait_settled();
    fleet.nobody_promotes_for(2.0);
    assert_eq!(fleet.promoted(), [] as [&str; 0]);
    assert_eq!(cluster.primaries(), [PRIMARY]);
    true
}

/// Numbers from a seed (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
