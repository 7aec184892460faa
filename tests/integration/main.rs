//! The daemon on real PostgreSQL clusters: what it promotes after, and what it never promotes
//! after.

// Tests wait, start programs, read clocks and end with a panic; the bans and denials are for the
// daemon.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(unsafe_code)]

mod harness;

mod beside_original;
mod candidates;
mod clocks;
mod commands;
mod days_work;
mod dsns;
mod every_key;
mod evidence;
mod explaining;
mod failover_steps;
mod files;
mod following;
mod frozen_disk;
mod hangs;
mod hostile;
mod house;
mod ipv6;
mod leases;
mod links;
mod load;
mod load_balancers;
mod log_levels;
mod logins;
mod metrics;
mod moving;
mod notify;
mod operators;
mod outages;
mod packaging;
mod pausing;
mod peers;
mod poolers;
mod presence;
mod programs;
mod recording;
mod reloading;
mod restarts;
mod rotation;
mod services;
mod settings;
mod simulating;
mod status;
mod stopping;
mod switchover;
mod syslog;
mod timelines;
#[cfg(feature = "tls")]
mod tls;
mod versions;
mod voter_lists;
mod votes;
mod watchdog;
