//! Names to addresses: what is known of them, and when they are looked up again. getaddrinfo blocks,
//! so each look-up is a helper process.

use std::net::IpAddr;
use std::process::ExitStatus;
use std::time::Duration;

use super::children::{Exit, Task, helper};
use super::io::Io;
use super::time_limit::TimeLimit;
use crate::config::{Config, HostAddress, SyslogAddress};
use crate::dns;

/// What is known of a name now.
pub(super) enum Known {
    /// Its addresses, never empty.
    Addresses(Vec<IpAddr>),
    /// It is being looked up.
    Soon,
    /// It has none: why.
    Nothing(String),
}

/// What is known of `name`; starts a look-up if its time has come.
pub(super) fn look_up(name: &str, io: &mut Io) -> Known {
    let now = io.now.mono;
    let mut answer = io.addresses.lookup(name, now);
    if answer.wants_lookup {
        let argv = helper(&["--resolve", name]);
        let (task, limit) = (
            Task::LookUp(name.to_owned()),
            TimeLimit::kill_after(HELPER_TIME, now),
        );
        let started = io
            .children
            .start(task, &argv, None, limit, &mut io.registry);
        let failure = started
            .err()
            .map(|error| format!("cannot start a process to resolve names: {error}"));
        if let Some(reason) = failure.clone() {
            io.addresses.finished(name, Err(reason), now);
        }
        answer.failure = failure;
    }
    if !answer.addresses.is_empty() {
        return Known::Addresses(answer.addresses);
    }
    answer.failure.map_or(Known::Soon, Known::Nothing)
}

/// A look-up has ended.
pub(super) fn finished(name: &str, exit: &Exit, io: &mut Io) {
    let succeeded = exit.status.as_ref().is_ok_and(ExitStatus::success);
    let answer = dns::parse_answer(succeeded, &exit.printed);
    io.addresses.finished(name, answer, io.now.mono);
}

/// Forgets the names that are no longer configured.
pub(super) fn adopt(config: &Config, io: &mut Io) {
    io.addresses.retain(|name| is_configured(config, name));
}

/// Is there still somebody to be found under this name.
fn is_configured(config: &Config, name: &str) -> bool {
    let hosts = config.nodes.values().flat_map(|info| &info.hosts);
    hosts.into_iter().any(|host| {
        host.name == name || matches!(&host.address, HostAddress::Name(known) if known == name)
    }) || config.observers.values().any(|url| url.host == name)
        || config
            .statsd
            .as_ref()
            .is_some_and(|statsd| statsd.host == name)
        || config.syslog.as_ref().is_some_and(
            |syslog| matches!(&syslog.address, SyslogAddress::Udp(host, _) if host == name),
        )
}

/// How long a look-up may take.
const HELPER_TIME: Duration = Duration::from_secs(5);
