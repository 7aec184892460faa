//! Every key, right and wrong.

use super::*;

/// Reads `{TEXT}` in an empty environment.
fn read(text: &str) -> Result<Loaded, Findings> {
    parse(&format!("{{{text}}}"), &Environment::default())
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check(text: &str, holds: fn(&Config) -> bool) {
    let loaded = read(text).unwrap();
    assert!(holds(&loaded.config), "{text}: {:#?}", loaded.config);
    assert_eq!(lines(&loaded.warnings), [""; 0], "{text}");
}

#[track_caller]
fn check_warnings(text: &str, expected: &[&str]) {
    assert_eq!(lines(&read(text).unwrap().warnings), expected, "{text}");
}

#[track_caller]
fn check_errors(text: &str, expected: &[&str]) {
    assert_eq!(lines(&read(text).unwrap_err().errors), expected, "{text}");
}

#[test]
fn an_empty_object_is_an_observer_with_every_default() {
    let seconds = Duration::from_secs;
    let config = read("").unwrap().config;
    assert!(config.own_db.is_none() && config.nodes.is_empty() && config.observers.is_empty());
    assert_eq!(
        (
            config.poll_interval,
            config.check_interval,
            config.poll_timeout
        ),
        (seconds(5), seconds(10), seconds(5))
    );
    assert_eq!(
        (config.warning_lag, config.failover_lag),
        (seconds(30), seconds(120))
    );
    assert_eq!(
        (config.catchup_timeout, config.missing_primary_timeout),
        (seconds(300), seconds(15))
    );
    assert_eq!(
        (config.failover_pause, config.health_timeout),
        (Duration::ZERO, Some(seconds(20)))
    );
    assert!(config.failover_on_disconnect && !config.poll_observers_on_warning_only);
    assert_eq!(
        (
            config.quorum,
            config.failover_command,
            config.failover_command_timeout
        ),
        (QuorumRule::Half, None, None)
    );
    assert_eq!((config.http_address, config.http_port), (None, 15000));
    assert_eq!(
        config.state_file.to_str(),
        Some("/tmp/pglookout_state.json")
    );
    assert_eq!(
        config.maintenance_mode_file.to_str(),
        Some("/tmp/pglookout_maintenance_mode_file")
    );
    assert_eq!(
        (config.log_level, config.alert_dir.to_str()),
        (log::LevelFilter::Info, Some("."))
    );
    assert!(config.syslog.is_none() && config.statsd.is_none() && config.follow.is_none());
    assert!(config.flight_recorder.is_none());
}

#[test]
fn reads_every_key() {
    check(r#""remote_conns": {"p": "host=p"}"#, |c| {
        c.nodes["p"].user == "postgres"
    });
    check(
        r#""remote_conns": {"p": {"host": "h", "port": 7, "database": "d", "user": null}}"#,
        |c| c.nodes["p"].masked() == "host=h port=7 dbname=d user=postgres; no password",
    );
    check(
        r#""remote_conns": {"p": ""}, "own_db": "p", "failover_command": "x""#,
        |c| c.own_db == Some("p".into()),
    );
    check(r#""own_db": null, "observers": {"o": "http://o:1"}"#, |c| {
        c.observers["o"].port == 1
    });
    check(r#""db_poll_interval": 0.5"#, |c| {
        c.poll_interval == Duration::from_millis(500)
    });
    check(r#""max_failover_replication_time_lag": 31"#, |c| {
        c.failover_lag == Duration::from_secs(31)
    });
    check(r#""replication_state_check_interval": 3"#, |c| {
        c.health_timeout == Some(Duration::from_secs(6))
    });
    check(r#""cluster_monitor_health_timeout_seconds": null"#, |c| {
        c.health_timeout.is_none()
    });
    check(r#""missing_master_from_config_timeout": 0"#, |c| {
        c.missing_primary_timeout.is_zero()
    });
    check(r#""failover_command_timeout": 9"#, |c| {
        c.failover_command_timeout == Some(Duration::from_secs(9))
    });
    check(r#""failover_quorum": "majority""#, |c| {
        c.quorum == QuorumRule::Majority
    });
    check(r#""failover_ranking": "original""#, |c| {
        c.ranking == Ranking::Original
    });
    check(r#""failover_on_disconnect": false"#, |c| {
        !c.failover_on_disconnect
    });
    check(r#""known_gone_nodes": ["x", "x"]"#, |c| {
        c.known_gone.len() == 1
    });
    check(
        r#""remote_conns": {"p": ""}, "failover_priorities": {"p": -3}"#,
        |c| c.failover_priorities["p"] == -3,
    );
    check(r#""log_level": "warning""#, |c| {
        c.log_level == log::LevelFilter::Warn
    });
    check(r#""http_address": "::1", "http_port": 1"#, |c| {
        c.http_address.as_deref() == Some("::1")
    });
    check(
        r#""syslog_address": ["h", 514], "syslog_facility": "LOCAL7""#,
        |c| c.syslog.is_none(),
    );
    check(r#""syslog": true, "syslog_facility": "LOCAL7""#, |c| {
        c.syslog.as_ref().is_some_and(|s| s.facility == 23)
    });
    let statsd = r#""statsd": {"host": "h", "port": "8126", "tags": {"a": 1}}"#;
    check(statsd, |c| {
        c.statsd
            .as_ref()
            .is_some_and(|s| (s.host.as_str(), s.port) == ("h", 8126) && s.tags["a"] == "1")
    });
    for off in [
        r#"{"host": null, "port": 8125}"#,
        r#"{"host": "h", "port": null}"#,
        "{}",
        "null",
    ] {
        check(&format!(r#""statsd": {off}"#), |c| c.statsd.is_none());
    }
    check(r#""flight_recorder": "/r""#, |c| {
        c.flight_recorder
            .as_ref()
            .is_some_and(|r| r.max_bytes == 16 << 20)
    });
}

