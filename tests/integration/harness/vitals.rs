//! How a daemon is: whom it asks how often, and what it holds: memory, descriptors, threads,
//! children.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::daemon::Daemon;
use super::wait::{SOON, pause};

/// The longest time that passed for one of these nodes between two of its polls, looked at for
/// `time`. Every look is an HTTP request that must be answered.
pub(crate) fn longest_unasked(daemon: &Daemon, nodes: &[&str], time: Duration) -> Duration {
    let mut latest: BTreeMap<&str, (Value, Instant)> = BTreeMap::new();
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < time {
        let answer = daemon.get("/state.json").expect("an answer in good time");
        let state: Value = serde_json::from_str(&answer.body).expect("the state of the nodes");
        for name in nodes {
            let fetched = state[name]["fetch_time"].clone();
            let (known, since) = latest
                .entry(name)
                .or_insert((fetched.clone(), Instant::now()));
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
    status(daemon, "VmHWM:")
}

/// What a daemon holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holdings {
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
    /// Names and states of its children, those among them that nobody has waited for.
    pub(crate) children: Vec<String>,
    /// Memory that is resident now.
    pub(crate) rss_kib: u64,
}

impl Holdings {
    /// At a moment without a child, if there is one soon: the state file is written by one, which
    /// takes as long as the disk does, and a descriptor.
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let begun = Instant::now();
        loop {
            let is_alone = children(daemon).is_empty();
            let holdings = Self::at_any_moment(daemon);
            if (is_alone && holdings.children.is_empty()) || begun.elapsed() > SOON {
                return holdings;
            }
            pause(5);
        }
    }

    fn at_any_moment(daemon: &Daemon) -> Self {
        Self {
            descriptors: fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
                .expect("a running daemon")
                .count(),
            threads: status(daemon, "Threads:"),
            children: children(daemon),
            rss_kib: status(daemon, "VmRSS:"),
        }
    }

    /// The same but for memory.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        Self {
            rss_kib: other.rss_kib,
            ..self.clone()
        } == *other
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            descriptors,
            threads,
            children,
            rss_kib,
        } = self;
        write!(
            f,
            "{descriptors} descriptors, {threads} threads, {} children, {rss_kib} KiB",
            children.len()
        )
    }
}

/// The processor time that it has used.
pub(crate) fn cpu_time(daemon: &Daemon) -> Duration {
    let text =
        fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("a running daemon");
    let after_name: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    // utime and stime (proc(5)), in hundredths of a second on every Linux.
    let ticks = |at: usize| after_name[at].parse::<u64>().expect("a number");
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn status(daemon: &Daemon, field: &str) -> u64 {
    let text =
        fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a running daemon");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .expect("a field of this name");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

/// But for the one that stays, which reads the maintenance file.
fn children(daemon: &Daemon) -> Vec<String> {
    let parent = daemon.pid().to_string();
    let stats = fs::read_dir("/proc").expect("/proc").flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            let (state, of) = (fields.next()?, fields.next()?);
            let is_passing = of == parent && name != "pglookout-files";
            is_passing.then(|| format!("{name} {state}"))
        })
        .collect()
}
