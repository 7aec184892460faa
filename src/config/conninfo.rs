//! How one database node is reached, resolved: every default applied, every host with its port and
//! password.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::encryption::TlsSettings;
use super::keywords::{Keywords, quoted};
use super::require_auth::AuthMethods;
use super::secret::Secret;

/// A resolved connection. No part of it shows a password when printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnInfo {
    /// In the order to be tried. Empty: the configuration names this node with `null`.
    pub hosts: Vec<Host>,
    /// `host`, `hostaddr` and `port` as they were given, without defaults: for others who are sent
    /// how to reach this node.
    pub address: Keywords,
    /// `dbname`; by default the user's name.
    pub dbname: String,
    /// `user`; by default the operating system's.
    pub user: String,
    /// From `next_passwords`: for a server that rejects the password, while that is being changed.
    pub next_password: Option<Secret>,
    /// `application_name`, also that of the environment; empty: none is sent. `None`: nobody has
    /// chosen one.
    pub application_name: Option<String>,
    /// `options`: command-line options for the server.
    pub options: Option<String>,
    /// `connect_timeout`, for each host; `None`: only `poll_timeout` limits it.
    pub connect_timeout: Option<Duration>,
    /// `keepalives*`; `None`: the system's probes are switched off. Not for Unix sockets.
    pub keepalives: Option<Keepalives>,
    /// `tcp_user_timeout`; `None` is the system's. Not for Unix sockets.
    pub tcp_user_timeout: Option<Duration>,
    /// `ssl*`: encryption.
    pub tls: TlsSettings,
    /// `channel_binding`.
    pub channel_binding: ChannelBinding,
    /// `require_auth`.
    pub require_auth: AuthMethods,
    /// `requirepeer`: the account that a server behind a Unix socket must run as.
    pub required_peer: Option<String>,
    /// `target_session_attrs`: which of several hosts goes first; `None`: the first that answers.
    pub wanted_role: Option<WantedRole>,
}

/// One of the servers a connection may lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where to connect; `hostaddr` wins over `host`.
    pub address: HostAddress,
    /// TCP port, or the number in a socket's name.
    pub port: u16,
    /// What the operator calls it: `host`, else `hostaddr`, else the default socket directory. For
    /// logs, certificates and the password file.
    pub name: String,
    /// From the connection info, else `PGPASSWORD`, else the password file.
    pub password: Option<Secret>,
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostAddress {
    /// To be looked up. Also an IPv6 literal with a scope (`fe80::1%eth0`): the look-up knows
    /// interfaces.
    Name(String),
    /// A literal address.
    Ip(IpAddr),
    /// A Unix socket: the full path, `.s.PGSQL.PORT` included; short enough for the system.
    Socket(PathBuf),
    /// A Unix socket without a file: the name after the leading NUL byte.
    Abstract(Vec<u8>),
}

/// `keepalives_*`: `None` is the system's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalives {
    /// `keepalives_idle`: silence before the first probe.
    pub idle: Option<Duration>,
    /// `keepalives_interval`: from one probe to the next.
    pub interval: Option<Duration>,
    /// `keepalives_count`: unanswered probes before the connection counts as lost.
    pub count: Option<u32>,
}

/// `channel_binding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Do not use it.
    Disable,
    /// Use it if the server can.
    Prefer,
    /// Insist.
    Require,
}

/// `target_session_attrs`. A host of the other role does where no host has this one: whoever
/// watches a cluster must not lose sight of a server because it has become a standby. So `standby`
/// says the same as `prefer-standby`, and what accepts writes by default is not distinguished from a
/// primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedRole {
    /// `primary`, `read-write`.
    Primary,
    /// `standby`, `prefer-standby`, `read-only`.
    Standby,
}

impl ConnInfo {
    /// The same with the next password in the place of the present one, if there is another.
    pub fn with_next_password(&self) -> Option<Self> {
        let next = self.next_password.as_ref()?;
        let mut info = self.clone();
        for host in &mut info.hosts {
            host.password = Some(next.clone());
        }
        (info.hosts != self.hosts).then_some(info)
    }

    /// Where it leads, in libpq's quoting and without secrets: for logs.
    pub fn masked(&self) -> String {
        let list =
            |part: fn(&Host) -> String| self.hosts.iter().map(part).collect::<Vec<_>>().join(",");
        let password = if self.hosts.iter().any(|host| host.password.is_some()) {
            "hidden"
        } else {
            "no"
        };
        format!(
            "host={} port={} dbname={} user={}; {password} password",
            quoted(&list(|host| host.name.clone())),
            list(|host| host.port.to_string()),
            quoted(&self.dbname),
            quoted(&self.user),
        )
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            HostAddress::Socket(path) => write!(f, "{}", path.display()),
            HostAddress::Ip(IpAddr::V6(_)) | HostAddress::Name(_) if self.name.contains(':') => {
                write!(f, "[{}]:{}", self.name, self.port)
            }
            _ => write!(f, "{}:{}", self.name, self.port),
        }
    }
}
