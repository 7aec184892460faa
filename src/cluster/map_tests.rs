//! The node map, rule by rule; see `scenario`.

use super::super::scenario::{config, mono, remembering};
use super::*;

/// The map at 100 s, with p remembered: connected and lost primaries, standbys (not connected: in
/// brackets), nodes of unknown role, observers reached and not.
#[track_caller]
fn check(facts: &str, expected: &str) {
    check_remembering(Some("p"), facts, expected);
}

#[track_caller]
fn check_remembering(remembered: Option<&str>, facts: &str, expected: &str) {
    let config = config("");
    let state = remembering(remembered, &config, facts);
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
            "reached",
            map.connected_observers
                .iter()
                .map(ToString::to_string)
                .collect(),
        ),
        (
            "unreached",
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
fn a_standby_by_an_observers_report() {
    check(
        &format!("{US}; 99 s1 unreachable; 99 o1 at 99: s1=standby@98,0/50"),
        "lost p | standby s1/o1,s2 | reached o1",
    );
    // A failed attempt is no report: what counts is when we last heard the node itself.
    check(
        &format!("{US}; 90 s1 standby; 99 s1 unreachable; 99 o1 at 99: s1=standby@91,0/50"),
        "lost p | standby s1/o1,s2 | reached o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 s1 unreachable; 99 o1 at 99: s1=standby@89,0/50"),
        "lost p | standby (s1),s2 | reached o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 s1 unreachable; 99 o1 at 99: s1=standby@90,0/50"),
        "lost p | standby s1/o1,s2 | reached o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 o1 at 99: s1=gone@98,0/60"),
        "lost p | standby s1,s2 | reached o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 s1 unreachable; 99 o1 at 99: s1=gone@98,0/50"),
        "lost p | standby (s1/o1),s2 | reached o1",
    );
    check(
        &format!("{US}; 99 o1 at 99: s1=untold@98"),
        "lost p | standby s2 | unknown s1 | reached o1",
    );
}

#[test]
fn of_several_observers_a_connected_entry_goes_first_then_the_newest() {
    check(
        &format!("{US}; 99 o1 at 99: s1=standby@90,0/50; 99 o2 at 99: s1=gone@98,0/60"),
        "lost p | standby s1/o1,s2 | reached o1,o2",
    );
    check(
        &format!("{US}; 99 o1 at 99: s1=standby@90,0/50; 99 o2 at 99: s1=standby@91,0/50"),
        "lost p | standby s1/o2,s2 | reached o1,o2",
    );
    check(
        &format!("{US}; 99 o1 at 99: s1=standby@92,0/50; 99 o2 at 99: s1=standby@91,0/50"),
        "lost p | standby s1/o1,s2 | reached o1,o2",
    );
}

#[test]
fn no_observer_knows_better_about_ourselves() {
    check(
        "99 s2 standby; 99 o1 at 99: s2=up@98",
        "lost p | standby s2 | unknown s1 | reached o1",
    );
    check(
        "99 s2 unreachable; 99 o1 at 99: s2=standby@98,0/50",
        "lost p | unknown s1,s2 | reached o1",
    );
}

#[test]
fn a_primary_by_an_observers_report() {
    check(
        &format!("{US}; 99 p unreachable; 99 o1 at 99: p=up@98"),
        "primary p/o1 | standby s2 | unknown s1 | reached o1",
    );
    // Young is less than two poll intervals by now: 10 s.
    check(
        &format!("{US}; 99 o1 at 99: p=up@90.000001"),
        "primary p/o1 | standby s2 | unknown s1 | reached o1",
    );
    check(
        &format!("{US}; 99 o1 at 99: p=up@90"),
        "lost p | standby s2 | unknown s1 | reached o1",
    );
    check(
        &format!("{US}; 99 o1 at 99: s1=lost@98,50"),
        "lost p,s1 | standby s2 | reached o1",
    );
    // Whatever the clocks say.
    check(
        &format!("{US}; 99 o1 at 4000: p=up@3999"),
        "primary p/o1 | standby s2 | unknown s1 | reached o1",
    );
    // A fresh sighting counts beside our own report of a standby, a lost or an old one only if it
    // is later.
    check(
        &format!("{US}; 99 s1 standby; 99 o1 at 99: s1=up@98"),
        "primary s1/o1 | lost p | standby s1,s2 | reached o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 95 s1 unreachable; 99 o1 at 99: s1=lost@98,89"),
        "lost p | standby (s1),s2 | reached o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 95 s1 unreachable; 99 o1 at 99: s1=lost@98,90"),
        "lost p,s1 | standby (s1),s2 | reached o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 95 s1 unreachable; 99 o1 at 99: s1=lost@98,91"),
        "lost p,s1 | standby (s1),s2 | reached o1",
    );
    check(
        &format!("{US}; 90 s1 standby; 99 o1 at 99: s1=lost@98,91"),
        "lost p,s1 | standby s1,s2 | reached o1",
    );
    check(
        "99 s2 standby; 99 p primary; 99 o1 at 99: p=lost@98,91",
        "primary p | standby s2 | unknown s1 | reached o1",
    );
}

