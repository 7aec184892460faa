//! The steps of a failover command that the packages bring along, `packaging/failover/`: on real
//! servers, a real pgbouncer and a real network, each of them twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::fleet::{conninfo, script_command};
use crate::harness::host::{Account, Host, give_to_server, server_account};
use crate::harness::network::Network;
use crate::harness::node::Server;
use crate::harness::postgres::{Postgres, which};
use crate::harness::run_dir::{TestDir, run};
use crate::harness::{Cluster, Fleet, SOON, or_skip, wait_until};

/// A copy of the steps, and of the program of ours that they run, where the server's account can run
/// them: the tree may be in a folder that is closed to it.
pub(crate) fn steps_in(dir: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/failover");
    let own = env!("CARGO_BIN_EXE_pglookout_current_master");
    // By a process of its own: one that is being written by this one could not be run while another
    // test forks.
    run(Command::new("cp").arg("-r").arg(from).arg(dir)).unwrap();
    run(Command::new("cp").arg(own).arg(dir.join("failover"))).unwrap();
    dir.join("failover")
}

/// A step on this host, with PostgreSQL's programs and our own at hand.
pub(crate) fn step(host: &Host, account: Account, postgres: &Postgres, program: &Path) -> Command {
    let mut command = host.command(program, account);
    let own = program.parent().unwrap();
    let psql = postgres.psql.parent().unwrap();
    let path = format!(
        "{}:{}:{}",
        own.display(),
        psql.display(),
        std::env::var("PATH").unwrap()
    );
    command.env("PATH", path).env("PGBIN", &postgres.programs);
    command
}

/// Runs it with `-- touch MARK` behind it: succeeds and goes on, or fails and does not.
#[track_caller]
fn check(command: &mut Command, dir: &Path, succeeds: bool) {
    let mark = dir.join("went-on");
    let _ = fs::remove_file(&mark);
    let output = command
        .args(["--", "touch"])
        .arg(&mark)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), succeeds, "{printed}");
    assert_eq!(mark.exists(), succeeds, "{printed}");
}

#[test]
fn a_standby_is_promoted_once_and_left_alone_the_second_time() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    give_to_server(cluster.dir());
    let steps = steps_in(cluster.dir());
    let promote = |server: &Server, data: &Path| {
        let mut command = step(
            &server.host,
            Account::Server,
            cluster.postgres,
            &steps.join("promote"),
        );
        command.arg(data);
        command
    };
    check(
        &mut promote(&cluster["s1"], cluster.dir()),
        cluster.dir(),
        false,
    );
    for _ in 0..2 {
        check(
            &mut promote(&cluster["s1"], &cluster["s1"].data),
            cluster.dir(),
            true,
        );
        assert!(!cluster["s1"].is_in_recovery());
    }

    if cluster.postgres.version < 12 {
        return;
    }
    let promote_sql = |target: &str| {
        let mut command = step(
            &cluster["s2"].host,
            Account::Server,
            cluster.postgres,
            &steps.join("promote-sql"),
        );
        command.arg(target);
        command
    };
    check(
        &mut promote_sql(&conninfo(&cluster["s2"])),
        cluster.dir(),
        false,
    );
    assert!(
        cluster["s2"].is_in_recovery(),
        "promoted by a user without the right to do so"
    );
    cluster["p"].query("GRANT EXECUTE ON FUNCTION pg_promote TO pglookout");
    cluster.wait_caught_up("s2");
    for _ in 0..2 {
        check(
            &mut promote_sql(&conninfo(&cluster["s2"])),
            cluster.dir(),
            true,
        );
        assert!(!cluster["s2"].is_in_recovery());
    }

    let down = promote(&cluster["s1"], &cluster["s1"].data);
    let dir = cluster.dir().to_owned();
    cluster["s1"].stop_fast();
    check(&mut { down }, &dir, false);
}

