//! An observer that reports the state of the players, unless it is set to misbehave.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pglookout::time::WallTime;
use pglookout::time::timestamp;
use serde_json::{Value, json};

use crate::harness::daemon::HTTP_PORT;
use crate::harness::host::Host;
use crate::harness::pause;
use crate::harness::players::{Player, Role, now_micros};

/// What is wrong with the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Fine,
    Broken,
    Garbage,
    Slow,
    Silent,
    Gone,
}

/// It ends with the test program.
#[derive(Clone)]
pub(super) struct Observer {
    pub(super) host: Host,
    mood: Arc<Mutex<Mood>>,
    answers: Arc<AtomicU64>,
    players: Vec<Player>,
}

impl Observer {
    pub(super) fn start(players: &[Player]) -> Self {
        let host = Host::on_loopback("o");
        let listener =
            TcpListener::bind((host.address, HTTP_PORT)).expect("an address of this test's own");
        let observer = Self {
            host,
            mood: Arc::new(Mutex::new(Mood::Fine)),
            answers: Arc::default(),
            players: players.to_vec(),
        };
        let answering = observer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let observer = answering.clone();
                // How it ends is the other side's affair, or the mood's.
                std::thread::spawn(move || observer.converse(stream));
            }
        });
        observer
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}:{HTTP_PORT}", self.host.address)
    }

    pub(super) fn set_mood(&self, mood: Mood) {
        *self.mood.lock().expect("no observer panics") = mood;
    }

    /// How many requests were answered, or were to be.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer)? > 0 {
            self.answers.fetch_add(1, Ordering::Relaxed);
            let mood = *self.mood.lock().expect("no observer panics");
            let text = answer("200 OK", &self.state().to_string());
            match mood {
                Mood::Fine => stream.write_all(text.as_bytes())?,
                Mood::Broken => stream.write_all(answer("500 Oops", "out of order").as_bytes())?,
                Mood::Garbage => {
                    return stream.write_all(b"\x16\x03\x01 not a word of HTTP\r\n\r\n");
                }
                Mood::Gone => return Ok(()),
                Mood::Silent => pause(500),
                Mood::Slow => {
                    for byte in text.bytes() {
                        stream.write_all(&[byte])?;
                        pause(2);
                    }
                }
            }
        }
        Ok(())
    }

    fn state(&self) -> Value {
        let time = |micros| timestamp::format(WallTime::from_unix_micros(micros));
        // A node that is lost has the time at which it was last reached.
        let entry = |player: &Player| {
            json!({
                "fetch_time": time(now_micros()), "connection": player.trouble().is_none(),
                "db_time": time(player.answered_at()), "pg_is_in_recovery": player.role() == Role::Standby,
            })
        };
        self.players
            .iter()
            .map(|player| (player.host.name.clone(), entry(player)))
            .collect()
    }
}

fn answer(status: &str, body: &str) -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!(
        "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
