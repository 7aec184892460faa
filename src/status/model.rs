//! The status as it is served and read again.

use serde::{Deserialize, Serialize};

use super::alert::StandingAlert;
use super::configuration::Configuration;
use super::node::Node;
use super::pause::Pause;
use super::voter_lists::VoterLists;
use crate::cluster::{PauseMark, daemon_name};
use crate::format::{Ballot, Change, Decision};

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
    /// When its configuration was loaded, and whether a later one was refused.
    pub configuration: Configuration,
    /// Its own node; `None`: an observer.
    pub node: Option<String>,
    /// Is there a primary, and is all well.
    pub cluster: Cluster,
    /// Would the loss of the primary end in a promotion, or when will it.
    pub failover: Failover,
    /// The pause of the cluster, while it lasts.
    pub pause: Option<Pause>,
    /// What daemons send each other about the last pause: the higher one counts.
    pub pause_mark: String,
    /// Every configured node.
    pub nodes: Vec<Node>,
    /// Every configured observer.
    pub observers: Vec<Observer>,
    /// Every daemon whose sessions servers show.
    pub daemons: Vec<Session>,
    /// The votes that there would be in a failover.
    pub votes: Ballot,
    /// Where votes elect: the list of voters of each cluster.
    pub voter_lists: Vec<VoterLists>,
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
    /// An operator has paused the cluster.
    Paused,
    /// It is no reason for a failover: `failover_on_disconnect` is false.
    Off,
    /// The daemon has not polled everybody yet.
    Starting,
    /// A state of another version.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A daemon as servers show it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// Its name: its node's, or its host's.
    pub name: String,
    /// What it shows.
    pub state: String,
    /// The mark of the last pause that it knows.
    pub pause: String,
    /// Has it the same settings as this one, where daemons must agree.
    pub agrees: bool,
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

impl Status {
    /// The body of `/status.json`.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of them: nothing in it fails.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The newest pause, or end of one, that the daemon knows.
    pub fn mark(&self) -> PauseMark {
        self.pause_mark.parse().unwrap_or_default()
    }

    /// The nodes whose daemons know of this pause or of a later one, and those whose daemons do not, or
    /// are not seen.
    pub fn know_pause(&self, mark: PauseMark) -> (Vec<&str>, Vec<&str>) {
        let knows = |node: &&str| {
            let daemon = daemon_name(node);
            let session = self.daemons.iter().find(|it| it.name == daemon);
            let known = match daemon == self.daemon {
                true => Some(self.mark()),
                false => session.and_then(|it| it.pause.parse().ok()),
            };
            known >= Some(mark)
        };
        self.nodes
            .iter()
            .map(|node| node.name.as_str())
            .partition(knows)
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
