//! Probes merged into facts, as text; see `scenario`.

use super::super::scenario::{config, learn, remembering, seconds, state};
use super::*;
use std::collections::BTreeSet;

fn figure(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// What is known of one node after these facts: lag, lowest lag, streaming since, last contact as a
/// primary, last refusal as one (if there was any).
#[track_caller]
fn check(facts: &str, expected: &str) {
    let facts: Vec<_> = facts
        .split(';')
        .map(|fact| fact.trim().replacen(' ', " s1 ", 1))
        .collect();
    node("s1", &facts.join(";"), expected);
}

/// The same of the remembered primary.
#[track_caller]
fn check_primary(facts: &str, expected: &str) {
    let facts: Vec<_> = facts
        .split(';')
        .map(|fact| fact.trim().replacen(' ', " p ", 1))
        .collect();
    node("p", &facts.join(";"), expected);
}

#[track_caller]
fn node(name: &str, facts: &str, expected: &str) {
    let state = state(&config(""), facts);
    let node = &state.nodes[name];
    let [lag, lowest] = [node.replication_lag, node.min_replication_lag]
        .map(|lag| figure(lag.map(|lag| lag.as_secs_f64())));
    let [streaming, contact] =
        [node.streaming_since, node.primary_contact].map(|at| figure(at.map(seconds)));
    let refused = node.refused_as_primary.map(seconds);
    let refused = refused.map_or(String::new(), |at| format!(" refused {at}"));
    let found =
        format!("lag {lag} lowest {lowest} streaming {streaming} contact {contact}{refused}");
    assert_eq!(found, expected, "{facts}");
}

#[test]
fn lag_and_its_lowest() {
    check("1 standby 0/50 7", "lag 7 lowest 7 streaming 1 contact -");
    check(
        "1 standby 0/50 7; 2 standby 0/50 3; 3 standby 0/50 9",
        "lag 9 lowest 3 streaming 1 contact -",
    );
    check("1 standby 0/50 0", "lag 0 lowest 0 streaming 1 contact -");
    check("8 standby 0/50 -", "lag - lowest - streaming 8 contact -");
    check(
        "1 standby 0/50 7; 2 standby 0/50 -",
        "lag 7 lowest 7 streaming 1 contact -",
    );
    check(
        "1 standby 0/50 7; 2 unreachable",
        "lag 7 lowest 7 streaming 1 contact -",
    );
    check(
        "1 standby 0/50 7; 2 primary",
        "lag - lowest 7 streaming 1 contact 2",
    );
    check(
        "1 standby 0/50 7; 2 primary; 3 standby 0/60 -",
        "lag - lowest 7 streaming 1 contact 2",
    );
}

#[test]
fn streaming_since_the_first_poll_with_a_receive_position() {
    check(
        "1 standby - 7; 2 standby - 7",
        "lag 7 lowest 7 streaming - contact -",
    );
    check(
        "1 standby - 7; 2 standby 0/50 7; 3 standby 0/50 7",
        "lag 7 lowest 7 streaming 2 contact -",
    );
    check(
        "1 standby 0/50 7; 2 standby - 7; 3 standby 0/50 7",
        "lag 7 lowest 7 streaming 1 contact -",
    );
}

#[test]
fn a_contact_is_an_answer_as_a_primary() {
    let unknown = "lag - lowest - streaming -";
    check(
        "1 primary; 5 primary; 9 unreachable",
        &format!("{unknown} contact 5"),
    );
    check_primary(
        "5 primary; 7 standby -",
        "lag 0 lowest 0 streaming - contact 5",
    );
}

#[test]
fn a_living_refusal_of_a_node_that_may_be_the_primary() {
    let unknown = "lag - lowest - streaming -";
    for (failure, refused) in [
        ("refused", " refused 9"),
        ("authentication", " refused 9"),
        ("not_ready", ""),
        ("timed_out", ""),
        ("nonsense", ""),
        ("unreachable", ""),
    ] {
        check(
            &format!("5 primary; 9 {failure}"),
            &format!("{unknown} contact 5{refused}"),
        );
    }
    // A node that never reported a role is the primary if it is the remembered one.
    check("9 refused", &format!("{unknown} contact -"));
    check_primary("9 refused", &format!("{unknown} contact - refused 9"));
    // It may be the primary too while no primary is known, or the remembered one has left.
    for (remembered, expected) in [(None, true), (Some("x"), true), (Some("p"), false)] {
        let state = remembering(remembered, &config(""), "9 s1 refused");
        let refused = state.nodes["s1"].refused_as_primary.is_some();
        assert_eq!(refused, expected, "{remembered:?}");
    }
    // A standby that refuses us is no primary, even the remembered one.
    check_primary(
        "5 primary; 7 standby -; 9 refused",
        "lag 0 lowest 0 streaming - contact 5",
    );
    // A role that only an observer reported counts as well.
    let by_observer = state(&config(""), "5 o1 at 5: s1=up@4; 9 s1 refused");
    assert!(by_observer.nodes["s1"].refused_as_primary.is_some());
    let by_observer = state(&config(""), "5 o1 at 5: p=standby@4,0/50; 9 p refused");
    assert!(by_observer.nodes["p"].refused_as_primary.is_none());
    assert!(by_observer.nodes["p"].refused.is_some());
}

/// The daemon of s1 as its own server shows it: state, when, answers since that did not show it.
#[track_caller]
fn check_daemon(facts: &str, expected: &str) {
    let state = state(&config(""), facts);
    let daemon = state.nodes["s1"].own_daemon;
    let daemon = daemon
        .map(|OwnDaemon { state, at, missed }| format!("{state} {} missed {missed}", seconds(at)));
    assert_eq!(daemon.unwrap_or_default(), expected, "{facts}");
}

#[test]
fn the_daemon_of_a_node_as_its_own_server_shows_it() {
    let ok = "1 s1 standby shows=s1:ok@0,s2:promoting@0";
    check_daemon(ok, "ok 1 missed 0");
    check_daemon("1 s1 standby shows=s2:ok@0", "");
    check_daemon("1 s2 standby shows=s1:ok@0", "");
    check_daemon(
        &format!("{ok}; 2 s1 standby shows=s1:failed@1"),
        "failed 2 missed 0",
    );
    check_daemon(&format!("{ok}; 2 s1 standby shows=-"), "ok 1 missed 1");
    check_daemon(
        &format!("{ok}; 2 s1 standby shows=-; 3 s1 unreachable; 4 s1 standby shows=s2:ok@0"),
        "ok 1 missed 2",
    );
    check_daemon(
        &format!("{ok}; 2 s1 standby shows=-; 3 s1 standby shows=s1:ok@0"),
        "ok 3 missed 0",
    );
    // A session that was not used for three polls of 5 s is nobody's.
    check_daemon("1 s1 standby shows=s1:ok@14.999", "ok 1 missed 0");
    check_daemon("1 s1 standby shows=s1:ok@15", "");
    check_daemon(
        &format!("{ok}; 20 s1 standby shows=s1:ok@15"),
        "ok 1 missed 1",
    );
    // A server that shows no sessions any more says nothing about its daemon.
    check_daemon(&format!("{ok}; 2 s1 standby"), "");
}

/// Contacts of observer o1 with p, and the nodes of which it has entries.
#[track_caller]
fn check_contact(facts: &str, expected: &str) {
    let state = state(&config(""), facts);
    let observer = &state.observers["o1"];
    let contact = observer
        .primary_contacts
        .get("p")
        .map(|contact| seconds(contact.at));
    let entries: Vec<_> = observer.nodes.keys().map(NodeName::as_str).collect();
    let found = format!("contact {} entries {}", figure(contact), entries.join(","));
    assert_eq!(found, expected, "{facts}");
}

#[test]
fn an_observers_facts_are_aged_by_its_own_clock() {
    check_contact("100 o1 at 100: p=up@97", "contact 97 entries p");
    // 4 s ahead of us: what counts is the age that it says.
    check_contact("100 o1 at 104: p=up@97", "contact 93 entries p");
    check_contact("100 o1 at 96: p=up@95", "contact 99 entries p");
    // A fetch time after the answer is no time ago.
    check_contact("100 o1 at 100: p=up@105", "contact 100 entries p");
    check_contact(
        "100 o1 at 100: p=up@97; 105 o1 at 105: p=up@90",
        "contact 97 entries p",
    );
}

#[test]
fn the_contact_of_one_that_an_observer_has_lost_is_fixed_when_first_reported() {
    check_contact("100 o1 at 100: p=lost@99,60", "contact 60 entries p");
    // The server's clock is ahead: not later than the last attempt, and not later with every
    // attempt.
    check_contact("100 o1 at 100: p=lost@99,500", "contact 99 entries p");
    check_contact(
        "100 o1 at 100: p=lost@99,500; 200 o1 at 200: p=lost@199,500",
        "contact 99 entries p",
    );
    check_contact(
        "100 o1 at 100: p=lost@99,60; 200 o1 at 203: p=lost@199,60",
        "contact 60 entries p",
    );
    check_contact(
        // Another time of the node's clock: it was reached since, at the latest at that attempt.
        "100 o1 at 100: p=lost@99,60; 200 o1 at 200: p=lost@199,150",
        "contact 199 entries p",
    );
    check_contact(
        "50 o1 at 50: p=up@49; 100 o1 at 100: p=lost@99,49",
        "contact 49 entries p",
    );
    check_contact(
        "50 o1 at 50: p=up@49; 100 o1 at 100: p=lost@99,55",
        "contact 99 entries p",
    );
    check_contact("100 o1 at 100: p=lost@99", "contact - entries p");
    check_contact(
        "100 o1 at 100: p=lost@99,60; 110 o1 unreachable",
        "contact 60 entries p",
    );
    check_contact(
        "100 o1 at 100: p=lost@99,60; 110 o1 at 110:",
        "contact 60 entries ",
    );
}

#[test]
fn an_observers_entries_count_whatever_its_clock_reads() {
    let entries = "p=up@97 s1=standby@97,0/50 x=up@97";
    for (date, is_skewed) in [
        ("105", false),
        ("95", false),
        ("105.000001", true),
        ("94.999999", true),
        ("4000", true),
    ] {
        let state = state(&config(""), &format!("100 o1 at {date}: {entries}"));
        let observer = &state.observers["o1"];
        let names: Vec<_> = observer.nodes.keys().map(NodeName::as_str).collect();
        assert_eq!(names.join(","), "p,s1", "{date}");
        assert_eq!(observer.clock_skew.is_some(), is_skewed, "{date}");
    }
    check_contact("100 o1 at 130: p=up@127", "contact 97 entries p");
}

#[test]
fn an_observers_entry_of_another_system_is_ignored() {
    let ours = "5 p primary system=A; 9 o1 at 9:";
    check_contact(
        &format!("{ours} p=up@8|system=A s1=up@8"),
        "contact 8 entries p,s1",
    );
    check_contact(
        &format!("{ours} p=up@8|system=B s1=up@8|system=A"),
        "contact - entries s1",
    );
    // Where our own is unknown nothing is foreign.
    check_contact(
        "5 p primary; 9 o1 at 9: p=up@8|system=B",
        "contact 8 entries p",
    );
    check_contact(
        "5 s2 standby system=A; 9 o1 at 9: p=up@8|system=B",
        "contact - entries ",
    );
}

#[test]
fn an_observer_keeps_what_it_once_reached_as_a_primary() {
    let state = state(
        &config(""),
        "5 o1 at 5: p=up@4 s1=standby@4,0/50; 9 o1 at 9: p=standby@8,0/50; 12 o1 at 12:",
    );
    let seen = &state.observers["o1"].seen_primaries;
    assert_eq!(*seen, BTreeSet::from(["p".into()]));
}

#[test]
fn reports_whether_it_is_news() {
    let config = config("");
    let mut state = state(&config, "");
    for (fact, news) in [
        ("1 p primary", true),
        ("2 p primary", false),
        ("3 p unreachable", true),
        ("4 p timed_out", false),
        ("5 p refused", true),
        ("6 p authentication", false),
        ("7 p standby", true),
        ("8 p standby 0/60", false),
        ("9 x primary", false),
        ("10 o1 at 10: p=up@9", true),
        ("11 o1 at 11: p=up@10", false),
        ("12 o1 at 12: p=lost@11,9", true),
        ("13 o1 at 13: p=lost@12,9", false),
        ("14 o1 unreachable", true),
        ("15 o1 timed_out", false),
        ("16 o1 at 25: p=lost@24,9", true),
        ("17 o3 unreachable", false),
    ] {
        assert_eq!(learn(&mut state, &config, fact), news, "{fact}");
    }
}

#[test]
fn who_leaves_takes_everything_along() {
    let both = config("");
    let alone = config(
        r#""remote_conns": {"s1": "host=s1", "s2": "host=s2"}, "observers": {"o1": "http://o1"}"#,
    );
    let mut state = state(&both, "5 p primary; 5 o1 at 5: p=up@4; 5 o2 at 5: p=up@4");
    state.adopt(&alone);
    assert_eq!((state.nodes.len(), state.observers.len()), (2, 1));
    // An observer's report of it is noted all the same, for the day on which it comes back.
    learn(&mut state, &alone, "50 o1 at 50: p=up@49 y=up@49");
    state.adopt(&both);
    assert_eq!(state.nodes["p"], NodeState::default());
    let contacts: Vec<_> = state
        .contacts()
        .map(|(node, at, _, by)| format!("{node} {} {by}", seconds(at)))
        .collect();
    assert_eq!(contacts, ["p 49 observer o1"]);
    assert!(state.former.is_empty());
}
