//! The configuration as the rest of the program sees it: one field for each key, resolved and
//! checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::conninfo::ConnInfo;
use super::keywords::Keywords;
use super::name::{ClusterName, NodeName, ObserverName, VoterName};
use super::secret::Secret;

/// Everything a node needs to know, one value per key of behaviour.md's table.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `own_db`: this node's entry of `remote_conns`; `None` makes an observer.
    pub own_db: Option<NodeName>,
    /// What this host calls itself: an observer's name among daemons.
    pub host_name: Option<String>,
    /// `remote_conns`: how each database node is reached.
    pub nodes: BTreeMap<NodeName, Arc<ConnInfo>>,
    /// `next_passwords`: of roles whose password is being changed.
    pub next_passwords: BTreeMap<String, Secret>,
    /// `observers`: base URL of each other pglookout.
    pub observers: BTreeMap<ObserverName, ObserverUrl>,
    /// `poll_observers_on_warning_only`: ask observers only while our own lag is over the warning
    /// limit.
    pub poll_observers_on_warning_only: bool,
    /// `db_poll_interval`: from one poll of a node or observer to the next.
    pub poll_interval: Duration,
    /// `replication_state_check_interval`: from one regular decision to the next.
    pub check_interval: Duration,
    /// `poll_timeout`: how long connecting, and one query or one observer's whole answer, may take.
    pub poll_timeout: Duration,
    /// `warning_replication_time_lag`, never above `failover_lag`.
    pub warning_lag: Duration,
    /// `max_failover_replication_time_lag`: the lag, or time since the last contact with the
    /// primary, from which a failover is considered.
    pub failover_lag: Duration,
    /// `replication_catchup_timeout`: how long a standby that has begun streaming may count as
    /// catching up.
    pub catchup_timeout: Duration,
    /// `missing_master_from_config_timeout`: how long after a change of nodes a vanished primary is
    /// given.
    pub missing_primary_timeout: Duration,
    /// `failover_on_disconnect`: may a primary that is merely unreachable be failed over without
    /// the lag rule.
    pub failover_on_disconnect: bool,
    /// `failover_command`; `None` when empty.
    pub failover_command: Option<CommandLine>,
    /// `failover_command_timeout`: how long the failover command may run; `None` is without limit.
    pub failover_command_timeout: Option<Duration>,
    /// `failover_sleep_time`: pause in decisions after the failover command was run.
    pub failover_pause: Duration,
    /// `failover_quorum`: how much of the cluster must be known.
    pub quorum: QuorumRule,
    /// `failover_ranking`: by what the candidates are ranked.
    pub ranking: Ranking,
    /// `over_warning_limit_command`; `None` when empty or null.
    pub over_warning_limit_command: Option<CommandLine>,
    /// `isolated_primary_command`; `None` when empty.
    pub isolated_primary_command: Option<CommandLine>,
    /// `isolated_primary_timeout`: how long a primary must be cut off before the command is run.
    pub isolated_primary_timeout: Duration,
    /// `event_command`; `None` when empty.
    pub event_command: Option<CommandLine>,
    /// `event_filter`: names of events and severities; empty: every event.
    pub event_filter: BTreeSet<String>,
    /// `never_promote_these_nodes`.
    pub never_promote: BTreeSet<NodeName>,
    /// `failover_priorities`; a node that is not listed has 0.
    pub failover_priorities: BTreeMap<NodeName, i64>,
    /// `known_gone_nodes`: names known to have left for good.
    pub known_gone: BTreeSet<NodeName>,
    /// `maintenance_mode_file`: while it exists this node is not promoted.
    pub maintenance_mode_file: PathBuf,
    /// `autofollow` and the keys that it needs; `None` when it is off.
    pub follow: Option<FollowSettings>,
    /// `alert_file_dir`.
    pub alert_dir: PathBuf,
    /// `json_state_file_path`.
    pub state_file: PathBuf,
    /// `http_address`, a literal address or a name; `None` is every interface, IPv4 and IPv6.
    pub http_address: Option<String>,
    /// `http_port`.
    pub http_port: u16,
    /// `log_level`: records below it are not written; `Trace` for NOTSET, `Error` also for FATAL
    /// and CRITICAL.
    pub log_level: log::LevelFilter,
    /// `syslog`, `syslog_address`, `syslog_facility`; `None` when syslog is off.
    pub syslog: Option<SyslogSettings>,
    /// `statsd`; `None` when off.
    pub statsd: Option<StatsdSettings>,
    /// `cluster_monitor_health_timeout_seconds`: no complete poll cycle for this long is counted
    /// and warned of.
    pub health_timeout: Option<Duration>,
    /// `flight_recorder` and its size; `None` when it is off.
    pub flight_recorder: Option<RecorderSettings>,
    /// `voting` and the keys that belong to it; `None` when no cluster is named.
    pub voting: Option<Voting>,
}

