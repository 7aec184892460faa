//! From the configuration file to a running loop.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::{fmt, io};

use mio::{Interest, Poll};

use super::{Daemon, Reload};

use super::alerts::Alerts;
use super::children::Children;
use super::commands::PreviousFailover;
use super::datagrams::{Statsd, Syslog};
use super::descriptors::DescriptorLimits;
use super::file_writes::FileWrites;
use super::flight_recorder::FlightRecorder;
use super::guard::GuardKeeper;
use super::io::Io;
use super::notifier::Notifier;
use super::operator_files::OperatorFiles;
use super::pages::Beside;
use super::peers::Peers;
use super::readers::Readers;
use super::registry::{Owner, Registry};
use super::service::Service;
use super::shutdown::Shutdown;
use super::tls_files::TlsFiles;
use super::trust::TrustCache;
use super::vote_files::VoteFiles;
use super::web::Web;
use crate::config::{Config, Loaded};
use crate::dns;
use crate::format::{MAX_STATE_FILE_BYTES, StateFile};
use crate::lookout::{Lookout, Memory};
use crate::status::{Configuration, Counts};
use crate::sys::clock::{self, Clock};
use crate::sys::files;
use crate::sys::process::{self, InheritedLimit};
use crate::sys::signals::Signals;

/// Runs the daemon until a signal ends it. Exit status 1 if it cannot start.
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
    let outcome = start(config_path, loaded.config, syslog)
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

pub(super) fn start(config_path: &Path, config: Config, syslog: Syslog) -> Result<Daemon, String> {
    let signals = Signals::block().map_err(|error| about("signals", &error))?;
    let (inherited, max_descriptors) = raise_descriptors();
    let poll = Poll::new().map_err(|error| about("epoll", &error))?;
    let registry = poll.registry().try_clone();
    let mut registry = Registry::new(registry.map_err(|error| about("epoll", &error))?);
    registry
        .register(&signals, Owner::Signals, Interest::READABLE)
        .map_err(|error| about("signals", &error))?;
    let limits = DescriptorLimits::of(max_descriptors, &config);
    let mut clock = Clock::start();
    let mut io = Io {
        registry,
        children: Children::new(inherited, limits.open_outputs),
        readers: Readers::default(),
        names: dns::Cache::default(),
        tls_files: TlsFiles::default(),
        trust: TrustCache::default(),
        vote_lock: None,
        events: Vec::new(),
        late_events: Vec::new(),
        metrics: Vec::new(),
        now: clock.now(),
    };
    let boot_id = clock::boot_id();
    let memory = load_memory(&config, boot_id.as_deref());
    log_version(&config);
    let now = clock.now();
    io.now = now;
    let mut web = Web::new(limits.http_clients);
    web.listening.start(&config, &mut io);
    let previous_failover = PreviousFailover::recall(&memory, &config, &mut io);
    let lookout = Lookout::new(Arc::new(config), &memory, now);
    let mut statsd = Statsd::default();
    statsd.adopt(lookout.config().statsd.as_ref(), now.mono);
    let vote_files = VoteFiles::new(lookout.config());
    Ok(Daemon {
        service: Service::new(),
        statsd,
        syslog,
        recorder: FlightRecorder::new(&lookout, &memory, now),
        clock,
        beside: Beside {
            alerts: Alerts::new(&lookout.config().alert_dir),
            counts: Counts::default(),
            operator_files: OperatorFiles::new(lookout.config()),
            configuration: Configuration::loaded(now.wall),
            started_at: now.mono,
        },
        notifier: Notifier::default(),
        lookout,
        poll,
        io,
        signals,
        nodes: Peers::default(),
        observers: Peers::default(),
        voters: Peers::default(),
        vote_files,
        guard: GuardKeeper::default(),
        previous_failover,
        files: FileWrites::default(),
        web,
        max_descriptors,
        config_path: config_path.to_owned(),
        boot_id,
        shutdown: Shutdown::NotRequested,
        reload: Reload::default(),
    })
}

/// The limit that commands get back, and the limit of this process.
fn raise_descriptors() -> (Option<InheritedLimit>, u64) {
    match process::raise_descriptors() {
        Ok((inherited, raised)) => (Some(inherited), raised),
        Err(error) => {
            log::warn!("cannot raise the limit on open descriptors: {error}");
            (None, u64::MAX)
        }
    }
}

/// What the previous process has left in the state file.
fn load_memory(config: &Config, boot_id: Option<&str>) -> Memory {
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

fn log_version(config: &Config) {
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
