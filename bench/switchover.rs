//! What a planned switchover costs on a real cluster: three servers on loopback, a daemon with a
//! lease beside each, and clients that write all the time. The primary goes round.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::harness::voting::{allow_switchovers, switchover};
use crate::harness::{Cluster, Fleet, SOON, pause, wait_until};
use crate::partitions::judge::{Judged, Seen, judge};
use crate::partitions::world::{SERVERS, rows};
use crate::partitions::writers::Writers;
use crate::support::Arguments;
use crate::support::leases::Leases;
use crate::support::table::{Table, plain};

/// `bench/run switchover`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let fast: Leases = "fast".parse().expect("settings of leases");
    let leases = arguments.number("leases", fast);
    let Some(mut cluster) = Cluster::start(&SERVERS[1..]) else {
        return;
    };
    let (fleet, bulk) = (start(&cluster, &leases), arguments.number("bulk", 0));
    cluster[SERVERS[0]].query("CREATE TABLE bulk (number bigint)");
    let (mut primary, mut all) = (SERVERS[0].to_owned(), BTreeSet::new());
    let mut runs = Vec::new();
    for number in 0..arguments.number("runs", 10) {
        let run = switch_over(&cluster, &fleet, &primary, (number, bulk), &mut all);
        if run.primary != primary {
            cluster.rejoin(&primary, &run.primary);
        }
        primary.clone_from(&run.primary);
        runs.push(run);
    }
    let kept = rows(&cluster, &primary);
    let lost = all.iter().filter(|row| !kept.contains(row)).count();
    let setting = format!("{leases}, {bulk} rows at a time beside");
    print(&setting, &runs, (all.len(), lost), table);
}

/// What one switchover did.
struct Run {
    /// It ended with 0, and the standby that was asked for is the primary.
    is_done: bool,
    /// From the start of the command to its end, in seconds.
    command: f64,
    judged: Judged,
    /// Who is the primary afterwards.
    primary: String,
}

/// The daemons run, and the primary has its lease.
fn start(cluster: &Cluster, leases: &Leases) -> Fleet {
    let limit = leases.least_limit();
    let mut fleet = Fleet::prepare(cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(limit);
        config["warning_replication_time_lag"] = json!(limit / 2.0);
    });
    leases.set_up(cluster, &mut fleet, &SERVERS);
    for name in SERVERS {
        allow_switchovers(cluster, &mut fleet[name]);
    }
    fleet.start_all();
    fleet.wait_settled();
    leases.wait_held(&fleet[SERVERS[0]]);
    fleet
}

/// From this primary to the next server, once that would be promoted. The number of the run, and of the
/// rows of a statement beside it; `all` gets the numbers of the rows that were acknowledged.
fn switch_over(
    cluster: &Cluster,
    fleet: &Fleet,
    old: &str,
    (number, bulk): (u64, u64),
    all: &mut BTreeSet<u64>,
) -> Run {
    let at = SERVERS.iter().position(|name| *name == old);
    let to = SERVERS[(at.expect("a server") + 1) % SERVERS.len()];
    wait_until("the next server would be promoted", SOON, || {
        let checked = switchover(&fleet[old], to, &["--dry-run"]);
        checked.status.success()
    });
    let hosts: Vec<_> = cluster.servers().map(|it| it.host.clone()).collect();
    let writers = Writers::start(hosts.into_iter());
    // Another phase of polls and renewals each time.
    pause(1000 + number * 137 % 1000);
    let (from, command, done) = beside_bulk(cluster, old, bulk, || {
        let (from, begun) = (writers.now(), Instant::now());
        let done = switchover(&fleet[old], to, &[]);
        (from, begun.elapsed().as_secs_f64(), done)
    });
    wait_until("there is one primary", SOON, || {
        cluster.primaries().len() == 1
    });
    pause(1000);
    let ended = writers.now();
    let written = writers.finish();
    let primary = cluster.primaries().concat();
    let judged = judge(&Seen {
        primary: old,
        majority: SERVERS.to_vec(),
        rows: &written,
        cut: from,
        healed: ended,
        ended,
        kept: &rows(cluster, &primary),
    });
    all.extend(written.values().flatten().map(|row| row.number));
    let run = Run {
        is_done: done.status.success() && primary == to,
        command,
        judged,
        primary,
    };
    let (paused, lost) = (run.judged.without_any, run.judged.lost);
    let [said, took] = [paused, command].map(plain);
    eprintln!(
        "switchover: run {number}, {old} to {to}: {took} s, no row for {said} s, {lost} lost"
    );
    if !run.is_done || paused > LONG || lost > 0 {
        let printed = [done.stdout, done.stderr].concat();
        eprintln!("{}", String::from_utf8_lossy(&printed));
    }
    run
}

/// Does this while a client writes so many rows at a time to the primary.
fn beside_bulk<T>(cluster: &Cluster, primary: &str, rows: u64, deed: impl FnOnce() -> T) -> T {
    let (server, is_over) = (&cluster[primary], AtomicBool::new(false));
    server.query("TRUNCATE bulk");
    let insert = format!("INSERT INTO bulk SELECT generate_series(1, {rows})");
    thread::scope(|scope| {
        if rows > 0 {
            let goes_on = || !is_over.load(Ordering::Relaxed) && server.try_query(&insert).is_ok();
            scope.spawn(move || while goes_on() {});
            pause(1000);
        }
        let done = deed();
        is_over.store(true, Ordering::Relaxed);
        done
    })
}

/// `rows`: all that were acknowledged, and those of them that the last primary does not have.
fn print(setting: &str, runs: &[Run], rows: (usize, usize), table: &mut Table) {
    let each = |of: fn(&Run) -> f64| runs.iter().map(of).collect();
    let count = |is: fn(&Run) -> bool| runs.iter().filter(|run| is(run)).count() as f64;
    let mut row =
        |what: &str, unit, figures| table.row(format!("{setting}: {what}"), unit, figures);
    row(
        "no row from any server for",
        "s",
        each(|run| run.judged.without_any),
    );
    row("the command", "s", each(|run| run.command));
    row(
        "rows acknowledged",
        "",
        each(|run| run.judged.acknowledged as f64),
    );
    row("rows lost", "", each(|run| run.judged.lost as f64));
    row("rows acknowledged in all runs", "", vec![rows.0 as f64]);
    row("of these lost in the end", "", vec![rows.1 as f64]);
    row(
        "runs with two writers",
        "",
        vec![count(|run| run.judged.two_writers)],
    );
    row("runs that failed", "", vec![count(|run| !run.is_done)]);
}

/// Of a pause that is longer, in seconds, the command's output is shown.
const LONG: f64 = 2.0;
