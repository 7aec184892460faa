//! Facts for tests as text: what was learnt when, one happening after a semicolon, `SECONDS WHO
//! WHAT`.
//!
//! ```text
//! 5 p primary                    our poll; 5 s1 standby 0/50 3: receive position (and replay), lag in seconds, - for null;
//! 5 s1 standby 0/50+0/60 3       receive and replay position
//! 9 p unreachable                also timed_out, authentication, refused, not_ready, nonsense
//! 9 o1 at 9: p=up@8              an observer's answer with this Date, and who it reached as a primary when by its clock
//!            p=lost@8,3          tried at 8, the node's clock read 3 at its last answer as a primary; p=lost@8: never told
//!            s1=standby@8,0/50   s1=gone@8,0/50,3: a standby it does not reach, tried at 8, told so at 3; s1=untold@8
//! 9 o1 unreachable
//! ```
//!
//! After the rest of a poll, or after `|` in an observer's entry: `system=A`, `started=3`, `timeline=2`, and
//! `shows=s1:ok@0,s2:wants@0/50@4`: the daemons that the server shows, state and age (`shows=-`: none; `@0#1234abcd`: its
//! settings). `asked=4`: when the poll began.

use std::time::Duration;

use super::{
    ClusterState, Context, Identity, Lsn, NodeReport, ObservedNode, ObserverReport, Presence,
    ProbeFailure, ProbeStep, RoleReport, SESSION_PREFIX,
};
use crate::config::{self, Config, Environment, NodeName, ObserverName};
use crate::time::{Monotonic, Now, WallTime};

/// The usual configuration (nodes p, s1, s2, we are s2; observers o1, o2) with these keys changed.
pub(crate) fn config(settings: &str) -> Config {
    let mut all: serde_json::Value = serde_json::from_str(USUAL).unwrap();
    let changes: serde_json::Value = serde_json::from_str(&format!("{{{settings}}}")).unwrap();
    all.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    config::parse(&all.to_string(), &Environment::default())
        .unwrap()
        .config
}

/// What is known after all that; the remembered primary is p.
pub(crate) fn state(config: &Config, facts: &str) -> ClusterState {
    remembering(Some("p"), config, facts)
}

/// The same with another remembered primary.
pub(crate) fn remembering(primary: Option<&str>, config: &Config, facts: &str) -> ClusterState {
    let mut state = ClusterState::default();
    state.adopt(config);
    let facts = facts.split(';').map(str::trim);
    for fact in facts.filter(|fact| !fact.is_empty()) {
        merge(&mut state, primary, config, fact);
    }
    state
}

/// Merges one happening; returns whether it was news.
pub(crate) fn learn(state: &mut ClusterState, config: &Config, fact: &str) -> bool {
    merge(state, Some("p"), config, fact)
}

/// What a poll of a node or an observer has brought.
pub(crate) enum Polled {
    Node(NodeName, Result<NodeReport, ProbeFailure>),
    Observer(ObserverName, Result<ObserverReport, ProbeFailure>),
}

/// One happening as the core gets it, and when.
pub(crate) fn polled(fact: &str) -> (Now, Polled) {
    let mut words = fact.split_whitespace();
    let now = at(words.next().unwrap().parse().unwrap());
    let (who, what) = (words.next().unwrap(), words.next().unwrap());
    let rest: Vec<_> = words.collect();
    let polled = match (who.starts_with('o'), what) {
        (false, what) => Polled::Node(who.into(), node_outcome(what, &rest, now)),
        (true, "at") => Polled::Observer(who.into(), Ok(observer_report(&rest))),
        (true, name) => Polled::Observer(who.into(), Err(failure(name))),
    };
    (now, polled)
}

fn merge(state: &mut ClusterState, primary: Option<&str>, config: &Config, fact: &str) -> bool {
    let (now, polled) = polled(fact);
    let remembered = primary.map(NodeName::from);
    let context = Context {
        config,
        remembered: remembered.as_ref(),
        now,
    };
    match polled {
        Polled::Node(node, outcome) => {
            let mut words = fact.split_whitespace();
            let asked = words.find_map(|word| word.strip_prefix("asked="));
            let asked = asked.map(|asked| mono(asked.parse().unwrap()));
            state.node_probed(&node, outcome, asked, context)
        }
        Polled::Observer(observer, outcome) => state.observer_probed(&observer, outcome, context),
    }
}

pub(crate) fn at(seconds: f64) -> Now {
    Now {
        mono: mono(seconds),
        wall: wall(seconds),
    }
}

pub(crate) fn mono(seconds: f64) -> Monotonic {
    Monotonic::from_duration(START + Duration::from_secs_f64(seconds))
}

/// Seconds as they stand in a scenario.
pub(crate) fn seconds(at: Monotonic) -> f64 {
    at.since(Monotonic::from_duration(START)).as_secs_f64()
}

