//! What `event_command` gets: conditions that begin and end, found by comparing one status with the
//! next, and the steps of a failover. The names are a closed list.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::model::{Health, Readiness, Status};
use super::node::{Node, Role, Standing};
use super::problem;
use crate::format::alert_file;
use crate::lookout::Alert;
use crate::time::Monotonic;

/// One event, as JSON on the command's standard input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Its name, from a closed list.
    pub event: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// When, as an ISO timestamp.
    pub at: String,
    /// Who reports it: the daemon's node, or its host.
    pub daemon: String,
    /// The node, observer or alert that it is about.
    pub subject: Option<String>,
    /// The primary as it is known now.
    pub primary: Option<String>,
    /// The primary before, if it has changed.
    pub old_primary: Option<String>,
    /// The timeline of the primary.
    pub timeline: Option<u32>,
    /// Its last known position.
    pub lsn: Option<String>,
    /// Of a condition that has ended: how long it lasted, in seconds.
    pub lasted: Option<f64>,
    /// The whole in one line.
    pub sentence: String,
}

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it in the morning.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Names that `event_filter` may contain: of events and of severities.
#[cfg(test)]
pub(super) fn event_names() -> impl Iterator<Item = &'static str> {
    let steps = ["primary_changed", "failover_started", "failover_done"];
    let severities = [Severity::Info, Severity::Warning, Severity::Critical];
    let pairs = Kind::ALL.iter().flat_map(|kind| {
        let traits = kind.traits();
        [traits.begins, traits.ends]
    });
    pairs.chain(steps).chain(severities.map(Severity::name))
}

/// Something that is so for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    PrimaryLost,
    SplitBrain,
    FailoverBlocked,
    FailoverFailed,
    NodeLost,
    StandbyDiverged,
    WrongUpstream,
    Lag,
    PeerLost,
    Maintenance,
    Paused,
    ObserverLost,
    Authentication,
    Alert,
    Warning,
}

struct Traits {
    begins: &'static str,
    ends: &'static str,
    severity: Severity,
    patience: Patience,
}

/// How long a condition has to last before it is reported: much is so for a moment.
#[derive(Clone, Copy)]
enum Patience {
    None,
    Polls,
    Limit,
}

impl Kind {
    #[cfg(test)]
    const ALL: [Self; 15] = [
        Self::PrimaryLost,
        Self::SplitBrain,
        Self::FailoverBlocked,
        Self::FailoverFailed,
        Self::NodeLost,
        Self::StandbyDiverged,
        Self::WrongUpstream,
        Self::Lag,
        Self::PeerLost,
        Self::Maintenance,
        Self::Paused,
        Self::ObserverLost,
        Self::Authentication,
        Self::Alert,
        Self::Warning,
    ];

    fn traits(self) -> Traits {
        use Patience::{Limit, None, Polls};
        use Severity::{Critical, Info, Warning};
        let (begins, ends, severity, patience) = match self {
            Self::PrimaryLost => ("primary_lost", "primary_back", Critical, None),
            Self::SplitBrain => ("split_brain", "split_brain_over", Critical, None),
            Self::FailoverBlocked => ("failover_blocked", "failover_possible", Critical, Limit),
            Self::FailoverFailed => ("failover_failed", "failover_failed_over", Critical, None),
            Self::NodeLost => ("node_lost", "node_back", Warning, Polls),
            Self::StandbyDiverged => ("standby_diverged", "standby_in_order", Warning, None),
            Self::WrongUpstream => ("wrong_upstream", "upstream_in_order", Warning, Limit),
            Self::Lag => ("lag_warning", "lag_ok", Warning, Polls),
            Self::PeerLost => ("peer_lost", "peer_back", Warning, Polls),
            Self::Maintenance => ("maintenance_on", "maintenance_off", Info, None),
            Self::Paused => ("paused", "resumed", Info, None),
            Self::ObserverLost => ("observer_lost", "observer_back", Warning, Polls),
            Self::Authentication => ("auth_error", "auth_ok", Warning, None),
            Self::Alert => ("alert_raised", "alert_cleared", Warning, None),
            Self::Warning => ("warning_on", "warning_off", Warning, Limit),
        };
        Traits {
            begins,
            ends,
            severity,
            patience,
        }
    }
}

