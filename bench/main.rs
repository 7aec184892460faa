//! What pglookout costs, measured on this machine, printed as tables. `bench/run` runs it, and
//! `bench/README.md` says how to read it.

// Measuring waits, starts programs, reads clocks and ends with a panic; the bans and denials are
// for the daemon.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![allow(missing_docs, unreachable_pub, unsafe_code)]

#[allow(dead_code, unused_imports)] // The tests' own; not all of it is needed here.
#[path = "../tests/integration/harness/mod.rs"]
mod harness;

mod calm;
mod decision;
mod failover;
mod floor;
mod guard;
mod partitions;
mod pooler;
mod readers;
mod renewals;
mod scale;
mod size;
mod stub;
mod support;
mod switchover;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::Arguments;
use support::table::Table;

fn main() {
    let arguments = Arguments::read(std::env::args().skip(1));
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("as many descriptors as allowed");
    let mut table = Table::default();
    match arguments.words.first().map(String::as_str) {
        Some("floor") => floor::main(&arguments, &mut table),
        Some("scale") => scale::main(&arguments, &mut table),
        Some("dead") => scale::dead(&arguments, &mut table),
        Some("readers") => readers::main(&arguments, &mut table),
        Some("decision") => decision::main(&arguments, &mut table),
        Some("decide") => return decision::rounds(&arguments),
        Some("size") => size::main(&arguments, &mut table),
        Some("failover") => failover::main(&arguments, &mut table),
        Some("switchover") => switchover::main(&arguments, &mut table),
        Some("calm") => calm::main(&arguments, &mut table),
        Some("guard") => guard::main(&arguments, &mut table),
        Some("renewals") => renewals::main(&arguments, &mut table),
        Some("partitions") => return partitions::main(&arguments),
        Some("stub") => stub::run(!arguments.has("each")).expect("a working stub"),
        other => {
            eprintln!(
                "{other:?} is none of: floor, scale, dead, readers, decision, size, failover, switchover, \
                 calm, guard, partitions, renewals"
            );
            std::process::exit(2);
        }
    }
    table.print();
}
