//! A configuration written back as the JSON object that it can be read from, every key there and no
//! secret in it: for the flight recorder. Reading it gives the same configuration, passwords aside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::encryption::{CERTIFICATE_MODES, NEGOTIATIONS, SSL_MODES, VERSIONS};
use super::keywords::is_secret;
use super::resolve::{CHANNEL_BINDINGS, TARGETS};
use super::services::FACILITIES;
use super::{
    CommandLine, Config, ConnInfo, FollowSettings, NodeName, Roots, Secret, StatsdSettings,
    SyslogAddress, SyslogSettings, Voting,
};

/// What stands in the place of secrets: another word whenever the secret is another, so that
/// whoever reads it sees that it was changed, and nothing else of it.
#[derive(Debug, Default)]
pub struct Placeholders {
    known: BTreeMap<String, (Vec<Secret>, u64)>,
}

impl Placeholders {
    /// The placeholder for the secrets at `place`, `None` if there are none.
    fn placeholder(&mut self, place: &str, secrets: Vec<Secret>) -> Option<String> {
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
    let (mut keys, mut of_options) = keys(config, placeholders);
    of_options.retain(|_, value| !value.is_null());
    keys.extend(of_options);
    Value::Object(keys)
}

/// The names of all keys.
pub(super) fn key_names(config: &Config) -> Vec<String> {
    let (keys, of_options) = keys(config, &mut Placeholders::default());
    keys.into_iter()
        .chain(of_options)
        .map(|(key, _)| key)
        .collect()
}

/// Every key of the configuration file, in the order of the documentation's table. Those behind
/// are null, and not written, while what they belong to is switched off.
fn keys(config: &Config, hidden: &mut Placeholders) -> (Map<String, Value>, Map<String, Value>) {
    let (follow, syslog) = (config.follow.as_ref(), config.syslog.as_ref());
    let (recorder, voting) = (config.flight_recorder.as_ref(), config.voting.as_ref());
    let (fence, demotion) = (config.fence(), config.demotion());
    let (data_directory, start_command) = own_server(config).unzip();
    let (over_limit, isolated) = alarms(config);
    let keys = json!({
        "remote_conns": nodes(config, hidden),
        "next_passwords": next_passwords(config, hidden),
        "own_db": text(config.own_db.as_ref().map(|own| own.as_str())),
        "observers": observers(config),
        "poll_observers_on_warning_only": config.poll_observers_on_warning_only,
        "db_poll_interval": seconds(config.poll_interval),
        "replication_state_check_interval": seconds(config.check_interval),
        "poll_timeout": seconds(config.poll_timeout),
        "warning_replication_time_lag": seconds(config.warning_lag),
        "max_failover_replication_time_lag": seconds(config.failover_lag),
        "replication_catchup_timeout": seconds(config.catchup_timeout),
        "missing_master_from_config_timeout": seconds(config.missing_primary_timeout),
        "failover_on_disconnect": config.failover_on_disconnect,
        "failover_command": command("failover_command", config.failover_command.as_ref(), hidden),
        "failover_command_timeout": config.failover_command_timeout.map(seconds),
        "failover_sleep_time": seconds(config.failover_pause),
        "failover_quorum": config.quorum.name(),
        "failover_ranking": config.ranking.name(),
        "over_warning_limit_command": command("over_warning_limit_command", over_limit, hidden),
        "isolated_primary_command": command("isolated_primary_command", isolated, hidden),
        "isolated_primary_timeout": seconds(config.isolated_primary_timeout),
        "event_command": command("event_command", config.event_command.as_ref(), hidden),
        "event_filter": config.event_filter,
        "never_promote_these_nodes": names(&config.never_promote),
        "failover_priorities": priorities(config),
        "known_gone_nodes": names(&config.known_gone),
        "maintenance_mode_file": path(&config.maintenance_mode_file),
        "alert_file_dir": path(&config.alert_dir),
        "json_state_file_path": path(&config.state_file),
        "http_address": text(config.http_address.as_deref()),
        "http_port": config.http_port,
        "log_level": log_level(config.log_level),
        "cluster_monitor_health_timeout_seconds": config.health_timeout.map(seconds),
    });
    let of_options = json!({
        "autofollow": follow.map(|_| true),
        "primary_conninfo_template": follow.map(|follow| template(follow, hidden)),
        "pg_data_directory": data_directory.map(path),
        "pg_start_command": command("pg_start_command", start_command, hidden),
        "pg_stop_command": command("pg_stop_command", follow.map(|follow| &follow.stop_command), hidden),
        "syslog": syslog.map(|_| true),
        "syslog_address": syslog.map(syslog_address),
        "syslog_facility": syslog.and_then(|syslog| named(&FACILITIES, syslog.facility)),
        "statsd": config.statsd.as_ref().map(statsd),
        "flight_recorder": recorder.map(|recorder| path(&recorder.path)),
        "flight_recorder_max_bytes": recorder.map(|recorder| recorder.max_bytes),
        "voting": voting.map(|voting| clusters(voting, hidden)),
        "vote_directory": voting.map(|voting| path(&voting.directory)),
        "vote_timeout": voting.map(|voting| seconds(voting.vote_timeout)),
        "lease_time": voting.map(|voting| seconds(voting.lease)),
        "election_stagger": voting.map(|voting| seconds(voting.stagger)),
        "step_aside_time": voting.map(|voting| seconds(voting.step_aside)),
        "fence_command": command("fence_command", fence.map(|fence| &fence.command), hidden),
        "fence_timeout": fence.map(|fence| seconds(fence.timeout)),
        "lease_renew_interval": fence.map(|fence| seconds(fence.renew)),
        "unfence_command": command("unfence_command", fence.and_then(|fence| fence.unfence.as_ref()), hidden),
        "watchdog_device": fence.and_then(|fence| fence.watchdog.as_ref()).map(|it| path(&it.device)),
        "demote_command": command("demote_command", demotion.map(|demotion| &demotion.command), hidden),
        "demote_timeout": demotion.map(|demotion| seconds(demotion.timeout)),
        "switchover_max_lag": demotion.map(|demotion| demotion.max_lag),
    });
    (object(keys), object(of_options))
}

/// `over_warning_limit_command` and `isolated_primary_command`.
fn alarms(config: &Config) -> (Option<&CommandLine>, Option<&CommandLine>) {
    (
        config.over_warning_limit_command.as_ref(),
        config.isolated_primary_command.as_ref(),
    )
}

/// `pg_data_directory` and `pg_start_command`, where something needs them.
fn own_server(config: &Config) -> Option<(&Path, &CommandLine)> {
    let follow = config.follow.as_ref();
    let follow = follow.map(|it| (it.data_directory.as_path(), &it.start_command));
    let demotion = config.demotion();
    follow.or(demotion.map(|it| (it.data_directory.as_path(), &it.start_command)))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn nodes(config: &Config, hidden: &mut Placeholders) -> Value {
    let node = |(name, info): (&NodeName, &Arc<ConnInfo>)| {
        let passwords = info.hosts.iter().filter_map(|host| host.password.clone());
        let password = hidden.placeholder(&format!("remote_conns {name}"), passwords.collect());
        (name.to_string(), connection(info, password))
    };
    Value::Object(config.nodes.iter().map(node).collect())
}

fn next_passwords(config: &Config, hidden: &mut Placeholders) -> Value {
    let word = |(role, next): (&String, &Secret)| {
        let word = hidden.placeholder(&format!("next_passwords {role}"), vec![next.clone()]);
        (role.clone(), Value::from(word))
    };
    Value::Object(config.next_passwords.iter().map(word).collect())
}

/// Libpq's keywords for a resolved connection; its address as it was given, because others are told
/// it like that.
fn connection(info: &ConnInfo, password: Option<String>) -> Value {
    let (tls, keepalives) = (&info.tls, info.keepalives.unwrap_or_default());
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    let require_auth = Some(info.require_auth.to_keyword()).filter(|methods| !methods.is_empty());
    let roots = match &tls.roots {
        Roots::Default => None,
        Roots::File(file) => Some(path(file)),
        Roots::System => Some(json!("system")),
    };
    let mut keywords = object(json!({
        "host": info.address.value("host"),
        "hostaddr": info.address.value("hostaddr"),
        "port": info.address.value("port"),
        "dbname": info.dbname,
        "user": info.user,
        "password": password,
        "application_name": info.application_name,
        "options": info.options,
        "connect_timeout": seconds(info.connect_timeout),
        "keepalives": info.keepalives.is_none().then_some(0),
        "keepalives_idle": seconds(keepalives.idle),
        "keepalives_interval": seconds(keepalives.interval),
        "keepalives_count": keepalives.count,
        "tcp_user_timeout": info.tcp_user_timeout.map(|time| time.as_millis().to_string()),
        "requirepeer": info.required_peer,
        "target_session_attrs": info.wanted_role.and_then(|role| named(&TARGETS, Some(role))),
        "require_auth": require_auth,
        "channel_binding": named(&CHANNEL_BINDINGS, info.channel_binding),
        "sslmode": named(&SSL_MODES, tls.mode),
        "sslnegotiation": named(&NEGOTIATIONS, tls.negotiation),
        "sslsni": u8::from(tls.sni),
        "sslrootcert": roots,
        "sslcrl": tls.crl.as_deref().map(path),
        "sslcert": tls.certificate.as_deref().map(path),
        "sslkey": tls.key.as_deref().map(path),
        "sslcertmode": named(&CERTIFICATE_MODES, tls.certificate_mode),
        "ssl_min_protocol_version": named(&VERSIONS, tls.oldest),
        "ssl_max_protocol_version": named(&VERSIONS, tls.newest),
    }));
    keywords.retain(|_, value| !value.is_null());
    Value::Object(keywords)
}

/// The word for `value` among the words that are read.
fn named<'a, T: Copy + PartialEq>(choices: &[(&'a str, T)], value: T) -> Option<&'a str> {
    let choice = choices.iter().find(|(_, choice)| *choice == value);
    choice.map(|(name, _)| *name)
}