/// What is so, of whom.
type Key = (Kind, String);

/// What was reported so far.
#[derive(Debug, Default)]
pub struct Watcher {
    conditions: BTreeMap<Key, Lasting>,
    primary: Option<String>,
    /// This daemon has begun to promote its node.
    is_promoting: bool,
}

#[derive(Debug)]
struct Lasting {
    since: Monotonic,
    is_reported: bool,
    sentence: String,
}

/// How long conditions have to last.
#[derive(Clone, Copy, Debug)]
pub struct Patiences {
    /// What a second poll may change.
    pub polls: Duration,
    /// What may be so while somebody mends it, or while daemons start.
    pub limit: Duration,
}

impl Watcher {
    /// Compares this status with what was reported before.
    pub fn follow(&mut self, status: &Status, patience: Patiences, now: Monotonic) -> Vec<Event> {
        if status.cluster.state == Health::Starting {
            return Vec::new();
        }
        let mut events = Vec::new();
        self.follow_steps(status, &mut events);
        let found = conditions(status);
        let over = self
            .conditions
            .iter()
            .filter(|(key, _)| !found.contains_key(*key));
        for ((kind, subject), lasting) in over.filter(|(_, lasting)| lasting.is_reported) {
            let mut event = event(status, kind.traits().ends, Severity::Info, subject);
            let lasted = now.since(lasting.since).as_secs_f64();
            event.lasted = Some(lasted);
            event.sentence = match kind {
                Kind::PrimaryLost | Kind::SplitBrain => status.cluster.sentence.clone(),
                _ => format!("over after {lasted:.0} s: {}", lasting.sentence),
            };
            events.push(event);
        }
        self.conditions.retain(|key, _| found.contains_key(key));
        for (key, sentence) in found {
            let (kind, subject) = &key;
            let Traits {
                begins,
                severity,
                patience: kind_patience,
                ..
            } = kind.traits();
            let lasting = self.conditions.entry(key.clone()).or_insert(Lasting {
                since: now,
                is_reported: false,
                sentence,
            });
            let patience = match kind_patience {
                Patience::None => Duration::ZERO,
                Patience::Polls => patience.polls,
                Patience::Limit => patience.limit,
            };
            if !lasting.is_reported && now.since(lasting.since) >= patience {
                lasting.is_reported = true;
                let mut event = event(status, begins, severity, subject);
                event.sentence.clone_from(&lasting.sentence);
                events.push(event);
            }
        }
        events
    }

    fn follow_steps(&mut self, status: &Status, events: &mut Vec<Event>) {
        let own = status.nodes.iter().find(|node| node.own);
        let is_promoting = own.is_some_and(|own| daemon_state(own) == "promoting");
        let is_primary = own.is_some_and(|own| own.role == Role::Primary && own.connected);
        if is_promoting && !is_primary && !self.is_promoting {
            self.is_promoting = true;
            let mut event = event(status, "failover_started", Severity::Warning, "");
            let (own, sentence) = (&status.daemon, &status.failover.sentence);
            event.sentence = format!("promoting {own}: {sentence}");
            events.push(event);
        } else if self.is_promoting && (is_primary || !is_promoting) {
            self.is_promoting = false;
            if is_primary {
                let mut event = event(status, "failover_done", Severity::Warning, "");
                event.old_primary.clone_from(&self.primary);
                event.sentence = format!("{} was promoted", status.daemon);
                events.push(event);
            }
        }
        let primary = &status.cluster.primary;
        if primary.is_some() && *primary != self.primary {
            let old = std::mem::replace(&mut self.primary, primary.clone());
            if let (Some(old), Some(new)) = (old, primary) {
                let mut event = event(status, "primary_changed", Severity::Warning, new);
                event.sentence = format!("the primary is now {new} (previously: {old})");
                event.old_primary = Some(old);
                events.push(event);
            }
        }
    }
}

