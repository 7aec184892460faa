//! pglookout: watches PostgreSQL primary/standby clusters and promotes a standby when the primary
//! is gone.
//!
//! One thread, one ring around a pure core. Imports run one way: `failover` knows `cluster` and
//! `config`, never `pg`. The rooms in reading order, and what each may import, are a table in
//! `tests/integration/house.rs`, which reads the tree's own `use` lines against it.

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
compile_error!(
    "pglookout must not be linked statically against glibc: getaddrinfo then crashes wherever /etc/nsswitch.conf names modules such \
     as myhostname, resolve or mymachines. For a static program build for musl: packaging/static."
);

pub mod time;

// Pure: facts in, values out. No clock, file, socket or process.
pub mod cluster;
pub mod config;
pub mod dns;
pub mod failover;
pub mod format;
pub mod http;
pub mod lookout;
pub mod pg;
pub mod replay;
pub mod simulation;
pub mod status;
pub mod tls;
pub mod votes;

// The world.
pub mod net;
pub mod sys;

// Where both meet.
pub mod daemon;

pub mod cli;

#[cfg(test)]
mod testing;
