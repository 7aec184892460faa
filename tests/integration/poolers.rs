//! A pooler that lives and does not let us in: full, or of another opinion about our password.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::{LIMIT, conninfo};
use crate::harness::host::{Account, give_to_server};
use crate::harness::postgres::{PASSWORD, USER, which};
use crate::harness::run_dir::{Ended, run};
use crate::harness::{Cluster, Daemon, Fleet, SOON, or_skip, wait_until};

const PORT: u16 = 6432;

/// A pgbouncer before the primary, on the observer's host.
struct Pooler {
    users: PathBuf,
    process: Ended,
}

impl Pooler {
    fn start(cluster: &Cluster) -> Option<Self> {
        let program = which("pgbouncer").ok_or_else(|| "there is no pgbouncer here".to_owned());
        let program = or_skip(program)?;
        let dir = cluster.dir().to_owned();
        give_to_server(&dir);
        let (ini, users) = (dir.join("pgbouncer.ini"), dir.join("users"));
        fs::write(
            &users,
            format!("\"{USER}\" \"{PASSWORD}\"\n\"guest\" \"\"\n"),
        )
        .unwrap();
        let text = format!(
            "[databases]\npostgres = host={}\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {PORT}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             max_client_conn = 20\nadmin_users = {USER}\n",
            cluster[PRIMARY].host.address,
            cluster.observer.address,
            users.display()
        );
        fs::write(&ini, text).unwrap();
        let mut pgbouncer = cluster.observer.command(program, Account::Server);
        pgbouncer.arg("-q").arg(&ini).current_dir(&dir);
        pgbouncer.stdin(Stdio::null()).stderr(Stdio::null());
        let process = Ended(pgbouncer.spawn().unwrap());
        let pooler = Self { users, process };
        wait_until("pgbouncer answers", SOON, || {
            pooler.psql(cluster, "SELECT 1").is_ok()
        });
        Some(pooler)
    }

    fn psql(&self, cluster: &Cluster, sql: &str) -> std::io::Result<String> {
        let mut psql = Command::new(&cluster.postgres.psql);
        run(psql.args([
            "-X",
            "-A",
            "-t",
            "-d",
            &target(cluster, PASSWORD),
            "-c",
            sql,
        ]))
    }

    /// The password of our account is another one from now on, for the pooler alone.
    fn change_password(&self, cluster: &Cluster) {
        fs::write(&self.users, format!("\"{USER}\" \"another\"\n")).unwrap();
        self.admin(cluster, &["RELOAD"]);
    }

    /// Commands of pgbouncer's own, in one session.
    fn admin(&self, cluster: &Cluster, commands: &[&str]) {
        let admin = target(cluster, PASSWORD).replace("dbname=postgres", "dbname=pgbouncer");
        let mut psql = Command::new(&cluster.postgres.psql);
        psql.args(["-X", "-d", &admin]);
        commands.iter().for_each(|command| {
            psql.args(["-c", command]);
        });
        run(&mut psql).unwrap();
    }

    /// As the configuration file says again.
    fn reload(&self) {
        let pid = Pid::from_raw(i32::try_from(self.process.0.id()).unwrap());
        kill(pid, Signal::SIGHUP).unwrap();
    }
}

fn target(cluster: &Cluster, password: &str) -> String {
    let host = cluster.observer.address;
    format!("host={host} port={PORT} dbname=postgres user={USER} password={password}")
}

#[test]
fn a_pooler_that_is_full_or_rejects_the_password_is_no_dead_primary() {
    let Some(cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let Some(pooler) = Pooler::start(&cluster) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["remote_conns"]["p"] = json!(target(&cluster, PASSWORD));
    });
    let lost = |fleet: &Fleet| fleet["s1"].state()[PRIMARY]["connection"] == false;

    // Full: whoever is cut off finds no place any more.
    pooler.admin(
        &cluster,
        &[
            "SET max_client_conn = 0",
            "KILL postgres",
            "RESUME postgres",
        ],
    );
    let is_full = "rejected by the server: FATAL 08P01: no more connections allowed";
    wait_until("no daemon gets in", SOON, || {
        let primaries = &fleet["s1"].state_file()["decision"]["figures"]["primaries"];
        lost(&fleet) && primaries.to_string().contains(is_full)
    });
    fleet.nobody_promotes_for(2.0 * LIMIT + 1.0);
    assert!(lost(&fleet), "it got in again");
    assert!(!fleet["s1"].has_alert("authentication_error"));
    pooler.reload();
    wait_until("it is reached again", SOON, || !lost(&fleet));

    // Rejected.
    pooler.change_password(&cluster);
    wait_until("no daemon gets in", SOON, || {
        cluster[PRIMARY].disconnect_daemons();
        lost(&fleet)
    });
    fleet["s1"].wait_alert("authentication_error", "");
    fleet.nobody_promotes_for(2.0 * LIMIT + 1.0);
}

#[test]
fn each_refusal_of_a_pooler_is_distinguished_from_an_outage() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let Some(_pooler) = Pooler::start(&cluster) else {
        return;
    };
    let right = target(&cluster, PASSWORD);
    let config = json!({
        "remote_conns": {
            "right": right,
            "wrong": target(&cluster, "wrong"),
            "user": right.replace(USER, "nobody_at_all"),
            "database": right.replace("dbname=postgres", "dbname=absent"),
            "startup": format!("{right} options='-c geqo=off'"),
            "s1": conninfo(&cluster["s1"]),
        },
        "db_poll_interval": 0.3,
    });
    let mut daemon = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config);
    daemon.start();
    for (node, words) in [
        ("wrong", "authentication rejected: "),
        ("user", "authentication rejected: "),
        ("database", "rejected by the server: "),
        ("startup", "rejected by the server: "),
    ] {
        let words = format!("node {node}: {words}");
        wait_until(&words, SOON, || daemon.log().contains(&words));
    }
    wait_until("the right one is let in", SOON, || {
        daemon.state()["right"]["connection"] == true
    });
    daemon.wait_alert("authentication_error", "");
    cluster[PRIMARY].kill_nine_all();
    wait_until("the outage is known", SOON, || {
        let log = daemon.log();
        log.contains("node right: not ready: ") || log.contains("node right: timed out")
    });
}
