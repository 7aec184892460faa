//! The signals that the daemon answers, as a source of the loop instead of handlers that interrupt
//! it.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigHandler, SigSet, Signal as Number, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: end.
    Terminate,
    /// SIGQUIT: end at once.
    Quit,
    /// One that asks for nothing here, and would end a process that does not expect it.
    Ignored(&'static str),
    /// SIGCHLD: at least one child has ended. It coalesces: ask every known child.
    ChildExited,
}

/// The daemon's signals, blocked and waiting to be read.
#[derive(Debug)]
pub struct Signals {
    waiting: SignalFd,
}

impl Signals {
    /// Blocks the signals that must not end the daemon while it starts, whose configuration may be on
    /// a file system that hangs: SIGTERM, SIGINT and SIGQUIT still do.
    pub fn block_others() -> io::Result<()> {
        let mut blocked = all_but_faults();
        ENDING.iter().for_each(|number| blocked.remove(*number));
        Ok(blocked.thread_block()?)
    }

    /// Blocks the daemon's signals for the calling thread, ignores SIGPIPE, and opens the
    /// descriptor from which the former are read. To be called once, by the daemon's one thread.
    pub fn block() -> io::Result<Self> {
        let mut watched = SigSet::empty();
        let others = [Number::SIGHUP, Number::SIGCHLD];
        let watched_numbers = ENDING.iter().chain(&others).chain(&IGNORED);
        watched_numbers.for_each(|number| watched.add(*number));
        all_but_faults().thread_block()?;
        // Whoever started us may have ignored them (nohup does so with SIGHUP); an ignored SIGCHLD
        // would also take away the exit status of every child.
        set_disposition(Number::SIGHUP, SigHandler::SigDfl)?;
        set_disposition(Number::SIGCHLD, SigHandler::SigDfl)?;
        // Writing to a closed socket, or beyond a limit, is an error to look at, not a reason to die.
        set_disposition(Number::SIGPIPE, SigHandler::SigIgn)?;
        set_disposition(Number::SIGXFSZ, SigHandler::SigIgn)?;
        let waiting =
            SignalFd::with_flags(&watched, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { waiting })
    }

    /// Every signal that has come since the last call.
    pub fn read(&mut self) -> Vec<Signal> {
        let numbers = std::iter::from_fn(|| self.waiting.read_signal().ok().flatten());
        numbers
            .filter_map(|info| meaning(i32::try_from(info.ssi_signo).ok()?))
            .collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiting.as_fd()
    }
}

fn meaning(number: i32) -> Option<Signal> {
    let number = Number::try_from(number).ok()?;
    Some(match number {
        Number::SIGHUP => Signal::Reload,
        Number::SIGTERM | Number::SIGINT => Signal::Terminate,
        Number::SIGQUIT => Signal::Quit,
        Number::SIGCHLD => Signal::ChildExited,
        other => Signal::Ignored(other.as_str()),
    })
}

/// Every signal, those of real time too, but what reports a fault of this program or stops it, and what
/// does nothing by default.
fn all_but_faults() -> SigSet {
    let mut signals = SigSet::all();
    for number in [
        Number::SIGABRT,
        Number::SIGBUS,
        Number::SIGFPE,
        Number::SIGILL,
        Number::SIGSEGV,
        Number::SIGSYS,
        Number::SIGTRAP,
        Number::SIGCONT,
        Number::SIGTSTP,
        Number::SIGTTIN,
        Number::SIGTTOU,
        Number::SIGURG,
        Number::SIGWINCH,
    ] {
        signals.remove(number);
    }
    signals
}

const ENDING: [Number; 3] = [Number::SIGTERM, Number::SIGINT, Number::SIGQUIT];
/// Those of which there is a line in the log.
const IGNORED: [Number; 9] = [
    Number::SIGUSR1,
    Number::SIGUSR2,
    Number::SIGALRM,
    Number::SIGVTALRM,
    Number::SIGPROF,
    Number::SIGIO,
    Number::SIGPWR,
    Number::SIGSTKFLT,
    Number::SIGXCPU,
];

fn set_disposition(number: Number, disposition: SigHandler) -> io::Result<()> {
    // SAFETY: neither disposition runs code of ours, so there is no handler that could be
    // interrupted anywhere unsafe.
    unsafe { signal(number, disposition) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use mio::unix::SourceFd;
    use mio::{Interest, Token};
    use nix::sys::signal::raise;

    use super::*;

    // Every test has a thread of its own, and `raise` signals that thread alone.
    #[test]
    fn signals_are_read_instead_of_ending_the_process() {
        let mut signals = Signals::block().unwrap();
        assert_eq!(signals.read(), []);
        raise(Number::SIGHUP).unwrap();
        assert_eq!(signals.read(), [Signal::Reload]);
        raise(Number::SIGTERM).unwrap();
        assert_eq!(signals.read(), [Signal::Terminate]);
        raise(Number::SIGINT).unwrap();
        assert_eq!(signals.read(), [Signal::Terminate]);
        raise(Number::SIGQUIT).unwrap();
        assert_eq!(signals.read(), [Signal::Quit]);
        for number in IGNORED {
            raise(number).unwrap();
            assert_eq!(signals.read(), [Signal::Ignored(number.as_str())]);
        }
        raise(Number::SIGPIPE).unwrap();
        // SAFETY: it is blocked, and nobody takes it.
        assert_eq!(unsafe { libc::raise(libc::SIGRTMIN()) }, 0);
        raise(Number::SIGCHLD).unwrap();
        raise(Number::SIGCHLD).unwrap();
        assert_eq!(signals.read(), [Signal::ChildExited]);
        assert_eq!(signals.read(), []);
    }

    #[test]
    fn is_a_source_of_the_loop() {
        let mut signals = Signals::block().unwrap();
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(4);
        poll.registry()
            .register(
                &mut SourceFd(&signals.as_fd().as_raw_fd()),
                Token(3),
                Interest::READABLE,
            )
            .unwrap();
        raise(Number::SIGHUP).unwrap();
        poll.poll(&mut events, Some(std::time::Duration::from_secs(20)))
            .unwrap();
        assert_eq!(
            events
                .iter()
                .map(mio::event::Event::token)
                .collect::<Vec<_>>(),
            [Token(3)]
        );
        assert_eq!(signals.read(), [Signal::Reload]);
    }
}
