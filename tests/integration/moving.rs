//! A server that moves to another address under its name.

use std::fs;

use nix::unistd::Uid;
use serde_json::json;

use crate::harness::cluster::PRIMARY;
use crate::harness::postgres::{PASSWORD, USER};
use crate::harness::{Cluster, Daemon, SOON, or_skip, pause, wait_until};

#[test]
fn a_server_that_has_moved_is_found_at_once_and_lost_names_keep_their_addresses() {
    let is_root = Uid::effective().is_root();
    let needed = is_root
        .then_some(())
        .ok_or_else(|| "mounting needs root".to_owned());
    if or_skip(needed).is_none() {
        return;
    }
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let hosts = cluster.dir().join("hosts");
    let leads_to = |server: &str, cluster: &Cluster| {
        // In place: it is mounted.
        fs::write(&hosts, format!("{} db\n", cluster[server].host.address)).unwrap();
    };
    leads_to(PRIMARY, &cluster);
    let login = format!("host=db dbname=postgres user={USER} password={PASSWORD}");
    let config = json!({"remote_conns": {"db": login}, "db_poll_interval": 0.5});
    let mut daemon = Daemon::prepare(cluster.observer.clone(), cluster.dir(), config);
    let script = format!(
        "mount --bind '{}' /etc/hosts && exec \"$0\" \"$@\"",
        hosts.display()
    );
    let program = daemon.program.remove(0);
    let unshare = ["unshare", "--mount", "sh", "-c", &script];
    daemon.program = unshare.map(str::to_owned).to_vec();
    daemon.program.push(program);
    daemon.start();
    let is_standby = |daemon: &Daemon, expected: bool| {
        let state = daemon.state();
        state["db"]["connection"] == true && state["db"]["pg_is_in_recovery"] == expected
    };
    wait_until("it is reached", SOON, || is_standby(&daemon, false));

    // The name is known for half a minute; nobody waits for that.
    leads_to("s1", &cluster);
    pause(1500);
    cluster[PRIMARY].kill_nine_all();
    let lost_at = std::time::Instant::now();
    wait_until("it is reached at its new address", SOON, || {
        is_standby(&daemon, true)
    });
    let took = lost_at.elapsed();
    assert!(took.as_secs_f64() < 5.0, "that took {took:?}");

    // Nobody knows the name any more, and the server is where it was.
    fs::write(&hosts, "").unwrap();
    pause(1500);
    cluster["s1"].disconnect_daemons();
    wait_until("the loss was noticed", SOON, || {
        daemon.log().matches("node db: ").count() >= 2
    });
    wait_until("it is reached where it was", SOON, || {
        is_standby(&daemon, true)
    });
    assert!(daemon.is_running());
}
