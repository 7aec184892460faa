//! Configurations written back as JSON.

use super::super::{Environment, parse};
use super::*;

fn read(text: &str) -> Config {
    parse(text, &Environment::default()).unwrap().config
}

/// Reads `{TEXT}`, writes it and reads that.
#[track_caller]
fn check(text: &str) {
    let config = read(&format!("{{{text}}}"));
    let rendered = render(&config, &mut Placeholders::default()).to_string();
    let read = without_arguments(read(&rendered));
    assert_eq!(read, without_arguments(config), "{rendered}");
}

fn without_arguments(mut config: Config) -> Config {
    let of_following = config.follow.as_mut();
    let of_following =
        of_following.map(|follow| [&mut follow.start_command, &mut follow.stop_command]);
    let others = [
        &mut config.failover_command,
        &mut config.over_warning_limit_command,
    ];
    let commands = others
        .into_iter()
        .flatten()
        .chain(of_following.into_iter().flatten());
    commands.for_each(|command| command.argv.truncate(1));
    config
}

#[test]
fn arguments_of_commands_are_numbers_that_change_with_them() {
    let mut placeholders = Placeholders::default();
    for (command, expected) in [
        (
            "promote --now -D /data",
            r#"["promote","--now","-D","hidden-1"]"#,
        ),
        (
            "promote --password=xyzzy -pxyzzy",
            r#"["promote","hidden-1","hidden-1"]"#,
        ),
        (
            "promote --password=zyxxy -pxyzzy",
            r#"["promote","hidden-2","hidden-1"]"#,
        ),
    ] {
        let config = read(&format!(r#"{{"failover_command": "{command}"}}"#));
        let rendered = render(&config, &mut placeholders);
        assert_eq!(rendered["failover_command"].to_string(), expected);
    }
}

#[test]
fn what_was_written_is_read_back() {
    check("");
    check(
        r#""remote_conns": {"a": "", "b": "host=b"}, "own_db": "b", "failover_command": "x 'y z'", "log_level": "DEBUG",
        "failover_priorities": {"a": -3}, "never_promote_these_nodes": ["a"], "known_gone_nodes": ["c"],
        "failover_quorum": "majority", "failover_command_timeout": 7.25, "over_warning_limit_command": ["w"]"#,
    );
    check(
        r#""observers": {"o": "http://o:1/x/", "v6": "http://[::1]:15000", "d": "http://h"}, "http_address": "::""#,
    );
    check(
        r#""failover_on_disconnect": false, "poll_observers_on_warning_only": true, "failover_sleep_time": 0.1,
        "cluster_monitor_health_timeout_seconds": null, "maintenance_mode_file": "/m", "alert_file_dir": "/a""#,
    );
    check(
        r#""db_poll_interval": 0.123456789, "max_failover_replication_time_lag": 31535999.123456"#,
    );
    check(
        r#""flight_recorder": "/f", "flight_recorder_max_bytes": 65536, "statsd": {"tags": {"a": "b"}}"#,
    );
    check(r#""syslog": true, "syslog_address": ["h", 514], "syslog_facility": "local7""#);
    check(
        r#""autofollow": true, "pg_start_command": "a b", "pg_stop_command": ["c"], "pg_data_directory": "/d",
        "primary_conninfo_template": "user=u options='-c x=y'""#,
    );
    check(
        r#""vote_directory": "/v", "vote_timeout": 1.5, "lease_time": 12, "election_stagger": 1, "step_aside_time": 9,
        "voting": {"main": {"generation": 3, "voters": {"o": "http://o:1/x", "a": "http://a", "b": "http://[::1]:2"},
        "self": "o", "secret_file": "/s", "dry": true}}"#,
    );
    check(
        r#""vote_directory": "/v", "vote_timeout": 1.5, "lease_time": 15, "fence_command": "fence", "fence_timeout": 3,
        "lease_renew_interval": 2, "watchdog_device": "/dev/watchdog", "unfence_command": ["start"], "voting": {"main": {"generation": 1, "voters": {"o": "http://o", "a": "http://a",
        "b": "http://b"}, "self": "o", "secret_file": "/s"}}"#,
    );
    check(
        r#""vote_directory": "/v", "fence_command": "fence", "demote_command": ["demote"], "demote_timeout": 12.5,
        "switchover_max_lag": 4096, "pg_data_directory": "/d", "pg_start_command": "start", "voting": {"main": {"generation": 1,
        "voters": {"o": "http://o", "a": "http://a", "b": "http://b"}, "self": "o", "secret_file": "/s"}}"#,
    );
    if cfg!(feature = "tls") {
        check(
            r#""vote_directory": "/v", "voting": {"main": {"generation": 1, "voters": {"o": "https://o", "a": "http://a",
            "b": "https://[::1]:2"}, "self": "o", "secret_file": "/s"}}"#,
        );
    }
}

