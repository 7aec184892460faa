//! From the text of the configuration file to [`Config`], with every problem found at once.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::environment::Environment;
use super::events::read_event_filter;
use super::nodes::{
    read_names, read_next_passwords, read_nodes, read_observers, read_own, read_priorities,
    warn_of_next_passwords,
};
use super::problem::{Findings, Problem};
use super::reader::{Reader, Span, kind};
use super::render::key_names;
use super::services::{
    read_flight_recorder, read_follow, read_log_level, read_statsd, read_syslog,
};
use super::voting::{check_fence, read_voting};
use super::{Config, QuorumRule, Ranking, addresses, document};

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What is odd about it.
    pub warnings: Vec<Problem>,
}

/// Reads the file's text. `Err` holds at least one error, and the warnings as well.
pub fn parse(text: &str, environment: &Environment) -> Result<Loaded, Findings> {
    let mut findings = Findings::default();
    let Some(object) = read_document(text, &mut findings) else {
        return Err(findings);
    };
    let mut reader = Reader::new(&object, "", &mut findings);
    let config = assemble(&mut reader, environment);
    warn_of_failover_command(&mut reader, &config, environment);
    addresses::warn_of_shared(&config, reader.findings);
    let known = key_names(&config);
    reader.warn_of_unknown(known.iter().map(String::as_str));
    if findings.errors.is_empty() {
        Ok(Loaded {
            config,
            warnings: findings.warnings,
        })
    } else {
        Err(findings)
    }
}

/// Only where the state file is, so that asking for the primary does not fail over an unrelated
/// key.
pub fn state_file_path(text: &str) -> Result<PathBuf, Findings> {
    let mut findings = Findings::default();
    let Some(object) = read_document(text, &mut findings) else {
        return Err(findings);
    };
    let path = read_state_file(&mut Reader::new(&object, "", &mut findings));
    if findings.errors.is_empty() {
        Ok(path)
    } else {
        Err(findings)
    }
}

fn read_document(text: &str, findings: &mut Findings) -> Option<Map<String, Value>> {
    let (value, repeated) = match document::parse(text) {
        Ok(parsed) => parsed,
        Err(reason) => {
            findings.error("", None, format!("not JSON: {reason}"));
            return None;
        }
    };
    for path in repeated {
        findings.warn(
            path,
            None,
            "stands there more than once, the last one counts",
        );
    }
    match value {
        Value::Object(object) => Some(object),
        other => {
            findings.error(
                "",
                None,
                format!("expected a JSON object, found {}", kind(&other)),
            );
            None
        }
    }
}

/// One line per key, in the order of the documentation's table.
fn assemble(reader: &mut Reader<'_>, environment: &Environment) -> Config {
    let check_interval = reader.seconds("replication_state_check_interval", 10.0, Span::Positive);
    let failover_lag = reader.seconds("max_failover_replication_time_lag", 120.0, Span::MayBeZero);
    let next_passwords = read_next_passwords(reader);
    let nodes = read_nodes(reader, environment, &next_passwords);
    warn_of_next_passwords(reader, &next_passwords, &nodes);
    let mut config = Config {
        nodes,
        next_passwords,
        own_db: read_own(reader),
        host_name: environment.host_name.clone(),
        observers: read_observers(reader),
        poll_observers_on_warning_only: reader.boolean("poll_observers_on_warning_only", false),
        poll_interval: reader.seconds("db_poll_interval", 5.0, Span::Positive),
        check_interval,
        poll_timeout: read_poll_timeout(reader, failover_lag),
        warning_lag: read_warning_lag(reader, failover_lag),
        failover_lag,
        catchup_timeout: reader.seconds("replication_catchup_timeout", 300.0, Span::MayBeZero),
        missing_primary_timeout: reader.seconds(
            "missing_master_from_config_timeout",
            15.0,
            Span::MayBeZero,
        ),
        failover_on_disconnect: reader.boolean("failover_on_disconnect", true),
        failover_command: reader.command("failover_command"),
        failover_command_timeout: reader.optional_seconds("failover_command_timeout"),
        failover_pause: reader.seconds("failover_sleep_time", 0.0, Span::MayBeZero),
        quorum: read_quorum(reader),
        ranking: read_ranking(reader),
        over_warning_limit_command: reader.command("over_warning_limit_command"),
        isolated_primary_command: reader.command("isolated_primary_command"),
        // Before the others promote one of them, which they do after the limit.
        isolated_primary_timeout: reader.seconds(
            "isolated_primary_timeout",
            failover_lag.as_secs_f64() / 2.0,
            Span::MayBeZero,
        ),
        event_command: reader.command("event_command"),
        event_filter: read_event_filter(reader),
        never_promote: read_names(reader, "never_promote_these_nodes", true),
        failover_priorities: read_priorities(reader),
        known_gone: read_names(reader, "known_gone_nodes", false),
        maintenance_mode_file: reader.path(
            "maintenance_mode_file",
            "/tmp/pglookout_maintenance_mode_file",
        ),
        follow: read_follow(reader),
        alert_dir: read_alert_dir(reader),
        state_file: read_state_file(reader),
        http_address: Some(reader.text("http_address", "")).filter(|address| !address.is_empty()),
        http_port: reader.port("http_port", 15000),
        log_level: read_log_level(reader),
        syslog: read_syslog(reader),
        statsd: read_statsd(reader),
        health_timeout: read_health_timeout(reader, check_interval),
        flight_recorder: read_flight_recorder(reader),
        voting: None,
    };
    let nodes = config.nodes.keys();
    let promotable: Vec<_> = nodes
        .filter(|node| !config.never_promote.contains(*node))
        .collect();
    config.voting = read_voting(reader, environment, config.own_db.as_ref(), &promotable);
    check_fence(reader, &config);
    config
}

