//! The descriptors that a child process would inherit from us: the listener, every connection, what
//! whoever started us had left open.

#![allow(unsafe_code)]

use std::io;

use nix::sys::resource::{Resource, getrlimit};

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
    let (open, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    (3..i32::try_from(open)
        .unwrap_or(MOST_DESCRIPTORS)
        .min(MOST_DESCRIPTORS))
        .for_each(one_by_one);
    Ok(())
}

/// How far the fallback looks: as far as we let our own descriptors go.
const MOST_DESCRIPTORS: i32 = 65_536;
