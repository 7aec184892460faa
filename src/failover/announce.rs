//! Announce, then look: who would promote shows so on every server that it reaches, polls everybody
//! once more, and gives way to whoever promotes already or goes first (behaviour.md, "The decision"
//! d). So two daemons that reach one server throughout never both promote.

use std::time::Duration;

use super::blocker::{Blocker, LookAgain};
use super::candidate::{Candidate, priority};
use super::snapshot::{Announcement, Snapshot};
use super::verdict::Verdict;
use crate::cluster::{DaemonState, Lsn, Presence, Witness, daemon_name};
use crate::config::{NodeName, ObserverName};

/// What another daemon shows.
struct Shown {
    daemon: String,
    state: DaemonState,
    settings: String,
    witness: Witness,
}

impl Snapshot<'_> {
    /// Our own name in sessions.
    pub(super) fn own_daemon(&self) -> Option<String> {
        let own = self.config.own_db.as_ref();
        own.map(|own| daemon_name(own.as_str()))
    }

    /// Another daemon that is promoting its node, wherever it shows so.
    pub(super) fn other_promotes(&self) -> Option<Blocker> {
        let mut shown = self.shown().into_iter();
        let promotes = shown.find(|shown| shown.state == DaemonState::Promoting)?;
        Some(Blocker::OtherPromotes {
            daemon: promotes.daemon,
            witness: promotes.witness,
        })
    }

    /// What has to come before our promotion; `None`: nothing any more.
    pub(super) fn announcement(&self, winner: &Candidate) -> Option<Verdict> {
        // Without a command nothing will be promoted: an announcement would only hold others up.
        if self.config.failover_command.is_none() || !self.is_presence_shown() {
            return None;
        }
        let again = |why| {
            let winner = winner.clone();
            Some(Verdict::Announce { winner, why })
        };
        let Some(announced) = self.announced else {
            return again(LookAgain::Announced);
        };
        let mut others = Vec::new();
        for shown in self.shown() {
            let DaemonState::Wants(position) = shown.state else {
                continue;
            };
            if self.goes_before(&shown, position, winner, announced) {
                return Some(Verdict::Hold(Blocker::OtherAnnounced {
                    daemon: shown.daemon,
                    witness: shown.witness,
                }));
            }
            others.push(shown.daemon);
        }
        if !others.is_empty() {
            return again(LookAgain::OthersAnnounced { daemons: others });
        }
        if announced.by_script {
            return None;
        }
        let nodes = self.not_showing(announced);
        if !nodes.is_empty() {
            return again(LookAgain::NotShown { nodes });
        }
        let observers = self.old_relays(announced);
        (!observers.is_empty())
            .then(|| again(LookAgain::OldRelay { observers }))
            .flatten()
    }

    /// By the announced positions, then priority, then name. Daemons with different settings may each
    /// take their own node for the preferred one: between them priorities are left out, or both would
    /// wait for ever.
    fn goes_before(
        &self,
        other: &Shown,
        position: Option<Lsn>,
        winner: &Candidate,
        announced: Announcement,
    ) -> bool {
        let nodes = self.config.nodes.keys();
        let node = nodes
            .into_iter()
            .find(|node| daemon_name(node.as_str()) == other.daemon);
        let known = node.and_then(|node| self.map.standbys.get(node));
        let position = position.or_else(|| known.map(|standby| standby.position()));
        // One of whom nothing is known goes first: holding costs time, two primaries cost data.
        let Some(position) = position else {
            return true;
        };
        let agree = self
            .own_settings()
            .is_none_or(|ours| ours == other.settings);
        let theirs = node.map_or(0, |node| priority(self.config, node));
        let priorities = agree.then_some((theirs, winner.priority));
        let (theirs, ours) = priorities.unwrap_or_default();
        let own = daemon_name(winner.node.as_str());
        let theirs = (position, theirs, other.daemon.as_str());
        theirs > (announced.position, ours, own.as_str())
    }

    /// Our fingerprint, as a server that we reach shows it.
    fn own_settings(&self) -> Option<&str> {
        let own = self.own_daemon()?;
        let ours = self.sessions().find(|session| session.daemon == own);
        ours.map(|session| session.settings.as_str())
    }

    /// The daemons' sessions that servers show which we reach.
    pub(super) fn sessions(&self) -> impl Iterator<Item = &Presence> {
        let nodes = self.state.nodes.values().filter(|node| node.is_connected());
        let shown = nodes.filter_map(|node| node.answer.as_ref()?.daemons.as_ref());
        shown.flatten()
    }

    /// Does any server that we reach, or an observer does, show sessions.
    fn is_presence_shown(&self) -> bool {
        let nodes = self.state.nodes.values().filter(|node| node.is_connected());
        let mut answers = nodes.filter_map(|node| node.answer.as_ref());
        answers.any(|answer| answer.daemons.is_some()) || !self.shown().is_empty()
    }

    /// Servers that show sessions, but not ours as it is announced: an answer from before may show
    /// an earlier announcement that was withdrawn.
    fn not_showing(&self, announced: Announcement) -> Vec<NodeName> {
        let own = self.own_daemon();
        let is_ours = |presence: &Presence| {
            Some(&presence.daemon) == own.as_ref()
                && matches!(presence.state, DaemonState::Wants(_))
        };
        let nodes = self.state.nodes.iter();
        let nodes = nodes.filter(|(_, node)| node.is_connected());
        let nodes = nodes.filter_map(|(name, node)| Some((name, node.answer.as_ref()?)));
        nodes
            .filter(|(_, answer)| {
                let daemons = answer.daemons.as_ref();
                let is_later = answer.at > announced.at;
                daemons.is_some_and(|daemons| !is_later || !daemons.iter().any(is_ours))
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Observers whose relay of a server that we do not reach is older than our announcement. They
    /// are waited for no longer than the limit.
    fn old_relays(&self, announced: Announcement) -> Vec<ObserverName> {
        if self.now.since(announced.at) >= self.config.failover_lag {
            return Vec::new();
        }
        let is_reached = |node: &NodeName| {
            let node = self.state.nodes.get(node);
            node.is_some_and(|node| node.is_connected())
        };
        let is_old = |observer: &&ObserverName| {
            let sightings = self.state.observers.get(*observer);
            let mut sightings = sightings.into_iter().flat_map(|state| &state.nodes);
            sightings.any(|(node, sighting)| {
                let at = sighting.at.before(sighting.resolution);
                let shows = sighting.connected && sighting.daemons.is_some();
                shows && !is_reached(node) && at <= announced.at
            })
        };
        let observers = self.map.connected_observers.iter();
        observers.filter(is_old).cloned().collect()
    }

    /// What other daemons show, on servers that we reach and through observers. A session that was
    /// not used for three polls is nobody's.
    fn shown(&self) -> Vec<Shown> {
        let own = self.own_daemon();
        let young = self.config.poll_interval * MAX_SESSION_POLLS;
        let mut shown = Vec::new();
        let mut take = |daemons: &[Presence], since: Duration, witness: Witness| {
            for presence in daemons {
                let is_other = Some(&presence.daemon) != own.as_ref();
                if is_other && presence.age.saturating_add(since) < young {
                    shown.push(Shown {
                        daemon: presence.daemon.clone(),
                        state: presence.state,
                        settings: presence.settings.clone(),
                        witness: witness.clone(),
                    });
                }
            }
        };
        for node in self.state.nodes.values().filter(|node| node.is_connected()) {
            if let Some(answer) = &node.answer {
                let since = self.now.since(answer.at);
                take(
                    answer.daemons.as_deref().unwrap_or_default(),
                    since,
                    Witness::Ourselves,
                );
            }
        }
        for name in &self.map.connected_observers {
            let sightings = self.state.observers.get(name);
            for sighting in sightings.into_iter().flat_map(|state| state.nodes.values()) {
                // What a server showed before the observer lost it grows old.
                let since = self.now.since(sighting.reported_at);
                let daemons = sighting.daemons.as_deref().unwrap_or_default();
                take(daemons, since, Witness::Observer(name.clone()));
            }
        }
        shown
    }
}

/// A session counts for so many poll intervals after it was last used.
const MAX_SESSION_POLLS: u32 = 3;

#[cfg(test)]
#[path = "announce_tests.rs"]
mod tests;
