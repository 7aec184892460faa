//! WAL that another standby sends is no sign of a primary.

use std::process::Command;

use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::LIMIT;
use crate::harness::host::Account;
use crate::harness::postgres::which;
use crate::harness::run_dir::run;
use crate::harness::{Cluster, Fleet, SOON, or_skip, wait_until};

const RECEIVED: &str = "SELECT pg_last_wal_receive_lsn() - '0/0'";

fn received(cluster: &Cluster, name: &str) -> u64 {
    cluster[name].query(RECEIVED).parse().unwrap()
}

#[test]
fn a_standby_that_catches_up_from_another_standby_holds_up_no_failover() {
    let tc = which("tc").ok_or_else(|| "a slow link needs the program tc".to_owned());
    let Some(tc) = or_skip(tc) else { return };
    let Some(mut cluster) = Cluster::start_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    let conninfo = cluster["s2"].conninfo_for_streaming(&cluster["s1"].host);
    cluster["s2"].stream_from(&conninfo);
    cluster.wait_streaming(1);
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    // What leaves s1 takes minutes for what comes now.
    let mut slow = cluster["s1"].host.command(tc, Account::Own);
    let rate = "qdisc add dev eth0 root tbf rate 800kbit burst 10kb latency 100ms";
    if or_skip(shape(slow.args(rate.split(' ')))).is_none() {
        return;
    }
    cluster[PRIMARY].insert_rows(80_000);
    cluster.wait_caught_up("s1");
    cluster[PRIMARY].kill_nine_all();

    let before = received(&cluster, "s2");
    assert_eq!(fleet.wait_promotion().0, "s1");
    let after = received(&cluster, "s2");
    assert!(after > before, "s2 received nothing meanwhile");
    assert!(after < received_by_winner(&cluster), "s2 had caught up");
    wait_until("it takes writes", SOON, || !cluster["s1"].is_in_recovery());
    fleet.nobody_promotes_for(LIMIT);
    assert_eq!(fleet.promoted(), ["s1"]);
}

fn received_by_winner(cluster: &Cluster) -> u64 {
    let position = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() \
        ELSE pg_current_wal_lsn() END - '0/0'";
    cluster["s1"].query(position).parse().unwrap()
}

fn shape(command: &mut Command) -> Result<(), String> {
    run(command).map(drop).map_err(|error| error.to_string())
}
