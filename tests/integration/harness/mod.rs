//! Builds real clusters: PostgreSQL servers on loopback or in network namespaces, daemons beside
//! them, and faults.
//!
//! Nothing of it outlives the tests, however they end: every test's own directory is cleared with
//! all processes in it when it is dropped, and a sweeper does the same for the whole run (see
//! `run_dir`).

pub(crate) mod blackhole;
#[cfg(feature = "tls")]
pub(crate) mod certificates;
pub(crate) mod cluster;
pub(crate) mod daemon;
pub(crate) mod fleet;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod messages;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod players;
pub(crate) mod postgres;
pub(crate) mod receivers;
pub(crate) mod run_dir;
pub(crate) mod scripted;
pub(crate) mod vitals;
pub(crate) mod voting;
pub(crate) mod wait;

pub(crate) use cluster::Cluster;
pub(crate) use daemon::Daemon;
pub(crate) use fleet::Fleet;
pub(crate) use wait::{SOON, pause, wait_until};

/// What a test needs, or a line on stderr that reports why it is skipped. `PGLOOKOUT_TESTS_SKIP=never`
/// makes that a failure.
pub(crate) fn or_skip<T>(needed: Result<T, String>) -> Option<T> {
    use std::io::Write;
    needed
        .inspect_err(|reason| {
            let never = std::env::var("PGLOOKOUT_TESTS_SKIP").is_ok_and(|value| value == "never");
            assert!(!never, "may not be skipped here: {reason}");
            let test = std::thread::current().name().unwrap_or("?").to_owned();
            // Straight to the descriptor: the test runner keeps what the macros print to itself.
            let _ = writeln!(std::io::stderr(), "{test} skipped: {reason}");
        })
        .ok()
}