#[track_caller]
fn check_command(json: &str, expected: Option<&[&str]>) {
    let config = read(&format!(r#""failover_command": {json}"#))
        .unwrap()
        .config;
    let argv = config.failover_command.map(|command| command.argv);
    assert_eq!(
        argv.as_deref(),
        expected
            .map(|words| words
                .iter()
                .map(|word| word.to_string())
                .collect::<Vec<_>>())
            .as_deref()
    );
}

#[test]
fn commands_are_split_as_a_shell_would() {
    check_command(r#""""#, None);
    check_command("null", None);
    check_command("[]", None);
    check_command(r#""  ""#, None);
    check_command(r#""a b  'c d' \"\"""#, Some(&["a", "b", "c d", ""]));
    check_command(r#"["a b", "c", ""]"#, Some(&["a b", "c", ""]));
}

#[test]
fn a_wrong_type_or_value_names_key_value_and_expectation() {
    let seconds = "expected seconds from 0.001 to 31536000";
    check_errors(
        r#""db_poll_interval": "five""#,
        &[&format!(r#"db_poll_interval is "five": {seconds}"#)],
    );
    for value in ["0", "-1", "1e+300", "true", "null", "31536000.1"] {
        let expected = format!("poll_timeout is {value}: {seconds}");
        check_errors(&format!(r#""poll_timeout": {value}"#), &[&expected]);
    }
    let boolean = "expected true or false, without quotes";
    check_errors(
        r#""failover_on_disconnect": "no""#,
        &[&format!("failover_on_disconnect is \"no\": {boolean}")],
    );
    check_errors(
        r#""autofollow": []"#,
        &[&format!("autofollow is an array: {boolean}")],
    );
    check_errors(
        r#""http_port": 65536"#,
        &["http_port is 65536: expected a port number from 1 to 65535"],
    );
    check_errors(
        r#""failover_command": "a 'b""#,
        &[r#"failover_command is "a 'b": a quote or backslash is not closed"#],
    );
    check_errors(
        r#""failover_command": [""]"#,
        &["failover_command is an array: the first word, the program, is empty"],
    );
    check_errors(
        r#""failover_quorum": "all""#,
        &[r#"failover_quorum is "all": expected "half" or "majority""#],
    );
    check_errors(
        r#""remote_conns": {"p": 5}"#,
        &["remote_conns.p: expected a connection string, URL or object, found a number"],
    );
    check_errors(
        r#""remote_conns": {"p": {"port": true}}"#,
        &["remote_conns.p.port: expected a text without NUL, or a number; found true or false"],
    );
    check_errors(
        r#""remote_conns": {"": ""}"#,
        &["remote_conns.: expected a name that is not empty and has no control characters"],
    );
    check_errors(
        r#""remote_conns": {"p1": ""}, "own_db": "p""#,
        &[r#"own_db is "p": expected a name of remote_conns"#],
    );
    check_errors(
        r#""observers": {"o": "ftp://o"}"#,
        &[r#"observers.o is "ftp://o": expected a URL that begins with http:// or https://"#],
    );
    check_errors(
        r#""statsd": {"host": "h", "port": "x"}"#,
        &[r#"statsd.port is "x": expected a port number from 1 to 65535"#],
    );
    check_errors(
        r#""json_state_file_path": """#,
        &["json_state_file_path: expected a path, not an empty text"],
    );
}

#[test]
fn all_errors_are_found_at_once() {
    check_errors(
        r#""own_db": "x", "remote_conns": {"a": "port=0", "b": "x"}, "http_port": 0, "log_level": 1"#,
        &[
            r#"remote_conns.a.port is "0": expected a port number from 1 to 65535"#,
            "remote_conns.b: no \"=\" after the word at character 1",
            r#"own_db is "x": expected a name of remote_conns"#,
            "http_port is 0: expected a port number from 1 to 65535",
            "log_level is 1: expected a text",
        ],
    );
}

#[test]
fn following_needs_its_keys() {
    check_errors(
        r#""autofollow": true"#,
        &[
            "pg_start_command: needed because autofollow is on",
            "pg_stop_command: needed because autofollow is on",
            "primary_conninfo_template: needed because autofollow is on",
        ],
    );
    let commands = r#""pg_start_command": "a", "pg_stop_command": "b""#;
    let template = r#""primary_conninfo_template": "sslmode=require""#;
    let loaded = read(&format!(r#""autofollow": true, {commands}, {template}"#)).unwrap();
    let template = loaded.config.follow.unwrap().primary_conninfo_template;
    assert_eq!(template.to_conninfo_string(), "sslmode=require");
    assert_eq!(lines(&loaded.warnings), [""; 0]);
    let hots = "primary_conninfo_template.hots: no libpq keyword (did you mean \"host\"?)";
    let template = r#""primary_conninfo_template": "hots=x""#;
    check_warnings(template, &[hots]);
    check_errors(
        &format!(r#"{template}, {commands}, "autofollow": true"#),
        &[hots],
    );
}

#[test]
fn what_is_odd_is_a_warning() {
    check_warnings(
        r#""db_pol_interval": 5"#,
        &["db_pol_interval: unknown key, ignored (did you mean \"db_poll_interval\"?)"],
    );
    check_warnings(r#""colour": "password""#, &["colour: unknown key, ignored"]);
    check_warnings(
        r#""http_port": 1, "http_port": 2"#,
        &["http_port: stands there more than once, the last one counts"],
    );
    check_warnings(
        r#""warning_replication_time_lag": 130"#,
        &[
            "warning_replication_time_lag: 130 is above max_failover_replication_time_lag, lowered to 120",
        ],
    );
    check_warnings(
        r#""remote_conns": {"p1": ""}, "never_promote_these_nodes": ["p2"], "failover_priorities": {"x": 1}"#,
        &[
            "never_promote_these_nodes: \"p2\" is no name of remote_conns",
            "failover_priorities: \"x\" is no name of remote_conns",
        ],
    );
    check_warnings(
        r#""remote_conns": {"p": ""}, "own_db": "p""#,
        &["failover_command: there is none: this node can never be promoted"],
    );
}

#[test]
fn the_whole_file_must_be_an_object() {
    for (text, expected) in [
        ("[]", "expected a JSON object, found an array"),
        ("{\n\"a\" 1}", "not JSON: expected `:` at line 2 column 5"),
    ] {
        assert_eq!(
            lines(&parse(text, &Environment::default()).unwrap_err().errors),
            [expected]
        );
    }
}

#[test]
fn a_password_is_never_shown() {
    for text in [
        r#""remote_conns": "host=x password=xyzzy""#,
        r#""remote_conns": {"p": "host=x password=xyzzy xyzzy"}"#,
        r#""remote_conns": {"p": "password='xyzzy"}"#,
        r#""remote_conns": {"p": "password=a Xyzzy=b"}"#,
        r#""remote_conns": {"p": {"password": ["xyzzy"]}}"#,
        r#""remote_conns": {"p": "postgres://u:xyzzy@h:x/"}"#,
        r#""remote_conns": {"p": "postgres://u:a@xyzzy@h/"}"#,
        r#""remote_conns": {"p": "postgres://u:xyzzy%@h/"}"#,
        r#""remote_conns": {"p": ["xyzzy"]}"#,
        r#""remote_conns": {"p": "postgres://u:xyzzy/x@h:1/db"}"#,
        r#""remote_conns": {"p": "postgres://u:5432/xyzzy@h:1/db"}"#,
        r#""remote_conns": {"p": "postgres://u:x@h/xyzzy@h:1/db"}"#,
        r#""remote_conns": {"p": "postgres://u:x?xyzzy/y@h"}"#,
        r#""remote_conns": {"p": "postgres://u:x?xyzzy=/y@h"}"#,
        r#""remote_conns": {"p": "postgres://u:xyzzy#/@h"}"#,
        r#""remote_conns": {"p": "postgres://u:xyzzy"}"#,
        r#""remote_conns": {"p": "postgres://h?password=a&xyzzy=b"}"#,
        r#""remote_conns": {"p": "postgres://h?password=a&port=xyzzy"}"#,
        r#""remote_conns": {"p": "password=a xyzzy=b"}"#,
        r#""remote_conns": {"p": "password=a port=xyzzy"}"#,
        r#""remote_conns": {"p": "password='a'xyzzy"}"#,
        r#""remote_conns": {"p": "password='a'xyzzy='b'"}"#,
        r#""remote_conns": {"p": "pasword=xyzzy"}"#,
        r#""remote_conns": {"p": "passwd=a xyzzy=b"}"#,
        r#""remote_conns": {"p": "Password=xyzzy port=xyzzy"}"#,
        r#""remote_conns": {"p": {"pasword": "xyzzy"}}"#,
        r#""remote_conns": {"p": {"password": {"xyzzy": 1}}}"#,
        r#""own_db": "password=xyzzy""#,
        r#""observers": {"o": "http://u:xyzzy"}"#,
        r#""observers": {"o": "http://o/?token=xyzzy"}"#,
        r#""observers": {"o": "http://u:a/xyzzy@h"}"#,
        r#""observers": {"o": ["http://u:xyzzy@h"]}"#,
        r#""statsd": "http://u:xyzzy@h""#,
        r#""statsd": {"host": "http://u:xyzzy@h", "port": 1}"#,
        r#""statsd": {"host": "u:xyzzy@h", "port": 1}"#,
        r#""statsd": {"host": "h", "port": "u:xyzzy@h"}"#,
        r#""syslog_address": ["u:xyzzy@h", 514]"#,
        r#""syslog_address": {"xyzzy": 1}"#,
        r#""observers": {"o": "http://u:xyzzy@h"}"#,
        r#""log_level": "postgres://u:xyzzy@h""#,
        r#""primary_conninfo_template": "password=xyzzy nonsense=1", "http_port": 0"#,
    ] {
        let findings = read(text).unwrap_err();
        assert!(
            !format!("{findings:?}")
                .to_ascii_lowercase()
                .contains("xyzzy"),
            "{findings:?}"
        );
    }
    let loaded = read(r#""remote_conns": {"p": "host=x password=xyzzy"}"#).unwrap();
    assert!(!format!("{loaded:?}").contains("xyzzy"));
}

#[test]
fn the_state_file_is_found_beside_unrelated_errors() {
    let text = r#"{"json_state_file_path": "/s", "http_port": "x"}"#;
    assert_eq!(state_file_path(text).unwrap().to_str(), Some("/s"));
    assert!(state_file_path(r#"{"json_state_file_path": 1}"#).is_err());
}

#[test]
fn a_password_that_commands_do_not_inherit_is_warned_of() {
    let vars = [("PGPASSWORD".to_owned(), "xyzzy".to_owned())].into();
    let environment = Environment {
        vars,
        ..Environment::default()
    };
    for (command, expected) in [(r#""promote""#, 1), ("null", 0)] {
        let text = format!(
            r#"{{"remote_conns": {{"p": ""}}, "own_db": "p", "failover_command": {command}}}"#
        );
        let warnings = lines(&parse(&text, &environment).unwrap().warnings);
        assert_eq!(
            warnings
                .iter()
                .filter(|line| line.contains("do not inherit PGPASSWORD"))
                .count(),
            expected,
            "{command}"
        );
        assert!(!warnings.concat().contains("xyzzy"));
    }
}

/// What the original runs with.
#[test]
fn what_the_original_took_is_a_warning() {
    let (boolean, number) = (
        "expected true or false, without quotes",
        "expected a number, without quotes",
    );
    let check_both = |text: &str, warning: &str, is_taken: fn(&Config) -> bool| {
        check_warnings(text, &[warning]);
        let config = read(text).unwrap().config;
        assert!(is_taken(&config), "{text}: {config:#?}");
    };
    check_both(
        r#""syslog": "true""#,
        &format!(r#"syslog is "true": taken for true, {boolean}"#),
        |c| c.syslog.is_some(),
    );
    check_both(
        r#""failover_on_disconnect": 0"#,
        &format!("failover_on_disconnect is 0: taken for false, {boolean}"),
        |c| !c.failover_on_disconnect,
    );
    check_both(
        r#""db_poll_interval": "2.5""#,
        &format!(r#"db_poll_interval is "2.5": taken for 2.5, {number}"#),
        |c| c.poll_interval == Duration::from_millis(2500),
    );
    check_both(
        r#""http_port": "15001""#,
        &format!(r#"http_port is "15001": taken for 15001, {number}"#),
        |c| c.http_port == 15001,
    );
    check_both(
        r#""remote_conns": {"p": null}"#,
        "remote_conns.p: no connection string: this node is never reached",
        |c| c.nodes["p"].hosts.is_empty(),
    );
    check_both(
        r#""observers": {"o": "10.0.0.4:15000"}"#,
        "observers.o: expected a URL that begins with http://, which is added",
        |c| c.observers["o"].port == 15000,
    );
    check_both(
        r#""primary_conninfo_template": "nonsense""#,
        "primary_conninfo_template: no \"=\" after the word at character 1",
        |c| c.follow.is_none(),
    );
    check_both(
        r#""statsd": {"host": "h"}"#,
        "statsd: host and port are needed: no metrics are sent",
        |c| c.statsd.is_none(),
    );
}

#[test]
fn a_short_limit_makes_a_poll_short() {
    let check_timeout = |text: &str, seconds: f64| {
        let timeout = read(text).unwrap().config.poll_timeout;
        assert_eq!(timeout, Duration::from_secs_f64(seconds), "{text}");
    };
    check_timeout(r#""max_failover_replication_time_lag": 120"#, 5.0);
    check_timeout(r#""max_failover_replication_time_lag": 10"#, 5.0);
    check_timeout(r#""max_failover_replication_time_lag": 4"#, 2.0);
    check_timeout(r#""max_failover_replication_time_lag": 0.1"#, 0.1);
    check_timeout(
        r#""max_failover_replication_time_lag": 4, "poll_timeout": 3"#,
        3.0,
    );
}
