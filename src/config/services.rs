//! The keys of what surrounds the daemon: the log, syslog, statsd, the flight recorder, and
//! following a new primary.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::Value;

use super::document::joined;
use super::nodes::read_keywords;
use super::reader::{Reader, port_of};
use super::resolve::check_keywords;
use super::{FollowSettings, RecorderSettings, StatsdSettings, SyslogAddress, SyslogSettings};

/// `log_level`.
pub(super) fn read_log_level(reader: &mut Reader<'_>) -> log::LevelFilter {
    use log::LevelFilter::{Debug, Error, Info, Trace, Warn};
    let level = reader.text("log_level", "INFO");
    match level.to_ascii_uppercase().as_str() {
        "NOTSET" => Trace,
        "DEBUG" => Debug,
        "INFO" => Info,
        "WARN" | "WARNING" => Warn,
        "ERROR" | "FATAL" | "CRITICAL" => Error,
        _ => {
            let expected = "expected NOTSET, DEBUG, INFO, WARN, WARNING, ERROR, FATAL or CRITICAL";
            reader.wrong("log_level", &Value::String(level), expected);
            Info
        }
    }
}

/// `syslog` and its address and facility, which are checked even while it is off.
pub(super) fn read_syslog(reader: &mut Reader<'_>) -> Option<SyslogSettings> {
    let on = reader.boolean("syslog", false);
    let address = read_syslog_address(reader);
    let facility = read_facility(reader);
    on.then_some(SyslogSettings { address, facility })
}

/// `statsd`.
pub(super) fn read_statsd(reader: &mut Reader<'_>) -> Option<StatsdSettings> {
    let object = reader.object("statsd")?;
    // As in the original: without a host and a port there is none.
    let is_given = |key: &str| object.get(key).is_some_and(|value| !value.is_null());
    if !(is_given("host") && is_given("port")) {
        let is_missing = |key: &str| !object.contains_key(key);
        if !object.is_empty() && (is_missing("host") || is_missing("port")) {
            reader.warn("statsd", "host and port are needed: no metrics are sent");
        }
        return None;
    }
    let mut reader = Reader::new(object, "statsd", reader.findings);
    let host = reader.text("host", "");
    if !may_be_host(&host) {
        reader.error("host", EXPECTED_HOST);
    }
    let port = read_statsd_port(&mut reader);
    let mut tags = BTreeMap::new();
    for (name, value) in reader.object("tags").into_iter().flatten() {
        match value {
            Value::String(text) => drop(tags.insert(name.clone(), text.clone())),
            Value::Number(number) => drop(tags.insert(name.clone(), number.to_string())),
            other => reader.wrong(&joined("tags", name), other, "expected a text or a number"),
        }
    }
    reader.warn_of_unknown(["host", "port", "tags"].into_iter());
    Some(StatsdSettings { host, port, tags })
}

/// `autofollow` and the keys it needs, which are checked even while it is off.
pub(super) fn read_follow(reader: &mut Reader<'_>) -> Option<FollowSettings> {
    const TEMPLATE: &str = "primary_conninfo_template";
    let on = reader.boolean("autofollow", false);
    let errors_before = reader.findings.errors.len();
    let data_directory = reader.path("pg_data_directory", "/var/lib/pgsql/data");
    let start_command = reader.command("pg_start_command");
    let stop_command = reader.command("pg_stop_command");
    let template = reader
        .filled(TEMPLATE)
        .and_then(|value| read_keywords(reader, TEMPLATE, value));
    if let Some(template) = &template {
        check_keywords(TEMPLATE, template, reader.findings);
    }
    if !on {
        // Nothing depends on them yet.
        let errors = reader.findings.errors.split_off(errors_before);
        reader.findings.warnings.extend(errors);
        return None;
    }
    let present = [
        ("pg_start_command", start_command.is_some()),
        ("pg_stop_command", stop_command.is_some()),
        (TEMPLATE, reader.filled(TEMPLATE).is_some()),
    ];
    for (key, _) in present.into_iter().filter(|(_, present)| !present) {
        reader.error(key, "needed because autofollow is on");
    }
    Some(FollowSettings {
        data_directory,
        start_command: start_command?,
        stop_command: stop_command?,
        primary_conninfo_template: template?,
    })
}

