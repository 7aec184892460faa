//! One outgoing connection from the first attempt to its end, without the protocol on it.

use std::collections::VecDeque;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use mio::Token;

use crate::cluster::{ProbeFailure, ProbeStep};
use crate::config::HostAddress;
use crate::daemon::io::Io;
use crate::daemon::names::{look_up, look_up_anew};
use crate::daemon::registry::{Owner, READ_WRITE};
use crate::dns::Address;
use crate::net::{Endpoint, Link, Next};
use crate::sys::socket::KeepAlive;
use crate::time::Monotonic;

pub(in crate::daemon) struct Outbound {
    owner: Owner,
    /// In bytes.
    input_limit: usize,
    keepalive: KeepAlive,
    /// The addresses that were not tried yet.
    dial: Dial,
    state: OutboundState,
    connection: Option<Connection>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutboundState {
    Closed,
    /// A name is being looked up.
    Resolving,
    Connecting,
    Open,
}

pub(in crate::daemon) struct Connection {
    pub(super) link: Link,
    pub(super) token: Token,
    pub(super) endpoint: Endpoint,
    /// The index of the host in the connection info.
    pub(super) host: usize,
    /// When the next host is tried, if the login is not complete here.
    pub(super) deadline: Monotonic,
}

impl Outbound {
    pub(super) fn closed(owner: Owner, input_limit: usize, keepalive: KeepAlive) -> Self {
        Self {
            owner,
            input_limit,
            keepalive,
            dial: Dial::default(),
            state: OutboundState::Closed,
            connection: None,
        }
    }

    pub(super) fn dial(&mut self, dial: Dial, io: &mut Io) -> Result<(), ProbeFailure> {
        self.dial = dial;
        self.try_next(io)
    }

    /// Tries the next host, until `deadline`; `failure` is this one's.
    pub(super) fn next_host(
        &mut self,
        failure: ProbeFailure,
        deadline: Monotonic,
        io: &mut Io,
    ) -> Result<(), ProbeFailure> {
        if let Some(connection) = &self.connection {
            self.dial.skip_host(connection.host, deadline);
        }
        self.dial.failed(failure);
        self.try_next(io)
    }

    /// Connects to the same endpoint once more.
    pub(super) fn again(&mut self, io: &mut Io) -> Result<(), ProbeFailure> {
        if let Some(connection) = &self.connection {
            let endpoint = connection.endpoint.clone();
            self.dial.put_back(endpoint, connection.host);
        }
        self.try_next(io)
    }

    /// Goes on after readiness, a look-up, or a deadline. Returns an open connection.
    pub(super) fn go_on(&mut self, io: &mut Io) -> Result<Option<&mut Connection>, ProbeFailure> {
        match self.state {
            OutboundState::Resolving if self.dial.resolving_deadline() <= io.now.mono => {
                let failure = self.dial.failure.take();
                return Err(failure.unwrap_or(timed_out(ProbeStep::Resolving)));
            }
            OutboundState::Resolving => self.try_next(io)?,
            OutboundState::Connecting => self.pump_connecting(io)?,
            OutboundState::Closed | OutboundState::Open => {}
        }
        Ok(self.open())
    }

    pub(super) fn open(&mut self) -> Option<&mut Connection> {
        let is_open = self.state == OutboundState::Open;
        self.connection.as_mut().filter(|_| is_open)
    }

    pub(super) fn is_resolving(&self) -> bool {
        self.state == OutboundState::Resolving
    }

    /// `None` if the connection is open.
    pub(super) fn step(&self) -> Option<ProbeStep> {
        match self.state {
            OutboundState::Resolving => Some(ProbeStep::Resolving),
            OutboundState::Connecting | OutboundState::Closed => Some(ProbeStep::Connecting),
            OutboundState::Open => None,
        }
    }

