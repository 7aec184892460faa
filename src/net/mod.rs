//! Sockets: links with two buffers, listeners. Moves bytes and understands none of them.

mod link;
mod listener;
mod transport;

pub use link::{Endpoint, Link, Next, Pumped};
pub use listener::{Accepting, Listener};
