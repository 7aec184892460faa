//! Reloads with mistakes, beside a primary that lives.

use serde_json::{Value, json};

use super::wait_current;
use crate::harness::cluster::PRIMARY;
use crate::harness::fleet::{LIMIT, conninfo};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

/// Both standbys' daemons read these nodes.
fn reload_nodes(fleet: &mut Fleet, nodes: &Value) {
    for name in ["s1", "s2"] {
        fleet[name].config["remote_conns"] = nodes.clone();
        fleet[name].reload();
    }
    for name in ["s1", "s2"] {
        let nodes = nodes.as_object().unwrap();
        wait_until("the reload is done", SOON, || {
            let state = fleet[name].state();
            state.as_object().unwrap().keys().eq(nodes.keys())
        });
    }
}

#[test]
fn a_primary_that_a_reload_loses_is_not_replaced_while_its_wal_arrives() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    // Polls of the observer and of the primary's own daemon are what the primary writes.
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["missing_master_from_config_timeout"] = json!(2);
    });
    let nodes = fleet["s1"].config["remote_conns"].clone();
    let mut removed = nodes.clone();
    removed.as_object_mut().unwrap().remove(PRIMARY);
    let mut renamed = removed.clone();
    renamed["pp"] = json!(conninfo(&cluster[PRIMARY]));
    let mut mistyped = removed.clone();
    mistyped["pp"] = json!("host=127.255.255.254 user=pglookout connect_timeout=1");

    for mistake in [&mistyped, &removed] {
        reload_nodes(&mut fleet, mistake);
        fleet.nobody_promotes_for(LIMIT + 3.0);
        reload_nodes(&mut fleet, &nodes);
        fleet.wait_settled();
    }
    reload_nodes(&mut fleet, &renamed);
    wait_current(&fleet["s1"], "pp");
    fleet.nobody_promotes_for(LIMIT + 2.0);
    assert_eq!(cluster.primaries(), [PRIMARY]);

    // It is missed as soon as nothing of it arrives any more.
    reload_nodes(&mut fleet, &removed);
    cluster[PRIMARY].kill_nine_all();
    let winner = fleet.wait_promotion().0.to_owned();
    fleet.nobody_promotes_for(LIMIT);
    assert_eq!(fleet.promoted(), [winner]);
}

#[test]
fn a_living_primary_that_is_forgotten_among_the_known_gone_is_not_replaced() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["known_gone_nodes"] = json!([PRIMARY]);
    });
    for round in 0..2 {
        // Longer than a poll may take, shorter than the limit.
        cluster[PRIMARY].hang();
        wait_until("it is missed", SOON, || {
            fleet["s1"].state()[PRIMARY]["connection"] == false
        });
        fleet.nobody_promotes_for(1.0);
        cluster[PRIMARY].wake();
        fleet.wait_settled();
        fleet.nobody_promotes_for(1.0);
        for name in ["s1", "s2"] {
            let log = fleet[name].log();
            assert!(log.contains("known_gone_nodes"), "round {round}: {log}");
            fleet[name].reload();
        }
        // Until then each may take it for gone, as its file says.
        wait_until("both have reached it since the reload", SOON, || {
            ["s1", "s2"].iter().all(|name| {
                let log = fleet[*name].log();
                log.matches("known_gone_nodes").count() > round + 1
            })
        });
    }
    cluster[PRIMARY].kill_nine_all();
    let killed = crate::harness::daemon::seconds_now();
    let (winner, when) = fleet.wait_promotion();
    let (winner, after) = (winner.to_owned(), when - killed);
    assert!(after > LIMIT - 0.7, "promoted {after:.2} s after the crash");
    fleet.nobody_promotes_for(LIMIT);
    assert_eq!(fleet.promoted(), [winner]);
}
