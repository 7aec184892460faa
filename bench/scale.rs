//! What the daemon costs as an observer of more and more nodes, all well or some of them dead, beside
//! the bare loop of the same size.

use nix::unistd::Pid;

use crate::floor::cpu_per_poll;
use crate::pooler::Pooler;
use crate::support::blackhole::Blackhole;
use crate::support::daemon::{Daemon, INTERVAL};
use crate::support::meter::{children_seconds, cpu_seconds, figure, wait_seconds};
use crate::support::stub::Stub;
use crate::support::table::Table;
use crate::support::{Arguments, pause};

/// `bench/run scale`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let (runs, seconds) = (arguments.number("runs", 3), arguments.number("seconds", 10));
    let pooler = arguments.has("pgbouncer").then(Pooler::start).flatten();
    let mut fewest = None;
    for nodes in arguments.list("nodes", &[3, 30, 300, 3000]) {
        let mut stub = Stub::start(arguments.has("each"));
        let ports = vec![pooler.as_ref().map_or(stub.port, |it| it.port); nodes];
        let (mut all, mut floor, mut start) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..runs {
            eprintln!("scale: {nodes} nodes, run {} of {runs}", run + 1);
            let (daemon, connected) = Daemon::start_connected(&ports, &[]);
            start.push(connected.as_secs_f64() * 1e3);
            pause(SETTLING);
            let mut sample = Sample::of(daemon.pid(), &mut stub, seconds);
            if pooler.is_some() {
                // Nobody counts there.
                sample.cpu_per_poll = sample.cpu * 1e3 * INTERVAL / nodes as f64;
            }
            all.push(sample);
            drop(daemon);
            floor.push(cpu_per_poll(&mut stub, nodes, seconds));
        }
        let what = format!("{nodes} nodes");
        let own = rows(table, &what, &all);
        table.row(
            format!("{what}: bare loop, CPU per poll"),
            "us",
            floor.clone(),
        );
        table.ratio(format!("{what}: daemon to bare loop"), &own, &floor);
        table.row(format!("{what}: start to all connected"), "ms", start);
        let rss = all[0].rss;
        let (few, base) = *fewest.get_or_insert((nodes, rss));
        if nodes > few {
            let each = (rss - base) / (nodes - few) as f64;
            table.one(
                format!("{what}: RSS for each node more than {few}"),
                "KiB",
                each,
            );
        }
    }
}

/// `bench/run dead`.
pub fn dead(arguments: &Arguments, table: &mut Table) {
    let (runs, seconds) = (arguments.number("runs", 2), arguments.number("seconds", 10));
    let blackhole = Blackhole::open();
    for nodes in arguments.list("nodes", &[300, 3000]) {
        for share in arguments.list("percent", &[0, 1, 20, 50]) {
            let mut stub = Stub::start(arguments.has("each"));
            let kinds = [
                ("swallow SYNs", blackhole.port),
                ("never answer", stub.silent_port),
            ];
            // The primary is never among them.
            let is_dead = |number: &usize| number * share / 100 != (number + 1) * share / 100;
            let dead: Vec<usize> = (0..nodes).filter(is_dead).collect();
            for (kind, port) in kinds.into_iter().take(if share == 0 { 1 } else { 2 }) {
                let what = format!("{share} % of {nodes} nodes {kind}");
                eprintln!("dead: {what}");
                let ports: Vec<u16> = (0..nodes)
                    .map(|number| {
                        if dead.contains(&number) {
                            port
                        } else {
                            stub.port
                        }
                    })
                    .collect();
                let all: Vec<Sample> = (0..runs)
                    .map(|_| {
                        let (daemon, _) = Daemon::start_connected(&ports, &dead);
                        pause(SETTLING);
                        Sample::of(daemon.pid(), &mut stub, seconds)
                    })
                    .collect();
                rows(table, &what, &all);
            }
        }
    }
}

/// Adds the rows of these samples; processor time per poll of each, in microseconds.
fn rows(table: &mut Table, what: &str, all: &[Sample]) -> Vec<f64> {
    let each = |figure: fn(&Sample) -> f64| all.iter().map(figure).collect::<Vec<_>>();
    let own = each(|it| it.cpu_per_poll);
    table.row(format!("{what}: daemon, CPU per poll"), "us", own.clone());
    table.row(format!("{what}: daemon, CPU"), "ms/s", each(|it| it.cpu));
    table.row(
        format!("{what}: its children, CPU"),
        "ms/s",
        each(|it| it.children_cpu),
    );
    let late = all.iter().flat_map(|it| it.lateness.iter().copied());
    table.row(format!("{what}: lateness of polls"), "ms", late.collect());
    table.row(format!("{what}: RSS"), "KiB", each(|it| it.rss));
    table.row(format!("{what}: PSS"), "KiB", each(|it| it.pss));
    own
}

/// What a daemon cost over some seconds.
pub struct Sample {
    /// Microseconds of its own processor time, for each poll that a stub got.
    pub cpu_per_poll: f64,
    /// Milliseconds of its own processor time a second.
    pub cpu: f64,
    /// The same of its children, of which it waits for those that write files.
    pub children_cpu: f64,
    /// Milliseconds a second in which it was ready to run and had no processor.
    pub processor_wait: f64,
    /// Of each poll, in milliseconds.
    pub lateness: Vec<f64>,
    /// KiB.
    pub rss: f64,
    /// KiB.
    pub pss: f64,
}

impl Sample {
    pub fn of(daemon: Pid, stub: &mut Stub, seconds: u32) -> Self {
        stub.polls(INTERVAL);
        let waited = wait_seconds(daemon);
        let before = [cpu_seconds(daemon), children_seconds(daemon)];
        pause(f64::from(seconds));
        let polls = stub.polls(INTERVAL);
        let after = [cpu_seconds(daemon), children_seconds(daemon)];
        let used = after[0] - before[0];
        Self {
            cpu_per_poll: used * 1e6 / polls.count as f64,
            cpu: used * 1e3 / f64::from(seconds),
            children_cpu: (after[1] - before[1]) * 1e3 / f64::from(seconds),
            processor_wait: (wait_seconds(daemon) - waited) * 1e3 / f64::from(seconds),
            lateness: polls.lateness,
            rss: figure(daemon, "status", "VmRSS"),
            pss: figure(daemon, "smaps_rollup", "Pss"),
        }
    }
}

/// Seconds between the start and what is measured: the first polls also log in.
pub const SETTLING: f64 = 2.5;
