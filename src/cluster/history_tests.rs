//! What outlives the next poll; see `scenario`.

use super::super::NodeMap;
use super::super::scenario::{config, learn, mono, remembering, seconds, state};
use crate::cluster::ClusterState;

/// Who is superseded by whom.
#[track_caller]
fn check_superseded(facts: &str, expected: &str) {
    let state = state(&config(""), facts);
    let pairs = state.history.superseded.iter();
    let pairs: Vec<_> = pairs.map(|(node, by)| format!("{node}<{by}")).collect();
    assert_eq!(pairs.join(" "), expected, "{facts}");
}

/// Which standbys have diverged, and the positions that prove it.
#[track_caller]
fn check_diverged(facts: &str, expected: &str) {
    let state = state(&config(""), facts);
    let diverged = state.history.diverged.iter();
    let diverged: Vec<_> = diverged
        .map(|(node, lsn)| format!("{node}@{lsn}"))
        .collect();
    assert_eq!(diverged.join(" "), expected, "{facts}");
}

/// When the sender of the WAL that s1 received lived, and who polled s1.
#[track_caller]
fn check_received(facts: &str, expected: &str) {
    let state = state(&config(""), facts);
    let received = state.history.received.get("s1");
    let received = received.map(|it| format!("{} {}", seconds(it.at), it.witness));
    assert_eq!(received.unwrap_or_default(), expected, "{facts}");
}

fn role(state: &ClusterState, node: &str) -> String {
    state.history.roles.get(node).map_or(String::new(), |role| {
        let name = if role.is_primary {
            "primary"
        } else {
            "standby"
        };
        format!("{name} {} {}", seconds(role.at), role.witness)
    })
}

#[test]
fn a_role_lasts_until_another_one_is_reported() {
    for (facts, expected) in [
        ("5 s1 standby; 9 s1 unreachable", "standby 5 own poll"),
        ("5 o1 at 5: s1=standby@4,0/50", "standby 4 observer o1"),
        (
            "5 o1 at 5: s1=standby@4,0/50; 9 o1 at 9:",
            "standby 4 observer o1",
        ),
        (
            "5 o1 at 5: s1=standby@4,0/50; 9 o1 unreachable",
            "standby 4 observer o1",
        ),
        (
            "5 o1 at 5: s1=standby@4,0/50; 9 o1 at 9: s1=untold@8",
            "standby 4 observer o1",
        ),
        (
            "5 o1 at 5: s1=standby@4,0/50; 9 o1 at 9: s1=up@8",
            "primary 8 observer o1",
        ),
        ("5 s1 standby; 9 s1 primary", "primary 9 own poll"),
        // Another's report is later by more than its times are exact, or it does not count.
        ("5 s1 standby; 7 o1 at 7: s1=up@6", "standby 5 own poll"),
        (
            "5 s1 standby; 7 o1 at 7: s1=up@6.001",
            "primary 6.001 observer o1",
        ),
        (
            "5 s1 standby; 7.5 o1 at 7.5: s1=up@5.001",
            "primary 5.001 observer o1",
        ),
        ("5 s1 standby; 9 o1 at 9: s1=lost@8,4", "standby 5 own poll"),
        // We know best about ourselves.
        ("9 o1 at 9: s2=up@8", ""),
    ] {
        let state = state(&config(""), facts);
        let node = if facts.contains("s2") { "s2" } else { "s1" };
        assert_eq!(role(&state, node), expected, "{facts}");
    }
}

