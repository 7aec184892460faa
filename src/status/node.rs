//! What is known of each node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::view::{View, age, seconds};
use crate::cluster::{DaemonState, NodeState, Presence, Sighting, Standby, Witness};
use crate::config::{ConnInfo, HostAddress, NodeName};
use crate::failover::Prospect;

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Is it the daemon's own.
    pub own: bool,
    /// Host and port of its connection string, the first if there are several.
    pub address: String,
    /// As last reported.
    pub role: Role,
    /// Is it as it should be.
    pub standing: Standing,
    /// Was it reached the last time, by the daemon or by an observer.
    pub connected: bool,
    /// Of its data.
    pub timeline: Option<u32>,
    /// Of a standby: from which node it streams, or from which address, where that is known.
    pub upstream: Option<String>,
    /// Of PostgreSQL.
    pub version: Option<String>,
    /// Does `pg_rewind` work with it.
    pub can_be_rewound: Option<bool>,
    /// Of a standby: how far its replay is behind the last known position of the primary, in bytes.
    pub lag_bytes: Option<u64>,
    /// Of a standby: how old what it replays is, in seconds; 0 where it has everything.
    pub lag_seconds: Option<f64>,
    /// Receive position of a standby, an LSN.
    pub receive: Option<String>,
    /// Replay position; of a primary its current position.
    pub replay: Option<String>,
    /// How far its clock was ahead of the daemon's at its last answer, in seconds.
    pub clock: Option<f64>,
    /// Does it show the sessions of daemons.
    pub shows_daemons: Option<bool>,
    /// How long ago it was last polled, in seconds.
    pub polled: Option<f64>,
    /// By whom.
    pub source: Option<String>,
    /// Why the daemon's own last poll failed.
    pub failure: Option<String>,
    /// How a standby stands among the candidates.
    pub place: Option<String>,
    /// Its own daemon, as its server shows it.
    pub daemon: Option<Daemon>,
    /// Did the last poll of the daemon, and of each observer, reach it.
    pub seen: BTreeMap<String, bool>,
}

/// The daemon of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Daemon {
    /// What it shows, or `gone`.
    pub state: String,
    /// How long ago it was last seen, in seconds.
    pub age: f64,
}

/// What a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
    /// It never reported one.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Whether a node is as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is.
    Ok,
    /// It is not reached.
    Lost,
    /// A primary in whose place another one has come.
    Superseded,
    /// A standby of another history than the primary.
    Diverged,
    /// A standby that has not followed the primary to its timeline.
    OldTimeline,
    /// A standby whose lag is over the warning limit.
    Lagging,
    /// A server of another cluster.
    OtherCluster,
    /// Not polled since the daemon's start.
    NeverPolled,
    /// A standing of another version.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Role {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Unknown => "unknown",
        }
    }
}

/// Host and port, the first if there are several.
pub(super) fn address(info: &ConnInfo) -> String {
    let host = info.hosts.first();
    host.map_or_else(String::new, |host| format!("{}:{}", host.name, host.port))
}

/// Every configured node, by name.
pub(super) fn all(view: &View<'_>, prospect: &Prospect) -> Vec<Node> {
    let places = places(prospect);
    let configured = view.lookout.config().nodes.iter();
    let senders = senders(view);
    configured
        .map(|(name, info)| {
            let known = Known::new(view, name);
            let mut node = known.node(info);
            node.upstream = known.upstream(&senders);
            node.place = places.get(name.as_str()).cloned();
            node
        })
        .collect()
}

/// Nodes by host and port, as a standby may name the one that it streams from.
type Senders<'a> = BTreeMap<String, &'a NodeName>;

fn senders<'a>(view: &View<'a>) -> Senders<'a> {
    let nodes = view.lookout.config().nodes.iter();
    let hosts = nodes.flat_map(|(node, info)| info.hosts.iter().map(move |host| (node, host)));
    let mut senders = BTreeMap::new();
    for (node, host) in hosts {
        if let HostAddress::Ip(address) = &host.address {
            senders.insert(format!("{address}:{}", host.port), node);
        }
        senders.insert(format!("{}:{}", host.name, host.port), node);
    }
    senders
}

/// The standbys of a prospect by name.
fn places(prospect: &Prospect) -> BTreeMap<&str, String> {
    let standbys = prospect.standbys.iter();
    standbys
        .map(|it| (it.node.as_str(), it.to_string()))
        .collect()
}

