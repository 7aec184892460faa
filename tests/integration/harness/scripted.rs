//! A TCP server that plays the same script on every connection, without regard for any protocol:
//! what breaks its clients.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::host::Host;

/// One line of a script. After the last one the connection is closed.
#[derive(Clone)]
pub(crate) enum Step {
    /// Waits for data from the other side.
    Receive,
    SendBytes(Vec<u8>),
    /// Sends the answer to what was received last.
    Reply(Arc<Answering>),
    /// Sends this, one byte a second.
    Drip(Vec<u8>),
    /// Sends this until so many bytes are sent, or the other side stops reading.
    Flood(Vec<u8>, u64),
    /// Sends nothing until the other side closes.
    Hang,
    /// Ends the connection as a crash does.
    Reset,
}

pub(crate) fn reply(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Step {
    Step::Reply(Arc::new(answer))
}

/// From what was received to what is sent.
type Answering = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// A server that plays a script. It ends with the test program.
pub(crate) struct Scripted {
    pub(crate) host: Host,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    bytes: AtomicU64,
}

impl Scripted {
    /// Listens on this port of a host of its own.
    pub(crate) fn start(name: &str, port: u16, script: Vec<Step>) -> Self {
        let host = Host::on_loopback(name);
        let listener =
            TcpListener::bind((host.address, port)).expect("an address of this test's own");
        let counts = Arc::new(Counts::default());
        let (script, noted) = (Arc::new(script), Arc::clone(&counts));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                noted.connections.fetch_add(1, Ordering::Relaxed);
                let (script, noted) = (Arc::clone(&script), Arc::clone(&noted));
                // How it ends is the script's, or the other side's, affair.
                std::thread::spawn(move || play(stream, &script, &noted.bytes));
            }
        });
        Self { host, counts }
    }

    pub(crate) fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Bytes that it has sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }
}

fn play(mut stream: TcpStream, script: &[Step], sent: &AtomicU64) -> io::Result<()> {
    let mut received = vec![0; 64 << 10];
    let mut length = 0;
    let send = |stream: &mut TcpStream, bytes: &[u8]| -> io::Result<()> {
        stream.write_all(bytes)?;
        sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    };
    for step in script {
        match step {
            Step::Receive => {
                length = stream.read(&mut received)?;
                if length == 0 {
                    return Ok(());
                }
            }
            Step::SendBytes(bytes) => send(&mut stream, bytes)?,
            Step::Reply(reply) => send(&mut stream, &reply(&received[..length]))?,
            Step::Drip(bytes) => {
                for byte in bytes {
                    send(&mut stream, &[*byte])?;
                    if has_ended(&mut stream)? {
                        return Ok(());
                    }
                }
            }
            Step::Flood(bytes, limit) => {
                let mut left = *limit;
                while left > 0 {
                    send(&mut stream, bytes)?;
                    left = left.saturating_sub(bytes.len() as u64);
                }
            }
            Step::Hang => io::copy(&mut stream, &mut io::sink()).map(|_| ())?,
            Step::Reset => reset(&stream),
        }
    }
    Ok(())
}

/// Has the other side closed within a second.
fn has_ended(stream: &mut TcpStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let outcome = stream.read(&mut [0; 1024]);
    stream.set_read_timeout(None)?;
    match outcome {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(false)
        }
        outcome => Ok(outcome? == 0),
    }
}

/// From here on closing sends RST, and what was not sent is lost.
pub(crate) fn reset(stream: &TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the option takes a linger of the length that is given.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            length,
        );
    }
}
