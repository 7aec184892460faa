//! What failing over, and waiting for it, costs: measured on real clusters, printed as a table.
//! `bench/run` runs it.

// Measuring waits, starts programs, reads clocks and ends with a panic; the bans and denials are
// for the daemon.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(unsafe_code)]

#[allow(dead_code)] // The tests' own; not all of it is needed here.
#[path = "../tests/integration/harness/mod.rs"]
mod harness;

use std::fs;
use std::time::{Duration, Instant};

use harness::blackhole::Blackhole;
use harness::daemon::{HTTP_PORT, seconds_now};
use harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The settings that are measured with.
const INTERVAL: f64 = 1.0;
const LIMIT: f64 = 5.0;
const POLL_TIMEOUT: f64 = 5.0;

/// Adds its rows to the table; `None` when it cannot run here, which has been said.
type Measure = fn(&mut Table) -> Option<()>;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let all: [(&str, Measure); 5] = [
        ("crash", crash),
        ("hang", hang),
        ("blackhole", blackhole),
        ("idle", idle),
        ("stop", stop),
    ];
    let mut table = Table::default();
    for (name, measure) in all {
        if wanted.is_empty() || wanted.iter().any(|other| other == name) {
            eprintln!("measuring: {name}");
            if measure(&mut table).is_none() {
                std::process::exit(1);
            }
        }
    }
    table.print();
}

/// Rows: what, the figures, and what is promised.
#[derive(Default)]
struct Table(Vec<[String; 5]>);

impl Table {
    fn row(
        &mut self,
        what: impl Into<String>,
        mut figures: Vec<f64>,
        unit: &str,
        promised: impl Into<String>,
    ) {
        figures.sort_by(f64::total_cmp);
        let show = |figure: f64| format!("{figure:.2} {unit}");
        let (median, highest) = (figures[figures.len() / 2], figures[figures.len() - 1]);
        let count = figures.len().to_string();
        self.0.push([
            what.into(),
            show(median),
            show(highest),
            count,
            promised.into(),
        ]);
    }

    fn print(&self) {
        println!(
            "| {:<58} | {:>10} | {:>10} | {:>4} | {:<26} |",
            "what", "median", "highest", "of", "promised"
        );
        println!(
            "| {:-<58} | {:->10} | {:->10} | {:->4} | {:-<26} |",
            "", "", "", "", ""
        );
        for [what, median, highest, runs, promised] in &self.0 {
            println!("| {what:<58} | {median:>10} | {highest:>10} | {runs:>4} | {promised:<26} |");
        }
    }
}

fn settings(config: &mut Value) {
    config["db_poll_interval"] = json!(INTERVAL);
    config["replication_state_check_interval"] = json!(INTERVAL);
    config["max_failover_replication_time_lag"] = json!(LIMIT);
    config["warning_replication_time_lag"] = json!(LIMIT);
    config["poll_timeout"] = json!(POLL_TIMEOUT);
}

/// What one failover took, in seconds.
struct Failover {
    /// From the moment at which the limit had passed, by the daemon's last sight of the primary, to
    /// the command.
    limit_to_command: f64,
    /// From the outage to the command.
    outage_to_command: f64,
    /// From the outage to the first row in the new primary.
    outage_to_write: f64,
}

/// One primary, two standbys, with or without an observer; `fault` strikes at another phase of the
/// polls each time.
fn fail_over(run: u64, observed: bool, fault: impl Fn(&mut Cluster)) -> Option<Failover> {
    let mut cluster = Cluster::start(&["s1", "s2"])?;
    let fleet = Fleet::start(&cluster, |_, config| {
        settings(config);
        if !observed {
            config.as_object_mut().unwrap().remove("observers");
        }
    });
    pause(1000 + run * 137 % 1000);
    let began = seconds_now();
    fault(&mut cluster);
    let (winner, when) = fleet.wait_promotion();
    wait_until("the new primary takes a write", SOON, || {
        cluster[winner]
            .try_query("INSERT INTO rows (t) VALUES ('after')")
            .is_ok()
    });
    let written = seconds_now();
    // The clock of the primary is ours, and it told its time in its last answer.
    let mut last_seen = timestamp(&fleet[winner].state()["p"]["db_time"]);
    if observed {
        last_seen = last_seen.max(timestamp(&fleet["o"].state()["p"]["db_time"]));
    }
    Some(Failover {
        limit_to_command: when - (last_seen + LIMIT),
        outage_to_command: when - began,
        outage_to_write: written - began,
    })
}

fn crash(table: &mut Table) -> Option<()> {
    for (observed, name) in [(false, "crash"), (true, "crash, with an observer")] {
        let runs: Option<Vec<_>> = (0..10)
            .map(|run| fail_over(run, observed, |c| c["p"].kill_nine_all()))
            .collect();
        let runs = runs?;
        let each = |figure: fn(&Failover) -> f64| runs.iter().map(figure).collect::<Vec<_>>();
        let promised = if observed { "" } else { "median under 100 ms" };
        let reaction = each(|run| run.limit_to_command * 1000.0);
        table.row(
            format!("{name}: limit has passed -> failover_command starts"),
            reaction,
            "ms",
            promised,
        );
        let total = each(|run| run.outage_to_command);
        table.row(
            format!("{name}: kill -9 -> failover_command starts"),
            total,
            "s",
            format!("by {} s", LIMIT + 0.5),
        );
        table.row(
            format!("{name}: kill -9 -> first write"),
            each(|run| run.outage_to_write),
            "s",
            "",
        );
    }
    Some(())
}

