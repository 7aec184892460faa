//! Where log records go besides stderr: tells the log of the receiver, and of a new address once
//! its name has one.

use std::net::SocketAddr;

use super::io::Io;
use super::remote::Remote;
use crate::config::{SyslogAddress, SyslogSettings};
use crate::sys::datagram::Receiver;
use crate::sys::log::set_syslog;
use crate::time::Monotonic;

/// Syslog, on or off.
#[derive(Debug, Default)]
pub(super) struct Syslog {
    settings: Option<SyslogSettings>,
    /// A receiver by UDP, and what the log was told of it.
    remote: Option<(Remote, Option<SocketAddr>)>,
}

impl Syslog {
    /// Takes over a configuration.
    pub(super) fn adopt(&mut self, settings: Option<&SyslogSettings>, now: Monotonic) {
        if self.settings.as_ref() == settings {
            return;
        }
        *self = Self {
            settings: settings.cloned(),
            remote: None,
        };
        match settings.map(|settings| (settings.facility, &settings.address)) {
            None => set_syslog(None),
            Some((facility, SyslogAddress::Path(path))) => {
                set_syslog(Some((facility, Some(Receiver::Path(path.clone())))))
            }
            Some((facility, SyslogAddress::Udp(host, port))) => {
                let remote = Remote::new(host, *port, now);
                let address = remote.address();
                set_syslog(Some((facility, address.map(Receiver::Udp))));
                self.remote = Some((remote, address));
            }
        }
    }

    /// Keeps up with where the receiver is. Gives the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        let (Some(settings), Some((remote, known))) = (&self.settings, &mut self.remote) else {
            return None;
        };
        remote.tend(io);
        if *known != remote.address() {
            *known = remote.address();
            set_syslog(Some((settings.facility, known.map(Receiver::Udp))));
        }
        remote.next_deadline()
    }
}
