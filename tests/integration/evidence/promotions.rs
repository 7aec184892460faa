//! The winner's server is away, or refuses logins, in the middle of its promotion.

use serde_json::{Value, json};

use super::{put_ahead, wait_promoted};
use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::{LIMIT, pg_ctl, promoting_after};
use crate::harness::host::give_to_server;
use crate::harness::{Cluster, Fleet};

/// The primary dies, and `s2` goes first by a command that begins with these lines. Nobody else
/// promotes for so many seconds, and nobody after them.
fn check(adjust: impl Fn(&str, &mut Value), lines: impl Fn(&Cluster) -> String, seconds: f64) {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let log = cluster["s2"].log();
    give_to_server(&log);
    let mut fleet = Fleet::prepare(&cluster, adjust);
    fleet["s2"].config["failover_command"] =
        promoting_after(&cluster, &fleet["s2"], &lines(&cluster));
    fleet.start_all();
    fleet.wait_settled();
    put_ahead(&cluster, "s2", &["s1"]);
    cluster[PRIMARY].kill_nine_all();
    assert_eq!(fleet.wait_promotion().0, "s2");
    fleet.nobody_promotes_for(seconds);
    wait_promoted(&cluster, "s2");
    fleet.nobody_promotes_for(LIMIT + 1.0);
    assert_eq!(fleet.promoted(), ["s2"]);
    assert_eq!(cluster.primaries(), ["s2"]);
}

/// Stops the server of `s2` for so many seconds.
fn restart(cluster: &Cluster, seconds: f64) -> String {
    let (server, pg_ctl) = (&cluster["s2"], pg_ctl(cluster, &cluster["s2"]));
    format!(
        "{pg_ctl} -m fast -w stop\nsleep {seconds}\n\
         {pg_ctl} -w -l '{}' -o '-c listen_addresses={}' start",
        server.log().display(),
        server.host.address
    )
}

/// Sessions under a name of the operator's choice show nothing of the daemons.
fn without_presence(_: &str, config: &mut Value) {
    for conninfo in config["remote_conns"].as_object_mut().unwrap().values_mut() {
        let named = format!("{} application_name=watch", conninfo.as_str().unwrap());
        *conninfo = json!(named);
    }
}

#[test]
fn a_winner_that_restarts_its_server_is_waited_for_as_long_as_it_shows_that_it_promotes() {
    check(
        |_, _| (),
        |cluster| restart(cluster, LIMIT + 2.0),
        LIMIT + 2.0,
    );
}

#[test]
fn a_winner_that_restarts_its_server_is_waited_for_within_the_limit_without_presence() {
    check(without_presence, |cluster| restart(cluster, 1.0), 1.0);
}

#[test]
fn a_winner_that_refuses_logins_is_waited_for_without_presence() {
    let refuse = |cluster: &Cluster| {
        let server = &cluster["s2"];
        let (data, pg_ctl) = (server.data.display(), pg_ctl(cluster, server));
        let psql = format!(
            "'{}' -X -h {} -U postgres -d postgres",
            cluster.postgres.psql.display(),
            server.host.address
        );
        let end =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pglookout'";
        format!(
            "cp '{data}/pg_hba.conf' '{data}/pg_hba.open'\n\
             sed -i '1i host all pglookout all reject' '{data}/pg_hba.conf'\n\
             {pg_ctl} reload\n{psql} -c \"{end}\"\nsleep {}\n\
             (sleep 2; cat '{data}/pg_hba.open' >'{data}/pg_hba.conf'; {pg_ctl} reload) &",
            LIMIT + 2.0
        )
    };
    check(without_presence, refuse, LIMIT + 2.0);
}
