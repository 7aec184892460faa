//! The body of `pglookout --resolve NAME`: one look-up in a process of its own, because getaddrinfo
//! blocks and knows no time limit. The daemon starts it with [`super::child`] and `dns` reads what
//! it prints.
//!
//! In a statically linked glibc binary getaddrinfo crashes where `nsswitch.conf` names a module
//! that it cannot load, which is why the crate refuses to be built like that. musl, which static
//! builds use, resolves by itself.

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

/// Looks `name` up and prints one address per line; exit status 1 and the reason if there is none.
pub fn main(name: &str) -> ExitCode {
    let (text, code) = match addresses(name, 0) {
        Ok(found) => (found.iter().map(line).collect(), ExitCode::SUCCESS),
        Err(reason) => (format!("{reason}\n"), ExitCode::FAILURE),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// With the number of the interface that a link-local address belongs to.
fn line(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}\n", v6.ip(), v6.scope_id()),
        _ => format!("{}\n", address.ip()),
    }
}

/// The address of a URL's host: an IPv6 address may stand in brackets.
pub fn without_brackets(address: &str) -> &str {
    let inner = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(address)
}

/// Where `port` of `name` is, in the resolver's order, each address once. Blocks for as long as the
/// resolver likes: for the helper process, and for what is looked up before the daemon's loop begins.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where getaddrinfo may block"
)]
pub fn addresses(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for address in (name, port).to_socket_addrs()? {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    if found.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_local_names_need_no_name_server() {
        assert_eq!(
            addresses("192.0.2.7", 0).unwrap(),
            ["192.0.2.7:0".parse::<SocketAddr>().unwrap()]
        );
        assert!(
            addresses("localhost", 0)
                .unwrap()
                .iter()
                .all(|address| address.ip().is_loopback())
        );
        let scoped = addresses("fe80::1%lo", 0).unwrap();
        let scoped: Vec<String> = scoped.iter().map(line).collect();
        assert_eq!(scoped, ["fe80::1%1\n"], "lo is the first interface");
    }

    #[test]
    fn a_name_that_cannot_be_is_an_error() {
        assert!(addresses("no such name", 0).is_err());
        assert!(addresses("a\0b", 0).is_err());
    }
}
