//! SIGHUP ten times a second, each time with another configuration.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::cluster::PRIMARY;
use crate::harness::daemon::seconds_now;
use crate::harness::fleet::conninfo;
use crate::harness::vitals::{Holdings, longest_unasked};
use crate::harness::{Cluster, Daemon, Fleet, SOON, pause, wait_until};

/// How long with nothing but reloads, before the failover.
const WATCHED: Duration = Duration::from_secs(15);
const BETWEEN: u64 = 100;

#[test]
fn reloading_ten_times_a_second_misses_nothing_and_leaves_nothing_behind() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    // A change of nodes holds no failover up here: they change all the time.
    let mut fleet = Fleet::start(&cluster, |_, config| {
        config["missing_master_from_config_timeout"] = json!(0)
    });
    let configs = configs(&fleet["s1"].config, &cluster);
    while_reloading(&fleet["s1"], &configs, || pause(3_000));
    settle(&fleet["s1"]);
    let before = Holdings::of(&fleet["s1"]);

    let (longest, reloads) = while_reloading(&fleet["s1"], &configs, || {
        longest_unasked(&fleet["s1"], &["p", "s1", "s2"], WATCHED)
    });
    let ((who, took), more) = while_reloading(&fleet["s1"], &configs, || {
        cluster[PRIMARY].kill_nine_all();
        let dead_at = seconds_now();
        let (who, when) = fleet.wait_promotion();
        (who.to_owned(), when - dead_at)
    });
    wait_until("the promoted server is the primary", SOON, || {
        cluster.primaries() == [who.as_str()]
    });

    // The old primary comes back as a standby, so that there are as many connections as before.
    cluster[PRIMARY].make_standby();
    cluster[PRIMARY].start();
    settle(&fleet["s1"]);
    let after = Holdings::of(&fleet["s1"]);
    println!(
        "{} reloads; healthy nodes asked at least every {longest:.1?}; failover after {took:.1} s",
        reloads + more
    );
    println!("before: {before}\nafter:  {after}");
    let log = fleet["s1"].log();
    assert!(
        log.matches("configuration reloaded").count() as u32 >= (reloads + more) / 2,
        "they were hardly read"
    );
    assert!(!log.contains("configuration not reloaded"), "{log}");
    assert!(
        longest < Duration::from_secs(2),
        "a healthy node was not asked for {longest:?}"
    );
    assert!(took < 7.0, "the failover took {took:.1} s");
    assert!(after.is_as(&before), "{before:?}\n{after:?}");
    assert!(
        after.rss_kib < before.rss_kib + MOST_GROWTH_KIB,
        "{before}\n{after}"
    );
    fleet.nobody_promotes_for(1.0);
}

/// Another one each time: nodes and observers come and go, intervals and the rest change.
fn configs(base: &Value, cluster: &Cluster) -> Vec<Value> {
    let with = |changes: Value| {
        let mut config = base.clone();
        config
            .as_object_mut()
            .unwrap()
            .extend(changes.as_object().unwrap().clone());
        config
    };
    let nodes = |name: &str, info: String| {
        let mut nodes = base["remote_conns"].clone();
        nodes[name] = Value::from(info);
        nodes
    };
    let refusing = format!("host={} port=1 user=x", cluster.observer.address);
    vec![
        with(
            json!({ "remote_conns": nodes("also_s2", conninfo(&cluster["s2"])), "never_promote_these_nodes": ["also_s2"] }),
        ),
        with(json!({ "db_poll_interval": 0.3, "log_level": "WARNING" })),
        with(
            json!({ "remote_conns": nodes("nobody", refusing), "replication_state_check_interval": 0.3 }),
        ),
        with(
            json!({ "log_level": "DEBUG", "over_warning_limit_command": "true", "failover_priorities": {"s2": 1} }),
        ),
        with(
            json!({ "poll_timeout": 2.0, "known_gone_nodes": ["long_gone"], "failover_quorum": "majority" }),
        ),
        base.clone(),
    ]
}

/// Does something while the daemon reloads, and returns how often it did. It ends with the
/// configuration that it began with.
fn while_reloading<T>(daemon: &Daemon, configs: &[Value], act: impl FnOnce() -> T) -> (T, u32) {
    let (done, count) = (AtomicBool::new(false), AtomicU32::new(0));
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            for config in configs.iter().cycle() {
                daemon.reload_text(&config.to_string());
                count.fetch_add(1, Ordering::Relaxed);
                pause(BETWEEN);
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let outcome = act();
        done.store(true, Ordering::Relaxed);
        outcome
    });
    daemon.reload();
    (outcome, count.into_inner())
}

/// Waits until everybody is connected, nothing more is under way, and the clients have gone.
fn settle(daemon: &Daemon) {
    wait_until("all nodes are connected", SOON, || {
        let state = daemon.state();
        ["p", "s1", "s2"]
            .iter()
            .all(|name| state[name]["connection"] == true)
    });
    wait_until("no child is left", SOON, || {
        Holdings::of(daemon).children.is_empty()
    });
    pause(1_500);
}

/// Of memory: what an allocator keeps in another order.
const MOST_GROWTH_KIB: u64 = 1 << 10;
