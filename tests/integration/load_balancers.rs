//! A real HAProxy that asks the daemons, with the shipped configuration, which is as for Patroni; and
//! clients that write and read through it.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::evidence::switchovers::switch_over;
use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::{Account, Host};
use crate::harness::http::request;
use crate::harness::postgres::{query_from, which};
use crate::harness::run_dir::Ended;
use crate::harness::{Cluster, Daemon, Fleet, SOON, or_skip, wait_until};

const WRITES: u16 = 5000;
const READS: u16 = 5001;

/// A HAProxy on the observer's host.
fn start_balancer(cluster: &Cluster) -> Option<Ended> {
    let program = which("haproxy").ok_or_else(|| "there is no haproxy here".to_owned());
    let program = or_skip(program)?;
    let shipped = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/packaging/examples/haproxy.cfg"
    );
    let mut text = fs::read_to_string(shipped).unwrap();
    for (name, address) in [
        (PRIMARY, "10.0.0.1"),
        ("s1", "10.0.0.2"),
        ("s2", "10.0.0.3"),
    ] {
        text = text.replace(
            &format!("{address}:"),
            &format!("{}:", cluster[name].host.address),
        );
    }
    text = text.replace("bind :", &format!("bind {}:", cluster.observer.address));
    let file = cluster.dir().join("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let mut haproxy = cluster.observer.command(program, Account::Own);
    haproxy.arg("-db").arg("-f").arg(&file);
    haproxy
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Some(Ended(haproxy.spawn().unwrap()))
}

fn query(cluster: &Cluster, port: u16, sql: &str) -> std::io::Result<String> {
    let target = format!(
        "host={} port={port} user=postgres dbname=postgres connect_timeout=2",
        cluster.observer.address
    );
    query_from(&cluster.observer, &cluster.postgres.psql, &target, sql)
}

/// Who answers there.
fn server_at(cluster: &Cluster, port: u16) -> Option<String> {
    let address = query(cluster, port, "SELECT host(inet_server_addr())").ok()?;
    let mut servers = cluster.servers();
    let server = servers.find(|server| server.host.address.to_string() == address)?;
    Some(server.host.name.clone())
}

fn wait_written_to(cluster: &Cluster, server: &str) {
    wait_until(&format!("writes go to {server}"), SOON, || {
        let insert = "INSERT INTO rows (t) VALUES ('through the balancer')";
        query(cluster, WRITES, insert).is_ok()
            && server_at(cluster, WRITES).as_deref() == Some(server)
    });
}

fn wait_read_from(cluster: &Cluster, servers: &[&str]) {
    for server in servers {
        wait_until(&format!("{server} is read from"), SOON, || {
            server_at(cluster, READS).as_deref() == Some(*server)
        });
    }
}

/// Status and reason of a health check.
fn ask(host: &Host, target: &str) -> (u16, Value) {
    let answer = request(host, HTTP_PORT, "GET", target).unwrap();
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    (answer.status, body["reason"].clone())
}

fn wait_answer(daemon: &Daemon, target: &str, status: u16, reason: &Value) {
    let what = format!("{target} of {} is {status} {reason}", daemon.host.name);
    wait_until(&what, SOON, || {
        let (found, why) = ask(&daemon.host, target);
        (found, &why) == (status, reason)
    });
}

#[test]
fn writes_follow_a_failover_and_not_the_old_primary_that_comes_back() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, _| ());
    let Some(_balancer) = start_balancer(&cluster) else {
        return;
    };
    wait_written_to(&cluster, PRIMARY);
    wait_read_from(&cluster, &["s1", "s2"]);
    cluster[PRIMARY].kill_nine_all();
    let winner = fleet.wait_promotion().0.to_owned();
    wait_written_to(&cluster, &winner);
    cluster[PRIMARY].start();
    let superseded = json!("superseded");
    wait_answer(&fleet[PRIMARY], "/primary", 503, &superseded);
    wait_answer(&fleet[PRIMARY], "/readiness", 503, &superseded);
    wait_answer(&fleet[PRIMARY], "/health", 200, &Value::Null);
    // Through two rounds of checks of the balancer, and of the daemons.
    for _ in 0..10 {
        assert_eq!(ask(&fleet[PRIMARY].host, "/primary").0, 503);
        assert_eq!(server_at(&cluster, WRITES), Some(winner.clone()));
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(ask(&fleet[&winner].host, "/primary"), (200, Value::Null));
}

#[test]
fn writes_follow_a_switchover_by_hand() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, config| {
        config["max_failover_replication_time_lag"] = json!(20.0);
    });
    let Some(_balancer) = start_balancer(&cluster) else {
        return;
    };
    wait_written_to(&cluster, PRIMARY);
    switch_over(&mut cluster, PRIMARY, "s1");
    wait_written_to(&cluster, "s1");
    wait_read_from(&cluster, &[PRIMARY, "s2"]);
    wait_answer(&fleet[PRIMARY], "/primary", 503, &json!("standby"));
    assert!(fleet.promoted().is_empty());
}

#[test]
fn every_question_has_its_answer() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, _| ());
    cluster.wait_caught_up("s1");
    let none = Value::Null;
    for (path, on_primary, on_standby) in [
        ("/primary", (200, none.clone()), (503, json!("standby"))),
        ("/read-write", (200, none.clone()), (503, json!("standby"))),
        ("/leader", (200, none.clone()), (503, json!("standby"))),
        ("/replica", (503, json!("primary")), (200, none.clone())),
        (
            "/replica?lag=16MB",
            (503, json!("primary")),
            (200, none.clone()),
        ),
        ("/read-only", (200, none.clone()), (200, none.clone())),
        ("/readiness", (200, none.clone()), (200, none.clone())),
        ("/health", (200, none.clone()), (200, none.clone())),
        ("/liveness", (200, none.clone()), (200, none.clone())),
    ] {
        assert_eq!(ask(&fleet[PRIMARY].host, path), on_primary, "{path}");
        assert_eq!(ask(&fleet["s1"].host, path), on_standby, "{path}");
    }
    // An observer answers for whom it is asked about.
    let observer = &fleet["o"].host;
    assert_eq!(ask(observer, "/primary"), (503, json!("no_node")));
    assert_eq!(ask(observer, "/primary?node=p"), (200, none.clone()));
    assert_eq!(ask(observer, "/replica?node=s1"), (200, none.clone()));
    assert_eq!(
        ask(observer, "/replica?node=s9"),
        (503, json!("unknown_node"))
    );
    let answer = request(observer, HTTP_PORT, "OPTIONS", "/replica?node=s1").unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    // Replay that stands still falls behind.
    cluster["s1"].pause_replay();
    cluster[PRIMARY].insert_rows(100);
    wait_answer(&fleet["s1"], "/replica?lag=1kB", 503, &json!("lag"));
    wait_answer(&fleet["s1"], "/replica?lag=1GB", 200, &none);
    cluster["s1"].resume_replay();
    wait_answer(&fleet["s1"], "/replica?lag=1kB", 200, &none);
    cluster["s1"].stop_fast();
    for path in ["/replica", "/health", "/readiness", "/read-only"] {
        wait_answer(&fleet["s1"], path, 503, &json!("unreachable"));
    }
    wait_answer(&fleet["s1"], "/liveness", 200, &none);
}
