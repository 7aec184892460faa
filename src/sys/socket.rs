//! Socket options and a listening socket that std and mio have no words for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
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
}
