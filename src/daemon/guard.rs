//! The guard of our own server: a process that fences it when its lease is nearly over, and outlives us.
//! Here it is started, given its time, and replaced when it has died or is to run another command.

use std::io;
use std::time::Duration;

use super::file_writes::{FileWrites, VOTES};
use super::io::Io;
use crate::config::{Config, FenceSettings, Voting};
use crate::format::VoteFile;
use crate::lookout::{CommandPurpose, Event, Process};
use crate::sys::clock;
use crate::sys::forked::FileOp;
use crate::sys::guard::{Dismissed, Fence, Guard, Order};
use crate::sys::process;
use crate::sys::watchdog::Watchdog;
use crate::time::Monotonic;

/// The guard, if there is one.
#[derive(Debug, Default)]
pub(super) struct GuardKeeper {
    current: Option<Current>,
    /// They have nothing to do any more, and end.
    dismissed: Vec<Dismissed>,
    /// How long the host was suspended, as far as the core knows.
    suspended: Option<Duration>,
}

#[derive(Debug)]
struct Current {
    guard: Guard,
    settings: FenceSettings,
    until: Monotonic,
}

impl GuardKeeper {
    /// How long the host was suspended since the last call. To be called at the beginning of a turn.
    pub(super) fn slept(&mut self) -> Option<Duration> {
        let (known, now) = (self.suspended, clock::suspended());
        let slept = known.map(|known| now.saturating_sub(known));
        // Readings that are each a little off must not add up unseen.
        let slept = slept.filter(|slept| *slept >= LEAST_SLEEP);
        if known.is_none() || slept.is_some() {
            self.suspended = Some(now);
        }
        slept
    }

    /// It is to fence then; `None`: not at all. A lease was won or renewed, so that the guard of a former
    /// process is not needed any more.
    pub(super) fn arm(
        &mut self,
        until: Option<Monotonic>,
        config: &Config,
        (files, previous): (&mut FileWrites, Option<Process>),
        io: &mut Io,
    ) {
        let voting = config.voting.as_ref();
        let settings = voting.and_then(|voting| Some((voting, voting.fence.as_ref()?)));
        let (Some(until), Some((voting, settings))) = (until, settings) else {
            // Nor has the guard of a former process. Ours ends by itself, and stops its watchdog device before.
            let ours = self.current.as_ref();
            let ours = ours.and_then(|current| current.guard.description());
            self.dismiss();
            take_over(voting, ours.unwrap_or_default(), files, io);
            return;
        };
        match &mut self.current {
            Some(current) if current.settings == *settings => current.until = until,
            _ => self.replace(until, (voting, settings), (files, previous), io),
        }
        self.order(previous, io);
        let current = self.current.as_mut();
        let news = current.and_then(|current| current.guard.watchdog_news());
        io.events.extend(news.map(Event::WatchdogSeen));
    }

    /// Says when once more, and which command it ends first: that of our promotion, or that starts the server, if
    /// it runs, or what the process before us has left of its own.
    pub(super) fn order(&mut self, previous: Option<Process>, io: &Io) {
        let Some(current) = &mut self.current else {
            return;
        };
        let running = |purpose| io.children.running(purpose);
        let running = running(CommandPurpose::Failover).or(running(CommandPurpose::Unfence));
        let started = |id: u32| Some((id, process::started(id).ok()??));
        let previous = previous.map(|previous| (previous.pid, previous.started));
        let suspended = self.suspended.unwrap_or_default();
        let order = Order {
            at: Some(current.until.since_boot().saturating_add(suspended)),
            ends: running.and_then(started).or(previous),
        };
        if let Err(error) = current.guard.order(order) {
            log::error!("the guard takes no orders: {error}");
        }
    }

    /// The new one has its order before the old one is dismissed.
    fn replace(
        &mut self,
        until: Monotonic,
        (voting, settings): (&Voting, &FenceSettings),
        (files, previous): (&mut FileWrites, Option<Process>),
        io: &mut Io,
    ) {
        let guard = match start(settings, io) {
            Ok(guard) => guard,
            Err(error) => {
                log::error!("the guard could not be started, only this process fences: {error}");
                return;
            }
        };
        log::info!("the guard was started (pid {})", guard.id());
        let description = guard.description();
        let settings = settings.clone();
        let former = self.current.replace(Current {
            guard,
            settings,
            until,
        });
        self.order(previous, io);
        self.dismissed.extend(former.map(dismissed));
        if let Some(description) = description {
            take_over(Some(voting), description, files, io);
        }
    }

    fn dismiss(&mut self) {
        let former = self.current.take();
        self.dismissed.extend(former.map(dismissed));
    }

    /// Guards that have ended. One that has ended too early is replaced.
    pub(super) fn reap(
        &mut self,
        config: &Config,
        files: (&mut FileWrites, Option<Process>),
        io: &mut Io,
    ) {
        self.dismissed.retain(|guard| !guard.try_reap());
        let has_ended = |current: &mut Current| current.guard.try_reap();
        let Some(ended) = self.current.take_if(has_ended) else {
            return;
        };
        if ended.until <= io.now.mono {
            log::warn!("the guard has fenced");
            return;
        }
        log::error!("the guard has died, and is started again");
        self.arm(Some(ended.until), config, files, io);
    }
}

/// The guard that the file names has nothing to do any more; this one, if any, is named in its place.
fn take_over(voting: Option<&Voting>, guard: String, files: &mut FileWrites, io: &mut Io) {
    if let Some((voting, (cluster, _))) = voting.and_then(|it| Some((it, it.own_cluster()?))) {
        let path = VoteFile::guard_path(&voting.directory, cluster);
        files.request(VOTES, path, FileOp::TakeOver(guard), io);
    }
}

fn start(settings: &FenceSettings, io: &Io) -> io::Result<Guard> {
    let watchdog = settings.watchdog.as_ref();
    Guard::start(&Fence {
        watchdog: watchdog.map(|it| Watchdog {
            path: it.device.clone(),
            timeout: it.timeout,
        }),
        argv: settings.command.argv.clone(),
        variables: vec![("PGLOOKOUT_COMMAND", CommandPurpose::Fence.key().to_owned())],
        timeout: settings.timeout,
        limit: io.children.limit(),
    })
}

fn dismissed(former: Current) -> Dismissed {
    former.guard.dismiss().unwrap_or_else(|(guard, error)| {
        log::error!("the former guard takes no orders: {error}");
        guard
    })
}

/// Less than this is no suspension: two clocks were read one after the other.
const LEAST_SLEEP: Duration = Duration::from_millis(1);
