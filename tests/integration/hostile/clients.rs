//! Crowds of HTTP clients, while a failover is needed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::outcome::{LITTLE_KIB, WATCHED, wait_for_the_real, watch_and_fail_over};
use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::Host;
use crate::harness::run_dir::TestDir;
use crate::harness::scripted::{Scripted, Step};
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};

#[test]
fn crowds_of_clients_delay_no_failover() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, _| ());
    let crowds: Vec<Crowd> = ["s1", "s2", "o"]
        .into_iter()
        .flat_map(|daemon| {
            let host = &fleet[daemon].host;
            [
                Crowd::of(host, 1_500, b""),
                Crowd::of(host, 500, b"GET /state.json HTTP/1.1\r\nX: "),
                Crowd::of(
                    host,
                    20,
                    &b"GET /state.json HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000),
                ),
                Crowd::of(
                    host,
                    20,
                    &b"POST /check HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100),
                ),
            ]
        })
        .collect();
    wait_until("the crowds are there", SOON, || {
        crowds
            .iter()
            .all(|crowd| crowd.connections() > 200 || crowd.size < 200)
    });
    watch_and_fail_over(&mut cluster, &mut fleet, LITTLE_KIB);
    for crowd in crowds {
        println!(
            "{} clients on {}: {} connections",
            crowd.size,
            crowd.target,
            crowd.connections()
        );
    }
}

#[test]
fn a_crowd_takes_no_descriptor_that_a_failover_needs() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    fleet
        .iter_mut()
        .for_each(|daemon| daemon.descriptors = Some(32));
    fleet.start_all();
    let crowds = ["s1", "s2", "o"].map(|daemon| Crowd::of(&fleet[daemon].host, 100, b"GET"));
    wait_until("the crowds are there", SOON, || {
        crowds.iter().all(|crowd| crowd.connections() > 200)
    });
    wait_for_the_real(&fleet);
    cluster["p"].kill_nine_all();
    let (who, _) = fleet.wait_promotion();
    wait_until("the promoted server is the primary", SOON, || {
        cluster.primaries() == [who]
    });
    let log = fleet[WATCHED].log();
    assert!(
        !log.contains("open files") && !log.contains("no descriptor"),
        "{log}"
    );
    println!(
        "with 32 descriptors: {} clients came to s1",
        crowds[0].connections()
    );
}

#[test]
fn a_burst_of_checks_asks_each_server_once_a_second() {
    let server = Scripted::start("server", 5432, vec![Step::Receive]);
    let dir = TestDir::new();
    let config = json!({
        "remote_conns": { "x": format!("host={} user=u sslmode=disable", server.host.address) },
        "db_poll_interval": 600,
        "replication_state_check_interval": 600,
    });
    let mut daemon = Daemon::prepare(Host::on_loopback("watch"), dir.path(), config);
    daemon.start();
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        let mut stream = daemon.host.connect(HTTP_PORT, SOON).unwrap();
        stream
            .write_all(&b"POST /check HTTP/1.1\r\nHost: h\r\n\r\n".repeat(99))
            .unwrap();
        stream.write_all(b"POST /check HTTP/1.0\r\n\r\n").unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        sent += answers.matches("HTTP/1.1 204").count();
        assert_eq!(sent % 100, 0, "{answers}");
    }
    let (asked, time) = (server.connections(), begun.elapsed());
    println!("{sent} checks in {time:.1?}: {asked} polls");
    assert!(sent >= 2_000, "only {sent} checks were sent");
    // The first poll of all, and the first check's.
    assert!(
        (4..=2 + time.as_secs()).contains(&asked),
        "{asked} polls in {time:?}"
    );
}

#[test]
fn without_its_port_a_daemon_watches_and_tries_again() {
    let dir = TestDir::new();
    let host = Host::on_loopback("watch");
    let taken = TcpListener::bind((host.address, HTTP_PORT)).unwrap();
    let mut daemon = Daemon::prepare(host, dir.path(), json!({}));
    let log = std::fs::File::create(daemon.log_path()).unwrap();
    daemon.start_with_stderr(log.into());
    let expected = format!(
        "ERROR\tcannot listen for HTTP on {}, port {HTTP_PORT}: Address already in use (os error 98); \
         watching the cluster without HTTP",
        daemon.host.address
    );
    wait_until("the failure is in the log", SOON, || {
        daemon.log().contains(&expected)
    });
    wait_until("a decision is in the state file", SOON, || {
        daemon.state_file()["decision"].is_object()
    });
    drop(taken);
    wait_until("it answers", SOON, || {
        daemon
            .get("/state.json")
            .is_ok_and(|answer| answer.status == 200)
    });
    assert_eq!(daemon.log().matches("cannot listen").count(), 1);
}

/// So many clients of a daemon: each sends the same, if anything, and one more byte a second, reads
/// no answer, and comes back within a second when it is sent away.
struct Crowd {
    target: SocketAddr,
    size: usize,
    connections: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn of(host: &Host, size: usize, greeting: &[u8]) -> Self {
        let (connections, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let target = SocketAddr::from((host.address, HTTP_PORT));
        let (counted, reported, greeting) = (
            Arc::clone(&connections),
            Arc::clone(&is_over),
            greeting.to_owned(),
        );
        let thread = std::thread::spawn(move || {
            let mut clients: Vec<TcpStream> = Vec::new();
            while !reported.load(Ordering::Relaxed) {
                clients.retain(|client| {
                    if greeting.is_empty() {
                        is_kept(client)
                    } else {
                        takes_more(client)
                    }
                });
                while clients.len() < size {
                    let Ok(client) = open(target, &greeting) else {
                        break;
                    };
                    counted.fetch_add(1, Ordering::Relaxed);
                    clients.push(client);
                }
                pause(1000);
            }
        });
        Self {
            target,
            size,
            connections,
            is_over,
            thread: Some(thread),
        }
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn open(target: SocketAddr, greeting: &[u8]) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect_timeout(&target, Duration::from_secs(1))?;
    client.set_nonblocking(true)?;
    // What is not taken is not sent.
    let _ = client.write(greeting);
    Ok(client)
}

/// Is a silent client still connected.
fn is_kept(mut client: &TcpStream) -> bool {
    matches!(client.read(&mut [0; 16]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Says one more byte; is the other side still there.
fn takes_more(mut client: &TcpStream) -> bool {
    client
        .write_all(b"x")
        .map_or_else(|error| error.kind() == io::ErrorKind::WouldBlock, |()| true)
}
