//! A configuration written back as the JSON object that it can be read from, every key there and no
//! secret in it: for the flight recorder. Reading it gives the same configuration, passwords aside.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::encryption::{CERTIFICATE_MODES, NEGOTIATIONS, SSL_MODES, VERSIONS};
use super::keywords::is_secret;
use super::resolve::{CHANNEL_BINDINGS, TARGETS};
use super::services::FACILITIES;
use super::{
    CommandLine, Config, ConnInfo, FollowSettings, Keywords, ObserverUrl, RecorderSettings, Roots,
    Secret, StatsdSettings, SyslogAddress, SyslogSettings, TlsSettings,
};

/// What stands in the place of secrets: another word whenever the secret is another, so that
/// whoever reads the words can tell that it was changed, and nothing else of it.
#[derive(Debug, Default)]
pub struct Placeholders {
    known: BTreeMap<String, (Vec<Secret>, u64)>,
}

impl Placeholders {
    /// The word for the secrets at `place`, `None` if there are none.
    fn word(&mut self, place: &str, secrets: Vec<Secret>) -> Option<String> {
        if secrets.is_empty() {
            return None;
        }
        let (known, number) = self.known.entry(place.to_owned()).or_default();
        if *known != secrets {
            *known = secrets;
            *number += 1;
        }
        Some(format!("hidden-{number}"))
    }
}

/// The object, every default written out.
pub fn render(config: &Config, placeholders: &mut Placeholders) -> Value {
    let mut keys = json!({
        "remote_conns": nodes(config, placeholders),
        "own_db": config.own_db.as_ref().map_or("", |own| own.as_str()),
        "observers": config.observers.iter().map(|(name, at)| (name.to_string(), json!(url(at)))).collect::<Map<_, _>>(),
        "poll_observers_on_warning_only": config.poll_observers_on_warning_only,
        "db_poll_interval": seconds(config.poll_interval),
        "replication_state_check_interval": seconds(config.check_interval),
        "poll_timeout": seconds(config.poll_timeout),
        "warning_replication_time_lag": seconds(config.warning_lag),
        "max_failover_replication_time_lag": seconds(config.failover_lag),
        "replication_catchup_timeout": seconds(config.catchup_timeout),
        "missing_master_from_config_timeout": seconds(config.missing_primary_timeout),
        "failover_on_disconnect": config.failover_on_disconnect,
        "failover_command": command("failover_command", config.failover_command.as_ref(), placeholders),
        "failover_command_timeout": config.failover_command_timeout.map(seconds),
        "failover_sleep_time": seconds(config.failover_pause),
        "failover_quorum": config.quorum.name(),
        "failover_ranking": config.ranking.name(),
        "over_warning_limit_command": command("over_warning_limit_command", config.over_warning_limit_command.as_ref(), placeholders),
        "never_promote_these_nodes": names(config.never_promote.iter()),
        "known_gone_nodes": names(config.known_gone.iter()),
        "maintenance_mode_file": path(&config.maintenance_mode_file),
        "alert_file_dir": path(&config.alert_dir),
        "json_state_file_path": path(&config.state_file),
        "http_address": config.http_address.as_deref().unwrap_or_default(),
        "http_port": config.http_port,
        "log_level": log_level(config.log_level),
        "cluster_monitor_health_timeout_seconds": config.health_timeout.map(seconds),
    });
    let priorities: Map<_, _> = config
        .failover_priorities
        .iter()
        .map(|(name, priority)| (name.to_string(), json!(priority)))
        .collect();
    let others = [
        Some(entries([(
            "failover_priorities",
            Value::Object(priorities),
        )])),
        config
            .follow
            .as_ref()
            .map(|follow| follow_keys(follow, placeholders)),
        config.syslog.as_ref().map(syslog_keys),
        config.statsd.as_ref().map(statsd_keys),
        config.flight_recorder.as_ref().map(recorder_keys),
    ];
    if let Value::Object(keys) = &mut keys {
        keys.extend(others.into_iter().flatten().flatten());
    }
    keys
}

