//! Metrics for statsd, and the syslog receiver of the log. Datagrams are sent at once or lost: a
//! receiver that is slow, dead or absent delays nothing.

use std::io;
use std::net::SocketAddr;

use super::io::Io;
use super::names::Remote;
use crate::config::{StatsdSettings, SyslogAddress, SyslogSettings};
use crate::format;
use crate::lookout::Metric;
use crate::sys::log::set_syslog;
use crate::sys::socket::{Datagrams, Receiver};
use crate::time::Monotonic;

#[derive(Debug, Default)]
pub(super) struct Statsd {
    receiver: Option<(StatsdSettings, Remote)>,
    /// Connected to this address.
    socket: Option<(SocketAddr, Datagrams)>,
    /// The last metric was lost, which was logged.
    is_failing: bool,
}

impl Statsd {
    pub(super) fn adopt(&mut self, settings: Option<&StatsdSettings>, now: Monotonic) {
        if self.receiver.as_ref().map(|(known, _)| known) != settings {
            let remote =
                |settings: &StatsdSettings| Remote::new(&settings.host, settings.port, now);
            *self = Self {
                receiver: settings.map(|settings| (settings.clone(), remote(settings))),
                ..Self::default()
            };
        }
    }

    /// Returns the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        let (_, remote) = self.receiver.as_mut()?;
        remote.tick(io);
        remote.look_up_at
    }

    pub(super) fn send(&mut self, metric: &Metric) {
        let Some((settings, remote)) = &self.receiver else {
            return;
        };
        let Some(address) = remote.address else {
            return;
        };
        let line = format::metric_line(metric, &settings.tags);
        match send_to(&mut self.socket, address, line.as_bytes()) {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                self.socket = None;
                if !std::mem::replace(&mut self.is_failing, true) {
                    log::warn!("statsd: metrics for {address} are lost: {error}");
                }
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Syslog {
    settings: Option<SyslogSettings>,
    /// A receiver by UDP, and the address that the log uses.
    remote: Option<(Remote, Option<SocketAddr>)>,
}

impl Syslog {
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
                let address = remote.address;
                set_syslog(Some((facility, address.map(Receiver::Udp))));
                self.remote = Some((remote, address));
            }
        }
    }

    /// Returns the next deadline.
    pub(super) fn tick(&mut self, io: &mut Io) -> Option<Monotonic> {
        let (Some(settings), Some((remote, known))) = (&self.settings, &mut self.remote) else {
            return None;
        };
        remote.tick(io);
        if *known != remote.address {
            *known = remote.address;
            set_syslog(Some((settings.facility, known.map(Receiver::Udp))));
        }
        remote.look_up_at
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
