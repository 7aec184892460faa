//! What `sslmode` means at each step of a connection (libpq's manual, "SSL Support", and
//! fe-connect.c): how it begins, what follows from the server's answer, whether a failed attempt is
//! made again in the other way, and what a certificate is held to.

use crate::config::{Negotiation, SslMode};

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// In plaintext.
    Plain,
    /// With the question whether the server encrypts (SSLRequest).
    Ask,
    /// With the handshake, unasked.
    Direct,
}

/// What follows from the server's answer to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The handshake.
    Encrypt,
    /// The login, in plaintext.
    GoOnPlain,
    /// Nothing: this is not what the operator asked for.
    Refuse,
}

/// What went wrong on the way to a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFailure {
    /// The handshake.
    Handshake,
    /// The login: the server refused with an error of its own.
    Rejected,
    /// Anything else.
    Other,
}

/// What a server's certificate is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing.
    Nothing,
    /// A known authority must have signed it.
    Authority,
    /// And it must be the host's.
    AuthorityAndName,
    /// It should be verified, and there are no authorities to verify it by.
    Impossible,
}

/// How a connection begins. A Unix socket is never encrypted.
pub fn opening(mode: SslMode, negotiation: Negotiation, is_local: bool) -> Opening {
    match mode {
        _ if is_local || !cfg!(feature = "tls") => Opening::Plain,
        SslMode::Disable | SslMode::Allow => Opening::Plain,
        _ if negotiation == Negotiation::Direct => Opening::Direct,
        SslMode::Prefer | SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            Opening::Ask
        }
    }
}

/// What follows from the server's answer to [`Opening::Ask`].
pub fn after_answer(mode: SslMode, is_willing: bool) -> Step {
    match mode {
        _ if is_willing => Step::Encrypt,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Step::Refuse,
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => Step::GoOnPlain,
    }
}

/// How to begin the second and last attempt on the same server, if there shall be one.
/// `was_encrypted`: the server had agreed to encrypt.
pub fn after_failure(
    mode: SslMode,
    was_encrypted: bool,
    is_local: bool,
    failure: AttemptFailure,
) -> Option<Opening> {
    match (mode, was_encrypted, failure) {
        (SslMode::Prefer, true, AttemptFailure::Handshake | AttemptFailure::Rejected) => {
            Some(Opening::Plain)
        }
        (SslMode::Allow, false, AttemptFailure::Rejected) if !is_local && cfg!(feature = "tls") => {
            Some(Opening::Ask)
        }
        _ => None,
    }
}

/// What the certificate is held to. libpq verifies whatever it has authorities for, in every mode
/// that encrypts.
pub fn check_of(mode: SslMode, has_authorities: bool) -> Check {
    match (mode, has_authorities) {
        (SslMode::VerifyFull, true) => Check::AuthorityAndName,
        (_, true) => Check::Authority,
        (SslMode::VerifyCa | SslMode::VerifyFull, false) => Check::Impossible,
        (_, false) => Check::Nothing,
    }
}

#[cfg(test)]
#[cfg(feature = "tls")]
mod tests {
    use super::*;
    use SslMode::*;

    const MODES: [SslMode; 6] = [Disable, Allow, Prefer, Require, VerifyCa, VerifyFull];

    /// `result` for each mode, in the order of [`MODES`], one word each.
    #[track_caller]
    fn check<T: std::fmt::Debug>(result: impl Fn(SslMode) -> T, expected: &str) {
        let found = MODES.map(|mode| format!("{:?}", result(mode)));
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn a_connection_begins_as_the_mode_requires() {
        check(
            |mode| opening(mode, Negotiation::Postgres, false),
            "Plain Plain Ask Ask Ask Ask",
        );
        check(
            |mode| opening(mode, Negotiation::Postgres, true),
            "Plain Plain Plain Plain Plain Plain",
        );
        check(
            |mode| opening(mode, Negotiation::Direct, false),
            "Plain Plain Direct Direct Direct Direct",
        );
    }

    #[test]
    fn the_servers_answer_is_taken_or_not() {
        check(
            |mode| after_answer(mode, true),
            "Encrypt Encrypt Encrypt Encrypt Encrypt Encrypt",
        );
        check(
            |mode| after_answer(mode, false),
            "GoOnPlain GoOnPlain GoOnPlain Refuse Refuse Refuse",
        );
    }

    #[test]
    fn a_setback_is_tried_again_the_other_way_or_not_at_all() {
        let words = |encrypted, local, failure| {
            move |mode| {
                after_failure(mode, encrypted, local, failure).map_or(
                    "-",
                    |opening| match opening {
                        Opening::Plain => "plain",
                        Opening::Ask | Opening::Direct => "ask",
                    },
                )
            }
        };
        let none = r#""-" "-" "-" "-" "-" "-""#;
        check(
            words(true, false, AttemptFailure::Handshake),
            r#""-" "-" "plain" "-" "-" "-""#,
        );
        check(
            words(true, false, AttemptFailure::Rejected),
            r#""-" "-" "plain" "-" "-" "-""#,
        );
        check(
            words(false, false, AttemptFailure::Rejected),
            r#""-" "ask" "-" "-" "-" "-""#,
        );
        check(words(false, true, AttemptFailure::Rejected), none);
        check(words(true, false, AttemptFailure::Other), none);
        check(words(false, false, AttemptFailure::Other), none);
    }

    #[test]
    fn authorities_are_used_wherever_there_are_some() {
        check(
            |mode| check_of(mode, true),
            "Authority Authority Authority Authority Authority AuthorityAndName",
        );
        check(
            |mode| check_of(mode, false),
            "Nothing Nothing Nothing Nothing Impossible Impossible",
        );
    }
}