fn nodes(config: &Config, placeholders: &mut Placeholders) -> Map<String, Value> {
    let node = |(name, info): (&super::NodeName, &ConnInfo)| {
        let secrets = info
            .hosts
            .iter()
            .filter_map(|host| host.password.clone())
            .collect();
        let password = placeholders.word(&format!("remote_conns {name}"), secrets);
        (name.to_string(), connection(info, password))
    };
    config.nodes.iter().map(node).collect()
}

/// Libpq's keywords for a resolved connection; its address as it was given, because others are told
/// it like that.
fn connection(info: &ConnInfo, password: Option<String>) -> Value {
    let keepalives = info.keepalives.as_ref();
    let whole_seconds = |time: Option<Duration>| time.map(|time| json!(time.as_secs()));
    let optional = [
        (
            "application_name",
            info.application_name.as_deref().map(Value::from),
        ),
        ("password", password.map(Value::from)),
        ("options", info.options.as_deref().map(Value::from)),
        ("connect_timeout", whole_seconds(info.connect_timeout)),
        ("keepalives", keepalives.is_none().then(|| json!(0))),
        (
            "keepalives_idle",
            whole_seconds(keepalives.and_then(|keepalives| keepalives.idle)),
        ),
        (
            "keepalives_interval",
            whole_seconds(keepalives.and_then(|keepalives| keepalives.interval)),
        ),
        (
            "keepalives_count",
            keepalives
                .and_then(|keepalives| keepalives.count)
                .map(Value::from),
        ),
        (
            "tcp_user_timeout",
            info.tcp_user_timeout
                .map(|time| json!(time.as_millis().to_string())),
        ),
        (
            "requirepeer",
            info.required_peer.as_deref().map(Value::from),
        ),
        (
            "target_session_attrs",
            info.wanted_role.map(|role| named(&TARGETS, Some(role))),
        ),
        (
            "require_auth",
            Some(info.require_auth.to_keyword())
                .filter(|methods| !methods.is_empty())
                .map(Value::from),
        ),
    ];
    let mut keywords = json!({
        "dbname": info.dbname,
        "user": info.user,
        "channel_binding": named(&CHANNEL_BINDINGS, info.channel_binding),
    });
    if let Value::Object(keywords) = &mut keywords {
        keywords.extend(
            info.address
                .iter()
                .map(|(keyword, value)| (keyword.to_owned(), json!(value))),
        );
        let optional = optional
            .into_iter()
            .chain(tls_keywords(&info.tls))
            .filter_map(|(keyword, value)| Some((keyword.to_owned(), value?)));
        keywords.extend(optional);
    }
    keywords
}

