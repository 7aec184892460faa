//! What votes and leases cost while nothing happens: three voters beside real servers in network
//! namespaces, and the daemon of the primary is measured.

use serde_json::json;

use crate::harness::host::{Account, Host};
use crate::harness::run_dir::run;
use crate::harness::{Cluster, Fleet, SOON, wait_until};
use crate::scale::SETTLING;
use crate::size::{FORKS, FSYNCS, SystemCalls};
use crate::support::leases::Leases;
use crate::support::meter::{children, children_seconds, cpu_seconds};
use crate::support::table::Table;
use crate::support::{Arguments, pause};

/// `bench/run renewals`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let seconds = arguments.number("seconds", 60);
    let with = |text: &str| Some(text.parse().expect("settings of leases"));
    for leases in [None, with("none"), with("20"), with("fast")] {
        let what = leases.as_ref().map(Leases::to_string);
        let what = what.unwrap_or_else(|| "without votes".to_owned());
        eprintln!("renewals: {what}");
        if measure(leases.as_ref(), seconds, &what, table).is_none() {
            return;
        }
    }
}

/// `None`: it cannot run here, which was printed.
fn measure(leases: Option<&Leases>, seconds: u32, what: &str, table: &mut Table) -> Option<()> {
    let cluster = Cluster::start_in_namespaces(&SERVERS[1..])?;
    let mut fleet = Fleet::prepare(&cluster, |_, config| {
        config["db_poll_interval"] = json!(1);
        config["replication_state_check_interval"] = json!(1);
        config["max_failover_replication_time_lag"] = json!(15);
        // So that nothing but votes passes between the daemons.
        config
            .as_object_mut()
            .expect("settings")
            .remove("observers");
    });
    if let Some(leases) = leases {
        leases.set_up(&cluster, &mut fleet, &SERVERS);
    }
    for name in SERVERS {
        let config = fleet[name].config.as_object_mut().expect("settings");
        config.remove("flight_recorder");
        fleet[name].start();
    }
    wait_until("the daemon knows the primary", SOON, || {
        fleet[SERVERS[0]].current_primary().as_deref() == Some(SERVERS[0])
    });
    if let Some(leases) = leases {
        leases.wait_held(&fleet[SERVERS[0]]);
    }
    pause(SETTLING);
    let (daemon, counter) = (
        fleet[SERVERS[0]].pid(),
        Counter::of(&fleet[SERVERS[0]].host),
    );
    let used = || {
        let living = children(daemon).into_iter().map(cpu_seconds);
        [
            cpu_seconds(daemon),
            children_seconds(daemon) + living.sum::<f64>(),
        ]
    };
    let (before, bytes) = (used(), counter.bytes());
    pause(f64::from(seconds));
    let (after, bytes) = (used(), counter.bytes() - bytes);
    let [own, of_children] = [0, 1].map(|at| (after[at] - before[at]) * 1e3 / f64::from(seconds));
    table.one(format!("{what}: CPU of the primary's daemon"), "ms/s", own);
    table.one(format!("{what}: CPU of its children"), "ms/s", of_children);
    let a_second = bytes / f64::from(seconds);
    table.one(
        format!("{what}: traffic of votes at its host"),
        "B/s",
        a_second,
    );
    if let Some(counted) = SystemCalls::count(daemon, seconds) {
        let all: f64 = counted.calls.values().sum();
        table.one(format!("{what}: system calls"), "1/s", all);
        for (kind, names) in [("forks", FORKS), ("fsyncs", FSYNCS)] {
            let count = counted.a_minute(names);
            table.one(format!("{what}: {kind}"), "1/min", count);
        }
    }
    Some(())
}

/// Counts what passes between the daemons at one host, both ways, with the headers of TCP and IP.
struct Counter<'a>(&'a Host);

impl<'a> Counter<'a> {
    fn of(host: &'a Host) -> Self {
        let counter = Self(host);
        for rule in [
            "add table inet votes",
            "add counter inet votes traffic",
            "add chain inet votes in { type filter hook input priority 0; }",
            "add chain inet votes out { type filter hook output priority 0; }",
            // Not what this program asks from the host itself.
            "add rule inet votes in iifname eth0 tcp dport 15000 counter name traffic",
            "add rule inet votes in iifname eth0 tcp sport 15000 counter name traffic",
            "add rule inet votes out oifname eth0 tcp dport 15000 counter name traffic",
            "add rule inet votes out oifname eth0 tcp sport 15000 counter name traffic",
        ] {
            counter.nft(rule);
        }
        counter
    }

    fn bytes(&self) -> f64 {
        let text = self.nft("list counter inet votes traffic");
        let mut words = text.split_whitespace().skip_while(|word| *word != "bytes");
        let bytes = words.nth(1).and_then(|word| word.parse().ok());
        bytes.unwrap_or_else(|| panic!("no bytes: {text}"))
    }

    fn nft(&self, rule: &str) -> String {
        run(self.0.command("nft", Account::Own).arg(rule)).expect("a counter")
    }
}

const SERVERS: [&str; 3] = ["p", "s1", "s2"];
