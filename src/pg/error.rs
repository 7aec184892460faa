//! What a server complains of: ErrorResponse read, sorted by who is to blame, and made fit for a
//! log line.

use std::fmt;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

use crate::cluster::ProbeFailure;

/// An ErrorResponse (Protocol, "Error and Notice Message Fields"), fit to be logged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerError {
    fatal: bool,
    severity: String,
    sqlstate: SqlState,
    message: String,
}

/// A SQLSTATE: five digits or capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SqlState([u8; 5]);

impl SqlState {
    /// `insufficient_privilege`.
    pub(super) const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    const CRASH_SHUTDOWN: Self = Self(*b"57P02");
    const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    const UNABLE_TO_ESTABLISH_CONNECTION: Self = Self(*b"08001");
    const CONNECTION_DOES_NOT_EXIST: Self = Self(*b"08003");
    const CONNECTION_REJECTED: Self = Self(*b"08004");
    const CONNECTION_FAILURE: Self = Self(*b"08006");

    fn read(text: &[u8]) -> Option<Self> {
        let code = <[u8; 5]>::try_from(text).ok()?;
        code.iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            .then_some(Self(code))
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|&byte| write!(f, "{}", char::from(byte)))
    }
}

impl ServerError {
    /// Reads the fields that matter. Severity is taken from `V`, which is never translated, and
    /// from `S` where a server or a pooler does not send `V`.
    pub(super) fn read(body: &ErrorResponseBody) -> Result<Self, ProbeFailure> {
        let (mut severity, mut localized, mut sqlstate, mut message) = (None, None, None, None);
        let mut fields = body.fields();
        while let Some(field) = fields
            .next()
            .map_err(|error| nonsense(format!("a malformed ErrorResponse: {error}")))?
        {
            match field.type_() {
                b'V' => severity = Some(printable(field.value_bytes(), MAX_WORD)),
                b'S' => localized = Some(printable(field.value_bytes(), MAX_WORD)),
                b'C' => sqlstate = SqlState::read(field.value_bytes()),
                b'M' => message = Some(printable(field.value_bytes(), MAX_MESSAGE)),
                _ => {}
            }
        }
        let sqlstate = sqlstate
            .ok_or_else(|| nonsense("an ErrorResponse without a SQLSTATE of five characters"))?;
        let severity = severity.or(localized).unwrap_or_else(|| "ERROR".to_owned());
        Ok(Self {
            fatal: matches!(severity.as_str(), "FATAL" | "PANIC"),
            severity,
            sqlstate,
            message: message.unwrap_or_default(),
        })
    }

    /// Does the server close the connection after this one.
    pub(super) fn is_fatal(&self) -> bool {
        self.fatal
    }

    pub(super) fn sqlstate(&self) -> SqlState {
        self.sqlstate
    }

    /// Who is to blame, by SQLSTATE (PostgreSQL's manual, "PostgreSQL Error Codes"; behaviour.md,
    /// "Polling").
    pub(super) fn into_failure(self) -> ProbeFailure {
        let message = self.to_string();
        match self.sqlstate {
            SqlState([b'2', b'8', ..]) => ProbeFailure::AuthenticationRejected { message },
            // "Connection exceptions" come from a pooler that has lost its server.
            SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::UNABLE_TO_ESTABLISH_CONNECTION
            | SqlState::CONNECTION_DOES_NOT_EXIST
            | SqlState::CONNECTION_REJECTED
            | SqlState::CONNECTION_FAILURE => ProbeFailure::NotReady { message },
            // Other codes of poolers mean little: pgbouncer has long had 08P01 for everything.
            _ if self.has_one_of(&WORDS_FOR_A_LOST_SERVER) => ProbeFailure::NotReady { message },
            _ if self.has_one_of(&WORDS_FOR_A_REJECTED_LOGIN) => {
                ProbeFailure::AuthenticationRejected { message }
            }
            // A code that is not listed comes from a server that lives.
            _ => ProbeFailure::Refused { message },
        }
    }
}