/// Where the failover limit is shorter, a poll is given this all the same.
const MIN_POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// By default short enough for a poll that hangs to end, and another to be made, within the limit. Who
/// has not answered for as long as the limit is lost, whatever more time it may have been given.
fn read_poll_timeout(reader: &mut Reader<'_>, failover_lag: Duration) -> Duration {
    const KEY: &str = "poll_timeout";
    let half = (failover_lag / 2).clamp(MIN_POLL_TIMEOUT, Duration::from_secs(5));
    let timeout = reader.seconds(KEY, half.as_secs_f64(), Span::Positive);
    at_most(reader, KEY, timeout, failover_lag.max(MIN_POLL_TIMEOUT))
}

fn read_warning_lag(reader: &mut Reader<'_>, failover_lag: Duration) -> Duration {
    const KEY: &str = "warning_replication_time_lag";
    let lag = reader.seconds(KEY, 30.0, Span::MayBeZero);
    at_most(reader, KEY, lag, failover_lag)
}

/// Lowered to the failover limit.
fn at_most(
    reader: &mut Reader<'_>,
    key: &'static str,
    value: Duration,
    limit: Duration,
) -> Duration {
    // Nobody has set a default.
    if value > limit && reader.filled(key).is_some() {
        let (was, limit) = (value.as_secs_f64(), limit.as_secs_f64());
        reader.warn(
            key,
            format!("{was} is above max_failover_replication_time_lag, lowered to {limit}"),
        );
    }
    value.min(limit)
}

fn read_quorum(reader: &mut Reader<'_>) -> QuorumRule {
    const KEY: &str = "failover_quorum";
    match reader.filled(KEY) {
        None => QuorumRule::Half,
        Some(value) => match value.as_str() {
            Some("half") => QuorumRule::Half,
            Some("majority") => QuorumRule::Majority,
            _ => {
                reader.wrong(KEY, value, "expected \"half\" or \"majority\"");
                QuorumRule::Half
            }
        },
    }
}

fn read_ranking(reader: &mut Reader<'_>) -> Ranking {
    const KEY: &str = "failover_ranking";
    match reader.filled(KEY).map(|value| (value, value.as_str())) {
        None | Some((_, Some("furthest"))) => Ranking::Furthest,
        Some((_, Some("original"))) => Ranking::Original,
        Some((value, _)) => {
            reader.wrong(KEY, value, "expected \"furthest\" or \"original\"");
            Ranking::Furthest
        }
    }
}

/// Unlike other paths it may be empty: the working directory, as in the original.
fn read_alert_dir(reader: &mut Reader<'_>) -> PathBuf {
    let text = reader.text("alert_file_dir", "");
    PathBuf::from(if text.is_empty() { "." } else { &text })
}

fn read_state_file(reader: &mut Reader<'_>) -> PathBuf {
    reader.path("json_state_file_path", "/tmp/pglookout_state.json")
}

/// `null` switches it off, and is not the same as nothing.
fn read_health_timeout(reader: &mut Reader<'_>, check_interval: Duration) -> Option<Duration> {
    const KEY: &str = "cluster_monitor_health_timeout_seconds";
    if reader.raw(KEY).is_some() {
        reader.optional_seconds(KEY)
    } else {
        Some(check_interval.saturating_mul(2))
    }
}

fn warn_of_failover_command(reader: &mut Reader<'_>, config: &Config, environment: &Environment) {
    const KEY: &str = "failover_command";
    let Some(own) = &config.own_db else { return };
    if config.failover_command.is_none() && !config.never_promote.contains(own) {
        reader.warn(KEY, "there is none: this node can never be promoted");
    }
    if config.failover_command.is_some() && environment.vars.contains_key("PGPASSWORD") {
        reader.warn(KEY, "commands do not inherit PGPASSWORD: what they log in with belongs into a password file");
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
