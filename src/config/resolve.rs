//! From what was written about a connection to what it means: environment variables, defaults,
//! checked values.
//!
//! As libpq does it, with two choices of our own where libpq gives up: without an operating system
//! user the user is `postgres`, and an empty user or database name counts as not given.

use std::time::Duration;

use super::conninfo::{ChannelBinding, ConnInfo, HostAddress, Keepalives, WantedRole};
use super::environment::Environment;
use super::hosts;
use super::keywords::{KEYWORDS, Keywords, Support, find, is_blank};
use super::problem::{Findings, hint, nearest};
use super::service_file;
use super::source::Source;
use super::{encryption, require_auth};

/// Resolves the connection written at `path` of the configuration; `None` if errors were found.
pub(super) fn resolve(
    path: &str,
    given: &Keywords,
    environment: &Environment,
    findings: &mut Findings,
) -> Option<ConnInfo> {
    let errors_before = findings.errors.len();
    check_keywords(path, given, findings);
    let service = service_file::look_up(path, given, environment, findings);
    let mut source = Source {
        path,
        given,
        service: service.as_ref(),
        environment,
        findings,
    };
    complain_of_unsupported(&mut source);
    let user = source
        .filled("user")
        .unwrap_or(environment.os_user.as_deref().unwrap_or(FALLBACK_USER))
        .to_owned();
    let dbname = source.filled("dbname").unwrap_or(&user).to_owned();
    let info = ConnInfo {
        hosts: hosts::resolve(&mut source, &dbname, &user),
        address: address(&source),
        next_password: None,
        application_name: source
            .value("application_name")
            .or_else(|| source.value("fallback_application_name"))
            .map(str::to_owned),
        options: source.filled("options").map(str::to_owned),
        connect_timeout: source.positive("connect_timeout").map(Duration::from_secs),
        keepalives: keepalives(&mut source),
        tcp_user_timeout: source
            .positive("tcp_user_timeout")
            .map(Duration::from_millis),
        tls: encryption::resolve(&mut source),
        require_auth: require_auth::resolve(&mut source),
        required_peer: source.filled("requirepeer").map(str::to_owned),
        wanted_role: source
            .filled_one_of("target_session_attrs", &TARGETS)
            .flatten(),
        channel_binding: source
            .one_of("channel_binding", &CHANNEL_BINDINGS)
            .unwrap_or(ChannelBinding::Prefer),
        dbname,
        user,
    };
    refuse_unless_built_in(&mut source, &info);
    if info.wanted_role.is_some() && info.hosts.len() == 1 {
        let label = source.label("target_session_attrs");
        source.warn(&label, "without effect: of one host both roles are watched");
    }
    (findings.errors.len() == errors_before).then_some(info)
}

fn address(source: &Source<'_>) -> Keywords {
    let mut address = Keywords::default();
    for keyword in ["host", "hostaddr", "port"] {
        if let Some(value) = source.filled(keyword) {
            address.set(keyword, value);
        }
    }
    address
}

/// Complains of every keyword that libpq does not know. The keyword of a broken string may be part
/// of a password, so only what looks like one and is not behind a password, or is almost a known
/// one, is shown.
pub(super) fn check_keywords(path: &str, given: &Keywords, findings: &mut Findings) {
    for (keyword, _) in given.iter().filter(|(keyword, _)| find(keyword).is_none()) {
        let names = || KEYWORDS.iter().map(|known| known.name);
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let is_meant = given.may_show(keyword) || nearest(keyword, names()).is_some();
        if !keyword.is_empty() && keyword.bytes().all(is_word) && is_meant {
            findings.error(
                format!("{path}.{keyword}"),
                None,
                format!("no libpq keyword{}", hint(keyword, names())),
            );
        } else {
            findings.error(
                path,
                None,
                "something before a \"=\" is no libpq keyword (is a value unquoted?)",
            );
        }
    }
}

fn complain_of_unsupported(source: &mut Source<'_>) {
    for known in KEYWORDS {
        let Some(value) = source.filled(known.name) else {
            continue;
        };
        let message = match known.support {
            Support::Honoured => continue,
            Support::Ignored(harmless) | Support::OneOf(harmless, _)
                if harmless.contains(&value) =>
            {
                continue;
            }
            Support::OneOf(harmless, others) if !others.contains(&value) => {
                let names = [harmless, others].concat().join(", ");
                source.error(known.name, format!("expected one of {names}"));
                continue;
            }
            _ => unsupported(known.name),
        };
        let value = source.shown(known.name);
        match message {
            Ok(warning) => source
                .findings
                .warn(source.label(known.name), value, warning),
            Err(error) => source
                .findings
                .error(source.label(known.name), value, error),
        }
    }
}