impl ServerError {
    fn has_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|words| self.message.contains(words))
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.severity, self.sqlstate, self.message)
    }
}

/// Something came that the protocol does not allow here.
pub(super) fn nonsense(reason: impl Into<String>) -> ProbeFailure {
    ProbeFailure::ProtocolError {
        reason: reason.into(),
    }
}

/// Something came that the protocol allows, and we do not accept: a living server has sent it.
pub(super) fn declined(what: impl fmt::Display) -> ProbeFailure {
    ProbeFailure::Refused {
        message: format!("pglookout does not accept the answer: {what}"),
    }
}

/// Foreign bytes as one line of at most `limit` bytes: invalid UTF-8 replaced, and whatever breaks
/// a line, moves the cursor or turns the direction of writing escaped, so that no server can forge
/// a log line.
pub(super) fn printable(bytes: &[u8], limit: usize) -> String {
    // No character becomes shorter by escaping, so what lies behind the limit cannot matter.
    let text = String::from_utf8_lossy(bytes.get(..limit.saturating_add(4)).unwrap_or(bytes));
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        let before = line.len();
        match character {
            '\\' => line.push_str("\\\\"),
            _ if breaks_the_line(character) => line.extend(character.escape_default()),
            _ => line.push(character),
        }
        if line.len() > limit {
            line.truncate(before);
            line.push_str("...");
            break;
        }
    }
    line
}

