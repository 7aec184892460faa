//! How a connection is written: libpq's keyword/value strings as ordered pairs, both ways. Knows no
//! keyword's meaning.

use std::fmt;

/// Keywords and values in the order they were written, each keyword once (the last value given
/// wins), unresolved. `Debug` hides secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keywords(Vec<(String, String)>);

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
    /// `[` without `]`, with nothing between them, or with something but `:`, `/`, `?` or `,`
    /// behind.
    Brackets,
    /// A query parameter that has not exactly one `=`.
    QueryParameter,
}

impl Keywords {
    /// Reads a keyword/value string or, when it begins as one, a `postgres://` or `postgresql://`
    /// URL.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.contains('\0') {
            return Err(SyntaxError::Nul);
        }
        match text
            .strip_prefix("postgresql://")
            .or_else(|| text.strip_prefix("postgres://"))
        {
            Some(rest) => super::url::parse(rest),
            None => parse_pairs(text),
        }
    }

    /// Sets `keyword`, in place if it is there.
    pub fn set(&mut self, keyword: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == keyword) {
            Some(pair) => pair.1 = value,
            None => self.0.push((keyword.to_owned(), value)),
        }
    }

    /// Removes `keyword` if it is there.
    pub fn remove(&mut self, keyword: &str) {
        self.0.retain(|(known, _)| known != keyword);
    }

    /// The value of `keyword`.
    pub fn value(&self, keyword: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == keyword)
            .map(|(_, value)| value)
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(keyword, value)| (keyword.as_str(), value.as_str()))
    }

    /// Do both say the same, in whatever order.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
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

fn parse_pairs(text: &str) -> Result<Keywords, SyntaxError> {
    let mut keywords = Keywords::default();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        let end = rest
            .find(|next| next == '=' || is_blank(next))
            .unwrap_or(rest.len());
        let (keyword, tail) = rest.split_at(end);
        let Some(tail) = tail.trim_start_matches(is_blank).strip_prefix('=') else {
            return Err(SyntaxError::MissingEquals(position(text, rest)));
        };
        let tail = tail.trim_start_matches(is_blank);
        let (value, tail) = match tail.strip_prefix('\'') {
            Some(inner) => {
                read_quoted(inner).ok_or(SyntaxError::UnclosedQuote(position(text, tail)))?
            }
            None => read_bare(tail),
        };
        keywords.set(keyword, value);
        rest = tail.trim_start_matches(is_blank);
    }
    Ok(keywords)
}

/// Up to the closing quote; `None` if there is none.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '\'' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

/// Up to a blank that is not escaped.
fn read_bare(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match next {
            '\\' => value.extend(chars.next()),
            blank if is_blank(blank) => break,
            other => value.push(other),
        }
    }
    (value, chars.as_str())
}

/// Which character of `text`, counted from 1, its tail `rest` begins with.
fn position(text: &str, rest: &str) -> usize {
    text.chars()
        .count()
        .saturating_sub(rest.chars().count())
        .saturating_add(1)
}

const SECRETS: [&str; 5] = [
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
];

#[cfg(test)]
mod tests {
    use super::SyntaxError::*;
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let keywords = Keywords::parse(text).unwrap();
        assert_eq!(keywords.iter().collect::<Vec<_>>(), expected, "{text:?}");
        assert_eq!(
            Keywords::parse(&keywords.to_conninfo_string()).as_ref(),
            Ok(&keywords),
            "{text:?} read back"
        );
    }

    #[track_caller]
    fn check_refused(text: &str, expected: SyntaxError) {
        assert_eq!(Keywords::parse(text), Err(expected), "{text:?}");
    }

    #[test]
    fn reads_what_libpq_reads() {
        check("", &[]);
        check(" \n ", &[]);
        check(
            "host=localhost user=os",
            &[("host", "localhost"), ("user", "os")],
        );
        check("host=a host=b", &[("host", "b")]);
        check("\thost=x\n port\t=\r5 ", &[("host", "x"), ("port", "5")]);
        check("host= port=5", &[("host", "port=5")]);
        check("host=", &[("host", "")]);
        check("a=''b=y", &[("a", ""), ("b", "y")]);
        check("a='x y' b=z=w", &[("a", "x y"), ("b", "z=w")]);
        check(
            r"a='it\'s' b=\'x\\ c=d\ e",
            &[("a", "it's"), ("b", r"'x\"), ("c", "d e")],
        );
        check(r"a='back\slash'", &[("a", "backslash")]);
        check(r"a=end\", &[("a", "end")]);
        check("a=p'w", &[("a", "p'w")]);
        check("a=\u{a0}b user=å", &[("a", "\u{a0}b"), ("user", "å")]);
        check("options='-c a=b'", &[("options", "-c a=b")]);
    }

    #[test]
    fn says_where_it_cannot_go_on() {
        check_refused("x", MissingEquals(1));
        check_refused("foo=bar x", MissingEquals(9));
        check_refused("password='p''w'", MissingEquals(13));
        check_refused("å=b bar='x", UnclosedQuote(9));
        check_refused(r"bar='x\'", UnclosedQuote(5));
        check_refused("host=\0", Nul);
        check_refused("POSTGRES://h/db", MissingEquals(1));
        check_refused(" postgres://h/db", MissingEquals(2));
    }

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