fn event(status: &Status, name: &'static str, severity: Severity, subject: &str) -> Event {
    let primary = &status.cluster.primary;
    let node = status
        .nodes
        .iter()
        .find(|node| Some(&node.name) == primary.as_ref());
    Event {
        event: name,
        severity,
        at: status.at.clone(),
        daemon: status.daemon.clone(),
        subject: Some(subject.to_owned()).filter(|subject| !subject.is_empty()),
        primary: primary.clone(),
        old_primary: None,
        timeline: node.and_then(|node| node.timeline),
        lsn: node.and_then(|node| node.replay.clone()),
        lasted: None,
        sentence: String::new(),
    }
}

fn daemon_state(node: &Node) -> &str {
    node.daemon
        .as_ref()
        .map_or("", |daemon| daemon.state.as_str())
}

/// Everything that is so now, with its sentence.
fn conditions(status: &Status) -> BTreeMap<Key, String> {
    let mut found = BTreeMap::new();
    let mut add = |kind, subject: &str, sentence: String| {
        found.insert((kind, subject.to_owned()), sentence);
    };
    let sentence = &status.cluster.sentence;
    match status.cluster.state {
        Health::NoPrimary => add(Kind::PrimaryLost, "", sentence.clone()),
        Health::SeveralPrimaries | Health::OutdatedPrimary => {
            add(Kind::SplitBrain, "", sentence.clone());
        }
        Health::Healthy | Health::Degraded | Health::Starting | Health::Unknown => {}
    }
    if status.failover.state == Readiness::Blocked {
        let sentence = format!("no failover is possible: {}", status.failover.sentence);
        add(Kind::FailoverBlocked, "", sentence);
    }
    if let Some(pause) = &status.pause {
        add(Kind::Paused, "", pause.sentence());
    }
    for node in &status.nodes {
        add_node(node, &mut add);
    }
    for observer in &status.observers {
        if let Some(sentence) = problem::of_observer(observer) {
            add(Kind::ObserverLost, &observer.name, sentence);
        }
    }
    for alert in &status.alerts {
        let known = Alert::ALL.iter().find(|it| alert_file(**it) == alert.name);
        let kind = match known {
            // Others say the same of each node.
            Some(
                Alert::MultiplePrimaries
                | Alert::ReplicationDelay
                | Alert::FailoverHasHappened
                | Alert::DivergedStandby,
            ) => continue,
            Some(Alert::AuthenticationError) => Kind::Authentication,
            Some(Alert::FailoverFailed) => Kind::FailoverFailed,
            _ => Kind::Alert,
        };
        add(kind, &alert.name, alert.text.clone());
    }
    for warning in &status.warnings {
        add(Kind::Warning, warning, warning.clone());
    }
    found
}

fn add_node(node: &Node, add: &mut impl FnMut(Kind, &str, String)) {
    let name = &node.name;
    let kind = match (node.standing, node.role) {
        // Of a primary the cluster's state says so.
        (Standing::Lost, Role::Standby | Role::Unknown) => Some(Kind::NodeLost),
        (Standing::Diverged | Standing::OtherCluster, _) => Some(Kind::StandbyDiverged),
        (Standing::OldTimeline, _) => Some(Kind::WrongUpstream),
        (Standing::Lagging, _) => Some(Kind::Lag),
        _ => None,
    };
    if let Some(kind) = kind {
        add(kind, name, problem::of_node(node).unwrap_or_default());
    }
    match daemon_state(node) {
        "gone" if node.connected => {
            let sentence = format!("pglookout of {name} has disconnected from its own server");
            add(Kind::PeerLost, name, sentence);
        }
        "maintenance" => {
            let sentence = problem::of_daemon(node).unwrap_or_default();
            add(Kind::Maintenance, name, sentence);
        }
        _ => {}
    }
}
