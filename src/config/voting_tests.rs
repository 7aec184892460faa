use super::super::{Findings, Loaded, ReadFile, parse};
use super::*;

const VOTERS: &str = r#"{"p": "http://p:15000", "s": "http://s:15000", "o": "http://o:15000"}"#;

fn read(keys: &str, content: FileContent) -> Result<Loaded, Findings> {
    let environment = Environment {
        read_secret_file: ReadFile::new(move |_| content.clone()),
        ..Environment::default()
    };
    let nodes = r#""remote_conns": {"p": "host=p", "s": "host=s"}, "own_db": "s""#;
    parse(
        &format!("{{{nodes}, \"failover_command\": \"f\", {keys}}}"),
        &environment,
    )
}

fn secret() -> FileContent {
    FileContent::Text("xyzzy".repeat(7) + "\n")
}

fn voting(cluster: &str) -> String {
    format!(r#""vote_directory": "/v", "voting": {{"main": {{{cluster}}}}}"#)
}

fn good() -> String {
    voting(&format!(
        r#""generation": 1, "voters": {VOTERS}, "secret_file": "/s""#
    ))
}

#[test]
fn reads_every_key_and_shows_no_secret() {
    let loaded = read(&good(), secret()).unwrap();
    assert_eq!(loaded.warnings, []);
    assert!(!format!("{:?}", loaded.config).contains("xyzzy"));
    let voting = loaded.config.voting.unwrap();
    let seconds = [
        voting.lease,
        voting.vote_timeout,
        voting.stagger,
        voting.step_aside,
    ];
    assert_eq!(seconds.map(|time| time.as_secs()), [20, 2, 2, 30]);
    let (name, cluster) = voting.own_cluster().unwrap();
    assert_eq!(
        (name.as_str(), cluster.own.as_str(), cluster.dry),
        ("main", "s", false)
    );
    assert_eq!((cluster.generation, cluster.voters.len()), (1, 3));
    assert_eq!(cluster.secret, Some(Secret::new("xyzzy".repeat(7))));
}

#[test]
fn a_voter_that_is_removed_takes_part_in_that() {
    let list = good().replacen("\"s\": \"http", "\"x\": \"http", 1);
    let keys = format!("{list}, \"never_promote_these_nodes\": [\"s\"]");
    refuses(&keys, secret(), "is not in voters: expected our own name");
    let later = keys.replacen("\"generation\": 1", "\"generation\": 2", 1);
    let loaded = read(&later, secret()).unwrap();
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.contains("votes until list 2 is sealed"),
        "{warning}"
    );
}

#[test]
fn nothing_is_voted_on_unless_it_is_asked_for() {
    for keys in [
        r#""vote_directory": "/v""#,
        r#""voting": {}"#,
        r#""voting": null"#,
    ] {
        assert_eq!(read(keys, secret()).unwrap().config.voting, None, "{keys}");
    }
}