/// `failover_quorum`: how much of the cluster must be known before this node may be promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumRule {
    /// `"half"`: half of the votes suffice, as in the original.
    Half,
    /// `"majority"`: more than half of the votes.
    Majority,
}

impl QuorumRule {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Half => "half",
            Self::Majority => "majority",
        }
    }
}

/// `failover_ranking`: by what the candidates of a failover are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// `"furthest"`: the higher of receive and replay position, priority, no delay, name.
    Furthest,
    /// `"original"`: as long as the original runs beside one of the servers, what it ranks by: the
    /// receive position, the replay position where there is none, and the name.
    Original,
}

impl Ranking {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Furthest => "furthest",
            Self::Original => "original",
        }
    }
}

/// A program and its arguments, split by shell quoting rules and run without a shell. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// Program first; at least one element.
    pub argv: Vec<String>,
}

/// What following a new primary needs (`autofollow`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowSettings {
    /// `pg_data_directory`.
    pub data_directory: PathBuf,
    /// `pg_start_command`.
    pub start_command: CommandLine,
    /// `pg_stop_command`.
    pub stop_command: CommandLine,
    /// `primary_conninfo_template`; the new primary's host and port replace its own. Not resolved:
    /// it is PostgreSQL that will read it, with its own environment.
    pub primary_conninfo_template: Keywords,
}

impl FollowSettings {
    /// What `primary_conninfo` must be for this primary: the template with the primary's
    /// address, each keyword in its place. `None` if the primary's entry names no host, which in
    /// another process may mean another one.
    pub fn conninfo_to(&self, primary: &ConnInfo) -> Option<Keywords> {
        let mut conninfo = self.primary_conninfo_template.clone();
        let (host, literal) = (
            primary.address.value("host"),
            primary.address.value("hostaddr"),
        );
        // Either would lead elsewhere: libpq prefers `hostaddr`, wherever it comes from.
        for (keyword, value) in [("host", host), ("hostaddr", literal)] {
            match value {
                Some(value) => conninfo.set(keyword, value),
                None => conninfo.remove(keyword),
            }
        }
        if let Some(port) = primary.address.value("port") {
            conninfo.set("port", port);
        }
        (host.is_some() || literal.is_some()).then_some(conninfo)
    }
}

/// Where syslog records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogSettings {
    /// `syslog_address`.
    pub address: SyslogAddress,
    /// `syslog_facility`: RFC 3164's facility code, 0 to 23.
    pub facility: u8,
}

/// `syslog_address`: a socket path, or host and port for UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A Unix datagram socket.
    Path(PathBuf),
    /// A UDP receiver.
    Udp(String, u16),
}

/// Where statsd datagrams go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsdSettings {
    /// Host name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// Telegraf tags added to every metric.
    pub tags: BTreeMap<String, String>,
}

/// Where the flight recorder writes what the daemon sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderSettings {
    /// `flight_recorder`; what was recorded before the last rotation is beside it, with `.1` behind
    /// its name.
    pub path: PathBuf,
    /// `flight_recorder_max_bytes`: from which size on the file is rotated.
    pub max_bytes: u64,
}

