//! The child with files and FIFOs in the place of a device, and the whole guard around it.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use super::super::child::cleansed;
use super::super::guard::{Fence, Guard, Order};
use super::*;
use crate::testing::Scratch;

fn watchdog(path: &Path, millis: u64) -> Watchdog {
    Watchdog {
        path: path.to_owned(),
        timeout: Duration::from_millis(millis),
    }
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn the_last_keep_alive_is_sent_so_long_before_the_end_of_the_lease() {
    let scratch = Scratch::new("keepalive-last");
    let path = scratch.file(b"", 0o600);
    let watchdog = watchdog(&path, 4_000);
    let mut child = Child::new(&watchdog);
    let content = || fs::read_to_string(&path).unwrap();
    assert_eq!(child.act(at(0)), None);
    child.take(10_000_000_000);
    for (now, next, written) in [
        (0, Some(1_000), "1"),
        // Too early.
        (500, Some(1_000), "1"),
        (1_000, Some(2_000), "11"),
        (5_100, Some(5_950), "111"),
        (5_950, Some(6_950), "1111"),
        (6_001, None, "1111"),
        (9_999, None, "1111"),
    ] {
        assert_eq!(child.act(at(now)), next.map(at), "at {now}");
        assert_eq!(content(), written, "at {now}");
    }
    // The lease was renewed after all.
    child.take(14_000_000_000);
    assert_eq!(child.act(at(9_999)), Some(at(10_999)));
    assert_eq!(child.act(at(10_001)), None);
    assert_eq!(content(), "11111");
    child.take(STOP);
    assert_eq!(content(), "11111V");
    assert_eq!(child.act(at(11_000)), None);
    // The next lease begins with a device that is opened anew.
    child.take(20_000_000_000);
    assert_eq!(child.act(at(12_000)), Some(at(13_000)));
    assert!(child.device.is_some());
}

#[test]
fn a_device_that_is_not_there_or_in_use_is_tried_again() {
    let scratch = Scratch::new("keepalive-absent");
    let path = scratch.0.join("wd");
    let watchdog = watchdog(&path, 4_000);
    let mut child = Child::new(&watchdog);
    child.take(100_000_000_000);
    assert_eq!(child.act(at(0)), Some(RETRY));
    assert!(
        child.reported.contains("No such file"),
        "{}",
        child.reported
    );
    // A program that runs is in use.
    fs::copy("/bin/sleep", &path).unwrap();
    let mut user = cleansed(path.as_os_str(), None).arg("60").spawn().unwrap();
    assert_eq!(child.act(at(1_000)), Some(at(1_500)));
    assert!(
        child.reported.contains("No such file"),
        "{}",
        child.reported
    );
    child.act(at(4_000));
    assert!(
        child.reported.contains("another process uses it"),
        "{}",
        child.reported
    );
    user.kill().unwrap();
    user.wait().unwrap();
    assert_eq!(child.act(at(5_000)), Some(at(6_000)));
    assert!(child.device.is_some());
    assert!(
        child.reported.contains("neither be set"),
        "{}",
        child.reported
    );
}

#[test]
fn a_device_that_fails_is_closed_and_opened_again() {
    let full = watchdog(Path::new("/dev/full"), 4_000);
    let mut child = Child::new(&full);
    child.take(100_000_000_000);
    assert_eq!(child.act(at(0)), Some(RETRY));
    assert!(child.device.is_none());
    assert!(
        child.reported.contains("No space left"),
        "{}",
        child.reported
    );
}

#[test]
fn reports_are_read_back() {
    for state in [Ok("good".to_owned()), Err("bad".to_owned())] {
        assert_eq!(read_report(report_line(&state).trim_end()), Some(state));
    }
    assert_eq!(read_report("panicked"), None);
}

/// A FIFO in the place of a device, and what was written to it, when.
struct Standin {
    path: PathBuf,
    fifo: File,
    written: Vec<(Duration, u8)>,
}

impl Standin {
    fn new(scratch: &Scratch) -> Self {
        let path = scratch.0.join("watchdog");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let mut options = fs::OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        let fifo = options.open(&path).unwrap();
        Self {
            path,
            fifo,
            written: Vec::new(),
        }
    }

    /// Takes what comes in until this is so.
    fn until(&mut self, mut is_so: impl FnMut(&[(Duration, u8)]) -> bool) {
        while !is_so(&self.written) {
            let mut byte = [0];
            match self.fifo.read(&mut byte) {
                Ok(1) => self.written.push((clock::since_boot(), byte[0])),
                _ => _ = poll(&mut [], PollTimeout::from(2_u8)),
            }
        }
    }

    fn pause(&mut self, millis: u64) {
        let end = clock::since_boot() + at(millis);
        self.until(|_| clock::since_boot() >= end);
    }

    /// Everything, once nobody has it open any more.
    fn all(mut self) -> Vec<(Duration, u8)> {
        self.pause(0);
        let mut byte = [0];
        loop {
            match self.fifo.read(&mut byte) {
                Ok(0) => return self.written,
                Ok(_) => self.written.push((clock::since_boot(), byte[0])),
                Err(_) => _ = poll(&mut [], PollTimeout::from(2_u8)),
            }
        }
    }
}

/// Fences for 500 ms, and a lease ends so long after it has begun. The device resets 400 ms after the last
/// keep-alive.
fn guard(path: &Path, script: &str) -> Guard {
    Guard::start(&Fence {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        variables: Vec::new(),
        timeout: at(500),
        limit: None,
        watchdog: Some(watchdog(path, 400)),
    })
    .unwrap()
}

fn pause(time: Duration) {
    _ = poll(&mut [], PollTimeout::try_from(time).unwrap());
}

fn soon(millis: u64) -> Order {
    Order {
        at: Some(clock::since_boot() + at(millis)),
        ends: None,
    }
}

fn keep_alives(written: &[(Duration, u8)]) -> Vec<Duration> {
    let ones = written.iter().filter(|(_, byte)| *byte == b'1');
    ones.map(|(at, _)| *at).collect()
}

#[test]
fn keep_alives_go_on_with_the_lease_and_end_in_order_after_the_fence() {
    let scratch = Scratch::new("keepalive-fence");
    let mut standin = Standin::new(&scratch);
    let mut guard = guard(&standin.path, "sleep 0.1");
    for _ in 0..8 {
        guard.order(soon(600)).unwrap();
        standin.pause(100);
    }
    assert!(matches!(guard.watchdog_news(), Some(Err(text)) if text.contains("not known")));
    assert_eq!(guard.watchdog_news(), None);
    standin.until(|_| guard.try_reap());
    let written = standin.all();
    assert_eq!(written.last().unwrap().1, b'V', "{written:?}");
    let ones = keep_alives(&written);
    assert_eq!(ones.len() + 1, written.len());
    for pair in ones.windows(2) {
        assert!(pair[1] - pair[0] < at(400), "{written:?}");
    }
}

#[test]
fn a_fence_that_hangs_ends_the_keep_alives_so_that_the_host_is_reset() {
    let scratch = Scratch::new("keepalive-hangs");
    let mut standin = Standin::new(&scratch);
    let mut guard = guard(&standin.path, "exec sleep 5");
    let order = soon(600);
    let end = order.at.unwrap() + at(500);
    guard.order(order).unwrap();
    // Well after the device would have reset the host.
    standin.pause(2_500);
    assert!(!guard.try_reap());
    kill(Pid::from_raw(guard.id().cast_signed()), Signal::SIGKILL).unwrap();
    standin.until(|_| guard.try_reap());
    let written = standin.all();
    let ones = keep_alives(&written);
    assert_eq!(ones.len(), written.len(), "{written:?}");
    let last = *ones.last().unwrap();
    // Of a loaded machine the one before the last may be the last.
    assert!(
        last + at(400) <= end && last + at(400 + 200) >= end,
        "{end:?}: {written:?}"
    );
}

#[test]
fn a_guard_that_is_killed_leaves_the_device_counting() {
    let scratch = Scratch::new("keepalive-killed");
    let mut standin = Standin::new(&scratch);
    let mut guard = guard(&standin.path, "true");
    guard.order(soon(60_000)).unwrap();
    standin.until(|written| written.len() == 1);
    kill(Pid::from_raw(guard.id().cast_signed()), Signal::SIGKILL).unwrap();
    standin.until(|_| guard.try_reap());
    let rest = standin.all();
    assert!(rest.iter().all(|(_, byte)| *byte == b'1'), "{rest:?}");
}

#[test]
fn a_guard_that_is_dismissed_stops_the_device() {
    let scratch = Scratch::new("keepalive-dismissed");
    let mut standin = Standin::new(&scratch);
    let mut guard = guard(&standin.path, "true");
    guard.order(soon(60_000)).unwrap();
    standin.until(|written| written.len() == 1);
    let dismissed = guard.dismiss().unwrap();
    standin.until(|_| dismissed.try_reap());
    assert_eq!(standin.all().last().unwrap().1, b'V');
}

/// Nobody reads the FIFO: to open it hangs.
#[test]
fn a_device_that_hangs_does_not_delay_the_fence() {
    let scratch = Scratch::new("keepalive-stuck");
    let path = scratch.0.join("watchdog");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let done = scratch.0.join("done");
    let mut guard = guard(&path, &format!("touch {}", done.display()));
    let order = soon(300);
    guard.order(order).unwrap();
    while !guard.try_reap() {
        _ = poll(&mut [], PollTimeout::from(2_u8));
    }
    assert!(done.exists());
    assert!(clock::since_boot() < order.at.unwrap() + at(2_000));
    // Whoever hangs there ends.
    drop(fs::File::open(&path).unwrap());
}

/// The daemon has fenced, and says so.
#[test]
fn a_guard_that_is_dismissed_while_its_fence_hangs_stops_the_device() {
    let scratch = Scratch::new("keepalive-called-off");
    let mut standin = Standin::new(&scratch);
    let done = scratch.0.join("done");
    let script = format!("sleep 0.3; touch {}", done.display());
    let mut guard = guard(&standin.path, &script);
    guard.order(soon(600)).unwrap();
    standin.pause(700);
    let dismissed = guard.dismiss().unwrap();
    standin.until(|_| dismissed.try_reap());
    let written = standin.all();
    assert_eq!(written.last().unwrap().1, b'V', "{written:?}");
    // What has been begun does not stop what is started after it.
    pause(at(400));
    assert!(!done.exists());
}
