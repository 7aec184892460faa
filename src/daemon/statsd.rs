//! The sender of metrics: one datagram each, at once or never. A receiver that is slow, dead or
//! absent costs nothing.

use std::io;
use std::net::SocketAddr;

use super::io::Io;
use super::remote::Remote;
use crate::compat;
use crate::config::StatsdSettings;
use crate::lookout::Metric;
use crate::sys::datagram::{Datagrams, Receiver};
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
        let line = compat::metric::line(metric, &settings.tags);
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
