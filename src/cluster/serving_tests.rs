//! Which traffic a server gets; see `scenario`.

use super::super::NodeMap;
use super::super::scenario::{config, mono, state};
use super::{Serving, Unfit};

/// At 10 s: may s1 take writes, may it be read as a standby that is 0x10 bytes behind at most, may it
/// be read at all.
#[track_caller]
fn check(facts: &str, writes: &str, replica: &str, reads: &str) {
    check_with("", facts, writes, replica, reads);
}

#[track_caller]
fn check_with(settings: &str, facts: &str, writes: &str, replica: &str, reads: &str) {
    let own = format!(
        r#""own_db": "s1", "poll_timeout": 2, "db_poll_interval": 2{}{settings}"#,
        if settings.is_empty() { "" } else { ", " }
    );
    let config = config(&own);
    let state = state(&config, facts);
    let now = mono(10.0);
    let map = NodeMap::new(&config, &state, Some(&"p".into()), now);
    let serving = Serving {
        config: &config,
        state: &state,
        map: &map,
        now,
    };
    let name = |found: Result<(), Unfit>| found.map_or_else(Unfit::name, |()| "yes");
    let node = "s1".into();
    let found = [
        serving.takes_writes(&node),
        serving.is_replica(&node, Some(16)),
        serving.takes_reads(&node, None),
    ];
    assert_eq!(found.map(name), [writes, replica, reads], "{facts}");
}

/// Everybody else was polled.
const OTHERS: &str = "9 s2 standby 0/50; 9 o1 unreachable; 9 o2 unreachable";

#[test]
fn a_standby_is_read_within_the_lag() {
    let standby = |lsn| format!("{OTHERS}; 9 p primary 0/50; 9 s1 standby {lsn}");
    check(&standby("0/50"), "standby", "yes", "yes");
    check(&standby("0/40"), "standby", "yes", "yes");
    check(&standby("0/3F"), "standby", "lag", "yes");
    // It counts what can be read, not what was received.
    check(&standby("0/50+0/30"), "standby", "lag", "yes");
    // A lost primary's last position goes on counting; without any nobody knows.
    check(
        &format!("{}; 9.5 p unreachable", standby("0/3F")),
        "standby",
        "lag",
        "yes",
    );
    check(
        &format!("{OTHERS}; 9 p unreachable; 9 s1 standby 0/50"),
        "standby",
        "lag",
        "yes",
    );
}

#[test]
fn the_one_primary_takes_writes() {
    let primary = format!("{OTHERS}; 5 p primary 0/50; 6 p unreachable; 9 s1 primary 0/60");
    check(&primary, "yes", "primary", "yes");
    // It goes on when the one comes back that it has replaced, and not where nobody knows which one
    // is the newer.
    check(
        &format!("{primary}; 9.5 p primary 0/60"),
        "yes",
        "primary",
        "yes",
    );
    let two = format!("{OTHERS}; 9 p primary 0/50; 9 s1 primary 0/60");
    check(&two, "several_primaries", "primary", "several_primaries");
    check(
        &format!("{primary}; 9.5 s1 unreachable"),
        "unreachable",
        "unreachable",
        "unreachable",
    );
}

#[test]
fn an_old_primary_that_comes_back_gets_nothing() {
    let back = format!("{OTHERS}; 5 s1 primary 0/50; 6 s1 unreachable; 7 p primary 0/60");
    check(
        &format!("{back}; 9 s1 primary 0/70"),
        "superseded",
        "primary",
        "superseded",
    );
    check(
        &format!("{back}; 8 p unreachable; 9 s1 primary 0/70"),
        "superseded",
        "primary",
        "superseded",
    );
    check(
        &format!("{back}; 9 s1 standby 0/60; 9.5 p primary 0/60"),
        "standby",
        "yes",
        "yes",
    );
}

#[test]
fn before_everybody_was_polled_there_may_be_another_primary() {
    let own = "9 s1 primary 0/50; 9 p unreachable; 9 s2 standby 0/50; 9 o1 unreachable";
    check(own, "not_yet_polled", "primary", "not_yet_polled");
    check(&format!("{own}; 9 o2 unreachable"), "yes", "primary", "yes");
    let late = r#""poll_observers_on_warning_only": true"#;
    check_with(late, own, "yes", "primary", "yes");
    check(
        "9 p unreachable",
        "unreachable",
        "unreachable",
        "unreachable",
    );
}

#[test]
fn an_old_poll_is_none() {
    check(
        &format!("{OTHERS}; 3.9 s1 standby 0/50"),
        "unreachable",
        "unreachable",
        "unreachable",
    );
    check(
        &format!("{OTHERS}; 4.1 p primary 0/50; 4.1 s1 standby 0/50"),
        "standby",
        "yes",
        "yes",
    );
}

#[test]
fn what_has_diverged_is_not_read() {
    let ahead =
        format!("{OTHERS}; 4 s1 standby 0/60; 5 p primary 0/50 asked=4.5; 9 s1 standby 0/60");
    check(&ahead, "standby", "diverged", "diverged");
}

#[test]
fn an_observers_poll_counts_for_other_servers_only() {
    let seen = |own| {
        format!(
            "{OTHERS}; 9 p unreachable; 9 s1 unreachable; 9.5 o1 at 9.5: s1=up@9; 9.5 o2 at 9.5:{own}"
        )
    };
    check(&seen(""), "unreachable", "unreachable", "unreachable");
    let own = r#""own_db": "s2""#;
    check_with(own, &seen(""), "yes", "primary", "yes");
}
