//! The way out: what a signal to end waits for.

use std::time::Duration;

use super::io::Io;
use super::service::Service;
use crate::lookout::Lookout;
use crate::time::Monotonic;

/// How far we are on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    NotYet,
    /// As soon as the failover command has ended, or our own server has been started again. No
    /// decision is made any more.
    AfterCommands,
    /// As soon as the files are written, but not later than this.
    AfterFiles(Monotonic),
    Now,
}

impl Ending {
    /// SIGTERM or SIGINT: at once, unless this node is being promoted, or restarted: between stop
    /// and start it would stay down. The second time at once in any case.
    pub(super) fn signal(&mut self, lookout: &Lookout, service: &mut Service, now: Monotonic) {
        *self = match self {
            Self::NotYet if is_needed(lookout) => {
                log::warn!(
                    "shutting down: waiting for the running command; a second signal exits at once"
                );
                service.stopping("waiting for the running command");
                Self::AfterCommands
            }
            Self::NotYet => {
                service.stopping("ending");
                Self::AfterFiles(now + FILES_TIME)
            }
            Self::AfterCommands | Self::AfterFiles(_) | Self::Now => {
                service.stopping("ending");
                Self::Now
            }
        };
    }

    /// One step further, when nothing is left that this one waits for.
    pub(super) fn advance(&mut self, lookout: &Lookout, io: &Io) {
        let now = io.now.mono;
        if *self == Self::AfterCommands && !is_needed(lookout) {
            *self = Self::AfterFiles(now + FILES_TIME);
        }
        if let Some(last) = self.last_moment()
            && (last <= now || !io.children.is_writing())
        {
            *self = Self::Now;
        }
    }

    pub(super) fn last_moment(&self) -> Option<Monotonic> {
        match self {
            Self::AfterFiles(last) => Some(*last),
            Self::NotYet | Self::AfterCommands | Self::Now => None,
        }
    }
}

/// Is there a command whose end must not be missed.
fn is_needed(lookout: &Lookout) -> bool {
    lookout.is_promoting() || lookout.is_restarting()
}

/// For the files: a child that is not done by then goes on alone.
const FILES_TIME: Duration = Duration::from_millis(500);
