//! Observers that break what asks them, or lie.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::log_lines::{counting, other_status};
use super::outcome::{WATCHED, lines_about, wait_for_the_real, watch_and_fail_over};
use crate::harness::daemon::HTTP_PORT;
use crate::harness::fleet::LIMIT;
use crate::harness::scripted::{Scripted, Step, reply};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

use Step::{Drip, Flood, Hang, Receive, SendBytes};

/// An observer, and what the log must say of it, once; nothing if that is empty.
struct Case {
    name: &'static str,
    script: Vec<Step>,
    expected: &'static str,
}

#[test]
fn observers_with_invalid_answers_delay_no_failover() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let trap = Scripted::start("trap", HTTP_PORT, vec![Hang]);
    let start = |case: Case| {
        let server = Scripted::start(case.name, HTTP_PORT, case.script.clone());
        (case, server)
    };
    let peers: Vec<(Case, Scripted)> = cases(&trap).into_iter().map(start).collect();
    // An observer that fails is a vote that is missing: the honest one makes up for each.
    let honest: Vec<Relay> = (0..peers.len())
        .map(|_| Relay::start((cluster.observer.address, HTTP_PORT).into()))
        .collect();
    let honest = honest.iter().enumerate().map(|(count, relay)| {
        let address = format!("http://127.0.0.1:{}", relay.port);
        (format!("honest-{count}"), address)
    });
    let hostile = peers
        .iter()
        .map(|(case, server)| (case.name.to_owned(), url(&server.host.address.to_string())));
    let observers: Value = honest.chain(hostile).collect();
    let mut fleet = Fleet::prepare(&cluster, |name, config| {
        if name != "o" {
            config["observers"] = observers.clone();
        }
    });
    fleet.start_all();
    wait_for_the_real(&fleet);
    for (case, _) in peers.iter().filter(|(case, _)| !case.expected.is_empty()) {
        wait_until(&format!("{} has failed", case.name), SOON, || {
            !lines_about(&fleet[WATCHED], &format!("observer {}", case.name)).is_empty()
        });
    }
    watch_and_fail_over(&mut cluster, &mut fleet, FLOODS_KIB);
    for (case, server) in &peers {
        println!(
            "{}: {} connections, {} bytes",
            case.name,
            server.connections(),
            server.bytes()
        );
        assert!(server.connections() > 4, "{} was hardly asked", case.name);
        let lines = lines_about(&fleet[WATCHED], &format!("observer {}", case.name));
        assert_eq!(
            lines.len(),
            usize::from(!case.expected.is_empty()),
            "{lines:#?}"
        );
        assert!(
            lines.iter().all(|line| line.contains(case.expected)),
            "{lines:?} / {}",
            case.expected
        );
    }
    assert_eq!(trap.connections(), 0, "a redirect was followed");
    let (state, file) = (fleet[WATCHED].state(), fleet[WATCHED].state_file());
    assert_eq!(
        state.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["p", "s1", "s2"]
    );
    assert!(!file.to_string().contains("stranger"), "{file}");
}

#[test]
fn an_observer_holds_a_failover_only_as_long_as_it_lies() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let lies = Arc::new(AtomicBool::new(true));
    let lying = Arc::clone(&lies);
    let answer = move |_: &[u8]| {
        let text = if lying.load(Ordering::Relaxed) {
            json!({ "p": primary() })
        } else {
            json!({})
        };
        ok(&text.to_string())
    };
    let liar = Scripted::start("liar", HTTP_PORT, vec![Receive, reply(answer)]);
    let mut fleet = Fleet::prepare(&cluster, |name, config| {
        if name != "o" {
            config["observers"]["liar"] = json!(url(&liar.host.address.to_string()));
        }
    });
    fleet.start_all();
    fleet.wait_settled();
    cluster["p"].kill_nine_all();
    fleet.nobody_promotes_for(LIMIT + 2.0);
    lies.store(false, Ordering::Relaxed);
    let reported = SystemTime::now();
    fleet.wait_promotion();
    let took = reported.elapsed().unwrap();
    println!(
        "{} lies were told; promoted {took:.1?} after the last",
        liar.connections()
    );
    // Its last sighting was true at that moment for all that the others know: the whole limit runs
    // from there.
    assert!(
        took < Duration::from_secs_f64(LIMIT + 4.0),
        "the lie was remembered for {took:?}"
    );
    fleet.nobody_promotes_for(1.0);
}

