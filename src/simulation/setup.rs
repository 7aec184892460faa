//! The cluster of a schedule: hosts, names, and the configuration of every daemon.
//!
//! Database nodes are the hosts 0 and up, in the order of their names; behind them come those of
//! the observers that do not live beside a database.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::units::seconds;
use super::{HostId, Micros, NodeId, SECOND, micros};
use crate::config::{
    Config, FenceSettings, HostAddress, NodeName, ObserverName, QuorumRule, VoterName, Voting,
};

/// The voters of one generation, and the host of each.
pub type VotersOf = BTreeMap<VoterName, HostId>;

/// The cluster of a schedule.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The database nodes.
    pub nodes: Vec<NodeName>,
    /// Each observer, and the host it runs on.
    pub observers: Vec<(ObserverName, HostId)>,
    /// The configuration of each host's daemon.
    pub configs: Vec<Arc<Config>>,
    /// The primary at the start.
    pub primary: NodeId,
    /// The primary writes all the time; otherwise there are only the heartbeats of those who poll
    /// it.
    pub is_busy: bool,
    /// What the servers show of daemons and of themselves.
    pub presence: PresenceSetup,
    /// The voters of each generation, where they change.
    pub lists: Vec<VotersOf>,
}

/// Which daemons show their presence, which servers show it, and whether servers tell their
/// identity. A bit per host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceSetup {
    /// These daemons show theirs and read that of others.
    pub daemons: u32,
    /// These servers show sessions.
    pub servers: u32,
    /// Servers tell system identifier, start and timeline.
    pub identity: bool,
}

impl PresenceSetup {
    /// Everybody shows everything.
    pub const ALL: Self = Self {
        daemons: u32::MAX,
        servers: u32::MAX,
        identity: true,
    };

    /// Does this daemon show its presence.
    pub fn shows_presence(self, host: HostId) -> bool {
        has(self.daemons, host)
    }

    /// Does this server show sessions to this daemon.
    pub fn is_shown(self, node: NodeId, host: HostId) -> bool {
        has(self.servers, node) && self.shows_presence(host)
    }
}

/// A failover command of a schedule takes no longer.
const LONGEST_COMMAND: Micros = 10 * SECOND;

/// A name with a typing error.
pub(super) fn misspelt(name: &NodeName) -> NodeName {
    NodeName::from(format!("{name}~").as_str())
}

/// Hosts beyond the bits are as the last one.
fn has(bits: u32, host: HostId) -> bool {
    bits >> host.min(31) & 1 == 1
}

impl Setup {
    /// The cluster that `config` describes: every database node with this configuration under its
    /// own name, every observer with it as an observer.
    pub fn new(config: &Config, primary: NodeId) -> Self {
        let nodes: Vec<_> = config.nodes.keys().cloned().collect();
        let mut next = nodes.len();
        let mut observers: Vec<(ObserverName, HostId)> = Vec::new();
        for (name, url) in &config.observers {
            let beside = config.nodes.values().position(|info| {
                info.hosts.iter().any(|host| {
                    host.name == url.host
                        || matches!(&host.address, HostAddress::Name(address) if *address == url.host)
                        || matches!(&host.address, HostAddress::Ip(ip) if ip.to_string() == url.host)
                })
            });
            let same_host =
                |other: &(ObserverName, HostId)| config.observers[&other.0].host == url.host;
            let shared = beside.or_else(|| {
                observers
                    .iter()
                    .find(|other| same_host(other))
                    .map(|(_, host)| *host)
            });
            observers.push((name.clone(), shared.unwrap_or(next)));
            next += usize::from(shared.is_none());
        }
        let own = |host: HostId| {
            let mut own = config.clone();
            // Databases of a schedule find their new primary by themselves; restarts beside it are
            // no part of this world.
            own.follow = None;
            own.voting = None;
            own.own_db = nodes.get(host).cloned();
            let here = observers.iter().filter(|(_, at)| *at == host);
            let itself: Vec<_> = here.map(|(name, _)| name).collect();
            // Not the name of the host that simulates, which may be a node's.
            own.host_name = itself.first().map(ToString::to_string);
            // Nobody observes itself.
            own.observers.retain(|name, _| !itself.contains(&name));
            Arc::new(own)
        };
        let configs = (0..next).map(own).collect();
        let mut setup = Self {
            nodes,
            observers,
            configs,
            primary,
            is_busy: true,
            presence: PresenceSetup::ALL,
            lists: Vec::new(),
        };
        setup.vote_as(config);
        setup
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.configs.len()
    }

    /// How many of them have a database: the first ones.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The host's name: its node's, or its observer's.
    pub fn host_name(&self, host: HostId) -> &str {
        let observer = || {
            self.observers
                .iter()
                .find(|(_, at)| *at == host)
                .map(|(name, _)| name.as_str())
        };
        self.nodes
            .get(host)
            .map(NodeName::as_str)
            .or_else(observer)
            .unwrap_or("?")
    }

