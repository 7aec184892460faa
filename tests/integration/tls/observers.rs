//! Observers behind https: a proxy that encrypts, in front of a real one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::harness::certificates::{Authority, Pair, write};
use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::Host;
use crate::harness::{Cluster, Daemon, SOON, wait_until};

/// A proxy on port 443 of a host of its own, as an operator puts it before a pglookout.
fn proxy(name: &str, pair: impl FnOnce(&str) -> Pair, upstream: Host) -> Host {
    let host = Host::on_loopback(name);
    let pair = pair(&host.address.to_string());
    let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = Arc::new(
        config
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap(),
    );
    let listener = TcpListener::bind((host.address, 443)).expect("an address of this test's own");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, upstream) = (Arc::clone(&config), upstream.clone());
            std::thread::spawn(move || pass_on(config, stream, &upstream));
        }
    });
    host
}

/// One answer after the other, each over a connection of its own to the one behind.
fn pass_on(config: Arc<ServerConfig>, stream: TcpStream, upstream: &Host) -> Option<()> {
    let mut outside = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            outside.read_exact(&mut byte).ok()?;
            request.push(byte[0]);
        }
        let mut inside = upstream.connect(HTTP_PORT, Duration::from_secs(5)).ok()?;
        inside.write_all(&request).ok()?;
        let mut answer = Vec::new();
        let is_whole = |answer: &[u8]| {
            let text = String::from_utf8_lossy(answer);
            let (head, body) = text.split_once("\r\n\r\n")?;
            let (_, length) = head.split_once("Content-Length: ")?;
            (body.len() >= length.lines().next()?.parse::<usize>().ok()?).then_some(())
        };
        while is_whole(&answer).is_none() {
            let mut part = [0; 4096];
            let count = inside.read(&mut part).ok().filter(|count| *count > 0)?;
            answer.extend_from_slice(&part[..count]);
        }
        outside.write_all(&answer).ok()?;
        outside.flush().ok()?;
    }
}

#[test]
fn observers_are_asked_over_https_and_verified() {
    let Some(cluster) = Cluster::start(&[]) else {
        return;
    };
    let (known, unknown) = (Authority::new("Known CA"), Authority::new("Other CA"));
    let nodes = json!({ "p": crate::harness::fleet::conninfo(&cluster["p"]) });
    let config = json!({ "remote_conns": nodes, "db_poll_interval": 0.5 });
    let mut observer = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config.clone());
    observer.start();
    let behind = || cluster.observer.clone();
    let hosts = [
        (
            "valid",
            proxy("valid", |address| known.issue("x", &[address]), behind()),
            "",
        ),
        (
            "expired",
            proxy(
                "expired",
                |address| known.issue_expired("x", &[address]),
                behind(),
            ),
            "certificate has expired",
        ),
        (
            "unknown",
            proxy(
                "unknown",
                |address| unknown.issue("x", &[address]),
                behind(),
            ),
            "has an unknown issuer: Other CA",
        ),
        (
            "wrong",
            proxy("wrong", |_| known.issue("x", &["other.example"]), behind()),
            "is for other.example, not for 127.",
        ),
    ];
    let mut asking = Daemon::prepare(Host::on_loopback("asking"), cluster.dir(), config);
    asking.config["observers"] = hosts
        .iter()
        .map(|(name, host, _)| {
            (
                (*name).to_owned(),
                json!(format!("https://{}", host.address)),
            )
        })
        .collect();
    let roots = write(cluster.dir(), "roots.pem", &known.pem);
    asking
        .variables
        .push(("SSL_CERT_FILE".to_owned(), roots.display().to_string()));
    asking.start();
    wait_until("the valid one was heard", SOON, || {
        asking.state_file()["observer_nodes"]["valid"]["p"]["connection"] == true
    });
    for (name, _, expected) in hosts.iter().filter(|(_, _, expected)| !expected.is_empty()) {
        let mark = format!("observer {name}: ");
        wait_until(&format!("{name} is complained of"), SOON, || {
            asking
                .log()
                .lines()
                .any(|line| line.contains(&mark) && line.contains(expected))
        });
        assert!(asking.state_file()["observer_nodes"][*name]["p"].is_null());
    }
}
