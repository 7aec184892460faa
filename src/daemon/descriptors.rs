//! How many of the open descriptors each use may take: what a failover needs comes first, then HTTP
//! clients and the outputs of commands, which would take any number.

use crate::config::Config;
use crate::http::limits::MAX_CONNECTIONS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DescriptorLimits {
    pub(super) http_clients: usize,
    /// Outputs of commands that have exited, kept open by their background processes.
    pub(super) open_outputs: usize,
}

impl DescriptorLimits {
    /// For a process that may have `limit` descriptors open. Logs if those are too few.
    pub(super) fn of(limit: u64, config: &Config) -> Self {
        let clusters = config.voting.iter().flat_map(|it| it.clusters.values());
        let voters: usize = clusters.map(|cluster| cluster.voters.len()).sum();
        let peers = config.nodes.len() + config.observers.len() + voters;
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
        let open_outputs = (spare / 8).min(MAX_OPEN_OUTPUTS);
        Self {
            http_clients: (spare - open_outputs).clamp(1, MAX_CONNECTIONS),
            open_outputs,
        }
    }
}

/// A connection to each peer and the pipe of the helper that resolves its name, and `OWN`.
fn needed(peers: usize) -> usize {
    peers.saturating_mul(2).saturating_add(OWN)
}

/// Standard streams 3, epoll 2, signals, listener and its spare, statsd, syslog, service manager,
/// recorder, a running command; for a moment a client that is rejected, the pipes of the writers of
/// the state file and six alerts, and the six that starting a command takes.
const OWN: usize = 27;
const MAX_OPEN_OUTPUTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_come_first_and_clients_before_outputs_of_commands() {
        for (limit, peers, http_clients, open_outputs) in [
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
                DescriptorLimits::beside(needed(peers), limit),
                DescriptorLimits {
                    http_clients,
                    open_outputs
                },
                "{limit} for {peers}"
            );
        }
    }
}
