//! What an operator asks first: is the cluster well, would a failover work, and what is known of each
//! node. One value for the command line, the page and the metrics; made from the core, decided
//! nothing by.
//!
//! It is read from daemons of other versions too: what is missing is left out.

mod alert;
mod counts;
mod events;
mod headline;
mod lag_history;
mod metrics;
mod node;
mod problem;
mod stored;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use alert::{RaisedAlert, StandingAlert};
pub use counts::Counts;
pub use events::{Event, Patiences, Severity, Watcher, event_names};
pub use lag_history::LagHistory;
pub use metrics::{Usage, metrics};
pub use node::{Daemon, Node, Role, Standing};

use crate::cluster::NodeMap;
use crate::failover::Prospect;
use crate::format::{Ballot, Change, Decision};
use crate::lookout::Lookout;
use crate::time::{Monotonic, Now, timestamp};

/// `/status.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// When, as an ISO timestamp.
    pub at: String,
    /// The daemon's name: its node's, or its host's.
    pub daemon: String,
    /// Its own node; `None`: an observer.
    pub node: Option<String>,
    /// Is there a primary, and is all well.
    pub cluster: Cluster,
    /// Would the loss of the primary end in a promotion, or when will it.
    pub failover: Failover,
    /// Every configured node.
    pub nodes: Vec<Node>,
    /// Every configured observer.
    pub observers: Vec<Observer>,
    /// The votes that there would be in a failover.
    pub votes: Ballot,
    /// Alerts that stand.
    pub alerts: Vec<StandingAlert>,
    /// What is not as it should be, one sentence each.
    pub problems: Vec<String>,
    /// What should be mended while all is well.
    pub warnings: Vec<String>,
    /// The last decision, without its figures but for what would change it.
    pub decision: Option<Decision>,
    /// The last changes of the primary, the newest first.
    pub changes: Vec<Change>,
}

/// The cluster in a line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// The state in a word.
    pub state: Health,
    /// The primary as last known.
    pub primary: Option<String>,
    /// The same in words.
    pub sentence: String,
}

/// How the cluster is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is a primary, and nothing is wrong.
    Healthy,
    /// There is a primary, and something is wrong.
    Degraded,
    /// No primary is reached.
    NoPrimary,
    /// Several servers are primaries at once.
    SeveralPrimaries,
    /// The only primary that is reached is of an older history than another node.
    OutdatedPrimary,
    /// The daemon has not polled everybody yet.
    Starting,
    /// A state of another version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The next failover in a line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failover {
    /// The state in a word.
    pub state: Readiness,
    /// Who would be promoted.
    pub candidate: Option<String>,
    /// Seconds until then at the least, in a countdown.
    pub seconds: Option<f64>,
    /// `max_failover_replication_time_lag` in seconds.
    pub limit: f64,
    /// The state in words.
    pub sentence: String,
    /// What is in its way.
    pub reasons: Vec<String>,
}

/// What the loss of the primary comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It would end in a promotion.
    Ready,
    /// It will, unless the primary is reached again.
    Countdown,
    /// A daemon is promoting its node.
    Running,
    /// Something is in the way.
    Blocked,
    /// It is no reason for a failover: `failover_on_disconnect` is false.
    Off,
    /// The daemon has not polled everybody yet.
    Starting,
    /// A state of another version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// One observer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observer {
    /// Its name.
    pub name: String,
    /// Where it is asked.
    pub address: String,
    /// Did it answer the last time.
    pub connected: bool,
    /// How long ago it was last asked, in seconds.
    pub answered: Option<f64>,
    /// Why it did not answer.
    pub failure: Option<String>,
}

/// What a status is made from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The core.
    pub lookout: &'a Lookout,
    /// The node map of its last facts.
    pub map: &'a NodeMap,
    /// Alerts that stand.
    pub alerts: &'a [RaisedAlert],
    /// Now.
    pub now: Now,
}

impl Status {
    /// As of now.
    pub fn new(view: &View<'_>) -> Self {
        let lookout = view.lookout;
        let prospect = lookout.prospect(view.map, view.now.mono);
        let nodes = node::all(view, &prospect);
        let observers = observers(view);
        let problems = problem::all(&nodes, &observers);
        let round = lookout.last_round();
        let warnings = round.map(|round| round.figures.warnings.clone());
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: timestamp::format_millis(view.now.wall),
            daemon: lookout.daemon().to_owned(),
            node: lookout.config().own_db.as_ref().map(ToString::to_string),
            cluster: Cluster::default(),
            failover: headline::failover(view, &prospect),
            nodes,
            observers,
            votes: Ballot::from(&prospect.votes),
            alerts: view.alerts.iter().map(StandingAlert::from).collect(),
            problems,
            warnings: warnings.unwrap_or_default(),
            decision: round.map(headline::last_decision),
            changes: lookout.changes().iter().rev().map(Change::from).collect(),
        };
        status.cluster = headline::cluster(view, &status);
        status
    }

    /// The body of `/status.json`.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of them: nothing in it fails.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The exit status of a check: 0 healthy, 1 degraded, 2 no primary, several, or no failover
    /// possible.
    pub fn severity(&self) -> u8 {
        let is_blocked = self.failover.state == Readiness::Blocked;
        match self.cluster.state {
            Health::Healthy if !is_blocked => 0,
            Health::Healthy | Health::Degraded if is_blocked => 2,
            Health::Healthy | Health::Degraded | Health::Starting => 1,
            Health::NoPrimary
            | Health::SeveralPrimaries
            | Health::OutdatedPrimary
            | Health::Unknown => 2,
        }
    }
}

fn observers(view: &View<'_>) -> Vec<Observer> {
    let configured = view.lookout.config().observers.iter();
    let observer = |(name, url): (&crate::config::ObserverName, &crate::config::ObserverUrl)| {
        let state = view.lookout.state().observers.get(name);
        let attempt = state.and_then(|state| state.attempt);
        let scheme = if url.encrypted { "https" } else { "http" };
        Observer {
            name: name.to_string(),
            address: format!("{scheme}://{}:{}", url.host, url.port),
            connected: view.map.connected_observers.contains(name),
            answered: attempt.map(|attempt| age(attempt.at, view.now.mono)),
            failure: state.and_then(|state| Some(state.failure.as_ref()?.to_string())),
        }
    };
    configured.map(observer).collect()
}

/// In seconds, to the millisecond.
fn age(at: Monotonic, now: Monotonic) -> f64 {
    seconds(now.since(at))
}

/// To the millisecond.
fn seconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// The standbys of a prospect by name.
fn places(prospect: &Prospect) -> BTreeMap<&str, String> {
    let standbys = prospect.standbys.iter();
    standbys
        .map(|it| (it.node.as_str(), it.to_string()))
        .collect()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
