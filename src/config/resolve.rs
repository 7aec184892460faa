//! From what was written about a connection to what it means: environment variables, defaults, checked values.
//!
//! As libpq does it, with two choices of our own where libpq gives up: without an operating system user the user is
//! `postgres`, and an empty user or database name counts as not given.

use std::time::Duration;

use super::conninfo::{ChannelBinding, ConnInfo, Keepalives};
use super::environment::Environment;
use super::hosts;
use super::keywords::{Keywords, is_blank, is_secret};
use super::known_keywords::{KEYWORDS, Support, find};
use super::problem::{Findings, hint, shown_text};
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
    let mut source = Source { path, given, environment, findings };
    source.warn_of_ignored();
    let user = source.filled("user").unwrap_or(environment.os_user.as_deref().unwrap_or(FALLBACK_USER)).to_owned();
    let dbname = source.filled("dbname").unwrap_or(&user).to_owned();
    let info = ConnInfo {
        hosts: hosts::resolve(&mut source, &dbname, &user),
        address: address(&source),
        application_name: source
            .value("application_name")
            .or_else(|| source.value("fallback_application_name"))
            .unwrap_or(APPLICATION_NAME)
            .to_owned(),
        options: source.filled("options").map(str::to_owned),
        connect_timeout: source.positive("connect_timeout").map(Duration::from_secs),
        keepalives: keepalives(&mut source),
        tcp_user_timeout: source.positive("tcp_user_timeout").map(Duration::from_millis),
        tls: encryption::resolve(&mut source),
        require_auth: require_auth::resolve(&mut source),
        channel_binding: source.one_of("channel_binding", &CHANNEL_BINDINGS).unwrap_or(ChannelBinding::Prefer),
        dbname,
        user,
    };
    encryption::refuse_unless_built_in(&mut source, &info);
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

/// Complains of every keyword that libpq does not know. The keyword of a broken string may be part of a password, so only
/// what looks like one is shown.
pub(super) fn check_keywords(path: &str, given: &Keywords, findings: &mut Findings) {
    for (keyword, _) in given.iter().filter(|(keyword, _)| find(keyword).is_none()) {
        let names = || KEYWORDS.iter().map(|known| known.name);
        if !keyword.is_empty() && keyword.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            findings.error(format!("{path}.{keyword}"), None, format!("no libpq keyword{}", hint(keyword, names())));
        } else {
            findings.error(path, None, "something before a \"=\" is no libpq keyword (is a value unquoted?)");
        }
    }
}

/// Where values come from: what was written, then the environment. Knows what to call them in a message.
pub(super) struct Source<'a> {
    path: &'a str,
    given: &'a Keywords,
    pub(super) environment: &'a Environment,
    findings: &'a mut Findings,
}

impl<'a> Source<'a> {
    /// The value of `keyword`, perhaps empty: an empty value that was given hides the environment's.
    pub(super) fn value(&self, keyword: &str) -> Option<&'a str> {
        self.given.value(keyword).or_else(|| {
            let variable = find(keyword).map_or("", |known| known.variable);
            self.environment.vars.get(variable).map(String::as_str)
        })
    }

    /// The value of `keyword` unless it is empty.
    pub(super) fn filled(&self, keyword: &str) -> Option<&'a str> {
        self.value(keyword).filter(|value| !value.is_empty())
    }

    /// Reports the value of `keyword` as wrong.
    pub(super) fn error(&mut self, keyword: &str, message: impl Into<String>) {
        let value = self.value(keyword).filter(|_| !is_secret(keyword)).map(shown_text);
        self.findings.error(self.label(keyword), value, message);
    }

    /// Adds a warning about `keyword`, without its value.
    pub(super) fn warn(&mut self, key: &str, message: impl Into<String>) {
        self.findings.warn(key, None, message);
    }

    /// What the value of `keyword` is called where it was written.
    fn label(&self, keyword: &str) -> String {
        let variable = find(keyword).map_or("", |known| known.variable);
        if self.given.value(keyword).is_none() && self.environment.vars.contains_key(variable) {
            return format!("{variable} (for {})", self.path);
        }
        format!("{}.{keyword}", self.path)
    }

    fn warn_of_ignored(&mut self) {
        for known in KEYWORDS {
            let Support::Ignored(harmless) = known.support else { continue };
            let Some(value) = self.filled(known.name).filter(|value| !harmless.contains(value)) else { continue };
            let value = Some(shown_text(value)).filter(|_| !is_secret(known.name));
            let message = match known.name {
                "target_session_attrs" => "ignored: a server of either role is accepted",
                _ => "not implemented, ignored",
            };
            self.findings.warn(self.label(known.name), value, message);
        }
    }

    /// An integer as libpq reads it; what is not positive means the default.
    fn positive(&mut self, keyword: &str) -> Option<u64> {
        let number = self.filled(keyword)?.trim_matches(is_blank).parse::<i32>();
        if number.is_err() {
            self.error(keyword, "expected an integer");
        }
        u64::try_from(number.ok()?).ok().filter(|number| *number > 0)
    }

    /// As [`one_of`](Self::one_of), where an empty value is none.
    pub(super) fn filled_one_of<T: Copy>(&mut self, keyword: &str, choices: &[(&str, T)]) -> Option<T> {
        self.filled(keyword).and_then(|_| self.one_of(keyword, choices))
    }

    /// What the value of `keyword` means; anything but one of `choices` is an error.
    pub(super) fn one_of<T: Copy>(&mut self, keyword: &str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value(keyword)?;
        let chosen = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            self.error(keyword, format!("expected one of {names}"));
        }
        chosen
    }
}

