//! SIGHUP: the configuration read again, and everybody told of it. One that cannot be used changes
//! nothing.

use std::sync::Arc;

use super::keyring::Keyring;
use super::shares::Shares;
use super::{Daemon, address_book};
use crate::config::{Change, Config, changes};
use crate::lookout::{Event, Trouble};
use crate::sys::{config_file, log as our_log};
use crate::time::Now;

impl Daemon {
    /// Takes over what the file says now.
    pub(super) fn reload(&mut self, now: Now) {
        self.service.reloading(now.mono);
        match config_file::load(&self.config_path) {
            Ok(loaded) => {
                loaded
                    .warnings
                    .iter()
                    .for_each(|warning| log::warn!("{warning}"));
                self.adopt(loaded.config, now);
            }
            Err(error) => {
                error
                    .to_string()
                    .lines()
                    .for_each(|line| log::error!("{line}"));
                log::error!("configuration not reloaded: keeping the current configuration");
                self.io.trouble(Trouble::Configuration, "reload");
            }
        }
        self.service.ready(now.mono);
    }

    fn adopt(&mut self, mut config: Config, now: Now) {
        let old = Arc::clone(self.lookout.config());
        let listening = &mut self.web.listening;
        listening.adopt(&old, &mut config, &mut self.io);
        say_what_changed(&old, &config);
        self.syslog.adopt(config.syslog.as_ref(), now.mono);
        self.statsd.adopt(config.statsd.as_ref(), now.mono);
        self.io.tls_files = Keyring::default();
        self.nodes.adopt(&config, &mut self.io);
        self.observers.adopt(&config, &mut self.io);
        let shares = Shares::of(self.descriptors, &config);
        self.web.set_max_clients(shares.clients);
        self.io.children.set_max_open_pipes(shares.left_open);
        self.files
            .retain(|path| path == config.state_file || path.parent() == Some(&config.alert_dir));
        address_book::adopt(&config, &mut self.io);
        self.io.events.push(Event::ConfigLoaded(Arc::new(config)));
    }
}

/// At the more talkative of both levels, so that a change of it is seen either way.
fn say_what_changed(old: &Config, new: &Config) {
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
