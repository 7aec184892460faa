//! From the configuration file to a running loop.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::{fmt, io};

use mio::{Interest, Poll};

use super::Daemon;
use super::children::Children;
use super::commands::PreviousFailover;
use super::datagrams::{Statsd, Syslog};
use super::ending::Ending;
use super::files::Files;
use super::flight::Flight;
use super::io::Io;
use super::journal::Journal;
use super::keyring::Keyring;
use super::listening::log_address;
use super::maintenance::Maintenance;
use super::peers::Peers;
use super::readers::Readers;
use super::registry::{Owner, Registry};
use super::reload::Reload;
use super::service::Service;
use super::shares::Shares;
use super::tls_files::TlsFiles;
use super::web::Web;
use crate::config::{Config, Loaded};
use crate::dns;
use crate::format::{MAX_STATE_FILE_BYTES, StateFile};
use crate::lookout::{Lookout, Memory};
use crate::net::Listener;
use crate::sys::clock::{self, Clock};
use crate::sys::files;
use crate::sys::process::{self, InheritedLimit};
use crate::sys::signals::Signals;

/// Runs the daemon on a configuration until it is told to end. Exit status 1 if it cannot begin.
pub fn run(config_path: &Path, loaded: Loaded) -> ExitCode {
    if crate::sys::log::init(loaded.config.log_level).is_err() {
        return ExitCode::FAILURE;
    }
    let mut syslog = Syslog::default();
    syslog.adopt(loaded.config.syslog.as_ref(), clock::monotonic());
    loaded
        .warnings
        .iter()
        .for_each(|warning| log::warn!("{warning}"));
    let outcome = begin(config_path, loaded.config, syslog)
        .and_then(|mut daemon| daemon.run().map_err(|error| about("the loop", &error)));
    let exit = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            log::error!("{reason}");
            ExitCode::FAILURE
        }
    };
    crate::sys::log::flush();
    exit
}

fn begin(config_path: &Path, config: Config, syslog: Syslog) -> Result<Daemon, String> {
    let signals = Signals::block().map_err(|error| about("signals", &error))?;
    let (limit, descriptors) = raise_descriptors();
    let poll = Poll::new().map_err(|error| about("epoll", &error))?;
    let registry = poll.registry().try_clone();
    let mut registry = Registry::new(registry.map_err(|error| about("epoll", &error))?);
    registry
        .register(&signals, Owner::Signals, Interest::READABLE)
        .map_err(|error| about("signals", &error))?;
    let listener = Listener::bind(config.http_address.as_deref(), config.http_port)
        .map_err(|error| error.to_string())?;
    let shares = Shares::of(descriptors, &config);
    let mut clock = Clock::start();
    let mut io = Io {
        registry,
        children: Children::new(limit, shares.left_open),
        readers: Readers::default(),
        addresses: dns::Cache::default(),
        tls_files: TlsFiles::default(),
        keyring: Keyring::default(),
        events: Vec::new(),
        metrics: Vec::new(),
        now: clock.now(),
    };
    let web = Web::new(listener, shares.clients, &mut io).map_err(|error| about("HTTP", &error))?;
    let boot_id = clock::boot_id();
    let memory = recall(&config, boot_id.as_deref());
    introduce(&config);
    log_address(config.http_address.as_deref(), config.http_port);
    let now = clock.now();
    io.now = now;
    let previous_failover = PreviousFailover::recall(&memory, &config, &mut io);
    let lookout = Lookout::new(Arc::new(config), &memory, now);
    let mut statsd = Statsd::default();
    statsd.adopt(lookout.config().statsd.as_ref(), now.mono);
    Ok(Daemon {
        service: Service::new(),
        statsd,
        syslog,
        flight: Flight::new(&lookout, &memory, now),
        clock,
        maintenance: Maintenance::of(&lookout.config().maintenance_mode_file),
        lookout,
        poll,
        io,
        signals,
        nodes: Peers::default(),
        observers: Peers::default(),
        previous_failover,
        files: Files::default(),
        web,
        descriptors,
        config_path: config_path.to_owned(),
        boot_id,
        page: None,
        journal: Journal::default(),
        ending: Ending::NotYet,
        reload: Reload::default(),
    })
}

/// What commands get back, and how many there may be now.
fn raise_descriptors() -> (Option<InheritedLimit>, u64) {
    match process::raise_descriptors() {
        Ok((inherited, raised)) => (Some(inherited), raised),
        Err(error) => {
            log::warn!("cannot raise the limit on open descriptors: {error}");
            (None, u64::MAX)
        }
    }
}

/// What a former process has left in the state file, as far as it makes sense.
fn recall(config: &Config, boot_id: Option<&str>) -> Memory {
    let read = match files::read_own(&config.state_file, MAX_STATE_FILE_BYTES) {
        Ok(bytes) => StateFile::read(&bytes).and_then(|file| file.recall(boot_id)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Memory::default(),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(recalled) => {
            let level = if recalled.odd.is_empty() {
                log::Level::Info
            } else {
                log::Level::Warn
            };
            log::log!(level, "{}: {recalled}", config.state_file.display());
            recalled.memory
        }
        Err(reason) => {
            log::warn!(
                "{}: starting without it: {reason}",
                config.state_file.display()
            );
            Memory::default()
        }
    }
}

fn introduce(config: &Config) {
    let version = env!("CARGO_PKG_VERSION");
    match &config.own_db {
        Some(own) => log::info!(
            "pglookout {version} beside {own}, {} nodes in the cluster",
            config.nodes.len()
        ),
        None => log::info!(
            "pglookout {version} observing {} nodes; an observer never promotes",
            config.nodes.len()
        ),
    }
}

fn about(what: &str, error: &dyn fmt::Display) -> String {
    format!("{what}: {error}")
}
