//! The keys that name nodes: `remote_conns`, `own_db`, `observers` and the lists that refer to
//! them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::joined;
use super::environment::Environment;
use super::keywords::Keywords;
use super::problem::{hint, shown_text};
use super::reader::{Reader, kind};
use super::{ConnInfo, NodeName, ObserverName, ObserverUrl, Secret, observer_url, resolve};

/// `remote_conns`.
pub(super) fn read_nodes(
    reader: &mut Reader<'_>,
    environment: &Environment,
    next_passwords: &BTreeMap<String, Secret>,
) -> BTreeMap<NodeName, Arc<ConnInfo>> {
    let entries = reader.object("remote_conns").into_iter().flatten();
    let nodes = entries.filter_map(|(name, value)| {
        check_name(reader, "remote_conns", name);
        let path = joined("remote_conns", name);
        let keywords = match value {
            Value::Null => Keywords::default(),
            value => read_keywords(reader, &path, value)?,
        };
        let mut info = resolve::resolve(&path, &keywords, environment, reader.findings)?;
        if value.is_null() {
            // As in the original, which runs on.
            reader.warn(&path, "no connection string: this node is never reached");
            info.hosts.clear();
        }
        info.next_password = next_passwords.get(&info.user).cloned();
        Some((NodeName::from(name.as_str()), Arc::new(info)))
    });
    // In one piece, which takes half the memory of a map that has grown.
    nodes.collect()
}

/// `next_passwords`. No message shows one.
pub(super) fn read_next_passwords(reader: &mut Reader<'_>) -> BTreeMap<String, Secret> {
    const KEY: &str = "next_passwords";
    let mut passwords = BTreeMap::new();
    for (role, value) in reader.object(KEY).into_iter().flatten() {
        match value.as_str().filter(|it| !it.is_empty()) {
            Some(password) => drop(passwords.insert(role.clone(), Secret::new(password))),
            None => reader.error(&joined(KEY, role), "expected a password as text"),
        }
    }
    passwords
}

/// Warns of what is left of a change that is over, and of one that changes nothing.
pub(super) fn warn_of_next_passwords(
    reader: &mut Reader<'_>,
    next_passwords: &BTreeMap<String, Secret>,
    nodes: &BTreeMap<NodeName, Arc<ConnInfo>>,
) {
    for role in next_passwords.keys() {
        let key = joined("next_passwords", role);
        let mut of_role = nodes.values().filter(|info| info.user == *role).peekable();
        if of_role.peek().is_none() {
            reader.warn(&key, "no server is connected to as this role");
        } else if of_role.all(|info| info.with_next_password().is_none()) {
            reader.warn(&key, "this is the password already: to be removed");
        }
    }
}

/// `own_db`: must be one of `remote_conns`, whether or not that entry is in order.
pub(super) fn read_own(reader: &mut Reader<'_>) -> Option<NodeName> {
    let own = reader.text("own_db", "");
    if own.is_empty() {
        return None;
    }
    let names = || configured(reader).map(String::as_str);
    if !names().any(|name| name == own) {
        let message = format!("expected a name of remote_conns{}", hint(&own, names()));
        reader
            .findings
            .error("own_db", Some(shown_text(&own)), message);
    }
    Some(NodeName::from(own.as_str()))
}

/// `observers`.
pub(super) fn read_observers(reader: &mut Reader<'_>) -> BTreeMap<ObserverName, ObserverUrl> {
    let mut observers = BTreeMap::new();
    for (name, value) in reader.object("observers").into_iter().flatten() {
        check_name(reader, "observers", name);
        let text = value.as_str().map(|text| with_scheme(reader, name, text));
        let parsed = text.ok_or("expected a URL as text");
        match parsed.and_then(|text| observer_url::parse(&text)) {
            Ok(url) => drop(observers.insert(ObserverName::from(name.as_str()), url)),
            // Anything but a host may be part of a password.
            Err(message) if value.as_str().is_none_or(is_scheme_and_host) => {
                reader.wrong(&joined("observers", name), value, message);
            }
            Err(message) => reader.error(&joined("observers", name), message),
        }
    }
    observers
}

/// The original runs on with an observer that it can never ask.
fn with_scheme<'t>(reader: &mut Reader<'_>, name: &str, text: &'t str) -> Cow<'t, str> {
    if text.contains("://") {
        return text.into();
    }
    let completed = format!("http://{text}");
    if observer_url::parse(&completed).is_err() {
        return text.into();
    }
    let key = joined("observers", name);
    reader.warn(
        &key,
        "expected a URL that begins with http://, which is added",
    );
    completed.into()
}

/// `never_promote_these_nodes` and the like. `must_exist`: a name that is not configured is
/// probably a mistake.
pub(super) fn read_names(
    reader: &mut Reader<'_>,
    key: &str,
    must_exist: bool,
) -> BTreeSet<NodeName> {
    let names = reader.names(key);
    for name in names.iter().filter(|_| must_exist) {
        warn_if_absent(reader, key, name);
    }
    names.into_iter().map(NodeName::from).collect()
}

