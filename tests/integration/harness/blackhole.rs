//! An address that swallows connections: no answer, no refusal. The kernel drops SYNs for a
//! listener whose queue is full, so no network namespace is needed.

use std::io;
use std::mem::size_of;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use super::host::Host;

/// Dropping it closes the address.
pub(crate) struct Blackhole {
    pub(crate) host: Host,
    _listener: OwnedFd,
    _queue: Vec<TcpStream>,
}

impl Blackhole {
    /// A host on loopback whose `port` swallows connections.
    pub(crate) fn open(name: &str, port: u16) -> io::Result<Self> {
        let host = Host::on_loopback(name);
        let listener = listen(host.address, port)?;
        let target = SocketAddr::from((host.address, port));
        let mut queue = Vec::new();
        loop {
            match TcpStream::connect_timeout(&target, Duration::from_millis(200)) {
                Ok(stream) => queue.push(stream),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            host,
            _listener: listener,
            _queue: queue,
        })
    }
}

/// The standard library's listener has no say in the length of the queue.
fn listen(address: Ipv4Addr, port: u16) -> io::Result<OwnedFd> {
    let name = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(address).to_be(),
        },
        sin_zero: [0; 8],
    };
    // SAFETY: the descriptor is new and owned from here on; the address is a sockaddr_in of the
    // length that is given.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        let owned = OwnedFd::from_raw_fd(socket);
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        if libc::bind(socket, (&raw const name).cast(), length) != 0 || libc::listen(socket, 0) != 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok(owned)
    }
}
