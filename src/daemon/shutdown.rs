//! The shutdown: what it waits for after SIGTERM or SIGINT.

use std::time::Duration;

use super::io::Io;
use super::service::Service;
use crate::lookout::Lookout;
use crate::time::Monotonic;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    NotRequested,
    /// Waits for the failover command, but not longer than this. No decision is made any more.
    AfterPromotion(Monotonic),
    /// Waits for the restart of the own server: between stop and start it would stay down.
    AfterRestart,
    /// Waits for the core to have the last files written, but not longer than this.
    AfterFiles(Monotonic),
    Now,
}

impl Shutdown {
    /// At once, unless this node is being promoted or restarted. A second signal counts at once in
    /// any case.
    pub(super) fn signal(&mut self, lookout: &Lookout, service: &mut Service, now: Monotonic) {
        let (status, next) = match self {
            Self::NotRequested if lookout.is_promoting() => {
                log::warn!(
                    "shutting down: waiting {} s at most for failover_command; a second signal exits at once",
                    PROMOTION_TIME.as_secs()
                );
                let until = now + PROMOTION_TIME;
                ("waiting for failover_command", Self::AfterPromotion(until))
            }
            Self::NotRequested if lookout.is_restarting() => {
                log::warn!(
                    "shutting down: waiting for the restart of PostgreSQL; a second signal exits at once"
                );
                ("waiting for the restart of PostgreSQL", Self::AfterRestart)
            }
            Self::NotRequested => ("shutting down", Self::AfterFiles(now + FILES_TIME)),
            Self::AfterPromotion(_) | Self::AfterRestart | Self::AfterFiles(_) | Self::Now => {
                ("shutting down", Self::Now)
            }
        };
        service.stopping(status);
        *self = next;
    }

    pub(super) fn advance(&mut self, lookout: &Lookout, io: &Io) {
        let now = io.now.mono;
        match self {
            Self::AfterPromotion(until) if lookout.is_promoting() && *until > now => {}
            Self::AfterPromotion(_) | Self::AfterRestart if lookout.is_restarting() => {
                *self = Self::AfterRestart;
            }
            Self::AfterPromotion(_) | Self::AfterRestart => {
                if lookout.is_promoting() {
                    log::warn!("failover_command goes on without this process");
                }
                *self = Self::AfterFiles(now + FILES_TIME);
            }
            Self::NotRequested | Self::AfterFiles(_) | Self::Now => {}
        }
        if let Self::AfterFiles(until) = self
            && (*until <= now || (io.events.is_empty() && !io.children.is_writing()))
        {
            *self = Self::Now;
        }
    }

    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self {
            Self::AfterPromotion(until) | Self::AfterFiles(until) => Some(*until),
            Self::NotRequested | Self::AfterRestart | Self::Now => None,
        }
    }
}

/// A failover command that runs longer goes on alone.
const PROMOTION_TIME: Duration = Duration::from_secs(10);
/// A child that is still writing after this time goes on alone.
const FILES_TIME: Duration = Duration::from_millis(500);
