//! How the descriptors that the process may have open are shared out: first to what a failover
//! needs, then to those who would take as many as they could get.

use crate::config::Config;
use crate::http::limits::MAX_CONNECTIONS;

/// Who may hold how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// HTTP connections.
    pub(super) clients: usize,
    /// Pipes of commands that are over and have left something running.
    pub(super) left_open: usize,
}

impl Shares {
    /// Of a process with this configuration that may have `limit` descriptors open. Logs if those
    /// are too few.
    pub(super) fn of(limit: u64, config: &Config) -> Self {
        let peers = config.nodes.len() + config.observers.len();
        let needed = needed(peers);
        if u64::try_from(needed).is_ok_and(|needed| needed >= limit) {
            log::warn!(
                "{limit} open descriptors are allowed, {needed} may be needed for {peers} nodes and observers"
            );
        }
        Self::beside(needed, limit)
    }

    fn beside(needed: usize, limit: u64) -> Self {
        let spare = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .saturating_sub(needed);
        let left_open = (spare / 8).min(MAX_LEFT_OPEN);
        Self {
            clients: (spare - left_open).clamp(1, MAX_CONNECTIONS),
            left_open,
        }
    }
}

/// A connection to each peer and the pipe of a helper that looks its name up, and what is open for
/// everything else.
fn needed(peers: usize) -> usize {
    peers.saturating_mul(2).saturating_add(OWN)
}

/// Standard streams 3, epoll 2, signals, listener and its spare, statsd, syslog, service manager,
/// recorder, a command that runs; then for a moment a client that is sent away, the pipes of those
/// who write the state file and six alerts, and the six that starting a command takes.
const OWN: usize = 27;
/// Of a command that leaves something behind at every attempt this many are enough.
const MAX_LEFT_OPEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_come_first_and_clients_before_what_is_left_behind() {
        for (limit, peers, clients, left_open) in [
            (8, 4, 1, 0),
            (32, 4, 1, 0),
            (64, 4, 26, 3),
            (1024, 4, 256, 16),
            (1024, 450, 85, 12),
            (1024, 600, 1, 0),
            (u64::MAX, 4, 256, 16),
            (u64::MAX, usize::MAX, 1, 0),
        ] {
            assert_eq!(
                Shares::beside(needed(peers), limit),
                Shares { clients, left_open },
                "{limit} for {peers}"
            );
        }
    }
}
