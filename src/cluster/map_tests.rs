//! The node map, rule by rule; see `scenario`.

use super::super::scenario::{config, mono, state};
use super::*;

/// The map at 100 s, with p remembered: connected and lost primaries, standbys (not connected: in
/// brackets), nodes of unknown role, observers with a vote and without.
#[track_caller]
fn check(facts: &str, expected: &str) {
    check_remembering(Some("p"), facts, expected);
}

#[track_caller]
fn check_remembering(remembered: Option<&str>, facts: &str, expected: &str) {
    let config = config("");
    let state = state(&config, facts);
    let map = NodeMap::new(
        &config,
        &state,
        remembered.map(NodeName::from).as_ref(),
        mono(100.0),
    );
    let by = |witness: &Witness| match witness {
        Witness::Ourselves => String::new(),
        Witness::Observer(name) => format!("/{name}"),
    };
    let primaries = map
        .connected_primaries
        .iter()
        .map(|(node, witness)| format!("{node}{}", by(witness)));
    let standbys = map.standbys.iter().map(|(node, standby)| {
        let shown = format!("{node}{}", by(&standby.witness));
        if standby.connected {
            shown
        } else {
            format!("({shown})")
        }
    });
    let lists = [
        ("primary", primaries.collect::<Vec<_>>()),
        (
            "lost",
            map.disconnected_primaries
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
        ("standby", standbys.collect()),
        (
            "unknown",
            map.unknown.iter().map(ToString::to_string).collect(),
        ),
        (
            "vote",
            map.connected_observers
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
        (
            "none",
            map.disconnected_observers
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
    ];
    let lists = lists
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(list, names)| format!("{list} {}", names.join(",")));
    assert_eq!(lists.collect::<Vec<_>>().join(" | "), expected, "{facts}");
}

const US: &str = "99 s2 standby";

#[test]
fn our_own_view() {
    check("", "lost p | unknown s1,s2");
    check_remembering(None, "", "unknown p,s1,s2");
    check(
        "99 p primary; 99 s1 standby; 99 s2 standby",
        "primary p | standby s1,s2",
    );
    check(
        "90 p primary; 99 p unreachable; 90 s1 standby; 99 s1 refused; 99 s2 standby",
        "lost p | standby (s1),s2",
    );
    check(
        "90 p primary; 99 p standby; 99 s1 primary; 99 s2 standby",
        "primary s1 | standby p,s2",
    );
    check(
        "99 p unreachable; 99 s1 unreachable; 99 s2 standby",
        "lost p | standby s2 | unknown s1",
    );
    check_remembering(
        Some("x"),
        "99 s1 standby; 99 s2 standby",
        "standby s1,s2 | unknown p",
    );
}

#[test]
fn a_standby_by_an_observers_word() {
    check(
        &format!("{US}; 99 s1 unreachable; 99 o1 at 99: s1=standby@98,0/50"),
        "lost p | standby s1/o1,s2 | vote o1",
    );
    // A failed attempt is no report: what counts is when we last heard the node itself.
    check(
        &format!("{US}; 90 s1 standby; 99 s1 unreachable; 99 o1 at 99: s1=standby@91,0/50"),
        "lost p | standby s1/o1,s2 | vote o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 s1 unreachable; 99 o1 at 99: s1=standby@89,0/50"),
        "lost p | standby (s1),s2 | vote o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 s1 unreachable; 99 o1 at 99: s1=standby@90,0/50"),
        "lost p | standby s1/o1,s2 | vote o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 o1 at 99: s1=gone@98,0/60"),
        "lost p | standby s1,s2 | vote o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 s1 unreachable; 99 o1 at 99: s1=gone@98,0/50"),
        "lost p | standby (s1/o1),s2 | vote o1",
    );
    check(
        &format!("{US}; 99 o1 at 99: s1=untold@98"),
        "lost p | standby s2 | unknown s1 | vote o1",
    );
}

#[test]
fn of_several_observers_a_connected_entry_goes_first_then_the_newest() {
    check(
        &format!("{US}; 99 o1 at 99: s1=standby@90,0/50; 99 o2 at 99: s1=gone@98,0/60"),
        "lost p | standby s1/o1,s2 | vote o1,o2",
    );
    check(
        &format!("{US}; 99 o1 at 99: s1=standby@90,0/50; 99 o2 at 99: s1=standby@91,0/50"),
        "lost p | standby s1/o2,s2 | vote o1,o2",
    );
    check(
        &format!("{US}; 99 o1 at 99: s1=standby@92,0/50; 99 o2 at 99: s1=standby@91,0/50"),
        "lost p | standby s1/o1,s2 | vote o1,o2",
    );
}

#[test]
fn nobody_tells_us_about_ourselves() {
    check(
        "99 s2 standby; 99 o1 at 99: s2=up@98",
        "lost p | standby s2 | unknown s1 | vote o1",
    );
    check(
        "99 s2 unreachable; 99 o1 at 99: s2=standby@98,0/50",
        "lost p | unknown s1,s2 | vote o1",
    );
}

#[test]
fn a_primary_by_an_observers_word() {
    check(
        &format!("{US}; 99 p unreachable; 99 o1 at 99: p=up@98"),
        "primary p/o1 | standby s2 | unknown s1 | vote o1",
    );
    // Young is less than two poll intervals by now: 10 s.
    check(
        &format!("{US}; 99 o1 at 99: p=up@90.000001"),
        "primary p/o1 | standby s2 | unknown s1 | vote o1",
    );
    check(
        &format!("{US}; 99 o1 at 99: p=up@90"),
        "lost p | standby s2 | unknown s1 | vote o1",
    );
    check(
        &format!("{US}; 99 o1 at 99: s1=lost@98,50"),
        "lost p,s1 | standby s2 | vote o1",
    );
    // Whatever the clocks say.
    check(
        &format!("{US}; 99 o1 at 4000: p=up@3999"),
        "primary p/o1 | standby s2 | unknown s1 | none o1",
    );
    // A fresh sighting counts beside our own report of a standby, a lost or an old one only if it
    // is later.
    check(
        &format!("{US}; 99 s1 standby; 99 o1 at 99: s1=up@98"),
        "primary s1/o1 | lost p | standby s1,s2 | vote o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 95 s1 unreachable; 99 o1 at 99: s1=lost@98,89"),
        "lost p | standby (s1),s2 | vote o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 95 s1 unreachable; 99 o1 at 99: s1=lost@98,90"),
        "lost p,s1 | standby (s1),s2 | vote o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 95 s1 unreachable; 99 o1 at 99: s1=lost@98,91"),
        "lost p,s1 | standby (s1),s2 | vote o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 o1 at 99: s1=lost@98,91"),
        "lost p | standby s1,s2 | vote o1",
    );
    check(
        "99 s2 standby; 99 p primary; 99 o1 at 99: p=lost@98,91",
        "primary p | standby s2 | unknown s1 | vote o1",
    );
}

#[test]
fn the_votes_of_observers() {
    check("99 o1 at 99:", "lost p | unknown s1,s2 | vote o1");
    check("99 o1 unreachable", "lost p | unknown s1,s2 | none o1");
    check("90.000001 o1 at 90:", "lost p | unknown s1,s2 | vote o1");
    check("90 o1 at 90:", "lost p | unknown s1,s2 | none o1");
    check(
        "99 o1 at 104:; 99 o2 at 104.000001:",
        "lost p | unknown s1,s2 | vote o1 | none o2",
    );
    check(
        "95 o1 at 95: p=up@94; 99 o1 unreachable",
        "primary p/o1 | unknown s1,s2 | none o1",
    );
}
