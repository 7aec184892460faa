//! A status as text for a terminal of 80 columns.

use super::look::{Look, Other};
use super::output::{aligned, escaped};
use crate::status::{Health, Node, Observer, Readiness, Role, Standing, Status};

/// Line by line, with control characters of what daemons report escaped.
pub(super) fn lines(look: &Look, is_coloured: bool) -> Vec<String> {
    let status = &look.status;
    let paint = Paint(is_coloured);
    let mut lines = headlines(look, paint);
    lines.push(String::new());
    lines.extend(table(look, paint));
    let notes = notes(look);
    if !notes.is_empty() {
        lines.push(String::new());
        let of_grade = |grade: &Grade| match grade {
            Grade::Bad => paint.with("!!", RED),
            Grade::Doubtful => paint.with("! ", YELLOW),
            Grade::Advice => "->".to_owned(),
        };
        let notes = notes.iter();
        lines.extend(notes.map(|(grade, text)| format!("{} {}", of_grade(grade), escaped(text))));
    }
    if let Some(failure) = &look.failure {
        lines.push(String::new());
        lines.extend(escaped(failure).lines().map(str::to_owned));
    } else {
        let (daemon, version, at) = (&status.daemon, &status.version, &status.at);
        let text = format!("as seen by {daemon} (pglookout {version}) at {at}");
        lines.push(String::new());
        lines.push(escaped(&text));
        let loaded = status.configuration.loaded.iter();
        lines.extend(loaded.map(|at| escaped(&format!("with the configuration loaded at {at}"))));
    }
    lines
}

fn headlines(look: &Look, paint: Paint) -> Vec<String> {
    let status = &look.status;
    let (word, colour) = match status.cluster.state {
        Health::Healthy => ("HEALTHY", GREEN),
        Health::Degraded => ("DEGRADED", YELLOW),
        Health::NoPrimary => ("NO PRIMARY", RED),
        Health::SeveralPrimaries => ("SEVERAL PRIMARIES", RED),
        Health::OutdatedPrimary => ("OUTDATED PRIMARY", RED),
        Health::Starting => ("STARTING", YELLOW),
        Health::Unknown => ("UNKNOWN", YELLOW),
    };
    let cluster = (word.to_owned(), colour, &status.cluster.sentence);
    let (word, colour) = match status.failover.state {
        Readiness::Ready => ("READY", GREEN),
        Readiness::Countdown => ("COUNTDOWN", RED),
        Readiness::Running => ("RUNNING", YELLOW),
        Readiness::Blocked => ("BLOCKED", RED),
        Readiness::Paused => ("PAUSED", YELLOW),
        Readiness::Off => ("OFF", YELLOW),
        Readiness::Starting => ("STARTING", YELLOW),
        Readiness::Unknown => ("UNKNOWN", YELLOW),
    };
    let word = match status.failover.seconds {
        Some(seconds) => format!("IN {seconds:.0} s"),
        None => word.to_owned(),
    };
    let failover = (word, colour, &status.failover.sentence);
    let width = cluster.0.len().max(failover.0.len());
    let rows = [("cluster", cluster), ("failover", failover)];
    let row = |(title, (word, colour, sentence)): (&str, (String, &str, &String))| {
        let padded = format!("{word:width$}");
        format!(
            "{title:8}  {}  {}",
            paint.with(&padded, colour),
            escaped(sentence)
        )
    };
    rows.map(row).to_vec()
}

fn table(look: &Look, paint: Paint) -> Vec<String> {
    let status = &look.status;
    let head = HEAD.map(str::to_owned);
    let nodes = status.nodes.iter();
    let nodes = nodes.map(|node| (cells(node, look), colour(node)));
    let observers = status.observers.iter();
    let observers = observers.map(|it| (of_observer(it, look), (!it.connected).then_some(YELLOW)));
    let rows = std::iter::once((head, None)).chain(nodes).chain(observers);
    let (cells, colours): (Vec<_>, Vec<_>) = rows.unzip();
    let mut cells: Vec<Vec<String>> = cells.into_iter().map(Vec::from).collect();
    // Only an account with pg_monitor is shown who streams from whom.
    if status.nodes.iter().all(|node| node.upstream.is_none()) {
        cells.iter_mut().for_each(|row| _ = row.remove(UPSTREAM));
    }
    let lines = aligned(&cells).into_iter().zip(colours);
    let painted = lines.map(|(line, colour)| match colour {
        Some(colour) => paint.with(&line, colour),
        None => line,
    });
    painted.collect()
}

fn of_observer(observer: &Observer, look: &Look) -> [String; COLUMNS] {
    let state = if observer.connected { "" } else { "no answer" };
    let mut cells = HEAD.map(|_| "-".to_owned());
    let answered = observer.answered.map(|seconds| format!("{seconds:.1} s"));
    let known = [
        Some(observer.name.clone()),
        Some("observer".to_owned()),
        None,
        None,
        None,
        None,
        answered,
        Some(with_version(&observer.name, state, look)),
    ];
    for (cell, known) in cells.iter_mut().zip(known) {
        known.into_iter().for_each(|known| *cell = known);
    }
    cells
}

