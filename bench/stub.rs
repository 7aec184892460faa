//! Stand-ins for PostgreSQL servers: one process that answers for any number of them, each at an
//! address of its own on loopback. The first is the primary of a cluster that is written to all the
//! time, the others are its standbys.
//!
//! [`Server`] is the conversation as bytes in, bytes out; [`run`] is the process. It answers what the
//! daemon asks (`pg::poll`) and with as much as a real server does, in one write, or, as
//! PostgreSQL itself does, in one for each question.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

/// The address of the server with this number.
pub fn address(number: usize) -> Ipv4Addr {
    let [_, _, high, low] = u32::try_from(number).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 7, high, low)
}

/// One conversation, from the server's side.
pub struct Server {
    number: usize,
    logged_in: bool,
    received: Vec<u8>,
    session: String,
}

impl Server {
    pub fn new(number: usize) -> Self {
        Self {
            number,
            logged_in: false,
            received: Vec::new(),
            session: String::new(),
        }
    }

    /// Takes what came in and appends one answer for each whole message; how many polls began.
    pub fn receive(&mut self, input: &[u8], answers: &mut Vec<Vec<u8>>) -> usize {
        self.received.extend_from_slice(input);
        let mut polls = 0;
        loop {
            // The very first message has no type before its length.
            let kind = usize::from(self.logged_in);
            let length = self.received.get(kind..).and_then(|it| it.first_chunk());
            let length = length.map_or(usize::MAX, |it| u32::from_be_bytes(*it) as usize + kind);
            if self.received.len() < length {
                return polls;
            }
            let message: Vec<u8> = self.received.drain(..length).collect();
            let text = String::from_utf8_lossy(&message);
            if !self.logged_in {
                self.logged_in = true;
                answers.push(login(self.number));
            } else if text.starts_with('Q') {
                polls += usize::from(text.contains("pg_last_wal_receive_lsn"));
                answers.push(self.answer(&text));
            }
        }
    }

    fn answer(&mut self, question: &str) -> Vec<u8> {
        if let Some((_, name)) = question.split_once("'application_name', E'") {
            self.session = name.split('\'').next().unwrap_or_default().to_owned();
        }
        let now = now_micros();
        // As if a byte of WAL were written each microsecond.
        let lsn = format!("{:X}/{:08X}", now >> 32, now & 0xffff_ffff);
        let started = 1_700_000_000_000_000 + self.number;
        let is_primary = self.number == 0;
        // By words of pg::status, pg::naming and pg::identity. A minus is null.
        let row = if question.contains("pg_last_wal_receive_lsn") {
            match is_primary {
                true => format!("{now}|f|-|-|-|{lsn}"),
                false => format!("{now}|t|{now}|{lsn}|{lsn}|-"),
            }
        } else if question.contains("pg_stat_get_activity") {
            format!("t|{}|12", self.session)
        } else if question.contains("pg_postmaster_start_time") {
            match is_primary {
                true => format!("{SYSTEM}|{started}|000000010000000000000005|1|1|-|15.8|1|:"),
                false => format!("{SYSTEM}|{started}|-|1|1|1|15.8|1|192.0.2.1:5432"),
            }
        } else if question.contains("pg_replication_slots") {
            String::new()
        } else {
            "off|1234567".to_owned()
        };
        let columns: Vec<&str> = row.split('|').collect();
        // Each statement before the last one is a SET with a CommandComplete of its own.
        let mut out = message(b'C', b"SET\0").repeat(question.matches(';').count());
        // Name; table, column, type, width, modifier, format.
        let described = [&b"?column?\0"[..], &[0; 18]].concat();
        out.extend(counted(b'T', &vec![described; columns.len()]));
        if !row.is_empty() {
            let values: Vec<_> = columns.into_iter().map(value).collect();
            out.extend(counted(b'D', &values));
        }
        out.extend(message(b'C', b"SELECT 1\0"));
        out.extend(message(b'Z', b"I"));
        out
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind], &length[..], body].concat()
}

fn counted(kind: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(parts.len()).unwrap().to_be_bytes();
    message(kind, &[&count[..], &parts.concat()].concat())
}

fn value(text: &str) -> Vec<u8> {
    if text == "-" {
        return (-1_i32).to_be_bytes().to_vec();
    }
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&length[..], text.as_bytes()].concat()
}

fn login(number: usize) -> Vec<u8> {
    let mut out = message(b'R', &[0; 4]);
    for setting in SETTINGS.split('|') {
        let setting = setting.replace('=', "\0") + "\0";
        out.extend(message(b'S', setting.as_bytes()));
    }
    let backend = u32::try_from(number + 1).unwrap().to_be_bytes();
    out.extend(message(b'K', &[backend, [7; 4]].concat()));
    out.extend(message(b'Z', b"I"));
    out
}

