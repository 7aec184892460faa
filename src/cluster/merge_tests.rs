//! Probes merged into facts, as text; see `scenario`.

use super::super::scenario::{config, learn, seconds, state};
use super::*;

fn figure(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// What is known of one node after these facts: lag, lowest lag, streaming since, last contact as a
/// primary, last arrival of WAL.
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
    let [streaming, contact, wal] = [node.streaming_since, node.primary_contact, node.wal_arrived]
        .map(|at| figure(at.map(seconds)));
    let found =
        format!("lag {lag} lowest {lowest} streaming {streaming} contact {contact} wal {wal}");
    assert_eq!(found, expected, "{facts}");
}

#[test]
fn lag_and_its_lowest() {
    check(
        "1 standby 0/50 7",
        "lag 7 lowest 7 streaming 1 contact - wal -",
    );
    check(
        "1 standby 0/50 7; 2 standby 0/50 3; 3 standby 0/50 9",
        "lag 9 lowest 3 streaming 1 contact - wal -",
    );
    check(
        "1 standby 0/50 0",
        "lag 0 lowest 0 streaming 1 contact - wal -",
    );
    check(
        "8 standby 0/50 -",
        "lag - lowest - streaming 8 contact - wal -",
    );
    check(
        "1 standby 0/50 7; 2 standby 0/50 -",
        "lag 7 lowest 7 streaming 1 contact - wal -",
    );
    check(
        "1 standby 0/50 7; 2 unreachable",
        "lag 7 lowest 7 streaming 1 contact - wal -",
    );
    check(
        "1 standby 0/50 7; 2 primary",
        "lag - lowest 7 streaming 1 contact 2 wal -",
    );
    check(
        "1 standby 0/50 7; 2 primary; 3 standby 0/60 -",
        "lag - lowest 7 streaming 1 contact 2 wal -",
    );
}

#[test]
fn streaming_since_the_first_poll_with_a_receive_position() {
    check(
        "1 standby - 7; 2 standby - 7",
        "lag 7 lowest 7 streaming - contact - wal -",
    );
    check(
        "1 standby - 7; 2 standby 0/50 7; 3 standby 0/50 7",
        "lag 7 lowest 7 streaming 2 contact - wal -",
    );
    check(
        "1 standby 0/50 7; 2 standby - 7; 3 standby 0/50 7",
        "lag 7 lowest 7 streaming 1 contact - wal -",
    );
}

#[test]
fn wal_has_arrived_when_the_receive_position_grew() {
    check(
        "1 standby 0/50; 2 standby 0/60",
        "lag 0 lowest 0 streaming 1 contact - wal 2",
    );
    check(
        "1 standby 0/50; 2 standby 0/60; 3 standby 0/60",
        "lag 0 lowest 0 streaming 1 contact - wal 2",
    );
    check(
        "1 standby 0/50; 2 standby 0/40",
        "lag 0 lowest 0 streaming 1 contact - wal -",
    );
    check(
        "1 standby -; 2 standby 0/60",
        "lag 0 lowest 0 streaming 2 contact - wal -",
    );
    check(
        "1 primary 0/50; 2 standby 0/60",
        "lag 0 lowest 0 streaming 2 contact 1 wal -",
    );
    check(
        "1 standby 0/50+0/40; 2 standby 0/50+0/50",
        "lag 0 lowest 0 streaming 1 contact - wal -",
    );
    check(
        "1 standby 0/50; 2 unreachable; 3 standby 0/60",
        "lag 0 lowest 0 streaming 1 contact - wal 3",
    );
}

#[test]
fn a_contact_is_an_answer_as_a_primary_or_a_living_refusal_of_one() {
    let silent = "lag - lowest - streaming -";
    check(
        "1 primary; 5 primary; 9 unreachable",
        &format!("{silent} contact 5 wal -"),
    );
    for (failure, contact) in [
        ("refused", "9"),
        ("authentication", "9"),
        ("not_ready", "5"),
        ("timed_out", "5"),
        ("nonsense", "5"),
    ] {
        check(
            &format!("5 primary; 9 {failure}"),
            &format!("{silent} contact {contact} wal -"),
        );
    }
    // Of a node that never told its role it is one if it is the remembered primary.
    check("9 refused", &format!("{silent} contact - wal -"));
    check_primary("9 refused", &format!("{silent} contact 9 wal -"));
    check_primary("9 not_ready", &format!("{silent} contact - wal -"));
    check_primary(
        "5 standby -; 9 refused",
        "lag 0 lowest 0 streaming - contact - wal -",
    );
    check_primary(
        "5 primary; 7 standby -; 9 refused",
        "lag 0 lowest 0 streaming - contact 5 wal -",
    );
}

