//! What an operator asks first: is the cluster well, would a failover work, and what is known of each
//! node. One value for the command line, the page and the metrics; made from the core, decided
//! nothing by.
//!
//! It is read from daemons of other versions too: what is missing is left out.

mod alert;
mod configuration;
mod counts;
mod elections;
mod events;
mod headline;
mod lag_history;
mod metrics;
mod model;
mod node;
mod pause;
mod problem;
mod stored;
mod view;
mod voter_lists;

use std::collections::BTreeMap;
use std::time::Duration;

pub use alert::{RaisedAlert, StandingAlert};
pub use configuration::Configuration;
pub use counts::{Counts, Total};
pub use elections::Elections;
pub use events::{Event, Patiences, Severity, Watcher};
pub use headline::longest_to_promotion;
pub use lag_history::LagHistory;
pub use metrics::{Usage, metrics};
pub use model::{Cluster, Failover, Health, Observer, Readiness, Session, Status};
pub use node::{Daemon, Node, Role, Standing};
pub use pause::Pause;
pub use view::View;
pub use voter_lists::VoterLists;

pub use crate::cluster::MAX_CLOCK_SKEW;
use crate::cluster::Presence;
use crate::config::{ObserverName, ObserverUrl};
use crate::format::{Ballot, Change};
use crate::time::timestamp;
use view::age;

impl Status {
    /// As of now.
    pub fn new(view: &View<'_>) -> Self {
        let lookout = view.lookout;
        let prospect = lookout.prospect(view.map, view.now.mono);
        let nodes = node::all(view, &prospect);
        let observers = observers(view);
        let daemons = daemons(view);
        let (mark, pause) = Pause::of(view);
        let problems = problem::all(&nodes, &observers);
        let round = lookout.last_round();
        let warnings = round.map(|round| round.figures.warnings.clone());
        let warnings = view
            .configuration
            .warning()
            .into_iter()
            .chain(warnings.into_iter().flatten());
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: timestamp::format_millis(view.now.wall),
            daemon: lookout.daemon().to_owned(),
            configuration: view.configuration.clone(),
            node: lookout.config().own_db.as_ref().map(ToString::to_string),
            cluster: Cluster::default(),
            failover: headline::failover(view, &prospect, pause.as_ref()),
            pause,
            pause_mark: mark.to_string(),
            nodes,
            observers,
            daemons,
            votes: Ballot::from(&prospect.votes),
            voter_lists: VoterLists::all(lookout),
            alerts: view.alerts.iter().map(StandingAlert::from).collect(),
            problems,
            warnings: warnings.collect(),
            decision: round.map(headline::last_decision),
            changes: lookout.changes().iter().rev().map(Change::from).collect(),
        };
        status.cluster = headline::cluster(view, &status);
        status
    }
}

/// Each once, by the server that saw it last.
fn daemons(view: &View<'_>) -> Vec<Session> {
    let lookout = view.lookout;
    let mut sessions: BTreeMap<&str, (Duration, &Presence)> = BTreeMap::new();
    for (age, presence) in view.presences() {
        let known = sessions.entry(&presence.daemon).or_insert((age, presence));
        if age < known.0 {
            *known = (age, presence);
        }
    }
    let session = |(_, presence): (Duration, &Presence)| Session {
        name: presence.daemon.clone(),
        state: presence.state.to_string(),
        pause: presence.pause.to_string(),
        agrees: presence.settings == lookout.settings(),
    };
    sessions.into_values().map(session).collect()
}

fn observers(view: &View<'_>) -> Vec<Observer> {
    let configured = view.lookout.config().observers.iter();
    let observer = |(name, url): (&ObserverName, &ObserverUrl)| {
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

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