#[test]
fn nothing_is_promoted_before_the_old_primary_is_fenced() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    give_to_server(cluster.dir());
    let steps = steps_in(cluster.dir());
    let (hook, allowed, fenced) = (
        cluster.dir().join("hook"),
        cluster.dir().join("allowed"),
        cluster.dir().join("fenced"),
    );
    run(Command::new("install")
        .args(["-m", "755"])
        .arg(steps.join("fence-hook"))
        .arg(&hook))
    .unwrap();
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let (host, data, postgres) = (
        cluster["s1"].host.clone(),
        cluster["s1"].data.clone(),
        cluster.postgres,
    );
    let row = |config: &Path| {
        let mut command = step(&host, Account::Server, postgres, &steps.join("fence"));
        command
            .arg(config)
            .arg("s1")
            .arg(&hook)
            .arg("--")
            .arg(steps.join("promote"))
            .arg(&data);
        command
    };
    let mut by_hand = row(&fleet["s1"].config_path());
    fleet["s1"].config["failover_command"] =
        as_daemons_run_it(&fleet["s1"], &row(&fleet["s1"].config_path()));
    fleet.start_all();
    fleet.wait_settled();

    // The example as it stands refuses everybody.
    cluster["p"].kill_nine_all();
    fleet["s1"].wait_alert("failover_failed", "");
    assert!(
        fleet["s1"]
            .log()
            .contains("no way to fence is configured for 'p'"),
        "{}",
        fleet["s1"].log()
    );
    assert!(cluster["s1"].is_in_recovery());

    // A command that records its arguments.
    let text = format!(
        "#!/bin/sh\ntest -e {} && echo \"$1\" >>{}\n",
        allowed.display(),
        fenced.display()
    );
    fs::write(cluster.dir().join("text"), text).unwrap();
    run(Command::new("install")
        .args(["-m", "755"])
        .arg(cluster.dir().join("text"))
        .arg(&hook))
    .unwrap();
    fleet.nobody_promotes_for(2.0);
    assert!(cluster["s1"].is_in_recovery());
    fs::write(&allowed, "").unwrap();
    wait_until("the standby is promoted", SOON, || {
        !cluster["s1"].is_in_recovery()
    });
    assert_eq!(fs::read_to_string(&fenced).unwrap(), "p\n");

    // Again, by hand: nobody fences the new primary.
    wait_until("its daemon knows", SOON, || {
        fleet["s1"].current_primary().as_deref() == Some("s1")
    });
    check(&mut by_hand, cluster.dir(), true);
    assert_eq!(fs::read_to_string(&fenced).unwrap(), "p\n");

    // The daemon names the old primary: no program of ours has to be on the PATH.
    let mut named = Command::new(steps.join("fence"));
    named
        .arg(fleet["s1"].config_path())
        .arg("s1")
        .arg(&hook)
        .env("PATH", "/usr/bin:/bin")
        .env("PGLOOKOUT_OLD_PRIMARY", "p");
    check(&mut named, cluster.dir(), true);
    assert_eq!(fs::read_to_string(&fenced).unwrap(), "p\np\n");

    // Where the primary is not known, nobody is fenced and nothing goes on.
    let unknown = cluster.dir().join("unknown.json");
    fs::write(
        &unknown,
        json!({ "json_state_file_path": cluster.dir().join("none") }).to_string(),
    )
    .unwrap();
    check(&mut row(&unknown), cluster.dir(), false);
}

/// The daemons of these tests run as whoever runs the tests; what a step needs of its surroundings
/// goes along.
fn as_daemons_run_it(daemon: &crate::harness::Daemon, command: &Command) -> serde_json::Value {
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let account = server_account().map_or(String::new(), |(uid, gid)| {
        format!("setpriv --reuid={uid} --regid={gid} --clear-groups ")
    });
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?, value?)));
    let variables: Vec<String> = variables
        .map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect();
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect();
    script_command(
        daemon,
        "promote",
        &format!(
            "exec {account}env {} {}\n",
            variables.join(" "),
            words.join(" ")
        ),
    )
}