fn now_micros() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock after 1970").as_micros()
}

/// The process: prints the port of the servers and that of servers who accept connections and never
/// say a word, then answers each line of stdin by what was measured since the line before:
/// `POLLS MICROSECONDS,MICROSECONDS,...`, the times between two polls of one connection.
/// It ends with its stdin.
pub fn run(answers_at_once: bool) -> io::Result<()> {
    let poll = Poll::new()?;
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut listeners = [TcpListener::bind(any)?, TcpListener::bind(any)?];
    for (token, listener) in listeners.iter_mut().enumerate() {
        poll.registry()
            .register(listener, Token(token), Interest::READABLE)?;
    }
    poll.registry()
        .register(&mut SourceFd(&0), STDIN, Interest::READABLE)?;
    let [servers, silent] = &listeners;
    println!(
        "{} {}",
        servers.local_addr()?.port(),
        silent.local_addr()?.port()
    );
    let mut stub = Stub {
        poll,
        listeners,
        connections: Vec::new(),
        spacings: Vec::new(),
        polls: 0,
        answers_at_once,
        input: vec![0; 64 << 10],
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match stub.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            waited => waited?,
        }
        for event in &events {
            match event.token() {
                STDIN if !stub.report()? => return Ok(()),
                STDIN => {}
                Token(listener @ 0..2) => stub.accept(listener)?,
                Token(token) => stub.serve(token - FIRST),
            }
        }
    }
}

struct Stub {
    poll: Poll,
    listeners: [TcpListener; 2],
    /// None: it was closed, or is one of those that are never answered.
    connections: Vec<Option<Connection>>,
    spacings: Vec<u128>,
    polls: usize,
    answers_at_once: bool,
    input: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    server: Server,
    polled: Option<Instant>,
}

impl Stub {
    fn accept(&mut self, listener: usize) -> io::Result<()> {
        loop {
            let (mut stream, _) = match self.listeners[listener].accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                accepted => accepted?,
            };
            if listener == SILENT {
                // For ever: one descriptor more is nothing to this process.
                std::mem::forget(stream);
                continue;
            }
            stream.set_nodelay(true)?;
            let SocketAddr::V4(own) = stream.local_addr()? else {
                unreachable!("it listens on IPv4 alone");
            };
            let number = u32::from(*own.ip()) & 0xffff;
            let token = Token(self.connections.len() + FIRST);
            self.poll
                .registry()
                .register(&mut stream, token, Interest::READABLE)?;
            self.connections.push(Some(Connection {
                stream,
                server: Server::new(number as usize),
                polled: None,
            }));
        }
    }

    fn serve(&mut self, at: usize) {
        let Some(connection) = &mut self.connections[at] else {
            return;
        };
        let mut answers = Vec::new();
        loop {
            let length = match connection.stream.read(&mut self.input) {
                Ok(length @ 1..) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => {
                    self.connections[at] = None;
                    return;
                }
            };
            let server = &mut connection.server;
            let polls = server.receive(&self.input[..length], &mut answers);
            self.polls += polls;
            if polls > 0 {
                let before = connection.polled.replace(Instant::now());
                self.spacings
                    .extend(before.map(|at| at.elapsed().as_micros()));
            }
        }
        if self.answers_at_once {
            answers = vec![answers.concat()];
        }
        // An answer is far shorter than a socket's buffer.
        let written = answers
            .iter()
            .try_for_each(|it| connection.stream.write_all(it));
        if written.is_err() {
            self.connections[at] = None;
        }
    }

    /// False: nobody wants to know any more.
    fn report(&mut self) -> io::Result<bool> {
        let mut line = [0; 64];
        if io::stdin().read(&mut line)? == 0 {
            return Ok(false);
        }
        let spacings: Vec<_> = self.spacings.drain(..).map(|it| it.to_string()).collect();
        println!("{} {}", std::mem::take(&mut self.polls), spacings.join(","));
        Ok(true)
    }
}

const SYSTEM: &str = "7300000000000000001";
/// What PostgreSQL 15 tells of itself at login.
const SETTINGS: &str = "application_name=|client_encoding=UTF8|DateStyle=ISO, MDY|\
    default_transaction_read_only=off|in_hot_standby=on|integer_datetimes=on|\
    IntervalStyle=postgres|is_superuser=off|server_encoding=UTF8|server_version=15.8|\
    session_authorization=pglookout|standard_conforming_strings=on|TimeZone=Etc/UTC";
const SILENT: usize = 1;
const STDIN: Token = Token(2);
const FIRST: usize = 3;
