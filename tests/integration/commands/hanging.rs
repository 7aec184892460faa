//! Commands of other purposes that never end.

use std::fs;

use serde_json::json;

use crate::harness::daemon::seconds_now;
use crate::harness::fleet::{LIMIT, script_command};
use crate::harness::{Cluster, Fleet, SOON, wait_until};

#[test]
fn a_warning_and_a_stop_that_never_end_hold_up_no_failover() {
    let Some(mut cluster) = Cluster::start(&["s1"]) else {
        return;
    };
    let mut fleet = Fleet::prepare(&cluster, |_, _| ());
    let data = cluster["s1"].data.clone();
    let daemon = &mut fleet["s1"];
    let hung = ["warning", "stop"].map(|name| daemon.path(&format!("{name}.hangs")));
    let hanging = hung.clone().map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        script_command(
            daemon,
            &name,
            &format!("touch '{}'\nsleep 600\n", path.display()),
        )
    });
    let [warning, stop] = hanging;
    let settings = json!({
        // No lag at all is over the limit, and no time is for catching up.
        "warning_replication_time_lag": 0, "replication_catchup_timeout": 0, "over_warning_limit_command": warning,
        "autofollow": true, "pg_data_directory": data, "pg_stop_command": stop, "pg_start_command": "false",
        "primary_conninfo_template": "user=somebody_else",
    });
    daemon
        .config
        .as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    fleet.start_all();
    wait_until("both hang", SOON, || hung.iter().all(|path| path.exists()));
    wait_until("the primary is known", SOON, || {
        fleet["s1"].current_primary().as_deref() == Some("p")
    });
    cluster["p"].kill_nine_all();
    let dead_at = seconds_now();
    let (_, when) = fleet.wait_promotion();
    println!("both commands hang; promoted after {:.1} s", when - dead_at);
    assert!(when - dead_at < LIMIT + 4.0);
    wait_until("the standby is promoted", SOON, || {
        !cluster["s1"].is_in_recovery()
    });
    fleet.nobody_promotes_for(1.0);
    assert_eq!(fleet["s1"].post_check(), 204);
    assert!(
        !fs::read_to_string(fleet["s1"].log_path())
            .unwrap()
            .contains("pg_start_command started")
    );
}