    /// The deadline of an open connection is the conversation's.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        match self.state {
            OutboundState::Resolving => Some(self.dial.resolving_deadline()),
            OutboundState::Connecting => self
                .connection
                .as_ref()
                .map(|connection| connection.deadline),
            OutboundState::Closed | OutboundState::Open => None,
        }
    }

    /// The server may have moved: its names are looked up anew.
    pub(super) fn look_names_up_anew(&self, io: &mut Io) {
        for name in self.dial.names() {
            look_up_anew(name, io);
        }
    }

    pub(super) fn close(&mut self, io: &mut Io) {
        self.state = OutboundState::Closed;
        if let Some(connection) = self.connection.take() {
            io.registry.forget(&connection.link, connection.token);
        }
    }

    fn try_next(&mut self, io: &mut Io) -> Result<(), ProbeFailure> {
        self.close(io);
        while let Some((endpoint, host, deadline)) = self.dial.next(io)? {
            match self.connect(&endpoint, io) {
                Ok((link, token)) => {
                    self.state = OutboundState::Connecting;
                    self.connection = Some(Connection {
                        link,
                        token,
                        endpoint,
                        host,
                        deadline,
                    });
                    return Ok(());
                }
                Err(error) => self.dial.failed(connect_failure(&endpoint, &error)),
            }
        }
        self.state = OutboundState::Resolving;
        Ok(())
    }

    fn connect(&self, endpoint: &Endpoint, io: &mut Io) -> std::io::Result<(Link, Token)> {
        let link = Link::connect(endpoint, self.input_limit)?;
        link.set_keepalive(&self.keepalive)?;
        let registry = &mut io.registry;
        let token = registry.register(&link, self.owner.clone(), READ_WRITE)?;
        Ok((link, token))
    }

    fn pump_connecting(&mut self, io: &mut Io) -> Result<(), ProbeFailure> {
        let Some(Connection { link, deadline, .. }) = &mut self.connection else {
            return Ok(());
        };
        let pumped = link.pump();
        if !link.is_connecting() {
            // What happened after that is left to the conversation, which pumps again.
            self.state = OutboundState::Open;
            self.dial.shrink();
            return Ok(());
        }
        let failure = match pumped.next {
            Next::Failed(error) => unreachable(error),
            _ if io.now.mono < *deadline => return Ok(()),
            _ => timed_out(ProbeStep::Connecting),
        };
        self.dial.failed(failure);
        self.try_next(io)
    }
}

fn timed_out(step: ProbeStep) -> ProbeFailure {
    ProbeFailure::TimedOut { step }
}

fn connect_failure(endpoint: &Endpoint, error: &std::io::Error) -> ProbeFailure {
    let place = match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix(path) => path.display().to_string(),
        Endpoint::Abstract(name) => format!("@{}", name.escape_ascii()),
    };
    unreachable(format_args!("{place}: {error}"))
}

pub(super) fn unreachable(reason: impl Display) -> ProbeFailure {
    let reason = reason.to_string();
    ProbeFailure::Unreachable { reason }
}

#[derive(Clone, Debug)]
struct DialHost {
    address: HostAddress,
    port: u16,
    /// The index in the connection info: the password goes with it.
    host: usize,
}

/// The hosts of a peer in their order, each with all of its addresses, until one accepts a connection
/// or the time is over.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Dial {
    hosts: VecDeque<DialHost>,
    endpoints: VecDeque<(Endpoint, usize)>,
    /// Those of `hosts` that are names, from the beginning on.
    named: Vec<DialHost>,
    tried: Vec<Endpoint>,
    /// All endpoints have failed; the names are looked up anew, and are waited for until then.
    renewed_until: Option<Monotonic>,
    deadline: Monotonic,
    /// For one endpoint.
    connect_timeout: Option<Duration>,
    /// Of the last endpoint.
    failure: Option<ProbeFailure>,
}

impl Dial {
    /// Each endpoint gets at most `connect_timeout`.
    pub(super) fn new(
        hosts: impl IntoIterator<Item = (HostAddress, u16)>,
        connect_timeout: Option<Duration>,
        deadline: Monotonic,
    ) -> Self {
        let hosts = hosts.into_iter().enumerate();
        let place = |(host, (address, port))| DialHost {
            address,
            port,
            host,
        };
        let hosts: VecDeque<DialHost> = hosts.map(place).collect();
        let is_name = |host: &&DialHost| matches!(host.address, HostAddress::Name(_));
        let is_nowhere = hosts.is_empty();
        Self {
            named: hosts.iter().filter(is_name).cloned().collect(),
            hosts,
            deadline,
            connect_timeout,
            failure: is_nowhere.then(|| unreachable("it has no connection string".to_owned())),
            ..Self::default()
        }
    }

