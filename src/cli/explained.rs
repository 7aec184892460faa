//! A decision as text for people. What is read may come from another version: what is not there is
//! left out.

use std::fmt::Write;

use serde_json::Value;

use crate::sys::text::escape_controls;
use crate::time::WallTime;
use crate::time::timestamp;

/// The newest of these decisions in full, and what came before it in short.
pub fn text(source: &str, decisions: &[Value], now: WallTime) -> String {
    let Some((newest, earlier)) = decisions.split_first() else {
        return format!("no decision has been made yet\n{source}");
    };
    let mut lines = vec![
        string(newest, "sentence"),
        format!(
            "verdict {}, reason {}",
            string(newest, "verdict"),
            string(newest, "reason")
        ),
        format!(
            "decided {} ({}), {source}",
            string(newest, "at"),
            age(newest, now)
        ),
    ];
    let figures = newest.get("figures").unwrap_or(&Value::Null);
    section(
        &mut lines,
        "primary",
        list(figures, "primaries").iter().map(primary),
    );
    section(
        &mut lines,
        "last contact with a primary",
        figures.get("last_contact").and_then(contact),
    );
    section(
        &mut lines,
        "lag of this node",
        figures.get("lag").and_then(lag),
    );
    section(
        &mut lines,
        "standbys",
        aligned(list(figures, "standbys").iter().map(standby).collect()),
    );
    section(
        &mut lines,
        "votes",
        figures.get("votes").map(votes).unwrap_or_default(),
    );
    section(
        &mut lines,
        "what would change this decision",
        texts(figures, "would_change"),
    );
    section(&mut lines, "earlier decisions", before(earlier, now));
    lines.join("\n")
}

fn section(lines: &mut Vec<String>, title: &str, rows: impl IntoIterator<Item = String>) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_some() {
        lines.push(format!("\n{title}"));
        lines.extend(rows.map(|row| format!("    {}", row.trim_end())));
    }
}

fn primary(primary: &Value) -> String {
    let mut text = format!(
        "{}: {}",
        string(primary, "name"),
        string(primary, "standing")
    );
    for (key, before) in [("source", " by "), ("failure", ", ")] {
        if primary.get(key).is_some_and(Value::is_string) {
            let _ = write!(text, "{before}{}", string(primary, key));
        }
    }
    if primary.get("remembered") == Some(&Value::Bool(true)) {
        text += ", last known primary";
    }
    text
}

fn contact(contact: &Value) -> Option<String> {
    let (age, limit) = (number(contact, "age")?, number(contact, "limit")?);
    let (node, source) = (string(contact, "node"), string(contact, "source"));
    Some(format!(
        "{node}: {age:.3} s before the decision by {source}, the limit is {limit:.3} s"
    ))
}

fn lag(lag: &Value) -> Option<String> {
    let (warning, failover) = (
        number(lag, "warning_limit")?,
        number(lag, "failover_limit")?,
    );
    let known =
        number(lag, "lag").map_or_else(|| "not known".to_owned(), |lag| format!("{lag:.3} s"));
    let catching_up = if lag.get("catching_up") == Some(&Value::Bool(true)) {
        ", catching up"
    } else {
        ""
    };
    Some(format!(
        "{known}{catching_up}; the warning limit is {warning:.3} s, the failover limit {failover:.3} s"
    ))
}

fn standby(standby: &Value) -> Vec<String> {
    let priority = standby
        .get("priority")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let age = number(standby, "age").unwrap_or_default();
    vec![
        string(standby, "name"),
        string(standby, "position"),
        format!("priority {priority}"),
        format!("polled {age:.1} s before by {}", string(standby, "source")),
        string(standby, "why"),
    ]
}

fn votes(votes: &Value) -> Vec<String> {
    let count = |key| votes.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (known, total, required) = (count("known"), count("total"), count("required"));
    let mut rows = vec![format!(
        "{known} of {total} votes, {required} required ({})",
        string(votes, "rule")
    )];
    let names = texts(votes, "voters").join(", ");
    if !names.is_empty() {
        rows.push(format!("votes: {names}"));
    }
    let missing = list(votes, "missing").iter();
    rows.extend(
        missing.map(|vote| format!("missing: {}: {}", string(vote, "name"), string(vote, "why"))),
    );
    rows
}

/// The earlier decisions in short, those of one kind in one row. The question for fresh facts,
/// which comes before every decision of an outage, is left out.
fn before(earlier: &[Value], now: WallTime) -> Vec<String> {
    let mut rows: Vec<(usize, &Value)> = Vec::new();
    for decision in earlier
        .iter()
        .filter(|decision| string(decision, "verdict") != "wants_fresh_facts")
    {
        let kind = |decision: &Value| (string(decision, "verdict"), string(decision, "reason"));
        let is_full = rows.len() == MAX_EARLIER;
        match rows.last_mut() {
            Some((count, newest)) if kind(newest) == kind(decision) => *count += 1,
            _ if is_full => break,
            _ => rows.push((1, decision)),
        }
    }
    let row = |(count, newest): &(usize, &Value)| {
        vec![
            age(newest, now),
            format!("{count} x"),
            string(newest, "sentence"),
        ]
    };
    aligned(rows.iter().map(row).collect())
}

fn age(decision: &Value, now: WallTime) -> String {
    match timestamp::parse(&string(decision, "at")) {
        Some(at) => format!("{:.1} s ago", now.since(at).as_secs_f64()),
        None => "at an unknown time".to_owned(),
    }
}

/// Rows with their columns one below the other.
fn aligned(rows: Vec<Vec<String>>) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| Some(row.get(column)?.chars().count()))
            .max()
    };
    let widths: Vec<_> = (0..columns)
        .map(|column| width(column).unwrap_or_default().min(WIDEST_COLUMN))
        .collect();
    let padded = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(padded).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A text of the daemon's; what a terminal would obey is not in it.
fn string(value: &Value, key: &str) -> String {
    escape_controls(value.get(key).and_then(Value::as_str).unwrap_or("?")).into()
}

/// Several such texts.
fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key)
        .iter()
        .filter_map(|text| Some(escape_controls(text.as_str()?).into()))
        .collect()
}

fn number(value: &Value, key: &str) -> Option<f64> {
    value.get(key).and_then(Value::as_f64)
}

/// In characters. What is longer breaks its own row alone; and no format takes any width.
const WIDEST_COLUMN: usize = 200;
/// Rows of earlier decisions.
const MAX_EARLIER: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(decisions: &[Value], expected: &str) {
        let now = timestamp::parse("2024-01-01T00:01:00Z").unwrap();
        assert_eq!(text("reported by x", decisions, now), expected);
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
                "last_contact": {"node": "p", "source": "own poll", "age": 2.0, "limit": 120.0},
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

last contact with a primary
    p: 2.000 s before the decision by own poll, the limit is 120.000 s

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
    fn what_is_not_there_is_left_out() {
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
