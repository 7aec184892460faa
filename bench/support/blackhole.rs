//! A port that swallows connections, at every address of loopback: no answer, no refusal. The kernel
//! drops SYNs for a listener whose queue is full, so no network namespace is needed.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
};

/// It answers again when this is dropped.
pub struct Blackhole {
    pub port: u16,
    _listener: OwnedFd,
    _queue: Vec<TcpStream>,
}

impl Blackhole {
    pub fn open() -> Self {
        let flags = SockFlag::SOCK_CLOEXEC;
        let listener = socket(AddressFamily::Inet, SockType::Stream, flags, None);
        let listener = listener.expect("a socket");
        bind(listener.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 0)).expect("a port");
        listen(&listener, Backlog::new(0).expect("no queue")).expect("a listener");
        let bound: SockaddrIn = getsockname(listener.as_raw_fd()).expect("its address");
        let target = SocketAddr::from(([127, 0, 0, 1], bound.port()));
        let mut queue = Vec::new();
        loop {
            match TcpStream::connect_timeout(&target, Duration::from_millis(200)) {
                Ok(stream) => queue.push(stream),
                Err(error) if error.kind() == ErrorKind::TimedOut => break,
                Err(error) => panic!("filling the queue: {error}"),
            }
        }
        Self {
            port: bound.port(),
            _listener: listener,
            _queue: queue,
        }
    }
}
