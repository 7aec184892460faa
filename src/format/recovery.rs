//! The text of PostgreSQL's recovery settings: which file holds them, and how it has to read so
//! that a standby follows another primary. Bytes in, bytes out: the file may be in any encoding,
//! and what is not ours stays as it is.
//!
//! Lines are read as PostgreSQL's own lexer reads them (`guc-file.l`): names in either case, blanks
//! in front, `=` or none, a comment behind. A quoted value ends on its line.

use crate::config::Keywords;
use crate::time::WallTime;
use crate::time::timestamp;

/// Where a version of PostgreSQL keeps its recovery settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The file to be rewritten.
    pub settings: &'static str,
    /// The file whose presence makes the server a standby.
    pub standby_mark: &'static str,
}

/// The layout of a data directory by the text of its `PG_VERSION`: `9.6`, `15`. `None` if that is
/// no version.
pub fn layout(pg_version: &[u8]) -> Option<Layout> {
    let digits = pg_version
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let major: u32 = std::str::from_utf8(pg_version.get(..digits)?)
        .ok()?
        .parse()
        .ok()?;
    Some(if major < FIRST_WITHOUT_RECOVERY_CONF {
        Layout {
            settings: "recovery.conf",
            standby_mark: "recovery.conf",
        }
    } else {
        Layout {
            settings: "postgresql.auto.conf",
            standby_mark: "standby.signal",
        }
    })
}

/// Whether a `recovery.conf` with this content makes its server a standby, one that never becomes a
/// primary by itself; without `standby_mode` it is one that does, once it has recovered.
pub fn has_standby_mode(recovery_conf: &[u8]) -> bool {
    let settings = recovery_conf.split_inclusive(|byte| *byte == b'\n');
    // The last one counts.
    let in_force = settings
        .filter_map(Setting::read)
        .rfind(|setting| setting.is("standby_mode"));
    let value = in_force.and_then(|setting| setting.value());
    value.is_some_and(|value| is_true(&value.to_ascii_lowercase()))
}

/// A boolean as PostgreSQL reads it: `on`, `1`, and the beginnings of `true` and `yes`.
fn is_true(lower: &[u8]) -> bool {
    let begins = |word: &[u8]| !lower.is_empty() && word.starts_with(lower);
    lower == b"on" || lower == b"1" || begins(b"true") || begins(b"yes")
}

/// The settings with `primary_conninfo` set to `conninfo`, for the primary `node`; `None` if the
/// one in force says that already, in whatever order and quoting.
pub fn rewrite(old: &[u8], conninfo: &Keywords, node: &str, at: WallTime) -> Option<Vec<u8>> {
    let settings = || {
        old.split_inclusive(|byte| *byte == b'\n')
            .map(|line| (line, Setting::read(line)))
    };
    // The last one counts.
    let in_force = settings()
        .filter_map(|(_, setting)| setting)
        .rfind(|setting| setting.is("primary_conninfo"));
    if in_force
        .and_then(|setting| setting.keywords())
        .is_some_and(|known| known.is_equivalent_to(conninfo))
    {
        return None;
    }
    let node: String = node
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    let tag = format!(
        "# pglookout updated primary_conninfo for instance {node} at {}\n",
        timestamp::format(at)
    );
    let mut new = tag.into_bytes();
    let mut has_timeline = false;
    for (line, setting) in settings() {
        has_timeline |= setting
            .as_ref()
            .is_some_and(|setting| setting.is("recovery_target_timeline"));
        if !setting.is_some_and(|setting| setting.is("primary_conninfo")) {
            new.extend_from_slice(line);
        }
    }
    if new.last() != Some(&b'\n') {
        new.push(b'\n');
    }
    new.extend(
        format!(
            "primary_conninfo = {}\n",
            quoted(&conninfo.to_conninfo_string())
        )
        .into_bytes(),
    );
    if !has_timeline {
        new.extend_from_slice(b"recovery_target_timeline = 'latest'\n");
    }
    Some(new)
}

/// One line that sets something.
struct Setting<'a> {
    name: &'a [u8],
    /// What stands behind the name and the `=`.
    rest: &'a [u8],
}

impl<'a> Setting<'a> {
    /// `None` for comments, blank lines and what PostgreSQL would not understand either.
    fn read(line: &'a [u8]) -> Option<Self> {
        let line = trim_start(line);
        let length = line.iter().take_while(|byte| is_of_name(**byte)).count();
        let (name, rest) = line.split_at_checked(length)?;
        // A name with a dot belongs to an extension.
        if name.is_empty() || rest.first() == Some(&b'.') {
            return None;
        }
        let rest = trim_start(rest);
        Some(Self {
            name,
            rest: trim_start(rest.strip_prefix(b"=").unwrap_or(rest)),
        })
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value as connection info, if it is well-formed.
    fn keywords(&self) -> Option<Keywords> {
        Keywords::parse(std::str::from_utf8(&self.value()?).ok()?).ok()
    }

    /// The value without its quotes, if it is well-formed and nothing but a comment follows.
    fn value(&self) -> Option<Vec<u8>> {
        let (value, rest) = match self.rest.strip_prefix(b"'") {
            Some(inner) => read_quoted(inner)?,
            None => {
                let length = self
                    .rest
                    .iter()
                    .take_while(|byte| is_of_bare_value(**byte))
                    .count();
                let (value, rest) = self.rest.split_at_checked(length)?;
                (value.to_vec(), rest)
            }
        };
        let rest = trim_start(rest);
        (rest.is_empty() || rest.starts_with(b"#")).then_some(value)
    }
}

/// What stands before the closing quote, unescaped, and what follows it; `None` without one.
fn read_quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'\n' => return None,
            b'\'' => match rest.strip_prefix(b"'") {
                Some(after) => {
                    value.push(b'\'');
                    rest = after;
                }
                None => return Some((value, rest)),
            },
            b'\\' => rest = read_escape(rest, &mut value)?,
            other => value.push(*other),
        }
    }
}

/// What a backslash makes of what follows it; `None` at the end of the line.
fn read_escape<'a>(text: &'a [u8], value: &mut Vec<u8>) -> Option<&'a [u8]> {
    let is_octal = |byte: &&u8| matches!(byte, b'0'..=b'7');
    let octal = text.iter().take(3).take_while(is_octal).count();
    if octal > 0 {
        let (digits, rest) = text.split_at_checked(octal)?;
        value.push(digits.iter().fold(0_u8, |number, digit| {
            number.wrapping_mul(8).wrapping_add(digit & 7)
        }));
        return Some(rest);
    }
    let (byte, rest) = text.split_first()?;
    value.push(match byte {
        b'\n' => return None,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => *other,
    });
    Some(rest)
}

/// A value in quotes that PostgreSQL reads back as it was: a quote is doubled, and so is a
/// backslash, which would otherwise make an escape. No line may end in a value.
fn quoted(value: &str) -> String {
    let escaped = value
        .replace('\\', "\\\\")
        .replace('\'', "''")
        .replace('\n', "\\n")
        .replace('\r', "\\r");
    format!("'{escaped}'")
}

/// Blanks as PostgreSQL's lexer has them, and the end of the line.
fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .count();
    text.get(blanks..).unwrap_or_default()
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn is_of_bare_value(byte: u8) -> bool {
    is_of_name(byte) || b"-._:/".contains(&byte)
}

const FIRST_WITHOUT_RECOVERY_CONF: u32 = 12;

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
