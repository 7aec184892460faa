//! `pglookout history`: the changes of the primary, as all daemons that answer have seen them.

use std::process::ExitCode;

use serde::Serialize;

use super::look::Look;
use super::output;
use super::status::{StatusOptions, no_answer};
use crate::format::Change;

/// Exit 3 if nobody can be asked.
pub(super) fn main(options: &StatusOptions) -> ExitCode {
    let look = match options.target().and_then(|target| target.look()) {
        Ok(look) => look,
        Err(reason) => return no_answer(&reason),
    };
    let changes = merged(&look);
    if options.json {
        let text = serde_json::to_string_pretty(&changes).unwrap_or_default();
        return output::print(&text);
    }
    output::print(&text(&changes))
}

/// A change and who knows most of it.
#[derive(Debug, PartialEq, Serialize)]
struct Known {
    #[serde(flatten)]
    change: Change,
    by: String,
}

/// The newest first. Of one change that several daemons saw, the one that made it knows why, and the
/// others when they noticed; the first of them counts.
fn merged(look: &Look) -> Vec<Known> {
    let own = (&look.status.daemon, &look.status.changes);
    let others = look.others.iter().filter_map(|other| {
        let answer = other.answer.as_ref().ok()?;
        Some((&answer.daemon, &answer.changes))
    });
    let mut all: Vec<Known> = Vec::new();
    for (by, changes) in std::iter::once(own).chain(others) {
        for change in changes {
            let is_same = |known: &&mut Known| {
                let it = &known.change;
                (&it.from, &it.to, it.timeline) == (&change.from, &change.to, change.timeline)
            };
            let new = || Known {
                change: change.clone(),
                by: by.clone(),
            };
            match all.iter_mut().find(is_same) {
                None => all.push(new()),
                Some(known) if is_better(change, &known.change) => *known = new(),
                Some(_) => {}
            }
        }
    }
    all.sort_by(|one, other| other.change.at.cmp(&one.change.at));
    all
}

fn is_better(change: &Change, known: &Change) -> bool {
    match (&change.reason, &known.reason) {
        (Some(_), None) => true,
        (None, Some(_)) => false,
        _ => change.at < known.at,
    }
}

fn text(changes: &[Known]) -> String {
    if changes.is_empty() {
        return "no change of the primary has been seen".to_owned();
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let head = ["WHEN", "FROM", "TO", "TL", "LSN", "WHY"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(changes.iter().map(|known| {
        let Known { change, by } = known;
        let why = match &change.reason {
            Some(reason) => format!("promoted by pglookout: {reason}"),
            None => format!("not by pglookout, as seen by {by}"),
        };
        [
            change.at.clone(),
            change.from.clone(),
            change.to.clone(),
            or_dash(change.timeline.map(|it| it.to_string())),
            or_dash(change.lsn.clone()),
            why,
        ]
    }));
    output::aligned(&rows).join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::look::Other;
    use super::*;
    use crate::status::Status;

    fn status(daemon: &str, changes: serde_json::Value) -> Status {
        serde_json::from_value(json!({"daemon": daemon, "changes": changes})).unwrap()
    }

    #[test]
    fn who_made_a_change_knows_most_of_it() {
        let first = json!({"at": "2026-01-01T00:00:05.000Z", "from": "p", "to": "s1", "timeline": 2, "lsn": "0/50"});
        let mut made = first.clone();
        made["at"] = json!("2026-01-01T00:00:07.000Z");
        made["reason"] = json!("primary_unreachable");
        let second =
            json!({"at": "2026-01-02T00:00:00.000Z", "from": "s1", "to": "p", "timeline": 3});
        let look = Look {
            status: status("p", json!([second, first])),
            failure: None,
            others: vec![Other {
                name: "s1".to_owned(),
                answer: Ok(status("s1", json!([made]))),
            }],
        };
        assert_eq!(
            text(&merged(&look)),
            "\
WHEN                      FROM  TO  TL  LSN   WHY
2026-01-02T00:00:00.000Z  s1    p   3   -     not by pglookout, as seen by p
2026-01-01T00:00:07.000Z  p     s1  2   0/50  promoted by pglookout: primary_unreachable"
        );
        assert_eq!(text(&[]), "no change of the primary has been seen");
    }
}
