//! Sockets: links with two buffers, listeners, tokens.
