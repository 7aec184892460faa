//! The guard: a child process that fences our own server when its time has come, whatever has become of
//! the daemon. It gets the time by a pipe, outlives us, and goes by a clock that counts while the host is
//! suspended. It has everything in its memory, and looks at no disk before it fences.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_name;
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2, setsid};

use super::child::{cleansed, read_pipe};
use super::clock;
use super::forked::Forked;
use super::keepalive::{Keepalive, read_report};
use super::process::{self, InheritedLimit};
use super::watchdog::Watchdog;

/// How it fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What is added to its environment.
    pub variables: Vec<(&'static str, String)>,
    /// It is ended after this long, and run again.
    pub timeout: Duration,
    /// The limit on descriptors that it gets.
    pub limit: Option<InheritedLimit>,
    /// What resets the host where it does not succeed.
    pub watchdog: Option<Watchdog>,
}

/// What the guard is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// When it fences, since the boot, the time in which the host was suspended included; `None`: not at
    /// all.
    pub at: Option<Duration>,
    /// A command that it ends first, if that still runs: its id, and when it was started
    /// ([`process::started`]).
    pub ends: Option<(u32, u64)>,
}

/// A guard that runs.
#[derive(Debug)]
pub struct Guard {
    child: Forked,
    orders: File,
    printed: Vec<u8>,
}

/// One whose pipe is closed: it ends, once it has carried out its last order.
#[derive(Debug)]
pub struct Dismissed(Forked);