/// The `ssl*` keywords.
fn tls_keywords(tls: &TlsSettings) -> [(&'static str, Option<Value>); 10] {
    let roots = match &tls.roots {
        Roots::Default => None,
        Roots::File(file) => Some(path(file)),
        Roots::System => Some(json!("system")),
    };
    [
        ("sslmode", Some(named(&SSL_MODES, tls.mode))),
        (
            "sslnegotiation",
            Some(named(&NEGOTIATIONS, tls.negotiation)),
        ),
        ("sslsni", Some(json!(u8::from(tls.sni)))),
        ("sslrootcert", roots),
        ("sslcrl", tls.crl.as_deref().map(path)),
        ("sslcert", tls.certificate.as_deref().map(path)),
        ("sslkey", tls.key.as_deref().map(path)),
        (
            "sslcertmode",
            Some(named(&CERTIFICATE_MODES, tls.certificate_mode)),
        ),
        (
            "ssl_min_protocol_version",
            Some(named(&VERSIONS, tls.oldest)),
        ),
        (
            "ssl_max_protocol_version",
            Some(named(&VERSIONS, tls.newest)),
        ),
    ]
}

/// The word for `value` among the words that are read.
fn named<T: Copy + PartialEq>(choices: &[(&str, T)], value: T) -> Value {
    choices
        .iter()
        .find(|(_, choice)| *choice == value)
        .map_or(Value::Null, |(name, _)| json!(name))
}

fn url(at: &ObserverUrl) -> String {
    let host = if at.host.contains(':') {
        format!("[{}]", at.host)
    } else {
        at.host.clone()
    };
    let scheme = if at.encrypted { "https" } else { "http" };
    format!("{scheme}://{host}:{}{}", at.port, at.path)
}

/// The program and the names of options; any other argument may be a secret. No decision looks at them.
fn command(key: &str, command: Option<&CommandLine>, placeholders: &mut Placeholders) -> Value {
    let Some((program, arguments)) = command.and_then(|command| command.argv.split_first()) else {
        return Value::Null;
    };
    let shown = arguments.iter().enumerate().map(|(at, argument)| {
        let secret = (!is_option_name(argument)).then(|| Secret::new(argument));
        let word = placeholders.word(&format!("{key} {at}"), secret.into_iter().collect());
        word.unwrap_or_else(|| argument.clone())
    });
    std::iter::once(program.clone()).chain(shown).collect()
}

fn is_option_name(argument: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    match argument.strip_prefix("--") {
        Some(name) => name.bytes().all(is_name),
        None => argument.starts_with('-') && argument.len() <= 2,
    }
}

fn follow_keys(follow: &FollowSettings, placeholders: &mut Placeholders) -> Map<String, Value> {
    entries([
        ("autofollow", json!(true)),
        ("pg_data_directory", path(&follow.data_directory)),
        (
            "pg_start_command",
            command(
                "pg_start_command",
                Some(&follow.start_command),
                placeholders,
            ),
        ),
        (
            "pg_stop_command",
            command("pg_stop_command", Some(&follow.stop_command), placeholders),
        ),
        (
            "primary_conninfo_template",
            template(&follow.primary_conninfo_template, placeholders),
        ),
    ])
}

fn template(keywords: &Keywords, placeholders: &mut Placeholders) -> Value {
    let mut shown = Keywords::default();
    for (keyword, value) in keywords.iter() {
        let place = format!("primary_conninfo_template {keyword}");
        let hidden = is_secret(keyword).then(|| {
            placeholders
                .word(&place, vec![Secret::new(value)])
                .unwrap_or_default()
        });
        shown.set(keyword, hidden.unwrap_or_else(|| value.to_owned()));
    }
    Value::from(shown.to_conninfo_string())
}

fn syslog_keys(syslog: &SyslogSettings) -> Map<String, Value> {
    let address = match &syslog.address {
        SyslogAddress::Path(socket) => path(socket),
        SyslogAddress::Udp(host, port) => json!([host, port]),
    };
    let facility = FACILITIES
        .iter()
        .find(|(_, code)| *code == syslog.facility)
        .map(|(name, _)| *name);
    entries([
        ("syslog", json!(true)),
        ("syslog_address", address),
        ("syslog_facility", json!(facility)),
    ])
}

fn statsd_keys(statsd: &StatsdSettings) -> Map<String, Value> {
    entries([(
        "statsd",
        json!({"host": statsd.host, "port": statsd.port, "tags": statsd.tags}),
    )])
}

fn recorder_keys(recorder: &RecorderSettings) -> Map<String, Value> {
    entries([
        ("flight_recorder", path(&recorder.path)),
        ("flight_recorder_max_bytes", json!(recorder.max_bytes)),
    ])
}

fn entries<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn names<'a, T: ToString + 'a>(names: impl Iterator<Item = &'a T>) -> Value {
    names.map(|name| Value::from(name.to_string())).collect()
}

/// All paths came from JSON text.
fn path(path: &Path) -> Value {
    Value::from(path.to_string_lossy())
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn log_level(level: log::LevelFilter) -> &'static str {
    match level {
        log::LevelFilter::Off | log::LevelFilter::Error => "ERROR",
        log::LevelFilter::Warn => "WARNING",
        log::LevelFilter::Info => "INFO",
        log::LevelFilter::Debug => "DEBUG",
        log::LevelFilter::Trace => "NOTSET",
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
