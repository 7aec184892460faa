//! What a reload changed, by the keys' names in the file, with old and new value and without a
//! secret.

use std::fmt;

use serde_json::{Map, Value};

use super::keywords::is_secret;
use super::problem::{shown, shown_text};
use super::{Config, Placeholders, render};

/// One value that is another now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key, and what is below it: `remote_conns.p.port`.
    path: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Added,
    Removed,
    /// Old and new, as far as they can be shown.
    Differs(String, String),
}

/// Every value that differs, in the order of the names.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    // The same placeholders for both: a secret that was changed differs, and is not shown.
    let mut placeholders = Placeholders::default();
    let [old, new] = [old, new].map(|config| render(config, &mut placeholders));
    let mut found = Vec::new();
    compare("", &old, &new, &mut found);
    found
}

impl Change {
    /// The key at the top of the file.
    pub fn key(&self) -> &str {
        self.path.split('.').next().unwrap_or(&self.path)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.what {
            What::Added => write!(f, "{path} was added"),
            What::Removed => write!(f, "{path} was removed"),
            What::Differs(old, new) if old == new => write!(f, "{path} was changed ({new})"),
            What::Differs(old, new) => write!(f, "{path} is {new} now (before: {old})"),
        }
    }
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<Change>) {
    let mut note = |what| {
        found.push(Change {
            path: path.to_owned(),
            what,
        })
    };
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(old), Value::Object(new)) => compare_objects(path, old, new, found),
        // Below the top level what is not there is not there; at the top it has a default.
        (Value::Null, Value::Object(_)) => note(What::Added),
        (Value::Object(_), Value::Null) => note(What::Removed),
        (old, new) => note(What::Differs(shown_at(path, old), shown_at(path, new))),
    }
}

fn compare_objects(
    path: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    found: &mut Vec<Change>,
) {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let below = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let [old, new] = [old, new].map(|side| side.get(key).unwrap_or(&Value::Null));
        compare(&below, old, new, found);
    }
}

fn shown_at(path: &str, value: &Value) -> String {
    let keyword = path.rsplit('.').next().unwrap_or(path);
    let is_password = path.starts_with("next_passwords.");
    match value {
        Value::Null if is_password => "not set".to_owned(),
        _ if is_password || is_secret(keyword) => "a secret".to_owned(),
        Value::Null => "not set".to_owned(),
        Value::Array(items) => {
            let items = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| shown(item), shown_item));
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => shown_text(text),
        other => shown(other),
    }
}

/// The placeholders of arguments are numbered for one recording.
fn shown_item(text: &str) -> String {
    if text.starts_with("hidden-") {
        "hidden".to_owned()
    } else {
        shown_text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, parse};
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        let [old, new] = [old, new].map(|text| {
            parse(&format!("{{{text}}}"), &Environment::default())
                .unwrap()
                .config
        });
        let found: Vec<_> = changes(&old, &new)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected);
        assert_eq!(
            old == new,
            expected.is_empty(),
            "a field that is not compared"
        );
    }

    #[test]
    fn names_each_value_that_differs() {
        check("", "", &[]);
        check("", r#""db_poll_interval": 5"#, &[]);
        check(
            r#""observers": {"o": "http://o"}"#,
            r#""observers": {"n": "http://n"}, "db_poll_interval": 1, "failover_command": "a 'b c'""#,
            &[
                "db_poll_interval is 1.0 now (before: 5.0)",
                r#"failover_command is ["a", hidden] now (before: not set)"#,
                r#"observers.n is "http://n:80" now (before: not set)"#,
                r#"observers.o is not set now (before: "http://o:80")"#,
            ],
        );
        check(
            r#""remote_conns": {"a": "host=a port=1", "b": "host=b"}"#,
            r#""remote_conns": {"a": "host=a port=2", "c": "host=c"}"#,
            &[
                r#"remote_conns.a.port is "2" now (before: "1")"#,
                "remote_conns.b was removed",
                "remote_conns.c was added",
            ],
        );
        check(
            r#""statsd": {"host": "h", "port": 1, "tags": {"a": "1"}}"#,
            r#""statsd": {"host": "h", "port": 1, "tags": {"a": "2"}}, "syslog": true"#,
            &[
                r#"statsd.tags.a is "2" now (before: "1")"#,
                "syslog is true now (before: not set)",
                r#"syslog_address is "/dev/log" now (before: not set)"#,
                r#"syslog_facility is "local2" now (before: not set)"#,
            ],
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        check(
            r#""remote_conns": {"p": "host=p password=xyzzy"}"#,
            r#""remote_conns": {"p": "host=p password=yzzyx"}"#,
            &["remote_conns.p.password was changed (a secret)"],
        );
        check(
            r#""next_passwords": {"u": "xyzzy"}"#,
            r#""next_passwords": {"u": "yzzyx", "v": "xyzzy"}"#,
            &[
                "next_passwords.u was changed (a secret)",
                "next_passwords.v is a secret now (before: not set)",
            ],
        );
        check(
            r#""failover_command": ["psql", "postgresql://u:xyzzy@h"]"#,
            r#""failover_command": ["psql", "host=h password=xyzzy"]"#,
            &[r#"failover_command was changed (["psql", hidden])"#],
        );
    }
}
