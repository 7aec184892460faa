//! What is worth a warning in a configuration that can be used: intervals that delay a failover, two
//! names for one address, commands that cannot be started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{CommandLine, Config, HostAddress, Problem};
use crate::sys::files::is_executable;

/// Every warning, in the order of the manual's table. `search_path`: where programs without a slash
/// in their name are looked for.
pub(super) fn warnings(config: &Config, search_path: &[PathBuf]) -> Vec<Problem> {
    let mut found = shared_addresses(config);
    found.extend(intervals(config));
    found.extend(commands(config, search_path));
    let own = config.own_db.as_ref();
    if let Some(own) = own.filter(|own| config.known_gone.contains(*own)) {
        found.push(warning(
            "known_gone_nodes",
            format!("{own:?} is own_db, this node", own = own.as_str()),
        ));
    }
    found
}

fn intervals(config: &Config) -> Vec<Problem> {
    let limit = config.failover_lag;
    let seconds = |time: Duration| time.as_secs_f64();
    let mut found = Vec::new();
    for (key, interval) in [
        ("db_poll_interval", config.poll_interval),
        ("replication_state_check_interval", config.check_interval),
    ] {
        if interval > limit {
            let (interval, limit) = (seconds(interval), seconds(limit));
            found.push(warning(
                key,
                format!("{interval} is above max_failover_replication_time_lag, {limit}: failover is delayed"),
            ));
        }
    }
    if config.poll_timeout > limit / 2 {
        let (timeout, limit) = (seconds(config.poll_timeout), seconds(limit));
        found.push(warning(
            "poll_timeout",
            format!("{timeout} is above half of max_failover_replication_time_lag, {limit}: one slow answer can use up the limit"),
        ));
    }
    found
}

fn shared_addresses(config: &Config) -> Vec<Problem> {
    let nodes = config.nodes.iter().flat_map(|(name, info)| {
        let address = |address: &HostAddress, port| format!("{address:?} {port}");
        let hosts = info.hosts.iter();
        hosts.map(move |host| {
            (
                name.as_str(),
                address(&host.address, host.port),
                host.to_string(),
            )
        })
    });
    let observers = config.observers.iter().map(|(name, url)| {
        let shown = format!("{}:{}", url.host, url.port);
        (name.as_str(), shown.to_ascii_lowercase(), shown)
    });
    let mut found = shared("remote_conns", nodes);
    found.extend(shared("observers", observers));
    found
}

/// One warning for each address that a second name has: name, address, address as it is shown.
fn shared<'a>(
    key: &str,
    addresses: impl Iterator<Item = (&'a str, String, String)>,
) -> Vec<Problem> {
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (name, address, shown) in addresses {
        let first = *known.entry(address).or_insert(name);
        if first != name {
            found.push(warning(
                key,
                format!("{first:?} and {name:?} have the same address, {shown}"),
            ));
        }
    }
    found
}

fn commands(config: &Config, search_path: &[PathBuf]) -> Vec<Problem> {
    let follow = config.follow.as_ref();
    [
        ("failover_command", config.failover_command.as_ref()),
        (
            "over_warning_limit_command",
            config.over_warning_limit_command.as_ref(),
        ),
        (
            "pg_start_command",
            follow.map(|follow| &follow.start_command),
        ),
        ("pg_stop_command", follow.map(|follow| &follow.stop_command)),
    ]
    .into_iter()
    .filter_map(|(key, command)| program_warning(key, command?, search_path))
    .collect()
}

fn program_warning(key: &str, command: &CommandLine, search_path: &[PathBuf]) -> Option<Problem> {
    let program = command.argv.first()?;
    // As when it is started: only a name without a slash is searched for.
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        search_path
            .iter()
            .map(|folder| folder.join(program))
            .collect()
    };
    if candidates.iter().any(|path| is_executable(path)) {
        return None;
    }
    let reason = if candidates.iter().any(|path| Path::exists(path)) {
        "is not a program that this account may execute"
    } else {
        "does not exist"
    };
    Some(warning(key, format!("the program {program:?} {reason}")))
}

