//! What a command gets from the daemon's own surroundings, and what not.

use std::fs;

use super::sh;
use crate::harness::receivers::Inbox;
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

#[test]
fn no_descriptor_and_no_secret_of_the_daemon_is_inherited() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let name = format!("pglookout-test-{}-inherited", std::process::id());
    let _manager = Inbox::named(&name);
    let daemon = &mut fleet["s1"];
    let (reported, kept) = (
        variables(&name),
        KEPT.map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    daemon.variables = reported.iter().chain(&kept).cloned().collect();
    // Whoever started the daemon has left descriptors open.
    let leaking = r#"exec 7</etc/passwd 9>/dev/zero; exec "$0" "$@""#;
    daemon.program = ["sh", "-c", leaking]
        .map(str::to_owned)
        .into_iter()
        .chain(daemon.program.clone())
        .collect();
    let (seen, part) = (daemon.path("seen"), daemon.path("seen.part"));
    let (part, to) = (part.display(), seen.display());
    // Listed by a child of the command's shell and printed: any redirection would be one descriptor
    // more.
    let script = format!("ls -l /proc/$$/fd; env > '{part}'; mv '{part}' '{to}'; exit 9");
    daemon.config["failover_command"] = sh(&script);
    fleet.start_all();
    fleet.wait_settled();
    let open = open_in(&fleet["s1"]);
    assert!(
        LEAKED
            .iter()
            .all(|leaked| open.iter().any(|target| target == leaked)),
        "nothing to inherit: {open:?}"
    );
    cluster["p"].kill_nine_all();
    wait_until("the command has run", SOON, || seen.exists());

    let env = fs::read_to_string(&seen).unwrap();
    let has = |name: &str| {
        env.lines()
            .any(|line| line.starts_with(&format!("{name}=")))
    };
    for (name, _) in &reported {
        assert!(!has(name), "{name} is inherited");
    }
    assert!(!env.contains(SECRET), "{env}");
    for (name, value) in KEPT {
        assert!(
            env.lines().any(|line| line == format!("{name}={value}")),
            "{name} is missing: {env}"
        );
    }
    assert!(
        ["PATH", "HOME"]
            .into_iter()
            .all(|name| has(name) || std::env::var_os(name).is_none()),
        "{env}"
    );

    fleet["s1"].wait_alert("failover_failed", "");
    let log = fleet["s1"].log();
    let first = log.split("failover_command started").nth(1).unwrap();
    let descriptors: Vec<(&str, &str)> = first.lines().filter_map(descriptor).collect();
    println!(
        "{} descriptors of the daemon, and of the command {descriptors:?}; {} variables",
        open.len(),
        env.lines().count()
    );
    assert_eq!(
        descriptors
            .iter()
            .map(|(number, _)| *number)
            .collect::<Vec<_>>(),
        ["0", "1", "2"]
    );
    assert_eq!(descriptors[0].1, "/dev/null");
    assert!(descriptors[1].1.starts_with("pipe:") && descriptors[1].1 == descriptors[2].1);
}

/// What the daemon has open.
fn open_in(daemon: &Daemon) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
        .unwrap()
        .flatten();
    entries
        .filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_str()?.to_owned()))
        .collect()
}

/// Not for children: the variables of the service manager, and the password.
fn variables(manager: &str) -> Vec<(String, String)> {
    [
        ("NOTIFY_SOCKET", &format!("@{manager}")[..]),
        ("WATCHDOG_USEC", "600000000"),
        ("WATCHDOG_PID", "1"),
        ("PGPASSWORD", SECRET),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

const SECRET: &str = "swordfish-of-the-daemon";
/// What failover scripts may rely on.
const KEPT: [(&str, &str); 6] = [
    ("PGDATA", "/srv/data"),
    ("PGHOST", "/run/sockets"),
    ("PGCHANNELBINDING", "prefer"),
    ("PGPASSFILE", "/etc/passfile"),
    ("PGSERVICEFILE", "/etc/services"),
    ("SITE", "of the operator"),
];
const LEAKED: [&str; 2] = ["/etc/passwd", "/dev/zero"];

/// Number and target of a line of `ls -l`.
fn descriptor(line: &str) -> Option<(&str, &str)> {
    let (name, target) = line.split_once(" -> ")?;
    Some((name.rsplit(' ').next()?, target))
}