    /// The host of a voter, which is named like its node or its observer.
    pub fn voter_host(&self, voter: &VoterName) -> Option<HostId> {
        let mut hosts = 0..self.hosts();
        let named = hosts.find(|host| self.host_name(*host) == voter.as_str());
        named.or_else(|| self.listed_host(voter))
    }

    /// How the daemons vote, if they do.
    pub fn voting(&self) -> Option<&Voting> {
        self.any_config().voting.as_ref()
    }

    /// Is a node promoted by election alone.
    pub fn elects(&self) -> bool {
        let own = self.voting().and_then(Voting::own_cluster);
        own.is_some_and(|(_, cluster)| !cluster.dry)
    }

    /// What fences a primary whose lease is not renewed, where leases are in force.
    pub fn leases(&self) -> Option<&FenceSettings> {
        self.any_config().fence().filter(|_| self.elects())
    }

    /// The nodes that are standbys at the start.
    pub(super) fn standbys(&self) -> impl Iterator<Item = NodeId> {
        let primary = self.primary;
        (0..self.node_count()).filter(move |node| *node != primary)
    }

    /// The number of a node, also where its name was written with a typing error.
    pub fn node_id(&self, name: &NodeName) -> Option<NodeId> {
        let mut nodes = self.nodes.iter();
        let meant = || self.nodes.iter().position(|node| misspelt(node) == *name);
        nodes.position(|node| node == name).or_else(meant)
    }

    /// The name that a node has in a configuration, with a typing error or not.
    pub fn name_in<'c>(&self, config: &'c Config, node: NodeId) -> Option<&'c NodeName> {
        let name = &self.nodes[node];
        let known = config.nodes.get_key_value(name);
        let known = known.or_else(|| config.nodes.get_key_value(&misspelt(name)));
        known.map(|(name, _)| name)
    }

    /// The number of an observer.
    pub fn observer_id(&self, name: &ObserverName) -> Option<usize> {
        self.observers
            .iter()
            .position(|(observer, _)| observer == name)
    }

    /// The longest of a setting among all daemons.
    pub fn longest(&self, setting: impl Fn(&Config) -> std::time::Duration) -> Micros {
        self.configs
            .iter()
            .map(|config| micros(setting(config)))
            .max()
            .unwrap_or_default()
    }

    /// The shortest failover limit among all daemons.
    pub fn shortest_limit(&self) -> Micros {
        let limits = self
            .configs
            .iter()
            .map(|config| micros(config.failover_lag));
        limits.min().unwrap_or_default()
    }

    /// Have all daemons the same candidates, in the same order.
    pub fn agrees_on_candidates(&self) -> bool {
        let all = self.any_config();
        self.configs.iter().all(|config| {
            config.failover_priorities == all.failover_priorities
                && config.never_promote == all.never_promote
        })
    }

    /// Have these two daemons the same settings where all should agree.
    pub fn agree(&self, one: HostId, other: HostId) -> bool {
        let settings = |host: HostId| {
            let config = &*self.configs[host];
            let candidates = (&config.failover_priorities, &config.never_promote);
            (config.quorum, config.failover_lag, candidates)
        };
        settings(one) == settings(other)
    }

    /// The configuration of the whole cluster, as any of its database nodes has it.
    pub fn any_config(&self) -> &Config {
        &self.configs[0]
    }

    /// How long after everything was healed all daemons name the same primary.
    pub(super) fn time_to_agree(&self) -> Micros {
        2 * self.longest(|config| config.poll_interval)
            + self.longest(|config| config.check_interval)
            + self.longest(|config| config.failover_pause)
            + 2 * self.longest(|config| config.poll_timeout)
            + 2 * SECOND
            + self.time_to_change_lists()
    }

    /// How long after a clean death of the primary a promotion begins at the latest: the limit, two
    /// polls and two seconds; where the lag has to show it, the rounds that the warning takes.
    pub fn time_to_promotion(&self) -> Micros {
        let config = self.any_config();
        // Everybody is polled twice more: for fresh facts, and after the announcement.
        let questions = 3 * micros(config.poll_timeout);
        let time = self.longest(|config| config.failover_lag)
            + 2 * micros(config.poll_interval)
            + questions
            + 2 * SECOND
            + self.time_to_elect();
        if config.failover_on_disconnect && !self.polls_observers_late() {
            return time;
        }
        time + 2 * micros(config.check_interval) + 5 * micros(config.poll_interval) + 2 * SECOND
    }

    /// How long after the last fault a majority that is connected, with a standby that may and can be
    /// promoted, has promoted one at the latest: the limit, and what rounds, passed over daemons and
    /// announcements take.
    pub fn time_to_wait(&self) -> Micros {
        self.longest(|config| config.failover_lag)
            + self.longest(|config| config.missing_primary_timeout * 3)
            + self.longest(|config| config.poll_interval) * 8
            + self.longest(|config| config.check_interval) * 5
            + self.longest(|config| config.poll_timeout) * 6
            + self.longest(|config| config.failover_pause) * 2
            + LONGEST_COMMAND
            + self.time_to_elect()
            + self.time_to_change_lists()
    }

    /// Observers are polled only while lag is over the warning limit.
    pub fn polls_observers_late(&self) -> bool {
        self.any_config().poll_observers_on_warning_only && !self.observers.is_empty()
    }

    /// Observers that are lost with a database, or with one before them.
    pub(super) fn sharing_observers(&self) -> impl Iterator<Item = (ObserverName, HostId)> {
        let is_shared = |at: usize, host: HostId| {
            let mut before = self.observers.iter().take(at);
            host < self.node_count() || before.any(|(_, other)| *other == host)
        };
        let observers = self.observers.iter().enumerate();
        observers
            .filter(move |(at, (_, host))| is_shared(*at, *host))
            .map(|(_, (name, host))| (name.clone(), *host))
    }
}

