//! Sockets as std and mio do not offer them: options, a listener of both families, and datagrams to
//! one receiver that need not be there.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, getsockopt, listen,
    setsockopt, socket, sockopt,
};

/// libpq's `keepalives*` and `tcp_user_timeout`; `None` leaves the system's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// `keepalives`: whether an idle connection is asked for signs of life.
    pub enabled: bool,
    /// `keepalives_idle`: silence before the first question.
    pub idle: Option<Duration>,
    /// `keepalives_interval`: from one question to the next.
    pub interval: Option<Duration>,
    /// `keepalives_count`: unanswered questions until the connection is given up.
    pub count: Option<u32>,
    /// `tcp_user_timeout`: how long what was sent may stay unacknowledged.
    pub user_timeout: Option<Duration>,
}

/// Applies `wanted` to a TCP socket. Zero means the system's default, as in libpq.
pub fn set_keepalive(socket: &impl AsFd, wanted: &KeepAlive) -> io::Result<()> {
    setsockopt(socket, sockopt::KeepAlive, &wanted.enabled)?;
    if wanted.enabled {
        if let Some(idle) = wanted.idle.filter(|idle| !idle.is_zero()) {
            setsockopt(socket, sockopt::TcpKeepIdle, &whole_seconds(idle))?;
        }
        if let Some(interval) = wanted.interval.filter(|interval| !interval.is_zero()) {
            setsockopt(socket, sockopt::TcpKeepInterval, &whole_seconds(interval))?;
        }
        if let Some(count) = wanted.count.filter(|&count| count > 0) {
            setsockopt(socket, sockopt::TcpKeepCount, &count)?;
        }
    }
    if let Some(timeout) = wanted.user_timeout {
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        setsockopt(socket, sockopt::TcpUserTimeout, &millis)?;
    }
    Ok(())
}

/// The account that the process behind a connected Unix socket had when it began to listen.
pub fn peer_account(socket: &impl AsFd) -> io::Result<u32> {
    Ok(getsockopt(socket, sockopt::PeerCredentials)?.uid())
}

/// A non-blocking listening TCP socket on `address`. One on `[::]` takes IPv4 connections too,
/// whatever the system's default is.
pub fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() {
        AddressFamily::Inet6
    } else {
        AddressFamily::Inet
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let listener = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&listener, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(
            &listener,
            sockopt::Ipv6V6Only,
            &!address.ip().is_unspecified(),
        )?;
    }
    bind(listener.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&listener, Backlog::MAXCONN)?;
    Ok(TcpListener::from(listener))
}

/// Whether `error` says that this process or this machine has no descriptor left.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE)
    )
}

/// Whether `error` says that the machine has no such address family, or none of its addresses.
pub fn is_without_family(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL)
    )
}

/// The kernel counts whole seconds, at least one.
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// Who receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// By UDP.
    Udp(SocketAddr),
    /// A Unix socket by its path.
    Path(PathBuf),
    /// A Unix socket by its name in the abstract namespace.
    Abstract(Vec<u8>),
}

