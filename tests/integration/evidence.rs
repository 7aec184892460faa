//! What is taken for evidence that a primary lives, and what is not: each way in which two servers
//! were once primaries at a time, or none was, on real servers.

mod cables;
mod cascades;
mod deadlocks;
mod histories;
mod names;
mod poolers;
mod promotions;
mod reloads;
mod restarts;
mod starting;
pub(crate) mod switchovers;
mod witnesses;

use crate::harness::cluster::PRIMARY;
use crate::harness::{Cluster, Daemon, SOON, wait_until};

/// Nothing listens there.
const NOWHERE: &str = "host=127.0.0.1 port=1";

/// Only this standby has what the primary writes from now on; the others stream from nowhere.
fn put_ahead(cluster: &Cluster, ahead: &str, behind: &[&str]) {
    for name in behind {
        cluster[*name].stream_from(NOWHERE);
        // One after the other: who is cut off first has no more than who is cut off next.
        let cut =
            format!("SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}'");
        wait_until(&format!("{name} is cut off"), SOON, || {
            cluster[PRIMARY].query(&cut) == "0"
        });
    }
    cluster.wait_streaming(1);
    cluster[PRIMARY].insert_rows(100);
    cluster.wait_caught_up(ahead);
}

/// The other one of the two standbys.
fn other_than(name: &str) -> &'static str {
    if name == "s1" { "s2" } else { "s1" }
}

fn wait_current(daemon: &Daemon, primary: &str) {
    let what = format!(
        "{} is the primary for the daemon {}",
        primary, daemon.host.name
    );
    wait_until(&what, SOON, || {
        daemon.current_primary().as_deref() == Some(primary)
    });
}

fn wait_promoted(cluster: &Cluster, name: &str) {
    wait_until(&format!("{name} takes writes"), SOON, || {
        cluster[name]
            .try_query("SELECT pg_is_in_recovery()")
            .is_ok_and(|answer| answer == "f")
    });
}
