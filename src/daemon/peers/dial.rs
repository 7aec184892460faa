//! Getting connected: the hosts of a node or observer in their order, each with all of its
//! addresses, until one answers or the time is up.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::cluster::{ProbeFailure, ProbeStep};
use crate::config::HostAddress;
use crate::daemon::address_book::{Known, look_up};
use crate::daemon::io::Io;
use crate::net::Endpoint;
use crate::time::Monotonic;

/// One of the places to be tried.
#[derive(Clone, Debug)]
struct Place {
    address: HostAddress,
    port: u16,
    /// Which host of the connection info it is: its password goes with it.
    host: usize,
}

/// An attempt to get connected.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Dial {
    places: VecDeque<Place>,
    endpoints: VecDeque<(Endpoint, usize)>,
    /// When all of it must be over.
    pub(super) deadline: Monotonic,
    /// The most that one endpoint may take.
    connect_timeout: Option<Duration>,
    /// Why the last endpoint was none.
    failure: Option<ProbeFailure>,
}

impl Dial {
    /// To each of these addresses and ports in turn, for `connect_timeout` at most.
    pub(super) fn new(
        places: impl IntoIterator<Item = (HostAddress, u16)>,
        connect_timeout: Option<Duration>,
        deadline: Monotonic,
    ) -> Self {
        let places = places.into_iter().enumerate();
        let place = |(host, (address, port))| Place {
            address,
            port,
            host,
        };
        Self {
            places: places.map(place).collect(),
            deadline,
            connect_timeout,
            ..Self::default()
        }
    }

    /// The endpoint that was tried last is none.
    pub(super) fn note(&mut self, failure: ProbeFailure) {
        self.failure = Some(failure);
    }

    /// The endpoint that was given last is wanted once more.
    pub(super) fn put_back(&mut self, endpoint: Endpoint, host: usize) {
        self.endpoints.push_front((endpoint, host));
    }

    /// No more of this host, nor of anything after this time.
    pub(super) fn leave(&mut self, host: usize, deadline: Monotonic) {
        self.endpoints.retain(|(_, of)| *of != host);
        self.deadline = deadline;
    }

    /// Where to connect next, as which host, and when that has taken too long. `None`: wait for a
    /// name. An error: everything was tried.
    pub(super) fn next(
        &mut self,
        io: &mut Io,
    ) -> Result<Option<(Endpoint, usize, Monotonic)>, ProbeFailure> {
        loop {
            if let Some((endpoint, host)) = self.endpoints.pop_front() {
                return Ok(Some((endpoint, host, self.until(io.now.mono))));
            }
            let Some(place) = self.places.front() else {
                let step = ProbeStep::Connecting;
                return Err(self
                    .failure
                    .take()
                    .unwrap_or(ProbeFailure::TimedOut { step }));
            };
            match endpoints(place, io) {
                Ok(None) => return Ok(None),
                Ok(Some(found)) => {
                    let host = place.host;
                    let found = found.into_iter().map(|endpoint| (endpoint, host));
                    self.endpoints.extend(found);
                }
                Err(reason) => self.failure = Some(ProbeFailure::Unreachable { reason }),
            }
            self.places.pop_front();
        }
    }

    /// Its share of the time that is left, so that one dead address does not use up the time of the
    /// others.
    fn until(&self, now: Monotonic) -> Monotonic {
        let left = self.deadline.since(now);
        let others = u32::try_from(self.endpoints.len() + self.places.len()).unwrap_or(u32::MAX);
        let share = left / others.saturating_add(1);
        now + self.connect_timeout.map_or(share, |most| most.min(share))
    }
}

/// `None`: its name is being looked up. An error: it has no address.
fn endpoints(place: &Place, io: &mut Io) -> Result<Option<Vec<Endpoint>>, String> {
    let tcp = |ip: IpAddr| Endpoint::Tcp(SocketAddr::new(ip, place.port));
    let one = |endpoint| Ok(Some(vec![endpoint]));
    match &place.address {
        HostAddress::Ip(ip) => one(tcp(*ip)),
        HostAddress::Socket(path) => one(Endpoint::Unix(path.clone())),
        HostAddress::Abstract(name) => one(Endpoint::Abstract(name.clone())),
        HostAddress::Name(name) => match look_up(name, io) {
            Known::Addresses(ips) => Ok(Some(ips.into_iter().map(tcp).collect())),
            Known::Soon => Ok(None),
            Known::Nothing(reason) => Err(format!("resolving {name}: {reason}")),
        },
    }
}