fn wall(seconds: f64) -> WallTime {
    WallTime::from_unix_micros(1_704_067_200_000_000) + Duration::from_secs_f64(seconds)
}

fn lsn(text: &str) -> Option<Lsn> {
    (text != "-").then(|| text.parse().unwrap())
}

fn identity(words: &[&str]) -> Identity {
    let word = |key| words.iter().find_map(|word| word.strip_prefix(key));
    Identity {
        system: word("system=").map(str::to_owned),
        started: word("started=").map(|text| wall(text.parse().unwrap())),
        timeline: word("timeline=").map(|text| text.parse().unwrap()),
        ..Identity::default()
    }
}

fn daemons(words: &[&str]) -> Option<Vec<Presence>> {
    let shown = words.iter().find_map(|word| word.strip_prefix("shows="))?;
    let shown = shown.split(',').filter(|daemon| *daemon != "-");
    let shown = shown.map(|daemon| {
        let (session, age) = daemon.rsplit_once('@').unwrap();
        let (name, state) = session.split_once(':').unwrap();
        let (age, settings) = age.split_once('#').unwrap_or((age, "00ab12cd"));
        let age = Duration::from_secs_f64(age.parse().unwrap());
        let session = format!("{SESSION_PREFIX}{name}:{state}:{settings}");
        Presence::of_session(&session, age).unwrap()
    });
    Some(shown.collect())
}

fn node_outcome(what: &str, rest: &[&str], now: Now) -> Result<NodeReport, ProbeFailure> {
    let is_figure = |word: &&&str| !word.contains('=');
    let figures: Vec<&str> = rest.iter().filter(is_figure).copied().collect();
    let role = match what {
        "primary" => RoleReport::Primary {
            lsn: lsn(figures.first().unwrap_or(&"0/50")),
            slots: Vec::new(),
        },
        "standby" => {
            let positions = figures.first().unwrap_or(&"0/50");
            let (receive, replay) = positions.split_once('+').unwrap_or((positions, positions));
            let lag = figures.get(1).copied().unwrap_or("0");
            let last_replay =
                (lag != "-").then(|| now.wall - Duration::from_secs_f64(lag.parse().unwrap()));
            RoleReport::Standby {
                receive: lsn(receive),
                replay: lsn(replay),
                last_replay,
            }
        }
        name => return Err(failure(name)),
    };
    Ok(NodeReport {
        db_time: now.wall,
        role,
        identity: identity(rest),
        daemons: daemons(rest),
    })
}

fn observer_report(words: &[&str]) -> ObserverReport {
    let date = wall(words[0].trim_end_matches(':').parse().unwrap());
    let nodes = words[1..].iter().map(|word| {
        let (node, entry) = word.split_once('=').unwrap();
        let mut more = entry.split('|');
        let entry = more.next().unwrap();
        let more: Vec<_> = more.collect();
        let (role, figures) = entry.split_once('@').unwrap();
        let (fetched, detail) = figures.split_once(',').unwrap_or((figures, "-"));
        let fetch_time = wall(fetched.parse().unwrap());
        let connection = matches!(role, "up" | "standby");
        let is_primary = matches!(role, "up" | "lost");
        let (detail, clock) = match is_primary {
            true => (detail, detail),
            false => detail.split_once(',').unwrap_or((detail, "-")),
        };
        let db_time = if role == "up" {
            Some(fetch_time)
        } else {
            (clock != "-").then(|| wall(clock.parse().unwrap()))
        };
        let position = if is_primary { None } else { lsn(detail) };
        let in_recovery = (role != "untold").then_some(!is_primary);
        let observed = ObservedNode {
            fetch_time,
            connection,
            db_time,
            in_recovery,
            receive: position,
            replay: position,
            last_replay: None,
            identity: identity(&more),
            daemons: daemons(&more),
        };
        (node.into(), observed)
    });
    ObserverReport {
        date,
        nodes: nodes.collect(),
    }
}

pub(crate) fn failure(name: &str) -> ProbeFailure {
    let text = || "as scripted".to_owned();
    match name {
        "unreachable" => ProbeFailure::Unreachable { reason: text() },
        "timed_out" => ProbeFailure::TimedOut {
            step: ProbeStep::Connecting,
        },
        "authentication" => ProbeFailure::AuthenticationRejected { message: text() },
        "refused" => ProbeFailure::Refused { message: text() },
        "not_ready" => ProbeFailure::NotReady { message: text() },
        "nonsense" => ProbeFailure::ProtocolError { reason: text() },
        other => panic!("no failure: {other:?}"),
    }
}

/// Where 0 lies on the monotonic clock.
const START: Duration = Duration::from_secs(1_000_000);
const USUAL: &str = r#"{"own_db": "s2", "remote_conns": {"p": "host=p password=hush", "s1": "host=s1 password=hush",
    "s2": "host=s2 password=hush"}, "observers": {"o1": "http://o1", "o2": "http://o2"}, "failover_command": "promote"}"#;
