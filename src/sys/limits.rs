//! Open descriptors: how many this process may have (one per node, observer and HTTP client), and
//! which of them a child process would inherit: the listener, every connection, what whoever started
//! us had left open.

#![allow(unsafe_code)]

use std::io;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// No fleet needs more; an unlimited hard limit must not become a table of a billion descriptors.
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

#[cfg(test)]
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
}