impl Setup {
    fn fmt_differences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for host in (0..self.hosts()).filter(|host| !self.agree(*host, 0)) {
            let config = &self.configs[host];
            let limit = seconds(micros(config.failover_lag));
            let quorum = config.quorum;
            let names = |name: &NodeName| name.as_str().to_owned();
            let never: Vec<_> = config.never_promote.iter().map(names).collect();
            let preferred: Vec<_> = config.failover_priorities.keys().map(names).collect();
            write!(f, ", but on {}: limit {limit} s, ", self.host_name(host))?;
            write!(f, "{quorum:?}, never [{}], ", never.join(" "))?;
            write!(f, "preferred [{}]", preferred.join(" "))?;
        }
        Ok(())
    }

    fn fmt_voting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(voting) = self.voting() else {
            return Ok(());
        };
        let dry = if self.elects() { "" } else { "dry, " };
        let s = |duration| seconds(micros(duration));
        let (lease, timeout) = (s(voting.lease), s(voting.vote_timeout));
        let (stagger, aside) = (s(voting.stagger), s(voting.step_aside));
        write!(
            f,
            ", votes ({dry}lease {lease} s, timeout {timeout} s, stagger {stagger} s, aside {aside} s"
        )?;
        if let Some(fence) = self.leases() {
            let (timeout, renew) = (s(fence.timeout), s(fence.renew));
            write!(f, ", renewed every {renew} s, fenced in {timeout} s")?;
        }
        f.write_str(")")?;
        for (number, list) in self.lists.iter().enumerate() {
            let names: Vec<_> = list.keys().map(VoterName::as_str).collect();
            write!(f, ", list {}: {}", number + 1, names.join(" "))?;
        }
        Ok(())
    }

    fn fmt_presence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |without: &dyn Fn(HostId) -> bool, hosts: usize| {
            let names = (0..hosts).filter(|host| without(*host));
            names
                .map(|host| self.host_name(host).to_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let silent = names(&|host| !self.presence.shows_presence(host), self.hosts());
        let hidden = names(&|node| !has(self.presence.servers, node), self.node_count());
        for (what, names) in [("on daemons", silent), ("on servers", hidden)] {
            if !names.is_empty() {
                write!(f, ", no presence {what} {names}")?;
            }
        }
        match self.presence.identity {
            true => Ok(()),
            false => f.write_str(", no identity"),
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes.iter().map(NodeName::as_str).collect();
        let observers: Vec<_> = self
            .observers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let config = self.any_config();
        write!(
            f,
            "nodes {} (primary {})",
            nodes.join(" "),
            self.host_name(self.primary)
        )?;
        if !observers.is_empty() {
            write!(f, ", observers {}", observers.join(" "))?;
        }
        let s = |duration| seconds(micros(duration));
        write!(
            f,
            "; poll {} s, check {} s, ",
            s(config.poll_interval),
            s(config.check_interval)
        )?;
        write!(
            f,
            "limit {} s, timeout {} s, ",
            s(config.failover_lag),
            s(config.poll_timeout)
        )?;
        f.write_str(match config.quorum {
            QuorumRule::Half => "half suffices",
            QuorumRule::Majority => "majority",
        })?;
        if !config.failover_on_disconnect {
            f.write_str(", not on disconnect")?;
        }
        if config.poll_observers_on_warning_only {
            f.write_str(", observers on warning only")?;
        }
        if !config.never_promote.is_empty() {
            let never: Vec<_> = config.never_promote.iter().map(NodeName::as_str).collect();
            write!(f, ", never {}", never.join(" "))?;
        }
        self.fmt_differences(f)?;
        self.fmt_voting(f)?;
        self.fmt_presence(f)
    }
}
