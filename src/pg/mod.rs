//! The PostgreSQL protocol as bytes in, bytes out: start-up, authentication, the status queries,
//! errors.
//!
//! A [`Session`] is fed what a connection received and fills what it shall send; it owns no socket
//! and no clock. Here are no TLS (the bytes come decrypted), no time limits and no reconnecting:
//! those belong to whoever owns the connection. "Protocol" in the comments is PostgreSQL's manual,
//! part "Frontend/Backend Protocol".

mod auth;
mod encryption;
mod error;
mod frame;
mod identity;
mod mechanism;
mod naming;
mod poll;
mod row;
mod scram;
mod session;
mod status;

#[cfg(test)]
mod wire;

pub use encryption::{
    Answer, ENCRYPTION_ANSWER_BYTES, ask_for_encryption, encryption_answer, encryption_error,
};
pub use mechanism::Transport;
pub use poll::{Ask, Topic};
pub use session::{Progress, Session};