fn cases(trap: &Scripted) -> Vec<Case> {
    let case = |name, expected, script: &[Step]| Case {
        name,
        expected,
        script: [&[Receive], script].concat(),
    };
    let body = |name, expected, body: String| case(name, expected, &[reply(move |_| ok(&body))]);
    let head = |name, expected, rest: String| {
        case(
            name,
            expected,
            &[reply(move |_| {
                format!("HTTP/1.1 200 OK\r\n{}{rest}", date()).into_bytes()
            })],
        )
    };
    let begun = || reply(|_| format!("HTTP/1.1 200 OK\r\n{}\r\n", date()).into_bytes());
    let entry = |change: fn(&mut Value)| {
        let mut entry = primary();
        change(&mut entry);
        json!({ "p": entry }).to_string()
    };
    vec![
        // No JSON, or no nodes.
        body("words", "bad state of nodes: expected", "nothing new".to_owned()),
        body("list", "bad state of nodes: invalid type", "[]".to_owned()),
        body("unclosed", "bad state of nodes: EOF", format!("{{\"p\": {{\"new\": {}", "[".repeat(100_000))),
        body("half", "bad state of nodes: EOF", "{\"p\": {".to_owned()),
        body("untimed", "\"p\": no valid fetch_time", entry(|entry| entry["fetch_time"] = json!(17))),
        body("undecided", "\"p\": no valid connection", entry(|entry| entry["connection"] = json!("perhaps"))),
        body("nameless", "a node's name is longer than 1024 bytes", format!("{{\"{}\": 1}}", "x".repeat(2000))),
        body("crowd", "more than 10000 nodes", crowd()),
        // Size.
        head("large", "longer than 8388608 bytes", "Content-Length: 100000000\r\n\r\n".to_owned()),
        case("endless", "longer than 8388608 bytes", &[begun(), Flood(vec![b' '; 65_536], 100_000_000)]),
        case(
            "chunks",
            "longer than 8388608 bytes",
            &[chunked(), Flood(b"1000\r\n".iter().copied().chain([b' '; 4096]).chain(*b"\r\n").collect(), 1 << 30)],
        ),
        case(
            "trailers",
            "longer than 8388608 bytes",
            &[chunked(), SendBytes(b"0\r\n".to_vec()), Flood(b"a: b\r\n".to_vec(), 1 << 30)],
        ),
        // Slowness.
        case("silent", "timed out while waiting for the answer", &[Hang]),
        case("slow-head", "timed out while waiting for the answer", &[Drip(b"HTTP/1.1 200 OK\r\n".to_vec())]),
        case(
            "slow-body",
            "timed out while waiting for the answer",
            &[begun(), Drip(b"{\"p\": {\"connection\": ".to_vec())],
        ),
        // HTTP.
        head("lengths", "different Content-Lengths", "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}".to_owned()),
        case(
            "redirect",
            "bad status 302",
            &[SendBytes(format!(
                "HTTP/1.1 302 Found\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n",
                url(&trap.host.address.to_string())
            )
            .into_bytes())],
        ),
        case("broken", "bad status 500", &[SendBytes(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec())]),
        case("fickle", "bad status 4", &[counting(other_status)]),
        case("undated", "no Date header", &[SendBytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec())]),
        case(
            "misdated",
            "bad Date header",
            &[SendBytes(b"HTTP/1.1 200 OK\r\nDate: Foo, 99 Bar 2024 33:77:99 GMT\r\nContent-Length: 2\r\n\r\n{}".to_vec())],
        ),
        case(
            "antique",
            " s: check the time service of both hosts",
            &[SendBytes(b"HTTP/1.1 200 OK\r\nDate: Mon, 30 Apr 1990 12:34:56 GMT\r\nContent-Length: 2\r\n\r\n{}".to_vec())],
        ),
        case("tls", "expected an answer of HTTP/1", &[SendBytes(b"\x15\x03\x03\0\x02\x02\x28".to_vec()), Hang]),
        case("gone", "closed the connection without an answer", &[]),
        // Invalid values: dropped, and the rest of the answer counts.
        body(
            "gossip",
            "",
            json!({ "stranger": primary(), "stranger2": { "fetch_time": now(), "connection": false } }).to_string(),
        ),
        body("nested", "", nested(100_000)),
        body(
            "dreamer",
            "",
            entry(|entry| {
                for (key, value) in [
                    ("connection", json!(false)),
                    ("pg_is_in_recovery", json!("yes")),
                    ("db_time", json!("9999-12-31T23:59:59Z")),
                    ("pg_last_xlog_replay_location", json!("FFFFFFFF/FFFFFFFFF")),
                    ("replication_time_lag", json!({ "a": [1e308] })),
                ] {
                    entry[key] = value;
                }
            }),
        ),
    ]
}

/// Three answers of the most bytes that are taken may be there at once, more or fewer than at the
/// beginning.
const FLOODS_KIB: u64 = 3 * (8 << 10);

/// Of a node that is reached, but its role is so many lists within each other.
fn nested(depth: usize) -> String {
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    format!(
        r#"{{"p": {{"fetch_time": "{}", "connection": true, "pg_is_in_recovery": {open}{close}}}}}"#,
        now()
    )
}

fn crowd() -> String {
    let entry = json!({ "fetch_time": now(), "connection": true });
    let nodes = (0..10_001).map(|count| (format!("stranger{count}"), entry.clone()));
    nodes.collect::<Value>().to_string()
}

/// What an observer reports of a primary that it sees.
fn primary() -> Value {
    json!({ "fetch_time": now(), "connection": true, "db_time": now(), "pg_is_in_recovery": false })
}

fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\n{}Content-Length: {}\r\n\r\n{body}",
        date(),
        body.len()
    )
    .into_bytes()
}

fn chunked() -> Step {
    reply(|_| {
        format!(
            "HTTP/1.1 200 OK\r\n{}Transfer-Encoding: chunked\r\n\r\n",
            date()
        )
        .into_bytes()
    })
}

fn date() -> String {
    format!("Date: {}\r\n", httpdate::fmt_http_date(SystemTime::now()))
}

/// `2024-04-30T12:34:56Z`
fn now() -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .expect("date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Passes connections on, so that one observer has another address: one vote for each.
struct Relay {
    port: u16,
}

impl Relay {
    fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // It ends with the test program.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(target) else {
                    continue;
                };
                let ends = [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ];
                for (mut from, mut to) in ends {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port }
    }
}

fn url(address: &str) -> String {
    format!("http://{address}:{HTTP_PORT}")
}
