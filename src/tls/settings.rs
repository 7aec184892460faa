//! What is demanded of one encrypted connection.

use std::sync::Arc;

use super::{Identity, Trust};
use crate::config::TlsVersion;
use crate::time::WallTime;

/// What is demanded of one connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the operator calls the server: sent to it, and compared with its certificate.
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
    /// The oldest version supported.
    pub oldest: TlsVersion,
    /// The newest version supported.
    pub newest: TlsVersion,
    /// The protocol inside.
    pub protocol: Protocol,
    /// The time at which certificates must be valid.
    pub now: WallTime,
}

/// The protocol inside of an encrypted connection (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's protocol; the server need not confirm it.
    Postgres,
    /// PostgreSQL's protocol without asking first: the server must confirm it.
    DirectPostgres,
    /// HTTP/1.1.
    Http,
}
