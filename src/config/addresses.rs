//! Two names of one address: two nodes that are one server, or two votes of one observer.

use std::collections::BTreeMap;

use super::conninfo::HostAddress;
use super::{Config, Findings};

/// Warns of every address that a second node or observer has.
pub(super) fn warn_of_shared(config: &Config, findings: &mut Findings) {
    let nodes = config.nodes.iter().flat_map(|(name, info)| {
        let hosts = info.hosts.iter();
        hosts.map(move |host| {
            let address = match &host.address {
                HostAddress::Name(host) => canonical(host),
                HostAddress::Ip(ip) => canonical(&ip.to_string()),
                socket => format!("{socket:?}"),
            };
            (
                name.as_str(),
                format!("{address} {}", host.port),
                host.to_string(),
            )
        })
    });
    warn("remote_conns", nodes, findings);
    let observers = config.observers.iter().map(|(name, url)| {
        let shown = format!("{}:{}", url.host, url.port);
        let address = format!("{} {}", canonical(&url.host), url.port);
        (name.as_str(), address, shown)
    });
    warn("observers", observers, findings);
}

/// Names do not differ by case or a final dot, and this machine has more than one of its own.
fn canonical(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.as_str() {
        "localhost" | "127.0.0.1" | "::1" => "localhost".to_owned(),
        _ => host,
    }
}

/// One warning for each address that a second name has: name, address, address as it is shown.
fn warn<'a>(
    key: &str,
    addresses: impl Iterator<Item = (&'a str, String, String)>,
    findings: &mut Findings,
) {
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for (name, address, shown) in addresses {
        let first = *known.entry(address).or_insert(name);
        if first != name {
            let message = format!("{first:?} and {name:?} have the same address, {shown}");
            findings.warn(key, None, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Environment, parse};

    #[track_caller]
    fn check(settings: &str, expected: &[&str]) {
        let loaded = parse(&format!("{{{settings}}}"), &Environment::default()).unwrap();
        let found: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{settings}");
    }

    #[test]
    fn two_names_of_one_address_are_noticed() {
        check(
            r#""remote_conns": {"a": "host=h", "b": "host=h port=5433", "c": "host=g port=5432"}"#,
            &[],
        );
        check(
            r#""remote_conns": {"a": "host=h", "b": "host=i", "c": "postgres://h:5432/other"}"#,
            &[r#"remote_conns: "a" and "c" have the same address, h:5432"#],
        );
        check(
            r#""remote_conns": {"a": "host=H.example", "b": {"host": "h.example."}}"#,
            &[r#"remote_conns: "a" and "b" have the same address, h.example.:5432"#],
        );
        check(
            r#""remote_conns": {"a": "host=h hostaddr=10.0.0.1", "b": "host=10.0.0.1"}"#,
            &[r#"remote_conns: "a" and "b" have the same address, 10.0.0.1:5432"#],
        );
        check(
            r#""remote_conns": {"a": "host=localhost", "b": "host=127.0.0.1", "c": "host=/run"}"#,
            &[r#"remote_conns: "a" and "b" have the same address, 127.0.0.1:5432"#],
        );
        check(
            r#""observers": {"o": "http://h:1/x", "p": "http://H:1", "q": "http://h:2"}"#,
            &[r#"observers: "o" and "p" have the same address, H:1"#],
        );
    }
}
