//! Servers behind a pooler show no presence: the failover goes without.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::LIMIT;
use crate::harness::host::{Account, Host, give_to_server};
use crate::harness::postgres::{PASSWORD, USER, which};
use crate::harness::run_dir::{Ended, TestDir};
use crate::harness::{Cluster, Fleet, SOON, or_skip, wait_until};

/// A pgbouncer with one database for each server, ended when dropped.
struct Pooler {
    host: Host,
    _process: Ended,
    _dir: TestDir,
}

impl Pooler {
    fn start(program: &std::path::Path, cluster: &Cluster) -> Self {
        let (dir, host) = (TestDir::new(), Host::on_loopback("pooler"));
        give_to_server(dir.path());
        let databases: String = cluster
            .servers()
            .map(|server| {
                let host = &server.host;
                format!("{} = host={} dbname=postgres\n", host.name, host.address)
            })
            .collect();
        let (ini, users) = (dir.path().join("pgbouncer.ini"), dir.path().join("users"));
        fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n")).unwrap();
        let text = format!(
            "[databases]\n{databases}[pgbouncer]\nlisten_addr = {}\nlisten_port = 6432\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\nserver_login_retry = 1\n",
            host.address,
            users.display()
        );
        fs::write(&ini, text).unwrap();
        let mut process = host.command(program, Account::Server);
        process.arg("-q").arg(&ini).current_dir(dir.path());
        process.stdin(Stdio::null()).stderr(Stdio::null());
        Self {
            _process: Ended(process.spawn().unwrap()),
            host,
            _dir: dir,
        }
    }
}

#[test]
fn one_standby_is_promoted_where_a_pooler_hides_the_daemons() {
    let program = which("pgbouncer").ok_or_else(|| "there is no pgbouncer here".to_owned());
    let Some(program) = or_skip(program) else {
        return;
    };
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let pooler = Pooler::start(&program, &cluster);
    wait_until("the pooler listens", SOON, || {
        pooler.host.connect(6432, SOON).is_ok()
    });
    let mut fleet = Fleet::start(&cluster, |_, config| {
        for (name, conninfo) in config["remote_conns"].as_object_mut().unwrap() {
            let address = pooler.host.address;
            *conninfo = json!(format!(
                "host={address} port=6432 dbname={name} user={USER}"
            ));
        }
    });
    for name in [PRIMARY, "s1", "s2"] {
        assert_eq!(fleet["s1"].state()[name]["daemons"], Value::Null, "{name}");
    }
    cluster[PRIMARY].kill_nine_all();
    let winner = fleet.wait_promotion().0.to_owned();
    fleet.nobody_promotes_for(LIMIT + 1.0);
    assert_eq!(fleet.promoted(), [winner.as_str()]);
    assert_eq!(cluster.primaries(), [winner.as_str()]);
}
