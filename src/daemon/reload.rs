//! SIGHUP: the configuration read again, beside all else, handed to the core, and then taken over by
//! everybody. One that cannot be used changes nothing.

use std::sync::Arc;
use std::time::Duration;

use super::keyring::Keyring;
use super::readers::{Answer, Question};
use super::shares::Shares;
use super::{Daemon, address_book, config_loader};
use crate::config::{Change, Config, changes};
use crate::lookout::{Event, Trouble};
use crate::sys::log as our_log;

/// How far a reload has come.
#[derive(Default)]
pub(super) enum Reload {
    #[default]
    Idle,
    /// A child reads the files. `again`: there was another SIGHUP meanwhile.
    Reading { again: bool },
    /// To be handed to the core in its next turn.
    Loaded { config: Box<Config>, again: bool },
}

impl Reload {
    pub(super) fn is_loaded(&self) -> bool {
        matches!(self, Self::Loaded { .. })
    }
}

impl Daemon {
    /// Begins to read the files anew, or remembers to do so after the reload that is under way.
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
        let gather = || config_loader::gather(path);
        self.io.ask(Question::Configuration, TIME_TO_READ, gather);
    }

    /// The files were read, or could not be in time.
    pub(super) fn configuration_read(&mut self, answer: Answer) {
        let Reload::Reading { again } = self.reload else {
            return;
        };
        let path = &self.config_path;
        let loaded = answer
            .map_err(|reason| format!("{}: {reason}", path.display()))
            .and_then(|gathered| config_loader::load_gathered(path, &gathered));
        match loaded {
            Ok(loaded) => {
                let warnings = loaded.warnings.iter();
                warnings.for_each(|warning| log::warn!("{warning}"));
                self.maintenance.watch(&loaded.config.maintenance_mode_file);
                let config = Box::new(loaded.config);
                self.reload = Reload::Loaded { config, again };
            }
            Err(reasons) => {
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

    /// Makes a configuration that was loaded the core's next event. An address that cannot be
    /// listened on is corrected first.
    pub(super) fn hand_over_configuration(&mut self) -> Option<Replaced> {
        if !self.reload.is_loaded() {
            return None;
        }
        let Reload::Loaded { mut config, again } = std::mem::take(&mut self.reload) else {
            return None;
        };
        let old = Arc::clone(self.lookout.config());
        let listening = &mut self.web.listening;
        listening.adopt(&old, &mut config, &mut self.io);
        self.io.events.push(Event::ConfigLoaded(Arc::from(config)));
        Some(Replaced { old, again })
    }

    /// The core has the new configuration: everybody else takes it over.
    pub(super) fn adopt(&mut self, replaced: &Replaced) {
        let now = self.io.now;
        let config = Arc::clone(self.lookout.config());
        log_changes(&replaced.old, &config);
        self.syslog.adopt(config.syslog.as_ref(), now.mono);
        self.statsd.adopt(config.statsd.as_ref(), now.mono);
        self.io.tls_files.adopt(&config);
        self.io.keyring = Keyring::default();
        self.nodes.adopt(&config, &mut self.io);
        self.observers.adopt(&config, &mut self.io);
        let shares = Shares::of(self.descriptors, &config);
        self.web.set_max_clients(shares.clients);
        self.io.children.set_max_open_pipes(shares.left_open);
        self.files
            .retain(|path| path == config.state_file || path.parent() == Some(&config.alert_dir));
        address_book::adopt(&config, &mut self.io);
        self.end_reload(replaced.again);
    }
}

/// A configuration was replaced in this turn.
pub(super) struct Replaced {
    old: Arc<Config>,
    /// There was another SIGHUP meanwhile.
    again: bool,
}

/// At the more talkative of both levels, so that a change of it is seen either way.
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
    changes
        .iter()
        .take(MOST_SAID)
        .for_each(|change| log::info!("{change}"));
    if changes.len() > MOST_SAID {
        log::info!("and {} more changes", changes.len() - MOST_SAID);
    }
    our_log::set_level(new.log_level);
}

/// Changes that get a line each.
const MOST_SAID: usize = 50;
/// After which a reload is given up.
const TIME_TO_READ: Duration = Duration::from_secs(10);
