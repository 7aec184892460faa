//! Servers that play PostgreSQL on the wire: they answer what the daemon asks, as a primary or as a
//! standby, and do what a real one cannot be made to do many times a second: to be in trouble, and
//! well again.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::host::Host;
use super::messages::{complete, described, error, login, row};
use super::scripted::reset;
use super::wait::pause;

/// The role that a player reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    Standby,
}

/// What is wrong with a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody listens.
    Refused,
    /// The connection ends as by a crash when the login has come, when a question has, half-way
    /// through the answer.
    ResetAt(Moment),
    /// The same with silence.
    SilentAt(Moment),
    /// Every byte of an answer takes its time.
    Slow,
    /// The login is answered by an error with this SQLSTATE.
    Turned(&'static str),
    /// The answer is not PostgreSQL protocol.
    Garbage,
}

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Login,
    Question,
    Answer,
}

/// A server that ends with the test program.
#[derive(Clone)]
pub(crate) struct Player {
    pub(crate) host: Host,
    shared: Arc<Shared>,
}

struct Shared {
    role: Mutex<Role>,
    trouble: Mutex<Option<Trouble>>,
    hangs_up: AtomicBool,
    connections: AtomicU64,
    polls: AtomicU64,
    answered_at: AtomicI64,
}

impl Player {
    pub(crate) fn start(name: &str, role: Role) -> Self {
        let host = Host::on_loopback(name);
        let shared = Arc::new(Shared {
            role: Mutex::new(role),
            trouble: Mutex::new(None),
            hangs_up: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            answered_at: AtomicI64::new(now_micros()),
        });
        let player = Self { host, shared };
        let (playing, listener) = (
            player.clone(),
            player.listen().expect("an address of this test's own"),
        );
        std::thread::spawn(move || playing.play(listener));
        player
    }

    pub(crate) fn conninfo(&self) -> String {
        format!(
            "host={} user=pglookout dbname=postgres sslmode=disable",
            self.host.address
        )
    }

    pub(crate) fn set_role(&self, role: Role) {
        *self.shared.role.lock().expect("no player panics") = role;
    }

    pub(crate) fn role(&self) -> Role {
        *self.shared.role.lock().expect("no player panics")
    }

    pub(crate) fn set_trouble(&self, trouble: Option<Trouble>) {
        *self.shared.trouble.lock().expect("no player panics") = trouble;
    }

    pub(crate) fn trouble(&self) -> Option<Trouble> {
        *self.shared.trouble.lock().expect("no player panics")
    }

    /// From now on a connection ends after its first answer.
    pub(crate) fn hang_up(&self) {
        self.shared.hangs_up.store(true, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Polls that were answered, or were to be.
    pub(crate) fn polls(&self) -> u64 {
        self.shared.polls.load(Ordering::Relaxed)
    }

    /// When it was last well enough to tell its status, in microseconds since 1970.
    pub(crate) fn answered_at(&self) -> i64 {
        self.shared.answered_at.load(Ordering::Relaxed)
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let listener = TcpListener::bind((self.host.address, 5432))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    fn play(&self, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            if self.trouble() == Some(Trouble::Refused) {
                listener = None;
            } else if listener.is_none() {
                listener = self.listen().ok();
            }
            match listener.as_ref().map(TcpListener::accept) {
                Some(Ok((stream, _))) => {
                    self.shared.connections.fetch_add(1, Ordering::Relaxed);
                    let player = self.clone();
                    // How it ends is the other side's affair, or the trouble's.
                    std::thread::spawn(move || {
                        Conversation {
                            player,
                            stream,
                            received: Vec::new(),
                        }
                        .go_on()
                    });
                }
                _ => pause(2),
            }
        }
    }
}

struct Conversation {
    player: Player,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Conversation {
    fn go_on(mut self) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_nodelay(true)?;
        self.stream
            .set_read_timeout(Some(Duration::from_millis(20)))?;
        self.receive(0)?;
        if self.is_in_trouble_at(Moment::Login)? {
            return Ok(());
        }
        self.stream.write_all(&login())?;
        loop {
            let question = self.receive(1)?;
            let question = String::from_utf8_lossy(&question);
            if question.starts_with('X') {
                return Ok(());
            }
            if !self.answer(&question)? {
                return Ok(());
            }
        }
    }

    /// False: there is no more to say.
    fn answer(&mut self, question: &str) -> io::Result<bool> {
        // As the daemon words them: pg::status.
        let rows = if question.contains("pg_last_wal_receive_lsn") {
            self.player.shared.polls.fetch_add(1, Ordering::Relaxed);
            if self.is_in_trouble_at(Moment::Question)? {
                return Ok(false);
            }
            if self.player.trouble().is_none() {
                self.player
                    .shared
                    .answered_at
                    .store(now_micros(), Ordering::Relaxed);
            }
            status(self.player.role())
        } else if question.contains("pg_postmaster_start_time") {
            row(&[None; 6])
        } else if question.contains("pg_replication_slots") {
            Vec::new()
        } else {
            row(&[Some("off"), Some("1")])
        };
        let answer = [described(), rows, complete()].concat();
        let (beginning, rest) = answer.split_at(answer.len() / 2);
        self.stream.write_all(beginning)?;
        if self.is_in_trouble_at(Moment::Answer)? {
            return Ok(false);
        }
        if self.player.trouble() == Some(Trouble::Slow) {
            for byte in rest {
                self.stream.write_all(&[*byte])?;
                pause(2);
            }
            return Ok(true);
        }
        self.stream.write_all(rest)?;
        let hangs_up = self.player.shared.hangs_up.load(Ordering::Relaxed);
        Ok(!hangs_up)
    }

    /// Does what is wrong at this moment, if something is. True: that was the end.
    fn is_in_trouble_at(&mut self, moment: Moment) -> io::Result<bool> {
        match self.player.trouble() {
            Some(Trouble::ResetAt(at)) if at == moment => reset(&self.stream),
            Some(Trouble::SilentAt(at)) if at == moment => while self.received_more()? {},
            Some(Trouble::Turned(state)) if moment == Moment::Login => {
                self.stream.write_all(&error("FATAL", state, "as played"))?;
            }
            Some(Trouble::Garbage) => self.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?,
            Some(Trouble::Refused) => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The next message, its length included; the very first has no type before its length.
    fn receive(&mut self, kind: usize) -> io::Result<Vec<u8>> {
        loop {
            if let Some(length) = self.received.get(kind..kind + 4) {
                let length =
                    u32::from_be_bytes(length.try_into().expect("four bytes")) as usize + kind;
                if length <= self.received.len() {
                    return Ok(self.received.drain(..length).collect());
                }
            }
            if !self.received_more()? || self.player.trouble() == Some(Trouble::Refused) {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
    }

    /// False: the other side has closed.
    fn received_more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(length) => {
                self.received.extend_from_slice(&buffer[..length]);
                Ok(length > 0)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}

/// Microseconds since 1970.
pub(crate) fn now_micros() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    now.as_micros() as i64
}

fn status(role: Role) -> Vec<u8> {
    let now = now_micros().to_string();
    match role {
        Role::Primary => row(&[Some(&now), Some("f"), None, None, None, Some(POSITION)]),
        Role::Standby => row(&[
            Some(&now),
            Some("t"),
            Some(&now),
            Some(POSITION),
            Some(POSITION),
            None,
        ]),
    }
}

const POSITION: &str = "0/5000060";
