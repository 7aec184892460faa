//! What this daemon shows of itself on the servers that it polls.

use std::sync::Arc;

use crate::cluster::{DaemonState, PauseMark, Presence, daemon_name, fingerprint};
use crate::config::{Config, NodeName};

/// The name of our sessions, renewed when the state or the settings change.
#[derive(Debug)]
pub(super) struct OwnPresence {
    daemon: String,
    settings: String,
    state: DaemonState,
    pause: PauseMark,
    session: Arc<str>,
}

impl OwnPresence {
    pub(super) fn new(config: &Config) -> Self {
        let mut presence = Self {
            daemon: String::new(),
            settings: String::new(),
            state: DaemonState::default(),
            pause: PauseMark::default(),
            session: Arc::from(""),
        };
        presence.adopt(config);
        presence
    }

    /// Other settings are in force.
    pub(super) fn adopt(&mut self, config: &Config) {
        let own = config.own_db.as_ref().map(|own| own.as_str().to_owned());
        self.daemon = daemon_name(&own.unwrap_or_else(|| observer_name(config)));
        self.settings = settings(config);
        self.rename();
    }

    /// Shows this from the next poll on.
    pub(super) fn show(&mut self, state: DaemonState, pause: PauseMark) {
        if (state, pause) != (self.state, self.pause) {
            (self.state, self.pause) = (state, pause);
            self.rename();
        }
    }

    /// The name of our sessions.
    pub(super) fn session(&self) -> &Arc<str> {
        &self.session
    }

    /// The fingerprint of our settings.
    pub(super) fn settings(&self) -> &str {
        &self.settings
    }

    /// Our own name in it.
    pub(super) fn daemon(&self) -> &str {
        &self.daemon
    }

    fn rename(&mut self) {
        let name = Presence::session_name(&self.daemon, self.state, self.pause, &self.settings);
        self.session = Arc::from(name);
    }
}

/// An observer is named like its host, but never like a node: that is the name of the daemon beside it.
fn observer_name(config: &Config) -> String {
    let host = config.host_name.as_deref().unwrap_or("observer");
    match config.nodes.contains_key(&NodeName::from(host)) {
        true => format!("observer@{host}"),
        false => host.to_owned(),
    }
}

/// The fingerprint of the settings on which daemons of one cluster must agree.
fn settings(config: &Config) -> String {
    let Config {
        nodes,
        poll_interval,
        check_interval,
        warning_lag,
        failover_lag,
        missing_primary_timeout,
        quorum,
        ranking,
        never_promote,
        failover_priorities,
        known_gone,
        ..
    } = config;
    let nodes: Vec<_> = nodes.keys().collect();
    let times = [
        poll_interval,
        check_interval,
        warning_lag,
        failover_lag,
        missing_primary_timeout,
    ];
    let agreed = (
        nodes,
        times,
        quorum,
        ranking,
        never_promote,
        failover_priorities,
        known_gone,
    );
    fingerprint(format!("{agreed:?}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};

    #[track_caller]
    fn check(settings: &str, host: Option<&str>, expected: &str) {
        let text = format!(r#"{{"remote_conns": {{"a": "host=a", "b": "host=b"}}{settings}}}"#);
        let environment = Environment {
            host_name: host.map(str::to_owned),
            ..Environment::default()
        };
        let config = parse(&text, &environment).unwrap().config;
        assert_eq!(OwnPresence::new(&config).daemon(), expected);
    }

    #[test]
    fn no_observer_has_the_name_of_a_nodes_daemon() {
        check(r#", "own_db": "a""#, Some("host-7"), "a");
        check("", Some("host-7"), "host-7");
        check("", Some("b"), "observer@b");
        check("", None, "observer");
    }
}
