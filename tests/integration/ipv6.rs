//! Clusters whose daemons know no other addresses than IPv6 ones.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};

use serde_json::{Value, json};

use crate::harness::cluster::{OBSERVER, PRIMARY};
use crate::harness::daemon::{HTTP_PORT, seconds_now};
use crate::harness::fleet::LIMIT;
use crate::harness::host::{Account, Host};
use crate::harness::postgres::{PASSWORD, USER};
use crate::harness::run_dir::{TestDir, run};
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

const NAMES: [&str; 4] = [PRIMARY, "s1", "s2", OBSERVER];

fn address(name: &str) -> Ipv6Addr {
    let number = NAMES
        .iter()
        .position(|known| *known == name)
        .expect("a host of this cluster")
        + 1;
    Ipv6Addr::new(0xfd77, 7, 0, 0, 0, 0, 0, number as u16)
}

#[test]
fn a_failover_needs_no_ipv4() {
    let Some(mut cluster) = Cluster::prepare_in_namespaces(&["s1", "s2"]) else {
        return;
    };
    for name in NAMES {
        let address = format!("{}/64", address(name));
        let mut ip = cluster.host(name).command("ip", Account::Own);
        run(ip.args(["address", "add", &address, "dev", "eth0", "nodad"]))
            .expect("an IPv6 address");
    }
    for name in [PRIMARY, "s1", "s2"] {
        cluster[name].listen_addresses = "*".to_owned();
    }
    cluster.start_all();
    // Each way to write an address; and each to listen on one, the tests themselves coming in by
    // IPv4.
    let mut fleet = Fleet::prepare(&cluster, |name, config| {
        config["remote_conns"] = json!({
            "p": format!("host={} dbname=postgres user={USER} password={PASSWORD}", address("p")),
            "s1": format!("postgresql://{USER}:{PASSWORD}@[{}]:5432/postgres", address("s1")),
            "s2": { "hostaddr": address("s2"), "dbname": "postgres", "user": USER, "password": PASSWORD },
        });
        config["http_address"] = json!(if name == "s2" { "" } else { "::" });
        if name != OBSERVER {
            config["observers"] =
                json!({ OBSERVER: format!("http://[{}]:{HTTP_PORT}", address(OBSERVER)) });
        }
    });
    fleet.start_all();
    fleet.wait_settled();
    let families = "SELECT string_agg(DISTINCT family(client_addr)::text, ',') FROM pg_stat_activity \
         WHERE usename = 'pglookout'";
    assert_eq!(cluster[PRIMARY].query(families), "6");
    cluster[PRIMARY].kill_nine_all();
    let dead_at = seconds_now();
    let (who, when) = fleet.wait_promotion();
    let (who, took) = (who.to_owned(), when - dead_at);
    println!("failover over IPv6 to {who} after {took:.1} s");
    assert!(took < LIMIT + 3.0, "the failover took {took:.1} s");
    assert!(
        fleet[&who].log().contains("3 of 4 votes"),
        "the observer was not heard: {}",
        fleet[&who].log()
    );
    wait_until("the promoted server is the primary", SOON, || {
        cluster.primaries() == [who.as_str()]
    });
    fleet.nobody_promotes_for(1.0);
    assert_eq!(fleet.promoted(), [who.as_str()]);
}

/// The link-local address of this host, and the number of its interface.
fn link_local(host: &Host) -> (String, String) {
    let mut address = String::new();
    wait_until("a link-local address", SOON, || {
        let mut ip = host.command("ip", Account::Own);
        let shown = run(ip.args([
            "-6", "-o", "address", "show", "dev", "eth0", "scope", "link",
        ]));
        let shown = shown.expect("its addresses");
        let is_ready = !shown.contains("tentative");
        let found = shown
            .split_whitespace()
            .find(|word| word.starts_with("fe80:"));
        address = found
            .unwrap_or_default()
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        is_ready && !address.is_empty()
    });
    let mut cat = host.command("ip", Account::Own);
    let link = run(cat.args(["-o", "link", "show", "dev", "eth0"])).expect("its interface");
    let number = link.split(':').next().unwrap_or_default().trim().to_owned();
    (address, number)
}

#[test]
fn link_local_addresses_keep_their_interface() {
    let Some(mut cluster) = Cluster::prepare_in_namespaces(&["s1"]) else {
        return;
    };
    for name in [PRIMARY, "s1"] {
        cluster[name].listen_addresses = "*".to_owned();
    }
    cluster.start_all();
    let (primary, _) = link_local(cluster.host(PRIMARY));
    let (own, number) = link_local(cluster.host(OBSERVER));
    let login = format!("dbname=postgres user={USER} password={PASSWORD}");
    let port = HTTP_PORT + 1;
    let mut daemon = Daemon::prepare(
        cluster.observer.clone(),
        cluster.dir(),
        json!({
            "remote_conns": {
                "host": format!("host={primary}%eth0 {login}"),
                "hostaddr": format!("host=primary hostaddr={primary}%eth0 {login}"),
                "url": format!("postgresql://{USER}:{PASSWORD}@[{primary}%25eth0]:5432/postgres"),
                "number": format!("host={primary}%{number} {login}"),
                "object": {"host": format!("{primary}%eth0"), "user": USER, "password": PASSWORD, "dbname": "postgres"},
            },
            "observers": {
                "itself": format!("http://[{own}%25eth0]:{port}"),
                "numbered": format!("http://[{own}%{number}]:{port}"),
            },
            "db_poll_interval": 0.5,
        }),
    );
    daemon.config["http_address"] = json!(format!("{own}%eth0"));
    daemon.config["http_port"] = json!(port);
    daemon.start_with_stderr(std::fs::File::create(daemon.log_path()).unwrap().into());
    for what in ["itself", "numbered"] {
        let failed = format!("observer {what}:");
        wait_until("the state is saved with everybody in it", SOON, || {
            let state = daemon.state_file();
            let nodes = &state["db_nodes"];
            let known = nodes.as_object().map_or(0, |nodes| nodes.len());
            known == 5 && state["observer_nodes"][what]["connection"] == true
        });
        let log = daemon.log();
        let late = log.lines().filter(|line| line.contains(&failed)).count();
        assert!(late <= 2, "{log}");
    }
    let state = daemon.state_file();
    for node in ["host", "hostaddr", "url", "number", "object"] {
        assert_eq!(
            state["db_nodes"][node]["connection"],
            true,
            "{node}: {}",
            daemon.log()
        );
    }
    daemon.stop();
}

#[test]
fn http_is_served_on_an_ipv6_address_alone() {
    let dir = TestDir::new();
    for written in ["::1", "[::1]"] {
        let free =
            TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("IPv6 on the loopback interface").port();
        let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), json!({}));
        daemon.config["http_address"] = json!(written);
        daemon.config["http_port"] = json!(port);
        daemon.start_with_stderr(std::fs::File::create(daemon.log_path()).unwrap().into());
        let mut answer = String::new();
        wait_until("it answers", SOON, || {
            let Ok(mut stream) = TcpStream::connect((Ipv6Addr::LOCALHOST, port)) else {
                return false;
            };
            answer.clear();
            let asked = stream
                .write_all(b"GET /state.json HTTP/1.0\r\n\r\n")
                .and_then(|()| stream.read_to_string(&mut answer));
            asked.is_ok()
        });
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && serde_json::from_str::<Value>(body).is_ok(),
            "{answer}"
        );
        assert!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "it answers by IPv4 as well"
        );
        daemon.stop();
    }
}
