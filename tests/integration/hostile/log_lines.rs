//! Peers whose failure has another message at every poll: the log has the first ones, and then not
//! for a minute.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::servers::{PRIMARY, status};
use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::Host;
use crate::harness::messages::{authentication, complete, described, error, login, ready, row};
use crate::harness::run_dir::TestDir;
use crate::harness::scripted::{Scripted, Step, reply};
use crate::harness::{Daemon, SOON, pause, wait_until};

use Step::{Hang, Receive, SendBytes};

/// Of a living server.
const REFUSALS: [&str; 4] = ["53300", "3D000", "57014", "42501"];

/// Says something else each time.
pub(super) fn counting(words: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Step {
    let count = AtomicUsize::new(0);
    reply(move |_| words(count.fetch_add(1, Ordering::Relaxed) + 1))
}

/// An answer of another status each time.
pub(super) fn other_status(count: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 {} No\r\nContent-Length: 0\r\n\r\n",
        400 + count % 100
    )
    .into_bytes()
}

/// A primary whose heartbeat fails each time, on one connection.
fn failing_heartbeats() -> Vec<Step> {
    let rest = |count| {
        let failed = [
            error("ERROR", "53100", &format!("no room for {count}")),
            ready(),
        ]
        .concat();
        let identity = [described(), row(&[None; 9]), complete()].concat();
        [identity, failed, described(), complete()].concat()
    };
    let first = [
        Receive,
        SendBytes(login()),
        Receive,
        SendBytes(status(PRIMARY)),
        Receive,
        counting(rest),
    ];
    let later = [
        Receive,
        counting(move |count| [status(PRIMARY), rest(count + 1)].concat()),
    ];
    [
        &first[..],
        &later.iter().cycle().take(1000).cloned().collect::<Vec<_>>(),
        &[Hang],
    ]
    .concat()
}

#[test]
fn a_message_that_changes_at_every_poll_is_one_line() {
    let node = |name, script| Scripted::start(name, 5432, script);
    let server = |name, words: fn(usize) -> Vec<u8>| node(name, vec![Receive, counting(words)]);
    let nodes = [
        (
            "attempts",
            server("attempts", |count| {
                error("FATAL", "53300", &format!("attempt {count}"))
            }),
        ),
        (
            "sqlstates",
            server("sqlstates", |count| {
                error("FATAL", REFUSALS[count % 4], "no")
            }),
        ),
        (
            "passwords",
            server("passwords", |count| {
                error("FATAL", "28P01", &format!("wrong for {count}"))
            }),
        ),
        (
            "starting",
            server("starting", |count| {
                error("FATAL", "57P03", &format!("{count} % of it is read"))
            }),
        ),
        (
            "methods",
            server("methods", |count| authentication(100 + count as i32, b"")),
        ),
        ("heartbeats", node("heartbeats", failing_heartbeats())),
    ];
    let observer = Scripted::start("fickle", HTTP_PORT, vec![Receive, counting(other_status)]);
    let dir = TestDir::new();
    let mut config = json!({
        "db_poll_interval": 0.1,
        "replication_state_check_interval": 1,
        "observers": { "fickle": format!("http://{}:{HTTP_PORT}", observer.host.address) },
    });
    for (name, server) in &nodes {
        config["remote_conns"][name] = json!(format!(
            "host={} user=u password=x sslmode=disable",
            server.host.address
        ));
    }
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), config);
    let begun = Instant::now();
    daemon.start();
    wait_until("everybody has been asked often", SOON, || {
        let others = nodes
            .iter()
            .filter(|(name, _)| *name != "heartbeats")
            .all(|(_, server)| server.connections() > 30);
        others && observer.connections() > 30
    });
    pause(500);
    let (took, log) = (begun.elapsed(), daemon.log());
    assert!(
        took < Duration::from_secs(40),
        "{took:?}: a second line may have been due"
    );
    let lines_of = |peer: String| {
        log.lines()
            .filter(|line| line.contains(&peer))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (name, server) in &nodes {
        let lines = lines_of(format!("node {name}: "));
        let (connections, bytes) = (server.connections(), server.bytes());
        println!(
            "{name}: {connections} connections, {bytes} bytes in {took:.1?}, {} line: {}",
            lines.len(),
            lines[0]
        );
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }
    // A poll brings it to 100 bytes and more.
    let bytes = nodes[5].1.bytes();
    assert!(
        bytes > 30 * 100,
        "{bytes} bytes: the heartbeat was hardly tried"
    );
    let lines = lines_of("observer fickle: ".to_owned());
    println!(
        "fickle: {} connections, {} line: {}",
        observer.connections(),
        lines.len(),
        lines[0]
    );
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        log.contains("node attempts: rejected by the server: FATAL 53300: attempt 1"),
        "{log}"
    );
    daemon.wait_alert("authentication_error", "wrong for 1");
}
