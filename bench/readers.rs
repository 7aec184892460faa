//! How fast the daemon answers those who ask it, and whether its polls wait for that.
//!
//! The readers are threads of lower priority (`--nice`, 10 unless given): a daemon has its
//! processors for itself, and here 64 clients that ask again at once would have nearly all of two.
//! How long the daemon was ready to run and did not get a processor is a row of its own.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::gettid;

use crate::scale::{SETTLING, Sample};
use crate::support::daemon::Daemon;
use crate::support::http::Client;
use crate::support::stub::Stub;
use crate::support::table::Table;
use crate::support::{Arguments, pause};

/// `bench/run readers`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let seconds = arguments.number("seconds", 5);
    let readers = arguments.list("readers", &[1, 16, 64]);
    let nice = arguments.number("nice", 10);
    let state = readers.iter().map(|count| ("/state.json", *count));
    let asked: Vec<_> = state
        .chain([("/status.json", 1), ("/metrics", 1)])
        .collect();
    for nodes in arguments.list("nodes", &[3, 300, 3000]) {
        let mut stub = Stub::start(arguments.has("each"));
        let (daemon, _) = Daemon::start_connected(&vec![stub.port; nodes], &[]);
        pause(SETTLING);
        let quiet = Sample::of(daemon.pid(), &mut stub, seconds);
        table.row(
            format!("{nodes} nodes, no reader: lateness of polls"),
            "ms",
            quiet.lateness,
        );
        for (target, count) in &asked {
            let what = format!("{nodes} nodes, {count} readers of {target}");
            eprintln!("readers: {what}");
            let asked = Asked {
                target,
                count: *count,
                nice,
            };
            read(&what, &daemon, &mut stub, &asked, seconds, table);
        }
    }
}

/// So many clients, each of which asks again as soon as it has its answer.
struct Asked<'a> {
    target: &'a str,
    count: usize,
    nice: i32,
}

fn read(
    what: &str,
    daemon: &Daemon,
    stub: &mut Stub,
    asked: &Asked<'_>,
    seconds: u32,
    table: &mut Table,
) {
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let (sample, answers) = thread::scope(|scope| {
        let clients: Vec<_> = (0..asked.count)
            .map(|_| scope.spawn(|| ask_until(end, daemon.port, asked)))
            .collect();
        let sample = Sample::of(daemon.pid(), stub, seconds);
        let answers = clients.into_iter().map(|it| it.join().expect("a client"));
        (sample, answers.collect::<Vec<_>>().concat())
    });
    let rate = answers.len() as f64 / f64::from(seconds);
    let bytes = answers.first().map_or(0, |(_, bytes)| *bytes);
    let latency = answers.iter().map(|(latency, _)| *latency).collect();
    let each = sample.cpu * 1e3 / rate;
    table.one(format!("{what}: answers"), "1/s", rate);
    table.one(format!("{what}: length of one"), "bytes", bytes as f64);
    table.row(format!("{what}: latency"), "ms", latency);
    table.one(format!("{what}: CPU for each, polls too"), "us", each);
    table.one(
        format!("{what}: daemon waits for a processor"),
        "ms/s",
        sample.processor_wait,
    );
    table.row(format!("{what}: lateness of polls"), "ms", sample.lateness);
}

/// Of each answer: milliseconds, and bytes of its body.
fn ask_until(end: Instant, port: u16, asked: &Asked<'_>) -> Vec<(f64, usize)> {
    if asked.nice > 0 {
        let mut renice = Command::new("renice");
        renice.args(["-n", &asked.nice.to_string(), "-p"]);
        let output = renice.arg(gettid().to_string()).output();
        assert!(output.is_ok_and(|it| it.status.success()), "renice");
    }
    let mut client = Client::connect(port).expect("a running daemon");
    let mut answers = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        let bytes = client.get(asked.target).expect("an answer").len();
        answers.push((start.elapsed().as_secs_f64() * 1e3, bytes));
    }
    answers
}
