//! Clients that write without a pause, each to the server of its own host, and note what was
//! acknowledged when.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::host::Host;
use crate::harness::pause;

/// A row that a server has acknowledged; times in seconds since the writers began.
#[derive(Clone, Copy)]
pub struct Row {
    /// What is written, the same never twice.
    pub number: u64,
    pub sent: f64,
    pub acknowledged: f64,
}

/// One client for each host. They must be finished.
pub struct Writers {
    begun: Instant,
    is_over: Arc<AtomicBool>,
    threads: BTreeMap<String, JoinHandle<Vec<Row>>>,
}

impl Writers {
    /// Clients of the servers of these hosts; they write to the table `rows`.
    pub fn start(hosts: impl Iterator<Item = Host>) -> Self {
        let (begun, is_over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let start = |host: Host| {
            let (name, until) = (host.name.clone(), Arc::clone(&is_over));
            let thread = std::thread::spawn(move || write_rows(&host, begun, &until));
            (name, thread)
        };
        Self {
            begun,
            threads: hosts.map(start).collect(),
            is_over,
        }
    }

    /// Seconds since they began.
    pub fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Ends them; the rows that each server has acknowledged, in the order of time.
    pub fn finish(self) -> BTreeMap<String, Vec<Row>> {
        self.is_over.store(true, Ordering::Relaxed);
        let rows = |thread: JoinHandle<_>| thread.join().expect("a client");
        let threads = self.threads.into_iter();
        threads.map(|(name, thread)| (name, rows(thread))).collect()
    }
}

fn write_rows(host: &Host, begun: Instant, is_over: &AtomicBool) -> Vec<Row> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let (mut rows, mut session) = (Vec::new(), None);
    while !is_over.load(Ordering::Relaxed) {
        let Some(mut open) = session.take().or_else(|| Session::open(host).ok()) else {
            pause(PACE);
            continue;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let sent = begun.elapsed().as_secs_f64();
        // After an error of the connection there is a new one at once.
        let Ok(is_written) = open.write(number) else {
            continue;
        };
        if is_written {
            rows.push(Row {
                number,
                sent,
                acknowledged: begun.elapsed().as_secs_f64(),
            });
        }
        session = Some(open);
        pause(PACE);
    }
    rows
}

/// A connection that is logged in.
struct Session(BufReader<TcpStream>);

impl Session {
    fn open(host: &Host) -> io::Result<Self> {
        let stream = host.connect(5432, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        let mut session = Self(BufReader::new(stream));
        session.send(b"", body)?;
        if !session.is_done()? {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(session)
    }

    /// Whether it was committed; false: the server takes no writes.
    fn write(&mut self, number: u64) -> io::Result<bool> {
        let statement = format!("INSERT INTO rows (t) VALUES ('{number}')\0");
        self.send(b"Q", statement.as_bytes())?;
        self.is_done()
    }

    fn send(&mut self, tag: &[u8], body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).expect("a short message");
        let message = [tag, &length.to_be_bytes(), body].concat();
        self.0.get_mut().write_all(&message)
    }

    /// Reads to the next ReadyForQuery; whether there was no error before it.
    fn is_done(&mut self) -> io::Result<bool> {
        let mut is_done = true;
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head)?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut rest = (length as usize).saturating_sub(4);
            while rest > 0 {
                let got = self.0.fill_buf()?.len().min(rest);
                if got == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.0.consume(got);
                rest -= got;
            }
            match head[0] {
                b'Z' => return Ok(is_done),
                b'E' => is_done = false,
                _ => {}
            }
        }
    }
}

/// Milliseconds between two rows, and between two attempts.
const PACE: u64 = 10;
/// Whoever does not answer for so long is left for a new connection.
const PATIENCE: Duration = Duration::from_secs(2);
