//! How large the program is, and what the daemon does when nothing happens.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use nix::unistd::Pid;

use crate::scale::{SETTLING, Sample};
use crate::support::daemon::Daemon;
use crate::support::meter::figure;
use crate::support::stub::Stub;
use crate::support::table::Table;
use crate::support::{Arguments, pause};

/// `bench/run size`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let seconds = arguments.number("seconds", 20);
    if arguments.has("build") {
        let without = ["build", "--release", "--locked", "--bin", "pglookout"];
        let target = ["--no-default-features", "--target-dir", "target/no-tls"];
        run(Command::new("cargo").args(without).args(target));
        run(Command::new("packaging/static").args(["--bin", "pglookout"]));
    }
    let programs = [
        ("dynamic, with TLS", env!("CARGO_BIN_EXE_pglookout")),
        ("dynamic, without TLS", "target/no-tls/release/pglookout"),
        (
            "static (musl), with TLS",
            "target/x86_64-unknown-linux-musl/release/pglookout",
        ),
    ];
    for (what, path) in programs {
        let size = fs::metadata(path).map(|file| vec![file.len() as f64 / 1024.0]);
        table.row(format!("program, {what}"), "KiB", size.unwrap_or_default());
    }
    let mut stub = Stub::start(arguments.has("each"));
    let (daemon, _) = Daemon::start_connected(&[stub.port; 3], &[]);
    pause(SETTLING);
    let wakeups = |pid| figure(pid, "status", "voluntary_ctxt_switches");
    let before = wakeups(daemon.pid());
    let sample = Sample::of(daemon.pid(), &mut stub, seconds);
    let woken = (wakeups(daemon.pid()) - before) / f64::from(seconds);
    table.one("idle, 3 nodes: RSS", "KiB", sample.rss);
    table.one("idle, 3 nodes: PSS", "KiB", sample.pss);
    let cpu = sample.cpu + sample.children_cpu;
    table.one("idle, 3 nodes: CPU, children included", "ms/s", cpu);
    table.one("idle, 3 nodes: wake-ups", "1/s", woken);
    system_calls(daemon.pid(), seconds, table);
}

/// What a daemon and the children that it started meanwhile asked of the kernel.
pub struct SystemCalls {
    /// How often each, a second.
    pub calls: BTreeMap<String, f64>,
    /// Bytes that were written to files, a second.
    pub written: f64,
}

impl SystemCalls {
    /// Counts for so many seconds; `None` without strace, which was printed.
    pub fn count(daemon: Pid, seconds: u32) -> Option<Self> {
        let file = std::env::temp_dir().join(format!("pglookout-bench-{daemon}.strace"));
        let trace = "timeout -s INT \"$0\" strace -qq -f -y -s 0 -o \"$1\" -p \"$2\"";
        let mut command = Command::new("sh");
        command.args(["-c", trace, &seconds.to_string()]).arg(&file);
        // It ends by a signal.
        let _ = command.arg(daemon.to_string()).status();
        let Ok(traced) = fs::read_to_string(&file) else {
            eprintln!("system calls are not counted: no strace here");
            return None;
        };
        let _ = fs::remove_file(&file);
        let each = 1.0 / f64::from(seconds);
        let (mut calls, mut written) = (BTreeMap::new(), 0.0);
        for (name, rest) in traced.lines().filter_map(call) {
            *calls.entry(name.to_owned()).or_default() += each;
            written += if name == "write" { length(rest) } else { 0.0 } * each;
        }
        Some(Self { calls, written })
    }

    /// How often these together, a minute.
    pub fn a_minute(&self, names: &[&str]) -> f64 {
        let calls = names.iter().filter_map(|name| self.calls.get(*name));
        calls.sum::<f64>() * 60.0
    }
}

/// What starts a process, and what waits for a disk.
pub const FORKS: &[&str] = &["clone", "clone3", "fork", "vfork"];
pub const FSYNCS: &[&str] = &["fsync", "fdatasync"];

fn system_calls(daemon: Pid, seconds: u32, table: &mut Table) {
    let Some(counted) = SystemCalls::count(daemon, seconds) else {
        return;
    };
    let all = counted.calls.values().sum();
    table.one("idle, 3 nodes: system calls", "1/s", all);
    for (name, &count) in &counted.calls {
        table.one(format!("idle, 3 nodes: of these {name}"), "1/s", count);
    }
    for (what, count) in [
        ("forks", counted.a_minute(FORKS)),
        ("fsyncs", counted.a_minute(FSYNCS)),
        ("bytes written to files", counted.written * 60.0),
    ] {
        table.one(format!("idle, 3 nodes: {what}"), "1/min", count);
    }
}

/// The name of a system call and what follows its bracket. None: a signal, an exit, or the end of a
/// call that was counted at its beginning.
fn call(line: &str) -> Option<(&str, &str)> {
    let (_, call) = line.split_once(' ')?;
    let (name, rest) = call.trim_start().split_once('(')?;
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some((name, rest))
}

/// How many bytes a `write` is of, if to a file: `5</path>, ""..., 300)`.
fn length(rest: &str) -> f64 {
    let (_, target) = rest.split_once('<').unwrap_or_default();
    let length = target
        .split([')', '<'])
        .next()
        .and_then(|it| it.rsplit(", ").next());
    let length = length.filter(|_| target.starts_with('/'));
    length.and_then(|it| it.trim().parse().ok()).unwrap_or(0.0)
}

fn run(command: &mut Command) {
    let status = command.status().expect("a program of this tree");
    assert!(status.success(), "{command:?}: {status}");
}