#[test]
fn connected_observers() {
    check("99 o1 at 99:", "lost p | unknown s1,s2 | reached o1");
    check("99 o1 unreachable", "lost p | unknown s1,s2 | unreached o1");
    check("90.000001 o1 at 90:", "lost p | unknown s1,s2 | reached o1");
    check("90 o1 at 90:", "lost p | unknown s1,s2 | unreached o1");
    check(
        "99 o1 at 104:; 99 o2 at 4000:",
        "lost p | unknown s1,s2 | reached o1,o2",
    );
    check(
        "95 o1 at 95: p=up@94; 99 o1 unreachable",
        "primary p/o1 | unknown s1,s2 | unreached o1",
    );
}

#[test]
fn a_role_lasts_when_its_witness_falls_silent() {
    let known = "90 o1 at 90: s1=standby@89,0/50";
    check(
        &format!("{US}; {known}; 99 o1 at 99:"),
        "lost p | standby (s1/o1),s2 | reached o1",
    );
    check(
        &format!("{US}; {known}; 99 o1 unreachable"),
        "lost p | standby (s1/o1),s2 | unreached o1",
    );
    check(
        &format!("{US}; 90 o1 at 90: s1=up@89; 99 o1 at 99:"),
        "lost p,s1 | standby s2 | reached o1",
    );
    // An observer that is not connected makes nobody reachable.
    check(
        &format!("{US}; 89 o1 at 89: s1=standby@88,0/50"),
        "lost p | standby (s1/o1),s2 | unreached o1",
    );
}

#[test]
fn our_later_report_of_a_standby_ends_an_observers_sighting() {
    // A `Date` of whole seconds may be a second off, an exact one is not.
    check(
        &format!("{US}; 98.9 s1 standby; 99 o1 at 99: s1=up@98"),
        "primary s1/o1 | lost p | standby s1,s2 | reached o1",
    );
    check(
        &format!("{US}; 99.2 s1 standby; 99 o1 at 99: s1=up@98"),
        "lost p | standby s1,s2 | reached o1",
    );
    check(
        &format!("{US}; 98.9 s1 standby; 99 o1 at 99.5: s1=up@98.5"),
        "lost p | standby s1,s2 | reached o1",
    );
}

/// What the connected primaries come to at 100 s; p is remembered.
#[track_caller]
fn check_reached(facts: &str, expected: &str) {
    let config = config("");
    let state = remembering(Some("p"), &config, facts);
    let map = NodeMap::new(&config, &state, Some(&"p".into()), mono(100.0));
    let found = match &map.reached {
        Reached::Nobody => "nobody".to_owned(),
        Reached::Primary(node) => node.to_string(),
        Reached::Several => "several".to_owned(),
        Reached::Outdated(node) => format!("outdated {node}"),
    };
    assert_eq!(found, expected, "{facts}");
    let sole = map.sole_primary().map(ToString::to_string);
    assert_eq!(sole.is_some(), sole.as_deref() == Some(expected), "{facts}");
    let is_doubtful = expected == "several" || expected.starts_with("outdated");
    assert_eq!(map.needs_an_operator(), is_doubtful, "{facts}");
}

#[test]
fn one_server_under_two_names_is_one_primary() {
    check_reached("99 p unreachable", "nobody");
    check_reached("99 p primary", "p");
    check_reached("99 p primary; 99 s1 primary", "several");
    let p = "99 p primary system=A started=1";
    check_reached(&format!("{p}; 99 s1 primary system=A started=1"), "p");
    check_reached(&format!("{p}; 99 s1 primary system=A started=2"), "several");
    check_reached(&format!("{p}; 99 s1 primary system=B started=1"), "several");
    check_reached("99 p primary started=1; 99 s1 primary started=1", "several");
    check_reached("99 p primary system=A; 99 s1 primary system=A", "several");
}

