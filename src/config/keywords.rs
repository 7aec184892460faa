//! libpq's keywords: which exist, which environment variable gives a default, which are honoured; and
//! what a connection is written as: ordered pairs of keyword and value.

use std::fmt;

use super::problem::nearest;
use Support::{Honoured, Ignored, OneOf};

/// Keywords and values in the order they were written, each keyword once (the last value given
/// wins), unresolved. `Debug` hides secrets.
#[derive(Clone, Default)]
pub struct Keywords {
    pairs: Vec<(String, String)>,
    /// Keywords whose values no message may show: where the text was cut, part of a password may
    /// stand there.
    unshown: Vec<String>,
}

impl PartialEq for Keywords {
    fn eq(&self, other: &Self) -> bool {
        self.pairs == other.pairs
    }
}

impl Eq for Keywords {}

/// Why a connection string or URL cannot be read. Says where, never what: any part of it may belong
/// to a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// A keyword without `=`: the character it begins at, counted from 1.
    MissingEquals(usize),
    /// A quote that is never closed: the character it stands at.
    UnclosedQuote(usize),
    /// A NUL character, which cannot be sent to a server.
    Nul,
    /// A percent sign that two hexadecimal digits do not follow.
    Percent,
    /// Percent-encoded bytes that are not UTF-8, or a NUL.
    PercentText,
    /// A blank that is not percent-encoded.
    BlankInUrl,
    /// A `/` or `@` of a password that was not encoded: an `@` is left in the path.
    Separators,
    /// `[` without `]`, with nothing between them, or with something but `:`, `/`, `?` or `,`
    /// behind.
    Brackets,
    /// A query parameter that has not exactly one `=`.
    QueryParameter,
}

impl Keywords {
    /// Sets `keyword`, in place if it is there.
    pub fn set(&mut self, keyword: &str, value: impl Into<String>) {
        let value = value.into();
        match self.pairs.iter_mut().find(|(known, _)| known == keyword) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((keyword.to_owned(), value)),
        }
    }

    /// Removes `keyword` if it is there.
    pub fn remove(&mut self, keyword: &str) {
        self.pairs.retain(|(known, _)| known != keyword);
    }

    /// No message may show the value of `keyword`.
    pub(super) fn hide(&mut self, keyword: &str) {
        self.unshown.push(keyword.to_owned());
    }

    /// May a message show the value of `keyword`.
    pub(super) fn may_show(&self, keyword: &str) -> bool {
        !is_secret(keyword) && !self.unshown.iter().any(|unshown| unshown == keyword)
    }

    /// The value of `keyword`.
    pub fn value(&self, keyword: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == keyword)
            .map(|(_, value)| value)
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(keyword, value)| (keyword.as_str(), value.as_str()))
    }

    /// Do both say the same, in whatever order.
    pub fn is_equivalent_to(&self, other: &Self) -> bool {
        self.pairs.len() == other.pairs.len()
            && self
                .iter()
                .all(|(keyword, value)| other.value(keyword) == Some(value))
    }

    /// A keyword/value string that libpq reads back as the same pairs. Shows passwords.
    pub fn to_conninfo_string(&self) -> String {
        joined(self.iter())
    }

    /// The pairs without any secret, then whether there is a password: for logs.
    pub fn masked(&self) -> String {
        let open = joined(self.iter().filter(|(keyword, _)| !is_secret(keyword)));
        let password = if self.value("password").is_some() {
            "hidden password"
        } else {
            "no password"
        };
        format!("{open}; {password}")
    }
}

impl fmt::Debug for Keywords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keywords({})", self.masked())
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingEquals(at) => {
                return write!(f, "no \"=\" after the word at character {at}");
            }
            Self::UnclosedQuote(at) => {
                return write!(f, "the quote at character {at} is never closed");
            }
            Self::Nul => "holds a NUL character",
            Self::Percent => "a percent sign in a URL must be followed by two hexadecimal digits",
            Self::PercentText => "percent-encoded characters in a URL must be UTF-8 without NUL",
            Self::BlankInUrl => "a blank in a URL must be written as %20",
            Self::Separators => {
                "a \"/\" or \"@\" in the user or password of a URL must be written as %2F or %40 (and an \"@\" in a database's name as %40)"
            }
            Self::Brackets => {
                "brackets in a URL must hold an IPv6 address, followed by a port, a path or nothing"
            }
            Self::QueryParameter => "each query parameter of a URL must be keyword=value",
        })
    }
}

impl std::error::Error for SyntaxError {}

/// What C's `isspace` takes for a blank.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

/// Must the value of `keyword` never be shown.
pub(super) fn is_secret(keyword: &str) -> bool {
    SECRETS.contains(&keyword)
}

/// Is `keyword` a secret's, or probably meant to be.
pub(super) fn is_like_a_secret(keyword: &str) -> bool {
    let keyword = keyword.to_ascii_lowercase();
    let is_near = || find(&keyword).is_none() && nearest(&keyword, SECRETS.into_iter()).is_some();
    let names = ["pass", "pwd", "secret"];
    is_secret(&keyword)
        || keyword != "passfile" && names.iter().any(|name| keyword.contains(name))
        || is_near()
}

/// One value, quoted as libpq reads it.
pub(super) fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\'', "\\'");
    if value.is_empty() || value.contains(char::is_whitespace) {
        format!("'{escaped}'")
    } else {
        escaped
    }
}

