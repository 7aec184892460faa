//! Host names and their addresses: what is known, and when a name is looked up again. getaddrinfo
//! blocks, so each look-up is a helper process, and nothing waits for it.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use super::children::{Exit, Task, TimeLimit, helper};
use super::io::Io;
use crate::config::{Config, HostAddress, SyslogAddress};
use crate::dns::{self, Address};
use crate::sys::child::Invocation;
use crate::time::Monotonic;

/// The addresses of `name`, never none; `Ok(None)` while it is being looked up. Starts a look-up if
/// one is due.
pub(super) fn look_up(name: &str, io: &mut Io) -> Result<Option<Vec<Address>>, String> {
    let known = ask(name, io);
    match known.failure {
        _ if !known.addresses.is_empty() => Ok(Some(known.addresses)),
        Some(reason) => Err(reason),
        None => Ok(None),
    }
}

/// The addresses of `name`, which led to no server, once they are looked up anew; `None` until then.
pub(super) fn look_up_anew(name: &str, io: &mut Io) -> Option<Vec<Address>> {
    io.names.expire(name, io.now.mono);
    let known = ask(name, io);
    (!known.is_running).then_some(known.addresses)
}

fn ask(name: &str, io: &mut Io) -> dns::Answer {
    let now = io.now.mono;
    let mut known = io.names.lookup(name, now);
    if known.wants_lookup {
        let limit = TimeLimit::kill_after(LOOK_UP_TIME, now);
        let task = Task::LookUp(name.to_owned());
        let started = io.start_program(task, &Invocation::of(&helper(&["--resolve", name])), limit);
        known.failure = started.err().map(|error| {
            let reason = format!("cannot start a process to resolve names: {error}");
            io.names.finished(name, Err(reason.clone()), now);
            reason
        });
        known.is_running = known.failure.is_none();
    }
    known
}

pub(super) fn finished(name: &str, exit: &Exit, io: &mut Io) {
    let succeeded = exit.status.as_ref().is_ok_and(ExitStatus::success);
    let answer = dns::parse_answer(succeeded, &exit.printed);
    io.names.finished(name, answer, io.now.mono);
}

/// Forgets the names that are no longer configured.
pub(super) fn adopt(config: &Config, io: &mut Io) {
    io.names.retain(|name| is_configured(config, name));
}

fn is_configured(config: &Config, name: &str) -> bool {
    let mut hosts = config.nodes.values().flat_map(|info| &info.hosts);
    let statsd = config.statsd.iter().map(|statsd| &statsd.host);
    let syslog = config.syslog.iter().filter_map(|syslog| {
        let SyslogAddress::Udp(host, _) = &syslog.address else {
            return None;
        };
        Some(host)
    });
    let observers = config.observers.values().map(|url| &url.host);
    let clusters = config.voting.iter().flat_map(|it| it.clusters.values());
    let voters = clusters.flat_map(|cluster| cluster.voters.values());
    let voters = voters.map(|url| &url.host);
    let mut others = observers.chain(voters).chain(statsd).chain(syslog);
    hosts.any(|host| {
        host.name == name || matches!(&host.address, HostAddress::Name(known) if known == name)
    }) || others.any(|host| host == name)
}

/// A host and port outside the cluster, looked up again and again.
#[derive(Debug)]
pub(super) struct Remote {
    host: String,
    port: u16,
    pub(super) address: Option<SocketAddr>,
    /// `None`: the host is an address.
    pub(super) look_up_at: Option<Monotonic>,
    /// The last failure, which was logged.
    failure: Option<String>,
}

impl Remote {
    pub(super) fn new(host: &str, port: u16, now: Monotonic) -> Self {
        let literal = host.parse::<Address>().ok();
        Self {
            host: host.to_owned(),
            port,
            address: literal.map(|address| address.at(port)),
            look_up_at: literal.is_none().then_some(now),
            failure: None,
        }
    }

    /// Looks the host up if that is due. True if it was found now.
    pub(super) fn tick(&mut self, io: &mut Io) -> bool {
        let now = io.now.mono;
        if self.look_up_at.is_none_or(|at| at > now) {
            return false;
        }
        let found = look_up(&self.host, io);
        let is_found = matches!(found, Ok(Some(_)));
        let wait = match found {
            Ok(None) => CHECK_LOOK_UP,
            Ok(Some(addresses)) => {
                let mut addresses: Vec<_> =
                    addresses.iter().map(|known| known.at(self.port)).collect();
                // The original knows IPv4 alone.
                addresses.sort_by_key(SocketAddr::is_ipv6);
                // An address that is still among them stays in use.
                let is_listed = |address: &SocketAddr| addresses.contains(address);
                let first = addresses.first().copied();
                self.address = self.address.filter(is_listed).or(first);
                self.failure = None;
                LOOK_UP_AGAIN
            }
            Err(reason) => {
                if self.failure.as_ref() != Some(&reason) {
                    log::warn!("resolving {}: {reason}", self.host);
                }
                self.failure = Some(reason);
                RETRY_LOOK_UP
            }
        };
        self.look_up_at = Some(now + wait);
        is_found
    }
}

/// How long a look-up may take.
const LOOK_UP_TIME: Duration = Duration::from_secs(5);
/// While a look-up runs.
const CHECK_LOOK_UP: Duration = Duration::from_millis(200);
/// After a failed look-up.
const RETRY_LOOK_UP: Duration = Duration::from_secs(10);
const LOOK_UP_AGAIN: Duration = Duration::from_secs(60);