/// The facts of one node.
struct Known<'a> {
    view: &'a View<'a>,
    name: &'a NodeName,
    state: Option<&'a NodeState>,
    standby: Option<&'a Standby>,
    primary: Option<&'a Witness>,
    sightings: Vec<(&'a str, &'a Sighting)>,
}

impl<'a> Known<'a> {
    fn new(view: &'a View<'a>, name: &'a NodeName) -> Self {
        let observers = view.lookout.state().observers.iter();
        let connected = observers.filter(|(it, _)| view.map.connected_observers.contains(*it));
        let sightings = connected
            .filter_map(|(observer, state)| Some((observer.as_str(), state.nodes.get(name)?)));
        Self {
            view,
            name,
            state: view.lookout.state().nodes.get(name),
            standby: view.map.standbys.get(name),
            primary: view.map.connected_primaries.get(name),
            sightings: sightings.collect(),
        }
    }

    fn node(&self, info: &ConnInfo) -> Node {
        let now = self.view.now.mono;
        let config = self.view.lookout.config();
        let answer = self.state.and_then(|state| state.answer.as_ref());
        let (role, connected) = self.role();
        let position = |standby: Option<crate::cluster::Lsn>| standby.map(|lsn| lsn.to_string());
        let receive = match self.standby {
            Some(standby) => standby.receive,
            None => None,
        };
        let replay = match (self.standby, answer) {
            (Some(standby), _) => standby.replay,
            (None, answer) => answer.and_then(|answer| answer.replay),
        };
        let shown = answer.map(|answer| &answer.identity.shown);
        let (polled, source) = self.last_poll();
        let failed = self.state.filter(|state| !state.is_connected());
        Node {
            name: self.name.to_string(),
            own: config.own_db.as_ref() == Some(self.name),
            address: address(info),
            role,
            standing: self.standing(role, connected),
            connected,
            timeline: self.view.lookout.state().timeline(self.name),
            upstream: None,
            version: shown.and_then(|shown| shown.version.clone()),
            can_be_rewound: shown.and_then(|shown| shown.can_be_rewound),
            lag_bytes: self.lag_bytes(),
            lag_seconds: self.lag_seconds(),
            receive: position(receive),
            replay: position(replay),
            clock: self.clock(),
            shows_daemons: answer.map(|answer| answer.daemons.is_some()),
            polled: polled.map(|at| age(at, now)),
            source,
            failure: failed.and_then(|state| Some(state.failure.as_ref()?.to_string())),
            place: None,
            daemon: self.daemon(),
            seen: self.seen(),
        }
    }