#[test]
fn so_are_connections_of_every_kind() {
    for connection in [
        "host=a,b port=1,2 user=u dbname=d application_name='' options='-c a=b'",
        "host=h hostaddr=10.0.0.1",
        "",
        "host=a,b port=,2",
        "hostaddr=::1",
        "host=a,b hostaddr=,10.0.0.2",
        "host=h hostaddr=fe80::1%eth0",
        "host=fe80::1%eth0",
        "host=/run/pg port=7",
        "host=@abstract",
        "host=h keepalives=0 connect_timeout=3",
        "host=h keepalives_idle=1 keepalives_interval=2 keepalives_count=3 tcp_user_timeout=1500",
        "host=/run sslmode=verify-full sslrootcert=r sslcert=c sslkey=k channel_binding=disable",
        "host=/run sslrootcert=system sslnegotiation=direct sslsni=0 sslcrl=r sslcertmode=disable",
        "host=/run ssl_min_protocol_version=TLSv1.3 require_auth=!password,!none",
        "host=/run ssl_max_protocol_version=TLSv1.2 require_auth=scram-sha-256,password",
        "host=h sslmode=allow",
        "host=a,b target_session_attrs=read-write",
        "host=a,b target_session_attrs=prefer-standby requirepeer=me",
    ] {
        check(&format!(
            r#""remote_conns": {{"n": {}}}"#,
            json!(connection)
        ));
    }
}

#[test]
fn a_secret_is_a_number_that_changes_with_it() {
    let mut placeholders = Placeholders::default();
    let mut rendered = |connection: &str| {
        let template = r#""autofollow": true, "pg_start_command": "a", "pg_stop_command": "b""#;
        let config = read(&format!(
            r#"{{"remote_conns": {{"n": "{connection}", "m": "password=m"}}, {template},
            "primary_conninfo_template": "{connection} sslpassword=xyzzy"}}"#
        ));
        render(&config, &mut placeholders)
    };
    let mut password = |connection: &str| {
        let rendered = rendered(connection);
        assert!(!rendered.to_string().contains("xyzzy"), "{rendered}");
        assert_eq!(rendered["remote_conns"]["m"]["password"], "hidden-1");
        let template = rendered["primary_conninfo_template"].as_str().unwrap();
        assert!(template.ends_with(" sslpassword=hidden-1"), "{template}");
        let password = rendered["remote_conns"]["n"]["password"]
            .as_str()
            .map(str::to_owned);
        assert!(
            password
                .as_ref()
                .is_none_or(|word| template.contains(&format!(" password={word} ")))
        );
        password
    };
    for (connection, expected) in [
        ("host=h password=xyzzy", Some("hidden-1")),
        ("host=i password=xyzzy", Some("hidden-1")),
        ("host=i password=other-xyzzy", Some("hidden-2")),
        ("host=i password=xyzzy", Some("hidden-3")),
        ("host=i", None),
    ] {
        assert_eq!(password(connection).as_deref(), expected, "{connection}");
    }
}

#[test]
fn passwords_that_are_written_elsewhere_are_hidden_too() {
    let vars = [("PGPASSWORD".to_owned(), "xyzzy".to_owned())].into();
    let environment = Environment {
        vars,
        ..Environment::default()
    };
    let config = parse(r#"{"remote_conns": {"n": "host=h"}}"#, &environment)
        .unwrap()
        .config;
    let rendered = render(&config, &mut Placeholders::default());
    assert_eq!(rendered["remote_conns"]["n"]["password"], "hidden-1");
    assert!(!rendered.to_string().contains("xyzzy"));
}