fn observers(config: &Config) -> Value {
    let observers = config.observers.iter();
    let observers = observers.map(|(name, at)| (name.to_string(), json!(at.to_string())));
    Value::Object(observers.collect())
}

/// Where a secret was read, a word stands for it that changes with it, and is not read back.
fn clusters(voting: &Voting, hidden: &mut Placeholders) -> Value {
    let clusters = voting.clusters.iter().map(|(name, cluster)| {
        let voters = cluster.voters.iter();
        let voters = voters.map(|(name, at)| (name.to_string(), json!(at.to_string())));
        let secrets = cluster.secret.clone().into_iter().collect();
        let mut shown = object(json!({
            "generation": cluster.generation,
            "voters": voters.collect::<Map<_, _>>(),
            "self": cluster.own.as_str(),
            "secret_file": path(&cluster.secret_file),
            "secret": hidden.placeholder(&format!("voting {name}"), secrets),
            "dry": cluster.dry,
        }));
        shown.retain(|_, value| !value.is_null());
        (name.to_string(), Value::Object(shown))
    });
    Value::Object(clusters.collect())
}

/// The program and the names of options; any other argument may be a secret. No decision looks at them.
fn command(key: &str, command: Option<&CommandLine>, hidden: &mut Placeholders) -> Value {
    let Some((program, arguments)) = command.and_then(|command| command.argv.split_first()) else {
        return Value::Null;
    };
    let shown = arguments.iter().enumerate().map(|(at, argument)| {
        let secret = (!is_option_name(argument)).then(|| Secret::new(argument));
        let word = hidden.placeholder(&format!("{key} {at}"), secret.into_iter().collect());
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

fn template(follow: &FollowSettings, hidden: &mut Placeholders) -> Value {
    let mut shown = follow.primary_conninfo_template.clone();
    for (keyword, value) in follow.primary_conninfo_template.iter() {
        if is_secret(keyword) {
            let place = format!("primary_conninfo_template {keyword}");
            let word = hidden.placeholder(&place, vec![Secret::new(value)]);
            shown.set(keyword, word.unwrap_or_default());
        }
    }
    Value::from(shown.to_conninfo_string())
}

fn priorities(config: &Config) -> Value {
    let priorities = config.failover_priorities.iter();
    let priorities = priorities.map(|(name, priority)| (name.to_string(), json!(priority)));
    Value::Object(priorities.collect())
}

fn syslog_address(syslog: &SyslogSettings) -> Value {
    match &syslog.address {
        SyslogAddress::Path(socket) => path(socket),
        SyslogAddress::Udp(host, port) => json!([host, port]),
    }
}

fn statsd(statsd: &StatsdSettings) -> Value {
    json!({"host": statsd.host, "port": statsd.port, "tags": statsd.tags})
}

fn names(names: &BTreeSet<NodeName>) -> Value {
    names.iter().map(ToString::to_string).collect()
}

/// Not given: an empty text.
fn text(text: Option<&str>) -> Value {
    Value::from(text.unwrap_or_default())
}

/// All paths came from JSON text.
fn path(path: &Path) -> Value {
    Value::from(path.to_string_lossy())
}

fn seconds(time: Duration) -> Value {
    Value::from(time.as_secs_f64())
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
