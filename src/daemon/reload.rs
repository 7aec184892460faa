//! SIGHUP: a child process reads the configuration, the core gets it as an event, and then every
//! component adopts it. One that cannot be used changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::descriptors::DescriptorLimits;
use super::readers::{ReadRequest, ReadResult};
use super::trust::TrustCache;
use super::{Daemon, Reload, config_loader, names};
use crate::config::{Change, Config, changes};
use crate::lookout::{Event, Trouble};
use crate::status::Configuration;
use crate::sys::log as our_log;

impl Daemon {
    /// At once, or after the reload that is in progress.
    pub(super) fn reload(&mut self) {
        self.service.reloading(self.io.now.mono);
        match &mut self.reload {
            Reload::Idle => self.read_configuration(),
            Reload::Reading { again } | Reload::Loaded { again, .. } => *again = true,
        }
    }

    fn read_configuration(&mut self) {
        self.reload = Reload::Reading { again: false };
        let path = &self.config_path;
        let collect = || config_loader::collect(path);
        self.io
            .read_in_child(ReadRequest::Configuration, TIME_LIMIT, collect);
    }

    pub(super) fn configuration_read(&mut self, result: ReadResult) {
        let Reload::Reading { again } = self.reload else {
            return;
        };
        let path = &self.config_path;
        let loaded = result
            .map_err(|reason| format!("{}: {reason}", path.display()))
            .and_then(|collected| config_loader::load_collected(path, &collected));
        match loaded {
            Ok(loaded) => {
                let warnings = loaded.warnings.iter();
                warnings.for_each(|warning| log::warn!("{warning}"));
                self.beside.operator_files.adopt(&loaded.config);
                let config = Box::new(loaded.config);
                self.reload = Reload::Loaded { config, again };
            }
            Err(reasons) => {
                let now = self.io.now.wall;
                self.beside.configuration.refuse(now, &reasons);
                reasons.lines().for_each(|line| log::error!("{line}"));
                log::error!("configuration not reloaded: keeping the current configuration");
                self.io.trouble(Trouble::Configuration, "reload");
                self.end_reload(again);
            }
        }
    }

    fn end_reload(&mut self, again: bool) {
        if again {
            self.read_configuration();
        } else {
            self.reload = Reload::Idle;
            self.service.ready(self.io.now.mono);
        }
    }

    /// Makes a loaded configuration the next event of the core. A listen address that cannot be used
    /// is replaced by the current one first.
    pub(super) fn push_loaded_configuration(&mut self) -> Option<Replaced> {
        let (mut config, again) = match std::mem::take(&mut self.reload) {
            Reload::Loaded { config, again } => (config, again),
            other => {
                self.reload = other;
                return None;
            }
        };
        let old = Arc::clone(self.lookout.config());
        let listening = &mut self.web.listening;
        listening.adopt(&old, &mut config, &mut self.io);
        self.io.events.push(Event::ConfigLoaded(Arc::from(config)));
        Some(Replaced { old, again })
    }

    /// After the core: every component takes over the new configuration.
    pub(super) fn adopt(&mut self, replaced: &Replaced) {
        let now = self.io.now;
        let config = Arc::clone(self.lookout.config());
        self.beside.configuration = Configuration::loaded(now.wall);
        log_changes(&replaced.old, &config);
        self.syslog.adopt(config.syslog.as_ref(), now.mono);
        self.statsd.adopt(config.statsd.as_ref(), now.mono);
        self.io.tls_files.adopt(&config);
        self.io.trust = TrustCache::default();
        self.nodes.adopt(&config, &mut self.io);
        self.observers.adopt(&config, &mut self.io);
        self.voters.adopt(&config, &mut self.io);
        self.vote_files.adopt(&config, now.mono);
        let limits = DescriptorLimits::of(self.max_descriptors, &config);
        self.web.clients.max = limits.http_clients;
        self.io.children.max_open_outputs = limits.open_outputs;
        let votes = config.voting.as_ref().map(|voting| &voting.directory);
        self.files.retain(|path| {
            let directory = path.parent();
            let is_vote = directory.is_some() && directory == votes.map(PathBuf::as_path);
            path == config.state_file || directory == Some(&config.alert_dir) || is_vote
        });
        self.beside.alerts.adopt(&config.alert_dir);
        names::adopt(&config, &mut self.io);
        self.end_reload(replaced.again);
    }
}

/// The configuration that was replaced in this turn.
pub(super) struct Replaced {
    old: Arc<Config>,
    /// There was another SIGHUP meanwhile.
    again: bool,
}

/// At the lower of both log levels, so that a change of the level is always seen.
fn log_changes(old: &Config, new: &Config) {
    our_log::set_level(old.log_level.max(new.log_level));
    let changes = changes(old, new);
    let mut keys: Vec<&str> = changes.iter().map(Change::key).collect();
    keys.dedup();
    let keys = if keys.is_empty() {
        "nothing".to_owned()
    } else {
        keys.join(", ")
    };
    log::info!("configuration reloaded; changed: {keys}");
    for change in changes.iter().take(MAX_LOGGED) {
        log::info!("{change}");
    }
    if changes.len() > MAX_LOGGED {
        log::info!("and {} more changes", changes.len() - MAX_LOGGED);
    }
    our_log::set_level(new.log_level);
}

/// Changes with a line each.
const MAX_LOGGED: usize = 50;
/// For reading all files of a configuration.
const TIME_LIMIT: Duration = Duration::from_secs(10);
