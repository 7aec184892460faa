//! Servers that cheat before the encryption begins.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::setup::{complaint, connected};
use crate::harness::host::Host;
use crate::harness::run_dir::TestDir;
use crate::harness::{Daemon, SOON, wait_until};

/// Listens on port 5432 of a host of its own. Whatever is asked first, it answers the same, and
/// then keeps silent.
fn answering(name: &str, answer: &'static [u8]) -> Host {
    let host = Host::on_loopback(name);
    let listener = TcpListener::bind((host.address, 5432)).expect("an address of this test's own");
    std::thread::spawn(move || {
        // Kept open: a silence, not an end.
        let mut kept: Vec<TcpStream> = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut question = [0; 8];
            if stream
                .read_exact(&mut question)
                .and_then(|()| stream.write_all(answer))
                .is_ok()
            {
                kept.push(stream);
            }
        }
    });
    host
}

#[test]
fn nothing_is_believed_before_the_handshake() {
    const ROW: &[u8] = b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let hosts = [
        (
            "stuffed",
            answering("stuffed", ROW),
            "unencrypted bytes after the answer",
        ),
        (
            "silent",
            answering("silent", b"S"),
            "timed out while logging in",
        ),
        (
            "garbage",
            answering("garbage", b"X"),
            "answer 'X' to the TLS request",
        ),
        (
            "stripped",
            answering("stripped", b"N"),
            "the server does not support TLS, which sslmode requires",
        ),
        (
            "erring",
            answering("erring", b"ENo memory\n\0"),
            "rejected by the server: No memory",
        ),
    ];
    let dir = TestDir::new();
    let node = |host: &Host| {
        json!(format!(
            "host={} user=u password=p sslmode=require",
            host.address
        ))
    };
    let nodes: serde_json::Map<_, _> = hosts
        .iter()
        .map(|(name, host, _)| ((*name).to_owned(), node(host)))
        .collect();
    let config = json!({ "remote_conns": nodes, "db_poll_interval": 0.5, "poll_timeout": 1.0 });
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), config);
    daemon.start();
    wait_until("all have failed", SOON, || {
        hosts
            .iter()
            .all(|(name, _, _)| connected(&daemon, name) == false)
    });
    for (name, _, expected) in &hosts {
        assert!(
            complaint(&daemon, name).contains(expected),
            "{name}: {}",
            complaint(&daemon, name)
        );
    }
}

#[test]
fn a_server_that_does_not_encrypt_gets_no_password() {
    // It answers SSLRequest with `N`, and then it asks for the password in cleartext.
    let host = answering("greedy", b"NR\0\0\0\x08\0\0\0\x03");
    let plain = answering("greedy-too", b"R\0\0\0\x08\0\0\0\x03");
    let dir = TestDir::new();
    let node = |host: &Host, mode: &str| {
        json!(format!(
            "host={} user=u password=Not-For-You sslmode={mode}",
            host.address
        ))
    };
    let nodes = json!({ "prefer": node(&host, "prefer"), "disable": node(&plain, "disable") });
    let config = json!({ "remote_conns": nodes, "db_poll_interval": 0.5, "poll_timeout": 1.0 });
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), config);
    daemon.start();
    wait_until("both have failed", SOON, || {
        ["prefer", "disable"]
            .iter()
            .all(|node| connected(&daemon, node) == false)
    });
    let complaint = |node| complaint(&daemon, node);
    assert!(
        complaint("prefer").contains("unencrypted bytes after the answer"),
        "{}",
        complaint("prefer")
    );
    assert!(
        complaint("disable").contains("requests the password in cleartext"),
        "{}",
        complaint("disable")
    );
    daemon.wait_alert("authentication_error", "");
}