impl Receiver {
    /// A Unix socket as systemd writes it: a path, or a name after `@`.
    pub fn unix(text: &OsStr) -> Option<Self> {
        match text.as_bytes() {
            [b'/', ..] => Some(Self::Path(PathBuf::from(text))),
            [b'@', name @ ..] => Some(Self::Abstract(name.to_vec())),
            _ => None,
        }
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "{address}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

/// A non-blocking socket that is connected to its receiver.
#[derive(Debug)]
pub enum Datagrams {
    /// To [`Receiver::Udp`].
    Udp(UdpSocket),
    /// To the others.
    Unix(UnixDatagram),
}

impl Datagrams {
    /// Opens a socket. A Unix receiver must be there; of one by UDP nobody knows.
    pub fn open(to: &Receiver) -> io::Result<Self> {
        let socket = match to {
            Receiver::Udp(address) => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                socket.connect(address)?;
                return Ok(Self::Udp(socket));
            }
            Receiver::Path(path) => UnixAddr::from_pathname(path)?,
            Receiver::Abstract(name) => UnixAddr::from_abstract_name(name)?,
        };
        let ours = UnixDatagram::unbound()?;
        ours.set_nonblocking(true)?;
        ours.connect_addr(&socket)?;
        Ok(Self::Unix(ours))
    }

    /// Sends one datagram, or says why not; `WouldBlock` where it would have to wait. That nobody
    /// listened to an earlier one is no error of this one.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let send = || match self {
            Self::Udp(socket) => socket.send(datagram),
            Self::Unix(socket) => socket.send(datagram),
        };
        let sent = match (self, send()) {
            // What came back for an earlier datagram took the place of this one.
            (Self::Udp(_), Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                send()
            }
            (_, sent) => sent,
        };
        match (self, sent) {
            (Self::Udp(_), Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Ok(())
            }
            (_, sent) => sent.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalive_settings_reach_the_socket() {
        let listener = listen_on("127.0.0.1:0".parse().unwrap()).unwrap();
        let seconds = |s| Some(Duration::from_secs(s));
        let wanted = KeepAlive {
            enabled: true,
            idle: seconds(7),
            interval: Some(Duration::from_millis(10)),
            count: Some(4),
            user_timeout: seconds(9),
        };
        set_keepalive(&listener, &wanted).unwrap();
        assert!(getsockopt(&listener, sockopt::KeepAlive).unwrap());
        assert_eq!(getsockopt(&listener, sockopt::TcpKeepIdle).unwrap(), 7);
        assert_eq!(getsockopt(&listener, sockopt::TcpKeepInterval).unwrap(), 1);
        assert_eq!(getsockopt(&listener, sockopt::TcpKeepCount).unwrap(), 4);
        assert_eq!(
            getsockopt(&listener, sockopt::TcpUserTimeout).unwrap(),
            9000
        );
        set_keepalive(
            &listener,
            &KeepAlive {
                idle: seconds(0),
                ..KeepAlive::default()
            },
        )
        .unwrap();
        assert!(!getsockopt(&listener, sockopt::KeepAlive).unwrap());
    }

    #[test]
    fn an_absent_udp_receiver_is_no_error_and_misses_nothing_once_it_is_there() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = receiver.local_addr().unwrap();
        drop(receiver);
        let datagrams = Datagrams::open(&Receiver::Udp(address)).unwrap();
        for _ in 0..10 {
            datagrams.send(b"lost").unwrap();
        }
        let receiver = UdpSocket::bind(address).unwrap();
        datagrams.send(b"heard").unwrap();
        let mut buffer = [0; 16];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"heard");
    }

    #[test]
    fn a_unix_receiver_that_does_not_read_is_not_waited_for() {
        let name = format!("pglookout-datagram-{}", std::process::id());
        let receiver =
            UnixDatagram::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
        let datagrams =
            Datagrams::open(&Receiver::unix(OsStr::new(&format!("@{name}"))).unwrap()).unwrap();
        let refusal = std::iter::repeat_with(|| datagrams.send(b"x"))
            .take(100_000)
            .find_map(Result::err)
            .unwrap();
        assert_eq!(refusal.kind(), io::ErrorKind::WouldBlock);
        drop(receiver);
        assert_eq!(
            datagrams.send(b"x").unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        assert!(Datagrams::open(&Receiver::Abstract(name.into_bytes())).is_err());
    }

    #[test]
    fn a_unix_receiver_is_a_path_or_a_name() {
        for (text, expected) in [
            ("/run/x", Some(Receiver::Path(PathBuf::from("/run/x")))),
            ("@x", Some(Receiver::Abstract(b"x".to_vec()))),
            ("vsock:2:1", None),
            ("", None),
        ] {
            assert_eq!(Receiver::unix(OsStr::new(text)), expected, "{text}");
        }
    }
}