/// `voting`, where it is not empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Voting {
    /// `vote_directory`: where the vote files are.
    pub directory: PathBuf,
    /// `lease_time`: for how long a vote is promised, before the margin for clocks that differ.
    pub lease: Duration,
    /// `vote_timeout`: how long the answer of a voter is waited for.
    pub vote_timeout: Duration,
    /// `election_stagger`: the unit of the random time between two attempts.
    pub stagger: Duration,
    /// `step_aside_time`: how long others go first after a failed command.
    pub step_aside: Duration,
    /// `fence_command` and what belongs to it; `None`: there are no leases.
    pub fence: Option<FenceSettings>,
    /// `demote_command` and what belongs to it; `None`: nothing is switched over.
    pub demotion: Option<DemoteSettings>,
    /// A database node has exactly one, an observer any number.
    pub clusters: BTreeMap<ClusterName, VotingCluster>,
}

/// How our own server is fenced, and how that is put off again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceSettings {
    /// `fence_command`: from its end on our server takes no commits.
    pub command: CommandLine,
    /// `fence_timeout`: how long it may take. It is run so long before the end of a lease.
    pub timeout: Duration,
    /// `lease_renew_interval`: from one round of renewals to the next.
    pub renew: Duration,
    /// `unfence_command`: starts our server again that was fenced; `None`: nothing does.
    pub unfence: Option<CommandLine>,
    /// `watchdog_device`; `None`: nothing resets the host where the command fails.
    pub watchdog: Option<WatchdogSettings>,
}

/// What resets the host where our own server is not fenced by the end of its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogSettings {
    /// `watchdog_device`.
    pub device: PathBuf,
    /// How long after the last keep-alive it resets the host. Whole seconds, as the kernel takes them: the most
    /// that a lease which is renewed in time leaves between two renewals.
    pub timeout: Duration,
}

/// How our own server, a primary, is stopped as planned, and started again where that comes to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoteSettings {
    /// `demote_command`: ends with 0 once the server is shut down.
    pub command: CommandLine,
    /// `demote_timeout`: how long it may take.
    pub timeout: Duration,
    /// `switchover_max_lag`: in bytes, by how much less the successor has to be behind.
    pub max_lag: u64,
    /// `pg_data_directory`: where its control file is.
    pub data_directory: PathBuf,
    /// `pg_start_command`.
    pub start_command: CommandLine,
}

/// One cluster in which this daemon votes.
#[derive(Clone, Debug, PartialEq)]
pub struct VotingCluster {
    /// Which list of voters this is, from 1.
    pub generation: u64,
    /// Every voter, ourselves included, and where its pglookout answers.
    pub voters: BTreeMap<VoterName, ObserverUrl>,
    /// `self`: which of them we are.
    pub own: VoterName,
    /// `secret_file`.
    pub secret_file: PathBuf,
    /// Its content; `None` only where no files are read.
    pub secret: Option<Secret>,
    /// Votes are cast, and decide nothing.
    pub dry: bool,
}

impl Config {
    /// The cluster whose votes decide whether our own node is promoted; `None`: votes do not.
    pub fn deciding_cluster(&self) -> Option<(&ClusterName, &VotingCluster)> {
        self.own_db.as_ref()?;
        let own = self.voting.as_ref().and_then(Voting::own_cluster);
        own.filter(|(_, cluster)| !cluster.dry)
    }

    /// `demote_command` and what belongs to it.
    pub fn demotion(&self) -> Option<&DemoteSettings> {
        self.voting.as_ref()?.demotion.as_ref()
    }

    /// `fence_command` and what belongs to it, whether votes decide or not.
    pub fn fence(&self) -> Option<&FenceSettings> {
        self.voting.as_ref()?.fence.as_ref()
    }
}

impl Voting {
    /// The one cluster of a database node.
    pub fn own_cluster(&self) -> Option<(&ClusterName, &VotingCluster)> {
        self.clusters.first_key_value()
    }
}

/// Base URL of an observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObserverUrl {
    /// Host name or literal address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `https`: encrypted, and the certificate must be the host's.
    pub encrypted: bool,
    /// Path prefix before `/state.json`, without a trailing slash; empty for the root.
    pub path: String,
}
