//! A child of the guard that keeps a watchdog device from resetting the host while our server has a lease.
//! A process of its own, because a device may hang: that must not delay a fence.
//!
//! The last keep-alive is sent so long before the end of the lease that the host is reset at its end. Only
//! an orderly end, after a fence that has succeeded or where nothing is to be fenced, stops the device.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_name;
use nix::unistd::pipe2;

use super::clock;
use super::forked::detached;
use super::watchdog::{Device, Watchdog};

/// The child, as the guard knows it. It ends with the pipe: without an order to stop before that, the
/// device goes on counting.
#[derive(Debug)]
pub(super) struct Keepalive<'a> {
    watchdog: &'a Watchdog,
    orders: Option<File>,
}

impl<'a> Keepalive<'a> {
    /// One that is not started before its first order.
    pub(super) fn new(watchdog: &'a Watchdog) -> Self {
        Self {
            watchdog,
            orders: None,
        }
    }

    /// Our server has a lease until then, since the boot. Never waits. A child that has died is replaced.
    pub(super) fn until(&mut self, end: Duration) {
        let end = u64::try_from(end.as_nanos()).unwrap_or(u64::MAX).max(1);
        if self.order(end).is_err() {
            self.orders = start(self.watchdog).ok();
            // It is tried again with the next lease.
            let _ = self.order(end);
        }
    }

    /// The device stops counting.
    pub(super) fn stop(&mut self) {
        // One that is not there has nothing to stop; one that hangs cannot.
        let _ = self.order(STOP);
    }

    fn order(&mut self, order: u64) -> io::Result<()> {
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        match orders.write_all(&order.to_ne_bytes()) {
            // It hangs, and finds this end of a lease late or never: then the host is reset.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            written => written,
        }
    }
}

/// It prints what it has to report to the guard's standard output, which is a pipe to the daemon.
fn start(watchdog: &Watchdog) -> io::Result<File> {
    let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    detached(theirs.as_fd(), || {
        set_name(c"pglookout-alive")?;
        // Nobody may read it any more.
        fcntl(io::stdout(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // Without the buffers of stdin and stdout, which are the parent's.
        let orders = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut child = Child::new(watchdog);
        child.output = Some(io::stdout().as_fd().try_clone_to_owned()?.into());
        child.live(orders)
    })?;
    Ok(ours.into())
}

/// What it knows.
#[derive(Debug)]
struct Child<'a> {
    watchdog: &'a Watchdog,
    device: Option<Device>,
    /// The end of the lease.
    until: Option<Duration>,
    /// When the device is to be opened, or written to.
    next: Duration,
    /// Since when another process uses it.
    busy_since: Option<Duration>,
    reported: String,
    /// Where reports are written.
    output: Option<File>,
}

impl<'a> Child<'a> {
    fn new(watchdog: &'a Watchdog) -> Self {
        Self {
            watchdog,
            device: None,
            until: None,
            next: Duration::ZERO,
            busy_since: None,
            reported: String::new(),
            output: None,
        }
    }

    fn live(&mut self, mut orders: File) -> io::Result<()> {
        loop {
            let now = clock::since_boot();
            let wait = self.act(now).map(|at| at.saturating_sub(now));
            let wait = wait.map_or(PollTimeout::NONE, |wait| {
                // Not before it is due.
                let millis = wait.saturating_add(Duration::from_millis(1));
                PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
            });
            match poll(&mut [PollFd::new(orders.as_fd(), PollFlags::POLLIN)], wait) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let mut order = [0; size_of::<u64>()];
            match orders.read_exact(&mut order) {
                Ok(()) => self.take(u64::from_ne_bytes(order)),
                // The guard is gone: the device goes on counting.
                Err(_) => return Ok(()),
            }
        }
    }

    fn take(&mut self, order: u64) {
        self.until = (order != STOP).then(|| Duration::from_nanos(order));
        if self.until.is_none()
            && let Some(device) = self.device.take()
            && let Err(error) = device.stop()
        {
            self.report(Err(format!("{} was not stopped: {error}", self.shown())));
        }
    }

    /// Does what is due. When it is called again, unless there is an order before.
    fn act(&mut self, now: Duration) -> Option<Duration> {
        let until = self.until?;
        let timeout = match &self.device {
            Some(device) => device.timeout,
            None => self.watchdog.timeout,
        };
        let last = until.checked_sub(timeout)?;
        if now > last {
            return None;
        }
        if self.next > now {
            return Some(self.next);
        }
        if self.device.is_none() {
            self.open(now);
        }
        self.keep_alive();
        let pause = match self.device {
            Some(_) => timeout.checked_div(PER_TIMEOUT).unwrap_or(RETRY),
            None => RETRY,
        };
        let almost_last = last.saturating_sub(MARGIN);
        self.next = now.saturating_add(pause);
        if now < almost_last {
            self.next = self.next.min(almost_last);
        }
        Some(self.next)
    }

    fn open(&mut self, now: Duration) {
        match self.watchdog.open() {
            Ok((device, state)) => {
                (self.device, self.busy_since) = (Some(device), None);
                self.report(state);
            }
            // The child of the guard before us leaves it at any moment.
            Err(error) if is_busy(&error) => {
                let since = *self.busy_since.get_or_insert(now);
                if now.saturating_sub(since) >= PATIENCE {
                    self.report(Err(format!("{}: another process uses it", self.shown())));
                }
            }
            Err(error) => self.report(Err(format!("{}: {error}", self.shown()))),
        }
    }

    fn keep_alive(&mut self) {
        let Some(device) = &mut self.device else {
            return;
        };
        if let Err(error) = device.keep_alive() {
            self.device = None;
            self.report(Err(format!("{}: {error}", self.shown())));
        }
    }

    fn shown(&self) -> String {
        self.watchdog.path.display().to_string()
    }

    /// A line for the daemon, unless it was the last one.
    fn report(&mut self, state: Result<String, String>) {
        let line = report_line(&state);
        if line != self.reported {
            if let Some(output) = &mut self.output {
                // Where nobody reads it, nobody needs it.
                let _ = output.write_all(line.as_bytes());
            }
            self.reported = line;
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::ResourceBusy || kind == io::ErrorKind::ExecutableFileBusy
}

fn report_line(state: &Result<String, String>) -> String {
    match state {
        Ok(text) => format!("{GOOD}{text}\n"),
        Err(text) => format!("{BAD}{text}\n"),
    }
}

/// What such a line says; `None`: it is none.
pub(super) fn read_report(line: &str) -> Option<Result<String, String>> {
    let good = line.strip_prefix(GOOD).map(|text| Ok(text.to_owned()));
    good.or_else(|| line.strip_prefix(BAD).map(|text| Err(text.to_owned())))
}

const GOOD: char = '+';
const BAD: char = '-';
/// No end of a lease.
const STOP: u64 = 0;
/// Keep-alives in the time in which the device would reset the host.
const PER_TIMEOUT: u32 = 4;
/// The last one comes so much before it would be too late: a process is not always on time.
const MARGIN: Duration = Duration::from_millis(50);
/// Between two tries to open the device.
const RETRY: Duration = Duration::from_millis(500);
/// That long another process may use it, before that is reported.
const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
#[path = "keepalive_tests.rs"]
mod tests;
