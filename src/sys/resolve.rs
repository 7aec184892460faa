//! The body of `pglookout --resolve NAME`: one look-up in a process of its own, because getaddrinfo
//! blocks and knows no time limit. The daemon starts it with [`super::child`] and `dns` reads what
//! it prints.
//!
//! In a statically linked glibc binary getaddrinfo crashes where `nsswitch.conf` names a module
//! that it cannot load, which is why the crate refuses to be built like that. musl, which static
//! builds use, resolves by itself.

use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::process::ExitCode;

/// Looks `name` up and prints one address per line; exit status 1 and the reason if there is none.
pub fn main(name: &str) -> ExitCode {
    let (text, code) = match addresses(name) {
        Ok(found) => (
            found.iter().map(|address| format!("{address}\n")).collect(),
            ExitCode::SUCCESS,
        ),
        Err(reason) => (format!("{reason}\n"), ExitCode::FAILURE),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The addresses of `name`, in the resolver's order, each once. Blocks for as long as the resolver
/// likes: for the helper process, and for what is looked up before the daemon's loop begins.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where getaddrinfo may block"
)]
pub fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in (name, 0).to_socket_addrs()? {
        if !found.contains(&address.ip()) {
            found.push(address.ip());
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
            addresses("192.0.2.7").unwrap(),
            ["192.0.2.7".parse::<IpAddr>().unwrap()]
        );
        assert!(
            addresses("localhost")
                .unwrap()
                .iter()
                .all(IpAddr::is_loopback)
        );
    }

    #[test]
    fn a_name_that_cannot_be_is_an_error() {
        assert!(addresses("no such name").is_err());
        assert!(addresses("a\0b").is_err());
    }
}
