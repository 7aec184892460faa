//! Those whom a daemon talks to besides PostgreSQL, as plain sockets: who counts what it asks, and
//! who notes what it sends.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use pglookout::time::{WallTime, timestamp};

/// An observer that knows nothing, and counts connections and requests.
pub(crate) struct Counter {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    /// It takes requests and answers none.
    pub(crate) silent: Arc<AtomicBool>,
}

impl Counter {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let counter = Self {
            port: listener.local_addr().expect("its address").port(),
            connections: Arc::default(),
            requests: Arc::default(),
            silent: Arc::default(),
        };
        let (connections, requests) = (
            Arc::clone(&counter.connections),
            Arc::clone(&counter.requests),
        );
        let silent = Arc::clone(&counter.silent);
        // It ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::Relaxed);
                let (requests, silent) = (Arc::clone(&requests), Arc::clone(&silent));
                std::thread::spawn(move || answer_all(stream, &requests, &silent));
            }
        });
        counter
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// An observer that has seen the primary p, and has lost it long ago.
fn lost_primary() -> String {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let micros = i64::try_from(since_epoch.as_micros()).unwrap_or_default();
    let now = timestamp::format(WallTime::from_unix_micros(micros));
    let entry = serde_json::json!({"connection": false, "fetch_time": now, "db_time": "2024-01-01T00:00:00Z",
        "pg_is_in_recovery": false});
    serde_json::json!({ "p": entry }).to_string()
}

fn answer_all(mut stream: TcpStream, requests: &AtomicUsize, silent: &AtomicBool) {
    let Ok(input) = stream.try_clone() else {
        return;
    };
    // An empty line ends a head.
    for _ in BufReader::new(input)
        .lines()
        .map_while(Result::ok)
        .filter(String::is_empty)
    {
        requests.fetch_add(1, Ordering::Relaxed);
        let date = httpdate::fmt_http_date(SystemTime::now());
        let body = lost_primary();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if !silent.load(Ordering::Relaxed) && stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A socket that notes datagrams.
pub(crate) enum Inbox {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Inbox {
    pub(crate) fn udp() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP socket");
        socket.set_nonblocking(true).expect("a flag");
        Self::Udp(socket)
    }

    /// A Unix socket at this path, where anybody may write to it.
    pub(crate) fn at(path: &Path) -> Self {
        let _ = std::fs::remove_file(path);
        Self::of(UnixDatagram::bind(path).expect("a Unix socket"))
    }

    /// A Unix socket with this abstract name.
    pub(crate) fn named(name: &str) -> Self {
        let address = UnixAddr::from_abstract_name(name).expect("a name");
        Self::of(UnixDatagram::bind_addr(&address).expect("a Unix socket"))
    }

    fn of(socket: UnixDatagram) -> Self {
        socket.set_nonblocking(true).expect("a flag");
        Self::Unix(socket)
    }

    /// The UDP port.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Udp(socket) => socket.local_addr().expect("its address").port(),
            Self::Unix(_) => panic!("a Unix socket has no port"),
        }
    }

    /// The next datagram that has come.
    pub(crate) fn next(&self) -> Option<String> {
        let mut buffer = [0; 65_536];
        let received = match self {
            Self::Udp(socket) => socket.recv(&mut buffer),
            Self::Unix(socket) => socket.recv(&mut buffer),
        };
        received
            .ok()
            .map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Everything that has come.
    pub(crate) fn drain(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Waits for a datagram that begins like this, and gives it; those before it are dropped.
    pub(crate) fn wait_for(&self, beginning: &str) -> String {
        self.wait_until(beginning, |datagram| datagram.starts_with(beginning))
    }

    /// The same for one that has this in it.
    pub(crate) fn wait_for_one(&self, with: &str) -> String {
        self.wait_until(with, |datagram| datagram.contains(with))
    }

    fn wait_until(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let mut found = None;
        super::wait_until(&format!("somebody sends {what:?}"), super::SOON, || {
            found = std::iter::from_fn(|| self.next()).find(|datagram| is_it(datagram));
            found.is_some()
        });
        found.expect("what was waited for")
    }

    /// Nothing comes for so long.
    pub(crate) fn is_silent_for(&self, time: Duration) -> bool {
        self.drain();
        std::thread::sleep(time);
        self.next().is_none()
    }
}