/// Contacts of observer o1 with p, and its last arrival of WAL at s1, after each of its answers.
#[track_caller]
fn heard(facts: &str, expected: &str) {
    let state = state(&config(""), facts);
    let observer = &state.observers["o1"];
    let contact = observer
        .primary_contacts
        .get("p")
        .map(|contact| seconds(contact.at));
    let wal = observer.wal_arrived.get("s1").copied().map(seconds);
    let entries: Vec<_> = observer.nodes.keys().map(NodeName::as_str).collect();
    let found = format!(
        "contact {} wal {} entries {}",
        figure(contact),
        figure(wal),
        entries.join(",")
    );
    assert_eq!(found, expected, "{facts}");
}

#[test]
fn an_observers_facts_are_aged_by_its_own_clock() {
    heard("100 o1 at 100: p=up@97", "contact 97 wal - entries p");
    // 4 s ahead of us: what counts is the age that it says.
    heard("100 o1 at 104: p=up@97", "contact 93 wal - entries p");
    heard("100 o1 at 96: p=up@95", "contact 99 wal - entries p");
    // A fetch time after the answer is no time ago.
    heard("100 o1 at 100: p=up@105", "contact 100 wal - entries p");
    heard(
        "100 o1 at 100: p=up@97; 105 o1 at 105: p=up@90",
        "contact 97 wal - entries p",
    );
}

#[test]
fn the_contact_of_one_that_an_observer_has_lost_is_fixed_when_first_heard() {
    heard("100 o1 at 100: p=lost@99,60", "contact 60 wal - entries p");
    // The server's clock is ahead: not later than the last attempt, and not later with every
    // attempt.
    heard("100 o1 at 100: p=lost@99,500", "contact 99 wal - entries p");
    heard(
        "100 o1 at 100: p=lost@99,500; 200 o1 at 200: p=lost@199,500",
        "contact 99 wal - entries p",
    );
    heard(
        "100 o1 at 100: p=lost@99,60; 200 o1 at 203: p=lost@199,60",
        "contact 60 wal - entries p",
    );
    heard(
        "100 o1 at 100: p=lost@99,60; 200 o1 at 200: p=lost@199,150",
        "contact 150 wal - entries p",
    );
    heard(
        "50 o1 at 50: p=up@49; 100 o1 at 100: p=lost@99,40",
        "contact 49 wal - entries p",
    );
    heard(
        "50 o1 at 50: p=up@49; 100 o1 at 100: p=lost@99,55",
        "contact 55 wal - entries p",
    );
    heard("100 o1 at 100: p=lost@99", "contact - wal - entries p");
    heard(
        "100 o1 at 100: p=lost@99,60; 110 o1 unreachable",
        "contact 60 wal - entries p",
    );
    heard(
        "100 o1 at 100: p=lost@99,60; 110 o1 at 110:",
        "contact 60 wal - entries ",
    );
}

#[test]
fn an_observer_sees_wal_arrive_at_a_standby_it_reaches() {
    heard(
        "100 o1 at 100: s1=standby@99,0/50; 105 o1 at 105: s1=standby@104,0/60",
        "contact - wal 105 entries s1",
    );
    heard(
        "100 o1 at 100: s1=standby@99,0/50; 105 o1 at 105: s1=gone@104,0/60",
        "contact - wal - entries s1",
    );
    heard(
        "100 o1 at 100: s1=standby@99,0/50; 105 o1 at 105: s1=standby@104,0/50",
        "contact - wal - entries s1",
    );
    heard(
        "100 o1 at 100: s1=untold@99; 105 o1 at 105: s1=standby@104,0/60",
        "contact - wal - entries s1",
    );
}

#[test]
fn an_observer_with_another_clock_is_heard_on_primaries_only() {
    let entries = "p=up@97 s1=standby@97,0/50 x=up@97";
    for (date, expected) in [
        ("105", "s1"),
        ("95", "s1"),
        ("105.000001", ""),
        ("94.999999", ""),
    ] {
        let expected = if expected.is_empty() { "p" } else { "p,s1" };
        let state = state(&config(""), &format!("100 o1 at {date}: {entries}"));
        let names: Vec<_> = state.observers["o1"]
            .nodes
            .keys()
            .map(NodeName::as_str)
            .collect();
        assert_eq!(names.join(","), expected, "{date}");
        assert_eq!(
            state.observers["o1"].clock_skew.is_some(),
            expected == "p",
            "{date}"
        );
    }
    heard("100 o1 at 130: p=up@127", "contact 97 wal - entries p");
}

#[test]
fn says_what_is_news() {
    let mut state = state(&config(""), "");
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
        assert_eq!(learn(&mut state, fact), news, "{fact}");
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
    // An observer's word of it is noted all the same, for the day on which it comes back.
    learn(&mut state, "50 o1 at 50: p=up@49 y=up@49");
    state.adopt(&both);
    assert_eq!(state.nodes["p"], NodeState::default());
    let contacts: Vec<_> = state
        .primary_contacts()
        .map(|(node, at, by)| format!("{node} {} {by}", seconds(at)))
        .collect();
    assert_eq!(contacts, ["p 49 observer o1"]);
    assert!(state.former.is_empty());
}
