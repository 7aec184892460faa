//! The decision: facts and the moment in, one sentence out; see `cluster::scenario`. We are s2; the
//! primary is p.

use super::*;
use crate::cluster::scenario::{config, mono, seconds, state};

/// What is decided on `facts` at a `moment`: seconds, then any of `fresh`, `maintenance`,
/// `promoting`, `unsettled`, `warned`, `forgotten` (no primary has been seen yet), `changed@SECONDS`
/// (of the nodes), `former@SECONDS` (contact of a former process), `standby@NODE` (to a former
/// process).
fn decided(settings: &str, facts: &str, moment: &str) -> Decision {
    let (config, words) = (config(settings), moment.split(' ').collect::<Vec<_>>());
    let (now, primary) = (mono(words[0].parse().unwrap()), NodeName::from("p"));
    let at = |what: &str| {
        words
            .iter()
            .find_map(|word| Some(mono(word.strip_prefix(what)?.parse().unwrap())))
    };
    let remembered = (!words.contains(&"forgotten")).then_some(&primary);
    let state = state(&config, facts);
    let map = NodeMap::new(&config, &state, remembered, now);
    let former: Vec<_> = at("former@")
        .map(|at| (primary.clone(), at))
        .into_iter()
        .collect();
    let standbys = words
        .iter()
        .filter_map(|word| word.strip_prefix("standby@"))
        .map(NodeName::from)
        .collect();
    decide(&Snapshot {
        config: &config,
        state: &state,
        map: &map,
        remembered,
        previous_contacts: &former,
        previous_standbys: &standbys,
        nodes_changed_at: at("changed@").unwrap_or(mono(0.0)),
        fresh: words.contains(&"fresh"),
        maintenance: words.contains(&"maintenance"),
        lag_warning: words.contains(&"warned"),
        promoting: words.contains(&"promoting"),
        held_off_until: at("held@"),
        tried_until: at("tried@"),
        unsettled: words.contains(&"unsettled"),
        now,
    })
}

/// One sentence per decision. Nothing secret is in it.
#[track_caller]
fn check(settings: &str, facts: &str, moment: &str, sentence: &str) {
    let decision = decided(settings, facts, moment);
    assert_eq!(
        decision.verdict.to_string(),
        sentence,
        "{facts} at {moment}"
    );
    assert!(!format!("{decision:?}").contains("hush"), "{decision:?}");
}

/// When the decision would come out differently by the mere passing of time.
#[track_caller]
fn looks_again(facts: &str, moment: &str, expected: Option<f64>) {
    let again = decided("", facts, moment).verdict.look_again_at();
    assert_eq!(again.map(seconds), expected, "{facts} at {moment}");
}

const LOST: &str = "5 p primary; 299 p unreachable; 299 s1 standby; 299 s2 standby";
const LAGGING: &str = "5 s2 standby 0/50 1; 299 s1 standby; 299 s2 standby 0/50 130";

