//! What stands in the log, and at which level.

use crate::harness::cluster::OBSERVER;
use crate::harness::{Cluster, Daemon, Fleet, SOON, wait_until};

/// The lines of this level, without their time.
fn lines(daemon: &Daemon, level: &str) -> Vec<String> {
    let log = daemon.log();
    let fields = log.lines().filter_map(|line| line.split_once('\t'));
    let of_level = fields.filter(|(_, line)| line.contains(&format!("\t{level}\t")));
    of_level.map(|(_, line)| line.to_owned()).collect()
}

#[test]
fn a_correct_setup_starts_without_a_warning_and_two_primaries_are_an_error() {
    let Some(mut cluster) = Cluster::start(&["s1", "s2"]) else {
        return;
    };
    let fleet = Fleet::start(&cluster, |_, _| ());
    let everybody = ["p", "s1", "s2", OBSERVER];
    for daemon in everybody.map(|name| &fleet[name]) {
        for level in ["WARNING", "ERROR"] {
            assert!(lines(daemon, level).is_empty(), "{}", daemon.log());
        }
        assert!(!daemon.log().contains("remote_conns changed"));
        assert!(lines(daemon, "INFO").contains(&"lookout\tINFO\tthe primary is p".to_owned()));
    }
    cluster["s1"].query("SELECT pg_promote()");
    for daemon in everybody.map(|name| &fleet[name]) {
        wait_until("it is an error", SOON, || {
            let errors = lines(daemon, "ERROR");
            let split = "lookout\tERROR\tsplit brain: multiple primaries (p, s1)";
            errors.iter().any(|line| line.starts_with(split))
        });
        wait_until("the alert is a line", SOON, || {
            let mut infos = lines(daemon, "INFO").into_iter();
            infos.any(|line| line.ends_with("/multiple_master_warning written"))
        });
    }
    // The one whose place was taken.
    cluster["p"].kill_nine_all();
    for daemon in everybody.map(|name| &fleet[name]) {
        wait_until("it is over", SOON, || {
            let infos = lines(daemon, "INFO");
            let over = "lookout\tINFO\tone primary at most is reachable again";
            infos.iter().any(|line| line.starts_with(over))
        });
        assert!(daemon.has_alert("multiple_master_warning"));
    }
}
