//! How long a command may run, and how it is ended: first by SIGTERM, which a script can act on,
//! then by SIGKILL.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::time::Monotonic;

/// How long it may still run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Unlimited,
    Until(Monotonic),
    /// It was told to end; after this it is ended.
    Ending(Monotonic),
    Ended,
}

impl Patience {
    pub(super) fn until(deadline: Option<Monotonic>) -> Self {
        deadline.map_or(Self::Unlimited, Self::Until)
    }

    /// The signal that is due, once.
    pub(super) fn run_out(&mut self, now: Monotonic) -> Option<Signal> {
        let (next, signal) = match self {
            Self::Until(deadline) if *deadline <= now => {
                (Self::Ending(now + GRACE), Signal::SIGTERM)
            }
            Self::Ending(deadline) if *deadline <= now => (Self::Ended, Signal::SIGKILL),
            _ => return None,
        };
        *self = next;
        Some(signal)
    }

    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        match self {
            Self::Until(deadline) | Self::Ending(deadline) => Some(*deadline),
            Self::Unlimited | Self::Ended => None,
        }
    }

    /// Was it told to end.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Ending(_) | Self::Ended)
    }
}

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
