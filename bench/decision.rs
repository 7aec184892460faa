//! What the core needs to take in a round of reports and to decide, without any input or output.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pglookout::cluster::{
    Identity, Lsn, NodeReport, ObservedNode, ObserverReport, RoleReport, ServerFacts,
};
use pglookout::config::{Config, Environment, NodeName, parse};
use pglookout::lookout::{Event, Lookout, Memory};
use pglookout::time::{Monotonic, Now, WallTime};
use serde_json::{Map, Value, json};

use crate::support::Arguments;
use crate::support::table::Table;

/// `bench/run decision`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let rounds = arguments.number("rounds", 100);
    for nodes in arguments.list("nodes", &[3, 30, 300]) {
        for observers in arguments.list("observers", &[0, 3, 30]) {
            let what = format!("{nodes} nodes, {observers} observers");
            eprintln!("decision: {what}");
            for is_outage in [false, true] {
                let what = format!("{what}{}", if is_outage { ", no primary" } else { "" });
                let mut core = Core::new(nodes, observers, is_outage);
                // What is made once is made.
                (0..3).for_each(|_| _ = core.round());
                let end = Instant::now() + ENOUGH;
                let times = (0..rounds).map(|_| core.round());
                let times: Vec<_> = times.take_while(|_| Instant::now() < end).collect();
                let each = |of: fn(&[Duration; 2]) -> Duration| {
                    times.iter().map(|it| of(it).as_secs_f64() * 1e6).collect()
                };
                table.row(
                    format!("{what}: taking in all reports"),
                    "us",
                    each(|it| it[0]),
                );
                table.row(format!("{what}: decision"), "us", each(|it| it[1]));
                // Valgrind takes fifty times as long.
                if times.len() == rounds {
                    let instructions = instructions_per_round(nodes, observers, is_outage);
                    table.row(format!("{what}: both"), "kinstr", instructions);
                }
            }
        }
    }
}

/// `bench/run decide NODES OBSERVERS OUTAGE ROUNDS TURNS`: nothing else, to be counted by valgrind.
/// Without turns the reports are made and thrown away.
pub fn rounds(arguments: &Arguments) {
    let number = |at: usize| arguments.words[at].parse().expect("a number");
    let mut core = Core::new(number(1), number(2), number(3) == 1);
    for _ in 0..number(4) {
        if number(5) == 1 {
            core.round();
        } else {
            core.events();
        }
    }
}

/// Thousands of instructions: differences between runs, so that neither what is done once nor the
/// making of reports counts. None without valgrind.
fn instructions_per_round(nodes: usize, observers: usize, is_outage: bool) -> Vec<f64> {
    let count = |rounds: usize, turns: usize| {
        let numbers = [nodes, observers, usize::from(is_outage), rounds, turns];
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        command.arg(std::env::current_exe().expect("this program"));
        command
            .arg("decide")
            .args(numbers.map(|number| number.to_string()));
        let told = String::from_utf8_lossy(&command.output().ok()?.stderr).into_owned();
        let (_, collected) = told.split_once("Collected : ")?;
        collected.split_whitespace().next()?.parse::<f64>().ok()
    };
    let (few, many) = (4, 7);
    let each = |turns| Some((count(many, turns)? - count(few, turns)?) / (many - few) as f64);
    let whole = each(1).zip(each(0));
    whole
        .map(|(with, without)| (with - without) / 1e3)
        .into_iter()
        .collect()
}

/// A core with a clock of its own, and what it is told.
struct Core {
    lookout: Lookout,
    config: Arc<Config>,
    seconds: u64,
    is_outage: bool,
}