/// `flight_recorder`, and its size, which is checked even while it is off.
pub(super) fn read_flight_recorder(reader: &mut Reader<'_>) -> Option<RecorderSettings> {
    const SIZE: &str = "flight_recorder_max_bytes";
    let max_bytes = match reader.filled(SIZE) {
        None => RECORDER_BYTES,
        Some(value) => value
            .as_u64()
            .filter(|bytes| RECORDER_SPAN.contains(bytes))
            .unwrap_or_else(|| {
                let (least, most) = (RECORDER_SPAN.start(), RECORDER_SPAN.end());
                reader.wrong(
                    SIZE,
                    value,
                    format!("expected a number of bytes from {least} to {most}"),
                );
                RECORDER_BYTES
            }),
    };
    let path = reader.text("flight_recorder", "");
    (!path.is_empty()).then(|| RecorderSettings {
        path: PathBuf::from(path),
        max_bytes,
    })
}

fn read_syslog_address(reader: &mut Reader<'_>) -> SyslogAddress {
    let default = || SyslogAddress::Path(PathBuf::from("/dev/log"));
    let Some(value) = reader.filled("syslog_address") else {
        return default();
    };
    let address = match value {
        Value::String(path) if !path.is_empty() => Some(SyslogAddress::Path(PathBuf::from(path))),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(host), _] if !may_be_host(host) => {
                reader.error("syslog_address", EXPECTED_HOST);
                return default();
            }
            [Value::String(host), port] => {
                port_of(port).map(|port| SyslogAddress::Udp(host.clone(), port))
            }
            _ => None,
        },
        _ => None,
    };
    address.unwrap_or_else(|| {
        reader.wrong(
            "syslog_address",
            value,
            "expected a socket path, or [\"host\", port]",
        );
        default()
    })
}

fn read_facility(reader: &mut Reader<'_>) -> u8 {
    let name = reader.text("syslog_facility", "local2");
    let known = FACILITIES
        .iter()
        .find(|(facility, _)| name.eq_ignore_ascii_case(facility))
        .map(|(_, code)| *code);
    known.unwrap_or_else(|| {
        let names = FACILITIES
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ");
        reader.wrong(
            "syslog_facility",
            &Value::String(name),
            format!("expected one of {names}"),
        );
        LOCAL2
    })
}

/// Fleets write it both as a number and as digits in quotes.
fn read_statsd_port(reader: &mut Reader<'_>) -> u16 {
    match reader
        .raw("port")
        .and_then(Value::as_str)
        .and_then(|digits| digits.parse().ok())
    {
        Some(port) if port > 0 => port,
        _ => reader.port("port", STATSD_PORT),
    }
}

/// A URL is none, and what stands in it may be a password: it is not shown, and never looked up.
fn may_be_host(text: &str) -> bool {
    !text.contains(['@', '/', '?', '#'])
}

const EXPECTED_HOST: &str = "expected a host name or an address, not a URL";
const STATSD_PORT: u16 = 8125;
/// 16 MiB.
const RECORDER_BYTES: u64 = 16 << 20;
/// Less would hold no outage, more is no timeline that anyone reads: 64 KiB to 256 MiB.
const RECORDER_SPAN: RangeInclusive<u64> = 64 << 10..=256 << 20;
const LOCAL2: u8 = 18;

/// RFC 3164, section 4.1.1: the codes, by the names syslog daemons use.
pub(super) const FACILITIES: [(&str, u8); 27] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("ntp", 12),
    ("security", 13),
    ("audit", 13),
    ("console", 14),
    ("alert", 14),
    ("solaris-cron", 15),
    ("clock", 15),
    ("local0", 16),
    ("local1", 17),
    ("local2", LOCAL2),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];
