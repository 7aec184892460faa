//! Why there is no encrypted connection, and who is to blame.

use std::fmt;

/// A connection that could not be encrypted, or was not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who has to do something about it.
    pub blame: Blame,
    /// One line for the operator; the server's text is escaped.
    pub reason: String,
}

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The server's certificate does not prove that it is the server.
    Certificate,
    /// The server does not accept our certificate, or the lack of one.
    OurCertificate,
    /// The server does not want to go on, and says so in TLS.
    Server,
    /// Whoever answered breaks the TLS protocol.
    ProtocolError,
    /// Our own files or settings.
    Ourselves,
}

impl Failure {
    /// A failure to blame on `blame`.
    pub fn new(blame: Blame, reason: impl Into<String>) -> Self {
        Self {
            blame,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}