#[test]
fn who_decides() {
    check(
        r#""own_db": """#,
        "5 p primary; 5 s1 standby",
        "6",
        "observing: the primary is p",
    );
    check(
        r#""own_db": """#,
        LOST,
        "300",
        "observing: no primary is reachable",
    );
    let two = "split brain: multiple primaries (p, s1); manual intervention required";
    check(r#""own_db": """#, "5 p primary; 5 s1 primary", "6", two);
    check(
        r#""own_db": "p""#,
        LOST,
        "300",
        "this node, p, is the primary",
    );
    check(
        r#""own_db": "p""#,
        "5 p primary; 9 p standby; 299 s1 standby; 299 p standby",
        "300 fresh",
        "not promoting: the preferred candidate is s1 at 0/50, this node is p at 0/50",
    );
    check(
        "",
        "5 p primary; 9 s2 unreachable",
        "10",
        "no standby is known: s2 has nothing to promote",
    );
}

#[test]
fn a_reachable_primary() {
    check(
        "",
        "299 p primary; 299 s2 standby",
        "300",
        "primary p is reachable (own poll)",
    );
    check(
        "",
        &format!("{LOST}; 299 o1 at 299: p=up@298"),
        "300",
        "primary p is reachable (observer o1)",
    );
    let two = "split brain: multiple primaries (p, s1); manual intervention required";
    check(
        "",
        "299 p primary; 299 s1 primary; 299 s2 standby",
        "300",
        two,
    );
    check(
        "",
        "299 p primary; 299 s1 primary; 5 s2 standby; 299 s2 standby 0/50 500",
        "300 fresh",
        two,
    );
}

#[test]
fn a_primary_that_is_gone() {
    let again = "re-polling all nodes:";
    check(
        "",
        LOST,
        "300",
        &format!("{again} primary p is unreachable"),
    );
    check(
        "",
        "5 p primary; 299 p standby; 299 s2 standby",
        "300",
        &format!("{again} p is no longer a primary, and there is no other"),
    );
    let removed = r#""remote_conns": {"s1": "host=s1", "s2": "host=s2"}"#;
    check(
        removed,
        LOST,
        "300",
        &format!("{again} primary p was removed from remote_conns"),
    );
    let off = r#""failover_on_disconnect": false"#;
    check(
        off,
        LOST,
        "300",
        "no failover: primary p is unreachable, but failover_on_disconnect is false",
    );
    check(
        "",
        LOST,
        "300 fresh changed@285.5",
        "no failover: remote_conns changed 14.500 s ago, a missing primary is waited for 15.000 s",
    );
    looks_again(LOST, "300 fresh changed@285.5", Some(300.5));
    let promoting = "promoting s2 at 0/50: primary p is unreachable, last reached 295.000 s ago; 2 of 3 votes, 2 required";
    check("", LOST, "300 fresh changed@285", promoting);
    check("", LOST, "300 fresh", promoting);
    check(
        r#""known_gone_nodes": ["p"]"#,
        LOST,
        "300 fresh changed@299",
        "promoting s2 at 0/50: primary p is unreachable; 2 of 3 votes, 2 required",
    );
    check(
        removed,
        LOST,
        "300 fresh",
        "promoting s2 at 0/50: primary p was removed from remote_conns; 2 of 3 votes, 2 required",
    );
}

#[test]
fn a_primary_that_was_never_seen() {
    let facts = "99 s1 standby; 99 s2 standby; 99 p unreachable";
    check(
        "",
        facts,
        "100 forgotten",
        "no failover: no primary has been seen yet, and the role of p is unknown: waited 100.000 s of 120.000 s",
    );
    looks_again(facts, "100 forgotten", Some(120.0));
    check(
        "",
        facts,
        "100 forgotten changed@50",
        "no failover: no primary has been seen yet, and the role of p is unknown: waited 50.000 s of 120.000 s",
    );
    let promoting = "promoting s2 at 0/50: no primary has been seen yet; 2 of 3 votes, 2 required";
    let later = "299 s1 standby; 299 s2 standby; 299 p unreachable";
    check("", later, "300 forgotten", promoting);
    check(
        "",
        "1 s1 standby; 1 s2 standby; 1 p standby 0/40",
        "2 forgotten",
        "promoting s2 at 0/50: no primary has been seen yet; 3 of 4 votes, 2 required",
    );
    // While the wait is on, lag is not looked at.
    let lag = decided(
        "",
        "5 s2 standby 0/50 1; 99 s2 standby 0/50 90",
        "100 forgotten",
    )
    .lag;
    assert_eq!(
        (lag.change, lag.over_failover_limit),
        (LagChange::None, false)
    );
}

#[test]
fn lag() {
    let primary = format!("{LAGGING}; 299 p primary");
    check(
        "",
        &primary,
        "300",
        "lag of 130.000 s exceeds the warning limit of 30.000 s",
    );
    check(
        "",
        &primary,
        "300 warned",
        "no failover: primary p is reachable (own poll)",
    );
    let off = r#""failover_on_disconnect": false"#;
    let lost = format!("5 p primary; {LAGGING}; 299 p unreachable");
    check(
        off,
        &lost,
        "300 warned",
        "promoting s2 at 0/50: lag of 130.000 s exceeds the failover limit of 120.000 s, last reached 295.000 s ago; 2 of 3 votes, 2 required",
    );
    for (facts, moment, expected) in [
        (
            "5 s2 standby 0/50 29.999999",
            "6",
            (Some(29.999_999), LagChange::None, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 30",
            "6",
            (Some(30.0), LagChange::Raised, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 130",
            "6",
            (Some(130.0), LagChange::Raised, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 119",
            "6 warned",
            (Some(119.0), LagChange::None, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby 0/50 120",
            "6 warned",
            (Some(120.0), LagChange::None, true),
        ),
        (
            "5 s2 standby 0/50 0",
            "6 warned",
            (Some(0.0), LagChange::Cleared, false),
        ),
        (
            "5 s2 standby 0/50 -",
            "6 warned",
            (None, LagChange::None, false),
        ),
        // Restoring, then catching up, but not for longer than 300 s after streaming began.
        (
            "5 s2 standby - 500",
            "900 warned",
            (None, LagChange::None, false),
        ),
        (
            "5 s2 standby 0/50 500",
            "305 warned",
            (None, LagChange::None, false),
        ),
        (
            "5 s2 standby 0/50 500",
            "305.000001 warned",
            (Some(500.0), LagChange::None, true),
        ),
        (
            "5 s2 standby 0/50 30; 6 s2 standby 0/50 500",
            "7",
            (None, LagChange::None, false),
        ),
        (
            "5 s2 standby 0/50 29; 6 s2 standby - 500",
            "7",
            (None, LagChange::None, false),
        ),
    ] {
        let found = decided("", &format!("5 p primary; {facts}"), moment).lag;
        let lag = found.lag.map(|lag| lag.as_secs_f64());
        assert_eq!(
            (lag, found.change, found.over_failover_limit),
            expected,
            "{facts} at {moment}"
        );
    }
}

#[test]
fn the_primary_lives_or_did_just_now() {
    let refused = "5 p primary; 299 p refused; 299 s1 standby; 299 s2 standby";
    check(
        "",
        refused,
        "300 fresh",
        "no failover: p is alive but rejects connections: rejected by the server: as scripted",
    );
    let untold = "299 p authentication; 299 s1 standby; 299 s2 standby";
    check(
        "",
        untold,
        "300 forgotten",
        "no failover: p is alive but rejects connections: authentication rejected: as scripted",
    );
    let wal = format!("{LOST}; 298 s1 standby 0/40; 299 s1 standby 0/50");
    check(
        "",
        &wal,
        "300 fresh",
        "no failover: standby s1 received WAL 1.000 s ago, its sender may be alive",
    );
    looks_again(&wal, "300 fresh", Some(304.0));
    let contact = "250 p primary; 299 p unreachable; 299 s1 standby; 299 s2 standby";
    check(
        "",
        contact,
        "300 fresh",
        "no failover: p was last reached as a primary 50.000 s ago (own poll), the limit is 120.000 s",
    );
    looks_again(contact, "300 fresh", Some(370.0));
    let observed = format!("{LOST}; 299 o1 at 299: p=lost@298,200");
    check(
        "",
        &observed,
        "300 fresh",
        "no failover: p was last reached as a primary 100.000 s ago (observer o1), the limit is 120.000 s",
    );
    check(
        "",
        LOST,
        "300 fresh former@290",
        "no failover: p was last reached as a primary 10.000 s ago (own poll), the limit is 120.000 s",
    );
    // Whatever that node is now.
    let demoted =
        "250 p primary; 260 p standby 0/40; 299 p standby 0/40; 299 s1 standby; 299 s2 standby";
    check(
        "",
        demoted,
        "300 fresh",
        "no failover: p was last reached as a primary 50.000 s ago (own poll), the limit is 120.000 s",
    );
}

#[test]
fn who_goes_first() {
    let ahead = "5 p primary; 299 p unreachable; 299 s1 standby 0/60; 299 s2 standby";
    check(
        "",
        ahead,
        "300 fresh",
        "not promoting: the preferred candidate is s1 at 0/60, this node is s2 at 0/50",
    );
    // The receive position of a node fed from an archive lies behind what it replays.
    let archive = "5 p primary; 299 p unreachable; 299 s1 standby 0/60; 299 s2 standby 0/50+0/70";
    check(
        "",
        archive,
        "300 fresh",
        "promoting s2 at 0/70: primary p is unreachable, last reached 295.000 s ago; 2 of 3 votes, 2 required",
    );
    let preferred = r#""failover_priorities": {"s1": 3}"#;
    check(
        preferred,
        LOST,
        "300 fresh",
        "not promoting: the preferred candidate is s1 at 0/50 with priority 3, this node is s2 at 0/50",
    );
    // Only among equals: nothing that a standby has received is given away.
    check(
        r#""failover_priorities": {"s2": 3}"#,
        ahead,
        "300 fresh",
        "not promoting: the preferred candidate is s1 at 0/60, this node is s2 at 0/50 with priority 3",
    );
    check(
        r#""never_promote_these_nodes": ["s2"]"#,
        LOST,
        "300 fresh",
        "not promoting: the preferred candidate is s1 at 0/50, this node is not a candidate",
    );
    let nobody = "no failover: no reachable standby with a recent poll may be promoted";
    check(
        r#""never_promote_these_nodes": ["s1", "s2"]"#,
        LOST,
        "300 fresh",
        nobody,
    );
    let old = "5 p primary; 279 p unreachable; 280 s2 standby; 279.999999 s1 standby 0/60";
    check(
        "",
        old,
        "300 fresh",
        "no failover: no quorum: 1 of 3 votes, 2 required",
    );
    let slower = r#""db_poll_interval": 10.0000005"#;
    check(
        slower,
        old,
        "300 fresh",
        "not promoting: the preferred candidate is s1 at 0/60, this node is s2 at 0/50",
    );
}

#[test]
fn what_holds_the_winner_back_in_its_order() {
    let alone = "5 p primary; 299 p unreachable; 5 s1 standby; 299 s1 unreachable; 299 s2 standby";
    let all = "300 fresh maintenance promoting unsettled";
    check(
        "",
        alone,
        all,
        "no failover: maintenance mode: /tmp/pglookout_maintenance_mode_file exists",
    );
    check(
        "",
        alone,
        "300 fresh promoting unsettled",
        "no failover: no quorum: 1 of 3 votes, 2 required",
    );
    check(
        "",
        LOST,
        "300 fresh promoting held@301 unsettled",
        "no failover: failover_command is running",
    );
    let former =
        "no failover: failover_command of the previous pglookout process may still be running";
    check("", LOST, "300 fresh held@301 unsettled", former);
    looks_again(LOST, "300 fresh held@301", Some(301.0));
    looks_again(LOST, "300 fresh held@300", None);
    check(
        "",
        LOST,
        "300 fresh unsettled",
        "no failover: failover_command succeeded, and this node has not been polled since",
    );
    let tried = "no failover: failover_command ended less than a check interval ago";
    check("", LOST, "300 fresh tried@301", tried);
    looks_again(LOST, "300 fresh tried@301", Some(301.0));
    looks_again(LOST, "300 fresh tried@300", None);
    // Who is not to be promoted does not get as far.
    let ahead = "5 p primary; 299 p unreachable; 299 s1 standby 0/60; 299 s2 standby";
    check(
        "",
        ahead,
        all,
        "not promoting: the preferred candidate is s1 at 0/60, this node is s2 at 0/50",
    );
    check(
        "",
        "5 p primary; 299 p unreachable; 299 s1 standby 0/60; 299 s2 refused",
        all,
        "not promoting: the preferred candidate is s1 at 0/60, this node is not a candidate",
    );
}

#[test]
fn a_standby_of_a_former_process_counts_until_it_tells_otherwise() {
    let untold = "5 p primary; 299 p unreachable; 299 s1 unreachable; 299 s2 standby";
    check(
        "",
        untold,
        "300 fresh standby@s1",
        "no failover: no quorum: 1 of 3 votes, 2 required",
    );
    let alone = "promoting s2 at 0/50: primary p is unreachable, last reached 295.000 s ago; 1 of 2 votes, 1 required";
    check("", untold, "300 fresh", alone);
    check(
        r#""known_gone_nodes": ["s1"]"#,
        untold,
        "300 fresh standby@s1",
        alone,
    );
    check(
        r#""never_promote_these_nodes": ["s1"]"#,
        untold,
        "300 fresh standby@s1",
        alone,
    );
    let both = "promoting s2 at 0/50: primary p is unreachable, last reached 295.000 s ago; 2 of 3 votes, 2 required";
    check("", LOST, "300 fresh standby@s1", both);
}

#[test]
fn waits_say_for_whom() {
    let until = mono(9.0);
    for (wait, name, sentence, again) in [
        (
            Wait::FirstAnswers {
                nodes: vec!["p".into(), "s1".into()],
                observers: vec!["o1".into()],
            },
            "first_answers",
            "waiting for the first poll of: p, s1, o1",
            None,
        ),
        (
            Wait::ObserversSinceWarning {
                observers: vec!["o1".into(), "o2".into()],
                until,
            },
            "observers_since_warning",
            "lag exceeds the warning limit: waiting for the next poll of: o1, o2",
            Some(until),
        ),
        (
            Wait::PauseAfterFailover { until },
            "pause_after_failover",
            "pausing after failover_command",
            Some(until),
        ),
        (
            Wait::FreshFactsOverdue,
            "fresh_facts_overdue",
            "no decision: not every node was re-polled in time",
            None,
        ),
    ] {
        let verdict = Verdict::Wait(wait);
        assert_eq!((verdict.name(), verdict.reason()), ("wait", name));
        assert_eq!(verdict.to_string(), sentence);
        assert_eq!(verdict.look_again_at(), again);
    }
}
