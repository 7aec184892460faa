//! How a connection is written: keyword/value strings and URLs, read as libpq reads them. Knows no
//! keyword's meaning.

use super::keywords::{Keywords, SyntaxError, is_blank, is_like_a_secret};

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
            Some(rest) => parse_url(rest),
            None => parse_pairs(text),
        }
    }
}

fn parse_pairs(text: &str) -> Result<Keywords, SyntaxError> {
    let mut keywords = Keywords::default();
    // Behind a password that is not quoted its rest may be taken for other keywords.
    let mut is_behind_a_secret = false;
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
        is_behind_a_secret |= is_like_a_secret(keyword);
        if is_behind_a_secret {
            keywords.hide(keyword);
        }
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

/// Reads what follows `postgres://`:
/// `[user[:password]@][host[:port][,...]][/dbname][?keyword=value[&...]]`.
fn parse_url(rest: &str) -> Result<Keywords, SyntaxError> {
    let mut keywords = Keywords::default();
    let credentials = rest
        .split_once('@')
        .filter(|(before, _)| !before.contains('/'));
    let rest = match credentials {
        Some((user, rest)) => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            set_decoded(&mut keywords, "user", user)?;
            set_decoded(&mut keywords, "password", password)?;
            rest
        }
        None => rest,
    };
    let rest = read_hosts(&mut keywords, rest)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err(SyntaxError::Separators);
    }
    set_decoded(
        &mut keywords,
        "dbname",
        path.strip_prefix('/').unwrap_or(path),
    )?;
    read_query(&mut keywords, query)?;
    // Without its "@", or with an odd one, anything may be part of a password.
    let names: Vec<String> = keywords.iter().map(|(name, _)| name.to_owned()).collect();
    names.iter().for_each(|name| keywords.hide(name));
    Ok(keywords)
}

/// Reads `host[:port],...` and returns what follows. Hosts and ports end up as two lists of equal
/// length.
fn read_hosts<'a>(keywords: &mut Keywords, mut rest: &'a str) -> Result<&'a str, SyntaxError> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    loop {
        let (host, tail) = read_host(rest)?;
        let (port, tail) = match tail.strip_prefix(':') {
            Some(tail) => split_before(tail, &['/', '?', ',']),
            None => ("", tail),
        };
        hosts.push(host);
        ports.push(port);
        rest = tail;
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    set_decoded(keywords, "host", &hosts.join(","))?;
    set_decoded(keywords, "port", &ports.join(","))?;
    Ok(rest)
}

fn read_host(rest: &str) -> Result<(&str, &str), SyntaxError> {
    let Some(inner) = rest.strip_prefix('[') else {
        return Ok(split_before(rest, &[':', '/', '?', ',']));
    };
    let (address, tail) = inner.split_once(']').ok_or(SyntaxError::Brackets)?;
    if address.is_empty() || !(tail.is_empty() || tail.starts_with([':', '/', '?', ','])) {
        return Err(SyntaxError::Brackets);
    }
    Ok((address, tail))
}

fn read_query(keywords: &mut Keywords, query: &str) -> Result<(), SyntaxError> {
    if query.is_empty() {
        return Ok(());
    }
    // One `&` behind the last parameter is tolerated, as libpq does.
    let query = query.strip_suffix('&').unwrap_or(query);
    for parameter in query.split('&') {
        let (keyword, value) = parameter
            .split_once('=')
            .ok_or(SyntaxError::QueryParameter)?;
        if value.contains('=') {
            return Err(SyntaxError::QueryParameter);
        }
        match (decoded(keyword)?, decoded(value)?) {
            // What JDBC's URLs say for it.
            (keyword, value) if keyword == "ssl" && value == "true" => {
                keywords.set("sslmode", "require")
            }
            (keyword, value) => keywords.set(&keyword, value),
        }
    }
    Ok(())
}