    /// The server reported its time while the poll was under way, so it is exact to its duration.
    fn clock(&self) -> Option<f64> {
        let state = self.state.filter(|state| state.is_connected())?;
        let (reported, taken) = (state.answer.as_ref()?.db_time, state.attempt?.fetch_time);
        let ahead = reported.unix_micros().saturating_sub(taken.unix_micros());
        #[expect(
            clippy::cast_precision_loss,
            reason = "a difference of times, for people"
        )]
        Some((ahead as f64 / 1_000.0).round() / 1_000.0)
    }

    fn role(&self) -> (Role, bool) {
        if self.primary.is_some() {
            return (Role::Primary, true);
        }
        if let Some(standby) = self.standby {
            return (Role::Standby, standby.connected);
        }
        let is_lost = self.view.map.disconnected_primaries.contains(self.name);
        let role = if is_lost {
            Role::Primary
        } else {
            Role::Unknown
        };
        (role, self.state.is_some_and(NodeState::is_connected))
    }

    fn standing(&self, role: Role, connected: bool) -> Standing {
        let history = &self.view.lookout.state().history;
        let own = self.view.lookout.config().own_db.as_ref();
        let system = self.view.lookout.state().system(own);
        let theirs = self.standby.and_then(|standby| standby.system.as_deref());
        let is_foreign = theirs
            .zip(system)
            .is_some_and(|(theirs, ours)| theirs != ours);
        if self.state.is_none_or(|state| state.attempt.is_none()) && !connected {
            return Standing::NeverPolled;
        }
        match role {
            Role::Primary if self.view.map.superseded.contains(self.name) => Standing::Superseded,
            _ if !connected => Standing::Lost,
            Role::Standby if is_foreign => Standing::OtherCluster,
            Role::Standby if history.diverged.contains_key(self.name) => Standing::Diverged,
            Role::Standby if self.is_of_old_timeline() => Standing::OldTimeline,
            Role::Standby if self.is_lagging() => Standing::Lagging,
            Role::Primary | Role::Standby | Role::Unknown => Standing::Ok,
        }
    }

    fn upstream(&self, senders: &Senders<'_>) -> Option<String> {
        self.standby?;
        let answer = self.state?.answer.as_ref()?;
        let sender = answer.identity.shown.upstream.as_ref()?;
        let node = senders.get(sender);
        Some(node.map_or_else(|| sender.clone(), ToString::to_string))
    }

    fn is_of_old_timeline(&self) -> bool {
        let primary = self.view.map.sole_primary();
        let theirs = primary.and_then(|primary| self.view.lookout.state().timeline(primary));
        let ours = self.standby.and_then(|standby| standby.timeline);
        ours.zip(theirs).is_some_and(|(ours, theirs)| ours < theirs)
    }

    fn is_lagging(&self) -> bool {
        let limit = self.view.lookout.config().warning_lag;
        self.lag_seconds()
            .is_some_and(|lag| lag > limit.as_secs_f64())
    }

    fn last_poll(&self) -> (Option<crate::time::Monotonic>, Option<String>) {
        let witness = self
            .primary
            .or(self.standby.map(|standby| &standby.witness));
        if let Some(Witness::Observer(observer)) = witness {
            let sighting = self
                .sightings
                .iter()
                .find(|(name, _)| *name == observer.as_str());
            let at = sighting.map(|(_, sighting)| sighting.at);
            return (at, Some(Witness::Observer(observer.clone()).to_string()));
        }
        let attempt = self.state.and_then(|state| state.attempt);
        let source = attempt.map(|_| Witness::Ourselves.to_string());
        (attempt.map(|attempt| attempt.at), source)
    }

    fn lag_bytes(&self) -> Option<u64> {
        let primary = self.view.lookout.state().history.last_primary.as_ref()?;
        let (ahead, behind) = (primary.lsn?, self.standby?.replay?);
        Some(ahead.bytes().saturating_sub(behind.bytes()))
    }

    /// The age of the last replayed transaction grows on an idle cluster: where everything is
    /// replayed there is no lag.
    fn lag_seconds(&self) -> Option<f64> {
        let standby = self.standby?;
        let has_all = standby.receive.is_none_or(|it| Some(it) == standby.replay);
        if has_all && self.lag_bytes() == Some(0) {
            return Some(0.0);
        }
        standby.lag.map(seconds)
    }

    /// By its own server, polled by us or by an observer.
    fn daemon(&self) -> Option<Daemon> {
        let lookout = self.view.lookout;
        let now = self.view.now.mono;
        if lookout.config().own_db.as_ref() == Some(self.name) {
            let state = lookout.shown(now).to_string();
            return Some(Daemon { state, age: 0.0 });
        }
        if let Some(daemon) = self.state.and_then(|state| state.own_daemon) {
            let shown = |state: DaemonState| state.to_string();
            return Some(Daemon {
                state: match daemon.is_gone() {
                    true => "gone".to_owned(),
                    false => shown(daemon.state),
                },
                age: age(daemon.at, now),
            });
        }
        let relayed = self.sightings.iter().filter_map(|(_, sighting)| {
            let daemons = sighting.daemons.as_ref()?;
            let presence = daemons.iter().find(|it: &&Presence| it.is_of(self.name))?;
            Some((sighting.at, presence))
        });
        let (at, presence) = relayed.max_by_key(|(at, _)| *at)?;
        Some(Daemon {
            state: presence.state.to_string(),
            age: age(at, now),
        })
    }

    fn seen(&self) -> BTreeMap<String, bool> {
        let own = self.state.and_then(|state| state.attempt);
        let own = own.map(|it| (self.view.lookout.daemon().to_owned(), it.connected));
        let theirs = self.sightings.iter();
        let theirs = theirs.map(|(name, it)| ((*name).to_owned(), it.connected));
        own.into_iter().chain(theirs).collect()
    }
}