impl Core {
    fn new(nodes: usize, observers: usize, is_outage: bool) -> Self {
        let entries = |count: usize, entry: fn(usize) -> (String, Value)| {
            (0..count).map(entry).collect::<Map<_, _>>()
        };
        let settings = json!({
            "own_db": "n0001",
            "remote_conns": entries(nodes, |it| (format!("n{it:04}"), json!(format!("host=192.0.2.{it} user=x")))),
            "observers": entries(observers, |it| (format!("o{it:04}"), json!(format!("http://o{it}:15000")))),
            "failover_command": "true",
            "db_poll_interval": 1.0,
            "replication_state_check_interval": 1.0,
            // The outage never ends.
            "max_failover_replication_time_lag": 1e6,
            "warning_replication_time_lag": 1e6,
        });
        let loaded = parse(&settings.to_string(), &Environment::default());
        let config = Arc::new(loaded.expect("a configuration").config);
        let lookout = Lookout::new(Arc::clone(&config), &Memory::default(), now(1));
        Self {
            lookout,
            config,
            seconds: 1,
            is_outage,
        }
    }

    /// A second in which everybody reports and one decision is made; how long each took.
    fn round(&mut self) -> [Duration; 2] {
        let events = self.events();
        let (reported, decided) = (now(self.seconds), now(self.seconds + 1));
        let mut effects = Vec::new();
        let begun = Instant::now();
        self.lookout.turn(events, false, reported, &mut effects);
        let taken = begun.elapsed();
        self.lookout.turn([], false, decided, &mut effects);
        [taken, begun.elapsed() - taken]
    }

    /// The reports of the next second.
    fn events(&mut self) -> Vec<Event> {
        self.seconds += 1;
        let wall = now(self.seconds).wall;
        let is_gone = self.is_outage && self.seconds > 4;
        let reachable = self
            .config
            .nodes
            .keys()
            .enumerate()
            .skip(usize::from(is_gone));
        let probed = reachable.clone().map(|(number, node)| Event::NodeProbed {
            node: node.clone(),
            probe: None,
            outcome: Ok(report(number, wall)),
        });
        let seen: BTreeMap<NodeName, ObservedNode> = reachable
            .map(|(number, node)| (node.clone(), observed(number, wall)))
            .collect();
        let observers = self.config.observers.keys();
        let observed = observers.map(|observer| Event::ObserverProbed {
            observer: observer.clone(),
            probe: None,
            outcome: Ok(ObserverReport {
                date: wall,
                nodes: seen.clone(),
            }),
        });
        probed.chain(observed).collect()
    }
}

fn now(seconds: u64) -> Now {
    let time = Duration::from_secs(seconds);
    let wall = 1_700_000_000_000_000 + i64::try_from(time.as_micros()).expect("a short run");
    Now {
        mono: Monotonic::from_duration(time),
        wall: WallTime::from_unix_micros(wall),
    }
}

fn report(number: usize, wall: WallTime) -> NodeReport {
    let lsn = Some(position(number, wall));
    let standby = RoleReport::Standby {
        receive: lsn,
        replay: lsn,
        last_replay: Some(wall),
    };
    let slots = Vec::new();
    NodeReport {
        db_time: wall,
        role: if number == 0 {
            RoleReport::Primary { lsn, slots }
        } else {
            standby
        },
        identity: identity(number),
        daemons: Some(Vec::new()),
    }
}

fn observed(number: usize, wall: WallTime) -> ObservedNode {
    let lsn = Some(position(number, wall));
    ObservedNode {
        fetch_time: wall,
        connection: true,
        db_time: Some(wall),
        in_recovery: Some(number != 0),
        receive: lsn.filter(|_| number != 0),
        replay: lsn,
        last_replay: Some(wall).filter(|_| number != 0),
        identity: identity(number),
        daemons: Some(Vec::new()),
    }
}

/// Whoever is asked later has received more: WAL is written while the polls go round.
fn position(number: usize, wall: WallTime) -> Lsn {
    Lsn::from_bytes(wall.unix_micros() as u64 + number as u64)
}

fn identity(number: usize) -> Identity {
    let started = i64::try_from(number).expect("a small number");
    Identity {
        system: Some("7300000000000000001".to_owned()),
        started: Some(WallTime::from_unix_micros(1_600_000_000_000_000 + started)),
        timeline: Some(1),
        shown: ServerFacts {
            version: Some("15.8".to_owned()),
            can_be_rewound: Some(true),
            upstream: None,
        },
    }
}

/// A row is done after this time, however few rounds there were.
const ENOUGH: Duration = Duration::from_secs(3);
