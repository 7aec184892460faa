//! What polling costs at the least: a bare loop that sends the bytes that the daemon sends and reads
//! what comes back, without looking at it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as Blocking};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::unistd::Pid;
use pglookout::config::{ConnInfo, Environment, NodeName, parse};
use pglookout::pg::{Ask, Progress, Session, Transport};

use crate::stub::{Server, address};
use crate::support::daemon::INTERVAL;
use crate::support::meter::cpu_seconds;
use crate::support::stub::Stub;
use crate::support::table::Table;
use crate::support::{Arguments, pause};

/// `bench/run floor`.
pub fn main(arguments: &Arguments, table: &mut Table) {
    let (runs, seconds) = (arguments.number("runs", 5), arguments.number("seconds", 5));
    for nodes in arguments.list("nodes", &[3, 30, 300, 3000]) {
        let mut stub = Stub::start(arguments.has("each"));
        let each = (0..runs).map(|_| cpu_per_poll(&mut stub, nodes, seconds));
        let what = format!("{nodes} nodes: bare loop, CPU per poll");
        table.row(what, "us", each.collect());
    }
}

/// Polls each of the stubs once a second for so many seconds; processor time of this process per
/// poll, in microseconds.
pub fn cpu_per_poll(stub: &mut Stub, nodes: usize, seconds: u32) -> f64 {
    let conversations = [conversation(0), conversation(1)];
    let with = |number: usize| &conversations[number.min(1)];
    let mut readiness = Poll::new().expect("epoll");
    let mut streams: Vec<TcpStream> = (0..nodes)
        .map(|number| {
            let target = SocketAddr::from((address(number), stub.port));
            let mut stream = log_in(target, &with(number).0);
            let registry = readiness.registry();
            registry
                .register(&mut stream, Token(number), Interest::READABLE)
                .expect("a registered socket");
            stream
        })
        .collect();
    pause(0.5);
    stub.polls(INTERVAL);
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 << 10];
    let (before, begun) = (cpu_seconds(Pid::this()), Instant::now());
    for second in 1..=seconds {
        let mut missing = 0;
        for (number, stream) in streams.iter_mut().enumerate() {
            let (_, poll) = with(number);
            stream.write_all(&poll.say).expect("a short question");
            missing += poll.hear;
        }
        let end = begun + Duration::from_secs(1) * second;
        while missing > 0 || Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            readiness.poll(&mut events, Some(left)).expect("readiness");
            for event in &events {
                let Token(number) = event.token();
                missing -= read(&mut streams[number], &mut buffer);
            }
        }
    }
    let used = cpu_seconds(Pid::this()) - before;
    used * 1e6 / stub.polls(INTERVAL).count as f64
}

/// One read, as long as the buffer has room for all that comes.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> usize {
    match stream.read(buffer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        length => length.expect("a living stub"),
    }
}

/// Something that the daemon says to a server, and how many bytes it hears.
struct Step {
    say: Vec<u8>,
    hear: usize,
}

/// The conversation of the daemon's own session with a stub: what comes before, and the poll that is
/// repeated from then on.
fn conversation(number: usize) -> (Vec<Step>, Step) {
    let (mut server, mut steps) = (Server::new(number), Vec::new());
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let mut session = Session::start(&conninfo(), 0, Transport::Network, &mut out);
    for _ in 0..4 {
        while !session.is_idle() || !out.is_empty() {
            let (say, mut answers) = (out.split().to_vec(), Vec::new());
            server.receive(&say, &mut answers);
            let heard = answers.concat();
            input.extend_from_slice(&heard);
            let hear = heard.len();
            steps.push(Step { say, hear });
            while let Some(progress) = session.receive(&mut input, &mut out).expect("an answer") {
                assert!(!matches!(progress, Progress::Warned(_)), "{progress:?}");
            }
        }
        session.ask(ask(), &mut out);
    }
    let poll = steps.pop().expect("several steps");
    (steps, poll)
}

/// A connection that has been logged in and polled.
fn log_in(target: SocketAddr, steps: &[Step]) -> TcpStream {
    let mut stream = Blocking::connect(target).expect("a stub");
    stream.set_nodelay(true).expect("a socket");
    for step in steps {
        stream.write_all(&step.say).expect("a stub");
        let mut heard = vec![0; step.hear];
        stream.read_exact(&mut heard).expect("a stub");
    }
    stream.set_nonblocking(true).expect("a socket");
    TcpStream::from_std(stream)
}

fn ask() -> Ask {
    Ask {
        session: Arc::from("pglookout:localhost:observer:00000000"),
        timeout: Duration::from_secs(2),
        spacing: Duration::from_secs(1),
        below: None,
    }
}

fn conninfo() -> ConnInfo {
    let text = r#"{"remote_conns": {"n": "host=127.0.0.1 user=pglookout dbname=postgres"}}"#;
    let loaded = parse(text, &Environment::default()).expect("a configuration");
    ConnInfo::clone(&loaded.config.nodes[&NodeName::from("n")])
}
