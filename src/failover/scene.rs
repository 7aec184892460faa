//! Decisions for tests as text: settings, facts (see `cluster::scenario`) and a moment in, names
//! out. We are s2, the primary is p, and there are no observers unless the settings name them.
//!
//! A moment: seconds, then any of `fresh`, `maintenance`, `paused`, `promoting`, `failed`, `unsettled`, `warned`,
//! `old_memory`, `primary=NAME` (the remembered one; `-`: none), `first=NAME` (went first by the last
//! decision), `predecessor=NAME` (has released its term for us), `previous=NAME` (the previous process reached it at 290 s), `changed@SECONDS` (of the
//! nodes), `started@`, `held@`, `tried@`, `announced@` (at 0/50).

use super::*;
use crate::cluster::NodeMap;
use crate::cluster::scenario::{config, mono, remembering, seconds};
use crate::config::VoterName;

pub(super) fn at<T>(
    settings: &str,
    facts: &str,
    moment: &str,
    look: impl FnOnce(&Snapshot<'_>) -> T,
) -> T {
    let comma = if settings.is_empty() { "" } else { ", " };
    let config = config(&format!(r#""observers": {{}}{comma}{settings}"#));
    let words: Vec<&str> = moment.split(' ').collect();
    let now = mono(words[0].parse().unwrap());
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    let time = |key| value(key).map(|at| mono(at.parse().unwrap()));
    let primary = Some(value("primary=").unwrap_or("p")).filter(|primary| *primary != "-");
    let state = remembering(primary, &config, facts);
    let remembered = primary.map(NodeName::from);
    let map = NodeMap::new(&config, &state, remembered.as_ref(), now);
    let previous = value("previous=").map(|node| (node.into(), mono(290.0)));
    let first = value("first=").map(NodeName::from);
    let predecessor = value("predecessor=").map(VoterName::from);
    look(&Snapshot {
        config: &config,
        state: &state,
        map: &map,
        remembered: remembered.as_ref(),
        previous_contacts: previous.as_slice(),
        nodes_changed_at: time("changed@").unwrap_or(mono(0.0)),
        started_at: time("started@").unwrap_or(mono(0.0)),
        memory_is_old: words.contains(&"old_memory"),
        went_first: first.as_ref(),
        announced: time("announced@").map(|at| Announcement {
            at,
            position: "0/50".parse().unwrap(),
            by_script: false,
        }),
        fresh: words.contains(&"fresh"),
        maintenance: words.contains(&"maintenance"),
        pause: words.contains(&"paused").then(|| "1".parse().unwrap()),
        lag_warning: words.contains(&"warned"),
        promoting: words.contains(&"promoting"),
        has_failed: words.contains(&"failed"),
        held_off_until: time("held@"),
        tried_until: time("tried@"),
        unsettled: words.contains(&"unsettled"),
        election: None,
        predecessor: predecessor.as_ref(),
        now,
    })
}

/// The verdict's name, and its reason where that is another. Nothing secret is in it.
#[track_caller]
pub(super) fn check(settings: &str, facts: &str, moment: &str, expected: &str) {
    let decision = at(settings, facts, moment, decide);
    let (name, reason) = (decision.verdict.name(), decision.verdict.reason());
    let found = match name == reason {
        true => name.to_owned(),
        false => format!("{name} {reason}"),
    };
    assert_eq!(found, expected, "{settings} {facts} at {moment}");
    assert!(!format!("{decision:?}").contains("hush"), "{decision:?}");
}

/// The last evidence: kind, node, witness, when.
#[track_caller]
pub(super) fn check_evidence(settings: &str, facts: &str, moment: &str, expected: &str) {
    let evidence = at(settings, facts, moment, |snapshot| snapshot.evidence());
    let found = evidence.map_or(String::new(), |it| {
        let node = it.node.as_ref().map_or("-", NodeName::as_str);
        let (kind, at) = (it.kind.name(), seconds(it.at));
        format!("{kind} {node} {} {at}", it.witness)
    });
    assert_eq!(found, expected, "{settings} {facts} at {moment}");
}

/// How each standby stands in the choice, the best first.
#[track_caller]
pub(super) fn check_places(settings: &str, facts: &str, moment: &str, expected: &str) {
    let contenders = at(settings, facts, moment, |snapshot| {
        let evidence = snapshot.evidence().map(|evidence| evidence.at);
        candidate::contenders(snapshot, evidence)
    });
    let places = contenders
        .iter()
        .map(|it| format!("{} {}", it.node, it.place.name()));
    let places: Vec<_> = places.collect();
    assert_eq!(
        places.join(", "),
        expected,
        "{settings} {facts} at {moment}"
    );
}

/// Whose vote is known, and whose is not for what reason.
#[track_caller]
pub(super) fn check_votes(settings: &str, facts: &str, moment: &str, expected: &str) {
    let votes = at(settings, facts, moment, |snapshot| {
        let evidence = snapshot.evidence().map(|evidence| evidence.at);
        quorum::count(snapshot, &candidate::contenders(snapshot, evidence))
    });
    let known: Vec<_> = votes.known.iter().map(ToString::to_string).collect();
    let missing = votes.missing.iter();
    let missing: Vec<_> = missing
        .map(|(voter, why)| format!("{voter} {}", why.name()))
        .collect();
    let found = format!("{} | {}", known.join(", "), missing.join(", "));
    assert_eq!(found, expected, "{settings} {facts} at {moment}");
}

/// When the decision would come out differently by the mere passing of time.
#[track_caller]
pub(super) fn check_looks_again(facts: &str, moment: &str, expected: Option<f64>) {
    let verdict = at("", facts, moment, decide).verdict;
    let again = verdict.look_again_at().map(seconds);
    assert_eq!(again, expected, "{facts} at {moment}");
}

/// The primary is lost for a long time, both standbys are there.
pub(super) const LOST: &str = "5 p primary; 299 p unreachable; 299 s1 standby; 299 s2 standby";
/// The settings with one observer.
pub(super) const ONE_OBSERVER: &str = r#""observers": {"o1": "http://o1"}"#;
/// The settings without the primary.
pub(super) const REMOVED: &str = r#""remote_conns": {"s1": "host=s1", "s2": "host=s2"}"#;
