//! How fast the daemon answers those who ask it, and whether its polls wait for that.

use std::thread;
use std::time::{Duration, Instant};

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
            read(&what, &daemon, &mut stub, (target, *count), seconds, table);
        }
    }
}

/// So many clients, each of which asks again as soon as it has its answer.
fn read(
    what: &str,
    daemon: &Daemon,
    stub: &mut Stub,
    (target, count): (&str, usize),
    seconds: u32,
    table: &mut Table,
) {
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let (sample, answers) = thread::scope(|scope| {
        let clients: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| ask_until(end, daemon.port, target)))
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
    table.row(format!("{what}: lateness of polls"), "ms", sample.lateness);
}

/// Of each answer: milliseconds, and bytes of its body.
fn ask_until(end: Instant, port: u16, target: &str) -> Vec<(f64, usize)> {
    let mut client = Client::connect(port).expect("a running daemon");
    let mut answers = Vec::new();
    while Instant::now() < end {
        let asked = Instant::now();
        let bytes = client.get(target).expect("an answer").len();
        answers.push((asked.elapsed().as_secs_f64() * 1e3, bytes));
    }
    answers
}