/// What an unsupported setting leads to: a warning, or an error where the operator would rely on
/// it.
fn unsupported(keyword: &str) -> Result<&'static str, &'static str> {
    match keyword {
        "gssencmode" => Err("GSSAPI is not supported; use disable or prefer"),
        "min_protocol_version" => Err("protocol 3.0 is supported, no later one"),
        "load_balance_hosts" => {
            Ok("ignored: hosts are tried in their order, so that a node remains one server")
        }
        _ => Ok("not implemented, ignored"),
    }
}

/// Without encryption in this build, nothing that demands it is made in plaintext instead. A Unix
/// socket is never encrypted, so there `sslmode` asks for nothing.
fn refuse_unless_built_in(source: &mut Source<'_>, info: &ConnInfo) {
    if cfg!(feature = "tls") {
        return;
    }
    let is_remote =
        |address: &HostAddress| matches!(address, HostAddress::Name(_) | HostAddress::Ip(_));
    if info.tls.mode.demands_tls() && info.hosts.iter().any(|host| is_remote(&host.address)) {
        let keyword = ["sslmode", "requiressl", "sslrootcert"]
            .into_iter()
            .find(|keyword| source.value(keyword).is_some());
        source.error(
            keyword.unwrap_or("sslmode"),
            format!("{NOT_BUILT_IN}; use disable, allow or prefer"),
        );
    }
    if info.channel_binding == ChannelBinding::Require {
        source.error(
            "channel_binding",
            format!("{NOT_BUILT_IN}; use disable or prefer"),
        );
    }
}

fn keepalives(source: &mut Source<'_>) -> Option<Keepalives> {
    // Anything but a zero leaves them on, as in libpq.
    let number = source
        .filled("keepalives")
        .map(|value| value.trim_matches(is_blank).parse::<i32>());
    if matches!(number, Some(Err(_))) {
        source.error("keepalives", "expected 0 or 1");
    }
    let keepalives = Keepalives {
        idle: source.positive("keepalives_idle").map(Duration::from_secs),
        interval: source
            .positive("keepalives_interval")
            .map(Duration::from_secs),
        count: source
            .positive("keepalives_count")
            .and_then(|count| u32::try_from(count).ok()),
    };
    (number != Some(Ok(0))).then_some(keepalives)
}

/// Why an encrypted connection cannot be had.
const NOT_BUILT_IN: &str = "this program was built without TLS";

const FALLBACK_USER: &str = "postgres";

/// The first word for each meaning is the one that is written.
pub(super) const TARGETS: [(&str, Option<WantedRole>); 6] = [
    ("any", None),
    ("primary", Some(WantedRole::Primary)),
    ("read-write", Some(WantedRole::Primary)),
    ("standby", Some(WantedRole::Standby)),
    ("prefer-standby", Some(WantedRole::Standby)),
    ("read-only", Some(WantedRole::Standby)),
];

pub(super) const CHANNEL_BINDINGS: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];

#[cfg(test)]
mod tests {
    use super::super::encryption::SslMode;
    use super::*;

    fn resolved(text: &str, vars: &[(&str, &str)]) -> (Option<ConnInfo>, Findings) {
        let vars = vars
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let environment = Environment {
            vars,
            os_user: Some("me".to_owned()),
            ..Environment::default()
        };
        let mut findings = Findings::default();
        let info = resolve(
            "n",
            &Keywords::parse(text).unwrap(),
            &environment,
            &mut findings,
        );
        (info, findings)
    }

    #[track_caller]
    fn check(text: &str, vars: &[(&str, &str)], expected: &str) {
        let (info, findings) = resolved(text, vars);
        assert_eq!(findings.errors, [], "{text:?}");
        assert_eq!(info.unwrap().masked(), expected, "{text:?}");
    }

    #[test]
    fn defaults_are_libpqs() {
        check(
            "",
            &[],
            "host=/var/run/postgresql port=5432 dbname=me user=me; no password",
        );
        check(
            "user=u",
            &[],
            "host=/var/run/postgresql port=5432 dbname=u user=u; no password",
        );
        check(
            "host=h dbname=''",
            &[],
            "host=h port=5432 dbname=me user=me; no password",
        );
        check(
            "",
            &[("PGHOST", "e"), ("PGDATABASE", "d")],
            "host=e port=5432 dbname=d user=me; no password",
        );
        check(
            "host=''",
            &[("PGHOST", "e")],
            "host=/var/run/postgresql port=5432 dbname=me user=me; no password",
        );
        check(
            "host=h",
            &[("PGUSER", "u"), ("PGPORT", "7"), ("PGPASSWORD", "x")],
            "host=h port=7 dbname=u user=u; hidden password",
        );
    }

