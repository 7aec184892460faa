//! Where HTTP clients come in.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use mio::net::{TcpListener, TcpStream};

use crate::sys::{resolve, socket};

/// A listening TCP socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// Open for nothing but to be closed: with the descriptor that this frees, a client can be
    /// accepted and sent away when there is no other. Else it would stay in the queue, and
    /// everybody behind it with it.
    spare: Option<File>,
}

/// What one call of [`Listener::accept`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepting {
    /// Nobody waits any more; an event comes when somebody does.
    Wait,
    /// This turn's budget is used up: call again next turn, no event will come.
    Again,
    /// There is no descriptor left, and so many clients were sent away for it. Call again in a
    /// moment, not at once.
    OutOfDescriptors(u32),
}

impl Listener {
    /// Listens on `port` of `address`, or of every interface, IPv4 and IPv6. An error names
    /// address, port and reason.
    ///
    /// An address that is a name is looked up here and now, which may block: to be called before
    /// the loop begins.
    pub fn bind(address: Option<&str>, port: u16) -> io::Result<Self> {
        let listened = match address {
            None => listen_everywhere(port),
            Some(address) => parse_or_look_up(address, port).and_then(socket::listen_on),
        };
        let shown = address.unwrap_or("every interface");
        let about = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen for HTTP on {shown}, port {port}: {error}"),
            )
        };
        Ok(Self {
            socket: TcpListener::from_std(listened.map_err(about)?),
            spare: open_spare(),
        })
    }

    /// Would an address have to be looked up, so that [`Listener::bind`] might wait.
    pub fn wants_look_up(address: &str) -> bool {
        literal(address).is_none()
    }

    /// Where it listens; with port 0 the system has chosen the port.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Hands those who wait to `welcome`, one by one, as many as one turn should take.
    pub fn accept(&mut self, mut welcome: impl FnMut(TcpStream)) -> Accepting {
        let mut sent_away = 0;
        for _ in 0..MOST_PER_TURN {
            match self.socket.accept() {
                Ok((client, _)) => welcome(client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && sent_away == 0 => {
                    return Accepting::Wait;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if socket::is_out_of_descriptors(&error) => {
                    if !self.send_one_away() {
                        return Accepting::OutOfDescriptors(sent_away);
                    }
                    sent_away += 1;
                }
                // A client that has gone already, or that a firewall refuses, is its own
                // misfortune: the next, please.
                Err(_) => {}
            }
        }
        if sent_away > 0 {
            Accepting::OutOfDescriptors(sent_away)
        } else {
            Accepting::Again
        }
    }

    fn send_one_away(&mut self) -> bool {
        if self.spare.take().is_none() {
            self.spare = open_spare();
            return false;
        }
        let sent_away = self.socket.accept().is_ok();
        self.spare = open_spare();
        sent_away
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Clients accepted in one turn.
const MOST_PER_TURN: u32 = 64;

fn open_spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// One socket for both families; IPv4 alone on a machine without IPv6.
fn listen_everywhere(port: u16) -> io::Result<std::net::TcpListener> {
    match socket::listen_on((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if socket::is_without_family(&error) => {
            socket::listen_on((Ipv4Addr::UNSPECIFIED, port).into())
        }
        other => other,
    }
}

fn literal(address: &str) -> Option<IpAddr> {
    if address.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    resolve::without_brackets(address).parse().ok()
}

fn parse_or_look_up(address: &str, port: u16) -> io::Result<SocketAddr> {
    if let Some(ip) = literal(address) {
        return Ok(SocketAddr::new(ip, port));
    }
    // Also an address with an interface: it is known which, and nobody is asked.
    let mut found = resolve::addresses(resolve::without_brackets(address), port)?;
    // The original listened on IPv4 alone, so of a name with both its IPv4 address is what clients
    // know.
    found.sort_by_key(SocketAddr::is_ipv6);
    let first = found.first().copied();
    first.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream as Client;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's client may block")]
    fn connect(to: impl Into<SocketAddr>) -> Client {
        Client::connect(to.into()).unwrap()
    }

    fn accept_all(listener: &mut Listener) -> Vec<TcpStream> {
        let mut clients = Vec::new();
        while listener.accept(|client| clients.push(client)) == Accepting::Again {}
        clients
    }

    #[test]
    fn listens_for_both_families_without_an_address() {
        let mut listener = Listener::bind(None, 0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let _v4 = connect((Ipv4Addr::LOCALHOST, port));
        let both = listener.local_addr().unwrap().is_ipv6();
        let _v6 = both.then(|| connect((Ipv6Addr::LOCALHOST, port)));
        assert_eq!(accept_all(&mut listener).len(), 1 + usize::from(both));
    }

    #[test]
    fn listens_at_the_given_address() {
        let check = |address: &str, expected: &str| {
            let listener = Listener::bind(Some(address), 0).unwrap();
            assert_eq!(
                listener.local_addr().unwrap().ip(),
                expected.parse::<IpAddr>().unwrap(),
                "{address}"
            );
        };
        check("127.0.0.1", "127.0.0.1");
        check("0.0.0.0", "0.0.0.0");
        check("LocalHost", "127.0.0.1");
        if Listener::bind(Some("::1"), 0).is_ok() {
            check("::1", "::1");
            check("[::1]", "::1");
        }
    }

    #[test]
    fn what_cannot_be_bound_names_address_port_and_reason() {
        let first = Listener::bind(Some("127.0.0.1"), 0).unwrap();
        let port = first.local_addr().unwrap().port();
        let check = |address: &str, expected: &str| {
            let text = Listener::bind(Some(address), port).unwrap_err().to_string();
            for part in [address, &port.to_string(), expected] {
                assert!(text.contains(part), "{text}");
            }
        };
        check("127.0.0.1", "in use");
        check("192.0.2.1", "assign");
        check("no such name", "");
    }

    #[test]
    fn a_turn_takes_so_many_and_no_more() {
        let mut listener = Listener::bind(Some("127.0.0.1"), 0).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting: Vec<_> = (0..=MOST_PER_TURN).map(|_| connect(address)).collect();
        let mut clients = Vec::new();
        assert_eq!(
            listener.accept(|client| clients.push(client)),
            Accepting::Again
        );
        assert_eq!(clients.len(), waiting.len() - 1);
        assert_eq!(
            listener.accept(|client| clients.push(client)),
            Accepting::Wait
        );
        assert_eq!(clients.len(), waiting.len());
    }

    #[test]
    fn whom_there_is_no_descriptor_for_is_sent_away() {
        let mut listener = Listener::bind(Some("127.0.0.1"), 0).unwrap();
        let mut client = connect(listener.local_addr().unwrap());
        assert!(listener.send_one_away());
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
        assert!(listener.spare.is_some());
        listener.spare = None;
        assert!(!listener.send_one_away());
        assert!(listener.spare.is_some());
    }
}