#[test]
fn that_a_node_was_a_standby_outlives_its_leaving() {
    let (both, alone) = (config(""), config(r#""remote_conns": {"s2": "host=s2"}"#));
    let mut state = state(&both, "5 p primary; 5 s1 standby; 5 s2 standby");
    state.adopt(&alone);
    assert_eq!(state.history.is_primary(&"s1".into()), Some(false));
    assert_eq!(state.history.is_primary(&"p".into()), None);
}

#[test]
fn a_primary_is_superseded_by_one_that_answers_while_it_is_not_connected() {
    check_superseded("5 p primary; 9 p unreachable; 9 s1 primary", "p<s1");
    check_superseded("5 p primary; 9 s1 primary", "");
    check_superseded("5 p primary; 9 s1 primary; 14 p unreachable", "");
    check_superseded(
        "5 p primary; 9 s1 primary; 14 p unreachable; 15 s1 primary",
        "p<s1",
    );
    // The remembered one without a role of its own, but not before it was polled.
    check_superseded("9 p unreachable; 9 s1 primary", "p<s1");
    check_superseded("9 s1 primary", "");
    // One that an observer reaches is connected.
    check_superseded(
        "5 p primary; 9 p unreachable; 9 o1 at 9: p=up@8; 9 s1 primary",
        "",
    );
    check_superseded(
        "5 p primary; 9 p unreachable; 9 o1 at 9: p=up@8; 18.1 s1 primary",
        "p<s1",
    );
    // Only an answer to us proves it.
    check_superseded("5 p primary; 9 p unreachable; 9 o1 at 9: s1=up@8", "");
    // One server under two names is not its own successor.
    check_superseded(
        "5 p primary system=A started=1; 9 p unreachable; 9 s1 primary system=A started=1",
        "",
    );
    check_superseded(
        "5 p primary system=A started=1; 9 p unreachable; 9 s1 primary system=A started=2",
        "p<s1",
    );
}

#[test]
fn a_higher_timeline_supersedes_a_lower_one_never() {
    check_superseded("5 p primary timeline=1; 9 s1 primary timeline=2", "p<s1");
    check_superseded("5 p primary timeline=1; 9 s1 primary timeline=1", "");
    let lost = "5 p primary timeline=2; 9 p unreachable;";
    check_superseded(&format!("{lost} 9 s1 primary timeline=1"), "s1<p");
    check_superseded(&format!("{lost} 9 s1 primary timeline=2"), "p<s1");
    check_superseded(&format!("{lost} 9 s1 primary"), "p<s1");
    // A timeline that only an observer reported counts as well.
    let observed = "4 o1 at 4: p=up@3|timeline=2; 9 p unreachable; 20 o1 unreachable;";
    check_superseded(&format!("{observed} 20 s1 primary timeline=1"), "");
}

#[test]
fn a_superseded_primary_supersedes_nobody() {
    let returned = "5 p primary; 9 p unreachable; 9 s1 primary; 14 s1 unreachable; 15 p primary";
    check_superseded(returned, "p<s1");
    check_superseded(&format!("{returned}; 20 p primary"), "p<s1");
}

#[test]
fn superseding_ends_with_a_standby() {
    let superseded = "5 p primary; 9 p unreachable; 9 s1 primary";
    check_superseded(&format!("{superseded}; 15 p standby"), "");
    check_superseded(&format!("{superseded}; 15 s1 standby"), "");
    check_superseded(&format!("{superseded}; 15 s1 unreachable"), "p<s1");
    // By our own poll: what an observer relays may be old.
    check_superseded(
        &format!("{superseded}; 15 o1 at 15: p=standby@14,0/50"),
        "p<s1",
    );
}

#[test]
fn superseding_ends_when_the_successor_leaves_or_is_gone() {
    let usual = config("");
    for (settings, expected) in [
        (r#""known_gone_nodes": ["s1"]"#, 0),
        (r#""known_gone_nodes": ["s2"]"#, 1),
        (r#""remote_conns": {"p": "host=p", "s2": "host=s2"}"#, 0),
        (r#""remote_conns": {"s1": "host=s1", "s2": "host=s2"}"#, 0),
    ] {
        let mut state = state(&usual, "5 p primary; 9 p unreachable; 9 s1 primary");
        state.adopt(&config(settings));
        assert_eq!(state.history.superseded.len(), expected, "{settings}");
    }
}

#[test]
fn a_known_gone_node_is_one_until_it_is_reached_as_a_primary() {
    let config = config(r#""known_gone_nodes": ["p"]"#);
    for (facts, is_gone) in [
        ("5 p refused", true),
        ("5 p standby", true),
        ("5 p primary", false),
        ("5 p primary; 9 p unreachable", false),
        ("9 o1 at 9: p=up@8", false),
        ("9 o1 at 9: p=lost@8,7", true),
        ("30 o1 at 30: p=up@20", true),
    ] {
        let mut state = state(&config, facts);
        assert_eq!(state.history.gone.contains("p"), is_gone, "{facts}");
        // Until the next reload.
        state.adopt(&config);
        assert!(state.history.gone.contains("p"), "{facts}");
    }
}

#[test]
fn wal_proves_its_sender_at_the_poll_before() {
    check_received("1 s1 standby 0/50; 5 s1 standby 0/60", "1 own poll");
    check_received("1 s1 standby 0/50; 5 s1 standby 0/50", "");
    check_received("1 s1 standby 0/50; 5 s1 standby 0/40", "");
    check_received("1 s1 standby -; 5 s1 standby 0/60", "");
    check_received("1 s1 primary 0/50; 5 s1 standby 0/60", "");
    // What is replayed from an archive was not received.
    check_received("1 s1 standby 0/50+0/40; 5 s1 standby 0/50+0/60", "");
    check_received(
        "1 s1 standby 0/50; 5 s1 standby 0/60; 9 s1 standby 0/60",
        "1 own poll",
    );
    check_received(
        "1 s1 standby 0/50; 5 s1 standby 0/60; 9 s1 standby 0/70",
        "5 own poll",
    );
    // The poll before may be up to two poll intervals of 5 s old, else it proves too little.
    check_received("1 s1 standby 0/50; 11 s1 standby 0/60", "1 own poll");
    check_received(
        "1 s1 standby 0/50; 11.001 s1 standby 0/60",
        "11.001 own poll",
    );
}

#[test]
fn wal_that_another_standby_had_proves_no_primary() {
    let grew = "1 s1 standby 0/50; 5 s1 standby 0/60";
    check_received(&format!("0 s2 standby 0/5F; {grew}"), "1 own poll");
    check_received(&format!("0 s2 standby 0/60; {grew}"), "");
    check_received(&format!("0 s2 standby 0/50+0/60; {grew}"), "");
    check_received(
        &format!("0 s2 standby 0/60; 0.5 s2 unreachable; {grew}"),
        "",
    );
    check_received(
        &format!("0 o1 at 0: s2=standby@0,0/70; {grew}"),
        "1 own poll",
    );
    check_received(
        "0 o1 at 0: p=standby@0,0/70; 1 s1 standby 0/50; 5 s1 standby 0/60",
        "",
    );
    // Only a standby of this history can have sent it: not a primary, nor one that has diverged, nor
    // one of another system.
    check_received(&format!("0 p primary 0/70; {grew}"), "1 own poll");
    check_received(
        &format!("0 s2 standby 0/70; 0.1 p primary 0/50 asked=0; 0.2 p unreachable; {grew}"),
        "1 own poll",
    );
    check_received(
        &format!("0 p primary 0/10 system=A; 0 s2 standby 0/70 system=B; {grew}"),
        "1 own poll",
    );
}

#[test]
fn wal_by_an_observers_polls() {
    let before = "4 o1 at 4: s1=standby@3,0/50; 9 o1 at 9:";
    check_received(&format!("{before} s1=standby@8,0/60"), "3 observer o1");
    check_received(&format!("{before} s1=gone@8,0/60"), "");
    check_received(&format!("{before} s1=standby@8,0/50"), "");
    check_received("4 o1 at 4: s1=untold@3; 9 o1 at 9: s1=standby@8,0/60", "");
    // Its times are its own: its clock is 100 s ahead.
    check_received(
        "4 o1 at 104: s1=standby@103,0/50; 9 o1 at 109: s1=standby@108,0/60",
        "3 observer o1",
    );
    // An observer knows nothing better of our own node.
    let own = "4 o1 at 4: s2=standby@3,0/50; 9 o1 at 9: s2=standby@8,0/60";
    assert!(state(&config(""), own).history.received.is_empty());
}

#[test]
fn a_standby_ahead_of_the_last_primary_has_diverged() {
    check_diverged("0 s1 standby 0/60; 5 p primary 0/50", "s1@0/60");
    check_diverged("0 s1 standby 0/50+0/60; 5 p primary 0/50", "s1@0/60");
    check_diverged("0 s1 standby 0/50; 5 p primary 0/50", "");
    check_diverged("0 s1 standby 0/60; 5 p primary -", "");
    // The primary was asked later than the standby reported its position.
    check_diverged("4 s1 standby 0/60; 5 p primary 0/50 asked=4", "s1@0/60");
    check_diverged("4 s1 standby 0/60; 5 p primary 0/50 asked=3.9", "");
    // Unknown is when it was asked: 5 s ago at the earliest.
    check_diverged("4 s1 standby 0/60; 9 p primary 0/50", "s1@0/60");
    check_diverged("4.1 s1 standby 0/60; 9 p primary 0/50", "");
    // Of another system it says nothing.
    check_diverged("0 s1 standby 0/60 system=B; 5 p primary 0/50 system=A", "");
    // A superseded primary is not the last one.
    check_diverged(
        "5 p primary 0/50; 9 p unreachable; 9 s1 primary 0/60; 10 s2 standby 0/70; 20 p primary 0/50",
        "",
    );
}

#[test]
fn a_diverged_standby_that_reports_a_lower_position_was_rebuilt() {
    let diverged = "1 s1 standby 0/60; 5 p primary 0/50 asked=4";
    check_diverged(&format!("{diverged}; 9 s1 standby 0/60"), "s1@0/60");
    check_diverged(&format!("{diverged}; 9 s1 standby 0/70"), "s1@0/60");
    check_diverged(&format!("{diverged}; 9 s1 standby 0/5F"), "");
    // Back among the others only when the primary has not caught up with it meanwhile.
    check_diverged(&format!("{diverged}; 9 p primary 0/90"), "s1@0/60");
    // By an observer's poll that is later than our own last one.
    let seen = |s1: &str| format!("{diverged}; 9 o1 at 9: s1=standby@{s1}");
    check_diverged(&seen("8,0/5F"), "");
    check_diverged(&seen("2,0/5F"), "s1@0/60");
    check_diverged(&seen("0.5,0/5F"), "s1@0/60");
    check_diverged(&seen("8,0/60"), "s1@0/60");
    check_diverged(&seen("8"), "s1@0/60");
    check_diverged(&seen("8,0/5F").replace("standby@", "gone@"), "s1@0/60");
}

#[test]
fn a_diverged_standby_on_the_primarys_timeline_was_rebuilt() {
    let of = |before: &str, primary: &str, after: &str| {
        format!(
            "1 s1 standby 0/60{before}; 5 p primary 0/50 asked=4{primary}; \
             9 p primary 0/90{primary}; 10 s1 standby 0/90{after}"
        )
    };
    let [one, two, three] = [" timeline=1", " timeline=2", " timeline=3"];
    check_diverged(&of(one, two, two), "");
    check_diverged(&of(one, two, one), "s1@0/60@1");
    check_diverged(&of(one, two, three), "s1@0/60@1");
    check_diverged(&of(one, two, ""), "s1@0/60@1");
    // On one timeline, or where none is known, only a position can tell.
    check_diverged(&of(two, two, two), "s1@0/60@2");
    check_diverged(&of("", two, two), "s1@0/60");
    check_diverged(&of(one, "", one), "s1@0/60@1");
    let seen = of(one, two, one) + "; 20 o1 at 20: s1=standby@19,0/90|timeline=2";
    check_diverged(&seen, "");
}

#[test]
fn the_last_primary_with_its_position_and_timeline() {
    for (facts, expected) in [
        ("5 p primary 0/50 timeline=1", "p 0/50 1 since 5 at 5"),
        (
            "5 p primary timeline=1; 9 p primary 0/60 timeline=1",
            "p 0/60 1 since 5 at 9",
        ),
        (
            "5 p primary timeline=1; 9 p primary 0/60 timeline=2",
            "p 0/60 2 since 9 at 9",
        ),
        (
            "5 p primary timeline=1; 9 p unreachable",
            "p 0/50 1 since 5 at 5",
        ),
        (
            "5 p primary timeline=1; 9 p standby timeline=1",
            "p 0/50 1 since 5 at 5",
        ),
        (
            "5 p primary timeline=1; 9 p unreachable; 9 s1 primary 0/70 timeline=2",
            "s1 0/70 2 since 9 at 9",
        ),
        // A superseded one is none.
        (
            "5 p primary timeline=1; 9 s1 primary 0/70 timeline=2; 9 p primary timeline=1",
            "s1 0/70 2 since 9 at 9",
        ),
    ] {
        let last = state(&config(""), facts).history.last_primary.unwrap();
        let found = format!(
            "{} {} {} since {} at {}",
            last.node,
            last.lsn.unwrap(),
            last.timeline.unwrap(),
            seconds(last.since),
            seconds(last.at)
        );
        assert_eq!(found, expected, "{facts}");
    }
}

#[test]
fn the_last_wal_of_the_standbys_that_leave_still_proves_a_primary() {
    let own = config(r#""remote_conns": {"s2": "host=s2"}"#);
    let grew = "1 s1 standby 0/50; 2 s3 standby 0/50; 5 s1 standby 0/60; 6 s3 standby 0/70";
    for (facts, expected) in [
        (grew.to_owned(), "s3 2"),
        (
            format!("{grew}; 9 s2 standby 0/70; 12 s2 standby 0/80"),
            "s2 9, s3 2",
        ),
    ] {
        let three = r#""remote_conns": {"s1": "host=s1", "s2": "host=s2", "s3": "host=s3"}"#;
        let mut state = state(&config(three), &facts);
        state.adopt(&own);
        let received = state.history.received.iter();
        let received = received.map(|(node, it)| format!("{node} {}", seconds(it.at)));
        assert_eq!(received.collect::<Vec<_>>().join(", "), expected, "{facts}");
    }
}

#[test]
fn what_leaves_the_configuration_is_forgotten() {
    let alone = config(r#""remote_conns": {"s2": "host=s2"}"#);
    let mut state = remembering(
        Some("p"),
        &config(""),
        "1 s1 standby 0/60; 5 p primary 0/50 asked=4; 9 s1 standby 0/70",
    );
    let history = &state.history;
    assert!(history.diverged.len() == 1 && history.grew.len() == 1);
    assert_eq!(history.received.len(), 1);
    state.adopt(&alone);
    let history = &state.history;
    assert!(history.diverged.is_empty() && history.grew.is_empty());
    assert_eq!(history.received.len(), 1);
    learn(&mut state, &alone, "10 s1 standby 0/90");
    assert!(!state.nodes.contains_key("s1"));
    let map = NodeMap::new(&alone, &state, None, mono(11.0));
    assert!(map.standbys.is_empty());
}