    #[test]
    fn reads_every_other_keyword() {
        let text = "application_name=a options='-c x=y' connect_timeout=7 tcp_user_timeout=1500 keepalives_idle=3 \
                    keepalives_interval=2 keepalives_count=4 sslmode=allow sslcert=c sslkey=k channel_binding=disable";
        let info = resolved(text, &[]).0.unwrap();
        assert_eq!(
            (info.application_name.as_deref(), info.options.as_deref()),
            (Some("a"), Some("-c x=y"))
        );
        assert_eq!(info.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(info.tcp_user_timeout, Some(Duration::from_millis(1500)));
        let (idle, interval) = (Some(Duration::from_secs(3)), Some(Duration::from_secs(2)));
        assert_eq!(
            info.keepalives,
            Some(Keepalives {
                idle,
                interval,
                count: Some(4)
            })
        );
        assert_eq!(
            (info.tls.mode, info.channel_binding),
            (SslMode::Allow, ChannelBinding::Disable)
        );
        let defaults = resolved("keepalives=0 connect_timeout=0", &[("PGAPPNAME", "e")])
            .0
            .unwrap();
        assert_eq!(
            (defaults.keepalives, defaults.connect_timeout),
            (None, None)
        );
        assert_eq!(defaults.application_name.as_deref(), Some("e"));
        let chosen = |text: &str| resolved(text, &[]).0.unwrap().application_name;
        assert_eq!(chosen("host=h"), None);
        assert_eq!(chosen("application_name=''").as_deref(), Some(""));
        assert_eq!(chosen("fallback_application_name=f").as_deref(), Some("f"));
    }

    #[track_caller]
    fn check_errors(text: &str, vars: &[(&str, &str)], expected: &[&str]) {
        let errors: Vec<_> = resolved(text, vars)
            .1
            .errors
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, expected, "{text:?}");
    }

    #[test]
    fn an_error_names_keyword_and_value() {
        check_errors(
            "hots=h",
            &[],
            &["n.hots: no libpq keyword (did you mean \"host\"?)"],
        );
        check_errors(
            "connect_timeout=5s",
            &[],
            &["n.connect_timeout is \"5s\": expected an integer"],
        );
        check_errors(
            "",
            &[("PGCONNECT_TIMEOUT", "x")],
            &["PGCONNECT_TIMEOUT (for n) is \"x\": expected an integer"],
        );
        let broken = "n: something before a \"=\" is no libpq keyword (is a value unquoted?)";
        check_errors("password=a Secret1=b", &[], &[broken]);
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn encryption_that_is_demanded_of_a_build_without_it_is_an_error() {
        let refused = "this program was built without TLS; use disable, allow or prefer";
        for mode in ["require", "verify-ca", "verify-full"] {
            check_errors(
                &format!("host=h sslmode={mode}"),
                &[],
                &[&format!("n.sslmode is \"{mode}\": {refused}")],
            );
            check_errors(&format!("host=/run sslmode={mode}"), &[], &[]);
        }
        check_errors(
            "host=h",
            &[("PGSSLMODE", "require")],
            &[&format!("PGSSLMODE (for n) is \"require\": {refused}")],
        );
        check_errors(
            "host=h sslrootcert=system",
            &[],
            &[&format!("n.sslrootcert is \"system\": {refused}")],
        );
        check_errors(
            "host=h requiressl=1",
            &[],
            &[&format!("n.requiressl is \"1\": {refused}")],
        );
        check_errors("host=h requiressl=1 sslmode=prefer", &[], &[]);
    }

    #[test]
    fn a_keyword_that_is_not_implemented_is_a_warning() {
        let (info, findings) = resolved(
            "sslcrldir=d replication=0 target_session_attrs=primary load_balance_hosts=random",
            &[],
        );
        assert!(info.is_some());
        let warnings: Vec<_> = findings.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "n.load_balance_hosts is \"random\": ignored: hosts are tried in their order, so that a node remains one \
                 server",
                "n.sslcrldir is \"d\": not implemented, ignored",
                "n.target_session_attrs: without effect: of one host both roles are watched",
            ]
        );
        assert_eq!(
            resolved("host=a,b target_session_attrs=read-write", &[])
                .1
                .warnings,
            []
        );
    }

    #[test]
    fn what_would_be_relied_on_and_words_that_libpq_does_not_know_are_errors() {
        check_errors(
            "",
            &[("PGGSSENCMODE", "require")],
            &[
                "PGGSSENCMODE (for n) is \"require\": GSSAPI is not supported; use disable or prefer",
            ],
        );
        check_errors(
            "min_protocol_version=3.2 max_protocol_version=latest",
            &[],
            &["n.min_protocol_version is \"3.2\": protocol 3.0 is supported, no later one"],
        );
        check_errors(
            "load_balance_hosts=yes",
            &[],
            &["n.load_balance_hosts is \"yes\": expected one of disable, random"],
        );
        let known = "expected one of any, primary, read-write, standby, prefer-standby, read-only";
        check_errors(
            "target_session_attrs=master",
            &[],
            &[&format!("n.target_session_attrs is \"master\": {known}")],
        );
    }
}
