//! What an operator should know while all is well: settings that differ, daemons that are gone,
//! witnesses that see nothing. Nothing is decided by it.

use std::collections::BTreeMap;

use super::Snapshot;
use crate::cluster::Reached;
use crate::config::{NodeName, Ranking};

impl Snapshot<'_> {
    /// One sentence for each, without figures, so that what lasts reads the same each time.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.unknown_roles());
        warnings.extend(self.two_names());
        warnings.extend(self.shared_addresses());
        if matches!(self.map.reached, Reached::Primary(_)) {
            warnings.extend(self.blind_observers());
            warnings.extend(self.missing_daemons());
            warnings.extend(self.ranking());
        }
        warnings.extend(self.differing_settings());
        warnings
    }

    /// Its role is not known yet: it cannot win, and might be a primary.
    fn unknown_roles(&self) -> impl Iterator<Item = String> {
        let unknown = self.map.unknown.iter();
        unknown
            .map(|node| format!("node {node} has never reported its role: it cannot be promoted"))
    }

    fn two_names(&self) -> Option<String> {
        let connected = &self.map.connected_primaries;
        let is_one = matches!(self.map.reached, Reached::Primary(_));
        let names: Vec<_> = connected.keys().map(NodeName::as_str).collect();
        (is_one && names.len() > 1).then(|| {
            let names = names.join(", ");
            format!("remote_conns: {names} are one server under several names")
        })
    }

    fn shared_addresses(&self) -> Vec<String> {
        let mut by_address: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for (name, url) in &self.config.observers {
            let names = by_address.entry((&url.host, url.port)).or_default();
            names.push(name.as_str());
        }
        let shared = by_address.into_values().filter(|names| names.len() > 1);
        shared
            .map(|names| {
                let names = names.join(", ");
                format!("observers: {names} have one address: they are one vote")
            })
            .collect()
    }

    /// A witness that never saw the primary has no vote when it is needed.
    fn blind_observers(&self) -> Vec<String> {
        let Some(primary) = self.remembered else {
            return Vec::new();
        };
        let observers = self.map.connected_observers.iter();
        let blind = observers.filter(|name| {
            let state = self.state.observers.get(*name);
            state.is_some_and(|state| !state.seen_primaries.contains(primary))
        });
        blind
            .map(|name| {
                format!("observer {name} has never reached the primary {primary}: it has no vote")
            })
            .collect()
    }

    /// A daemon that its node's own server showed before, and shows no more.
    fn missing_daemons(&self) -> Vec<String> {
        let nodes = self
            .state
            .nodes
            .iter()
            .filter(|(_, node)| node.is_connected());
        let gone = nodes.filter(|(_, node)| node.own_daemon.is_some_and(|daemon| daemon.is_gone()));
        gone.map(|(node, _)| format!("pglookout of {node} has disconnected from its own server"))
            .collect()
    }

    /// Do standbys run the original, and is that taken into account. It shows no presence.
    fn ranking(&self) -> Vec<String> {
        let own = self.config.own_db.as_ref();
        let others = self.map.standbys.keys().filter(|node| Some(*node) != own);
        let others: Vec<_> = others
            .filter(|node| !self.config.never_promote.contains(*node))
            .collect();
        let unshown = others.iter().filter(|node| self.shows_no_daemon(node));
        let daemon = |node: &NodeName| {
            let daemon = self.state.nodes.get(node);
            daemon.is_some_and(|node| node.own_daemon.is_some_and(|daemon| !daemon.is_gone()))
        };
        match self.config.ranking {
            Ranking::Furthest => unshown
                .map(|node| {
                    format!("no pglookout shows itself on {node}: nobody promotes it, or the Python version does; as long as that runs anywhere set failover_ranking to \"original\" on every other host")
                })
                .collect(),
            Ranking::Original if own.is_some() && others.iter().all(|node| daemon(node)) => vec![
                "every standby shows its pglookout: \"failover_ranking\": \"original\" is not needed any more".to_owned(),
            ],
            Ranking::Original => Vec::new(),
        }
    }

    /// Its server shows our own session, and has never shown one of its own daemon.
    fn shows_no_daemon(&self, node: &NodeName) -> bool {
        let Some((state, own)) = self.state.nodes.get(node).zip(self.own_daemon()) else {
            return false;
        };
        let shown = state
            .answer
            .as_ref()
            .and_then(|answer| answer.daemons.as_ref());
        let shows_us = shown.is_some_and(|shown| shown.iter().any(|it| it.daemon == own));
        state.is_connected() && shows_us && state.own_daemon.is_none()
    }

    fn differing_settings(&self) -> Vec<String> {
        let own = self.own_daemon();
        let sessions = self.sessions();
        let fingerprints: BTreeMap<&str, &str> = sessions
            .map(|session| (session.daemon.as_str(), session.settings.as_str()))
            .collect();
        let Some(ours) = own.and_then(|own| fingerprints.get(own.as_str()).copied()) else {
            return Vec::new();
        };
        let others = fingerprints
            .iter()
            .filter(|(_, settings)| **settings != ours);
        others
            .map(|(daemon, _)| {
                format!("pglookout of {daemon} has other settings than this one: nodes, limits, intervals, quorum, priorities, never_promote_these_nodes or known_gone_nodes")
            })
            .collect()
    }
}
