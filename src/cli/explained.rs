//! A decision as text for people. What is read may come from another version: what is not there is left out.

use std::fmt::Write;

use serde_json::Value;

use crate::compat::timestamp;
use crate::time::WallTime;

/// The newest of these decisions in full, and what came before it in short.
pub(super) fn text(source: &str, decisions: &[Value], now: WallTime) -> String {
    let Some((newest, earlier)) = decisions.split_first() else {
        return format!("no decision was made yet\n{source}");
    };
    let mut lines = vec![
        string(newest, "sentence"),
        format!("verdict {}, reason {}", string(newest, "verdict"), string(newest, "reason")),
        format!("decided {} ({}), {source}", string(newest, "at"), age(newest, now)),
    ];
    let figures = newest.get("figures").unwrap_or(&Value::Null);
    section(&mut lines, "primary", list(figures, "primaries").iter().map(primary));
    section(&mut lines, "last contact with a primary", figures.get("last_contact").and_then(contact));
    section(&mut lines, "lag of this node", figures.get("lag").and_then(lag));
    section(&mut lines, "standbys", aligned(list(figures, "standbys").iter().map(standby).collect()));
    section(&mut lines, "votes", figures.get("votes").map(votes).unwrap_or_default());
    let changes = list(figures, "would_change").iter().filter_map(|change| Some(change.as_str()?.to_owned()));
    section(&mut lines, "what would change it", changes.collect::<Vec<_>>());
    section(&mut lines, "before that", before(earlier, now));
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
    let mut text = format!("{}: {}", string(primary, "name"), string(primary, "standing"));
    for (key, before) in [("word_of", " by "), ("failure", ", ")] {
        if let Some(value) = primary.get(key).and_then(Value::as_str) {
            let _ = write!(text, "{before}{value}");
        }
    }
    if primary.get("remembered") == Some(&Value::Bool(true)) {
        text += ", the one remembered";
    }
    text
}

fn contact(contact: &Value) -> Option<String> {
    let (age, limit) = (number(contact, "age")?, number(contact, "limit")?);
    let (node, word_of) = (string(contact, "node"), string(contact, "word_of"));
    Some(format!("{node}: {age:.3} s before the decision by {word_of}, the limit is {limit:.3} s"))
}

fn lag(lag: &Value) -> Option<String> {
    let (warning, failover) = (number(lag, "warning_limit")?, number(lag, "failover_limit")?);
    let known = number(lag, "lag").map_or_else(|| "not known".to_owned(), |lag| format!("{lag:.3} s"));
    let catching_up = if lag.get("catching_up") == Some(&Value::Bool(true)) { ", catching up" } else { "" };
    Some(format!("{known}{catching_up}; the warning limit is {warning:.3} s, the failover limit {failover:.3} s"))
}

fn standby(standby: &Value) -> Vec<String> {
    let priority = standby.get("priority").and_then(Value::as_i64).unwrap_or_default();
    let age = number(standby, "age").unwrap_or_default();
    vec![
        string(standby, "name"),
        string(standby, "position"),
        format!("priority {priority}"),
        format!("asked {age:.1} s before by {}", string(standby, "word_of")),
        string(standby, "why"),
    ]
}

fn votes(votes: &Value) -> Vec<String> {
    let count = |key| votes.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (known, total, needed) = (count("known"), count("total"), count("needed"));
    let mut rows = vec![format!("{known} of {total} known, {needed} needed ({})", string(votes, "rule"))];
    let names = list(votes, "of").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    if !names.is_empty() {
        rows.push(format!("known: {names}"));
    }
    let missing = list(votes, "missing").iter();
    rows.extend(missing.map(|vote| format!("not known: {}: {}", string(vote, "name"), string(vote, "why"))));
    rows
}

/// The earlier decisions in short, those of one kind in one row. The question for fresh facts, which comes before every
/// decision of an outage, is left out.
fn before(earlier: &[Value], now: WallTime) -> Vec<String> {
    let mut rows: Vec<(usize, &Value)> = Vec::new();
    for decision in earlier.iter().filter(|decision| string(decision, "verdict") != "wants_fresh_facts") {
        let kind = |decision: &Value| (string(decision, "verdict"), string(decision, "reason"));
        let is_full = rows.len() == MAX_EARLIER;
        match rows.last_mut() {
            Some((count, newest)) if kind(newest) == kind(decision) => *count += 1,
            _ if is_full => break,
            _ => rows.push((1, decision)),
        }
    }
    let row =
        |(count, newest): &(usize, &Value)| vec![age(newest, now), format!("{count} x"), string(newest, "sentence")];
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
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let padded = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(padded).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A text of the daemon's; what a terminal would obey is not in it.
fn string(value: &Value, key: &str) -> String {
    crate::sys::text::escape_controls(value.get(key).and_then(Value::as_str).unwrap_or("?")).into()
}

fn number(value: &Value, key: &str) -> Option<f64> {
    value.get(key).and_then(Value::as_f64)
}

/// Rows of earlier decisions.
const MAX_EARLIER: usize = 8;
