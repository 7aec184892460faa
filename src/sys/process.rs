//! What a process is to the system: its descriptors, its user, its host, and processes that are not
//! our children, as proc(5) shows them.

#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{Pid, Uid, User, geteuid, gethostname, getpid};

use super::files::read_small;

/// No fleet needs more (one per node, observer and HTTP client); an unlimited hard limit must not become a table of a billion descriptors.
const MOST_DESCRIPTORS: rlim_t = 65_536;

/// The limit on open descriptors that we were started with. Commands that we run get it back: a
/// program that walks through all possible descriptors, or uses `select`, was promised the one that
/// the administrator set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InheritedLimit {
    pub(super) soft: rlim_t,
    pub(super) hard: rlim_t,
}

/// Raises the soft limit on open descriptors to the hard one, within reason, and returns what it
/// was and what it is.
pub fn raise_descriptors() -> io::Result<(InheritedLimit, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(MOST_DESCRIPTORS).max(soft);
    if wanted > soft {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok((InheritedLimit { soft, hard }, wanted))
}

/// Marks everything above stderr to be closed by exec. What we open is marked anyway; this is for
/// what we inherited. Marked and not closed, because std still has to report a failed exec through
/// a descriptor of its own.
pub(super) fn close_on_exec_above_stderr() -> io::Result<()> {
    // SAFETY: setting a flag of a descriptor that may or may not be open touches no memory.
    above_stderr(libc::CLOSE_RANGE_CLOEXEC, |descriptor| {
        _ = unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) }
    })
}

/// Closes everything above stderr.
///
/// # Safety
/// Nothing in this process may use, or close, such a descriptor any more: only for a child that has
/// just been forked and will end by `_exit`.
pub(super) unsafe fn close_above_stderr() -> io::Result<()> {
    // SAFETY: the caller's promise.
    above_stderr(0, |descriptor| _ = unsafe { libc::close(descriptor) })
}

/// One system call, or where Linux does not know it (before 5.9; the flag came with 5.11) one per
/// possible descriptor.
fn above_stderr(flags: libc::c_uint, one_by_one: impl Fn(i32)) -> io::Result<()> {
    // SAFETY: the call takes three integers and touches no memory; what becomes of the descriptors
    // is the callers' concern.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, flags) };
    if done == 0 {
        return Ok(());
    }
    // As far as we let our own descriptors go.
    let (open, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let end = i32::try_from(open.min(MOST_DESCRIPTORS)).unwrap_or(i32::MAX);
    (3..end).for_each(one_by_one);
    Ok(())
}

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

/// Memory of this process that is in use, in bytes; `None` without `/proc`.
pub fn resident_bytes() -> Option<u64> {
    let sizes = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split(' ').nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(u64::try_from(page).ok()?)
}

/// Sends `signal` to a process and everything that it started in its group, if it leads one.
pub fn kill_group(pid: u32, signal: Signal) -> io::Result<()> {
    match killpg(id(pid)?, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether orphans are left to this process: it is the first of its container.
pub fn is_init() -> bool {
    getpid() == Pid::from_raw(1)
}

/// Reaps a child that has ended, unless `is_ours` knows it: somebody waits for its status. False: there
/// is none, or one of ours goes first, whose end is a signal of its own.
pub fn reap_orphan(is_ours: impl Fn(u32) -> bool) -> bool {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let ended = waitid(Id::All, peek).ok().and_then(|status| status.pid());
    let orphan = ended.filter(|pid| !is_ours(pid.as_raw().unsigned_abs()));
    orphan.is_some_and(|pid| waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_ok())
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

/// Name and home directory of the user that we run as: libpq's default for `user`, and where
/// `.pgpass` is.
///
/// `/etc/passwd` is read first. A user who is not in it is looked up through the system's name
/// services, which may take as long as they like (to be called at start or in a child process) and
/// which a statically linked glibc cannot load.
pub fn os_user() -> Option<(String, PathBuf)> {
    let uid = geteuid();
    local_user(uid).or_else(|| {
        let user = User::from_uid(uid).ok()??;
        Some((user.name, user.dir))
    })
}

/// What the kernel calls this host. No name service is asked, so this may be called at any time.
pub fn host_name() -> Option<String> {
    let name = gethostname().ok()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}

/// The name of a user in `/etc/passwd`. No name service is used, so this may be called at any time.
pub fn local_name(uid: u32) -> Option<String> {
    local_user(Uid::from_raw(uid)).map(|(name, _)| name)
}

fn local_user(uid: Uid) -> Option<(String, PathBuf)> {
    let passwd = read_small("/etc/passwd".as_ref(), PASSWD_BYTES).ok()?;
    find_user(&String::from_utf8_lossy(&passwd), uid)
}

/// More local users than this are looked for through the name services.
const PASSWD_BYTES: usize = 4 * 1024 * 1024;

/// The line of `passwd` for `uid`: name, password, uid, gid, comment, home, shell.
fn find_user(passwd: &str, uid: Uid) -> Option<(String, PathBuf)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let id: u32 = fields.nth(1)?.parse().ok()?;
        let home = fields.nth(2)?;
        (id == uid.as_raw()).then(|| (name.to_owned(), PathBuf::from(home)))
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a child to be looked at")]
mod tests {
    use super::*;

    #[test]
    fn never_lowers_and_may_be_asked_twice() {
        let (before, raised) = raise_descriptors().unwrap();
        assert!(raised >= before.soft);
        let (again, same) = raise_descriptors().unwrap();
        assert_eq!(
            (again.soft, again.hard, same),
            (raised, before.hard, raised)
        );
    }

    #[test]
    fn a_process_is_distinguished_from_those_before_and_after_it() {
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

    #[test]
    fn finds_the_first_line_of_a_user_and_passes_over_broken_ones() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\nbroken:x:seven\n:x:26:1::/no:/\n+::::::\n\
                      postgres:x:26:26:PostgreSQL:/var/lib/pgsql:/bin/bash\nsecond:x:26:26::/other:/bin/sh\n";
        let check = |uid, expected: Option<(&str, &str)>| {
            let found = find_user(passwd, Uid::from_raw(uid));
            assert_eq!(
                found,
                expected.map(|(name, home)| (name.to_owned(), PathBuf::from(home)))
            );
        };
        check(0, Some(("root", "/root")));
        check(26, Some(("postgres", "/var/lib/pgsql")));
        check(7, None);
    }

    #[test]
    fn somebody_runs_these_tests() {
        assert!(os_user().is_some_and(|(name, _)| !name.is_empty()));
        assert_eq!(local_name(0).as_deref(), Some("root"));
        assert!(host_name().is_some_and(|name| !name.contains('\0')));
    }
}
