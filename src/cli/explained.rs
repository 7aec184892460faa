//! A decision as text. It may come from another version: fields that are missing are left out.

use std::borrow::Cow;

use super::output::aligned;
use crate::format::{Ballot, Decision, DecisionFigures, Evidence, Lag, Primary, Standby};
use crate::sys::text::escape_controls;
use crate::time::WallTime;
use crate::time::timestamp;

/// The newest decision in full, the earlier ones in one line each.
pub fn text(source: &str, decisions: &[Decision], now: WallTime) -> String {
    let Some((newest, earlier)) = decisions.split_first() else {
        return format!("no decision has been made yet\n{source}");
    };
    let mut lines = vec![
        shown(&newest.sentence).into_owned(),
        format!(
            "verdict {}, reason {}",
            shown(&newest.verdict),
            shown(&newest.reason)
        ),
        format!(
            "decided {} ({}), {source}",
            shown(&newest.at),
            age(newest, now)
        ),
    ];
    if let Some(figures) = &newest.figures {
        add_figures(&mut lines, figures);
    }
    section(&mut lines, "earlier decisions", before(earlier, now));
    lines.join("\n")
}

fn add_figures(lines: &mut Vec<String>, figures: &DecisionFigures) {
    section(lines, "pause", figures.pause.iter().map(|text| clean(text)));
    let standbys: Vec<_> = figures.standbys.iter().map(standby).collect();
    section(lines, "primary", figures.primaries.iter().map(primary));
    section(
        lines,
        "last evidence of a primary",
        figures.evidence.iter().map(evidence),
    );
    section(lines, "lag of this node", figures.lag.iter().map(lag));
    section(lines, "standbys", aligned(&standbys));
    section(lines, "votes", figures.votes.iter().flat_map(votes));
    section(
        lines,
        "what would change this decision",
        figures.would_change.iter().map(|text| clean(text)),
    );
    section(
        lines,
        "warnings",
        figures.warnings.iter().map(|text| clean(text)),
    );
}

fn section(lines: &mut Vec<String>, title: &str, rows: impl IntoIterator<Item = String>) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_some() {
        lines.push(format!("\n{title}"));
        lines.extend(rows.map(|row| format!("    {}", row.trim_end())));
    }
}

fn primary(primary: &Primary) -> String {
    let mut text = format!("{}: {}", shown(&primary.name), shown(&primary.standing));
    let source = primary.source.iter().map(|source| (" by ", source));
    let failure = primary.failure.iter().map(|failure| (", ", failure));
    for (before, what) in source.chain(failure) {
        text.extend([before, &clean(what)]);
    }
    if primary.remembered {
        text += ", last known primary";
    }
    text
}

fn evidence(evidence: &Evidence) -> String {
    let node = evidence.node.as_deref().unwrap_or("any node");
    format!(
        "{node} {}: {:.3} s before the decision by {}, the limit is {:.3} s",
        shown(&evidence.kind),
        evidence.age,
        shown(&evidence.source),
        evidence.limit
    )
}

fn lag(lag: &Lag) -> String {
    let known = lag
        .lag
        .map_or_else(|| "not known".to_owned(), |lag| format!("{lag:.3} s"));
    let catching_up = if lag.catching_up { ", catching up" } else { "" };
    format!(
        "{known}{catching_up}; the warning limit is {:.3} s, the failover limit {:.3} s",
        lag.warning_limit, lag.failover_limit
    )
}

fn standby(standby: &Standby) -> Vec<String> {
    let (age, source) = (standby.age.unwrap_or_default(), shown(&standby.source));
    vec![
        shown(&standby.name).into_owned(),
        shown(&standby.position).into_owned(),
        format!("priority {}", standby.priority),
        format!("polled {age:.1} s before by {source}"),
        shown(&standby.why).into_owned(),
    ]
}

fn votes(votes: &Ballot) -> Vec<String> {
    let mut rows = vec![format!(
        "{} of {} votes, {} required ({})",
        votes.known,
        votes.total,
        votes.required,
        shown(&votes.rule)
    )];
    if !votes.voters.is_empty() {
        let voters: Vec<_> = votes.voters.iter().map(|text| clean(text)).collect();
        rows.push(format!("votes: {}", voters.join(", ")));
    }
    let missing = votes.missing.iter();
    rows.extend(
        missing.map(|vote| format!("missing: {}: {}", shown(&vote.name), shown(&vote.why))),
    );
    rows
}

/// Decisions with the same verdict and reason share a row. Those that only wait for new polls, which
/// precede every decision of an outage, are left out.
fn before(earlier: &[Decision], now: WallTime) -> Vec<String> {
    let mut rows: Vec<(usize, &Decision)> = Vec::new();
    let is_poll = |decision: &&Decision| decision.verdict.as_deref() == Some("wants_fresh_facts");
    for decision in earlier.iter().filter(|decision| !is_poll(decision)) {
        let kind = |decision: &Decision| (decision.verdict.clone(), decision.reason.clone());
        let is_full = rows.len() == MAX_EARLIER;
        match rows.last_mut() {
            Some((count, newest)) if kind(newest) == kind(decision) => *count += 1,
            _ if is_full => break,
            _ => rows.push((1, decision)),
        }
    }
    let row = |(count, newest): &(usize, &Decision)| {
        vec![
            age(newest, now),
            format!("{count} x"),
            shown(&newest.sentence).into_owned(),
        ]
    };
    aligned(&rows.iter().map(row).collect::<Vec<_>>())
}

