//! Where a host by name is now: looked up by the helper, again and again, never waited for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::address_book::{Known, look_up};
use super::io::Io;
use crate::time::Monotonic;

/// A host and a port.
#[derive(Debug)]
pub(super) struct Remote {
    host: String,
    port: u16,
    /// As last found.
    address: Option<SocketAddr>,
    /// When it is looked up again; never if it is an address.
    look_up_at: Option<Monotonic>,
    /// Why it has no address, as last logged.
    said: Option<String>,
}

impl Remote {
    pub(super) fn new(host: &str, port: u16, now: Monotonic) -> Self {
        let literal = host.parse::<IpAddr>().ok();
        Self {
            host: host.to_owned(),
            port,
            address: literal.map(|ip| SocketAddr::new(ip, port)),
            look_up_at: literal.is_none().then_some(now),
            said: None,
        }
    }

    /// Looks it up if its time has come. Was it found.
    pub(super) fn tend(&mut self, io: &mut Io) -> bool {
        let now = io.now.mono;
        if self.look_up_at.is_none_or(|at| at > now) {
            return false;
        }
        let wait = match look_up(&self.host, io) {
            Known::Soon => RETRY,
            Known::Addresses(mut addresses) => {
                // The original knows IPv4 alone.
                addresses.sort_by_key(IpAddr::is_ipv6);
                // As long as the one that we have is among them, there is no reason for another.
                let kept = self
                    .address
                    .filter(|address| addresses.contains(&address.ip()));
                self.address =
                    kept.or_else(|| addresses.first().map(|ip| SocketAddr::new(*ip, self.port)));
                self.said = None;
                AGAIN
            }
            Known::Nothing(reason) => {
                if self.said.as_ref() != Some(&reason) {
                    log::warn!("resolving {}: {reason}", self.host);
                }
                self.said = Some(reason);
                AGAIN_AFTER_FAILURE
            }
        };
        self.look_up_at = Some(now + wait);
        wait == AGAIN
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.look_up_at
    }
}

/// From one look to the next while a look-up runs.
const RETRY: Duration = Duration::from_millis(200);
/// From a failed look-up to the next.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// From one look-up to the next.
const AGAIN: Duration = Duration::from_secs(60);
