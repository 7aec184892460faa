//! How much a peer may ask of us, each limit with its unit. Those of time and of connections are
//! kept by the caller, which has the clock and the sockets.

use std::time::Duration;

/// Bytes of a request's line and header fields together.
pub const MAX_REQUEST_HEAD_BYTES: usize = 8 << 10;
/// Bytes of a request target.
pub(super) const MAX_TARGET_BYTES: usize = 2 << 10;
/// Header fields of a request or response.
pub(super) const MAX_HEADERS: usize = 64;
/// Bytes of a request's body that are read and thrown away, so that the connection can go on.
pub(super) const MAX_REQUEST_BODY_BYTES: u64 = 64 << 10;
/// Bytes of the body of a request for a vote.
pub(super) const MAX_VOTE_BODY_BYTES: u64 = 2 << 10;
/// Bytes of a response's status line and header fields together.
pub const MAX_RESPONSE_HEAD_BYTES: usize = 16 << 10;
/// Bytes of an observer's response body.
pub const MAX_RESPONSE_BODY_BYTES: u64 = 8 << 20;
/// Interim (1xx) responses before the final one.
pub(super) const MAX_INTERIM_RESPONSES: u32 = 4;
/// Bytes of one line of the chunked coding: a chunk's size with its extensions, or a trailer field.
pub(super) const MAX_CHUNK_LINE_BYTES: usize = 1 << 10;
/// Bytes of a chunked body that are neither content nor chunk sizes: extensions and trailer fields.
pub(super) const MAX_CHUNK_OVERHEAD_BYTES: usize = 16 << 10;

/// From accepting a connection, or from the first byte of a later request on it, to the last byte
/// of the answer.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may stay open between two requests. A daemon that polls every minute finds
/// its connection still open; the original takes one that was closed for a failed poll.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(75);
/// Connections open at once, where there are descriptors enough.
pub const MAX_CONNECTIONS: usize = 256;
