//! Servers that live and refuse the daemons: logins rejected, no connection slots left, a wrong
//! password.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::LIMIT;
use crate::harness::host::Host;
use crate::harness::node::Server;
use crate::harness::postgres::PASSWORD;
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

fn no_daemon_reaches_the_primary(fleet: &Fleet) -> bool {
    ["p", "s1", "s2", "o"]
        .iter()
        .all(|daemon| fleet[daemon].state()[PRIMARY]["connection"] == false)
}

fn let_daemons_in(server: &Server, allowed: bool) {
    let path = server.data.join("pg_hba.conf");
    let text = fs::read_to_string(&path).unwrap();
    let (from, to) = if allowed {
        ("reject", "scram-sha-256")
    } else {
        ("scram-sha-256", "reject")
    };
    fs::write(&path, text.replace(from, to)).unwrap();
    server.query("SELECT pg_reload_conf()");
}

#[test]
fn holds_while_the_primary_rejects_the_daemons_but_feeds_its_standbys() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    let_daemons_in(&cluster["p"], false);
    wait_until("no daemon gets in", SOON, || {
        cluster["p"].disconnect_daemons();
        no_daemon_reaches_the_primary(&fleet)
    });
    fleet.nobody_promotes_for(2.0 * LIMIT + 1.0);
    cluster.wait_streaming(2);
    fleet["s1"].wait_alert("authentication_error", "");
    let_daemons_in(&cluster["p"], true);
    fleet.wait_settled();
    fleet.nobody_promotes_for(1.0);
}

/// Logs in as PostgreSQL's protocol 3.0 does; `None` when the server refuses.
fn log_in_as_guest(host: &Host) -> Option<TcpStream> {
    let parameters = b"user\0guest\0database\0postgres\0\0";
    let mut startup = Vec::from(u32::try_from(8 + parameters.len()).unwrap().to_be_bytes());
    startup.extend_from_slice(&196_608_u32.to_be_bytes());
    startup.extend_from_slice(parameters);
    let mut stream = host.connect(5432, SOON).unwrap();
    stream.write_all(&startup).unwrap();
    // The server reports only after the login (AuthenticationOk) that no slot is left.
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        std::io::copy(
            &mut (&stream).take(u64::from(length) - 4),
            &mut std::io::sink(),
        )
        .unwrap();
        match head[0] {
            b'E' => return None,
            b'Z' => return Some(stream),
            _ => {}
        }
    }
}

#[test]
fn holds_while_the_primary_is_out_of_connection_slots() {
    let Some(cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    let mut guests = Vec::new();
    wait_until("the guests have taken all slots", SOON, || {
        cluster["p"].disconnect_daemons();
        guests.extend(std::iter::from_fn(|| log_in_as_guest(&cluster["p"].host)));
        no_daemon_reaches_the_primary(&fleet)
    });
    fleet.nobody_promotes_for(2.0 * LIMIT + 1.0);
    drop(guests);
    fleet.wait_settled();
    fleet.nobody_promotes_for(1.0);
}

#[test]
fn a_wrong_password_raises_an_alert_and_is_shown_nowhere() {
    const WRONG: &str = "Not-The-Secret-5513";
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let (one, other) = (cluster["p"].host.address, cluster["s1"].host.address);
    let config = json!({
        "remote_conns": {
            "p": format!("host={one} dbname=postgres user=pglookout password={WRONG}"),
            "s1": format!("postgresql://pglookout:{WRONG}@{other}/postgres"),
        },
        "db_poll_interval": 0.5,
        "log_level": "DEBUG",
    });
    let mut daemon = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config);
    daemon.start();
    daemon.wait_alert("authentication_error", "");
    wait_until("both are known to refuse", SOON, || {
        let state = daemon.state();
        state["p"]["connection"] == false && state["s1"]["connection"] == false
    });
    wait_until("the state is saved", SOON, || {
        daemon.state_file().is_object()
    });
    let alert = daemon.alert("authentication_error").unwrap();
    let answer = daemon.get("/state.json").unwrap().body;
    for text in [daemon.log(), answer, daemon.state_file().to_string(), alert] {
        assert!(!text.contains(WRONG), "the password is shown: {text}");
    }
    assert!(
        daemon.log().contains("28P01"),
        "the server's code is logged"
    );
}

/// Of [`PASSWORD`], salted 600,000 times.
const EXPENSIVE: &str = "SCRAM-SHA-256$600000:c2FsdC1vZi0xNi1ieXRlcw==$EQUr7ISWEN8KHoJGk6qFvihghOSmDrV2Ys0KlFrxqlc=:\
                         2qLSc3wiGShCSOl+0DsiP3A7gJC4AFUXG4mT5Sd+Q68=";

#[test]
fn a_password_of_600000_iterations_is_proved_and_nobody_waits_for_it() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    cluster["p"].query(&format!("ALTER ROLE pglookout PASSWORD '{EXPENSIVE}'"));
    cluster.wait_caught_up("s1");
    let nodes = ["p", "s1"].map(|node| {
        let host = cluster[node].host.address;
        (
            node.to_owned(),
            json!(format!(
                "host={host} dbname=postgres user=pglookout password={PASSWORD}"
            )),
        )
    });
    let config = json!({
        "remote_conns": serde_json::Map::from_iter(nodes),
        "db_poll_interval": 0.5,
        "poll_timeout": 60,
    });
    let mut daemon = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config);
    daemon.start();
    let mut longest = std::time::Duration::ZERO;
    wait_until("both have let it in", 3 * SOON, || {
        let begun = std::time::Instant::now();
        let state = daemon.state();
        longest = longest.max(begun.elapsed());
        state["p"]["connection"] == true && state["s1"]["connection"] == true
    });
    println!("the longest answer meanwhile took {longest:?}");
    assert!(longest.as_secs_f64() < 0.5, "an answer took {longest:?}");
    assert!(!daemon.has_alert("authentication_error"));
}

#[test]
fn the_loss_of_an_idle_connection_is_noticed_though_a_host_of_the_other_role_answered_first() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let (standby, primary) = (cluster["s1"].host.address, cluster["p"].host.address);
    let config = json!({
        "remote_conns": {
            "n": format!(
                "host={standby},{primary} target_session_attrs=primary dbname=postgres \
                 user=pglookout password={PASSWORD}"
            ),
        },
        "db_poll_interval": 600.0,
        "poll_timeout": 5.0,
    });
    let mut daemon = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config);
    daemon.start();
    wait_until("the primary is found behind the standby", SOON, || {
        let node = &daemon.state()["n"];
        node["connection"] == true && node["pg_is_in_recovery"] == false
    });
    cluster["p"].disconnect_daemons();
    wait_until(
        "the loss is logged, long before the next poll",
        SOON,
        || daemon.log().contains("57P01"),
    );
}
