//! How much a peer may ask of us, each limit with its unit. Those of time and of connections are kept by the caller, which
//! has the clock and the sockets.

use std::time::Duration;

/// Bytes of a request's line and header fields together.
pub const MAX_REQUEST_HEAD_BYTES: usize = 8 << 10;
/// Bytes of a request target.
pub const MAX_TARGET_BYTES: usize = 2 << 10;
/// Header fields of a request or response.
pub const MAX_HEADERS: usize = 64;
/// Bytes of a request's body that are read and thrown away, so that the connection can go on.
pub const MAX_REQUEST_BODY_BYTES: u64 = 64 << 10;
/// Bytes of a response's status line and header fields together.
pub const MAX_RESPONSE_HEAD_BYTES: usize = 16 << 10;
/// Bytes of an observer's response body.
pub const MAX_RESPONSE_BODY_BYTES: u64 = 8 << 20;
/// Interim (1xx) responses before the final one.
pub const MAX_INTERIM_RESPONSES: u32 = 4;
/// Bytes of one line of the chunked coding: a chunk's size with its extensions, or a trailer field.
pub const MAX_CHUNK_LINE_BYTES: usize = 1 << 10;
/// Bytes of a chunked body that are neither content nor chunk sizes: extensions and trailer fields.
pub const MAX_CHUNK_OVERHEAD_BYTES: usize = 16 << 10;

/// From accepting a connection, or from the first byte of a later request on it, to the last byte of the answer.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may stay open between two requests.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(30);
/// Connections open at once, where there are descriptors enough.
pub const MAX_CONNECTIONS: usize = 256;

/// Connections open at once in a process that may have `descriptors` open and talks to so many `peers` itself: what those
/// need is theirs first, so that no crowd of clients keeps it from them.
pub fn max_connections(descriptors: u64, peers: usize) -> usize {
    let left = usize::try_from(descriptors).unwrap_or(usize::MAX).saturating_sub(own_descriptors(peers));
    left.clamp(1, MAX_CONNECTIONS)
}

/// Descriptors that a process with so many `peers` needs besides those of HTTP connections: a connection to each and the
/// pipe of a helper that looks its name up, and what is open for everything else, commands and files among it.
pub fn own_descriptors(peers: usize) -> usize {
    peers.saturating_mul(2).saturating_add(OWN_DESCRIPTORS)
}

/// Standard streams 3, epoll 2, signals, listener and its spare, statsd, syslog, service manager, recorder, a command that
/// runs; then for a moment a client that is sent away, the pipes of two who write files, and the six that starting a command
/// takes.
const OWN_DESCRIPTORS: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_for_peers_first() {
        for (descriptors, peers, expected) in
            [(32, 4, 2), (64, 4, 34), (1024, 4, 256), (1024, 450, 102), (1024, 600, 1), (8, 4, 1)]
        {
            assert_eq!(max_connections(descriptors, peers), expected, "{descriptors} {peers}");
        }
        assert_eq!((max_connections(u64::MAX, usize::MAX), max_connections(u64::MAX, 4)), (1, 256));
    }
}
