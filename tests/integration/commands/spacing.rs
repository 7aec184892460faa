//! A promotion that fails is tried again for as long as there is cause, and never in a hurry.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Trial;
use crate::harness::fleet::{note_time, script_command};
use crate::harness::players::{Player, Role};
use crate::harness::{SOON, pause, wait_until};

const INTERVAL: f64 = 1.0;
const WATCHED: Duration = Duration::from_secs(8);

#[test]
fn attempts_are_never_closer_than_the_check_interval_whatever_else_happens() {
    let Some(mut trial) = Trial::start(&json!({ "replication_state_check_interval": INTERVAL }))
    else {
        return;
    };
    let flapping = Player::start("flapping", Role::Standby);
    flapping.hang_up();
    let script = format!("{}exit 1\n", note_time(&trial.daemon().promotions_path()));
    let failing = script_command(trial.daemon(), "failing", &script);
    let mut nodes = trial.daemon().config["remote_conns"].clone();
    nodes["flapping"] = Value::from(flapping.conninfo());
    // The observer keeps its vote only if it reports on every node.
    let observer = &mut trial.fleet["o"];
    observer.config["remote_conns"] = nodes.clone();
    observer.reload();
    trial.reload(&json!({
        "failover_command": failing, "remote_conns": nodes, "db_poll_interval": 0.1,
        "never_promote_these_nodes": ["flapping"], "missing_master_from_config_timeout": 0,
    }));
    wait_until("it is tried", SOON, || {
        !trial.daemon().promotions().is_empty()
    });
    let (begun, mut requests) = (Instant::now(), 0);
    while begun.elapsed() < WATCHED {
        requests += 1;
        match requests % 3 {
            0 => trial.daemon().reload(),
            _ => assert_eq!(trial.daemon().post_check(), 204),
        }
        pause(100);
    }
    let times = trial.daemon().promotions();
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let closest = gaps.iter().copied().fold(f64::MAX, f64::min);
    println!(
        "{} attempts, {closest:.3} s apart at least; meanwhile {requests} requests and reloads, {} connections of the flapping node",
        times.len(),
        flapping.connections()
    );
    assert!(times.len() >= 4 && closest >= INTERVAL, "{gaps:?}");
    assert!(flapping.connections() > 30, "it hardly flapped");
    trial.promote();
}