fn hang(table: &mut Table) -> Option<()> {
    let runs: Option<Vec<_>> = (0..3)
        .map(|run| fail_over(run * 3, false, |c| c["p"].hang()))
        .collect();
    let runs = runs?;
    let promised = format!("by {} s", LIMIT + POLL_TIMEOUT + 0.5);
    let total = runs.iter().map(|run| run.outage_to_command).collect();
    table.row(
        "hang: SIGSTOP -> failover_command starts",
        total,
        "s",
        promised,
    );
    table.row(
        "hang: SIGSTOP -> first write",
        runs.iter().map(|run| run.outage_to_write).collect(),
        "s",
        "",
    );
    Some(())
}

/// How old what is known of the healthy nodes gets, sampled ten times a second.
fn blackhole(table: &mut Table) -> Option<()> {
    for (standbys, dead) in [(vec!["s1"], 1), (vec!["s1", "s2"], 20)] {
        let cluster = Cluster::start(&standbys)?;
        let holes: Vec<_> = (0..dead)
            .map(|number| Blackhole::open(&format!("hole{number}"), 5432).unwrap())
            .collect();
        let mut fleet = Fleet::prepare(&cluster, |_, config| {
            settings(config);
            for hole in &holes {
                let conninfo = format!("host={} user=pglookout", hole.host.address);
                config["remote_conns"][&hole.host.name] = json!(conninfo);
            }
        });
        let names: Vec<&str> = cluster
            .servers()
            .map(|server| server.host.name.as_str())
            .collect();
        let daemon = &mut fleet["s1"];
        daemon.start();
        for name in &names {
            wait_until("the healthy are reached", SOON, || {
                daemon.state()[name]["connection"] == true
            });
        }
        let begun = Instant::now();
        let mut ages = Vec::new();
        while begun.elapsed() < Duration::from_secs(30) {
            let state = daemon.state();
            ages.extend(
                names
                    .iter()
                    .map(|name| seconds_now() - timestamp(&state[name]["fetch_time"])),
            );
            pause(100);
        }
        let what = format!(
            "{dead} of {} hosts blackholed: age of the healthy's facts",
            dead + names.len()
        );
        table.row(what, ages, "s", format!("never over {} s", INTERVAL + 0.5));
    }
    Some(())
}

/// Memory, processor and threads of a node's daemon with nothing to do.
fn idle(table: &mut Table) -> Option<()> {
    const SECONDS: u64 = 60;
    let cluster = Cluster::start(&["s1", "s2"])?;
    let fleet = Fleet::start(&cluster, |_, config| settings(config));
    let (before, begun) = (cpu_seconds(&fleet["s1"]), Instant::now());
    pause(SECONDS * 1000);
    let share = (cpu_seconds(&fleet["s1"]) - before) / begun.elapsed().as_secs_f64() * 100.0;
    table.row(
        format!("idle, 3 nodes, {SECONDS} s: processor"),
        vec![share],
        "%",
        "under 0.5 %",
    );
    let resident = status_figure(&fleet["s1"], "VmRSS") / 1024.0;
    table.row(
        "idle, 3 nodes: resident memory",
        vec![resident],
        "MiB",
        "under 8 MiB",
    );
    table.row(
        "idle, 3 nodes: threads",
        vec![status_figure(&fleet["s1"], "Threads")],
        "",
        "1",
    );
    Some(())
}

/// From SIGTERM to the end, beside idle HTTP clients.
fn stop(table: &mut Table) -> Option<()> {
    let cluster = Cluster::start(&["s1", "s2"])?;
    let mut fleet = Fleet::start(&cluster, |_, config| settings(config));
    let mut figures = Vec::new();
    for _ in 0..10 {
        let clients: Vec<_> = (0..50)
            .map(|_| fleet["s1"].host.connect(HTTP_PORT, SOON).unwrap())
            .collect();
        pause(1000);
        let begun = Instant::now();
        fleet["s1"].signal(Signal::SIGTERM);
        fleet["s1"].wait_exit(SOON);
        figures.push(begun.elapsed().as_secs_f64() * 1000.0);
        drop(clients);
        fleet["s1"].start();
    }
    table.row(
        "SIGTERM -> exit, 50 idle HTTP clients (steps of 20 ms)",
        figures,
        "ms",
        "under 1000 ms",
    );
    Some(())
}

/// A timestamp of `/state.json` in seconds since 1970.
fn timestamp(value: &Value) -> f64 {
    let time = value
        .as_str()
        .and_then(pglookout::time::timestamp::parse)
        .expect("a timestamp");
    time.unix_micros() as f64 / 1e6
}

/// A figure of `/proc/PID/status`, such as `VmRSS` (kB) or `Threads`.
fn status_figure(daemon: &Daemon, key: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("its status");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .expect("this figure");
    line.split_whitespace()
        .next()
        .and_then(|figure| figure.parse().ok())
        .expect("a number")
}

/// Processor time that the daemon has used so far.
fn cpu_seconds(daemon: &Daemon) -> f64 {
    let text =
        fs::read_to_string(format!("/proc/{}/schedstat", daemon.pid())).expect("its schedule");
    text.split_whitespace()
        .next()
        .and_then(|nanos| nanos.parse::<f64>().ok())
        .expect("a number")
        / 1e9
}