impl Guard {
    /// Starts it. It has no order yet. To be called by the only thread of a process.
    pub fn start(fence: &Fence) -> io::Result<Self> {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let child = Forked::start(Some(theirs.as_fd()), || {
            // It is in nobody's group, and ends with none. Signals that we take are blocked in it.
            setsid()?;
            set_name(c"pglookout-guard")?;
            watch(io::stdin().as_fd().try_clone_to_owned()?, fence)
        })?;
        Ok(Self {
            child,
            orders: ours.into(),
            printed: Vec::new(),
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The order takes the place of the one before. Never waits.
    ///
    /// # Errors
    ///
    /// It has ended, or takes no orders.
    pub fn order(&mut self, order: Order) -> io::Result<()> {
        self.orders.write_all(&order.bytes())
    }

    /// It has nothing to do any more, and ends.
    ///
    /// # Errors
    ///
    /// It takes no orders, and goes on by the one before.
    pub fn dismiss(mut self) -> Result<Dismissed, (Dismissed, io::Error)> {
        match self.order(Order::default()) {
            Ok(()) => Ok(Dismissed(self.child)),
            Err(error) => Err((Dismissed(self.child), error)),
        }
    }

    /// Whether it has ended and is reaped. Never waits.
    pub fn try_reap(&self) -> bool {
        try_reap(&self.child)
    }

    /// How the watchdog device stands, if there is news of it: how it counts, or why this host is not reset by
    /// it. Never waits.
    pub fn watchdog_news(&mut self) -> Option<Result<String, String>> {
        let printed = &mut self.printed;
        // What was read before an error is still of use.
        let _ = read_pipe(&mut self.child.pipe, MAX_REPORT_BYTES, |bytes| {
            printed.extend_from_slice(bytes);
        });
        let end = printed.iter().rposition(|byte| *byte == b'\n')?;
        let lines: Vec<u8> = printed.drain(..=end).collect();
        let lines = String::from_utf8_lossy(&lines);
        lines.lines().rev().find_map(read_report)
    }

    /// What its file says, by which a later daemon finds it.
    pub fn description(&self) -> Option<String> {
        let started = process::started(self.id()).ok()??;
        Some(format!("{} {} {started}\n", clock::boot_id()?, self.id()))
    }
}

impl Dismissed {
    /// Whether it has ended and is reaped. Never waits.
    pub fn try_reap(&self) -> bool {
        try_reap(&self.0)
    }
}

fn try_reap(child: &Forked) -> bool {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    !matches!(
        waitpid(id, Some(WaitPidFlag::WNOHANG)),
        Ok(WaitStatus::StillAlive) | Err(Errno::EINTR)
    )
}

impl Order {
    fn bytes(self) -> [u8; ORDER_BYTES] {
        let at = self.at.map_or(0, |at| {
            u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).max(1)
        });
        let (id, started) = self.ends.unwrap_or_default();
        let mut bytes = [0; ORDER_BYTES];
        let words = [at, id.into(), started].map(u64::to_ne_bytes);
        bytes.copy_from_slice(words.as_flattened());
        bytes
    }

    fn read(bytes: [u8; ORDER_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks();
        let mut words = words.iter().map(|word| u64::from_ne_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        let (at, id, started) = (next(), next(), next());
        let id = u32::try_from(id).unwrap_or_default();
        Self {
            at: (at > 0).then(|| Duration::from_nanos(at)),
            ends: (id > 0).then_some((id, started)),
        }
    }
}

/// The guard's whole life.
fn watch(orders: OwnedFd, fence: &Fence) -> io::Result<()> {
    let mut orders = Some(File::from(orders));
    let mut order = Order::default();
    let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)?;
    let mut keepalive = fence.watchdog.as_ref().map(Keepalive::new);
    loop {
        let before = order;
        // An order that has come with the deadline counts.
        while let Some(pipe) = &mut orders
            && is_ready(pipe.as_fd(), PollTimeout::ZERO)?
        {
            let mut bytes = [0; ORDER_BYTES];
            match pipe.read_exact(&mut bytes) {
                Ok(()) => order = Order::read(bytes),
                Err(_) => orders = None,
            }
        }
        match order.at {
            Some(at) if at <= clock::since_boot() => {
                fence_now(fence, order, &mut orders);
                keepalive.iter_mut().for_each(Keepalive::stop);
                return Ok(());
            }
            Some(at) => {
                if before.at != order.at {
                    let end = at.saturating_add(fence.timeout);
                    keepalive.iter_mut().for_each(|it| it.until(end));
                }
                timer.set(
                    Expiration::OneShot(TimeSpec::from_duration(at)),
                    TimerSetTimeFlags::TFD_TIMER_ABSTIME,
                )?;
            }
            None => {
                keepalive.iter_mut().for_each(Keepalive::stop);
                if orders.is_none() {
                    // Nobody is there to order more.
                    return Ok(());
                }
                timer.unset()?;
            }
        }
        let mut sources = vec![PollFd::new(timer.as_fd(), PollFlags::POLLIN)];
        sources.extend(
            orders
                .iter()
                .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut sources, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_ready(source: std::os::fd::BorrowedFd<'_>, timeout: PollTimeout) -> io::Result<bool> {
    match poll(&mut [PollFd::new(source, PollFlags::POLLIN)], timeout) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A fence is never called off: it is run until it has succeeded, or the daemon's own has, which dismisses us.
fn fence_now(fence: &Fence, order: Order, orders: &mut Option<File>) {
    if let Some((id, started)) = order.ends
        && matches!(process::started(id), Ok(Some(found)) if found == started)
    {
        _ = process::kill_group(id, Signal::SIGKILL);
    }
    while !matches!(run(fence, orders), Ok(true)) && !is_dismissed(orders, PAUSE) {}
}

/// Waits so long for that. Another time to fence comes too late, and so does the end of the daemon.
fn is_dismissed(orders: &mut Option<File>, time: Duration) -> bool {
    let ends = clock::since_boot().saturating_add(time);
    loop {
        let left = ends.saturating_sub(clock::since_boot());
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let Some(pipe) = orders else {
            pause(left);
            return false;
        };
        if !is_ready(pipe.as_fd(), wait).unwrap_or_default() {
            return false;
        }
        let mut bytes = [0; ORDER_BYTES];
        match pipe.read_exact(&mut bytes) {
            Ok(()) if Order::read(bytes) == Order::default() => return true,
            Ok(()) => {}
            Err(_) => *orders = None,
        }
    }
}

/// Has it ended with 0 in time, or is not needed any more.
fn run(fence: &Fence, orders: &mut Option<File>) -> io::Result<bool> {
    let (program, arguments) = fence
        .argv
        .split_first()
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut command: Command = cleansed(program.as_ref(), fence.limit);
    let variables = fence.variables.iter();
    command
        .args(arguments)
        .envs(variables.map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    let began = clock::since_boot();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        let is_late = clock::since_boot().saturating_sub(began) >= fence.timeout;
        let is_dismissed = is_dismissed(orders, LOOK);
        if is_late || is_dismissed {
            // Nor may it stop what is started after it.
            process::kill_group(child.id(), Signal::SIGKILL)?;
            child.wait()?;
            return Ok(is_dismissed);
        }
    }
}

/// This process has nothing else to do.
fn pause(time: Duration) {
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    _ = poll(&mut [], time);
}

const ORDER_BYTES: usize = 24;
/// More than one report of a watchdog device.
const MAX_REPORT_BYTES: usize = 16 << 10;
/// Between two runs of a command that has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::guard_file::take_over;
    use super::*;
    use crate::testing::Scratch;

    fn guard(scratch: &Scratch) -> Guard {
        let script = format!("echo fenced >> {}/done", scratch.0.display());
        let argv = ["sh", "-c", &script].map(str::to_owned).to_vec();
        Guard::start(&Fence {
            argv,
            variables: Vec::new(),
            timeout: Duration::from_secs(5),
            limit: None,
            watchdog: None,
        })
        .unwrap()
    }

    fn soon(millis: u64) -> Order {
        Order {
            at: Some(clock::since_boot() + Duration::from_millis(millis)),
            ends: None,
        }
    }

    fn wait(has_ended: impl Fn() -> bool) {
        while !has_ended() {
            pause(LOOK);
        }
    }

    fn has_fenced(scratch: &Scratch) -> bool {
        scratch.0.join("done").exists()
    }

    #[test]
    fn orders_are_read_back() {
        for order in [
            Order::default(),
            Order {
                at: Some(Duration::new(77, 3)),
                ends: Some((4_000_000, u64::MAX)),
            },
        ] {
            assert_eq!(Order::read(order.bytes()), order);
        }
    }

    #[test]
    fn it_fences_at_its_time_whatever_has_become_of_us() {
        let scratch = Scratch::new("guard-alone");
        let mut guard = guard(&scratch);
        guard.order(soon(300)).unwrap();
        // As when the daemon ends.
        let Guard { child, orders, .. } = guard;
        drop(orders);
        pause(Duration::from_millis(100));
        assert!(!has_fenced(&scratch));
        wait(|| try_reap(&child));
        assert!(has_fenced(&scratch));
    }

    #[test]
    fn it_is_put_off_by_every_order_and_dismissed_by_none() {
        let scratch = Scratch::new("guard-told");
        let mut guard = guard(&scratch);
        for _ in 0..5 {
            guard.order(soon(400)).unwrap();
            pause(Duration::from_millis(150));
        }
        guard.order(Order::default()).unwrap();
        pause(Duration::from_millis(500));
        assert!(!has_fenced(&scratch) && !guard.try_reap());
        guard.order(soon(60_000)).unwrap();
        let dismissed = guard.dismiss().unwrap();
        wait(|| dismissed.try_reap());
        assert!(!has_fenced(&scratch));
    }

    #[test]
    fn it_ends_the_command_first() {
        let scratch = Scratch::new("guard-ends");
        let mut command = cleansed("sleep".as_ref(), None).arg("60").spawn().unwrap();
        let started = process::started(command.id()).unwrap().unwrap();
        let mut guard = guard(&scratch);
        let order = Order {
            ends: Some((command.id(), started)),
            ..soon(0)
        };
        guard.order(order).unwrap();
        wait(|| guard.try_reap());
        assert!(has_fenced(&scratch));
        assert!(!command.wait().unwrap().success());
    }

    #[test]
    fn a_later_one_takes_the_place_of_the_one_before() {
        let scratch = Scratch::new("guard-later");
        let path = scratch.0.join("main.guard");
        let (mut first, mut second) = (guard(&scratch), guard(&scratch));
        first.order(soon(60_000)).unwrap();
        take_over(&path, &first.description().unwrap()).unwrap();
        // It does not end itself.
        take_over(&path, &first.description().unwrap()).unwrap();
        pause(Duration::from_millis(50));
        assert!(!first.try_reap());
        second.order(soon(60_000)).unwrap();
        take_over(&path, &second.description().unwrap()).unwrap();
        wait(|| first.try_reap());
        assert!(!second.try_reap() && !has_fenced(&scratch));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(Some(text), second.description());
        // Nobody takes its place.
        take_over(&path, "").unwrap();
        wait(|| second.try_reap());
        assert!(!has_fenced(&scratch));
    }
}