fn breaks_the_line(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// What poolers write when they have no server behind them. Of pgbouncer: what it keeps of the last
/// failure ("server login has been failing, cached error: ...") may also be a living server's
/// refusal, so what follows there decides.
const WORDS_FOR_A_LOST_SERVER: [&str; 16] = [
    // pgbouncer
    "pgbouncer cannot connect to server",
    "client_login_timeout (server down)",
    "server login has been failing, try again later",
    "server conn crashed?",
    "server DNS lookup failed",
    "connect failed",
    "connect timeout",
    "the database system is ",
    // Pgpool-II
    "all backend nodes are down",
    "pgpool is not accepting any new connections",
    "failed to create a backend connection",
    "unable to read data from DB node",
    // Odyssey
    "failed to get remote server connection",
    "failed to connect to remote server",
    "remote server read/write error",
    // pgcat
    "AllServersDown",
];
/// What poolers write when they do not accept who we are.
const WORDS_FOR_A_REJECTED_LOGIN: [&str; 6] = [
    "authentication failed",
    "auth failed",
    "no such user",
    "login rejected",
    "wrong password type",
    "failed to authenticate with backend",
];
/// A server's message is logged up to this many bytes.
pub(super) const MAX_MESSAGE: usize = 1_000;
/// A severity, a column's value or another single word is shown up to this many bytes.
pub(super) const MAX_WORD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::wire;
    use postgres_protocol::message::backend::Message;

    fn read(fields: &[(u8, &[u8])]) -> Result<ServerError, ProbeFailure> {
        match Message::parse(&mut wire::error_fields(fields)).unwrap() {
            Some(Message::ErrorResponse(body)) => ServerError::read(&body),
            _ => panic!("not one ErrorResponse"),
        }
    }

    #[track_caller]
    fn check(sqlstate: &str, expected: &str) {
        let error = read(&[(b'S', b"FATAL"), (b'C', sqlstate.as_bytes()), (b'M', b"no")]).unwrap();
        assert_eq!(
            error.into_failure().to_string(),
            format!("{expected}: FATAL {sqlstate}: no")
        );
    }

    #[test]
    fn the_sqlstate_shows_who_is_to_blame() {
        check("28P01", "authentication rejected");
        check("28000", "authentication rejected");
        check("57P01", "not ready");
        check("57P02", "not ready");
        check("57P03", "not ready");
        check("57P05", "rejected by the server");
        check("3D000", "rejected by the server");
        check("53300", "rejected by the server");
        check("42501", "rejected by the server");
        check("08001", "not ready");
        check("08003", "not ready");
        check("08004", "not ready");
        check("08006", "not ready");
        check("08000", "rejected by the server");
        check("08007", "rejected by the server");
        check("08P01", "rejected by the server");
        check("XX000", "rejected by the server");
        check("58000", "rejected by the server");
    }

    #[test]
    fn poolers_are_recognized_by_their_messages() {
        let retried = "server login has been failing, cached error: ";
        let retry = |error: &str| format!("{retried}{error} (server_login_retry)");
        for (text, expected) in [
            ("pgbouncer cannot connect to server", "not ready"),
            ("client_login_timeout (server down)", "not ready"),
            ("server conn crashed?", "not ready"),
            (&retry("connect failed"), "not ready"),
            (&retry("the database system is starting up"), "not ready"),
            (
                &retry("database \"d\" does not exist"),
                "rejected by the server",
            ),
            (
                &retry("password authentication failed for user \"u\""),
                "authentication rejected",
            ),
            ("no such user: u", "authentication rejected"),
            ("SASL authentication failed", "authentication rejected"),
            ("login rejected", "authentication rejected"),
            (
                "server login failed: wrong password type",
                "authentication rejected",
            ),
            (
                "failed to authenticate with backend using SCRAM",
                "authentication rejected",
            ),
            (
                "could not get connection from the pool - AllServersDown",
                "not ready",
            ),
            (
                "no more connections allowed (max_client_conn)",
                "rejected by the server",
            ),
            ("unsupported startup parameter: x", "rejected by the server"),
            (
                "all backend nodes are down, pgpool requires at least one valid node",
                "not ready",
            ),
            (
                "pgpool is not accepting any more connections",
                "rejected by the server",
            ),
            (
                "odyssey: c1: failed to get remote server connection",
                "not ready",
            ),
            (
                "odyssey: c1: too many active clients for user",
                "rejected by the server",
            ),
        ] {
            for code in ["08P01", "XX000"] {
                let fields = [
                    (b'S', &b"FATAL"[..]),
                    (b'C', code.as_bytes()),
                    (b'M', text.as_bytes()),
                ];
                let failure = read(&fields).unwrap().into_failure();
                let shown = format!("{expected}: FATAL {code}: {text}");
                assert_eq!(failure.to_string(), shown);
            }
        }
    }

    #[test]
    fn severity_is_the_untranslated_one() {
        let error = read(&[
            (b'S', b"ERREUR"),
            (b'V', b"FATAL"),
            (b'C', b"57P01"),
            (b'M', b"x"),
        ])
        .unwrap();
        assert!(error.is_fatal());
        assert!(
            !read(&[(b'S', b"ERREUR"), (b'C', b"57P01")])
                .unwrap()
                .is_fatal()
        );
    }

    #[test]
    fn a_server_cannot_forge_a_log_line() {
        let error = read(&[
            (b'S', b"FATAL"),
            (b'C', b"28P01"),
            (b'M', b"no\nroot\tall \x1b[2J\xff \\n\xe2\x80\xae"),
        ]);
        assert_eq!(
            error.unwrap().to_string(),
            "FATAL 28P01: no\\nroot\\tall \\u{1b}[2J\u{FFFD} \\\\n\\u{202e}"
        );
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        for limit in 0..12 {
            let shown = printable("aäö\n€𐍈xyz".as_bytes(), limit);
            assert!(shown.len() <= limit + 3, "{limit} {shown}");
        }
        assert_eq!(
            printable(&[b'a'; MAX_MESSAGE], MAX_MESSAGE),
            "a".repeat(MAX_MESSAGE)
        );
        assert_eq!(
            printable(&[b'a'; MAX_MESSAGE + 1], MAX_MESSAGE).len(),
            MAX_MESSAGE + 3
        );
    }

    #[test]
    fn an_error_without_sqlstate_is_nonsense() {
        for fields in [
            &[(b'M', &b"x"[..])][..],
            &[(b'C', b"28p01")],
            &[(b'C', b"28P0")],
            &[(b'C', b"28P011")],
            &[],
        ] {
            assert!(
                matches!(read(fields), Err(ProbeFailure::ProtocolError { .. })),
                "{fields:?}"
            );
        }
    }
}