/// `failover_priorities`.
pub(super) fn read_priorities(reader: &mut Reader<'_>) -> BTreeMap<NodeName, i64> {
    let mut priorities = BTreeMap::new();
    for (name, value) in reader.object("failover_priorities").into_iter().flatten() {
        warn_if_absent(reader, "failover_priorities", name);
        match value.as_i64() {
            Some(priority) => drop(priorities.insert(NodeName::from(name.as_str()), priority)),
            None => reader.wrong(
                &joined("failover_priorities", name),
                value,
                "expected an integer",
            ),
        }
    }
    priorities
}

/// A conninfo string, a URL, or an object of keywords.
pub(super) fn read_keywords(
    reader: &mut Reader<'_>,
    path: &str,
    value: &Value,
) -> Option<Keywords> {
    match value {
        Value::String(text) => {
            let keywords = Keywords::parse(text);
            keywords
                .map_err(|error| reader.error(path, error.to_string()))
                .ok()
        }
        Value::Object(pairs) => object_keywords(reader, path, pairs),
        other => {
            reader.error(
                path,
                format!(
                    "expected a connection string, URL or object, found {}",
                    kind(other)
                ),
            );
            None
        }
    }
}

fn object_keywords(
    reader: &mut Reader<'_>,
    path: &str,
    pairs: &Map<String, Value>,
) -> Option<Keywords> {
    let mut keywords = Keywords::default();
    let errors_before = reader.findings.errors.len();
    for (keyword, value) in pairs {
        // psycopg2's name for it.
        let name = if keyword == "database" {
            "dbname"
        } else {
            keyword
        };
        if name != keyword && pairs.contains_key(name) {
            reader.error(
                &joined(path, keyword),
                "the same as dbname, which is there as well",
            );
        }
        match value {
            Value::Null => {}
            Value::Number(number) => keywords.set(name, number.to_string()),
            Value::String(text) if !text.contains('\0') => keywords.set(name, text.as_str()),
            other => {
                let message = format!(
                    "expected a text without NUL, or a number; found {}",
                    kind(other)
                );
                reader.error(&joined(path, keyword), message);
            }
        }
    }
    (reader.findings.errors.len() == errors_before).then_some(keywords)
}

fn is_scheme_and_host(url: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    url.split_once("://")
        .is_some_and(|(scheme, host)| scheme.bytes().chain(host.bytes()).all(is_plain))
}

/// Names stand in logs, alert files and JSON, and an empty `own_db` means none.
fn check_name(reader: &mut Reader<'_>, key: &str, name: &str) {
    if name.is_empty() || name.contains(char::is_control) {
        reader.error(
            &joined(key, name),
            "expected a name that is not empty and has no control characters",
        );
    }
}

fn warn_if_absent(reader: &mut Reader<'_>, key: &str, name: &str) {
    let names = || configured(reader).map(String::as_str);
    if !names().any(|known| known == name) {
        let message = format!(
            "{} is no name of remote_conns{}",
            shown_text(name),
            hint(name, names())
        );
        reader.warn(key, message);
    }
}

fn configured<'a>(reader: &Reader<'a>) -> impl Iterator<Item = &'a String> + use<'a> {
    reader
        .raw("remote_conns")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, parse};

    #[track_caller]
    fn check(next: &str, expected: &[Option<&str>], warnings: &[&str]) {
        let text = format!(
            r#"{{"remote_conns": {{"a": "host=a user=u password=old", "b": "host=b user=v password=old"}}, "next_passwords": {next}}}"#
        );
        let loaded = parse(&text, &Environment::default()).unwrap();
        let nodes = loaded.config.nodes.values();
        let with_next: Vec<_> = nodes.map(|info| info.with_next_password()).collect();
        let password = |info: &Option<super::ConnInfo>| {
            let host = info.as_ref()?.hosts.first()?;
            Some(host.password.as_ref()?.reveal().to_owned())
        };
        let found: Vec<_> = with_next.iter().map(password).collect();
        let found: Vec<_> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, expected);
        let found: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(found, warnings);
    }

    #[test]
    fn a_next_password_is_for_the_servers_of_its_role() {
        check("{}", &[None, None], &[]);
        check(r#"{"u": "new"}"#, &[Some("new"), None], &[]);
        check(
            r#"{"u": "old", "w": "new"}"#,
            &[None, None],
            &[
                "next_passwords.u: this is the password already: to be removed",
                "next_passwords.w: no server is connected to as this role",
            ],
        );
    }

    #[test]
    fn no_message_shows_a_next_password() {
        for next in [r#"["xyzzy"]"#, r#"{"u": ["xyzzy"]}"#, r#"{"u": ""}"#] {
            let text = format!(r#"{{"next_passwords": {next}}}"#);
            let findings = parse(&text, &Environment::default()).unwrap_err();
            let shown = findings.errors[0].to_string();
            assert!(
                shown.starts_with("next_passwords") && !shown.contains("xyzzy"),
                "{shown}"
            );
        }
    }
}
