//! Typed access to the values of one JSON object. What is wrong is noted and the default returned,
//! so that reading goes on and every problem is found at once.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::CommandLine;
use super::document::joined;
use super::problem::{Findings, UNKNOWN_KEY, hint, shown};

/// One object of the configuration file.
pub(super) struct Reader<'a> {
    object: &'a Map<String, Value>,
    path: &'a str,
    pub(super) findings: &'a mut Findings,
}

/// From where to where a number of seconds may lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// A cadence or time limit: not zero.
    Positive,
    /// A threshold or pause: may be zero.
    MayBeZero,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        object: &'a Map<String, Value>,
        path: &'a str,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            object,
            path,
            findings,
        }
    }

    /// The value of `key`, also null.
    pub(super) fn raw(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key)
    }

    /// The value of `key`; null counts as not given, as it does in the original for texts, lists
    /// and objects.
    pub(super) fn filled(&self, key: &str) -> Option<&'a Value> {
        self.raw(key).filter(|value| !value.is_null())
    }

    /// Complains of the value of `key`.
    pub(super) fn wrong(&mut self, key: &str, value: &Value, message: impl Into<String>) {
        self.findings
            .error(joined(self.path, key), Some(shown(value)), message);
    }

    /// Warns of the value of `key`, which is used.
    fn unexpected(&mut self, key: &str, value: &Value, message: String) {
        self.findings
            .warn(joined(self.path, key), Some(shown(value)), message);
    }

    /// Complains of `key` without showing a value.
    pub(super) fn error(&mut self, key: &str, message: impl Into<String>) {
        self.findings.error(joined(self.path, key), None, message);
    }

    /// Adds a warning about `key`.
    pub(super) fn warn(&mut self, key: &str, message: impl Into<String>) {
        self.findings.warn(joined(self.path, key), None, message);
    }

    /// Warns of every key that is not in `known`.
    pub(super) fn warn_of_unknown<'k>(&mut self, known: impl Iterator<Item = &'k str> + Clone) {
        let is_unknown = |key: &&String| !known.clone().any(|known| known == key.as_str());
        for key in self.object.keys().filter(is_unknown) {
            let hint = hint(key, known.clone());
            self.warn(key, format!("{UNKNOWN_KEY}{hint}"));
        }
    }

    pub(super) fn boolean(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.raw(key) else {
            return default;
        };
        if let Some(value) = value.as_bool() {
            return value;
        }
        if let Some(taken) = taken_by_the_original(value) {
            self.unexpected(key, value, format!("taken for {taken}, {BOOLEAN}"));
            return taken;
        }
        self.wrong(key, value, BOOLEAN);
        default
    }

    pub(super) fn seconds(&mut self, key: &str, default: f64, span: Span) -> Duration {
        self.raw(key)
            .and_then(|value| self.duration(key, value, span))
            .unwrap_or(Duration::from_secs_f64(default))
    }

    /// Seconds, or `None` for null or nothing.
    pub(super) fn optional_seconds(&mut self, key: &str) -> Option<Duration> {
        let value = self.filled(key)?;
        self.duration(key, value, Span::Positive)
    }

    pub(super) fn text(&mut self, key: &str, default: &str) -> String {
        let Some(value) = self.filled(key) else {
            return default.to_owned();
        };
        let text = value.as_str().filter(|text| !text.contains('\0'));
        text.unwrap_or_else(|| {
            self.wrong(key, value, "expected a text");
            default
        })
        .to_owned()
    }

    /// A path; an empty one is an error, because it would be the working directory by accident.
    pub(super) fn path(&mut self, key: &str, default: &str) -> PathBuf {
        let text = self.text(key, default);
        if text.is_empty() {
            self.error(key, "expected a path, not an empty text");
        }
        PathBuf::from(text)
    }

    pub(super) fn port(&mut self, key: &str, default: u16) -> u16 {
        let Some(value) = self.raw(key) else {
            return default;
        };
        let quoted = value.as_str().and_then(|digits| digits.parse().ok());
        if let Some(port) = quoted.filter(|port| *port > 0) {
            self.unexpected(key, value, format!("taken for {port}, {NUMBER}"));
            return port;
        }
        port_of(value).unwrap_or_else(|| {
            self.wrong(key, value, "expected a port number from 1 to 65535");
            default
        })
    }

    /// A command, `None` when it is empty, null or absent.
    pub(super) fn command(&mut self, key: &str) -> Option<CommandLine> {
        let value = self.filled(key)?;
        let argv = match value {
            Value::String(text) => shlex::split(text).ok_or("a quote or backslash is not closed"),
            Value::Array(words) => words
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .ok_or("expected an array of texts"),
            _ => Err("expected a text or an array of texts"),
        };
        let argv = match argv {
            Ok(argv) if argv.iter().any(|word| word.contains('\0')) => {
                Err("expected no NUL characters")
            }
            Ok(argv) if argv.first().is_some_and(String::is_empty) => {
                Err("the first word, the program, is empty")
            }
            other => other,
        };
        match argv {
            Ok(argv) => Some(CommandLine { argv }).filter(|command| !command.argv.is_empty()),
            Err(message) => {
                self.wrong(key, value, message);
                None
            }
        }
    }

    /// The entries of the object `key`, none if it is null or absent.
    pub(super) fn object(&mut self, key: &str) -> Option<&'a Map<String, Value>> {
        let value = self.filled(key)?;
        let object = value.as_object();
        if object.is_none() {
            self.error(key, format!("expected an object, found {}", kind(value)));
        }
        object
    }

    /// A list of names, without repetition.
    pub(super) fn names(&mut self, key: &str) -> Vec<&'a str> {
        let Some(value) = self.filled(key) else {
            return Vec::new();
        };
        let names = value
            .as_array()
            .and_then(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        names.unwrap_or_else(|| {
            self.wrong(key, value, "expected an array of names");
            Vec::new()
        })
    }

    fn duration(&mut self, key: &str, value: &Value, span: Span) -> Option<Duration> {
        let least = if span == Span::Positive {
            SHORTEST_SECONDS
        } else {
            0.0
        };
        let quoted = value.as_str().and_then(|text| text.trim().parse().ok());
        let seconds = value.as_f64().or(quoted);
        let seconds = seconds.filter(|seconds| (least..=LONGEST_SECONDS).contains(seconds));
        match seconds {
            Some(seconds) if value.is_string() => {
                self.unexpected(key, value, format!("taken for {seconds}, {NUMBER}"));
            }
            Some(_) => {}
            None => {
                let expected = format!("expected seconds from {least} to {LONGEST_SECONDS}");
                self.wrong(key, value, expected);
            }
        }
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

/// What is true to the original, for which everything is but nothing. Of a text that may mean the
/// opposite nobody knows what was wanted.
fn taken_by_the_original(value: &Value) -> Option<bool> {
    match value {
        Value::Null => Some(false),
        Value::Number(number) => Some(number.as_f64() != Some(0.0)),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "" => Some(false),
            "true" | "yes" | "on" | "1" => Some(true),
            _ => None,
        },
        _ => None,
    }
}

/// A port number other than 0.
pub(super) fn port_of(value: &Value) -> Option<u16> {
    value
        .as_u64()
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
}

/// What sort of value it is, for messages that must not show it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

const BOOLEAN: &str = "expected true or false, without quotes";
const NUMBER: &str = "expected a number, without quotes";
/// A shorter cadence would be a busy loop.
const SHORTEST_SECONDS: f64 = 0.001;
/// One year.
const LONGEST_SECONDS: f64 = 31_536_000.0;