fn warning(key: &str, message: String) -> Problem {
    Problem {
        key: key.to_owned(),
        value: None,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, parse};
    use crate::testing::Scratch;

    #[track_caller]
    fn check(settings: &str, search_path: &[PathBuf], expected: &[&str]) {
        let config = parse(&format!("{{{settings}}}"), &Environment::default());
        let found: Vec<_> = warnings(&config.unwrap().config, search_path)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expected, "{settings}");
    }

    #[test]
    fn intervals_are_compared_with_the_failover_limit() {
        let limit = r#""max_failover_replication_time_lag": 20"#;
        check(limit, &[], &[]);
        check(
            &format!(
                r#"{limit}, "db_poll_interval": 20, "replication_state_check_interval": 20, "poll_timeout": 10"#
            ),
            &[],
            &[],
        );
        check(
            &format!(r#"{limit}, "db_poll_interval": 21"#),
            &[],
            &[
                "db_poll_interval: 21 is above max_failover_replication_time_lag, 20: failover is delayed",
            ],
        );
        check(
            &format!(r#"{limit}, "replication_state_check_interval": 20.5"#),
            &[],
            &[
                "replication_state_check_interval: 20.5 is above max_failover_replication_time_lag, 20: failover is delayed",
            ],
        );
        check(
            &format!(r#"{limit}, "poll_timeout": 10.5"#),
            &[],
            &[
                "poll_timeout: 10.5 is above half of max_failover_replication_time_lag, 20: one slow answer can use up the \
               limit",
            ],
        );
    }

    #[test]
    fn two_names_of_one_address_are_noticed() {
        check(
            r#""remote_conns": {"a": "host=h", "b": "host=h port=5433", "c": "host=g port=5432"}"#,
            &[],
            &[],
        );
        check(
            r#""remote_conns": {"a": "host=h", "b": "host=i", "c": "postgres://h:5432/other"}"#,
            &[],
            &[r#"remote_conns: "a" and "c" have the same address, h:5432"#],
        );
        check(
            r#""observers": {"o": "http://h:1/x", "p": "http://H:1", "q": "http://h:2"}"#,
            &[],
            &[r#"observers: "o" and "p" have the same address, H:1"#],
        );
    }

    #[test]
    fn a_command_that_cannot_be_started_is_noticed() {
        let scratch = Scratch::new("advice");
        let program = scratch.file(b"#!/bin/sh", 0o700);
        let (folder, name) = (program.parent().unwrap(), program.file_name().unwrap());
        let search_path = [folder.to_owned()];
        let name = name.to_str().unwrap();
        check(
            &format!(r#""failover_command": "{name} x""#),
            &search_path,
            &[],
        );
        check(&format!(r#""failover_command": {program:?}"#), &[], &[]);
        check(
            &format!(r#""failover_command": {name:?}"#),
            &[],
            &[&format!(
                "failover_command: the program {name:?} does not exist"
            )],
        );
        let text = scratch.file(b"text", 0o600);
        let reason = format!("the program {text:?} is not a program that this account may execute");
        check(
            &format!(r#""over_warning_limit_command": [{text:?}]"#),
            &[],
            &[&format!("over_warning_limit_command: {}", reason)],
        );
        let folder = folder.to_str().unwrap();
        check(
            &format!(
                r#""autofollow": true, "primary_conninfo_template": "", "pg_start_command": "/none/start", "pg_stop_command": [{folder:?}]"#
            ),
            &[],
            &[
                "pg_start_command: the program \"/none/start\" does not exist",
                &format!(
                    "pg_stop_command: the program {folder:?} is not a program that this account may execute"
                ),
            ],
        );
    }

    #[test]
    fn a_node_that_counts_itself_as_gone_is_noticed() {
        let nodes = r#""remote_conns": {"a": "host=a", "b": "host=b"}, "own_db": "a""#;
        check(&format!(r#"{nodes}, "known_gone_nodes": ["b"]"#), &[], &[]);
        check(
            &format!(r#"{nodes}, "known_gone_nodes": ["a"]"#),
            &[],
            &[r#"known_gone_nodes: "a" is own_db, this node"#],
        );
    }
}