/// An empty part of a URL is one that was not given.
fn set_decoded(keywords: &mut Keywords, keyword: &str, encoded: &str) -> Result<(), SyntaxError> {
    if !encoded.is_empty() {
        keywords.set(keyword, decoded(encoded)?);
    }
    Ok(())
}

/// Blanks around a part are dropped, and refused inside it, as libpq does since PostgreSQL 18.
fn decoded(encoded: &str) -> Result<String, SyntaxError> {
    let encoded = encoded.trim_matches(is_blank);
    if encoded.contains(is_blank) {
        return Err(SyntaxError::BlankInUrl);
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            encoded_byte(rest.next(), rest.next())?
        } else {
            byte
        });
    }
    if bytes.contains(&0) {
        return Err(SyntaxError::PercentText);
    }
    String::from_utf8(bytes).map_err(|_| SyntaxError::PercentText)
}

fn encoded_byte(high: Option<u8>, low: Option<u8>) -> Result<u8, SyntaxError> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let (high, low) = digit(high).zip(digit(low)).ok_or(SyntaxError::Percent)?;
    u8::try_from(high * 16 + low).map_err(|_| SyntaxError::Percent)
}

fn split_before<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rest: &str, expected: &[(&str, &str)]) {
        assert_eq!(
            parse_url(rest).unwrap().iter().collect::<Vec<_>>(),
            expected,
            "{rest:?}"
        );
    }

    #[test]
    fn takes_urls_apart() {
        check("", &[]);
        check("localhost", &[("host", "localhost")]);
        check("/db", &[("dbname", "db")]);
        check("/db?host=/tmp", &[("dbname", "db"), ("host", "/tmp")]);
        check("h/", &[("host", "h")]);
        check("h?user=u", &[("host", "h"), ("user", "u")]);
        check("u@h", &[("user", "u"), ("host", "h")]);
        check("u:@h/", &[("user", "u"), ("host", "h")]);
        check(
            ":pw@h/db",
            &[("password", "pw"), ("host", "h"), ("dbname", "db")],
        );
        check(
            "u:p#?w@h",
            &[("user", "u"), ("password", "p#?w"), ("host", "h")],
        );
        check(
            "us%40er:p%2Fw@h/d%20b",
            &[
                ("user", "us@er"),
                ("password", "p/w"),
                ("host", "h"),
                ("dbname", "d b"),
            ],
        );
        check(
            "u:p@w@h/a/b",
            &[
                ("user", "u"),
                ("password", "p"),
                ("host", "w@h"),
                ("dbname", "a/b"),
            ],
        );
        check("HOST/DB#f", &[("host", "HOST"), ("dbname", "DB#f")]);
        check(
            "%2Frun%2Fpg:1/db",
            &[("host", "/run/pg"), ("port", "1"), ("dbname", "db")],
        );
        check("h\n", &[("host", "h")]);
    }

    #[test]
    fn several_hosts_each_have_a_port() {
        check(
            "a:1,b:2/db",
            &[("host", "a,b"), ("port", "1,2"), ("dbname", "db")],
        );
        check("a,b:2", &[("host", "a,b"), ("port", ",2")]);
        check(
            "[::1]:5433/db",
            &[("host", "::1"), ("port", "5433"), ("dbname", "db")],
        );
        check(
            "[::1],[fe80::2]:7",
            &[("host", "::1,fe80::2"), ("port", ",7")],
        );
    }

    #[test]
    fn the_last_of_a_repeated_parameter_wins() {
        check(
            "h?sslmode=foobar&sslmode=require",
            &[("host", "h"), ("sslmode", "require")],
        );
        check("h:5?host=second&", &[("host", "second"), ("port", "5")]);
        check(
            "h?a=&b=x+y&options=-c%20x%3Dy",
            &[
                ("host", "h"),
                ("a", ""),
                ("b", "x+y"),
                ("options", "-c x=y"),
            ],
        );
        check("?ssl=true", &[("sslmode", "require")]);
    }

    #[track_caller]
    fn check_refused(rest: &str, expected: SyntaxError) {
        assert_eq!(parse_url(rest), Err(expected), "{rest:?}");
    }

    #[test]
    fn refuses_broken_urls() {
        check_refused("[::1", SyntaxError::Brackets);
        check_refused("[]", SyntaxError::Brackets);
        check_refused("[::1]x", SyntaxError::Brackets);
        check_refused("h?a", SyntaxError::QueryParameter);
        check_refused("h?&", SyntaxError::QueryParameter);
        check_refused("h?a=b=c", SyntaxError::QueryParameter);
        check_refused("h?&a=b", SyntaxError::QueryParameter);
        check_refused("h%", SyntaxError::Percent);
        check_refused("h%2", SyntaxError::Percent);
        check_refused("h%+1", SyntaxError::Percent);
        check_refused("h%00", SyntaxError::PercentText);
        check_refused("h%ff", SyntaxError::PercentText);
        check_refused("h/a b", SyntaxError::BlankInUrl);
        for separators in ["u:x/yz@h/db", "u:5432/yz@h:1", "u:x@y/z@h/db", "h/a@b"] {
            check_refused(separators, SyntaxError::Separators);
        }
    }

    #[track_caller]
    fn check_pairs(text: &str, expected: &[(&str, &str)]) {
        let keywords = Keywords::parse(text).unwrap();
        assert_eq!(keywords.iter().collect::<Vec<_>>(), expected, "{text:?}");
        assert_eq!(
            Keywords::parse(&keywords.to_conninfo_string()).as_ref(),
            Ok(&keywords),
            "{text:?} read back"
        );
    }

    #[track_caller]
    fn check_pairs_refused(text: &str, expected: SyntaxError) {
        assert_eq!(Keywords::parse(text), Err(expected), "{text:?}");
    }

    #[test]
    fn reads_what_libpq_reads() {
        check_pairs("", &[]);
        check_pairs(" \n ", &[]);
        check_pairs(
            "host=localhost user=os",
            &[("host", "localhost"), ("user", "os")],
        );
        check_pairs("host=a host=b", &[("host", "b")]);
        check_pairs("\thost=x\n port\t=\r5 ", &[("host", "x"), ("port", "5")]);
        check_pairs("host= port=5", &[("host", "port=5")]);
        check_pairs("host=", &[("host", "")]);
        check_pairs("a=''b=y", &[("a", ""), ("b", "y")]);
        check_pairs("a='x y' b=z=w", &[("a", "x y"), ("b", "z=w")]);
        check_pairs(
            r"a='it\'s' b=\'x\\ c=d\ e",
            &[("a", "it's"), ("b", r"'x\"), ("c", "d e")],
        );
        check_pairs(r"a='back\slash'", &[("a", "backslash")]);
        check_pairs(r"a=end\", &[("a", "end")]);
        check_pairs("a=p'w", &[("a", "p'w")]);
        check_pairs("a=\u{a0}b user=å", &[("a", "\u{a0}b"), ("user", "å")]);
        check_pairs("options='-c a=b'", &[("options", "-c a=b")]);
    }

    #[test]
    fn reports_where_it_cannot_go_on() {
        check_pairs_refused("x", SyntaxError::MissingEquals(1));
        check_pairs_refused("foo=bar x", SyntaxError::MissingEquals(9));
        check_pairs_refused("password='p''w'", SyntaxError::MissingEquals(13));
        check_pairs_refused("å=b bar='x", SyntaxError::UnclosedQuote(9));
        check_pairs_refused(r"bar='x\'", SyntaxError::UnclosedQuote(5));
        check_pairs_refused("host=\0", SyntaxError::Nul);
        check_pairs_refused("POSTGRES://h/db", SyntaxError::MissingEquals(1));
        check_pairs_refused(" postgres://h/db", SyntaxError::MissingEquals(2));
    }
}
