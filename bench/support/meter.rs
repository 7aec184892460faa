//! What a process costs, read from outside.

use std::fs;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Processor time that a process has used so far, user and system, all threads, in seconds.
pub fn cpu_seconds(pid: Pid) -> f64 {
    let clock = clock_getcpuclockid(pid).and_then(clock_gettime);
    let time = clock.expect("a running process");
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}

/// Processor time of its children that have ended, in seconds; steps of 0.01 s.
pub fn children_seconds(pid: Pid) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let after_name = text.rsplit(')').next().unwrap_or_default();
    // cutime and cstime (proc(5)), in hundredths of a second on every Linux.
    let ticks = after_name.split_whitespace().skip(13).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Seconds in which it was ready to run and had no processor (the second figure of
/// `/proc/PID/schedstat`).
pub fn wait_seconds(pid: Pid) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("a running process");
    let nanoseconds = text.split_whitespace().nth(1);
    nanoseconds.map_or(0., |it| it.parse::<f64>().expect("a number") / 1e9)
}

/// Its children that run.
pub fn children(pid: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.expect("a running process");
    let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.map(Pid::from_raw).collect()
}

/// A figure of a file below `/proc/PID`, such as `VmRSS` of `status` or `Pss` of `smaps_rollup`
/// (both in KiB).
pub fn figure(pid: Pid, file: &str, key: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a running process");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let figure = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    figure.unwrap_or_else(|| panic!("no {key} in {file}"))
}