#[test]
fn an_address_is_taken_over_and_announced_to_the_neighbours() {
    const ADDRESS: &str = "10.77.7.100";
    let Some(network) = or_skip(Network::of(&["old", "new", "neighbour"])) else {
        return;
    };
    if or_skip(which("arping").ok_or_else(|| "there is no arping here".to_owned())).is_none() {
        return;
    }
    let [_, new, neighbour] = &network.hosts[..] else {
        panic!("three hosts")
    };
    let dir = TestDir::new();
    let steps = steps_in(dir.path());
    let ip = |host: &Host, arguments: &str| {
        run(host.command("ip", Account::Own).args(arguments.split(' '))).unwrap()
    };
    let card = ip(new, "-br link show eth0")
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    for _ in 0..2 {
        // What the neighbour remembers of the host that is gone.
        ip(
            neighbour,
            &format!("neigh replace {ADDRESS} lladdr 02:00:00:00:00:01 dev eth0 nud stale"),
        );
        let mut command = new.command(steps.join("ip-alias"), Account::Own);
        check(
            command.args([&format!("{ADDRESS}/24"), "eth0"]),
            dir.path(),
            true,
        );
        assert_eq!(
            ip(new, "-o address show dev eth0").matches(ADDRESS).count(),
            1
        );
        assert!(ip(neighbour, &format!("neigh show {ADDRESS}")).contains(&card));
    }
    for wrong in [["10.77.7.100", "eth0"], ["10.77.7.101/24", "no-such"]] {
        check(
            new.command(steps.join("ip-alias"), Account::Own)
                .args(wrong),
            dir.path(),
            false,
        );
    }
}

#[test]
fn a_pgbouncer_is_pointed_to_the_new_primary() {
    let Some(program) =
        or_skip(which("pgbouncer").ok_or_else(|| "there is no pgbouncer here".to_owned()))
    else {
        return;
    };
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    give_to_server(cluster.dir());
    let (steps, host) = (steps_in(cluster.dir()), &cluster.observer);
    let (ini, file) = (
        cluster.dir().join("pgbouncer.ini"),
        cluster.dir().join("primary.ini"),
    );
    let users = cluster.dir().join("users");
    fs::write(&users, "\"postgres\" \"\"\n").unwrap();
    let text = format!(
        "[pgbouncer]\nlisten_addr = {}\nlisten_port = 6432\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
         admin_users = postgres\n%include {}\n",
        host.address,
        users.display(),
        file.display()
    );
    fs::write(&ini, text).unwrap();
    fs::write(
        &file,
        format!("[databases]\n* = host={}\n", cluster["p"].host.address),
    )
    .unwrap();
    give_to_server(&file);
    let console = format!(
        "host={} port=6432 dbname=pgbouncer user=postgres",
        host.address
    );
    let query = |sql: &str, target: &str| {
        run(Command::new(&cluster.postgres.psql).args(["-X", "-A", "-t", "-d", target, "-c", sql]))
    };
    let mut pgbouncer = host.command(program, Account::Server);
    pgbouncer
        .arg("-q")
        .arg(&ini)
        .current_dir(cluster.dir())
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let mut pgbouncer = pgbouncer.spawn().unwrap();
    wait_until("pgbouncer answers", SOON, || {
        query("SHOW VERSION", &console).is_ok()
    });
    let database = console.replace("dbname=pgbouncer", "dbname=postgres");
    let asked = || query("SELECT current_setting('cluster_name')", &database).unwrap();
    assert_eq!(asked(), "p");
    let repoint = |address: &str, console: &str| {
        let mut command = step(
            host,
            Account::Server,
            cluster.postgres,
            &steps.join("pgbouncer"),
        );
        command.arg(&file).args([address, "5432", console]);
        command
    };
    let new = cluster["s1"].host.address.to_string();
    for _ in 0..2 {
        check(&mut repoint(&new, &console), cluster.dir(), true);
        assert_eq!(asked(), "s1");
    }
    check(&mut repoint("s1 port=1", &console), cluster.dir(), false);
    assert_eq!(asked(), "s1");
    pgbouncer.kill().unwrap();
    pgbouncer.wait().unwrap();
    check(&mut repoint(&new, &console), cluster.dir(), false);
}
