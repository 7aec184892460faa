//! Who we say we are: the values of the start-up message, and a password that does not print.

use std::fmt;
use std::io;

use bytes::BytesMut;
use postgres_protocol::message::frontend;

/// What a session needs to log in, every default of libpq applied.
#[derive(Clone, Debug)]
pub struct Login {
    /// The role.
    pub user: String,
    /// The database.
    pub dbname: String,
    /// The password, should the server want one. An empty one counts as none, as in libpq.
    pub password: Option<Password>,
    /// What `pg_stat_activity` shows.
    pub application_name: String,
    /// Command-line options for the backend (libpq's `options`).
    pub options: Option<String>,
    /// How what is said gets to the server.
    pub transport: Transport,
    /// Whether the login is bound to that.
    pub binding: Binding,
    /// Ways of logging in that the server may ask for.
    pub accepted: Accepted,
}

/// How what is said gets to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over a network, for whoever listens.
    Network,
    /// Over a socket of this machine.
    Local,
    /// Encrypted.
    Encrypted {
        /// What the login can be bound to: `tls-server-end-point` (RFC 5929), if the certificate
        /// gives one.
        end_point: Option<Vec<u8>>,
    },
}

/// libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Not used.
    Disable,
    /// Used if the server offers it.
    Prefer,
    /// Insisted on.
    Require,
}

/// Ways of logging in that are accepted (libpq's `require_auth`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The server asks for nothing.
    pub nothing: bool,
    /// A password in cleartext, where nobody can listen: encrypted, or on this machine.
    pub cleartext: bool,
    /// A password in cleartext for whoever listens.
    pub cleartext_in_the_open: bool,
    /// A hashed password.
    pub md5: bool,
    /// SCRAM-SHA-256, bound or not.
    pub scram: bool,
}

impl Default for Accepted {
    fn default() -> Self {
        Self {
            nothing: true,
            cleartext: true,
            cleartext_in_the_open: false,
            md5: true,
            scram: true,
        }
    }
}

/// A password. `Debug` does not show it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password itself, for whoever must send or hash it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl From<&str> for Password {
    fn from(password: &str) -> Self {
        Self(password.to_owned())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

impl Login {
    /// Queues the StartupMessage (Protocol, "Message Formats"). Nothing is queued when a value
    /// holds a zero byte, which the message cannot carry.
    ///
    /// Protocol 3.0, though newer servers speak 3.2: nothing of it is needed here, and poolers know
    /// 3.0. Only parameters that pgbouncer accepts from everybody are sent; `options` is there only
    /// if it was configured.
    pub(super) fn queue_start(&self, out: &mut BytesMut) -> io::Result<()> {
        let begin = out.len();
        let parameters = [
            ("user", self.user.as_str()),
            ("database", self.dbname.as_str()),
            ("application_name", self.application_name.as_str()),
            ("client_encoding", "UTF8"),
        ];
        let options = self.options.as_deref().map(|options| ("options", options));
        frontend::startup_message(parameters.into_iter().chain(options), out)
            .inspect_err(|_| out.truncate(begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(user: &str) -> Login {
        Login {
            user: user.to_owned(),
            dbname: "d".to_owned(),
            password: Some("tops3cret".into()),
            application_name: "pglookout".to_owned(),
            options: None,
            transport: Transport::Network,
            binding: Binding::Prefer,
            accepted: Accepted::default(),
        }
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let shown = format!("{:?} {:#?}", login("u"), login("u"));
        assert!(!shown.contains("tops3cret"), "{shown}");
    }

    #[test]
    fn the_start_up_message_is_protocol_3_0() {
        let mut out = BytesMut::new();
        let mut login = login("u");
        login.queue_start(&mut out).unwrap();
        let expected =
            b"\0\0\0\x4b\0\x03\0\0user\0u\0database\0d\0application_name\0pglookout\0client_encoding\0UTF8\0\0";
        assert_eq!(&out[..], expected);

        out.clear();
        login.options = Some("-c x=y".to_owned());
        login.queue_start(&mut out).unwrap();
        assert!(out.ends_with(b"UTF8\0options\0-c x=y\0\0"));
    }

    #[test]
    fn a_zero_byte_queues_nothing() {
        let mut out = BytesMut::from(&b"before"[..]);
        assert!(login("u\0superuser\0yes").queue_start(&mut out).is_err());
        assert_eq!(&out[..], b"before");
    }
}