const COLUMNS: usize = 8;
const HEAD: [&str; COLUMNS] = [
    "NODE",
    "ROLE",
    "TL",
    "STREAMS FROM",
    "LAG",
    "REPLAY",
    "LAST POLL",
    "PGLOOKOUT",
];
/// The column that is left out where nothing is known of it.
const UPSTREAM: usize = 3;

fn colour(node: &Node) -> Option<&'static str> {
    match node.standing {
        Standing::Ok => None,
        Standing::NeverPolled | Standing::Lagging | Standing::Unknown => Some(YELLOW),
        Standing::Lost
        | Standing::Superseded
        | Standing::Diverged
        | Standing::OldTimeline
        | Standing::OtherCluster => Some(RED),
    }
}

fn cells(node: &Node, look: &Look) -> [String; COLUMNS] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let is_behind = node.role == Role::Standby;
    let role = match node.standing {
        Standing::Ok
        | Standing::NeverPolled
        | Standing::OldTimeline
        | Standing::Lagging
        | Standing::Unknown => node.role.name().to_owned(),
        Standing::Lost => format!("{}, lost", node.role.name()),
        Standing::Superseded => format!("{}, old", node.role.name()),
        Standing::Diverged => format!("{}, diverged", node.role.name()),
        Standing::OtherCluster => format!("{}, foreign", node.role.name()),
    };
    [
        node.name.clone(),
        role,
        or_dash(node.timeline.map(|it| match node.standing {
            Standing::OldTimeline => format!("{it}!"),
            _ => it.to_string(),
        })),
        or_dash(node.upstream.clone()),
        or_dash(node.lag_bytes.filter(|_| is_behind).map(bytes)),
        or_dash(node.lag_seconds.filter(|_| is_behind).map(duration)),
        or_dash(node.polled.map(|seconds| format!("{seconds:.1} s"))),
        daemon(node, look),
    ]
}

fn daemon(node: &Node, look: &Look) -> String {
    // What a server showed before it was lost is no news.
    let daemon = node.daemon.as_ref().filter(|_| node.connected || node.own);
    let state = daemon.map_or("", |it| it.state.as_str());
    if node.own {
        return format!("{} {state}", look.status.version);
    }
    with_version(&node.name, state, look)
}

fn with_version(name: &str, state: &str, look: &Look) -> String {
    let answers = look.others.iter().filter(|other| other.name == name);
    let version = answers.filter_map(|it| it.answer.as_ref().ok()).next();
    let version = version.map_or("", |status| status.version.as_str());
    match (version, state) {
        ("", "") => "-".to_owned(),
        (version, "") => version.to_owned(),
        ("", state) => state.to_owned(),
        (version, state) => format!("{version} {state}"),
    }
}

enum Grade {
    Bad,
    Doubtful,
    Advice,
}

/// What is wrong, and what to do.
fn notes(look: &Look) -> Vec<(Grade, String)> {
    let status = &look.status;
    let mut notes = Vec::new();
    let problems = status.problems.iter().cloned();
    notes.extend(problems.map(|text| (Grade::Bad, text)));
    for alert in &status.alerts {
        let text = format!("alert {} since {}: {}", alert.name, alert.since, alert.text);
        notes.push((Grade::Bad, text));
        notes.push((Grade::Advice, alert.advice.clone()));
    }
    let warnings = status.warnings.iter().cloned();
    notes.extend(warnings.map(|text| (Grade::Doubtful, text)));
    let lists = status.voter_lists.iter().filter_map(|lists| {
        let missing = lists.change_waits_for.as_ref()?;
        Some(format!("voters of cluster {}: {missing}", lists.cluster))
    });
    notes.extend(lists.map(|text| (Grade::Doubtful, text)));
    let disagreements = look.others.iter().flat_map(|it| disagreements(it, status));
    notes.extend(disagreements.map(|text| (Grade::Doubtful, text)));
    notes
}

fn disagreements(other: &Other, status: &Status) -> Vec<String> {
    let name = &other.name;
    let answer = match &other.answer {
        Ok(answer) => answer,
        Err(error) => {
            return vec![format!(
                "pglookout of {name} was not asked for its view: {error}"
            )];
        }
    };
    let mut found = Vec::new();
    let shown = |primary: &Option<String>| primary.clone().unwrap_or_else(|| "nobody".to_owned());
    if answer.cluster.primary != status.cluster.primary {
        let (theirs, ours) = (
            shown(&answer.cluster.primary),
            shown(&status.cluster.primary),
        );
        let by = &status.daemon;
        found.push(format!(
            "{name} takes {theirs} for the primary, {by} takes {ours}"
        ));
    }
    if answer.version != status.version {
        let (theirs, ours) = (&answer.version, &status.version);
        found.push(format!(
            "{name} runs pglookout {theirs}, {} runs {ours}",
            status.daemon
        ));
    }
    found
}

/// With the units of PostgreSQL.
fn bytes(count: u64) -> String {
    let mut value = count;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 10_240 {
            return format!("{value} {unit}");
        }
        value /= 1024;
    }
    format!("{value} TB")
}