fn age(decision: &Decision, now: WallTime) -> String {
    match decision.at.as_deref().and_then(timestamp::parse) {
        Some(at) => format!("{:.1} s ago", now.since(at).as_secs_f64()),
        None => "at an unknown time".to_owned(),
    }
}

/// A text of the daemon with control characters escaped, or `?`.
fn shown(text: &Option<String>) -> Cow<'_, str> {
    escape_controls(text.as_deref().unwrap_or("?"))
}

fn clean(text: &str) -> String {
    escape_controls(text).into_owned()
}

/// Rows of earlier decisions.
const MAX_EARLIER: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(decisions: &[Value], expected: &str) {
        let now = timestamp::parse("2024-01-01T00:01:00Z").unwrap();
        assert_eq!(text("reported by x", &read(decisions), now), expected);
    }

    fn read(decisions: &[Value]) -> Vec<Decision> {
        let decisions = decisions.iter().cloned();
        decisions
            .map(|decision| serde_json::from_value(decision).unwrap_or_default())
            .collect()
    }

    fn short(at: &str, reason: &str) -> Value {
        json!({"at": at, "verdict": "hold", "reason": reason, "sentence": format!("no: {reason}")})
    }

    #[test]
    fn a_decision_is_shown_with_its_figures() {
        let decision = json!({
            "at": "2024-01-01T00:00:57.500000Z", "verdict": "hold", "reason": "r", "sentence": "no: r",
            "figures": {
                "primaries": [{"name": "p", "remembered": true, "standing": "lost", "failure": "unreachable"},
                    {"name": "q", "remembered": false, "standing": "reached", "source": "observer o"}],
                "standbys": [{"name": "s10", "source": "own poll", "age": 1.04, "position": "0/50", "priority": 0,
                    "why": "preferred candidate"}, {"name": "s2", "position": "0/4000060", "why": "unreachable"}],
                "votes": {"known": 1, "required": 2, "total": 3, "rule": "half", "voters": ["s10"],
                    "missing": [{"name": "s2", "why": "unreachable"}]},
                "evidence": {"kind": "answered", "node": "p", "source": "own poll", "age": 2.0, "limit": 120.0},
                "lag": {"lag": null, "catching_up": true, "warning_limit": 30.0, "failover_limit": 120.0},
                "would_change": ["118.000 s must pass"],
            },
        });
        let fresh = json!({"at": "2024-01-01T00:00:56Z", "verdict": "wants_fresh_facts"});
        let earlier = [
            short("2024-01-01T00:00:50Z", "r"),
            fresh,
            short("2024-01-01T00:00:40Z", "r"),
        ];
        let decisions: Vec<Value> = [decision]
            .into_iter()
            .chain(earlier)
            .chain([short("odd", "other")])
            .collect();
        check(
            &decisions,
            "no: r
verdict hold, reason r
decided 2024-01-01T00:00:57.500000Z (2.5 s ago), reported by x

primary
    p: lost, unreachable, last known primary
    q: reached by observer o

last evidence of a primary
    p answered: 2.000 s before the decision by own poll, the limit is 120.000 s

lag of this node
    not known, catching up; the warning limit is 30.000 s, the failover limit 120.000 s

standbys
    s10  0/50       priority 0  polled 1.0 s before by own poll  preferred candidate
    s2   0/4000060  priority 0  polled 0.0 s before by ?         unreachable

votes
    1 of 3 votes, 2 required (half)
    votes: s10
    missing: s2: unreachable

what would change this decision
    118.000 s must pass

earlier decisions
    10.0 s ago          2 x  no: r
    at an unknown time  1 x  no: other",
        );
    }

    #[test]
    fn missing_fields_are_left_out() {
        check(&[], "no decision has been made yet\nreported by x");
        check(
            &[
                json!({"sentence": "a\u{1b}[2Jb", "figures": {"would_change": ["\u{7}"], "votes": {"voters": ["\u{7}"]},
                "primaries": [{"failure": "\u{7}"}]}}),
            ],
            "a\\x1b[2Jb\nverdict ?, reason ?\ndecided ? (at an unknown time), reported by x\n\nprimary\n    ?: ?, \\x07\n\nvotes\n    \
             0 of 0 votes, 0 required (?)\n    votes: \\x07\n\nwhat would change this decision\n    \\x07",
        );
        check(
            &[json!(5)],
            "?\nverdict ?, reason ?\ndecided ? (at an unknown time), reported by x",
        );
    }
}
