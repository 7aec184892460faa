//! TLS as bytes in, bytes out: what is agreed upon before it, whose certificates count, and the
//! encrypted stream itself, on rustls. No socket, no file and no clock: transport, texts and time
//! are handed in.
//!
//! Without the feature `tls` the types are there and can have no value: whoever uses them need not
//! know.

mod agreement;
mod failure;

#[cfg(feature = "tls")]
mod certificate;
#[cfg(feature = "tls")]
mod identity;
#[cfg(feature = "tls")]
mod secured;
#[cfg(feature = "tls")]
mod trust;
#[cfg(feature = "tls")]
mod verifier;

#[cfg(not(feature = "tls"))]
mod absent;

#[cfg(not(feature = "tls"))]
pub use absent::{Identity, Secured, Trust};
pub use agreement::{
    Check, Opening, Setback, Step, after_answer, after_setback, check_of, opening,
};
pub use failure::{Blame, Failure};
#[cfg(feature = "tls")]
pub use identity::Identity;
#[cfg(feature = "tls")]
pub use secured::Secured;
#[cfg(feature = "tls")]
pub use trust::Trust;

use std::sync::Arc;

use crate::config::TlsVersion;
use crate::time::WallTime;

/// What is demanded of one connection.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What the operator calls the server: told to it, and compared with its certificate.
    pub host: String,
    /// Whose signatures count; `None`: any certificate will do.
    pub trust: Option<Arc<Trust>>,
    /// Must the certificate be the host's.
    pub verifies_name: bool,
    /// Our certificate, should the server ask for one.
    pub identity: Option<Identity>,
    /// The server must ask for our certificate.
    pub must_be_asked: bool,
    /// Tell the server the name that we call it by, if it is one.
    pub sni: bool,
    /// The oldest version spoken.
    pub oldest: TlsVersion,
    /// The newest version spoken.
    pub newest: TlsVersion,
    /// What will be spoken inside.
    pub protocol: Protocol,
    /// The time at which certificates must be valid.
    pub now: WallTime,
}

/// What is spoken inside of an encrypted connection (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's protocol; the server need not confirm it.
    Postgres,
    /// PostgreSQL's protocol without asking first: the server must confirm it.
    DirectPostgres,
    /// HTTP/1.1.
    Http,
}
