//! How long a process may run, and how it is ended.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::time::Monotonic;

/// How long it may still run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeLimit {
    /// When the next signal is due.
    pub(super) at: Option<Monotonic>,
    then: Then,
    /// A signal was due.
    pub(super) is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// SIGTERM, which a script can act on, and after a while SIGKILL.
    Terminate,
    /// SIGKILL, so often: who hangs in a disk takes it only when the disk answers.
    KillEvery(Duration),
}

impl TimeLimit {
    /// For a command of the operator's; `None`: it may run for ever.
    pub(super) fn terminate_at(deadline: Option<Monotonic>) -> Self {
        Self {
            at: deadline,
            then: Then::Terminate,
            is_over: false,
        }
    }

    /// For a helper of ours.
    pub(super) fn kill_after(time: Duration, now: Monotonic) -> Self {
        Self {
            at: Some(now + time),
            then: Then::KillEvery(time),
            is_over: false,
        }
    }

    /// The signal that is due, once.
    pub(super) fn run_out(&mut self, now: Monotonic) -> Option<Signal> {
        self.at.filter(|at| *at <= now)?;
        let (signal, next) = match self.then {
            Then::Terminate if !self.is_over => (Signal::SIGTERM, Some(now + GRACE)),
            Then::Terminate => (Signal::SIGKILL, None),
            Then::KillEvery(time) => (Signal::SIGKILL, Some(now + time)),
        };
        (self.at, self.is_over) = (next, true);
        Some(signal)
    }
}

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_duration(Duration::from_secs(seconds))
    }

    #[test]
    fn a_command_is_asked_to_end_first_and_a_helper_is_killed_until_it_is_gone() {
        let (term, kill) = (Some(Signal::SIGTERM), Some(Signal::SIGKILL));
        let check = |mut limit: TimeLimit, expected: [Option<Signal>; 5]| {
            let seconds = [9, 10, 14, 15, 20];
            let signals = seconds.map(|second| limit.run_out(at(second)));
            assert_eq!(signals, expected, "at {seconds:?}");
        };
        check(TimeLimit::terminate_at(None), [None; 5]);
        let command = TimeLimit::terminate_at(Some(at(10)));
        check(command, [None, term, None, kill, None]);
        let helper = TimeLimit::kill_after(Duration::from_secs(5), at(5));
        check(helper, [None, kill, None, kill, kill]);
    }
}