#[test]
fn a_primary_of_an_older_history_is_no_primary() {
    let returned = "80 p primary; 85 p unreachable; 85 s1 primary; 90 s1 unreachable; 99 p primary";
    check_reached(returned, "outdated p");
    // The one that came in its place is a standby itself.
    check_reached(&format!("{returned}; 99 s1 standby"), "p");
    check_reached(&format!("{returned}; 99 s1 primary"), "several");
    check_reached("99 p primary timeline=1; 99 s1 standby timeline=1", "p");
    check_reached("99 p primary timeline=1; 99 s1 standby", "p");
    check_reached("99 p primary timeline=2; 99 s1 standby timeline=1", "p");
    let later = "99 p primary timeline=1; 98 s1 standby timeline=2";
    check_reached(later, "outdated p");
    // Not by a standby that is not reached.
    check_reached(&format!("{later}; 99 s1 unreachable"), "p");
    check_reached(
        "99 p primary timeline=1; 99 s1 unreachable; 99 o1 at 99: s1=standby@98,0/50|timeline=2",
        "outdated p",
    );
    check_reached(
        "99 s2 standby timeline=2; 99 p unreachable; 99 o1 at 99: p=up@98|timeline=1",
        "outdated p",
    );
}

#[test]
fn a_primary_that_an_observer_is_the_first_to_report_may_be_of_an_older_history() {
    let seen = |timeline| {
        format!(
            "9 s1 primary timeline=2; 20 s1 unreachable; 99 p unreachable; 99 o1 at 99: p=up@98{timeline}"
        )
    };
    check_reached(&seen("|timeline=1"), "outdated p");
    check_reached(&seen("|timeline=2"), "p");
    check_reached(&seen(""), "p");
    // The newer one is a standby by now.
    check_reached(&format!("{}; 99 s1 standby", seen("|timeline=1")), "p");
    // What it was as a standby does not count: it was promoted since, as in a switchover.
    for timeline in ["", "|timeline=3"] {
        check_reached(
            &seen(timeline).replace(
                "99 p unreachable",
                "90 p standby timeline=1; 99 p unreachable",
            ),
            "p",
        );
    }
}

#[test]
fn one_that_was_seen_only_before_its_successor_is_no_second_primary() {
    // A planned switchover: p has answered before s1 took its place, and is polled next.
    let switched = "98 p primary timeline=1; 99 s1 primary timeline=2";
    check_reached(switched, "s1");
    check_reached(&format!("{switched}; 99.5 p standby timeline=2"), "s1");
    check_reached(&format!("{switched}; 99.5 p primary timeline=1"), "several");
    // Nothing tells which of them came later.
    check_reached("98 p primary; 99 s1 primary", "several");
    check_reached(
        "98 p primary timeline=1; 99 s1 primary timeline=1",
        "several",
    );
    // The same by an observer that has not polled it since.
    let lost = format!("{switched}; 99.2 p unreachable");
    check_reached(
        &format!("{lost}; 99.5 o1 at 99.5: p=up@98.5|timeline=1"),
        "s1",
    );
    check_reached(
        &format!("{lost}; 99.5 o1 at 99.5: p=up@99.4|timeline=1"),
        "several",
    );
    check_reached(&format!("{lost}; 99.5 o1 at 99.5: p=up@98.5"), "several");
    // A Date has whole seconds: the sighting may be later than it seems.
    check_reached(
        &format!("{lost}; 99.5 o1 at 100: p=up@98.5|timeline=1"),
        "s1",
    );
}

#[test]
fn superseded_primaries_stand_apart() {
    let config = config("");
    let superseded = "80 p primary; 85 p unreachable; 85 s1 primary";
    let state = remembering(Some("p"), &config, superseded);
    let map = NodeMap::new(&config, &state, Some(&"s1".into()), mono(86.0));
    assert_eq!(map.superseded, BTreeSet::from(["p".into()]));
    assert!(map.disconnected_primaries.contains("p"));
    assert_eq!(map.reached, Reached::Primary("s1".into()));
}
