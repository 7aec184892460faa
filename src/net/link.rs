//! A non-blocking stream connection with two buffers. It moves bytes and never waits; what they
//! mean is its owner's business.
//!
//! Readiness is edge-triggered and interests are registered once. So whoever puts bytes into
//! [`Link::output`], or makes room in a full [`Link::input`], ends with [`Link::pump`], and a link
//! whose pump says [`Next::Again`] is pumped next turn without an event: else it would stall for
//! ever. A read that fills less than its buffer has taken all that there was; the end of the stream,
//! which may have come along with it, is a later read: so a link is pumped once more after an event
//! that tells of it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::PathBuf;

use bytes::{Buf, Bytes, BytesMut};
use mio::net::{TcpStream, UnixStream};

use super::transport::{Socket, Transport};
use crate::sys::socket::{KeepAlive, peer_account, set_keepalive};
use crate::tls::{Blame, Failure, TlsStream};

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A Unix socket in the file system.
    Unix(PathBuf),
    /// A Unix socket in the abstract name space, without its leading NUL (libpq writes it with an
    /// `@`).
    Abstract(Vec<u8>),
}

/// A connection, outgoing or accepted.
#[derive(Debug)]
pub struct Link {
    transport: Transport,
    state: State,
    input_limit: usize,
    /// What has arrived and was not taken yet.
    pub input: BytesMut,
    /// What is to be sent.
    pub output: BytesMut,
    /// What is to be sent after that. It may be shared with other links: it is not copied.
    pub body: Bytes,
}

/// What one pump has moved, and what is to follow.
#[derive(Debug)]
pub struct Pumped {
    /// Bytes appended to [`Link::input`]. Look at them first: they may explain the failure that
    /// comes with them.
    pub read: usize,
    /// Bytes taken from [`Link::output`] and [`Link::body`].
    pub written: usize,
    /// What is to follow.
    pub next: Next,
}

/// What a link waits for after a pump.
#[derive(Debug)]
pub enum Next {
    /// The other side; an event comes when it is to be pumped again.
    Wait,
    /// Its turn: the budget is used up and no event will come. Pump again next turn.
    Again,
    /// Its owner: the input is as long as it may be. Take some and pump again.
    Full,
    /// The other side has ended its half and everything it sent is in the input; the output may
    /// still be pumped.
    Ended,
    /// Nothing: connecting, reading, writing or encryption has failed. Close it. The error holds a
    /// [`Failure`](crate::tls::Failure) where encryption is its cause.
    Failed(io::Error),
}

impl Link {
    /// Begins to connect. An error means that not even that was possible; a refusal may come from
    /// the first pump.
    pub fn connect(endpoint: &Endpoint, input_limit: usize) -> io::Result<Self> {
        let stream = match endpoint {
            Endpoint::Tcp(address) => Socket::Tcp(TcpStream::connect(*address)?),
            Endpoint::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            Endpoint::Abstract(name) => Socket::Unix(UnixStream::connect_addr(
                &UnixAddr::from_abstract_name(name)?,
            )?),
        };
        Ok(Self::new(stream, State::Connecting, input_limit))
    }

    /// A connection that somebody made to us.
    pub fn accepted(stream: TcpStream, input_limit: usize) -> Self {
        // Answers go out whole, so waiting for more to send gains nothing; not worth losing a
        // connection over.
        let _ = stream.set_nodelay(true);
        Self::new(
            Socket::Tcp(stream),
            State::Open { has_ended: false },
            input_limit,
        )
    }

    /// Whether the connection still has to be made.
    pub fn is_connecting(&self) -> bool {
        matches!(self.state, State::Connecting)
    }

    /// Applies libpq's keepalive settings; without effect on Unix sockets.
    pub fn set_keepalive(&self, wanted: &KeepAlive) -> io::Result<()> {
        match &self.transport.socket {
            Socket::Tcp(stream) => set_keepalive(stream, wanted),
            Socket::Unix(_) => Ok(()),
        }
    }

    /// The user id that the other side of a Unix socket runs as; `None` for TCP.
    pub fn peer_account(&self) -> Option<io::Result<u32>> {
        match &self.transport.socket {
            Socket::Tcp(_) => None,
            Socket::Unix(stream) => Some(peer_account(stream)),
        }
    }

    /// Bytes of input that may wait from now on.
    pub fn limit_input(&mut self, bytes: usize) {
        self.input_limit = bytes;
    }

    /// Encrypts all that follows. Whatever has come or waits to be sent in plaintext would seem to
    /// be encrypted, so there may be nothing (CVE-2021-23222).
    pub fn start_tls(&mut self, tls: TlsStream) -> Result<(), Failure> {
        if !self.input.is_empty() || !self.output.is_empty() || self.transport.tls.is_some() {
            return Err(Failure::new(
                Blame::ProtocolError,
                "unencrypted bytes before the handshake",
            ));
        }
        self.transport.tls = Some(Box::new(tls));
        Ok(())
    }

    /// The encryption, if there is any.
    pub fn tls(&self) -> Option<&TlsStream> {
        self.transport.tls.as_deref()
    }