#[test]
fn without_a_command_there_are_no_leases() {
    let fence = |keys: &str| {
        let loaded = read(&format!("{}, {keys}", good()), secret()).unwrap();
        loaded.config.voting.unwrap().fence
    };
    // As every configuration was before.
    assert_eq!(fence(r#""lease_time": 6, "fence_timeout": 9"#), None);
    assert_eq!(fence(r#""fence_command": """#), None);
    let fence = fence(r#""fence_command": "fence-self /data", "lease_time": 15"#).unwrap();
    let seconds = [fence.timeout, fence.renew].map(|time| time.as_secs_f64());
    assert_eq!((fence.command.argv.len(), seconds), (2, [5.0, 2.5]));
    assert_eq!(fence.watchdog, None);
    refuses(
        r#""fence_command": "f""#,
        secret(),
        "fence_command: expected voting too",
    );
}

#[test]
fn a_watchdog_device_leaves_room_between_two_renewals() {
    for (times, timeout) in [
        ("", 15),
        (
            r#""lease_time": 6, "lease_renew_interval": 0.8, "vote_timeout": 0.6, "fence_timeout": 2,"#,
            4,
        ),
        (
            r#""lease_time": 4, "lease_renew_interval": 0.5, "vote_timeout": 0.5, "fence_timeout": 1,"#,
            3,
        ),
    ] {
        let keys = format!(
            r#"{}, {times} "fence_command": "f", "watchdog_device": "/dev/watchdog""#,
            good()
        );
        let config = read(&keys, secret()).unwrap().config;
        let watchdog = config.fence().unwrap().watchdog.clone().unwrap();
        assert_eq!(
            watchdog.timeout.as_secs_f64(),
            f64::from(timeout),
            "{times}"
        );
        assert_eq!(watchdog.device, std::path::Path::new("/dev/watchdog"));
    }
    let keys = format!(r#"{}, "watchdog_device": "/dev/watchdog""#, good());
    refuses(
        &keys,
        secret(),
        "watchdog_device: expected fence_command too",
    );
    let keys = format!(r#"{}, "unfence_command": "start""#, good());
    refuses(
        &keys,
        secret(),
        "unfence_command: expected fence_command too",
    );
}

#[test]
fn without_a_command_nothing_is_switched_over() {
    let demotion = |keys: &str| {
        let keys = format!(r#"{}, "fence_command": "f", {keys}"#, good());
        read(&keys, secret()).unwrap().config.demotion().cloned()
    };
    assert_eq!(demotion(r#""demote_command": """#), None);
    let given =
        r#""demote_command": "d /data", "pg_start_command": "s", "pg_data_directory": "/data""#;
    let found = demotion(given).unwrap();
    assert_eq!((found.timeout.as_secs(), found.max_lag), (60, 16 << 20));
    assert_eq!(found.data_directory, Path::new("/data"));
    assert_eq!(
        (found.command.argv.len(), found.start_command.argv.len()),
        (2, 1)
    );
}

#[track_caller]
fn refuses(keys: &str, content: FileContent, expected: &str) {
    let errors = read(keys, content).unwrap_err().errors;
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(
        errors.iter().any(|error| error.contains(expected)),
        "{errors:?}"
    );
    assert!(!errors.concat().contains("xyzzy"), "{errors:?}");
}

#[test]
fn names_what_is_wrong() {
    let changed = |old: &str, new: &str| {
        let text = good().replacen(old, new, 1);
        assert_ne!(text, good(), "{old}");
        text
    };
    for (old, new, expected) in [
        (
            r#""vote_directory": "/v", "#,
            "",
            "vote_directory: expected a path",
        ),
        (
            "\"main\"",
            "\"a/b\"",
            "expected a name of at most 63 letters",
        ),
        (
            "\"main\"",
            "\".main\"",
            "expected a name of at most 63 letters",
        ),
        (
            "\"generation\": 1",
            "\"generation\": 0",
            "voting.main.generation is 0",
        ),
        (
            "\"generation\": 1, ",
            "",
            "voting.main.generation: expected an integer",
        ),
        (
            r#", "o": "http://o:15000""#,
            "",
            "found 2, expected 3 to 15 voters",
        ),
        ("\"s\": \"http", "\"x\": \"http", "s too: every node"),
        ("\"s\": \"http", "\"x\": \"http", "is not in voters"),
        ("\"p\": \"http", "\"x\": \"http", "p too: every node"),
        (
            "http://o:15000",
            "http://u:xyzzy@o",
            "voters.o: expected a URL without user",
        ),
        (
            "\"generation\"",
            "\"self\": \"o\", \"generation\"",
            "self: expected own_db",
        ),
        (
            "\"secret_file\": \"/s\"",
            "\"dry\": false",
            "secret_file: expected a path",
        ),
    ] {
        refuses(&changed(old, new), secret(), expected);
    }
    let times = |text: &str| format!("{}, {text}", good());
    for (text, expected) in [
        ("\"lease_time\": 2.9", "lease_time: expected 3 to 600"),
        ("\"lease_time\": 4", "lease_time: expected at least 5"),
        (
            "\"fence_command\": \"f\", \"lease_time\": 14.9",
            "lease_time: expected at least 15 with fence_command",
        ),
        (
            "\"demote_command\": \"d\", \"pg_start_command\": \"s\"",
            "demote_command: expected fence_command too",
        ),
        (
            "\"fence_command\": \"f\", \"demote_command\": \"d\"",
            "pg_start_command: needed because demote_command is set",
        ),
        (
            "\"switchover_max_lag\": 0",
            "switchover_max_lag is 0: expected a number of bytes from 1",
        ),
        (
            "\"fence_command\": \"f\", \"lease_renew_interval\": 1.9",
            "lease_renew_interval: expected at least vote_timeout",
        ),
        (
            "\"fence_command\": \"f\", \"lease_time\": 60, \"fence_timeout\": 41",
            "max_failover_replication_time_lag: expected at least 123",
        ),
        (
            "\"election_stagger\": 1",
            "election_stagger: expected more than half",
        ),
        (
            "\"step_aside_time\": 1",
            "step_aside_time: expected more than half",
        ),
    ] {
        refuses(&times(text), secret(), expected);
    }
    refuses(
        &good(),
        FileContent::Text("xyzzy".repeat(6)),
        "at least 32 bytes",
    );
    let refused = FileContent::Refused("expected mode 0600".to_owned());
    refuses(
        &good(),
        refused,
        "secret_file is \"/s\": expected mode 0600",
    );
    let two = good().replace("\"main\": {", "\"other\": {}, \"main\": {");
    refuses(&two, secret(), "voting: expected one cluster");
}
