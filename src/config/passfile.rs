//! The password file (`~/.pgpass`): which line is for us. Permissions are the reader's matter.

use super::secret::Secret;

/// Whom a password is wanted for, as libpq compares it with the first four fields.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) dbname: &'a str,
    pub(super) user: &'a str,
}

/// The password of the first line that fits.
pub(super) fn find(text: &str, wanted: &Wanted<'_>) -> Option<Secret> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| password_of(line, wanted))
}

fn password_of(line: &str, wanted: &Wanted<'_>) -> Option<Secret> {
    let rest = past_field(line, wanted.host)?;
    let rest = past_field(rest, &wanted.port.to_string())?;
    let rest = past_field(rest, wanted.dbname)?;
    let rest = past_field(rest, wanted.user)?;
    Some(Secret::new(unescaped_field(rest))).filter(|password| !password.reveal().is_empty())
}

/// What follows the field if it is `*` or equals `wanted`. As in libpq a colon need not be escaped
/// where `wanted` has one too, so that IPv6 addresses may stand as they are.
fn past_field<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let mut field = line.chars();
    let mut wanted = wanted.chars();
    loop {
        match (field.next()?, wanted.next()) {
            (':', None) => return Some(field.as_str()),
            (_, None) => return None,
            ('\\', expected) if field.next() == expected => {}
            (found, Some(expected)) if found != '\\' && found == expected => {}
            _ => return None,
        }
    }
}

/// The password ends at a colon that is not escaped, or with the line.
fn unescaped_field(field: &str) -> String {
    let mut plain = String::new();
    let mut chars = field.chars();
    while let Some(next) = chars.next() {
        match next {
            ':' => break,
            '\\' => plain.push(chars.next().unwrap_or('\\')),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let wanted = Wanted {
            host: "h",
            port: 5432,
            dbname: "db",
            user: "u:x",
        };
        assert_eq!(
            find(text, &wanted).as_ref().map(Secret::reveal),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        check("", None);
        check("h:5432:db:u\\:x:pw", Some("pw"));
        check("h:5432:db:u:x:pw", Some("pw"));
        check("*:*:*:*:pw", Some("pw"));
        check("*:*:*:*:first\n*:*:*:*:second\n", Some("first"));
        check("g:*:*:*:no\r\n*:5432:*:*:yes\r\n", Some("yes"));
        check("#h:*:*:*:no\n\n*:*:*:*:yes", Some("yes"));
        check("h:5433:*:*:no", None);
        check("hh:*:*:*:no", None);
        check("*h:*:*:*:no", None);
        check("h:*:*", None);
        check("\\h:*:*:*:pw", Some("pw"));
        check("\\*:*:*:*:no", None);
    }

    #[test]
    fn the_password_is_unescaped() {
        check("*:*:*:*:a\\:b\\\\c", Some("a:b\\c"));
        check("*:*:*:*:a:rest", Some("a"));
        check("*:*:*:*: blank # all of it ", Some(" blank # all of it "));
        check("*:*:*:*:end\\", Some("end\\"));
        check("*:*:*:*:", None);
    }
}
