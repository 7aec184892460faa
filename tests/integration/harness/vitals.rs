//! How a daemon is: whom it asks how often, and what memory it takes.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::daemon::Daemon;
use super::wait::pause;

/// The longest time that passed for one of these nodes between two of its polls, looked at for `time`. Every look is an
/// HTTP request that must be answered.
pub(crate) fn longest_unasked(daemon: &Daemon, nodes: &[&str], time: Duration) -> Duration {
    let mut latest: BTreeMap<&str, (Value, Instant)> = BTreeMap::new();
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < time {
        let answer = daemon.get("/state.json").expect("an answer in good time");
        let state: Value = serde_json::from_str(&answer.body).expect("the state of the nodes");
        for name in nodes {
            let fetched = state[name]["fetch_time"].clone();
            let (known, since) = latest.entry(name).or_insert((fetched.clone(), Instant::now()));
            longest = longest.max(since.elapsed());
            if *known != fetched {
                (*known, *since) = (fetched, Instant::now());
            }
        }
        pause(50);
    }
    longest
}

/// The most memory that it ever had, in KiB.
pub(crate) fn peak_kib(daemon: &Daemon) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a running daemon");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
