//! Partitions of real clusters: does ever more than one server take writes, is one promoted where one
//! should be, and what is lost. The hosts are network namespaces, so it needs root.

mod etcd;
pub mod judge;
mod patroni;
mod pglookout;
mod plan;
mod system;
mod tally;
pub mod world;
pub mod writers;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use judge::{Seen, judge};
use plan::{Partition, ROLES, Reaches};
use system::Setup;
use tally::{Round, Tally};
use world::{SERVERS, World};
use writers::{Row, Writers};

use crate::harness::pause;
use crate::support::Arguments;

/// `bench/run partitions`.
pub fn main(arguments: &Arguments) {
    let setup = system::read(arguments);
    if let Some(missing) = setup.missing() {
        eprintln!("{missing}");
        std::process::exit(1);
    }
    let setting = Setting {
        hold: arguments.number("hold", setup.least_hold()),
        keep: arguments.number("keep", std::env::temp_dir().join("pglookout-partitions")),
        setup,
    };
    let plan = plan::all();
    let all: Vec<usize> = (0..plan.len()).collect();
    let (repeats, only) = (arguments.number("repeats", 1), arguments.list("only", &all));
    let rounds = (0..repeats).flat_map(|repeat| only.iter().map(move |&of| (repeat, of)));
    let rounds = Mutex::new(rounds.collect::<VecDeque<_>>());
    let tallies = Mutex::new(plan.into_iter().map(Tally::of).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..arguments.number("clusters", 1) {
            scope.spawn(|| go_through(&setting, &rounds, &tallies));
        }
    });
    println!("{}, held for {} s", setting.setup, setting.hold);
    tally::print(&tallies.into_inner().expect("no round panics with it"));
}

/// One cluster, with which one round is held after the other until none is left.
fn go_through(
    setting: &Setting,
    rounds: &Mutex<VecDeque<(u64, usize)>>,
    tallies: &Mutex<Vec<Tally>>,
) {
    let (mut world, mut number) = (None, 0);
    let next = || rounds.lock().expect("no round panics with it").pop_front();
    while let Some((repeat, of)) = next() {
        let tallies = || tallies.lock().expect("no round panics with it");
        let partition = tallies()[of].partition.clone();
        let name = format!("{}, {}", partition.name, repeat + 1);
        number += 1;
        let round = AssertUnwindSafe(|| {
            if world.is_none() {
                world = World::start(setting.setup.as_ref());
            }
            let world = world.as_mut()?;
            Some(hold(world, &partition, setting, (&name, number)))
        });
        match catch_unwind(round) {
            Ok(Some(round)) => {
                eprintln!("partitions: {name}: {round}");
                tallies()[of].rounds.push(round);
            }
            Ok(None) => return,
            // The next begins with a new cluster.
            Err(_) => {
                tallies()[of].unfinished += 1;
                if let Some(world) = world.take() {
                    setting.keep_logs(&world, &name, "unfinished");
                }
            }
        }
    }
}

struct Setting {
    setup: Box<dyn Setup>,
    /// How long a partition lasts, in seconds.
    hold: f64,
    /// Where the logs of a round go that ended as it should not.
    keep: PathBuf,
}

impl Setting {
    fn keep_logs(&self, world: &World, round: &str, why: &str) -> PathBuf {
        let name = format!("{}-{round}-{why}", std::process::id()).replace([' ', '/', ','], "");
        let to = self.keep.join(name);
        world.keep_logs(&to);
        eprintln!(
            "partitions: {round}: {why}; the logs are in {}",
            to.display()
        );
        to
    }
}

/// Cuts the network, holds it so, heals it and mends the cluster. `name`, and which round of this
/// cluster it is.
fn hold(
    world: &mut World,
    partition: &Partition,
    setting: &Setting,
    (name, number): (&str, u64),
) -> Round {
    world.cluster[&world.primary].query("TRUNCATE rows");
    let roles = world.by_roles();
    let promotions = world.promotions();
    let hosts = world.cluster.servers().map(|server| server.host.clone());
    let writers = Writers::start(hosts.collect::<Vec<_>>().into_iter());
    // Another phase of polls and renewals each time.
    pause(1500 + number * 137 % 1000);
    let host = |role: usize| roles[role].as_str();
    let pairs = partition.cuts.iter();
    let pairs: Vec<_> = pairs.map(|&(from, to)| (host(from), host(to))).collect();
    world.cluster.network().cut_directions(&pairs);
    let cut = writers.now();
    pause((setting.hold * 1e3) as u64);
    let is_fenced = world.is_fenced(&roles[0]);
    let promoted = promoted_since(&promotions, world, &roles);
    let healed = writers.now();
    world.cluster.network().heal();
    pause(AFTERWARDS);
    world.find_primary();
    let ended = writers.now();
    let rows = writers.finish();
    world.mend();
    let servers = partition.majority.iter().filter(|role| **role < 3);
    let judged = judge(&Seen {
        primary: &roles[0],
        majority: servers.map(|role| host(*role)).collect(),
        rows: &rows,
        cut,
        healed,
        ended,
        kept: &world.rows(),
    });
    let round = Round {
        reaches: partition.reaches(&voters(setting, &roles)),
        is_fenced,
        promoted,
        judged,
    };
    if let Some(why) = complaint(&round, setting) {
        let to = setting.keep_logs(world, name, why);
        write_rows(&to, &roles, (cut, healed), &rows);
    }
    round
}

/// The roles of the voters.
fn voters(setting: &Setting, roles: &[String]) -> Vec<usize> {
    let is_voter = |role: &usize| setting.setup.voters().contains(&roles[*role].as_str());
    (0..roles.len()).filter(is_voter).collect()
}

/// The roles of those who were promoted after there had been so many promotions.
fn promoted_since(before: &[usize], world: &World, roles: &[String]) -> Vec<usize> {
    let mut promoted = Vec::new();
    for (at, (now, before)) in world.promotions().iter().zip(before).enumerate() {
        let role = roles.iter().position(|name| name == SERVERS[at]);
        let role = role.expect("a role of every server");
        promoted.extend(std::iter::repeat_n(role, now - before));
    }
    promoted
}

/// What is not as it should be, if anything.
fn complaint(round: &Round, setting: &Setting) -> Option<&'static str> {
    let promotions = usize::from(round.reaches == Reaches::Standby);
    if round.judged.two_writers {
        Some("two writers")
    } else if round.promoted.len() != promotions {
        Some("not as many promotions as expected")
    } else if setting.setup.does_fence() && round.is_fenced == (round.reaches == Reaches::Primary) {
        Some("not fenced as expected")
    } else {
        None
    }
}

/// Notes who had which role, when the network was cut, and every acknowledged row.
fn write_rows(to: &Path, roles: &[String], cut: (f64, f64), rows: &BTreeMap<String, Vec<Row>>) {
    let mut text = String::new();
    for (role, name) in ROLES.iter().zip(roles) {
        let _ = writeln!(text, "# {role} {name}");
    }
    let _ = writeln!(text, "# cut {:.6} healed {:.6}", cut.0, cut.1);
    for (server, rows) in rows {
        for row in rows {
            let (sent, acknowledged) = (row.sent, row.acknowledged);
            let _ = writeln!(text, "{server} {} {sent:.6} {acknowledged:.6}", row.number);
        }
    }
    fs::write(to.join("rows"), text).expect("the rows");
}

/// Milliseconds for which the clients go on after the network is whole again.
const AFTERWARDS: u64 = 3000;
