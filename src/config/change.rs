//! What a reload changed, by the keys' names in the file.

use super::Config;

/// The keys whose values differ, in the order of the documentation's table. Several keys that make one setting count as
/// the one that switches it on (`autofollow`, `syslog`, `flight_recorder`).
pub fn changed_keys(old: &Config, new: &Config) -> Vec<&'static str> {
    COMPARISONS.iter().filter(|(_, differs)| differs(old, new)).map(|(key, _)| *key).collect()
}

type Comparison = (&'static str, fn(&Config, &Config) -> bool);

const COMPARISONS: [Comparison; 31] = [
    ("remote_conns", |old, new| old.nodes != new.nodes),
    ("own_db", |old, new| old.own_db != new.own_db),
    ("observers", |old, new| old.observers != new.observers),
    ("poll_observers_on_warning_only", |old, new| {
        old.poll_observers_on_warning_only != new.poll_observers_on_warning_only
    }),
    ("db_poll_interval", |old, new| old.poll_interval != new.poll_interval),
    ("replication_state_check_interval", |old, new| old.check_interval != new.check_interval),
    ("poll_timeout", |old, new| old.poll_timeout != new.poll_timeout),
    ("warning_replication_time_lag", |old, new| old.warning_lag != new.warning_lag),
    ("max_failover_replication_time_lag", |old, new| old.failover_lag != new.failover_lag),
    ("replication_catchup_timeout", |old, new| old.catchup_timeout != new.catchup_timeout),
    ("missing_master_from_config_timeout", |old, new| old.missing_primary_timeout != new.missing_primary_timeout),
    ("failover_on_disconnect", |old, new| old.failover_on_disconnect != new.failover_on_disconnect),
    ("failover_command", |old, new| old.failover_command != new.failover_command),
    ("failover_command_timeout", |old, new| old.failover_command_timeout != new.failover_command_timeout),
    ("failover_sleep_time", |old, new| old.failover_pause != new.failover_pause),
    ("failover_quorum", |old, new| old.quorum != new.quorum),
    ("over_warning_limit_command", |old, new| old.over_warning_limit_command != new.over_warning_limit_command),
    ("never_promote_these_nodes", |old, new| old.never_promote != new.never_promote),
    ("failover_priorities", |old, new| old.failover_priorities != new.failover_priorities),
    ("known_gone_nodes", |old, new| old.known_gone != new.known_gone),
    ("maintenance_mode_file", |old, new| old.maintenance_mode_file != new.maintenance_mode_file),
    ("autofollow", |old, new| old.follow != new.follow),
    ("alert_file_dir", |old, new| old.alert_dir != new.alert_dir),
    ("json_state_file_path", |old, new| old.state_file != new.state_file),
    ("http_address", |old, new| old.http_address != new.http_address),
    ("http_port", |old, new| old.http_port != new.http_port),
    ("log_level", |old, new| old.log_level != new.log_level),
    ("syslog", |old, new| old.syslog != new.syslog),
    ("statsd", |old, new| old.statsd != new.statsd),
    ("cluster_monitor_health_timeout_seconds", |old, new| old.health_timeout != new.health_timeout),
    ("flight_recorder", |old, new| old.flight_recorder != new.flight_recorder),
];

#[cfg(test)]
mod tests {
    use super::super::{Environment, parse};
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        let [old, new] = [old, new].map(|text| parse(text, &Environment::default()).unwrap().config);
        assert_eq!(changed_keys(&old, &new), expected);
        assert_eq!(old == new, expected.is_empty(), "a field that is not compared");
    }

    #[test]
    fn names_the_keys_that_differ() {
        check("{}", "{}", &[]);
        check("{}", r#"{"db_poll_interval": 5}"#, &[]);
        check("{}", r#"{"observers": {"o": "http://o"}, "db_poll_interval": 1}"#, &["observers", "db_poll_interval"]);
        check(
            r#"{"remote_conns": {"p": "host=p password=a"}}"#,
            r#"{"remote_conns": {"p": "host=p password=b"}}"#,
            &["remote_conns"],
        );
    }

    #[test]
    fn compares_every_field() {
        let Config {
            nodes: _,
            own_db: _,
            observers: _,
            poll_observers_on_warning_only: _,
            poll_interval: _,
            check_interval: _,
            poll_timeout: _,
            warning_lag: _,
            failover_lag: _,
            catchup_timeout: _,
            missing_primary_timeout: _,
            failover_on_disconnect: _,
            failover_command: _,
            failover_command_timeout: _,
            failover_pause: _,
            quorum: _,
            over_warning_limit_command: _,
            never_promote: _,
            failover_priorities: _,
            known_gone: _,
            maintenance_mode_file: _,
            follow: _,
            alert_dir: _,
            state_file: _,
            http_address: _,
            http_port: _,
            log_level: _,
            syslog: _,
            statsd: _,
            health_timeout: _,
            flight_recorder: _,
        } = parse("{}", &Environment::default()).unwrap().config;
    }
}