fn joined<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    pairs
        .map(|(keyword, value)| format!("{keyword}={}", quoted(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

const SECRETS: [&str; 5] = [
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
];

/// One keyword of libpq.
pub(super) struct KnownKeyword {
    pub(super) name: &'static str,
    /// Environment variable that gives the default; empty if there is none.
    pub(super) variable: &'static str,
    pub(super) support: Support,
}

/// Do we do what the keyword says.
pub(super) enum Support {
    /// Yes.
    Honoured,
    /// No; but these values ask for what we do anyway.
    Ignored(&'static [&'static str]),
    /// No; values of the first list ask for what we do anyway, those of the second for something
    /// that we do not do, and libpq takes no others.
    OneOf(&'static [&'static str], &'static [&'static str]),
}

/// The keyword of that name.
pub(super) fn find(name: &str) -> Option<&'static KnownKeyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

/// All of them up to PostgreSQL 18, and those that older ones took.
pub(super) const KEYWORDS: &[KnownKeyword] = &[
    keyword("host", "PGHOST", Honoured),
    keyword("hostaddr", "PGHOSTADDR", Honoured),
    keyword("port", "PGPORT", Honoured),
    keyword("dbname", "PGDATABASE", Honoured),
    keyword("user", "PGUSER", Honoured),
    keyword("password", "PGPASSWORD", Honoured),
    keyword("passfile", "PGPASSFILE", Honoured),
    keyword("connect_timeout", "PGCONNECT_TIMEOUT", Honoured),
    keyword("application_name", "PGAPPNAME", Honoured),
    keyword("fallback_application_name", "", Honoured),
    keyword("options", "PGOPTIONS", Honoured),
    keyword("keepalives", "", Honoured),
    keyword("keepalives_idle", "", Honoured),
    keyword("keepalives_interval", "", Honoured),
    keyword("keepalives_count", "", Honoured),
    keyword("tcp_user_timeout", "", Honoured),
    keyword("sslmode", "PGSSLMODE", Honoured),
    keyword("requiressl", "PGREQUIRESSL", Honoured),
    keyword("sslrootcert", "PGSSLROOTCERT", Honoured),
    keyword("sslcert", "PGSSLCERT", Honoured),
    keyword("sslkey", "PGSSLKEY", Honoured),
    keyword("channel_binding", "PGCHANNELBINDING", Honoured),
    keyword("target_session_attrs", "PGTARGETSESSIONATTRS", Honoured),
    keyword(
        "client_encoding",
        "PGCLIENTENCODING",
        Ignored(&["UTF8", "UTF-8", "utf8", "utf-8", "auto"]),
    ),
    keyword(
        "gssencmode",
        "PGGSSENCMODE",
        OneOf(&["disable", "prefer"], &["require"]),
    ),
    keyword(
        "load_balance_hosts",
        "PGLOADBALANCEHOSTS",
        OneOf(&["disable"], &["random"]),
    ),
    keyword("sslnegotiation", "PGSSLNEGOTIATION", Honoured),
    keyword("sslcompression", "PGSSLCOMPRESSION", Ignored(&["0"])),
    keyword("sslsni", "PGSSLSNI", Honoured),
    keyword("replication", "", Ignored(&["false", "off", "no", "0"])),
    keyword("service", "PGSERVICE", Honoured),
    keyword("servicefile", "PGSERVICEFILE", Honoured),
    keyword("requirepeer", "PGREQUIREPEER", Honoured),
    keyword("require_auth", "PGREQUIREAUTH", Honoured),
    keyword(
        "min_protocol_version",
        "PGMINPROTOCOLVERSION",
        OneOf(&["3.0"], &["3.2", "latest"]),
    ),
    keyword(
        "max_protocol_version",
        "PGMAXPROTOCOLVERSION",
        OneOf(&["3.0", "3.2", "latest"], &[]),
    ),
    keyword("sslpassword", "", Ignored(&[])),
    keyword("sslcertmode", "PGSSLCERTMODE", Honoured),
    keyword("sslcrl", "PGSSLCRL", Honoured),
    keyword("sslcrldir", "PGSSLCRLDIR", Ignored(&[])),
    keyword("sslkeylogfile", "", Ignored(&[])),
    keyword(
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        Honoured,
    ),
    keyword(
        "ssl_max_protocol_version",
        "PGSSLMAXPROTOCOLVERSION",
        Honoured,
    ),
    keyword("krbsrvname", "PGKRBSRVNAME", Ignored(&[])),
    keyword("gsslib", "PGGSSLIB", Ignored(&[])),
    keyword("gssdelegation", "PGGSSDELEGATION", Ignored(&["0"])),
    keyword("scram_client_key", "", Ignored(&[])),
    keyword("scram_server_key", "", Ignored(&[])),
    keyword("oauth_issuer", "", Ignored(&[])),
    keyword("oauth_client_id", "", Ignored(&[])),
    keyword("oauth_client_secret", "", Ignored(&[])),
    keyword("oauth_scope", "", Ignored(&[])),
    keyword("authtype", "", Ignored(&[])),
    keyword("tty", "", Ignored(&[])),
];

const fn keyword(name: &'static str, variable: &'static str, support: Support) -> KnownKeyword {
    KnownKeyword {
        name,
        variable,
        support,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_masked(text: &str, expected: &str) {
        let keywords = Keywords::parse(text).unwrap();
        assert_eq!(keywords.masked(), expected);
        assert_eq!(format!("{keywords:?}"), format!("Keywords({expected})"));
    }

    #[test]
    fn masks_as_the_original_does() {
        check_masked("", "; no password");
        check_masked(
            "host=localhost user='marcel o\\'bri=an'",
            "host=localhost user='marcel o\\'bri=an'; no password",
        );
        check_masked(
            "host=h password=x sslpassword=y dbname=''",
            "host=h dbname=''; hidden password",
        );
    }
}
