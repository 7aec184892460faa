//! What is worth a warning in a configuration that can be used: intervals that delay a failover,
//! commands that cannot be started.

use std::path::PathBuf;
use std::time::Duration;

use super::{command_advice, watchdog};
use crate::config::{Config, Problem};

/// Every warning, in the order of the manual's table. `search_path`: where programs without a slash
/// in their name are looked for.
pub(super) fn warnings(config: &Config, search_path: &[PathBuf]) -> Vec<Problem> {
    let mut found = intervals(config);
    found.extend(commands(config, search_path));
    let device = config.fence().and_then(|fence| fence.watchdog.as_ref());
    let trouble = device.and_then(watchdog::trouble);
    found.extend(trouble.map(|trouble| warning("watchdog_device", trouble)));
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
    if let Some(voting) = config.voting.as_ref().filter(|it| it.lease > limit) {
        let (lease, limit) = (seconds(voting.lease), seconds(limit));
        found.push(warning(
            "lease_time",
            format!("{lease} is above max_failover_replication_time_lag, {limit}: for so long voters keep a promise to a primary whose host is lost"),
        ));
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

fn commands(config: &Config, search_path: &[PathBuf]) -> Vec<Problem> {
    let (follow, demotion) = (config.follow.as_ref(), config.demotion());
    let start_command = follow.map(|follow| &follow.start_command);
    let start_command = start_command.or(demotion.map(|demotion| &demotion.start_command));
    [
        ("failover_command", config.failover_command.as_ref()),
        (
            "over_warning_limit_command",
            config.over_warning_limit_command.as_ref(),
        ),
        (
            "isolated_primary_command",
            config.isolated_primary_command.as_ref(),
        ),
        ("fence_command", config.fence().map(|fence| &fence.command)),
        (
            "unfence_command",
            config.fence().and_then(|fence| fence.unfence.as_ref()),
        ),
        ("demote_command", demotion.map(|demotion| &demotion.command)),
        ("event_command", config.event_command.as_ref()),
        ("pg_start_command", start_command),
        ("pg_stop_command", follow.map(|follow| &follow.stop_command)),
    ]
    .into_iter()
    .filter_map(|(key, command)| Some((key, command_advice::of(command?, search_path))))
    .flat_map(|(key, advice)| advice.into_iter().map(|text| warning(key, text)))
    .collect()
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
    fn a_failover_waits_for_a_promise_that_is_longer_than_the_limit() {
        let settings = |lease: u64| {
            format!(
                r#""max_failover_replication_time_lag": 20, "lease_time": {lease}, "remote_conns": {{"a": "host=a"}},
                "own_db": "a", "vote_directory": "/v", "voting": {{"main": {{"generation": 1, "secret_file": "/s",
                "voters": {{"a": "http://a", "b": "http://b", "o": "http://o"}}}}}}"#
            )
        };
        check(&settings(20), &[], &[]);
        let expected = "lease_time: 21 is above max_failover_replication_time_lag, 20: for so long voters keep a promise \
                        to a primary whose host is lost";
        check(&settings(21), &[], &[expected]);
    }

    #[test]
    fn a_command_that_cannot_be_started_is_noticed() {
        let scratch = Scratch::new("advice");
        let program = scratch.file(b"#!/bin/sh", 0o700);
        let (folder, name) = (program.parent().unwrap(), program.file_name().unwrap());
        let name = name.to_str().unwrap();
        let search_path = [folder.to_owned()];
        check(
            &format!(r#""failover_command": "{name} x""#),
            &search_path,
            &[],
        );
        check(&format!(r#""failover_command": {program:?}"#), &[], &[]);
        let absent = "the program \"/none/x\" does not exist: correct the path or install it";
        check(
            r#""autofollow": true, "primary_conninfo_template": "", "pg_start_command": "/none/x",
            "pg_stop_command": ["/none/x", "y"], "over_warning_limit_command": "/none/x",
            "event_command": "/none/x""#,
            &[],
            &[
                &format!("over_warning_limit_command: {absent}"),
                &format!("event_command: {absent}"),
                &format!("pg_start_command: {absent}"),
                &format!("pg_stop_command: {absent}"),
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
