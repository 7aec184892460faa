//! The shutdown: what it waits for after SIGTERM or SIGINT.

use std::time::Duration;

use super::io::Io;
use super::service::Service;
use crate::lookout::Lookout;
use crate::time::Monotonic;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    NotRequested,
    /// Waits for the failover command, or for the restart of the own server. No decision is made any
    /// more.
    AfterCommands,
    /// Waits for the files to be written, but not longer than this.
    AfterFiles(Monotonic),
    Now,
}

impl Shutdown {
    /// At once, unless this node is being promoted, or restarted: between stop and start it would stay
    /// down. A second signal counts at once in any case.
    pub(super) fn signal(&mut self, lookout: &Lookout, service: &mut Service, now: Monotonic) {
        *self = match self {
            Self::NotRequested if is_command_needed(lookout) => {
                log::warn!(
                    "shutting down: waiting for the running command; a second signal exits at once"
                );
                service.stopping("waiting for the running command");
                Self::AfterCommands
            }
            Self::NotRequested => {
                service.stopping("shutting down");
                Self::AfterFiles(now + FILES_TIME)
            }
            Self::AfterCommands | Self::AfterFiles(_) | Self::Now => {
                service.stopping("shutting down");
                Self::Now
            }
        };
    }

    pub(super) fn advance(&mut self, lookout: &Lookout, io: &Io) {
        let now = io.now.mono;
        if *self == Self::AfterCommands && !is_command_needed(lookout) {
            *self = Self::AfterFiles(now + FILES_TIME);
        }
        if let Some(deadline) = self.deadline()
            && (deadline <= now || !io.children.is_writing())
        {
            *self = Self::Now;
        }
    }

    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self {
            Self::AfterFiles(deadline) => Some(*deadline),
            Self::NotRequested | Self::AfterCommands | Self::Now => None,
        }
    }
}

fn is_command_needed(lookout: &Lookout) -> bool {
    lookout.is_promoting() || lookout.is_restarting()
}

/// A child that is still writing after this time goes on alone.
const FILES_TIME: Duration = Duration::from_millis(500);