fn keepalives(source: &mut Source<'_>) -> Option<Keepalives> {
    // Anything but a zero leaves them on, as in libpq.
    let number = source.filled("keepalives").map(|value| value.trim_matches(is_blank).parse::<i32>());
    if matches!(number, Some(Err(_))) {
        source.error("keepalives", "expected 0 or 1");
    }
    let keepalives = Keepalives {
        idle: source.positive("keepalives_idle").map(Duration::from_secs),
        interval: source.positive("keepalives_interval").map(Duration::from_secs),
        count: source.positive("keepalives_count").and_then(|count| u32::try_from(count).ok()),
    };
    (number != Some(Ok(0))).then_some(keepalives)
}

const FALLBACK_USER: &str = "postgres";
const APPLICATION_NAME: &str = "pglookout";

pub(super) const CHANNEL_BINDINGS: [(&str, ChannelBinding); 3] =
    [("disable", ChannelBinding::Disable), ("prefer", ChannelBinding::Prefer), ("require", ChannelBinding::Require)];

#[cfg(test)]
mod tests {
    use super::super::encryption::SslMode;
    use super::*;

    fn resolved(text: &str, vars: &[(&str, &str)]) -> (Option<ConnInfo>, Findings) {
        let vars = vars.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let environment = Environment { vars, os_user: Some("me".to_owned()), ..Environment::default() };
        let mut findings = Findings::default();
        let info = resolve("n", &Keywords::parse(text).unwrap(), &environment, &mut findings);
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
        check("", &[], "host=/var/run/postgresql port=5432 dbname=me user=me; no password");
        check("user=u", &[], "host=/var/run/postgresql port=5432 dbname=u user=u; no password");
        check("host=h dbname=''", &[], "host=h port=5432 dbname=me user=me; no password");
        check("", &[("PGHOST", "e"), ("PGDATABASE", "d")], "host=e port=5432 dbname=d user=me; no password");
        check("host=''", &[("PGHOST", "e")], "host=/var/run/postgresql port=5432 dbname=me user=me; no password");
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
        assert_eq!((info.application_name.as_str(), info.options.as_deref()), ("a", Some("-c x=y")));
        assert_eq!(info.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(info.tcp_user_timeout, Some(Duration::from_millis(1500)));
        let (idle, interval) = (Some(Duration::from_secs(3)), Some(Duration::from_secs(2)));
        assert_eq!(info.keepalives, Some(Keepalives { idle, interval, count: Some(4) }));
        assert_eq!((info.tls.mode, info.channel_binding), (SslMode::Allow, ChannelBinding::Disable));
        let defaults = resolved("keepalives=0 connect_timeout=0", &[("PGAPPNAME", "e")]).0.unwrap();
        assert_eq!((defaults.keepalives, defaults.connect_timeout), (None, None));
        assert_eq!(defaults.application_name, "e");
    }

    #[track_caller]
    fn check_errors(text: &str, vars: &[(&str, &str)], expected: &[&str]) {
        let errors: Vec<_> = resolved(text, vars).1.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected, "{text:?}");
    }

    #[test]
    fn an_error_names_keyword_and_value() {
        check_errors("hots=h", &[], &["n.hots: no libpq keyword (did you mean \"host\"?)"]);
        check_errors("connect_timeout=5s", &[], &["n.connect_timeout is \"5s\": expected an integer"]);
        check_errors("", &[("PGCONNECT_TIMEOUT", "x")], &["PGCONNECT_TIMEOUT (for n) is \"x\": expected an integer"]);
        let broken = "n: something before a \"=\" is no libpq keyword (is a value unquoted?)";
        check_errors("password=a Secret1=b", &[], &[broken]);
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn encryption_that_is_demanded_of_a_build_without_it_is_an_error() {
        let refused = "this program was built without TLS; use disable, allow or prefer";
        for mode in ["require", "verify-ca", "verify-full"] {
            check_errors(&format!("host=h sslmode={mode}"), &[], &[&format!("n.sslmode is \"{mode}\": {refused}")]);
            check_errors(&format!("host=/run sslmode={mode}"), &[], &[]);
        }
        check_errors("host=h", &[("PGSSLMODE", "require")], &[&format!("PGSSLMODE (for n) is \"require\": {refused}")]);
        check_errors("host=h sslrootcert=system", &[], &[&format!("n.sslrootcert is \"system\": {refused}")]);
        check_errors("host=h requiressl=1", &[], &[&format!("n.requiressl is \"1\": {refused}")]);
        check_errors("host=h requiressl=1 sslmode=prefer", &[], &[]);
    }

    #[test]
    fn a_keyword_that_is_not_implemented_is_a_warning() {
        let (info, findings) =
            resolved("service=s replication=0 target_session_attrs=primary", &[("PGGSSENCMODE", "require")]);
        assert!(info.is_some());
        let warnings: Vec<_> = findings.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "n.target_session_attrs is \"primary\": ignored: a server of either role is accepted",
                "PGGSSENCMODE (for n) is \"require\": not implemented, ignored",
                "n.service is \"s\": not implemented, ignored",
            ]
        );
    }
}
