//! Datagrams to one receiver, without waiting and without caring whether anybody is there: metrics,
//! syslog records, words to the service manager.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::PathBuf;

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
