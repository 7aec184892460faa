//! Partitions of real clusters: does ever more than one server take writes, is one promoted where one
//! should be, and what is lost. The hosts are network namespaces, so it needs root.

mod judge;
mod plan;
mod world;
mod writers;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use judge::{Judged, Seen, judge};
use plan::{Partition, ROLES};
use world::World;
use writers::{Row, Writers};

use crate::harness::pause;
use crate::support::Arguments;
use crate::support::leases::Leases;
use crate::support::table::{plain, print_lines, quantile};

/// `bench/run partitions`.
pub fn main(arguments: &Arguments) {
    let fast: Leases = "fast".parse().expect("settings of leases");
    let leases = arguments.number("leases", fast);
    let limit = arguments.number("limit", leases.least_limit());
    let setting = Setting {
        hold: arguments.number("hold", 2.0 * leases.lease().max(limit) + 6.0),
        keep: arguments.number("keep", std::env::temp_dir().join("pglookout-partitions")),
        limit,
        leases,
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
    print(&tallies.into_inner().expect("no round panics with it"));
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
                world = World::start(&setting.leases, setting.limit);
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
    leases: Leases,
    /// The failover limit, in seconds.
    limit: f64,
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

/// All rounds of one partition.
struct Tally {
    partition: Partition,
    rounds: Vec<Round>,
    /// The cluster could not be made whole again, or the round ended otherwise.
    unfinished: usize,
}

/// What one round did.
struct Round {
    is_fenced: bool,
    promotions: usize,
    judged: Judged,
}

impl Tally {
    fn of(partition: Partition) -> Self {
        Self {
            partition,
            rounds: Vec::new(),
            unfinished: 0,
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fenced, judged) = (if self.is_fenced { "" } else { "not " }, &self.judged);
        let [last, between] =
            [judged.last_row, judged.between].map(|it| it.map_or("-".to_owned(), plain));
        write!(
            f,
            "{fenced}fenced, {} promoted, {} rows, {} lost, last row after {last} s, {between} s \
             between, {} s without",
            self.promotions,
            judged.acknowledged,
            judged.lost,
            plain(judged.without)
        )
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
    let promoted = world.fleet.promotions().len();
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
    let is_fenced = world.is_down(&roles[0]);
    let promotions = world.fleet.promotions().len() - promoted;
    let healed = writers.now();
    world.cluster.network().heal();
    pause(AFTERWARDS);
    let rows = writers.finish();
    world.find_primary();
    let servers = partition.majority.iter().filter(|role| **role < 3);
    let judged = judge(&Seen {
        primary: &roles[0],
        majority: servers.map(|role| host(*role)).collect(),
        rows: &rows,
        cut: (cut, healed),
        kept: &world.rows(),
    });
    let round = Round {
        is_fenced,
        promotions,
        judged,
    };
    if let Some(why) = complaint(partition, &round, setting) {
        let to = setting.keep_logs(world, name, why);
        write_rows(&to, &roles, (cut, healed), &rows);
    }
    world.mend();
    round
}

/// What is not as it should be, if anything.
fn complaint(partition: &Partition, round: &Round, setting: &Setting) -> Option<&'static str> {
    let keeps = partition.keeps_primary();
    if round.judged.two_writers {
        Some("two writers")
    } else if round.promotions != usize::from(!keeps) {
        Some("not as many promotions as expected")
    } else if setting.leases.do_fence() && round.is_fenced == keeps {
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

/// A line for each partition, and one for all.
fn print(tallies: &[Tally]) {
    let mut lines = vec![HEAD.map(str::to_owned)];
    let mut line = |name: &str, rounds: &[&Round], unfinished: usize| {
        let count = |is: fn(&Round) -> bool| rounds.iter().filter(|it| is(it)).count().to_string();
        let sum =
            |of: fn(&Round) -> usize| rounds.iter().map(|it| of(it)).sum::<usize>().to_string();
        let spread = |of: fn(&Round) -> Option<f64>| {
            let mut all: Vec<f64> = rounds.iter().filter_map(|it| of(it)).collect();
            all.sort_by(f64::total_cmp);
            [0.0, 0.5, 1.0].map(|share| plain(quantile(&all, share)))
        };
        let [least, _, _] = spread(|it| it.judged.between);
        let [_, last, latest] = spread(|it| it.judged.last_row);
        let [_, without, longest] = spread(|it| Some(it.judged.without));
        lines.push([
            name.to_owned(),
            rounds.len().to_string(),
            count(|it| it.is_fenced),
            sum(|it| it.promotions),
            count(|it| it.judged.two_writers),
            sum(|it| it.judged.acknowledged),
            sum(|it| it.judged.lost),
            format!("{last} ({latest})"),
            least,
            format!("{without} ({longest})"),
            unfinished.to_string(),
        ]);
    };
    let is_held = |it: &&Tally| !it.rounds.is_empty() || it.unfinished > 0;
    for tally in tallies.iter().filter(is_held) {
        let rounds: Vec<&Round> = tally.rounds.iter().collect();
        line(&tally.partition.name, &rounds, tally.unfinished);
    }
    let all: Vec<&Round> = tallies.iter().flat_map(|tally| &tally.rounds).collect();
    let unfinished = tallies.iter().map(|tally| tally.unfinished).sum();
    line("all", &all, unfinished);
    print_lines(&lines);
}

const HEAD: [&str; 11] = [
    "partition",
    "held",
    "fenced",
    "promoted",
    "two writers",
    "rows",
    "lost",
    "last row of the old, s",
    "least between, s",
    "without a writer, s",
    "unfinished",
];
/// Milliseconds for which the clients go on after the network is whole again.
const AFTERWARDS: u64 = 3000;