    /// Connects on, then writes what is to be written, then reads what is there: each as far as it
    /// goes without waiting, and reading within this turn's budget.
    pub fn pump(&mut self) -> Pumped {
        let before = (self.input.len(), self.unsent());
        let next = self.connect_on().unwrap_or_else(|| self.transfer());
        Pumped {
            read: self.input.len().saturating_sub(before.0),
            written: before.1.saturating_sub(self.unsent()),
            next,
        }
    }

    /// Bytes that are to be sent.
    pub fn unsent(&self) -> usize {
        self.output.len() + self.body.len()
    }

    /// Sends what is to be sent, and does not look for what has come: an event comes for that. True:
    /// all of it was sent. Otherwise pump.
    pub fn flush(&mut self) -> bool {
        let is_plain = self.transport.tls.is_none() && !self.is_connecting();
        let is_sent = is_plain && matches!(self.send(), Ok(Sent::AsMuchAsGoes));
        let is_sent = is_sent && self.unsent() == 0;
        if is_sent {
            self.tidy();
        }
        is_sent
    }

    /// Says that no more will be sent; what the other side still sends can be read. To be called
    /// with nothing left to send.
    pub fn end_output(&self) -> io::Result<()> {
        self.transport.socket.end_output()
    }

    /// Gives back the memory of empty buffers; to be called once the input was looked at, so that
    /// an idle link costs none.
    pub fn tidy(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }

    fn new(socket: Socket, state: State, input_limit: usize) -> Self {
        let transport = Transport { socket, tls: None };
        Self {
            transport,
            state,
            input_limit,
            input: BytesMut::new(),
            output: BytesMut::new(),
            body: Bytes::new(),
        }
    }

    /// What to do while there is no connection; `None` once there is one.
    fn connect_on(&mut self) -> Option<Next> {
        if !self.is_connecting() {
            return None;
        }
        match self.transport.socket.has_connected() {
            Ok(false) => return Some(Next::Wait),
            Ok(true) => self.state = State::Open { has_ended: false },
            Err(error) => return Some(Next::Failed(error)),
        }
        None
    }

    fn transfer(&mut self) -> Next {
        let was_handshaking = self.transport.is_handshaking();
        let mut sent = self.send();
        // Read even if sending failed: a server that turns us away says why and closes, and the
        // reset comes first.
        let received = self.receive();
        if was_handshaking && !self.transport.is_handshaking() && sent.is_ok() {
            sent = self.send();
        }
        match (sent, received) {
            // The other side's last message, if encryption has one, shows more than that it does not
            // listen any more.
            (_, Err(error)) | (Err(error), _) => Next::Failed(error),
            // The socket may still be writable, then no event comes; whatever else there is to report
            // is reported again.
            (Ok(Sent::Unfinished), Ok(_)) => Next::Again,
            (Ok(_), Ok(next)) => next,
        }
    }

    fn send(&mut self) -> io::Result<Sent> {
        let mut left = BUDGET;
        match self.transport.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Sent::AsMuchAsGoes);
            }
            flushed => flushed?,
        }
        while self.unsent() > 0 {
            let next = match self.output.is_empty() {
                true => &self.body[..],
                false => &self.output,
            };
            match self.transport.write(next.get(..left).unwrap_or(next)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.sent(n);
                    left = left.saturating_sub(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Sent::AsMuchAsGoes);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if left == 0 && self.unsent() > 0 {
                return Ok(Sent::Unfinished);
            }
        }
        Ok(Sent::AsMuchAsGoes)
    }

    /// So many bytes were written, all of the output or all of the body.
    fn sent(&mut self, bytes: usize) {
        match self.output.is_empty() {
            true => self.body.advance(bytes.min(self.body.len())),
            false => self.output.advance(bytes.min(self.output.len())),
        }
    }

    fn receive(&mut self) -> io::Result<Next> {
        let State::Open { has_ended: false } = self.state else {
            return Ok(Next::Ended);
        };
        let mut left = BUDGET;
        let mut buffer = [0; READ_BYTES];
        let is_plain = self.transport.tls.is_none();
        loop {
            let room = self.input_limit.saturating_sub(self.input.len());
            if room == 0 {
                return Ok(Next::Full);
            }
            if left == 0 {
                return Ok(Next::Again);
            }
            let portion = buffer
                .get_mut(..READ_BYTES.min(room).min(left))
                .unwrap_or_default();
            match self.transport.read(portion) {
                Ok(0) => {
                    self.state = State::Open { has_ended: true };
                    return Ok(Next::Ended);
                }
                Ok(n) => {
                    self.input
                        .extend_from_slice(portion.get(..n).unwrap_or_default());
                    left = left.saturating_sub(n);
                    if is_plain && n < portion.len() {
                        return Ok(Next::Wait);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait),
                // Encrypted bytes that were no plaintext count as well, or they could keep us busy
                // for ever.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    left = left.saturating_sub(READ_BYTES)
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.socket.as_fd()
    }
}

/// Bytes that one pump moves at most, each way.
const BUDGET: usize = 64 * 1024;
/// Bytes per read. They land on the stack first, so that an input holds what has arrived and no
/// room kept for more.
const READ_BYTES: usize = 8 * 1024;

#[derive(Debug)]
enum State {
    Connecting,
    Open { has_ended: bool },
}

enum Sent {
    AsMuchAsGoes,
    Unfinished,
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;

#[cfg(test)]
#[cfg(feature = "tls")]
#[path = "tls_tests.rs"]
mod tls_tests;
