//! Getting connected: the hosts of a node or observer in their order, each with all of its
//! addresses, until one answers or the time is up.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::cluster::{ProbeFailure, ProbeStep};
use crate::config::HostAddress;
use crate::daemon::address_book::Known;
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

/// What is to be done next.
pub(super) enum Next {
    /// Connect there; after `until` the next one is tried.
    Connect {
        endpoint: Endpoint,
        host: usize,
        until: Monotonic,
    },
    /// Wait for a name.
    Await,
    /// Everything was tried.
    Failed(ProbeFailure),
}

/// An attempt to get connected.
#[derive(Debug)]
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
            endpoints: VecDeque::new(),
            deadline,
            connect_timeout,
            failure: None,
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

    /// What is to be done next.
    pub(super) fn next(&mut self, io: &mut Io) -> Next {
        loop {
            if let Some((endpoint, host)) = self.endpoints.pop_front() {
                return Next::Connect {
                    endpoint,
                    host,
                    until: self.until(io.now.mono),
                };
            }
            let Some(place) = self.places.front() else {
                return Next::Failed(self.last_failure());
            };
            match addresses(place, io) {
                Found::Endpoints(endpoints) => self.endpoints.extend(endpoints),
                Found::Soon => return Next::Await,
                Found::Nothing(reason) => self.failure = Some(ProbeFailure::Unreachable { reason }),
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

    fn last_failure(&mut self) -> ProbeFailure {
        self.failure.take().unwrap_or(ProbeFailure::TimedOut {
            step: ProbeStep::Connecting,
        })
    }
}

enum Found {
    Endpoints(Vec<(Endpoint, usize)>),
    Soon,
    Nothing(String),
}

fn addresses(place: &Place, io: &mut Io) -> Found {
    let host = place.host;
    let tcp = |ip: IpAddr| (Endpoint::Tcp(SocketAddr::new(ip, place.port)), host);
    match &place.address {
        HostAddress::Ip(ip) => Found::Endpoints(vec![tcp(*ip)]),
        HostAddress::Socket(path) => Found::Endpoints(vec![(Endpoint::Unix(path.clone()), host)]),
        HostAddress::Abstract(name) => {
            Found::Endpoints(vec![(Endpoint::Abstract(name.clone()), host)])
        }
        HostAddress::Name(name) => match io.look_up(name) {
            Known::Addresses(ips) => Found::Endpoints(ips.into_iter().map(tcp).collect()),
            Known::Soon => Found::Soon,
            Known::Nothing(reason) => Found::Nothing(format!("looking up {name}: {reason}")),
        },
    }
}
