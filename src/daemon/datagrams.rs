//! What leaves as datagrams, at once or never: metrics for statsd, and where the log sends its
//! records to besides stderr. A receiver that is slow, dead or absent costs nothing.

use std::io;
use std::net::SocketAddr;

use super::io::Io;
use super::remote::Remote;
use crate::config::{StatsdSettings, SyslogAddress, SyslogSettings};
use crate::format;
use crate::lookout::Metric;
use crate::sys::log::set_syslog;
use crate::sys::socket::{Datagrams, Receiver};
use crate::time::Monotonic;

/// Statsd, on or off.
#[derive(Debug, Default)]
pub(super) struct Statsd {
    on: Option<(StatsdSettings, Remote)>,
    /// A socket, and whom it leads to.
    socket: Option<(SocketAddr, Datagrams)>,
    /// Something could not be sent, and that was said.
    said: bool,
}

impl Statsd {
    /// Takes over a configuration.
    pub(super) fn adopt(&mut self, settings: Option<&StatsdSettings>, now: Monotonic) {
        if self.on.as_ref().map(|(known, _)| known) != settings {
            let remote =
                |settings: &StatsdSettings| Remote::new(&settings.host, settings.port, now);
            *self = Self {
                on: settings.map(|settings| (settings.clone(), remote(settings))),
                ..Self::default()
            };
        }
    }

    /// Keeps up with where the receiver is. Gives the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        let (_, remote) = self.on.as_mut()?;
        remote.tend(io);
        remote.next_deadline()
    }

    /// Sends one metric. What cannot be sent now is lost, which is said the first time.
    pub(super) fn send(&mut self, metric: &Metric) {
        let Some((settings, remote)) = &self.on else {
            return;
        };
        let Some(address) = remote.address() else {
            return;
        };
        let line = format::metric_line(metric, &settings.tags);
        match send_to(&mut self.socket, address, line.as_bytes()) {
            Ok(()) => self.said = false,
            Err(error) => {
                self.socket = None;
                if !std::mem::replace(&mut self.said, true) {
                    log::warn!("statsd: metrics for {address} are lost: {error}");
                }
            }
        }
    }
}

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

fn send_to(
    socket: &mut Option<(SocketAddr, Datagrams)>,
    address: SocketAddr,
    datagram: &[u8],
) -> io::Result<()> {
    let open = match socket.take() {
        Some((known, open)) if known == address => open,
        _ => Datagrams::open(&Receiver::Udp(address))?,
    };
    let (_, open) = socket.insert((address, open));
    open.send(datagram)
}
