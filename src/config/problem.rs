//! What is wrong with a configuration, in words for the operator: key, value, expectation. Never a
//! password.

use std::fmt;

use serde_json::Value;

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key (`remote_conns.p.port`) or name of an environment variable; empty for
    /// the file as a whole.
    pub key: String,
    /// What stands there, shortened; `None` where it adds nothing or might hold a password.
    pub value: Option<String>,
    /// What was expected, or what follows from it.
    pub message: String,
}

impl Problem {
    /// Is it a key that nobody knows, and that is much like one that is known.
    pub fn is_misspelt_key(&self) -> bool {
        let rest = self.message.strip_prefix(UNKNOWN_KEY);
        rest.is_some_and(|hint| !hint.is_empty())
    }
}

/// How the message about a key that nobody knows begins.
pub(super) const UNKNOWN_KEY: &str = "unknown key, ignored";

/// All that was found in one configuration, in the order of the documentation's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What makes the configuration unusable.
    pub errors: Vec<Problem>,
    /// What does not.
    pub warnings: Vec<Problem>,
}

impl Findings {
    pub(super) fn error(
        &mut self,
        key: impl Into<String>,
        value: Option<String>,
        message: impl Into<String>,
    ) {
        push_once(
            &mut self.errors,
            Problem {
                key: key.into(),
                value,
                message: message.into(),
            },
        );
    }

    pub(super) fn warn(
        &mut self,
        key: impl Into<String>,
        value: Option<String>,
        message: impl Into<String>,
    ) {
        push_once(
            &mut self.warnings,
            Problem {
                key: key.into(),
                value,
                message: message.into(),
            },
        );
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.key.is_empty(), &self.value) {
            (true, _) => f.write_str(&self.message),
            (false, None) => write!(f, "{}: {}", self.key.escape_debug(), self.message),
            (false, Some(value)) => write!(
                f,
                "{} is {value}: {}",
                self.key.escape_debug(),
                self.message
            ),
        }
    }
}

/// A JSON value for a message: scalars as they are, shortened; of arrays and objects only that they
/// are one.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => shown_text(text),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A text for a message: quoted, control characters escaped, shortened, and hidden if it might hold
/// a password.
pub(super) fn shown_text(text: &str) -> String {
    if may_hold_password(text) {
        return "a text that may hold a password".to_owned();
    }
    let mut chars = text.chars();
    let short: String = chars.by_ref().take(SHOWN_CHARS).collect();
    if chars.next().is_some() {
        format!("{short:?}...")
    } else {
        format!("{short:?}")
    }
}

/// The known name that `name` was probably meant to be.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NEAREST_MAX_BYTES {
        return None;
    }
    known
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, candidate),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= NEAREST_LIKENESS)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean "x"?)`, or nothing.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |meant| format!(" (did you mean {meant:?}?)"))
}

/// The same remark about a variable or a password file would otherwise come once per node.
fn push_once(problems: &mut Vec<Problem>, problem: Problem) {
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

/// Values get into the wrong key: better hide too much.
fn may_hold_password(text: &str) -> bool {
    text.to_ascii_lowercase().contains("pass") || text.chars().skip(1).any(|next| next == '@')
}

const SHOWN_CHARS: usize = 60;
const NEAREST_LIKENESS: f64 = 0.6;
/// The comparison is quadratic, and a key of the file can be as long as the file.
const NEAREST_MAX_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(shown_text(text), expected);
    }

    #[test]
    fn shows_a_text_safely() {
        check("plain", r#""plain""#);
        check("a\nb\u{1b}[0m", r#""a\nb\u{1b}[0m""#);
        check("host=x password=y", "a text that may hold a password");
        check("http://u:y@h", "a text that may hold a password");
        check("@socket", r#""@socket""#);
        check(&"x".repeat(61), &format!("{:?}...", "x".repeat(60)));
    }

    #[test]
    fn finds_the_name_that_was_meant() {
        let known = ["db_poll_interval", "own_db", "observers"];
        for (name, meant) in [
            ("db_pol_interval", Some("db_poll_interval")),
            ("own_bd", Some("own_db")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
        assert_eq!(nearest(&"own_db".repeat(20), known.into_iter()), None);
    }
}