    /// One endpoint is enough for now: keeps what is left without room for more.
    fn shrink(&mut self) {
        self.hosts.shrink_to_fit();
        self.endpoints.shrink_to_fit();
        self.tried.shrink_to_fit();
    }

    /// The last endpoint has failed.
    fn failed(&mut self, failure: ProbeFailure) {
        self.failure = Some(failure);
    }

    /// The last endpoint is to be returned once more.
    fn put_back(&mut self, endpoint: Endpoint, host: usize) {
        self.endpoints.push_front((endpoint, host));
    }

    /// Drops the other addresses of this host and sets the deadline of the rest.
    fn skip_host(&mut self, host: usize, deadline: Monotonic) {
        self.endpoints.retain(|(_, of)| *of != host);
        self.deadline = deadline;
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let hosts = self.named.iter();
        hosts.filter_map(|host| match &host.address {
            HostAddress::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn resolving_deadline(&self) -> Monotonic {
        self.renewed_until.unwrap_or(self.deadline)
    }

    /// Every endpoint has failed: perhaps the server has moved. Once, the names are looked up anew.
    fn renew(&mut self, now: Monotonic) -> bool {
        if self.named.is_empty() || self.renewed_until.is_some() || self.deadline <= now {
            return false;
        }
        self.renewed_until = Some(self.deadline.min(now + RENEWAL_TIME));
        self.hosts.extend(self.named.iter().cloned());
        true
    }

    /// The next endpoint, its host and its deadline. `Ok(None)`: a name is being looked up. An error:
    /// every endpoint has failed.
    fn next(&mut self, io: &mut Io) -> Result<Option<(Endpoint, usize, Monotonic)>, ProbeFailure> {
        loop {
            if let Some((endpoint, host)) = self.endpoints.pop_front() {
                self.tried.push(endpoint.clone());
                return Ok(Some((endpoint, host, self.endpoint_deadline(io.now.mono))));
            }
            let Some(next) = self.hosts.front() else {
                if self.renew(io.now.mono) {
                    continue;
                }
                let failure = self.failure.take();
                return Err(failure.unwrap_or(timed_out(ProbeStep::Connecting)));
            };
            match endpoints(next, self.renewed_until.is_some(), io) {
                Ok(None) => return Ok(None),
                Ok(Some(found)) => {
                    let is_new = |endpoint: &Endpoint| {
                        self.renewed_until.is_none() || !self.tried.contains(endpoint)
                    };
                    let found = found.into_iter().filter(is_new);
                    let host = next.host;
                    self.endpoints
                        .extend(found.map(|endpoint| (endpoint, host)));
                }
                Err(reason) => self.failure = Some(unreachable(reason)),
            }
            self.hosts.pop_front();
        }
    }

    /// After a share of the remaining time, so that one dead address leaves time for the others.
    fn endpoint_deadline(&self, now: Monotonic) -> Monotonic {
        let left = self.deadline.since(now);
        let others = u32::try_from(self.endpoints.len() + self.hosts.len()).unwrap_or(u32::MAX);
        let share = left / others.saturating_add(1);
        now + self.connect_timeout.map_or(share, |most| most.min(share))
    }
}

/// `Ok(None)`: the name is being looked up. An error: it has no address.
fn endpoints(host: &DialHost, anew: bool, io: &mut Io) -> Result<Option<Vec<Endpoint>>, String> {
    let tcp = |address: Address| Endpoint::Tcp(address.at(host.port));
    let one = |endpoint| Ok(Some(vec![endpoint]));
    match &host.address {
        HostAddress::Ip(ip) => one(Endpoint::Tcp(SocketAddr::new(*ip, host.port))),
        HostAddress::Socket(path) => one(Endpoint::Unix(path.clone())),
        HostAddress::Abstract(name) => one(Endpoint::Abstract(name.clone())),
        HostAddress::Name(name) if anew => {
            Ok(look_up_anew(name, io).map(|found| found.into_iter().map(tcp).collect()))
        }
        HostAddress::Name(name) => match look_up(name, io) {
            Ok(ips) => Ok(ips.map(|ips| ips.into_iter().map(tcp).collect())),
            Err(reason) => Err(format!("resolving {name}: {reason}")),
        },
    }
}

/// A new address is waited for no longer than this when every known one has failed: a failover must not
/// wait for a name server that died with the rack.
const RENEWAL_TIME: Duration = Duration::from_millis(500);