fn duration(seconds: f64) -> String {
    match seconds {
        it if it < 1.0 => format!("{:.0} ms", it * 1_000.0),
        it if it < 600.0 => format!("{it:.1} s"),
        it if it < 36_000.0 => format!("{:.0} min", it / 60.0),
        it => format!("{:.0} h", it / 3_600.0),
    }
}

/// Colours, where there are any.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, text: &str, colour: &str) -> String {
        match self.0 {
            true => format!("{colour}{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const GREEN: &str = "\x1b[32m";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(status: serde_json::Value, others: Vec<Other>) -> Look {
        Look {
            status: serde_json::from_value(status).unwrap(),
            failure: None,
            others,
        }
    }

    #[test]
    fn a_failover_that_left_its_traces() {
        let status = json!({
            "version": "3.0.0", "at": "2026-01-01T00:00:00.000Z", "daemon": "s2",
            "cluster": {"state": "degraded", "primary": "s2", "sentence": "primary s2 on timeline 3, 2 standbys"},
            "failover": {"state": "ready", "sentence": "would promote s1; limit 30 s"},
            "nodes": [
                {"name": "p", "role": "primary", "standing": "superseded", "timeline": 2, "polled": 0.8},
                {"name": "s1", "role": "standby", "standing": "old_timeline", "connected": true, "timeline": 2, "lag_bytes": 4_089_446,
                    "lag_seconds": 75.2, "polled": 0.84, "daemon": {"state": "ok"}},
                {"name": "s2", "own": true, "role": "primary", "standing": "ok", "connected": true, "timeline": 3, "polled": 0.8,
                    "daemon": {"state": "primary"}},
            ],
            "observers": [{"name": "o", "connected": true, "answered": 1.0}],
            "problems": ["s1 does not\u{1b}[2J follow"],
            "alerts": [{"name": "failover_has_happened", "since": "2026", "text": "it was", "advice": "remove it"}],
            "warnings": ["take care"],
            "voter_lists": [{"cluster": "main", "generation": 2, "stage": "taken", "change_waits_for": "o has list 1"},
                {"cluster": "other", "generation": 1, "stage": "sealed"}],
        });
        let view = json!({"version": "3.1.0", "node": "s1", "cluster": {"primary": "p"}});
        let others = vec![
            Other {
                name: "s1".to_owned(),
                answer: Ok(serde_json::from_value(view).unwrap()),
            },
            Other {
                name: "p".to_owned(),
                answer: Err("Connection refused".to_owned()),
            },
        ];
        let expected = "\
cluster   DEGRADED  primary s2 on timeline 3, 2 standbys
failover  READY     would promote s1; limit 30 s

NODE  ROLE          TL  LAG      REPLAY  LAST POLL  PGLOOKOUT
p     primary, old  2   -        -       0.8 s      -
s1    standby       2!  3993 kB  75.2 s  0.8 s      3.1.0 ok
s2    primary       3   -        -       0.8 s      3.0.0 primary
o     observer      -   -        -       1.0 s      -

!! s1 does not\\x1b[2J follow
!! alert failover_has_happened since 2026: it was
-> remove it
!  take care
!  voters of cluster main: o has list 1
!  s1 takes p for the primary, s2 takes s2
!  s1 runs pglookout 3.1.0, s2 runs 3.0.0
!  pglookout of p was not asked for its view: Connection refused

as seen by s2 (pglookout 3.0.0) at 2026-01-01T00:00:00.000Z";
        assert_eq!(lines(&look(status, others), false).join("\n"), expected);
    }

    #[test]
    fn who_streams_from_whom_is_shown_where_it_is_known() {
        let status = json!({"nodes": [
            {"name": "p", "role": "primary", "standing": "ok"},
            {"name": "s1", "role": "standby", "standing": "ok", "upstream": "p"},
        ]});
        let lines = lines(&look(status, Vec::new()), false);
        assert_eq!(
            lines[3..6],
            [
                "NODE  ROLE     TL  STREAMS FROM  LAG  REPLAY  LAST POLL  PGLOOKOUT",
                "p     primary  -   -             -    -       -          -",
                "s1    standby  -   p             -    -       -          -",
            ]
        );
    }

    #[test]
    fn words_are_coloured_where_colours_are() {
        let status = json!({"cluster": {"state": "no_primary"}, "failover": {"state": "countdown", "seconds": 18.2}});
        let lines = lines(&look(status, Vec::new()), true);
        assert_eq!(lines[0], "cluster   \x1b[1;31mNO PRIMARY\x1b[0m  ");
        assert_eq!(lines[1], "failover  \x1b[1;31mIN 18 s   \x1b[0m  ");
    }

    #[test]
    fn sizes_and_times() {
        let shown: Vec<_> = [0, 10_239, 10_240, 20 << 20, 50 << 40].map(bytes).into();
        assert_eq!(shown, ["0 B", "10239 B", "10 kB", "20 MB", "50 TB"]);
        let shown: Vec<_> = [0.0, 0.25, 9.96, 3_600.0, 90_000.0].map(duration).into();
        assert_eq!(shown, ["0 ms", "250 ms", "10.0 s", "60 min", "25 h"]);
    }
}
