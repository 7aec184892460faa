//! Processes that are not our children, as proc(5) shows them.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// When the process with this id was started, in clock ticks since the boot: with the id that is
/// one process of this boot. `None`: there is none, or one that has ended and nobody has asked how.
/// An error: that cannot be seen here, as without `/proc`, or where it hides what is not ours.
pub fn started(pid: u32) -> io::Result<Option<u64>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => read_stat(&stat)
            .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat: not understood"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_free(pid)? => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends `signal` to a process and everything that it started in its group, if it leads one.
pub fn kill_group(pid: u32, signal: Signal) -> io::Result<()> {
    match killpg(id(pid)?, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_free(pid: u32) -> io::Result<bool> {
    Ok(kill(id(pid)?, None) == Err(Errno::ESRCH))
}

/// Never 1: killpg(3) would take it for everybody. What runs as 1 is no command of ours.
fn id(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .filter(|pid| *pid > 1)
        .map(Pid::from_raw)
        .ok_or_else(|| io::Error::other("no process id"))
}

/// `pid (name) state ppid ...`: the name may hold anything, the time is the 22nd field. The inner
/// `None`: it has ended.
fn read_stat(stat: &str) -> Option<Option<u64>> {
    let mut after_name = stat.rsplit_once(") ")?.1.split(' ');
    let state = after_name.next()?;
    let started = after_name.nth(18)?.parse().ok()?;
    Some((!matches!(state, "Z" | "X")).then_some(started))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a child to be looked at")]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_those_before_and_after_it() {
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let (ours, its) = (
            started(std::process::id()).unwrap().unwrap(),
            started(child.id()).unwrap().unwrap(),
        );
        assert!(ours <= its, "{ours} {its}");
        assert_eq!(started(child.id()).unwrap(), Some(its));
        child.kill().unwrap();
        // It has ended, and is not waited for yet.
        while started(child.id()).unwrap().is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(started(child.id()).unwrap(), None);
    }

    #[test]
    fn no_id_means_nobody() {
        for pid in [0, u32::MAX, 1 << 31] {
            assert!(started(pid).is_err(), "{pid}");
        }
        for pid in [0, 1, u32::MAX, 1 << 31] {
            assert_eq!(
                id(pid).map_err(|error| error.to_string()),
                Err("no process id".to_owned()),
                "{pid}"
            );
        }
    }

    #[test]
    fn names_may_hold_anything() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20\n";
        assert_eq!(read_stat(&format!("7 (a) b) S {rest}")), Some(Some(4711)));
        assert_eq!(read_stat(&format!("7 (a) Z {rest}")), Some(None));
        for broken in [
            "",
            "7",
            "7 (a)",
            "7 (a) ",
            "7 (a) S 1 2",
            "7 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x",
        ] {
            assert_eq!(read_stat(broken), None, "{broken}");
        }
    }
}
